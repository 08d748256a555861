"""What goes wrong in a chaos run: a schedule drawn from one seed, and the hand that carries it out.

A fault that hits nothing, because its victim is dead already, is counted as missed.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random
from threading import Event
from typing import Final

from workers import stepping
from workers.queues import BEAT, OFFICE

MEAN_SECONDS: Final = 0.4
"""Between one fault and the next."""
LONGEST_STEP: Final = 600.0
"""Seconds that a clock steps at most, forwards or backwards."""


class Kind(StrEnum):
    """What goes wrong."""

    WORKER = "worker killed"
    CHILD = "child killed"
    READER = "reader process killed"
    BROKER = "broker killed"
    OFFICE = "office killed"
    TEMPLATE = "template killed"
    CLOCK = "clock stepped"


_WEIGHTS: Final = {
    Kind.WORKER: 5,
    Kind.CHILD: 8,
    Kind.READER: 6,
    Kind.BROKER: 2,
    Kind.OFFICE: 2,
    Kind.TEMPLATE: 0.3,
    Kind.CLOCK: 5,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault, *at* so many seconds after the start; *size* is how wrong a clock is then, in seconds."""

    at: float
    kind: Kind
    victim: str
    size: float


def schedule(chance: Random, seconds: float, encoders: Sequence[str], *, readers: bool) -> list[Fault]:
    """Draw what goes wrong in so many *seconds*; the reader processes only where there are any."""
    kinds = [kind for kind in _WEIGHTS if readers or kind is not Kind.READER]
    drawn, at = list[Fault](), chance.expovariate(1 / MEAN_SECONDS)
    while at < seconds:
        (kind,) = chance.choices(kinds, [_WEIGHTS[each] for each in kinds])
        some = {Kind.OFFICE: (OFFICE, BEAT), Kind.CLOCK: (*encoders, OFFICE)}.get(kind, tuple(encoders))
        drawn.append(Fault(at=at, kind=kind, victim=chance.choice(some), size=chance.uniform(-LONGEST_STEP, LONGEST_STEP)))
        at += chance.expovariate(1 / MEAN_SECONDS)
    return drawn


@dataclass(slots=True)
class Hand:
    """Carries out faults on a running bureau: *template* and *broker* say which process that is at this moment."""

    home: Path
    template: Callable[[], int | None]
    broker: Callable[[], int | None]
    done: Counter[Kind] = field(default_factory=Counter)
    missed: int = 0

    def work(self, faults: Sequence[Fault], stop: Event) -> None:
        """Do what *faults* say, each in its time, until *stop*; afterwards all clocks are right."""
        begun = time.monotonic()
        for fault in faults:
            if stop.wait(max(0.0, begun + fault.at - time.monotonic())):
                break
            if self._does(fault):
                self.done[fault.kind] += 1
            else:
                self.missed += 1
        for clock in stepping.clocks(self.home).glob("*"):
            clock.unlink()

    def _does(self, fault: Fault) -> bool:
        if fault.kind is Kind.CLOCK:
            stepping.step(self.home, fault.victim, fault.size)
            return True
        match fault.kind:
            case Kind.BROKER:
                victims = _one(self.broker)
            case Kind.TEMPLATE:
                victims = _one(self.template)
            case Kind.CHILD:
                victims = self._below(fault.victim, 1)
            case Kind.READER:
                victims = self._below(fault.victim, 2)
            case _:
                victims = self._below(fault.victim, 0)
        return sum(map(_kill, victims)) > 0

    def _below(self, name: str, generations: int) -> list[int]:
        """Return the worker of *name*, its children, or theirs."""
        found = [worker for above in _one(self.template) for worker in _children(above) if _name(worker) == name[:15]]
        for _ in range(generations):
            found = [child for each in found for child in _children(each)]
        return found


def _one(process: Callable[[], int | None]) -> list[int]:
    return [found] if (found := process()) else []


def _children(parent: int) -> Iterator[int]:
    try:
        for task in Path(f"/proc/{parent}/task").iterdir():
            yield from map(int, (task / "children").read_text().split())
    except OSError:
        return


def _name(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


def _kill(process: int) -> bool:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
