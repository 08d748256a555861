"""A bureau that really runs: `bureau up` with its broker and workers, in a process tree that a test may kill pieces of."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

from celery import Celery

from bureau.ledger import auditing, floor, views
from bureau.ledger.floor import EncoderView
from bureau.ledger.views import AttemptView, CardView, JobView
from bureau.models import AttemptOutcome, CardState, EncoderId, EncoderState, JobId
from bureau.scheduling import Machine, pool
from bureau.service import operate, submit
from bureau.service.plant import Plant, no_wake
from config.settings import Settings, environment
from tests.e2e import bureaus, expected, worlds
from tests.e2e.worlds import Plastic
from workers.broker import broker

T = TypeVar("T")
SECONDS: Final = 30.0
"""How long anything may take on a busy machine; a test waits for what it needs, never for so long."""


def station(name: str, seed: int, *, pace: float = 0, blanks: int = 60, product: str = "payment-scp02") -> str:
    """Return the lines of one simulated encoder; *pace* is milliseconds for each command."""
    return (
        f'[encoder.{name}]\nkind = "simulator"\nproduct = "{product}"\nstocks = ["PLASTIC-BLUE"]\n'
        f'options = {{ blank = "{product}", blanks = {{ PLASTIC-BLUE = {blanks} }}, seed = {seed}, '
        f"milliseconds_per_command = {pace} }}\n"
    )


def batch(folder: Path, name: str, records: int, *, priority: int = 3) -> Path:
    """Write a batch of one job of *records* cards, those of the sample over and over."""
    sample = expected.PAYMENT.read_text()
    start = sample.index("<DataContainer>")
    head = sample[:start].replace("B2026-001", name).replace('"STANDARD"', f'"{name}"')
    head = head.replace('CardRecordCount="8"', f'CardRecordCount="{records}"')
    head = head.replace('JobPriorityLevel="3"', f'JobPriorityLevel="{priority}"')
    record = re.findall(r"<DataContainer>.*?</DataContainer>", sample, re.DOTALL)
    numbered = [
        re.sub(r'CRN Number="\w+"', f'CRN Number="{name.encode().hex().upper()}{number:04X}"', record[number % 8])
        for number in range(records)
    ]
    tail = "</DataContainerHeader></JobContainer></EnvironmentContainer></BatchCardCustomization></GPBody></GPMessage>"
    file = folder / f"{name}.xml"
    file.write_text(head + "".join(numbered) + tail)
    return file


def eventually(what: str, probe: Callable[[], T], seconds: float = SECONDS) -> T:
    """Return what *probe* returns as soon as it is true; fails after *seconds*."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)
    return found


@dataclass(slots=True)
class Floor:
    """One bureau with encoders, looked at through its ledger and its worlds."""

    home: Path
    plant: Plant
    up: "Up | None" = field(default=None)

    def running(self) -> "Up":
        """Return the `bureau up` that was started last."""
        assert self.up is not None
        return self.up

    def submit(self, file: Path, *, release: bool = True) -> Sequence[JobId]:
        """Take a file in, by hand: nobody is woken."""
        jobs, _ = submit.submit(
            self.plant, file, issuer="TESTBANK", production=False, actor="tester", progress=lambda *_shown: None
        )
        if release:
            operate.release(self.plant, jobs, "tester", no_wake)
        return jobs

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return _finished(self.plant.settings, arguments)

    def jobs(self) -> list[JobView]:
        """Return the jobs."""
        with self.plant.ledger.read() as connection:
            return views.list_jobs(connection)

    def cards(self) -> list[CardView]:
        """Return all records."""
        with self.plant.ledger.read() as connection:
            return [card for job in views.list_jobs(connection) for card in views.list_cards(connection, job.number)]

    def count(self, state: CardState) -> int:
        """Return how many records are in *state*."""
        return sum(card.state is state for card in self.cards())

    def attempts(self) -> list[tuple[CardView, AttemptView]]:
        """Return all pieces of plastic that the ledger knows, with their records."""
        with self.plant.ledger.read() as connection:
            cards = [card for job in views.list_jobs(connection) for card in views.list_cards(connection, job.number)]
            return [(card, attempt) for card in cards for attempt in views.list_attempts(connection, card.card)]

    def encoders(self) -> Mapping[str, EncoderView]:
        """Return the encoders that ever started."""
        with self.plant.ledger.read() as connection:
            return {view.machine.encoder: view for view in floor.list_encoders(connection)}

    def audit(self) -> list[tuple[str, str]]:
        """Return what the audit log says was done to what, in order."""
        with self.plant.ledger.read() as connection:
            return [(entry.action, entry.subject) for entry in auditing.entries(connection)]

    def is_open(self, name: str) -> bool:
        """Return whether the line of *name* is open and its worker listens."""
        view = self.encoders()[name]
        return view.machine.state is EncoderState.OPEN and bool(view.listening)

    def events(self, name: str) -> list[dict[str, object]]:
        """Return what the world of *name* wrote down."""
        journal = self.plant.settings.worlds / f"{name}.journal"
        return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []

    def fed(self, name: str) -> int:
        """Return how many blanks *name* has drawn."""
        return sum(event["event"] == "fed" for event in self.events(name))

    def commands(self, name: str) -> int:
        """Return how many commands changed a chip on *name*."""
        return sum(event["event"] == "command" for event in self.events(name))

    def plastics(self) -> list[Plastic]:
        """Return all plastic of all worlds."""
        return worlds.plastics(self.plant.settings.worlds)

    def logged(self, name: str) -> list[dict[str, object]]:
        """Return the lines of one process's log."""
        return [json.loads(line) for line in (self.home / "log" / f"{name}.log").read_text().splitlines()]

    def assert_balanced(self) -> None:
        """Check ledger against world: one attempt for each touched plastic, the good ones in the good tray."""
        known = {
            (attempt.encoder, attempt.position): (card, attempt) for card, attempt in self.attempts() if attempt.position
        }
        assert len(known) == sum(1 for _, attempt in self.attempts() if attempt.position)
        good = {attempt.identity for _, attempt in self.attempts() if attempt.outcome is AttemptOutcome.GOOD}
        assert len(good) == self.count(CardState.GOOD)
        for plastic in self.plastics():
            found = known.get((EncoderId(plastic.encoder), plastic.position))
            assert plastic.tray is not None
            if found is None or found[1].outcome is AttemptOutcome.RETURNED:
                assert not plastic.touched
            elif found[1].outcome is AttemptOutcome.GOOD:
                assert plastic.tray == "good"
                assert found[0].state is CardState.GOOD


@dataclass(slots=True)
class Up:
    """`bureau up` as it runs."""

    process: subprocess.Popen[str]

    def signal(self, number: int) -> None:
        """Send a signal to the supervisor."""
        self.process.send_signal(number)

    def wait(self, seconds: float = SECONDS) -> tuple[int, str]:
        """Return its exit status and what it said, after all its processes have ended."""
        everyone = descendants(self.process.pid)
        said = self.process.communicate(timeout=seconds)[1]
        eventually("all processes to end", lambda: not any(map(runs, everyone)))
        return self.process.returncode, said

    def template(self) -> int:
        """Return the process that workers are forked from."""
        return next(pid for pid in children(self.process.pid) if "workers.template" in command_line(pid))

    def broker(self) -> int:
        """Return the broker's process."""
        return next(pid for pid in children(self.process.pid) if "valkey-server" in command_line(pid))

    def worker(self, name: str) -> int | None:
        """Return the parent process of a worker, None while there is none."""
        return next((pid for pid in children(self.template()) if comm(pid) == name), None)

    def child(self, name: str) -> int | None:
        """Return the process of a worker that encodes, None while there is none."""
        worker = self.worker(name)
        return next(iter(children(worker)), None) if worker else None


@contextmanager
def opened(home: Path, *stations: str, broker_url: str | None = None, database_url: str = "") -> Iterator[Floor]:
    """Open a bureau with *stations*; whatever of it still runs at the end is ended.

    broker_url: a broker that runs already; database_url: where its ledger is, if not in its home.
    """
    settings = replace(bureaus.settings(home), broker_url=broker_url)
    settings = replace(settings, database_url=database_url or settings.database_url)
    (home / "stations.toml").write_text("\n".join(stations))
    plant = Plant(settings)
    made = Floor(home, plant)
    try:
        yield made
    finally:
        if made.up is not None:
            _end(made.up)
            with broker(settings):  # removes what a killed one left outside its home
                pass
        plant.ledger.close()


def up(floor: Floor, *arguments: str, **variables: str) -> Up:
    """Start `bureau up`, in a session of its own as in a terminal."""
    floor.up = Up(
        subprocess.Popen(
            [sys.executable, "-m", "tests.workers.run", "up", *arguments],
            env=_environment(floor.plant.settings) | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    )
    return floor.up


def flood(floor: Floor, messages: int, machine: Machine) -> int:
    """Send many wake-ups to the pool of *machine*, more than anyone would; returns how many."""
    url, queue = floor.plant.settings.broker_url or (floor.home / "broker.url").read_text(), pool(machine)
    with Celery(broker=url) as app, app.connection_for_write() as connection:
        for _ in range(messages):
            app.send_task("workers.tasks.stint", args=(pool(machine),), queue=queue, connection=connection)
    return messages


def children(parent: int) -> list[int]:
    """Return the processes whose parent is *parent*."""
    return [pid for pid in _processes() if _status(pid)[1] == parent]


def descendants(parent: int) -> list[int]:
    """Return all processes below *parent*."""
    return [below for child in children(parent) for below in (child, *descendants(child))]


def runs(pid: int) -> bool:
    """Return whether *pid* is a process that hasn't ended."""
    return _status(pid)[0] not in {"Z", "X", ""}


def comm(pid: int) -> str:
    """Return the short name of a process."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def command_line(pid: int) -> str:
    """Return the command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def files(pid: int | None) -> list[str]:
    """Return the names of what a process has open."""
    links = Path(f"/proc/{pid}/fd").iterdir()
    return [Path(os.readlink(link)).name for link in links if os.path.lexists(link)]  # noqa: PTH115 - some lead nowhere


def kill(pid: int | None) -> None:
    """Kill a process that must be there."""
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _status(pid: int) -> tuple[str, int]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", 0
    return fields[0], int(fields[1])


def _environment(settings: Settings) -> dict[str, str]:
    return environment(settings) | {"BUREAU_LEASE_SECONDS": "120", "PYTHONPATH": str(Path(__file__).parents[2])}


def _finished(settings: Settings, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.workers.run", *arguments],
        env=_environment(settings),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def _end(left: Up) -> None:
    """End what a test left running, by the ids of the processes that it started."""
    everyone = [left.process.pid, *descendants(left.process.pid)]
    for pid in everyone:
        if runs(pid):
            os.kill(pid, signal.SIGKILL)
    left.process.communicate()
