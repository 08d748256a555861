"""The why command: what stands between a job's next card and an encoder."""

import click

from bureau.cli import session
from bureau.cli.output import as_json, listing, say
from bureau.ledger import standing, views
from bureau.ledger.standing import Explained
from bureau.models import CardState
from bureau.wording import counted


@click.command("why")
@click.argument("job")
@as_json
def why_command(job: str, json_: bool) -> None:
    """Say in words why JOB runs or waits, encoder by encoder."""
    plant, ledger = session.plant(), session.reading()
    zone = plant.settings.plant
    with ledger.read() as connection:
        found = [
            (view, each)
            for view in views.list_jobs(connection, views.find_jobs(connection, job))
            for each in standing.explain(connection, view.number, plant.clock(), zone)
        ]
    if json_:
        rows = [
            {
                "job": view.number,
                "name": f"{view.batch_id}/{view.job_id}",
                "lot": each.standing.position + 1,
                "ready": each.standing.ready,
                "says": each.why.says,
                "encoders": each.why.encoders,
            }
            for view, each in found
        ]
        listing(rows, json_=True, zone=zone, empty="")
        return
    for view, each in found:
        say(f"job {view.number} {view.batch_id}/{view.job_id}, {_lot(each)}")
        for line in each.why.says:
            say(f"  {line}")
        for encoder, line in each.why.encoders.items():
            say(f"    {encoder} {line}")


def _lot(each: Explained) -> str:
    at = each.standing
    made = f"{at.ready} of {counted(at.lot.records, 'card')} to make, {at.counts.get(CardState.GOOD, 0)} good"
    return f"lot {at.position + 1}: {made}; {at.lot.stock}, priority {at.lot.priority}"
