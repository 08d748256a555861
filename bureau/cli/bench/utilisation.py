"""How much of the encoders' time is cards' time: real workers under the real supervisor, as `bureau up` runs them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import click

from bureau.cli import session, up
from bureau.cli.bench import ground
from bureau.cli.bench.measures import Measure
from bureau.errors import BureauError
from bureau.ledger import views
from bureau.models import JobId
from bureau.service import operate
from bureau.service.plant import Plant

PART: Final = "utilisation"
GOALS: Final = {1: 99.0, 15: 99.0, 60: 99.0, 120: 97.0}
"""Percent, by how many encoders work."""
PATIENCE: Final = 60.0
"""Seconds beyond its cards' own that a job may take before the benchmark gives up."""
LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One job made by so many encoders, in seconds.

    inside: what each card takes for itself; wall: from the first claim to the last good card; ramp: from the first claim to
    the first one of the last encoder; claiming: to the last claim.
    """

    encoders: int
    cards: int
    inside: float
    wall: float
    ramp: float
    claiming: float

    @property
    def utilisation(self) -> float:
        """Time inside the cards as a share of what the encoders had, in percent."""
        return 100 * self.cards * self.inside / (self.encoders * self.wall)

    @property
    def beyond(self) -> float:
        """Milliseconds that the only encoder took from claim to claim beyond its card's own time."""
        return 1000 * (self.claiming / (self.cards - 1) - self.inside)


class Fleet:
    """Encoders at work, of which there can become more but not fewer."""

    def __init__(self, plant: Plant, bureau: up.Bureau) -> None:
        self._plant, self._bureau, self._size = plant, bureau, 0

    def grow(self, size: int) -> None:
        """Start workers until there are *size*, and open their lines; raises BureauError where one doesn't start."""
        more = ground.encoders(self._plant)[self._size : size]
        self._bureau.start(more, opener=self._plant.settings.user)
        self._keep(lambda: True)
        if self._bureau.missing:
            raise BureauError(f"{len(self._bureau.missing)} of {size} workers haven't started", "Is there enough memory?")
        self._size = size

    def run(self, name: str, each: int, seconds: float) -> Run:
        """Have every encoder make *each* reference cards of so many *seconds*; raises BureauError where they don't."""
        cards = each * self._size
        job = ground.reference_cards(self._plant, name, cards)
        operate.release(self._plant, [job], self._plant.settings.user, session.wake(self._bureau.supervisor.settings))
        began = time.monotonic()
        self._keep(lambda: self._is_over(job, cards, began + each * seconds))
        with self._plant.ledger.read() as connection:
            span = views.span(connection, job)
        if span is None or span.good != cards:
            raise BureauError(f"{span.good if span else 0} of {cards} cards are good on {self._size} encoders")
        moments = (span.last_good, span.all_at_work, span.last_claim)
        wall, ramp, claiming = ((each - span.first_claim).total_seconds() for each in moments)
        return Run(encoders=self._size, cards=cards, inside=seconds, wall=wall, ramp=ramp, claiming=claiming)

    def _is_over(self, job: JobId, cards: int, due: float) -> bool:
        """Return whether *job* is made, or will not be; before it can be nobody asks, for that would be work too."""
        time.sleep(LOOK_SECONDS)
        if time.monotonic() < due:
            return False
        with self._plant.ledger.read() as connection:
            span = views.span(connection, job)
        return time.monotonic() > due + PATIENCE or (span is not None and span.good == cards)

    def _keep(self, done: Callable[[], bool]) -> None:
        self._bureau.keep(done=done)
        if self._bureau.caught:
            raise click.Abort


@contextmanager
def fleet(plant: Plant) -> Iterator[Fleet]:
    """Run the bureau of *plant*, at first without any encoder."""
    with up.running(plant) as bureau:
        yield Fleet(plant, bureau)


def failed(size: int, why: str) -> Measure:
    """Return that so many encoders didn't make their job."""
    return Measure(
        part=PART, what=f"{size} encoders", value=0.0, unit="%", goal=GOALS.get(size), more=True, remark=f"failed: {why}"
    )


def measure(runs: list[Run]) -> Measure:
    """Return the worst of some *runs* with as many encoders."""
    worst, size = min(run.utilisation for run in runs), runs[0].encoders
    all_of = ", ".join(f"{run.utilisation:.1f}" for run in runs)
    ramp = max(run.ramp for run in runs)
    remark = f"{all_of}; {runs[0].cards // size} cards on each, the last encoder began after {ramp:.2f} s"
    return Measure(
        part=PART,
        what=f"{size} encoder{'s' * (size > 1)}, worst of {len(runs)}",
        value=worst,
        unit="%",
        goal=GOALS.get(size),
        more=True,
        remark=remark,
    )
