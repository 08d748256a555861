"""A file on its way in: written in small transactions that nobody sees, then held in one commit."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from bureau.costing import Estimate
from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger import closing, moves, reissues, rows, stops
from bureau.ledger.ledger import Ledger, Transaction
from bureau.ledger.reissues import Earlier
from bureau.ledger.schema import batches, cards, files, job_profiles, jobs, lots, profiles
from bureau.models import Batch, CardState, FileId, JobHeader, JobId, JobState, LotHeader, LotId, ProfilePin, Reissue
from hardware.keystores import Mode

LEVELS: Final = range(1, 4)
"""The levels of priority, 1 the most urgent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedJob:
    """What the bureau adds to a job of a file: its data key as wrapped, the profiles that it uses, what won't be done.

    estimate: what it will cost, where somebody has told that.
    """

    mode: Mode
    wrapped_data_key: bytes = field(repr=False)
    profiles: tuple[ProfilePin, ...]
    remarks: tuple[str, ...] = ()
    estimate: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedBatch:
    """One request with what the bureau adds to each of its jobs, in order."""

    batch: Batch
    jobs: tuple[SubmittedJob, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRecord:
    """One record ready for the ledger; batch, job and lot are positions in the file, *position* counts its records."""

    batch: int
    job: int
    lot: int
    position: int
    crn: str
    container: str
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file being written, with the jobs and lots that its records go to, by position."""

    file: FileId
    actor: str
    jobs: dict[tuple[int, int], JobId]
    lots: dict[tuple[int, int, int], LotId]
    issuers: tuple[str, ...]
    reissue: bool


def begin(
    ledger: Ledger,
    name: str,
    sha256: str,
    requests: Sequence[SubmittedBatch],
    actor: str,
    now: datetime,
    *,
    reissue: bool = False,
) -> Incoming:
    """Write down the frame of a file, incoming; raises NotAllowedError for a file that is known or on its way.

    reissue: whether its records may have been made before.
    """
    with ledger.write(actor, now) as tx:
        known = tx.connection.execute(select(files.c.accepted_at).where(files.c.sha256 == sha256)).one_or_none()
        if known is not None and known.accepted_at is None:
            raise NotAllowedError(f"{name} is on its way in, or was cut off", "A start of the bureau removes leftovers.")
        if known is not None:
            raise NotAllowedError(f"{name} was submitted before", "See `bureau jobs`.")
        file = _insert(tx, files, name=name, sha256=sha256, submitted_by=actor, submitted_at=now, touched_at=now)
        issuers = tuple(request.batch.issuer for request in requests)
        incoming = Incoming(FileId(file), actor, {}, {}, issuers, reissue)
        for position, request in enumerate(requests):
            batch = _insert_batch(tx, file, position, request.batch)
            for job, (header, extra) in enumerate(zip(request.batch.jobs, request.jobs, strict=True)):
                number = _insert_job(tx, batch, job, header, extra)
                incoming.jobs[position, job] = JobId(number)
                for lot, lot_header in enumerate(header.lots):
                    incoming.lots[position, job, lot] = LotId(_insert_lot(tx, number, lot, lot_header))
        tx.record("submit", f"file {file}", sha256=sha256, jobs=len(incoming.jobs))
    return incoming


def _insert(tx: Transaction, table: Table, **values: object) -> int:
    made = tx.connection.execute(insert(table).values(**values)).inserted_primary_key
    return int(made[0]) if made else 0


def _insert_batch(tx: Transaction, file: int, position: int, batch: Batch) -> int:
    envelope = batch.envelope
    return _insert(
        tx,
        batches,
        file_id=file,
        position=position,
        form=batch.form.value,
        batch_id=batch.batch_id,
        issuer=batch.issuer,
        processing_entity=batch.processing_entity,
        user_data=batch.user_data,
        context=[*batch.context],
        namespace=batch.namespace,
        envelope=None
        if envelope is None
        else {
            "transaction_id": envelope.transaction_id,
            "source": envelope.source,
            "destination": envelope.destination,
            "message_version": envelope.message_version,
        },
    )


def _insert_job(tx: Transaction, batch: int, position: int, header: JobHeader, extra: SubmittedJob) -> int:
    environment, interpreter = header.environment, header.environment.interpreter
    job = _insert(
        tx,
        jobs,
        batch_id=batch,
        position=position,
        job_id=header.job_id,
        priority=header.priority,
        risk=header.risk,
        environment=environment.name,
        environment_version=environment.version,
        preference=environment.preference.value,
        interpreter_support=interpreter.support.value if interpreter else None,
        interpreter_type=interpreter.type if interpreter else None,
        interpreter_version=interpreter.version if interpreter else None,
        environment_index=header.environment_index,
        state=JobState.INCOMING.value,
        mode=extra.mode.value,
        wrapped_data_key=extra.wrapped_data_key,
        remarks=list(extra.remarks),
        estimate=None if extra.estimate is None else asdict(extra.estimate),
    )
    for pin in dict.fromkeys(extra.profiles):
        wanted = select(profiles.c.id).where(profiles.c.digest == pin.digest)
        profile = tx.connection.execute(wanted).scalar_one_or_none()
        if profile is None:
            raise NotFoundError(f"{pin.kind} {pin.unique_id} {pin.version} isn't registered", "See `bureau profiles`.")
        tx.connection.execute(insert(job_profiles).values(job_id=job, profile_id=profile))
    return job


def _insert_lot(tx: Transaction, job: int, position: int, lot: LotHeader) -> int:
    return _insert(
        tx,
        lots,
        job_id=job,
        position=position,
        generation_date=lot.generation_date,
        card_product=lot.card_product,
        card_product_version=lot.card_product_version,
        issuer_name=lot.issuer_name,
        record_count=lot.record_count,
        stock=lot.stock,
        required_date=lot.required_date,
        due=lot.due,
        profiles=list(lot.profiles),
        common=rows.common_json(lot.common),
        protocols=list(lot.protocols),
    )


def add_cards(ledger: Ledger, incoming: Incoming, records: Sequence[SealedRecord], now: datetime) -> None:
    """Write at most 1,000 records in one transaction; raises NotAllowedError for a CRN that its issuer used already.

    Where they may have been made before, for one whose earlier card isn't done with.
    """
    if len(records) > closing.CHUNK:
        raise ValueError(f"{len(records)} records are too many for one transaction")
    if not records:
        return
    with ledger.write(incoming.actor, now, alone=False) as tx:
        _touch(tx, incoming, now)
        try:
            tx.connection.execute(insert(cards), _cards(tx, incoming, records))
        except IntegrityError as error:
            raise NotAllowedError(f"a CRN of {records[0].crn} .. {records[-1].crn} is in use by its issuer") from error
        tx.record("add records", f"file {incoming.file}", records=len(records))


def _cards(tx: Transaction, incoming: Incoming, records: Sequence[SealedRecord]) -> list[dict[str, object]]:
    before: dict[str, dict[str, Earlier]] = {}
    for issuer in set(incoming.issuers) if incoming.reissue else ():
        crns = (record.crn for record in records if incoming.issuers[record.batch] == issuer)
        before[issuer] = reissues.earlier(tx.connection, issuer, crns)
    return [_card(incoming, record, before.get(incoming.issuers[record.batch], {}).get(record.crn)) for record in records]


def _card(incoming: Incoming, record: SealedRecord, before: Earlier | None) -> dict[str, object]:
    if before is not None and not before.is_made:
        raise NotAllowedError(f"CRN {record.crn}: card {before.card} is still being made")
    return {
        "issue": before.issue + 1 if before else 0,
        "reissue_of": before.card if before else None,
        "lot_id": incoming.lots[record.batch, record.job, record.lot],
        "job_id": incoming.jobs[record.batch, record.job],
        "position": record.position,
        "issuer": incoming.issuers[record.batch],
        "crn": record.crn,
        "container": record.container,
        "state": CardState.READY.value,
        "sealed": record.sealed,
    }


def _touch(tx: Transaction, incoming: Incoming, now: datetime) -> None:
    this = (files.c.id == incoming.file) & files.c.accepted_at.is_(None)
    if not tx.connection.execute(update(files).where(this).values(touched_at=now)).rowcount:
        raise NotFoundError("the file isn't on its way in any more", "Submit it again.")


def finish(
    ledger: Ledger, incoming: Incoming, now: datetime, ask: Callable[[Transaction, Sequence[JobId]], object] | None = None
) -> tuple[JobId, ...]:
    """Make the file's jobs held; raises NotAllowedError when a lot doesn't hold as many records as it says.

    ask: asks in the same transaction for somebody else's approval of those that make cards a second time.
    """
    with ledger.write(incoming.actor, now) as tx:
        _touch(tx, incoming, now)
        found = func.count(cards.c.id)
        wrong = tx.connection.execute(
            select(lots.c.id, lots.c.record_count, found.label("found"))
            .outerjoin(cards, cards.c.lot_id == lots.c.id)
            .where(lots.c.id.in_(incoming.lots.values()))
            .group_by(lots.c.id, lots.c.record_count)
            .having(found != lots.c.record_count)
        ).first()
        if wrong is not None:
            raise NotAllowedError(f"lot {wrong.id} says {wrong.record_count} records and has {wrong.found}")
        mine = jobs.c.id.in_(incoming.jobs.values())
        held = {"state": JobState.HELD.value, "held_by": tx.actor, "held_at": now, "held_reason": "not released yet"}
        tx.connection.execute(update(jobs).where(mine).values(held))
        if incoming.reissue and (again := [*reissues.remade(tx.connection, [*incoming.jobs.values()])]):
            tx.connection.execute(update(jobs).where(jobs.c.id.in_(again)).values(reissue=Reissue.ASKED.value))
            if ask is not None:
                ask(tx, again)
        tx.connection.execute(update(files).where(files.c.id == incoming.file).values(accepted_at=now))
        tx.record("accept", f"file {incoming.file}", jobs=",".join(str(job) for job in incoming.jobs.values()))
    return tuple(incoming.jobs.values())


def refused(ledger: Ledger, name: str, sha256: str, errors: int, actor: str, now: datetime) -> None:
    """Keep of a refused file who, when, which hash and how many errors, and nothing else."""
    with ledger.write(actor, now) as tx:
        tx.record("refuse", f"file {name}", sha256=sha256, errors=errors)


def jobs_of_file(ledger: Ledger, sha256: str) -> tuple[JobId, ...] | None:
    """Return the jobs that a file of this hash became; None if none was accepted."""
    of_file = select(jobs.c.id).join(batches, jobs.c.batch_id == batches.c.id).join(files, batches.c.file_id == files.c.id)
    known = of_file.where(files.c.sha256 == sha256, files.c.accepted_at.is_not(None)).order_by(jobs.c.id)
    with ledger.read() as connection:
        return tuple(JobId(row.id) for row in connection.execute(known)) or None


def release(ledger: Ledger, job: JobId, actor: str, now: datetime, *, first_article: bool = False) -> None:
    """Let encoders take the cards of a held *job*; raises NotFoundError, NotAllowedError.

    What makes cards a second time needs somebody else's approval first. first_article: whether a person must approve the
    first good card of each lot before another is made.
    """
    with ledger.write(actor, now) as tx:
        state = _state(tx, job)
        if state is not JobState.HELD:
            held = stops.stopped(tx.connection, job)
            remedy = " ".join(f"Lot {number} of it is held: `bureau release {job} --lot {number}`." for number in held)
            raise NotAllowedError(f"job {job} is {state} already", remedy)
        reissues.refuse_unapproved(tx.connection, job, now)
        done = {"state": JobState.RELEASED.value, "released_at": now, "held_by": None, "held_at": None, "held_reason": None}
        if first_article:
            _refuse_begun(tx, job)
            done["first_article"] = True
        tx.connection.execute(update(jobs).where(jobs.c.id == job).values(done))
        tx.record("release", f"job {job}", **({"first_article": True} if first_article else {}))


def _refuse_begun(tx: Transaction, job: JobId) -> None:
    begun = (cards.c.job_id == job) & cards.c.state.in_([*(state.value for state in moves.IN_HAND), CardState.GOOD.value])
    if tx.connection.execute(select(cards.c.id).where(begun).limit(1)).first():
        raise NotAllowedError(f"job {job} has cards that are made or in hand, so none is its first", "Release it without.")


def hold(ledger: Ledger, job: JobId, reason: str, actor: str, now: datetime) -> None:
    """Let encoders take no more cards of *job*; those in hand are finished. Raises NotFoundError, NotAllowedError."""
    with ledger.write(actor, now) as tx:
        state = _state(tx, job)
        if state not in {JobState.RELEASED, JobState.HELD}:
            raise NotAllowedError(f"job {job} is {state}, so nothing of it is left to hold")
        held = {"state": JobState.HELD.value, "held_by": actor, "held_at": now, "held_reason": reason}
        tx.connection.execute(update(jobs).where(jobs.c.id == job).values(held))
        tx.record("hold", f"job {job}", reason=reason)


def set_priority(ledger: Ledger, job: JobId, level: int, reason: str, actor: str, now: datetime) -> None:
    """Make *job* as urgent as *level*, 1 to 3, says; raises NotFoundError, NotAllowedError.

    What its issuer asked for stays beside it: the audit trail says that.
    """
    if level not in LEVELS:
        raise NotAllowedError(f"{level} is no priority", "1 is the most urgent, 3 the least.")
    with ledger.write(actor, now) as tx:
        state = _state(tx, job)
        if state not in {JobState.RELEASED, JobState.HELD}:
            raise NotAllowedError(f"job {job} is {state}, so nothing of it is left to make")
        this = jobs.c.id == job
        levels = tx.connection.execute(select(jobs.c.priority, jobs.c.set_priority).where(this)).one()
        tx.connection.execute(update(jobs).where(this).values(set_priority=level))
        tx.record("priority", f"job {job}", reason=reason, was=levels.set_priority or levels.priority, now=level)


def _state(tx: Transaction, job: JobId) -> JobState:
    state = tx.connection.execute(select(jobs.c.state).where(jobs.c.id == job)).scalar_one_or_none()
    if state is None or state == JobState.INCOMING:
        raise NotFoundError(f"there is no job {job}", "See `bureau jobs`.")
    return JobState(state)


def discard_leftovers(ledger: Ledger, actor: str, now: datetime, *, idle: timedelta = timedelta(0)) -> int:
    """Remove the files that a crash cut on their way in, untouched for *idle*; returns how many."""
    stale = files.c.accepted_at.is_(None) & (files.c.touched_at <= now - idle)
    with ledger.read() as connection:
        found = [FileId(row.id) for row in connection.execute(select(files.c.id).where(stale))]
    for file in found:
        while _discard_some(ledger, file, actor, now):
            pass
    return len(found)


def discard(ledger: Ledger, incoming: Incoming, now: datetime) -> None:
    """Remove a file that is not to be finished."""
    while _discard_some(ledger, incoming.file, incoming.actor, now):
        pass


def _discard_some(ledger: Ledger, file: FileId, actor: str, now: datetime) -> bool:
    """Remove some records, or in the end the frame; its writer, if still alive, then misses them in finish()."""
    of_file = select(jobs.c.id).join(batches, jobs.c.batch_id == batches.c.id).where(batches.c.file_id == file)
    with ledger.write(actor, now) as tx:
        numbers = [row.id for row in tx.connection.execute(of_file)]
        some = select(cards.c.id).where(cards.c.job_id.in_(numbers)).limit(closing.CHUNK)
        ids = [row.id for row in tx.connection.execute(some)]
        if ids:
            tx.connection.execute(delete(cards).where(cards.c.id.in_(ids)))
            tx.record("discard records", f"file {file}", records=len(ids))
            return True
        tx.connection.execute(delete(lots).where(lots.c.job_id.in_(numbers)))
        tx.connection.execute(delete(job_profiles).where(job_profiles.c.job_id.in_(numbers)))
        tx.connection.execute(delete(jobs).where(jobs.c.id.in_(numbers)))
        tx.connection.execute(delete(batches).where(batches.c.file_id == file))
        tx.connection.execute(delete(files).where(files.c.id == file, files.c.accepted_at.is_(None)))
        tx.record("discard", f"file {file}")
    return False
