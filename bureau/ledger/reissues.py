"""Records that were made before and are made again: which card came first, and the second person that it takes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, func, select, update

from bureau.errors import NotAllowedError
from bureau.ledger import closing, requests
from bureau.ledger.ledger import Transaction
from bureau.ledger.schema import cards, jobs
from bureau.models import FINAL, BatchId, CardId, CardState, JobId, JobState, Reissue, RequestId

ACTION: Final = "reissue"
"""What its requests are called."""
_ALIVE: Final = cards.c.state != CardState.WITHDRAWN.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The newest card of a CRN that isn't withdrawn."""

    card: CardId
    job: JobId
    issue: int
    state: CardState

    @property
    def is_made(self) -> bool:
        """Whether nothing will be written for it any more, so that it may be made again."""
        return self.state in FINAL


def earlier(connection: Connection, issuer: str, crns: Iterable[str]) -> dict[str, Earlier]:
    """Return what the issuer has used before of *crns*, any number of them."""
    wanted, found = list(crns), dict[str, Earlier]()
    columns = (cards.c.crn, cards.c.id, cards.c.job_id, cards.c.issue, cards.c.state)
    for start in range(0, len(wanted), closing.CHUNK):
        some = (cards.c.issuer == issuer) & _ALIVE & cards.c.crn.in_(wanted[start : start + closing.CHUNK])
        for row in connection.execute(select(*columns).where(some).order_by(cards.c.issue)):
            found[row.crn] = Earlier(card=CardId(row.id), job=JobId(row.job_id), issue=row.issue, state=CardState(row.state))
    return found


def remade(connection: Connection, of_jobs: Sequence[JobId]) -> dict[JobId, int]:
    """Return those of *of_jobs* that make cards a second time, and how many."""
    again = cards.c.job_id.in_(of_jobs) & cards.c.reissue_of.is_not(None) & _ALIVE
    wanted = select(cards.c.job_id, func.count()).where(again).group_by(cards.c.job_id).order_by(cards.c.job_id)
    return {JobId(row[0]): row[1] for row in connection.execute(wanted)}


def links(connection: Connection, job: JobId) -> tuple[dict[JobId, int], dict[JobId, int]]:
    """Return how many of the records of *job* were made before, and how many were made again, by the other job."""
    first = cards.alias()
    pairs = select(func.count()).select_from(cards.join(first, cards.c.reissue_of == first.c.id)).where(_ALIVE)
    before = pairs.add_columns(first.c.job_id).where(cards.c.job_id == job).group_by(first.c.job_id)
    again = pairs.add_columns(cards.c.job_id).where(first.c.job_id == job).group_by(cards.c.job_id)
    was, became = (
        {JobId(number): count for count, number in connection.execute(each.order_by(each.selected_columns[1]))}
        for each in (before, again)
    )
    return was, became


def to_reissue(connection: Connection, of_jobs: Sequence[JobId], now: datetime) -> Mapping[str, Any]:
    """Return what making records of these jobs again is about; raises NotAllowedError where nobody needs to be asked."""
    counts = remade(connection, of_jobs)
    for job in of_jobs:
        if not _is_asked(connection, job) or job not in counts:
            raise NotAllowedError(f"nothing of job {job} waits for somebody to let it be made a second time")
        if number := request(connection, job, now):
            raise NotAllowedError(
                f"request {number} about job {job} is open", f"Somebody else says: bureau approve {number}"
            )
    return {"jobs": [*counts.items()]}


def about(subject: Mapping[str, Any]) -> str:
    """Return in words what a request is about."""
    return ", ".join(f"job {job} ({count} made before)" for job, count in subject["jobs"])


def approve(tx: Transaction, subject: Mapping[str, Any]) -> tuple[BatchId, ...]:
    """Let the jobs be released whose records are made again, all or none; raises NotAllowedError."""
    for job, count in subject["jobs"]:
        now = remade(tx.connection, [job]).get(job, 0)
        if not _is_asked(tx.connection, job) or now != count:
            raise NotAllowedError(
                f"job {job} isn't as it was when this was asked for: nothing of it is done",
                "Decline it, and ask anew if need be.",
            )
        tx.connection.execute(update(jobs).where(jobs.c.id == job).values(reissue=Reissue.APPROVED.value))
        tx.record("approve reissue", f"job {job}", records=count)
    return ()


def refuse_unapproved(connection: Connection, job: JobId, now: datetime) -> None:
    """Raise NotAllowedError for a job that makes cards a second time while nobody else has approved it."""
    if _is_asked(connection, job) and (count := remade(connection, [job]).get(job)):
        number = request(connection, job, now)
        do = f"bureau approve {number}" if number else f"bureau reissue {job} --reason ..., then bureau approve"
        raise NotAllowedError(f"job {job} makes {count} of its cards a second time", f"Somebody else approves it: {do}")


def request(connection: Connection, job: JobId, now: datetime) -> RequestId | None:
    """Return the request that is open about *job*."""
    found = requests.open_for(connection, ACTION, now)
    return next((each.number for each in found if job in dict(each.subject["jobs"])), None)


def _is_asked(connection: Connection, job: JobId) -> bool:
    held = (jobs.c.id == job) & (jobs.c.state == JobState.HELD.value) & (jobs.c.reissue == Reissue.ASKED.value)
    return connection.execute(select(jobs.c.id).where(held)).first() is not None
