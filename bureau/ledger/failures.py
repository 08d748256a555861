"""Records that weren't made good: those that wait for a person, and those that were given up; why, and on what plastic."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from sqlalchemy import ColumnElement, Connection, Select, func, select

from bureau.ledger.rows import AnyRow
from bureau.ledger.schema import UNWRITTEN, attempts, cards, jobs, lots
from bureau.models import AttemptOutcome, BatchId, CardId, CardState, Cause, EncoderId, JobId, JobState

STUCK: Final = (cards.c.state == CardState.READY.value) & (cards.c.returns >= UNWRITTEN)
"""The condition on a card that came back unwritten too often to be claimed again."""
REJECTS: Final = (cards.c.state == CardState.REJECTED.value) | STUCK
SUSPECTS: Final = cards.c.state == CardState.SUSPECT.value
Which: TypeAlias = ColumnElement[bool]
_GIVEN_UP: Final = cards.c.state.in_([CardState.SCRAPPED.value, CardState.WITHDRAWN.value])


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One record with the last thing that happened to it: on which chip of which encoder, whose fault, in which words.

    lot: its number in the job, from 1; tried: pieces of plastic, of which *spent* came to nothing and aren't blank any more.
    """

    card: CardId
    job: JobId
    job_id: str
    lot: int
    container: str
    crn: str
    state: CardState
    encoder: EncoderId | None
    chip: str | None
    code: Cause | None
    cause: str | None
    since: datetime | None
    tried: int
    spent: int

    @property
    def outcome(self) -> str:
        """What became of the record; one that is ready came back unwritten too often."""
        return "unwritten" if self.state is CardState.READY else self.state.value


def waiting(connection: Connection, which: Which, of_jobs: Sequence[JobId] | None = None) -> list[Failure]:
    """Return the records of all jobs, or of some, that wait for a person: *which* is REJECTS or SUSPECTS."""
    wanted = _failures().where(which).order_by(cards.c.job_id, cards.c.position)
    found = connection.execute(wanted if of_jobs is None else wanted.where(cards.c.job_id.in_(of_jobs)))
    return [_failure(row) for row in found]


def not_made(connection: Connection, batch: BatchId) -> Iterator[Failure]:
    """Yield the records of *batch* that were given up or wait for a person, in the order of its jobs, some at a time."""
    wanted = _failures().where(jobs.c.batch_id == batch, REJECTS | SUSPECTS | _GIVEN_UP)
    ordered = wanted.order_by(jobs.c.position, cards.c.position)
    with connection.execution_options(yield_per=1000).execute(ordered) as found:
        for row in found:
            yield _failure(row)


def _failures() -> Select[*tuple[object, ...]]:
    of_card = attempts.alias()
    mine = of_card.c.card_id == cards.c.id
    spent = of_card.c.outcome.in_([AttemptOutcome.SPOILED.value, AttemptOutcome.MUTE.value, AttemptOutcome.UNKNOWN.value])
    newest = select(func.max(of_card.c.id)).where(mine).scalar_subquery()
    columns = (cards.c.id, cards.c.job_id, cards.c.container, cards.c.crn, cards.c.state, cards.c.fault, cards.c.fault_code)
    last = (attempts.c.encoder, attempts.c.identity, attempts.c.cause, attempts.c.cause_code, attempts.c.ended_at)
    return (
        select(
            *columns,
            *last,
            jobs.c.job_id.label("name"),
            lots.c.position.label("lot"),
            select(func.count()).select_from(of_card).where(mine).scalar_subquery().label("tried"),
            select(func.count()).select_from(of_card).where(mine, spent).scalar_subquery().label("spent"),
        )
        .join(lots, cards.c.lot_id == lots.c.id)
        .join(jobs, cards.c.job_id == jobs.c.id)
        .outerjoin(attempts, attempts.c.id == newest)
        .where(jobs.c.state != JobState.INCOMING.value)
    )


def _failure(row: AnyRow) -> Failure:
    """Return a failure; a record that couldn't even be prepared drew no plastic, so its fault is its own."""
    code = row.fault_code or row.cause_code
    return Failure(
        card=CardId(row.id),
        job=JobId(row.job_id),
        job_id=row.name,
        lot=row.lot + 1,
        container=row.container,
        crn=row.crn,
        state=CardState(row.state),
        encoder=EncoderId(row.encoder) if row.encoder else None,
        chip=row.identity or None,
        code=Cause(code) if code else None,
        cause=row.fault or row.cause,
        since=row.ended_at,
        tried=row.tried,
        spent=row.spent,
    )
