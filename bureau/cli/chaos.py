"""The chaos command: a bureau of its own under random faults, until worlds and ledger are compared."""

import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Final

import click

from bureau.cli import founding, specimens, virtual
from bureau.cli.ordeal import Ordeal
from bureau.cli.output import note, say
from bureau.errors import BureauError, NotAllowedError
from bureau.ledger.ledger import Ledger
from bureau.models import CardState
from bureau.service.plant import Plant
from bureau.wording import counted
from config import logging
from hardware.sim.plastics import plastics
from workers import chaos

LEASE_SECONDS: Final = 3
"""What dies gives its card back soon."""
SPARE: Final = 50
"""Blanks of each encoder beyond those for all cards."""
SHARE: Final = 0.6
"""The share of the time that the cards would take if nothing went wrong; it sets their pace."""


@click.command("chaos")
@click.option("--seconds", default=120.0, show_default=True, type=click.FloatRange(1, 86_400), help="How long to do harm.")
@click.option("--seed", type=int, help="Draw the same faults again; a new one is printed.")
@click.option("--encoders", default=8, show_default=True, type=click.IntRange(1, 60), help="How many encoders.")
@click.option("--cards", default=200, show_default=True, type=click.IntRange(1, 9_999), help="How many cards.")
@click.option("--database", metavar="URL", help="An empty database for the ledger; default SQLite.")
@click.option("--server", metavar="PROGRAM", help="The broker to run and kill, such as redis-server; default Valkey.")
@click.option(
    "--pcsc", is_flag=True, help="Put the cards behind virtual PC/SC readers, and kill their processes too (root)."
)
def chaos_command(
    seconds: float, seed: int | None, encoders: int, cards: int, database: str | None, server: str | None, pcsc: bool
) -> None:
    """Make cards while everything goes wrong, then count.

    Workers, their children, the office and the broker are killed at random, cards are torn at random commands, clocks step
    by minutes. Afterwards people decide about what failed, the rest is made, and the ledger must say of every record and
    every plastic what the simulated worlds say. All this happens in a bureau of its own in a temporary directory; no other
    is touched. Exit status 1 where anything differs; the directory is kept then.
    """
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    say(f"seed {seed}")
    program = _program(server)
    if database and not Ledger(database).is_empty():
        raise NotAllowedError("the database isn't empty", "Chaos needs one of its own: createdb chaos")
    home, chance = Path(tempfile.mkdtemp(prefix="bureau-chaos-")), Random(seed)  # noqa: S311 - drawn again, not guessed
    pace = SHARE * encoders * seconds * 1000 / cards / specimens.COMMANDS
    faults = chaos.schedule(chance, seconds, [f"sim{number}" for number in range(1, encoders + 1)], readers=pcsc)
    stations = specimens.stations(chance, encoders, blanks := cards + SPARE, pace)
    ordeal = Ordeal(_plant(home, stations, database), cards, blanks, chance)
    try:
        _undergo(ordeal, faults, seconds, program, pcsc=pcsc)
    except BaseException:
        note(f"seed {seed}: the bureau is kept in {home}")
        raise
    shutil.rmtree(home)
    say("world and ledger agree")


def _undergo(ordeal: Ordeal, faults: Sequence[chaos.Fault], seconds: float, server: Path | None, *, pcsc: bool) -> None:
    """Run it, say what happened, and raise BureauError where anything differs."""
    settings = ordeal.plant.settings
    readers = virtual.daemon(len(ordeal.plant.encoders)) if pcsc else nullcontext()
    with (settings.home / "chaos.log").open("w") as log, readers as daemon:
        logging.configure(log)
        if daemon:
            virtual.move(daemon, settings.stations_file, settings.worlds)
        hand = ordeal.run(faults, seconds, server)
        found = ordeal.findings()
    logging.configure()
    _tell(ordeal, hand)
    for line in found:
        note(f"  {line}")
    if found:
        raise BureauError(f"world and ledger differ, or something is stuck: {counted(len(found), 'finding')}")


def _plant(home: Path, stations: str, database: str | None) -> Plant:
    own, lease = founding.settings_of(home, stations), timedelta(seconds=LEASE_SECONDS)
    own = replace(own, database_url=database or own.database_url)
    return Plant(replace(own, lease=lease, stint=lease, retention=timedelta(0)))


def _tell(ordeal: Ordeal, hand: chaos.Hand) -> None:
    drawn = plastics(ordeal.plant.settings.worlds)
    torn = sum(bool(plastic.memory.get("mute")) for plastic in drawn)
    for what, count in (*hand.done.items(), ("card torn", torn), ("victim dead already", hand.missed)):
        say(f"{count:5} x {what}")
    trays = Counter(str(plastic.tray) for plastic in drawn)
    say(f"{len(drawn)} plastics drawn: {', '.join(f'{count} {tray}' for tray, count in sorted(trays.items()))}")
    states = ordeal.states()
    said = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    say(f"{counted(ordeal.cards, 'record')}: {said}; {states[CardState.GOOD] / ordeal.took:.1f} good cards a second")


def _program(server: str | None) -> Path | None:
    found = shutil.which(server) if server else None
    if server and not found:
        raise BureauError(f"there is no program {server}", "apt-get install redis-server")
    return Path(found) if found else None
