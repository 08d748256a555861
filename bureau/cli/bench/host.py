"""How long the engine keeps an encoder from its next card, and with what: one encoder, the reference card."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bureau.cli.bench import ground
from bureau.cli.bench.measures import Measure
from bureau.cli.bench.stopwatch import Stopwatch
from bureau.ledger import claims, encoders
from bureau.models import EncoderId
from bureau.service import encode, operate, stint
from bureau.service.plant import Plant, no_wake
from bureau.service.tape import Tape
from hardware.scp.scp03 import Scp03

PART: Final = "host time per card"
WARM: Final = 2
"""Cards that come first and don't count."""
GOAL: Final = 6.0
LEDGER, CHANNEL, ORDER, TRACE, TRANSPORT, REST = "ledger", "channel", "order and plan", "trace", "transport", "all else"


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Where the time of one card went, in ms: *whole* from claim to claim, and what of it was whose."""

    whole: float
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """When a card was claimed, and what had been spent by then, in seconds by part."""

    at: float
    spent: Mapping[str, float]


def split(marks: list[Mark], inside: float) -> Split:
    """Return the mean of the cards between the first and the last of *marks*, each made as a card was claimed.

    inside: seconds that each card took for itself; what the machine took beyond them is transport.
    """
    first, last, cards = marks[0], marks[-1], len(marks) - 1
    parts = {name: 1000 * (last.spent[name] - first.spent.get(name, 0)) / cards for name in last.spent}
    parts[TRANSPORT] -= 1000 * inside
    whole = 1000 * ((last.at - first.at) / cards - inside)
    return Split(whole=whole, parts={**parts, REST: whole - sum(parts.values())})


def brokerless(plant: Plant, name: EncoderId, cards: int, seconds: float) -> Split:
    """Make reference cards of so many *seconds* on one encoder in this process, and tell where the time went."""
    job = ground.reference_cards(plant, "HOST", cards + WARM)
    now = plant.clock()
    encoders.start(plant.ledger, plant.encoder(name).machine, now)
    encoders.open_line(plant.ledger, name, plant.settings.user, now)
    operate.release(plant, [job], plant.settings.user, no_wake)
    machine, marks = stint.start(plant, name), list[Mark]()
    with Stopwatch() as watch:
        for door in ("read", "write"):
            watch.spans(plant.ledger, door, LEDGER)
        for service in ("session_keys", "translate"):
            watch.calls(plant.keystore, service, CHANNEL)
        watch.calls(Scp03, "wrap", CHANNEL)
        watch.calls(encode, "prepare", ORDER)
        watch.calls(Tape, "recording", TRACE)
        watch.calls(machine, "transmit", TRANSPORT)
        watch.calls(claims, "claim", LEDGER, before=lambda: marks.append(Mark(time.perf_counter(), dict(watch.spent))))
        stint.stint(plant, machine, name)
    encoders.hold(plant.ledger, name, "measured", plant.settings.user, plant.clock())
    return split(marks[WARM:], seconds)


def measures(found: Split, under_celery: float) -> list[Measure]:
    """Return *found* with what a card took *under_celery*, ms beyond its own time, against the goal."""
    order = (LEDGER, CHANNEL, ORDER, TRACE, TRANSPORT, REST)
    rows = [Measure(part=PART, what=name, value=found.parts[name], unit="ms") for name in order]
    rows.append(Measure(part=PART, what="Celery", value=under_celery - found.whole, unit="ms"))
    return [*rows, Measure(part=PART, what="all", value=under_celery, unit="ms", goal=GOAL)]
