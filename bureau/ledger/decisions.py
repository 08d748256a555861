"""What people decide about records: withdraw the unwritten, make others again, scrap them; lots close by it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypedDict

from sqlalchemy import Connection, func, select, update

from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger import closing, moves
from bureau.ledger.ledger import Transaction
from bureau.ledger.rows import AnyRow
from bureau.ledger.schema import UNWRITTEN, cards, jobs
from bureau.models import BatchId, CardId, CardState, JobId, JobState, LotId

FAILED: Final = (CardState.REJECTED, CardState.SUSPECT)
"""States that wait for a person."""


class Subject(TypedDict):
    """What a request is about: [card, state, fence] as they stood when it was asked, and [job, ready records]."""

    cards: Sequence[tuple[int, str, int]]
    jobs: Sequence[tuple[int, int]]


def to_withdraw(connection: Connection, named: Sequence[CardId], of_jobs: Sequence[JobId]) -> Subject:
    """Return what withdrawing these cards, and all ready ones of these jobs, is about.

    Raises NotFoundError; NotAllowedError for a card that isn't ready, a job without a ready card, more than 1,000 cards.
    """
    counts = [(job, _ready(connection, job)) for job in dict.fromkeys(of_jobs)]
    if empty := [job for job, ready in counts if not ready]:
        raise NotAllowedError(f"job {empty[0]} has no record that is ready", "See `bureau cards`.")
    single = [row for row in _rows(connection, named) if row.job_id not in of_jobs]
    for row in single:
        if row.state != CardState.READY:
            raise NotAllowedError(f"card {row.id} is {row.state}, and only a record that is ready can be withdrawn")
    return {"cards": [_seen(row) for row in single], "jobs": counts}


def to_requeue(connection: Connection, named: Sequence[CardId]) -> Subject:
    """Return what making these records again is about.

    Raises NotFoundError; NotAllowedError for a card that needs no such decision, and for more than 1,000.
    """
    found = _rows(connection, named)
    for row in found:
        if row.state not in FAILED and not _is_stuck(row):
            raise NotAllowedError(
                f"card {row.id} is {row.state}, and only one that is rejected, suspect or held can be made again"
            )
    return {"cards": [_seen(row) for row in found], "jobs": []}


def about(subject: Mapping[str, Any]) -> str:
    """Return in words what a request is about."""
    named = [f"card {card}" for card, _state, _fence in subject["cards"]]
    return ", ".join(named + [f"job {job} ({ready} ready)" for job, ready in subject["jobs"]])


def withdraw(tx: Transaction, subject: Mapping[str, Any]) -> tuple[BatchId, ...]:
    """Withdraw what was asked for, all or nothing; returns the batches that this closed. Raises NotAllowedError.

    A withdrawn record's CRN may be used again. A job's are withdrawn in one statement, 100,000 in a second or two.
    """
    rows = _unchanged(tx, subject)
    for row in rows:
        moves.move(tx, row, CardState.WITHDRAWN, "withdraw")
    touched = [LotId(row.lot_id) for row in rows]
    for job, ready in subject["jobs"]:
        ready_now = (cards.c.job_id == job) & (cards.c.state == CardState.READY.value)
        touched += [LotId(row.lot_id) for row in tx.connection.execute(select(cards.c.lot_id).where(ready_now).distinct())]
        found = moves.move_all(tx, JobId(job), CardState.READY, CardState.WITHDRAWN, "withdraw records")
        if found != ready:
            raise _changed(f"job {job} has {found} ready records and had {ready}")
    return _close(tx, touched)


def requeue(tx: Transaction, subject: Mapping[str, Any]) -> tuple[BatchId, ...]:
    """Let records be made again, on new blanks, all or none; the plastic that each took stays counted as it is.

    Raises NotAllowedError.
    """
    for row in _unchanged(tx, subject):
        if row.state == CardState.READY:
            if not _is_stuck(row):
                raise _changed(f"card {row.id} isn't held any more")
            tx.connection.execute(update(cards).where(cards.c.id == row.id).values(returns=0))
            tx.record("requeue", f"card {row.id}", crn=row.crn, returns=row.returns)
        else:
            moves.move(tx, row, CardState.READY, "requeue", returns=0)
    return ()


def scrap(tx: Transaction, named: Sequence[CardId], reason: str) -> tuple[BatchId, ...]:
    """Give records up, all or none; returns the batches that this closed. Raises NotFoundError, NotAllowedError."""
    rows = _rows(tx.connection, named)
    for row in rows:
        if row.state not in FAILED:
            raise NotAllowedError(f"card {row.id} is {row.state}, and only one that is rejected or suspect can be scrapped")
        moves.move(tx, row, CardState.SCRAPPED, "scrap")
    tx.record("scrap records", ", ".join(f"card {row.id}" for row in rows), reason=reason)
    return _close(tx, (LotId(row.lot_id) for row in rows))


def _rows(connection: Connection, named: Iterable[CardId]) -> Sequence[AnyRow]:
    """Return where these cards stand, each once; raises NotFoundError also for one of a file that isn't in yet."""
    wanted = list(dict.fromkeys(named))
    if len(wanted) > closing.CHUNK:
        raise NotAllowedError(f"{len(wanted)} cards are too many for one decision", f"Take {closing.CHUNK} at most.")
    columns = (cards.c.id, cards.c.lot_id, cards.c.job_id, cards.c.crn, cards.c.state, cards.c.fence, cards.c.returns)
    of_jobs = select(*columns).join(jobs, cards.c.job_id == jobs.c.id).where(jobs.c.state != JobState.INCOMING.value)
    found = connection.execute(of_jobs.where(cards.c.id.in_(wanted)).order_by(cards.c.id)).all()
    if missing := set(wanted) - {row.id for row in found}:
        raise NotFoundError(f"there is no card {min(missing)}", "See `bureau cards JOB`.")
    return found


def _unchanged(tx: Transaction, subject: Mapping[str, Any]) -> Sequence[AnyRow]:
    """Return the cards as they stand; raises NotAllowedError where one isn't as it was when the request was made.

    A blank that came back leaves an unwritten record what it was; any other card that was claimed since isn't the same.
    """
    asked = {card: (state, fence) for card, state, fence in subject["cards"]}
    rows = _rows(tx.connection, map(CardId, asked))
    for row in rows:
        state, fence = asked[row.id]
        if row.state != state:
            raise _changed(f"card {row.id} is {row.state} now and was {state}")
        if row.fence != fence and row.state != CardState.READY:
            raise _changed(f"card {row.id} was made once more and is {row.state} again")
    return rows


def _changed(what: str) -> NotAllowedError:
    return NotAllowedError(f"{what} when this was asked for: nothing of it is done", "Decline it, and ask anew if need be.")


def _seen(row: AnyRow) -> tuple[int, str, int]:
    return row.id, row.state, row.fence


def _is_stuck(row: AnyRow) -> bool:
    return bool(row.state == CardState.READY and row.returns >= UNWRITTEN)


def _ready(connection: Connection, job: JobId) -> int:
    ready = (cards.c.job_id == job) & (cards.c.state == CardState.READY.value)
    return connection.execute(select(func.count()).where(ready)).scalar_one()


def _close(tx: Transaction, touched: Iterable[LotId]) -> tuple[BatchId, ...]:
    closed = [closing.close_lot(tx, lot) for lot in dict.fromkeys(touched)]
    return tuple(batch for batch in closed if batch is not None)
