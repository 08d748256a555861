"""Lots on hold: no encoder takes a card of one, and it doesn't close, until a person has looked and lets it go on.

A lot holds itself for its first article, for a failed sample, and for too many cards that went wrong; a person may hold it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, func, select, update

from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger import closing
from bureau.ledger.ledger import Ledger, Transaction
from bureau.ledger.rows import AnyRow
from bureau.ledger.schema import attempts, cards, jobs, lots
from bureau.models import AttemptOutcome, BatchId, CardId, CardState, JobId, LotId

FEW: Final = 3
"""So many cards must have gone wrong before their share says anything."""
_WRONG: Final = (AttemptOutcome.SPOILED, AttemptOutcome.MUTE, AttemptOutcome.UNKNOWN)
"""What lies in the reject tray; a blank that went back untouched is neither good nor bad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A lot that goes on: the first article that was approved by it, and the batch that it completed."""

    article: CardId | None
    closed: BatchId | None


def find(connection: Connection, job: JobId, number: int) -> LotId:
    """Return a job's lot by its number, from 1; raises NotFoundError."""
    this = (lots.c.job_id == job) & (lots.c.position == number - 1)
    lot = connection.execute(select(lots.c.id).where(this)).scalar_one_or_none()
    if lot is None:
        raise NotFoundError(f"job {job} has no lot {number}", f"See `bureau job {job}`.")
    return LotId(lot)


def stopped(connection: Connection, job: JobId) -> tuple[int, ...]:
    """Return the numbers, from 1, of the lots of *job* that are held."""
    held = (lots.c.job_id == job) & lots.c.stopped_at.is_not(None)
    wanted = select(lots.c.position).where(held).order_by(lots.c.position)
    return tuple(position + 1 for position in connection.execute(wanted).scalars())


def hold(ledger: Ledger, lot: LotId, reason: str, actor: str, now: datetime) -> None:
    """Let encoders take no more cards of *lot*; those in hand are finished. Raises NotAllowedError for a closed one."""
    with ledger.write(actor, now) as tx:
        if _row(tx, lot).closed_at is not None:
            raise NotAllowedError("the lot is closed, so nothing of it is left to hold")
        stop_in(tx, lot, reason)


def stop_in(tx: Transaction, lot: LotId, reason: str) -> None:
    """Hold *lot* as part of another change. Cards in hand are finished.

    What holds it already keeps its name and time, and *reason* is added, so that whoever releases it has read both.
    """
    row = _row(tx, lot)
    said = reason if row.stopped_at is None else f"{row.stopped_reason}; {reason}"
    by, at = (tx.actor, tx.at) if row.stopped_at is None else (row.stopped_by, row.stopped_at)
    held = {"stopped_by": by, "stopped_at": at, "stopped_reason": said}
    tx.connection.execute(update(lots).where(lots.c.id == lot).values(held))
    tx.record("hold", f"lot {lot}", job=row.job_id, number=row.position + 1, reason=reason)


def judge_in(tx: Transaction, lot: LotId) -> None:
    """Hold *lot* if more of its cards went wrong than may, as part of the change by which one did.

    What ended before a person last let it go on doesn't count again.
    """
    row = _row(tx, lot)
    if row.stopped_at is not None:
        return
    of_lot = select(attempts.c.outcome, func.count()).join(cards, attempts.c.card_id == cards.c.id)
    ended = of_lot.where(cards.c.lot_id == lot).group_by(attempts.c.outcome)
    if row.looked_at is not None:
        ended = ended.where(attempts.c.ended_at > row.looked_at)
    counts = {row[0]: row[1] for row in tx.connection.execute(ended)}
    wrong = sum(counts.get(outcome, 0) for outcome in _WRONG)
    done = wrong + counts.get(AttemptOutcome.GOOD, 0)
    if wrong >= FEW and wrong * 100 > tx.most_rejects * done:
        share = f"{wrong * 100 / done:.1f} %, more than {tx.most_rejects:g} %"
        stop_in(tx, lot, f"{wrong} of {done} cards went wrong ({share})")


_ASKS: Final = (
    select(jobs.c.first_article)
    .join(lots, lots.c.job_id == jobs.c.id)
    .where(lots.c.id == bindparam("lot"), lots.c.article_at.is_(None))
)


def article_in(tx: Transaction, card: CardId, lot: LotId) -> None:
    """Hold *lot* if *card*, which has just become good, is the first article that its job wants approved."""
    if tx.connection.execute(_ASKS, {"lot": lot}).scalar_one_or_none():
        stop_in(tx, lot, f"first article: card {card} waits for approval")


def release(ledger: Ledger, lot: LotId, actor: str, now: datetime) -> Released:
    """Let a held *lot* go on; if its first article is good, this approves it. A lot that has waited for nothing else closes.

    Raises NotAllowedError where nothing holds it.
    """
    with ledger.write(actor, now) as tx:
        row = _row(tx, lot)
        if row.stopped_at is None:
            remedy = f"Its job is: `bureau release {row.job_id}`." if row.held_at is not None else "See `bureau why`."
            raise NotAllowedError(f"lot {row.position + 1} of job {row.job_id} isn't held", remedy)
        article = _article(tx.connection, row)
        free = {"stopped_by": None, "stopped_at": None, "stopped_reason": None, "looked_at": now}
        approved = {} if article is None else {"article_at": now}
        tx.connection.execute(update(lots).where(lots.c.id == lot).values(free | approved))
        named = {"job": row.job_id, "number": row.position + 1}
        if article is not None:
            tx.record("approve article", f"card {article}", lot=lot, **named)
        tx.record("release", f"lot {lot}", reason=row.stopped_reason, **named)
        return Released(article=article, closed=closing.close_lot(tx, lot))


def _article(connection: Connection, row: AnyRow) -> CardId | None:
    """Return the first article that waits for approval, if it is good by now."""
    if not row.first_article or row.article_at is not None:
        return None
    good = (cards.c.lot_id == row.id) & (cards.c.state == CardState.GOOD.value)
    return connection.execute(select(cards.c.id).where(good).order_by(cards.c.position).limit(1)).scalar_one_or_none()


def _row(tx: Transaction, lot: LotId) -> AnyRow:
    """Lock and return a lot with what its job says of holds."""
    wanted = select(lots, jobs.c.first_article, jobs.c.held_at).join(jobs, lots.c.job_id == jobs.c.id)
    return tx.connection.execute(wanted.where(lots.c.id == lot).with_for_update(of=lots, key_share=True)).one()
