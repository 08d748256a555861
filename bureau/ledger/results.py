"""What the audit trail of a batch is written from: its frame, then its records with every piece of plastic."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from operator import attrgetter

from sqlalchemy import Connection, Select, select

from bureau.errors import NotFoundError
from bureau.ledger import rows
from bureau.ledger.ledger import Ledger
from bureau.ledger.rows import AnyRow
from bureau.ledger.schema import attempts, batches, cards, jobs, lots
from bureau.models import (
    AttemptOutcome,
    Batch,
    BatchId,
    CardState,
    Cause,
    Envelope,
    Form,
    JobHeader,
    JobId,
    JobState,
    LotHeader,
    PlasticResult,
    ProfilePin,
)
from hardware.perso.order import UniqueID

PAGE = 500
"""Records read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFrame:
    """What the bureau added to one job of a batch."""

    number: JobId
    state: JobState
    profiles: tuple[ProfilePin, ...]
    wrapped_data_key: bytes | None = field(repr=False)
    remarks: tuple[str, ...]
    closed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFrame:
    """One request as it was submitted, at *position* in its file, and its jobs, in the same order."""

    position: int
    batch: Batch
    jobs: tuple[JobFrame, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """One record, still sealed, with the plastic that it consumed, the oldest first; positions as in models.Record."""

    number: JobId
    batch: int
    job: int
    lot: int
    position: int
    issuer: str
    crn: str
    container: str
    state: CardState
    sealed: bytes | None = field(repr=False)
    plastics: tuple[PlasticResult, ...]


def frame(connection: Connection, batch: BatchId) -> BatchFrame:
    """Return what was submitted as *batch*; raises NotFoundError."""
    row = connection.execute(select(batches).where(batches.c.id == batch)).one_or_none()
    of_batch = connection.execute(select(jobs).where(jobs.c.batch_id == batch).order_by(jobs.c.position)).all()
    if row is None or any(job.state == JobState.INCOMING for job in of_batch):
        raise NotFoundError(f"there is no batch {batch}", "See `bureau jobs`.")
    whole = Batch(
        form=Form(row.form),
        batch_id=row.batch_id,
        issuer=row.issuer,
        processing_entity=row.processing_entity,
        user_data=row.user_data,
        namespace=row.namespace,
        envelope=Envelope(**row.envelope) if row.envelope else None,
        context=tuple((name, value) for name, value in row.context),
        jobs=tuple(_job_header(connection, job) for job in of_batch),
    )
    return BatchFrame(position=row.position, batch=whole, jobs=tuple(_job_frame(connection, job) for job in of_batch))


def _job_frame(connection: Connection, row: AnyRow) -> JobFrame:
    return JobFrame(
        number=JobId(row.id),
        state=JobState(row.state),
        profiles=rows.pins(connection, JobId(row.id)),
        wrapped_data_key=row.wrapped_data_key,
        remarks=tuple(row.remarks),
        closed_at=row.closed_at,
    )


def _job_header(connection: Connection, row: AnyRow) -> JobHeader:
    of_job = connection.execute(select(lots).where(lots.c.job_id == row.id).order_by(lots.c.position))
    return JobHeader(
        job_id=row.job_id,
        priority=row.priority,
        risk=row.risk,
        environment=rows.environment(row),
        environment_index=row.environment_index,
        lots=tuple(_lot_header(lot) for lot in of_job),
    )


def _lot_header(row: AnyRow) -> LotHeader:
    return LotHeader(
        generation_date=row.generation_date,
        card_product=row.card_product,
        card_product_version=row.card_product_version,
        issuer_name=row.issuer_name,
        record_count=row.record_count,
        stock=row.stock,
        required_date=row.required_date,
        due=row.due,
        profiles=tuple(UniqueID(profile) for profile in row.profiles),
        common=rows.common(row.common),
        protocols=tuple(row.protocols),
    )


def all_in(connection: Connection, batch: BatchId, state: CardState) -> bool:
    """Return whether every record of *batch* is in *state*."""
    of_batch = select(cards.c.id).join(jobs, cards.c.job_id == jobs.c.id).where(jobs.c.batch_id == batch)
    return connection.execute(of_batch.where(cards.c.state != state.value).limit(1)).first() is None


def stream(ledger: Ledger, batch: BatchId) -> Iterator[ResultRow]:
    """Yield the records of *batch* in file order out of one consistent view, some hundreds in memory at once."""
    with ledger.read() as connection:
        form = connection.execute(select(batches.c.form).where(batches.c.id == batch)).scalar_one_or_none()
        of_batch = select(jobs.c.id).where(jobs.c.batch_id == batch).order_by(jobs.c.position)
        streams = (_stream_job(connection, job) for job in connection.execute(of_batch).scalars().all())
        if form == Form.NOTIFICATION:  # its jobs, one for each card profile, interleave in the file
            yield from heapq.merge(*streams, key=attrgetter("position"))
        else:
            yield from chain.from_iterable(streams)


def _stream_job(connection: Connection, job: int) -> Iterator[ResultRow]:
    last = -1
    while page := connection.execute(_page(job, last)).all():
        plastics = _plastics(connection, [row.id for row in page])
        for row in page:
            yield _result(row, tuple(plastics.get(row.id, ())))
        last = page[-1].position


def _page(job: int, last: int) -> Select[*tuple[object, ...]]:
    places = (batches.c.position.label("batch"), jobs.c.position.label("job"), lots.c.position.label("lot"))
    return (
        select(cards, *places)
        .join(lots, cards.c.lot_id == lots.c.id)
        .join(jobs, cards.c.job_id == jobs.c.id)
        .join(batches, jobs.c.batch_id == batches.c.id)
        .where(cards.c.job_id == job, cards.c.position > last)
        .order_by(cards.c.position)
        .limit(PAGE)
    )


def _plastics(connection: Connection, wanted: Sequence[int]) -> dict[int, list[PlasticResult]]:
    """Return the plastic that each card consumed; a blank in hand counts from when it may have been written."""
    touched = attempts.c.writing_at.is_not(None) | (attempts.c.outcome == AttemptOutcome.MUTE.value)
    some = select(attempts).where(attempts.c.card_id.in_(wanted), touched).order_by(attempts.c.id)
    found: dict[int, list[PlasticResult]] = {}
    for row in connection.execute(some):
        found.setdefault(row.card_id, []).append(_plastic(row))
    return found


def _plastic(row: AnyRow) -> PlasticResult:
    return PlasticResult(
        outcome=AttemptOutcome(row.outcome),
        identifier_type=row.identity_type or "",
        identifier=row.identity or "",
        card_state=row.card_state or 0,
        aids=rows.reached_aids(row.result),
        steps=rows.step_results(row.result),
        cause=row.cause,
        encoder=row.encoder,
        ended=row.ended_at,
        code=Cause(row.cause_code) if row.cause_code else None,
    )


def _result(row: AnyRow, plastics: tuple[PlasticResult, ...]) -> ResultRow:
    return ResultRow(
        number=JobId(row.job_id),
        batch=row.batch,
        job=row.job,
        lot=row.lot,
        position=row.position,
        issuer=row.issuer,
        crn=row.crn,
        container=row.container,
        state=CardState(row.state),
        sealed=row.sealed,
        plastics=plastics,
    )
