"""The reissue command, and how cards that were made again are shown."""

import click

from bureau.cli import acting, people, session
from bureau.ledger import views
from bureau.ledger.views import CardView
from bureau.models import JobId, Reissue
from bureau.service import decisions
from bureau.wording import counted


@click.command("reissue")
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
@click.option("--reason", required=True, help="Why; the audit log keeps it.")
@acting.acting
def reissue_command(jobs: tuple[str, ...], reason: str) -> None:
    """Ask anew that JOB makes cards a second time.

    `bureau submit --reissue` has asked already; this is for when that was declined or nobody approved it in time.
    """
    plant = session.plant()
    person = acting.person(plant)
    with plant.ledger.read() as connection:
        numbers = [number for name in jobs for number in views.find_jobs(connection, name)]
    people.tell(plant, decisions.ask_to_reissue(plant, numbers, reason, person))


def link(card: CardView) -> str:
    """Return in words which card was made before this one, and which is made after it."""
    before = f"reissue of card {card.reissue_of}" if card.reissue_of else ""
    after = f"made again as card {card.remade_as}" if card.remade_as else ""
    return ", ".join(filter(None, (before, after)))


def in_words(state: Reissue | None, before: dict[JobId, int], again: dict[JobId, int]) -> dict[str, object]:
    """Return for people how a job's records are linked with those of others."""
    waits = f"; {state}" if state else ""
    return {
        "made_before": ", ".join(_counted(before)) + waits if before else "",
        "made_again": ", ".join(_counted(again)),
    }


def for_programs(state: Reissue | None, before: dict[JobId, int], again: dict[JobId, int]) -> dict[str, object]:
    """Return the same for programs."""
    return {
        "reissue": state,
        "made_before": [{"job": job, "cards": count} for job, count in before.items()],
        "made_again": [{"job": job, "cards": count} for job, count in again.items()],
    }


def _counted(cards: dict[JobId, int]) -> list[str]:
    return [f"{counted(count, 'card')} in job {job}" for job, count in cards.items()]
