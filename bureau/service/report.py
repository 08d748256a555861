"""The answer to the issuer: a batch's audit trail, written when its last lot has closed; later cardholders are forgotten."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from bureau.containers.answers import Answer
from bureau.containers.trail import documents, stem
from bureau.errors import BureauError, NotAllowedError, NotFoundError
from bureau.ledger import closing, failures, results
from bureau.ledger.results import BatchFrame, ResultRow
from bureau.models import BatchId, CardState, JobState, Record, RecordResult
from bureau.service import rejects as reject_file
from bureau.service.catalog import Shelf
from bureau.service.plant import Plant
from bureau.service.seal import unseal
from hardware.errors import HardwareError
from hardware.keystores import DataKey
from hardware.perso.order import UniqueID

OFFICE = "office"
"""Who the audit log says it was when nobody asked."""


def write(plant: Plant, batch: BatchId, *, interim: bool = False) -> list[Path]:
    """Write the audit trails of *batch* and return their files; a trail that was written before is only named.

    Raises NotAllowedError for a batch that isn't closed, unless *interim*.
    """
    with plant.ledger.read() as connection:
        frame = results.frame(connection, batch)
    folder = plant.settings.trails / f"batch-{batch}"
    states = {job.state for job in frame.jobs}
    if states <= {JobState.REPORTED, JobState.PURGED}:
        if not (written := sorted(path for path in folder.glob("*.xml") if not path.name.endswith(".interim.xml"))):
            raise NotFoundError(
                f"the audit trail of batch {frame.batch.batch_id} was written, and isn't in {folder}",
                "The office of another host wrote it: look there, or let all hosts share that folder.",
            )
        return written
    if not interim and states != {JobState.CLOSED}:
        raise _unfinished(frame)
    rejects(plant, batch, frame)
    answer = _answer(plant, batch, frame, interim=interim)
    ending = ".interim.xml" if interim else ".xml"
    return [
        _whole(folder / (document.stem + ending), document.write)
        for document in documents(answer, _records(plant, batch, frame))
    ]


def rejects(plant: Plant, batch: BatchId, frame: BatchFrame) -> Path:
    """Write which records of *batch* weren't made good and why, and return the file; it stands beside the trails."""
    closed = all(job.state in {JobState.CLOSED, JobState.REPORTED, JobState.PURGED} for job in frame.jobs)
    folder = plant.settings.trails / f"batch-{batch}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with plant.ledger.read() as connection:
        found = failures.not_made(connection, batch)
        name = f"{stem(frame.batch.batch_id)}.rejects{'' if closed else '.interim'}.csv"
        return _whole(folder / name, lambda out: reject_file.write(out, found))


def hand_out_rejects(plant: Plant, batch: BatchId, actor: str, *, interim: bool) -> Path:
    """Write the reject file for somebody who asks, also before the batch is closed if *interim*; raises NotAllowedError."""
    with plant.ledger.read() as connection:
        frame = results.frame(connection, batch)
        if not interim and not closing.is_whole(connection, batch):
            raise _unfinished(frame)
    file = rejects(plant, batch, frame)
    with plant.ledger.write(actor, plant.clock()) as tx:
        tx.record("hand out rejects", f"batch {batch}", interim=interim)
    return file


def _unfinished(frame: BatchFrame) -> NotAllowedError:
    return NotAllowedError(
        f"batch {frame.batch.batch_id} isn't closed: cards of it are open",
        "`bureau close` says what is missing; with --interim it is written how things stand.",
    )


def hand_out(plant: Plant, batch: BatchId, actor: str, *, interim: bool) -> list[Path]:
    """Return what write() does, for somebody who asks; the audit log knows who has been given cardholders' data."""
    trails = write(plant, batch, interim=interim)
    with plant.ledger.write(actor, plant.clock()) as tx:
        tx.record("hand out trail", f"batch {batch}", interim=interim)
    return trails


def finish(plant: Plant, batch: BatchId) -> None:
    """Answer a batch that has closed; raises BureauError and may be repeated."""
    write(plant, batch)
    closing.reported(plant.ledger, batch, OFFICE, plant.clock())


def purge(plant: Plant, batch: BatchId) -> None:
    """Forget the cardholders of a batch whose trail is written."""
    with plant.ledger.read() as connection:
        jobs = [job.number for job in results.frame(connection, batch).jobs if job.state is JobState.REPORTED]
    for job in jobs:
        closing.purge(plant.ledger, job, OFFICE, plant.clock())


def finish_due(plant: Plant) -> list[Exception]:
    """Answer every batch whose answer a crash or a fault held up, and purge those whose retention is over.

    Returns what still went wrong.
    """
    with plant.ledger.read() as connection:
        closed = closing.due_for_report(connection)
    failed: list[Exception] = []
    for batch in closed:
        try:
            finish(plant, batch)
        except (BureauError, HardwareError, OSError) as fault:
            failed.append(fault)
    with plant.ledger.read() as connection:
        forgotten = closing.due_for_purge(connection, plant.clock() - plant.settings.retention)
    for batch in forgotten:
        purge(plant, batch)
    plant.ledger.checkpoint()  # a reader may have been in the way of an earlier one
    return failed


def _answer(plant: Plant, batch: BatchId, frame: BatchFrame, *, interim: bool) -> Answer:
    shelf = Shelf.of(plant.ledger, (pin for job in frame.jobs for pin in job.profiles))

    def audited(profile: UniqueID) -> frozenset[str]:
        known = shelf.applications.get(profile)
        return frozenset(element.name for element in known.elements if element.mandatory_audit) if known else frozenset()

    with plant.ledger.read() as connection:
        all_good = results.all_in(connection, batch, CardState.GOOD)
    return Answer(
        batch=frame.batch,
        made=plant.clock(),
        plant=plant.settings.plant,
        all_good=all_good,
        interim=interim,
        audited=audited,
    )


def _records(plant: Plant, batch: BatchId, frame: BatchFrame) -> Iterator[RecordResult]:
    keys = {job.number: plant.keystore.unwrap(job.wrapped_data_key) for job in frame.jobs if job.wrapped_data_key}
    for row in results.stream(plant.ledger, batch):
        yield RecordResult(record=_record(row, keys[row.number]), state=row.state, plastics=row.plastics)


def _record(row: ResultRow, key: DataKey) -> Record:
    xml = unseal(row.sealed or b"", key, row.issuer, row.crn)
    return Record(batch=row.batch, job=row.job, lot=row.lot, crn=row.crn, container=row.container, xml=xml)


def _whole(path: Path, write_to: Callable[[BinaryIO], None]) -> Path:
    """Write a file that appears only when it is whole and on disk."""
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            write_to(file)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    return path
