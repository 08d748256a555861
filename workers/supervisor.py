"""Keeps a plant's processes running: one worker for each encoder, the office and beat, all forked from one template.

A terminal's Ctrl-C or a signal to the process group must not cut a card: only this process gets it, and passes it on.
"""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

import structlog

from config.settings import Settings, environment
from workers.queues import BEAT, LINE, OFFICE

log = structlog.get_logger(__name__)

AGAIN_SECONDS: Final = 2.0
"""A process that ended by itself is started again after this long."""


@dataclass(slots=True)
class Supervisor:
    """The processes of one plant, by the queue of each; *waiting* tells which ended by themselves, and when."""

    settings: Settings
    program: str = "workers.template"
    """The module that the template runs."""
    template: subprocess.Popen[bytes] | None = None
    requests: socket.socket | None = None
    running: set[str] = field(default_factory=set)
    waiting: dict[str, float] = field(default_factory=dict)
    stopping: bool = False

    def prepare(self) -> None:
        """Start the template, which takes a second or two to import everything, in a session of its own."""
        self.settings.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, (self.settings.logs / "template.log").open("ab") as output:
            self.template = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", self.program, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment(self.settings),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def start(self, encoders: Sequence[str]) -> None:
        """Start a worker for each of *encoders*, and office and beat unless they run already."""
        for queue in (*(LINE + encoder for encoder in encoders), OFFICE, BEAT):
            if queue not in self.running:
                self._fork(queue)

    def check(self) -> None:
        """Start again, after a while, what ended by itself; an encoder's worker comes back held."""
        self._listen()
        if self.stopping:
            return
        for queue in [queue for queue, since in self.waiting.items() if time.monotonic() - since > AGAIN_SECONDS]:
            del self.waiting[queue]
            self._fork(queue)

    def stop(self) -> None:
        """Ask every process to finish the card in hand and start nothing new."""
        self.stopping = True
        if self.requests is not None:
            self.requests.shutdown(socket.SHUT_WR)

    def names(self) -> list[str]:
        """Return the names of the processes that still run."""
        return sorted(queue.removeprefix(LINE) for queue in self.running)

    def close(self) -> None:
        """Wait for the template, whose workers have ended."""
        if self.template is not None and self.requests is not None:
            self.template.wait()
            self.requests.close()

    def _fork(self, queue: str) -> None:
        if self.template is None or self.template.poll() is not None:
            self.prepare()
        if self.requests is not None:
            self.requests.send(queue.encode())
            self.running.add(queue)

    def _listen(self) -> None:
        """Hear from the template which processes ended; should it be dead itself, they all do."""
        while self.requests is not None:
            try:
                message = self.requests.recv(1024, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionResetError:
                message = b""
            if not message:
                self._template_ended()
                return
            ended = json.loads(message)
            self._ended(ended["queue"], ended["exit_code"])

    def _template_ended(self) -> None:
        if self.requests is not None:
            self.requests.close()
        self.requests = None
        code = self.template.wait() if self.template else None
        for queue in sorted(self.running):
            self._ended(queue, code)

    def _ended(self, queue: str, code: int | None) -> None:
        self.running.discard(queue)
        if not self.stopping:
            self.waiting[queue] = time.monotonic()
            log.error("process_ended", process=queue.removeprefix(LINE), exit_code=code)


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
