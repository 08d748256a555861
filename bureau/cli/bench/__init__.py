"""The bench command: what the engine costs, measured on this machine in a bureau that is thrown away."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from bureau.cli.bench import fewest, ground, host, machine, submission, utilisation
from bureau.cli.bench.measures import Measure
from bureau.cli.output import as_json, details, listing, note
from bureau.errors import BureauError
from bureau.service.plant import Plant
from config import logging, settings

FLEETS: Final = {1: 6, 15: 8, 60: 11, 120: 14}
"""How many cards each of so many encoders makes in a run."""
QUICK: Final = {1: 2, 2: 2}
RUNS: Final = 3
HOST_CARDS, RECORDS = 6, 100_000
"""What the other parts count."""
QUICK_SECONDS: Final = 0.1


@click.command("bench")
@as_json
@click.option(
    "--only", type=click.Choice(["host", "utilisation", "submission", "commands"]), help="Measure this part alone."
)
@click.option("--quick", is_flag=True, help="See within seconds that it works; its numbers say little.")
def bench_command(json_: bool, only: str | None, quick: bool) -> None:
    """Measure what the engine costs on this machine.

    Each number stands beside its goal; all of them take under five minutes.

    \b
    host         milliseconds of an encoder's time per card beyond the card's own, and where they go
    utilisation  the share of the encoders' time that is cards' time, on 1 to 120 encoders
    submission   how fast a file of 100,000 cards is taken in, and how long a claim waits meanwhile
    commands     how many commands a card gets beside the fewest possible

    It makes bureaus of its own in temporary folders and leaves nothing. Its encoders are load generators: they open their
    channels, take the time of a card, and check nothing. Measure on a machine that has nothing else to do.
    """
    began = time.monotonic()
    if machine.is_busy():
        note("others want this machine too: what is measured now says little")
    home, rows = Path(ground.folder()), list[Measure]()
    facts = machine.facts(home)
    rows += machine.fsync(home)
    for part, measure in PARTS.items():
        if only in (None, part):
            note(f"{time.monotonic() - began:4.0f} s  {part}")
            rows += measure(quick)
    _tell(facts, rows, time.monotonic() - began, json_=json_)


@contextmanager
def _logged(plant: Plant) -> Iterator[None]:
    """Log into the bureau's own home, as its workers do, what happens in this process."""
    with (plant.settings.home / "bench.log").open("w") as log:
        logging.configure(log)
        try:
            yield
        finally:
            logging.configure()


def _host(quick: bool) -> list[Measure]:
    cards, seconds = (2, QUICK_SECONDS) if quick else (HOST_CARDS, ground.SECONDS)
    with ground.ground(1, seconds) as plant, _logged(plant):
        (name,) = ground.encoders(plant)
        found = host.brokerless(plant, name, cards, seconds)
        with utilisation.fleet(plant) as fleet:
            fleet.grow(1)
            fleet.run("WARM", host.WARM, seconds)
            return host.measures(found, fleet.run("CELERY", cards, seconds).beyond)


def _utilisation(quick: bool) -> list[Measure]:
    fleets, seconds = (QUICK, QUICK_SECONDS) if quick else (FLEETS, ground.SECONDS)
    rows = []
    with ground.ground(max(fleets), seconds) as plant, utilisation.fleet(plant) as fleet:
        for size, each in fleets.items():
            fleet.grow(size)
            try:
                rows.append(utilisation.measure([fleet.run(f"U{size}R{run}", each, seconds) for run in range(RUNS)]))
            except BureauError as fault:  # the other numbers are still worth having
                rows.append(utilisation.failed(size, str(fault)))
    return rows


def _submission(quick: bool) -> list[Measure]:
    with ground.ground(1, submission.SECONDS) as plant, _logged(plant):
        (name,) = ground.encoders(plant)
        return submission.measures(submission.take(plant, name, 500 if quick else RECORDS))


def _commands(_quick: bool) -> list[Measure]:
    with ground.samples() as plant, _logged(plant):
        return fewest.measures(fewest.count(plant))


PARTS: Final[Mapping[str, Callable[[bool], Sequence[Measure]]]] = {
    "host": _host,
    "utilisation": _utilisation,
    "submission": _submission,
    "commands": _commands,
}


def _tell(facts: Mapping[str, str], rows: Sequence[Measure], seconds: float, *, json_: bool) -> None:
    if json_:
        named = [
            {"part": row.part, "what": row.what, "value": row.value, "unit": row.unit, "goal": row.goal, "met": row.met,
             "remark": row.remark}
            for row in rows
        ]  # fmt: skip
        click.echo(json.dumps({"machine": facts, "measures": named, "seconds": seconds}, indent=2))
        return
    zone = settings.current().plant
    details(facts, zone=zone)
    table = [
        {
            "part": row.part,
            "what": row.what,
            "measured": f"{row.value:.4g} {row.unit}",
            "goal": row.aim,
            "remark": row.remark,
        }
        for row in rows
    ]
    listing(table, json_=False, zone=zone, empty="")
    note(f"measured in {seconds:.0f} s")
