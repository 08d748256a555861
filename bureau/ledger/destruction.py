"""Plastic that became nobody's card: counted until two people have destroyed it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, case, exists, func, select, update

from bureau.errors import NotAllowedError
from bureau.ledger import closing
from bureau.ledger.ledger import Transaction
from bureau.ledger.requests import Request
from bureau.ledger.schema import attempts, cards, lots
from bureau.models import AttemptOutcome, BatchId, CardState, JobId
from bureau.wording import counted

SPENT: Final = (AttemptOutcome.SPOILED.value, AttemptOutcome.MUTE.value, AttemptOutcome.UNKNOWN.value)
"""What such plastic has become."""
_later = attempts.alias()
_NEWEST: Final = ~exists().where(_later.c.card_id == attempts.c.card_id, _later.c.id > attempts.c.id)
_UNDECIDED: Final = (cards.c.state == CardState.SUSPECT.value) & _NEWEST
_WAITS: Final = attempts.c.outcome.in_(SPENT) & attempts.c.destroyed.is_(None) & ~_UNDECIDED
"""The condition on an attempt and its card that its plastic is to be destroyed: a suspect's last one may be good yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waste:
    """The spent plastic of one job on one stock: to be destroyed, and destroyed."""

    stock: str
    job: JobId
    waiting: int
    destroyed: int


def waiting() -> ColumnElement[int]:
    """Return the count of plastics to be destroyed, for a query of attempts with their cards."""
    return func.coalesce(func.sum(case((_WAITS, 1), else_=0)), 0)


def list_waste(connection: Connection) -> list[Waste]:
    """Return all spent plastic, by stock and job."""
    by = (lots.c.stock, cards.c.job_id)
    wanted = select(*by, waiting(), func.count(attempts.c.destroyed)).where(attempts.c.outcome.in_(SPENT))
    found = connection.execute(_joined(wanted).group_by(*by).order_by(*by))
    return [Waste(stock=row[0], job=JobId(row[1]), waiting=row[2], destroyed=row[3]) for row in found]


def to_destroy(connection: Connection, stock: str, job: JobId | None, count: int) -> Mapping[str, Any]:
    """Return what destroying *count* plastics of *stock* is about, all that wait, or all of one job's.

    Raises NotAllowedError where so many don't wait.
    """
    these = _joined(select(attempts.c.id)).where(_WAITS, lots.c.stock == stock)
    some = these if job is None else these.where(cards.c.job_id == job)
    found = list(connection.execute(some.order_by(attempts.c.id)).scalars())
    if not found or len(found) != count:
        of = stock if job is None else f"{stock} of job {job}"
        raise NotAllowedError(
            f"{len(found)} of {of} wait to be destroyed, and {count} were counted: nothing is recorded",
            "Count again, or see `bureau destroy` and `bureau cards JOB` for what they are.",
        )
    return {"stock": stock, "job": job, "attempts": found}


def about(subject: Mapping[str, Any]) -> str:
    """Return in words what a request is about."""
    of = f" of job {subject['job']}" if subject["job"] else ""
    return f"{counted(len(subject['attempts']), 'plastic')} of {subject['stock']}{of}"


def destroy(tx: Transaction, asked: Request) -> tuple[BatchId, ...]:
    """Write down that what was asked about is destroyed, all of it or none; raises NotAllowedError."""
    ids = asked.subject["attempts"]
    of_waiting = _joined(select(attempts.c.id)).where(_WAITS)
    done = 0
    for start in range(0, len(ids), closing.CHUNK):
        some = of_waiting.where(attempts.c.id.in_(ids[start : start + closing.CHUNK])).scalar_subquery()
        written = update(attempts).where(attempts.c.id.in_(some)).values(destroyed=asked.number)
        done += tx.connection.execute(written).rowcount
    if done != len(ids):
        raise NotAllowedError(
            f"{done} of these {len(ids)} plastics still wait to be destroyed: nothing of it is recorded",
            "Decline it, and count anew.",
        )
    of = {"job": asked.subject["job"]} if asked.subject["job"] else {}
    tx.record("destroy", f"stock {asked.subject['stock']}", count=done, request=asked.number, by=asked.asked_by, **of)
    return ()


def _joined(wanted: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    with_cards = wanted.select_from(attempts).join(cards, attempts.c.card_id == cards.c.id)
    return with_cards.join(lots, cards.c.lot_id == lots.c.id)
