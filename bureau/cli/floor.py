"""Commands about the floor: encoders, open, hold, watch."""

import time
from contextlib import suppress
from datetime import tzinfo
from typing import Final

import click
from rich.console import Group
from rich.live import Live
from rich.table import Table

from bureau import reasons
from bureau.cli import acting, session
from bureau.cli.jobs import lot_option, named_lot, why_waits
from bureau.cli.output import as_json, cell, listing, out, say
from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger import encoders, floor, views
from bureau.ledger.floor import EncoderView
from bureau.ledger.ledger import Ledger
from bureau.models import CardState, EncoderId, EncoderState, JobId
from bureau.reasons import held
from bureau.scheduling import Machine
from bureau.service import operate
from bureau.service.people import Action
from bureau.service.plant import Plant
from hardware.trace.speed import Speed

SHOWN: Final = (
    "encoder",
    "state",
    "host",
    "product",
    "mode",
    "made",
    "stocks",
    "left",
    "card_in_hand",
    "a_card_takes",
    "why",
)
"""What of an encoder a person sees at once; programs get it all."""


@click.command("encoders")
@as_json
def encoders_command(json_: bool) -> None:
    """List the encoders: what they hold, open or why not.

    --json says more: environment, protocols and interpreters, stock changes, since when.
    """
    plant = session.plant()
    with session.reading().read() as connection:
        seen = {view.machine.encoder: view for view in floor.list_encoders(connection)}
    rows = []
    for name in dict.fromkeys([*plant.encoders, *seen]):
        view, config = seen.get(name), plant.encoders.get(name)
        machine = view.machine if view else config.machine if config else None
        if machine is not None:
            row = _encoder(machine, view, plant.settings.plant)
            who = {"why": held(view.hold, plant.settings.plant)} if view and view.hold else {}
            rows.append(row if json_ else {name: row[name] for name in SHOWN} | who)
    empty = f"{plant.settings.stations_file} names no encoder; config/demo/stations.toml shows how."
    listing(rows, json_=json_, zone=plant.settings.plant, empty=empty)


def _encoder(machine: Machine, view: EncoderView | None, zone: tzinfo) -> dict[str, object]:
    return {
        "encoder": machine.encoder,
        "state": view.machine.state if view else "never started",
        "why": _why(view, zone) if view else "start it with `bureau up`",
        "held_by": view.hold.by if view and view.hold else None,
        "since": view.hold.at if view and view.hold else None,
        "host": view.host if view else "",
        "product": machine.product,
        "mode": machine.mode,
        "made": view.made if view else 0,
        "stocks": machine.stocks,
        "left": [f"{count} {stock}" for stock, count in view.left.items()] if view else (),
        "environment": f"{machine.environment} {machine.version}",
        "can": [*machine.protocols, *(" ".join(each) for each in machine.interpreters)],
        "stock_changes": view.stock_changes if view else 0,
        "card_in_hand": view.in_hand if view else (),
        "a_card_takes": _speed(view.speed) if view and view.speed else "",
        "started": view.started_at if view else None,
    }


def _why(view: EncoderView, zone: tzinfo) -> str | None:
    if view.machine.state is EncoderState.LOST:
        return reasons.lost(view.host, view.seen_at, zone)
    return view.reason


def _speed(mean: Speed) -> str:
    """Return what tells a slow card or line from slow software, for the last good cards."""
    line = f", {mean.of_possible}" if mean.of_possible else ""
    return (
        f"{mean.card / 1000:.0f} ms + {mean.host / 1000:.0f} ms software, {mean.milliseconds_per_byte:.3f} ms a byte{line}"
    )


@click.command("open")
@click.argument("names", nargs=-1, required=True, metavar="ENCODER...")
@acting.acting
def open_command(names: tuple[str, ...]) -> None:
    """Let each ENCODER take cards."""
    plant = session.plant()
    actor = acting.actor(plant, Action.OPEN)
    tell, wake = session.tell(plant.settings), session.wake(plant.settings)
    for name in names:
        operate.open_line(plant, EncoderId(name), actor, tell)
        say(f"{name} is open")
    operate.wake_pools(plant, wake)


@click.command("hold")
@click.argument("names", nargs=-1, required=True, metavar="ENCODER|JOB...")
@click.option("--reason", default="held by hand", show_default=True, help="What the next person should know.")
@click.option("--encoder", "encoders_only", is_flag=True, help="The names are encoders', whatever jobs are called.")
@lot_option
@acting.acting
def hold_command(names: tuple[str, ...], reason: str, encoders_only: bool, lot: int | None) -> None:
    """Let each ENCODER or JOB end with the card in hand.

    An encoder takes no other card, and no encoder takes another of the job; several at work on it finish theirs.
    `bureau open` lets an encoder go on, `bureau release` a job. Of a job one lot may be held: a supervisor lets that go on.
    """
    plant = session.plant()
    actor = acting.actor(plant, Action.HOLD)
    if lot is not None:
        job, found = named_lot(plant.ledger, names, lot)
        operate.hold_lot(plant, found, reason, actor)
        say(f"lot {lot} of job {job} is held; cards in hand are finished. Next: bureau release {job} --lot {lot}")
        return
    for each in [_named(plant.ledger, name, encoders_only=encoders_only) for name in names]:
        if isinstance(each, str):
            operate.hold_line(plant, each, reason, actor, session.tell(plant.settings))
            say(f"{each} is held")
            continue
        for job in each:
            operate.hold_job(plant, job, reason, actor)
            say(f"job {job} is held; cards in hand are finished. Next: bureau release {job}")


def _named(ledger: Ledger, name: str, *, encoders_only: bool) -> EncoderId | tuple[JobId, ...]:
    """Return the encoder or the jobs that a person means; raises NotFoundError, NotAllowedError where it could be both."""
    jobs: tuple[JobId, ...] = ()
    with ledger.read() as connection:
        machine = next((each.encoder for each in encoders.machines(connection) if each.encoder == name), None)
        with suppress(NotFoundError):
            jobs = () if encoders_only else views.find_jobs(connection, name)
    if machine and jobs:
        raise NotAllowedError(
            f"{name} is an encoder and a job",
            f"For the encoder: `bureau hold --encoder {name}`; for the job take its number or BatchID/JobID.",
        )
    if not machine and not jobs:
        what = "encoder" if encoders_only else "encoder and no job"
        raise NotFoundError(f"there is no {what} {name}", "See `bureau encoders` and `bureau jobs`.")
    return machine or jobs


@click.command("watch")
@click.option("--once", is_flag=True, help="Print the picture once and end.")
def watch_command(once: bool) -> None:
    """Watch jobs and encoders until Ctrl-C."""
    plant, ledger = session.plant(), session.reading()
    if once:
        out.print(picture(plant, ledger))
        return
    with Live(picture(plant, ledger), console=out, auto_refresh=False) as live:
        while True:
            time.sleep(0.5)
            live.update(picture(plant, ledger), refresh=True)


def picture(plant: Plant, ledger: Ledger) -> Group:
    """Return how jobs and encoders stand now."""
    with ledger.read() as connection:
        jobs, found = views.list_jobs(connection, now=plant.clock()), floor.list_encoders(connection)
    work = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for name in ("job", "batch", "state", "prio", "good", "open", "rejected", "suspect", "waits"):
        work.add_column(name, justify="right" if name in {"job", "prio", "good", "open", "rejected", "suspect"} else "left")
    for job in jobs:
        bad = job.counts[CardState.REJECTED], job.counts[CardState.SUSPECT]
        under_way = sum(
            job.counts[each] for each in (CardState.READY, CardState.LEASED, CardState.WRITING, CardState.VERIFYING)
        )
        name, good = f"{job.batch_id}/{job.job_id}", f"{job.counts[CardState.GOOD]}/{job.records}"
        waits = "; ".join([*(["late"] if job.late else []), *why_waits(job, plant.settings.plant)])
        row = (job.number, name, job.state, job.priority, good, under_way, *bad, waits)
        work.add_row(*(cell(str(each)) for each in row))
    machines = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("encoder", "state", "made", "stocks", "card in hand", "why"):
        machines.add_column(name)
    for view in found:
        machine = view.machine
        stocks, in_hand = ", ".join(machine.stocks), " ".join(view.in_hand)
        zone = plant.settings.plant
        why = held(view.hold, zone) if view.hold else _why(view, zone) or ""
        shown = (machine.encoder, machine.state, view.made, stocks, in_hand, why)
        machines.add_row(*(cell(str(each)) for each in shown))
    return Group(work, "", machines)
