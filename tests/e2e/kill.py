"""Kill or stop the process that makes a card wherever it can hurt, and look what is left of it.

Run as `python -m tests.e2e.kill WAY MUTATION`, it forks a process for each point and prints one JSON line: the points that a
card passes, and all that went wrong at any of them. WAY says what happens at each point and who goes on afterwards; MUTATION
switches off one of the rules that keep it harmless.
"""

import json
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from io import StringIO
from pathlib import Path
from signal import SIGKILL
from typing import Final

from sqlalchemy import Connection, Engine

from bureau.ledger import auditing, reaping, views
from bureau.ledger.ledger import Ledger
from bureau.models import EncoderId, JobState
from bureau.service import report, stint
from bureau.service.plant import Plant
from config import logging
from hardware.encoders.simulator import Simulator
from hardware.iso7816 import Command, Response
from hardware.keystores import KeyStore
from tests.e2e import bureaus, expected
from tests.e2e.aftermath import check, read_ledger, touched
from tests.e2e.bureaus import Bureau, Station, answer
from tests.e2e.expected import Expected
from tests.e2e.mutations import Mutation, mutate

STATIONS: Final = (Station(name="sim1", seed=1), Station(name="sim2", seed=2))
FIRST, SECOND = (EncoderId(station.name) for station in STATIONS)
LEASE: Final = timedelta(seconds=1)
LATER: Final = timedelta(hours=2)
"""Longer than the lease, and than a file is given to come in."""
NOON: Final = datetime(2026, 11, 23, 12, tzinfo=UTC)
"""All clocks stand still, so that no lease ends but where it shall, however slow the computer is."""
TRANSACTION, COMMITTED = "before a transaction", "after a commit"


class Way(StrEnum):
    """What happens at a point, and afterwards."""

    RESTART = "restart"
    """The process is killed, and its machine started anew."""
    TAKEOVER = "takeover"
    """The process is killed; when its lease has ended another encoder goes on, and its machine is started much later."""
    AFTER = "after"
    """The process is stopped; its lease ends, another encoder makes what is ready, then the process goes on."""
    CLAIMED = "claimed"
    """As before, but it goes on while the other encoder has just claimed the card."""
    WRITING = "writing"
    """As before, but it goes on when the other encoder has just begun to write the card."""
    UNREAPED = "unreaped"
    """The process is stopped until its lease is over and goes on before anybody noticed."""
    SUBMISSION = "submission"
    """The process that submits and releases the file is killed; somebody tries again."""


STOPPED: Final = {Way.AFTER: 0, Way.CLAIMED: 1, Way.WRITING: 2, Way.UNREAPED: 0}
"""After so many commits of the other encoder the stopped process goes on; 0: after all."""


@dataclass(slots=True)
class Points:
    """The moments that a process passes; *watch* sees them all so far at each."""

    watch: Callable[[list[str]], None] = lambda _passed: None
    locked: bool = True
    """Whether moments count at which the ledger's write lock is held: a process that stops there stops everyone."""
    command: str = ""
    passed: list[str] = field(default_factory=list)

    def __call__(self, moment: str, *, locked: bool = False) -> None:
        """Pass a moment."""
        if self.locked or not locked:
            self.passed.append(moment)
            self.watch(self.passed)

    def probe(self, side: str) -> None:
        """Pass the moment before or after the card executes a command."""
        self(f"{side} {self.command}")


def at(point: int, act: Callable[[], None]) -> Callable[[list[str]], None]:
    """Return a watch that acts at one point, counted from 1."""

    def watch(passed: list[str]) -> None:
        if len(passed) == point:
            act()

    return watch


COMPILED: Final[dict[object, object]] = {}
"""Statements that were compiled before the forks, for hundreds of short-lived ledgers."""


class PointsLedger(Ledger):
    """A ledger that passes points around each of its commits."""

    points: Points

    def _open(self) -> Engine:
        return super()._open().execution_options(compiled_cache=COMPILED)

    @contextmanager
    def _connect_to_write(self) -> Iterator[Connection]:
        self.points(TRANSACTION)
        with super()._connect_to_write() as connection:
            yield connection

    def _commit(self, connection: Connection) -> None:
        self.points("before a commit", locked=True)
        super()._commit(connection)
        self.points(COMMITTED)


class PointsSimulator(Simulator):
    """A simulator that says which command the card is about to execute."""

    points: Points

    def transmit(self, command: Command) -> Response:
        """Exchange one command."""
        self.points.command = command.name
        return super().transmit(command)


def now() -> datetime:
    """Return the time at which everything starts."""
    return NOON


def later() -> datetime:
    """Return the time at which leases are over."""
    return NOON + LATER


def open_plant(home: Path, keystore: KeyStore, clock: Callable[[], datetime] = now, points: Points | None = None) -> Plant:
    """Return a plant on *home* with a key store that is open already."""
    plant = Plant(bureaus.settings(home, LEASE), clock)
    ledger = PointsLedger(plant.settings.database_url, keystore.authenticate)
    ledger.points = points or Points()
    vars(plant).update(keystore=keystore, ledger=ledger)
    return plant


@dataclass(slots=True)
class Stage:
    """One bureau, copied for each point, and what the process under test does in it."""

    template: Path
    keystore: KeyStore
    record: Expected
    work: Callable[[Plant, Points], None]

    @contextmanager
    def copy(self) -> Iterator[Path]:
        """Yield a bureau of one's own."""
        with tempfile.TemporaryDirectory(prefix="kill") as folder:
            yield Path(shutil.copytree(self.template, Path(folder) / "home"))

    def run(self, home: Path, points: Points, clock: Callable[[], datetime] = now) -> None:
        """Do the work in *home*."""
        plant = open_plant(home, self.keystore, clock, points)
        self.work(plant, points)
        plant.ledger.close()

    def points(self, *, locked: bool) -> list[str]:
        """Return the points that the work passes when nothing happens."""
        points = Points(locked=locked)
        with self.copy() as home:
            self.run(home, points)
        return points.passed


def make_card(plant: Plant, points: Points, name: EncoderId = FIRST) -> None:
    """Make all cards there are on a machine that nothing is left in, with points around each command."""
    machine = PointsSimulator.start(name, plant.encoder(name).options, plant.settings.worlds, points.probe)
    assert isinstance(machine, PointsSimulator)
    machine.points = points
    while stint.stint(plant, machine, name, closed=lambda batch: answer(plant, batch)):
        pass
    machine.close()


def take_file(plant: Plant, _points: Points) -> None:
    """Submit the file and release its job, as far as that isn't done."""
    bureau = Bureau(plant)
    with plant.ledger.read() as connection:
        jobs = views.list_jobs(connection)
    numbers = [job.number for job in jobs] or bureau.submit(expected.SINGLE)
    if not jobs or jobs[0].state is JobState.HELD:
        bureau.release(numbers)


@contextmanager
def stage(way: Way) -> Iterator[Stage]:
    """Make the bureau that all points start from."""
    with tempfile.TemporaryDirectory(prefix="stage") as folder:
        home = Path(folder) / "home"
        bureaus.found(home)
        with bureaus.opened(Plant(bureaus.settings(home, LEASE), now)) as bureau:
            bureau.equip(*STATIONS)
            if way is not Way.SUBMISSION:
                bureau.take(expected.SINGLE)
            bureau.plant.ledger.checkpoint()
            work = take_file if way is Way.SUBMISSION else make_card
            yield Stage(home, bureau.plant.keystore, expected.cards(expected.SINGLE)[0], work)


def fork(work: Callable[[], None]) -> int:
    """Do *work* in a process of its own and return its number; it ends with 0, or with 1 and a traceback."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except BaseException:  # whatever it was, this process must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def killed(stage: Stage, way: Way, point: int) -> Iterator[str]:
    """Kill the process at *point*, let others go on, and yield what is wrong then."""
    with stage.copy() as home:
        points = Points(at(point, lambda: os.kill(os.getpid(), SIGKILL)))
        _, status = os.waitpid(fork(lambda: stage.run(home, points)), 0)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == SIGKILL):
            yield f"the process ended with {status} instead of being killed"
        left, written = read_ledger(home), touched(home)
        plant = open_plant(home, stage.keystore, now if way is Way.RESTART else later)
        if way is Way.SUBMISSION:
            take_file(plant, Points())
        if way is Way.TAKEOVER:
            reaping.reap(plant.ledger, plant.clock())
            _run(plant, SECOND)
        _run(plant, FIRST)
        yield from _office(plant)
        broken = written or left.state in {"writing", "verifying"}
        yield from check(home, stage.record, "suspect" if broken and left.state != "good" else "good")


def stopped(stage: Stage, way: Way, point: int, moment: str) -> Iterator[str]:
    """Stop the process at *point*, let its lease end, let it go on when *way* says, and yield what is wrong then."""
    with stage.copy() as home:
        zombie = Zombie(stage, home, point, late=way is Way.UNREAPED)
        left = read_ledger(home)
        if way is not Way.UNREAPED:
            _succeed(stage, home, zombie, STOPPED[way])
        yield from zombie.finish()
        lost = {"ready", "leased"} if way is not Way.UNREAPED else {"leased"}
        if way is Way.UNREAPED and moment == TRANSACTION:
            lost = set()  # it has asked for the time already, and nobody has taken the lease
        if left.state in lost and any(plastic.position == 1 for plastic in touched(home, FIRST)):
            yield "a card was written whose lease had been lost before"  # what is claimed anew goes to the next blank
        plant = open_plant(home, stage.keystore, later)
        reaping.reap(plant.ledger, plant.clock())
        _run(plant, SECOND)
        yield from _office(plant)
        broken = way is not Way.UNREAPED and left.state in {"writing", "verifying"}
        yield from check(home, stage.record, "suspect" if broken else "good")


def _succeed(stage: Stage, home: Path, zombie: "Zombie", commits: int) -> None:
    """Reap the stopped process's lease and make its card elsewhere; after so many commits of that the process goes on."""

    def watch(passed: list[str]) -> None:
        if passed[-1] == COMMITTED and passed.count(COMMITTED) == commits:
            zombie.go_on()

    points = Points(locked=False)
    plant = open_plant(home, stage.keystore, later, points)
    reaping.reap(plant.ledger, plant.clock())
    points.passed.clear()
    points.watch = watch
    make_card(plant, points, SECOND)
    plant.ledger.close()


class Zombie:
    """A process that stopped at one point and is taken for dead; its clock stands still unless it is *late*."""

    def __init__(self, stage: Stage, home: Path, point: int, *, late: bool) -> None:
        self._home, self._problems, self._clock, self._ended = home, list[str](), timedelta(0), False
        stopped_read, stopped_write = os.pipe()
        go_read, self._go = os.pipe()

        def stop() -> None:
            os.write(stopped_write, b"!")
            os.read(go_read, 1)
            self._clock = LATER if late else timedelta(0)

        points = Points(at(point, stop), locked=False)
        self._process = fork(lambda: stage.run(home, points, lambda: now() + self._clock))
        os.close(stopped_write)
        if os.read(stopped_read, 1) != b"!":
            self._problems.append("the process ended before it reached its point")
        os.close(stopped_read)
        os.close(go_read)
        self._checks_writes = not late

    def go_on(self) -> None:
        """Let it go on to its end; what it wrote to the record meanwhile is a problem."""
        if self._ended:
            return
        self._ended = True
        before = read_ledger(self._home)
        with suppress(BrokenPipeError):
            os.write(self._go, b"!")
        os.close(self._go)
        _, status = os.waitpid(self._process, 0)
        if status:
            self._problems.append(f"the process that went on ended with {status}")
        if self._checks_writes and read_ledger(self._home) != before:
            self._problems.append(f"a lost lease wrote to the ledger: {before} became {read_ledger(self._home)}")

    def finish(self) -> list[str]:
        """Let it go on if it didn't, and return what was wrong with it."""
        self.go_on()
        return self._problems


def _run(plant: Plant, name: EncoderId) -> None:
    bureau = Bureau(plant)
    bureau.run(name)
    bureau.machines[name].close()


def _office(plant: Plant) -> Iterator[str]:
    """Do what the office does after a crash, and yield what it can't."""
    yield from (f"the office failed: {fault}" for fault in report.finish_due(plant))
    broken = auditing.verify(plant.ledger, plant.keystore.authenticate)
    if broken is not None:
        yield f"the audit log is broken: {broken}"
    plant.ledger.close()


def main(way: Way, mutation: Mutation) -> None:
    """Go through all points; a mutation needs one wrong point only."""
    logging.configure(StringIO())
    wrong: dict[str, list[str]] = {}
    with stage(way) as staged:
        passed = staged.points(locked=way not in STOPPED)
        mutate(mutation)
        for number, point in enumerate(passed, start=1):
            found = list(stopped(staged, way, number, point) if way in STOPPED else killed(staged, way, number))
            if found:
                wrong[f"{number} {point}"] = found
            if found and mutation is not Mutation.NONE:
                break
    sys.stdout.write(json.dumps({"points": passed, "wrong": wrong}) + "\n")


if __name__ == "__main__":
    main(Way(sys.argv[1]), Mutation(sys.argv[2]))
