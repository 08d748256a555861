"""Commands about the floor: encoders, open, hold, watch."""

import time

import click
from rich.console import Group
from rich.live import Live
from rich.table import Table

from bureau.cli import session
from bureau.cli.output import as_json, listing, out, say
from bureau.ledger import floor, views
from bureau.ledger.ledger import Ledger
from bureau.models import CardState, EncoderId
from bureau.service import operate
from hardware.trace.speed import Speed


@click.command("encoders")
@as_json
def encoders_command(json_: bool) -> None:
    """List the encoders: what they hold, open or why not."""
    plant = session.plant()
    with session.reading().read() as connection:
        seen = {view.machine.encoder: view for view in floor.list_encoders(connection)}
    rows = []
    for name in dict.fromkeys([*plant.encoders, *seen]):
        view, config = seen.get(name), plant.encoders.get(name)
        machine = view.machine if view else config.machine if config else None
        if machine is not None:
            rows.append(
                {
                    "encoder": name,
                    "state": view.machine.state if view else "never started",
                    "why": view.reason if view else "start it with `bureau up`",
                    "made": view.made if view else 0,
                    "product": machine.product,
                    "stocks": machine.stocks,
                    "environment": f"{machine.environment} {machine.version}",
                    "mode": machine.mode,
                    "card_in_hand": view.in_hand if view else (),
                    "a_card_takes": _speed(view.speed) if view and view.speed else "",
                    "started": view.started_at if view else None,
                }
            )
    empty = f"{plant.settings.stations_file} names no encoder; config/demo/stations.toml shows how."
    listing(rows, json_=json_, zone=plant.settings.plant, empty=empty)


def _speed(mean: Speed) -> str:
    """Return what tells a slow card or line from slow software, for the last good cards."""
    line = f", {mean.of_possible}" if mean.of_possible else ""
    return (
        f"{mean.card / 1000:.0f} ms + {mean.host / 1000:.0f} ms software, {mean.milliseconds_per_byte:.3f} ms a byte{line}"
    )


@click.command("open")
@click.argument("encoders", nargs=-1, required=True, metavar="ENCODER...")
def open_command(encoders: tuple[str, ...]) -> None:
    """Let each ENCODER take cards."""
    plant = session.plant()
    tell, wake = session.tell(plant.settings), session.wake(plant.settings)
    for name in encoders:
        operate.open_line(plant, EncoderId(name), plant.settings.user, tell)
        say(f"{name} is open")
    operate.wake_pools(plant, wake)


@click.command("hold")
@click.argument("encoders", nargs=-1, required=True, metavar="ENCODER...")
@click.option("--reason", default="held by hand", show_default=True, help="What the next person should know.")
def hold_command(encoders: tuple[str, ...], reason: str) -> None:
    """Let each ENCODER finish its card and take no other."""
    plant = session.plant()
    tell = session.tell(plant.settings)
    for name in encoders:
        operate.hold_line(plant, EncoderId(name), reason, plant.settings.user, tell)
        say(f"{name} is held")


@click.command("watch")
@click.option("--once", is_flag=True, help="Print the picture once and end.")
def watch_command(once: bool) -> None:
    """Watch jobs and encoders until Ctrl-C."""
    ledger = session.reading()
    if once:
        out.print(picture(ledger))
        return
    with Live(picture(ledger), console=out, auto_refresh=False) as live:
        while True:
            time.sleep(0.5)
            live.update(picture(ledger), refresh=True)


def picture(ledger: Ledger) -> Group:
    """Return how jobs and encoders stand now."""
    with ledger.read() as connection:
        jobs, encoders = views.list_jobs(connection), floor.list_encoders(connection)
    work = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for name in ("job", "batch", "state", "prio", "good", "open", "rejected", "suspect", "waits"):
        work.add_column(name, justify="right" if name in {"job", "prio", "good", "open", "rejected", "suspect"} else "left")
    for job in jobs:
        bad = job.counts[CardState.REJECTED], job.counts[CardState.SUSPECT]
        under_way = sum(
            job.counts[each] for each in (CardState.READY, CardState.LEASED, CardState.WRITING, CardState.VERIFYING)
        )
        name, good = f"{job.batch_id}/{job.job_id}", f"{job.counts[CardState.GOOD]}/{job.records}"
        waits = "; ".join(job.waits)
        work.add_row(str(job.number), name, job.state, str(job.priority), good, str(under_way), *map(str, bad), waits)
    machines = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("encoder", "state", "made", "stocks", "card in hand", "why"):
        machines.add_column(name)
    for view in encoders:
        machines.add_row(
            view.machine.encoder,
            view.machine.state,
            str(view.made),
            ", ".join(view.machine.stocks),
            " ".join(view.in_hand),
            view.reason or "",
        )
    return Group(work, "", machines)
