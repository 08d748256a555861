"""The destroy command: spent plastic, and who has destroyed how much of it."""

import click

from bureau.cli import acting, people, session
from bureau.cli.output import as_json, listing
from bureau.ledger import destruction, views
from bureau.service import decisions


@click.command("destroy")
@click.argument("stock", required=False)
@click.argument("count", type=click.IntRange(1), required=False)
@click.option("--job", help="Only what this job has spent.")
@click.option("--reason", help="How; the audit log keeps it.")
@as_json
@acting.acting
def destroy_command(stock: str | None, count: int | None, job: str | None, reason: str | None, json_: bool) -> None:
    """List spent plastic, or say that COUNT of STOCK are destroyed.

    Plastic that was spoiled, is mute, or whose fate nobody knows stays counted until then. One destroys it and asks;
    somebody else, who has seen it, approves. COUNT is what was counted by hand, and must be all that waits of the stock, or
    of the job.
    """
    if stock is None:
        if job or reason:
            raise click.UsageError("name the STOCK and its COUNT")
        _list(json_=json_)
        return
    if count is None or reason is None:
        raise click.UsageError("say the COUNT, and in --reason how they were destroyed")
    plant = session.plant()
    person = acting.person(plant)
    with plant.ledger.read() as connection:
        numbers = views.find_jobs(connection, job) if job else (None,)
    if len(numbers) > 1:
        raise click.UsageError(f"{job} stands for several jobs: name one")
    people.tell(plant, decisions.ask_to_destroy(plant, stock, numbers[0], count, reason, person))


def _list(*, json_: bool) -> None:
    with session.reading().read() as connection:
        found = destruction.list_waste(connection)
    rows = [{"stock": each.stock, "job": each.job, "waits": each.waiting, "destroyed": each.destroyed} for each in found]
    listing(rows, json_=json_, zone=session.plant().settings.plant, empty="No plastic was spent.")
