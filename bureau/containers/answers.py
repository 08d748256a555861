"""The frame of an audit trail, level by level as in the request, for whoever opens its elements."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

from bureau.containers.logs import Audited
from bureau.models import Batch, Form, JobHeader, LotHeader

TYPES: Final = {
    Form.BATCH: "BATCH_AUDIT_TRAIL",
    Form.CARD: "CARD_AUDIT_TRAIL",
    Form.NOTIFICATION: "APPLICATION_AUDIT_TRAIL",
}
_STEPS: Final = ("AuditTrailHeader", "EnvironmentContainer", "JobContainer", "DataContainerHeader", "Collation")
_INTERIM: Final = {"ErrorCategory": "INTERIM", "ErrorNumber": "30", "ErrorDescription": "cards are still to be made"}

Open = Callable[[str, dict[str, str]], AbstractContextManager[None]]
"""Opens an element of the frame, by name and attributes, for as long as it lasts."""
Fill = Callable[[int, int], None]
"""Writes the records of one job and lot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is answered: the request, when the trail is *made* (shown in *plant* time), whether all its cards are good.

    interim: some cards are still to be made; audited: by application profile, the elements that must be brought back.
    """

    batch: Batch
    made: datetime
    plant: ZoneInfo
    all_good: bool
    interim: bool = False
    audited: Audited = lambda _profile: frozenset()


def frame(answer: Answer, container: str, enter: Open, fill: Fill) -> None:
    """Write the answer that goes under *container*, in a GPMessage where the request was in one."""
    with _enveloped(answer, enter):
        match answer.batch.form:
            case Form.BATCH:
                _batch(answer, enter, fill)
            case Form.CARD:
                with enter("CardAuditTrail", {"BatchID": container}):
                    fill(0, 0)
            case Form.NOTIFICATION:
                with enter("ApplicationAuditTrail", {"BatchID": container}):
                    fill(0, 0)


@contextmanager
def _enveloped(answer: Answer, enter: Open) -> Iterator[None]:
    """Swap the ends of the request's envelope."""
    envelope = answer.batch.envelope
    if envelope is None:
        yield
        return
    header = {
        "TransactionID": envelope.transaction_id,
        "Source": envelope.destination,
        "Destination": envelope.source,
        "Type": TYPES[answer.batch.form],
        "MessageVersion": envelope.message_version,
    }
    with enter("GPMessage", {}):
        _leaf(enter, "GPHeader", header)
        with enter("GPBody", {}):
            yield


def _batch(answer: Answer, enter: Open, fill: Fill) -> None:
    batch = answer.batch
    named = {"BatchID": batch.batch_id, "IssuingEntity": batch.issuer, "ProcessingEntity": batch.processing_entity}
    with enter("BatchAuditTrail", named | ({} if batch.user_data is None else {"User": batch.user_data})):
        good = "true" if answer.all_good else "false"
        _leaf(enter, "ReturnCodeStep", {**dict.fromkeys(_STEPS, "true"), "DataContainer": good})
        if answer.interim:
            _leaf(enter, "Error", _INTERIM)
        for _, jobs in groupby(enumerate(batch.jobs), key=lambda each: each[1].environment_index):
            together = list(jobs)
            environment = together[0][1].environment
            names = {"EnvironmentName": environment.name, "EnvironmentVersion": environment.version}
            with enter("EnvironmentContainerLog", names):
                for place, job in together:
                    _job(answer, place, job, enter, fill)


def _job(answer: Answer, place: int, job: JobHeader, enter: Open, fill: Fill) -> None:
    date = f"{answer.made.astimezone(answer.plant):%Y%m%d%H%M%S}"
    levels = {"JobPriorityLevel": str(job.priority), "RiskLevel": str(job.risk)}
    with enter("JobContainerLog", {"JobID": job.job_id, **levels, "Date": date}):
        for at, lot in enumerate(job.lots):
            with enter("LogContainerHeader", _header(lot, date)):
                fill(place, at)


def _header(lot: LotHeader, date: str) -> dict[str, str]:
    return {
        "DataGenerationDate": lot.generation_date,
        "CardProductID": lot.card_product,
        "CardProductVersion": lot.card_product_version,
        "IssuerName": lot.issuer_name,
        "CardRecordCount": str(lot.record_count),
        "PlasticStockID": lot.stock,
        "ProcessingDate": date,
    }


def _leaf(enter: Open, name: str, attributes: dict[str, str]) -> None:
    with enter(name, attributes):
        pass
