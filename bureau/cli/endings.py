"""Commands about how records and jobs end: rejects, suspects, close."""

from typing import Final

import click

from bureau.cli import acting, people, session
from bureau.cli.output import Row, as_json, listing, say
from bureau.ledger import failures, views
from bureau.ledger.failures import Failure
from bureau.models import BatchId, JobState
from bureau.service import closing
from bureau.service.people import Action
from bureau.service.plant import Plant

_NEXT: Final = {
    "rejected": "bureau requeue {0}, bureau scrap {0}",
    "unwritten": "bureau requeue {0}, bureau withdraw {0}",
    "suspect": "bureau requeue {0}, bureau scrap {0}",
}
"""What a person can do about a card, by where it stands."""


@click.command("rejects")
@click.argument("job", required=False)
@as_json
def rejects_command(job: str | None, json_: bool) -> None:
    """List the rejected cards that wait for a decision.

    Of all jobs, or of JOB. Records that came back three times unwritten are among them.
    """
    _waiting(job, failures.REJECTS, json_=json_, empty="No card is rejected.")


@click.command("suspects")
@click.argument("job", required=False)
@as_json
def suspects_command(job: str | None, json_: bool) -> None:
    """List the suspect cards that wait for a decision.

    Of all jobs, or of JOB. Nobody knows what such a card holds; its chip is never written again.
    """
    _waiting(job, failures.SUSPECTS, json_=json_, empty="No card is suspect.")


def _waiting(job: str | None, which: failures.Which, *, json_: bool, empty: str) -> None:
    with session.reading().read() as connection:
        numbers = None if job is None else views.find_jobs(connection, job)
        rows = [_row(each) for each in failures.waiting(connection, which, numbers)]
    listing(rows, json_=json_, zone=session.plant().settings.plant, empty=empty)


def _row(each: Failure) -> Row:
    return {
        "card": each.card,
        "job": each.job,
        "lot": each.lot,
        "crn": each.crn,
        "state": each.outcome,
        "encoder": each.encoder,
        "chip": each.chip,
        "cause": each.code,
        "said": each.cause,
        "since": each.since,
        "attempts": each.tried,
        "next": _NEXT[each.outcome].format(each.card),
    }


@click.command("close")
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
@acting.acting
def close_command(jobs: tuple[str, ...]) -> None:
    """Say whether each JOB is closed, or what it is missing.

    Lots close by themselves when records and plastic balance; then it says where the audit trail is. Exit status 1 while
    anything is missing.
    """
    plant = session.plant()
    actor = acting.actor(plant, Action.CLOSE)
    with plant.ledger.read() as connection:
        numbers = list(dict.fromkeys(number for name in jobs for number in views.find_jobs(connection, name)))
    found = closing.close(plant, numbers, actor)
    for lot in found.lots:
        name = f"job {lot.job.number} {lot.job.batch_id}/{lot.job.job_id}, lot {lot.number}"
        say(f"{name} isn't closed:" if lot.missing else f"{name} is closed")
        for line in lot.missing:
            say(f"  {line}")
    for line in found.book:
        say(line)
    for batch in found.whole:
        _trail(plant, batch)
    if found.book or any(lot.missing for lot in found.lots):
        raise click.exceptions.Exit(1)


def _trail(plant: Plant, batch: BatchId) -> None:
    """Say where the answer to a batch is, and write it where that was left undone."""
    with plant.ledger.read() as connection:
        states = {job.state for job in views.list_jobs(connection) if job.batch == batch}
    if states == {JobState.CLOSED}:
        people.answer(plant, (batch,))
    else:
        say(f"the audit trail of batch {batch} is in {plant.settings.trails / f'batch-{batch}'}")
