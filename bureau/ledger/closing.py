"""The end of lots, jobs and batches: closed when both balances hold, reported, purged."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Table, bindparam, delete, func, select, update

from bureau.errors import NotAllowedError
from bureau.ledger.ledger import Ledger, Transaction
from bureau.ledger.schema import attempts, batches, cards, jobs, lots, traces
from bureau.models import FINAL, AttemptOutcome, BatchId, CardState, JobId, JobState, LotId

CHUNK: Final = 1000
"""Rows that one transaction writes at most: SQLite has one writer, and every encoder waits for it."""


_UNFINISHED: Final = (
    select(cards.c.id)
    .where(cards.c.lot_id == bindparam("lot"), cards.c.state.in_([state.value for state in CardState if state not in FINAL]))
    .limit(1)
)
_LOCKS: Final = {
    table: select(table.c.id).where(table.c.id == bindparam("number")).with_for_update(key_share=True)
    for table in (lots, jobs, batches)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """One lot's records in and stock drawn, each with what became of it."""

    records_in: int
    good: int
    scrapped: int
    withdrawn: int
    open: int
    """Records that aren't done with."""
    drawn: int
    good_plastics: int
    spoiled: int
    mute: int
    unknown: int
    returned: int
    in_hand: int
    """Plastics that an encoder holds now."""

    @property
    def records_balance(self) -> bool:
        """Whether records in = good + scrapped + withdrawn, nothing open."""
        return not self.open and self.records_in == self.good + self.scrapped + self.withdrawn

    @property
    def stock_balances(self) -> bool:
        """Whether stock drawn = good + spoiled + mute + unknown + returned, and each good record has its good plastic."""
        known = self.good_plastics + self.spoiled + self.mute + self.unknown + self.returned
        return not self.in_hand and self.drawn == known and self.good == self.good_plastics


def balance(connection: Connection, lot: LotId) -> Balance:
    """Return where *lot* stands."""
    states = _counts(connection, lot, by_outcome=False)
    plastics = _counts(connection, lot, by_outcome=True)
    return Balance(
        records_in=connection.execute(select(lots.c.record_count).where(lots.c.id == lot)).scalar_one(),
        good=states.get(CardState.GOOD, 0),
        scrapped=states.get(CardState.SCRAPPED, 0),
        withdrawn=states.get(CardState.WITHDRAWN, 0),
        open=sum(count for state, count in states.items() if CardState(state) not in FINAL),
        drawn=sum(plastics.values()),
        good_plastics=plastics.get(AttemptOutcome.GOOD, 0),
        spoiled=plastics.get(AttemptOutcome.SPOILED, 0),
        mute=plastics.get(AttemptOutcome.MUTE, 0),
        unknown=plastics.get(AttemptOutcome.UNKNOWN, 0),
        returned=plastics.get(AttemptOutcome.RETURNED, 0),
        in_hand=plastics.get(AttemptOutcome.OPEN, 0),
    )


def _counts(connection: Connection, lot: LotId, *, by_outcome: bool) -> dict[str, int]:
    what = attempts.c.outcome if by_outcome else cards.c.state
    wanted = select(what, func.count()).where(cards.c.lot_id == lot).group_by(what)
    if by_outcome:
        wanted = wanted.join(cards, attempts.c.card_id == cards.c.id)
    return {row[0]: row[1] for row in connection.execute(wanted)}


def close_lot(tx: Transaction, lot: LotId) -> BatchId | None:
    """Close *lot* if nothing in it is open, both balances hold and nobody has to look at it, then its job.

    Returns the batch that this completed.
    """
    _lock(tx, lots, lot)
    if tx.connection.execute(_UNFINISHED, {"lot": lot}).first():
        return None
    now = balance(tx.connection, lot)
    if not (now.records_balance and now.stock_balances):
        return None
    this = (lots.c.id == lot) & lots.c.closed_at.is_(None) & lots.c.stopped_at.is_(None)
    if not tx.connection.execute(update(lots).where(this).values(closed_at=tx.at)).rowcount:
        return None
    tx.record("close", f"lot {lot}", records=now.records_in, plastics=now.drawn)
    return _close_job(tx, JobId(tx.connection.execute(select(lots.c.job_id).where(lots.c.id == lot)).scalar_one()))


def _lock(tx: Transaction, table: Table, number: int) -> None:
    """Wait for who closes the same: the last of two must see what the first one did."""
    tx.connection.execute(_LOCKS[table], {"number": number})


def _close_job(tx: Transaction, job: JobId) -> BatchId | None:
    _lock(tx, jobs, job)
    if tx.connection.execute(select(lots.c.id).where(lots.c.job_id == job, lots.c.closed_at.is_(None)).limit(1)).first():
        return None
    closed = {"state": JobState.CLOSED.value, "closed_at": tx.at, "held_by": None, "held_at": None, "held_reason": None}
    this = (jobs.c.id == job) & jobs.c.state.in_([JobState.RELEASED.value, JobState.HELD.value])
    if not tx.connection.execute(update(jobs).where(this).values(closed)).rowcount:
        return None
    tx.record("close", f"job {job}")
    batch = BatchId(tx.connection.execute(select(jobs.c.batch_id).where(jobs.c.id == job)).scalar_one())
    _lock(tx, batches, batch)
    return batch if not _unclosed(tx.connection, batch) else None


def _unclosed(connection: Connection, batch: BatchId) -> bool:
    other = jobs.c.state != JobState.CLOSED.value
    return connection.execute(select(jobs.c.id).where(jobs.c.batch_id == batch, other).limit(1)).first() is not None


def is_whole(connection: Connection, batch: BatchId) -> bool:
    """Return whether all jobs of *batch* are closed, answered or not."""
    under_way = jobs.c.state.in_([JobState.INCOMING.value, JobState.HELD.value, JobState.RELEASED.value])
    return connection.execute(select(jobs.c.id).where(jobs.c.batch_id == batch, under_way).limit(1)).first() is None


def due_for_report(connection: Connection) -> list[BatchId]:
    """Return the batches whose jobs are all closed and whose audit trail isn't written yet."""
    closed = func.sum((jobs.c.state == JobState.CLOSED.value).cast(jobs.c.id.type))
    whole = select(jobs.c.batch_id).group_by(jobs.c.batch_id).having(closed == func.count())
    return [BatchId(row.batch_id) for row in connection.execute(whole.order_by(jobs.c.batch_id))]


def due_for_purge(connection: Connection, before: datetime) -> list[BatchId]:
    """Return the batches that were answered at that moment or *before* and whose cardholders aren't all forgotten yet."""
    answered = (jobs.c.state == JobState.REPORTED.value) & (jobs.c.reported_at <= before)
    wanted = select(jobs.c.batch_id).where(answered).distinct()
    return [BatchId(row.batch_id) for row in connection.execute(wanted.order_by(jobs.c.batch_id))]


def reported(ledger: Ledger, batch: BatchId, actor: str, now: datetime) -> None:
    """Say that the audit trail of *batch* is written; raises NotAllowedError while a job of it isn't closed."""
    with ledger.write(actor, now) as tx:
        name = tx.connection.execute(select(batches.c.batch_id).where(batches.c.id == batch)).scalar_one_or_none()
        if name is None or _unclosed(tx.connection, batch):
            raise NotAllowedError(f"batch {name or batch} isn't closed or is reported already")
        done = {"state": JobState.REPORTED.value, "reported_at": now}
        tx.connection.execute(update(jobs).where(jobs.c.batch_id == batch).values(done))
        tx.record("report", f"batch {batch}", batch_id=name)


def purge(ledger: Ledger, job: JobId, actor: str, now: datetime) -> bool:
    """Forget the cardholders of a reported *job*: its sealed records and traces, then the key that they were sealed under.

    Returns False when a reader is in the way of what the database itself still keeps, SQLite's write-ahead log or the old
    rows of PostgreSQL's jobs: call Ledger.checkpoint() again later. May be repeated after a crash. Raises NotAllowedError
    for a job that isn't reported.
    """
    while _purge_some(ledger, job, actor, now):
        pass
    with ledger.write(actor, now) as tx:
        done = {"state": JobState.PURGED.value, "purged_at": now, "wrapped_data_key": None}
        this = (jobs.c.id == job) & (jobs.c.state == JobState.REPORTED.value)
        if tx.connection.execute(update(jobs).where(this).values(done)).rowcount:
            tx.record("purge", f"job {job}")
    return ledger.checkpoint()


def _purge_some(ledger: Ledger, job: JobId, actor: str, now: datetime) -> bool:
    with ledger.write(actor, now) as tx:
        state = tx.connection.execute(select(jobs.c.state).where(jobs.c.id == job)).scalar_one_or_none()
        if state not in {JobState.REPORTED, JobState.PURGED}:
            raise NotAllowedError(f"job {job} isn't reported", "Its audit trail comes first: `bureau report`.")
        some = select(cards.c.id).where(cards.c.job_id == job, cards.c.sealed.is_not(None)).limit(CHUNK)
        ids = [row.id for row in tx.connection.execute(some)]
        tx.connection.execute(update(cards).where(cards.c.id.in_(ids)).values(sealed=None))
        made = select(attempts.c.id).where(attempts.c.card_id.in_(ids))
        tx.connection.execute(delete(traces).where(traces.c.attempt_id.in_(made)))
        if ids:
            tx.record("purge records", f"job {job}", records=len(ids))
    return bool(ids)
