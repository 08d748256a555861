"""A bureau with encoders on PC/SC readers, what can happen to the first of them, and what is said of it afterwards."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from threading import Thread
from typing import Final, TypeVar

import pytest

from bureau.cli import virtual
from bureau.ledger import encoders
from bureau.ledger import floor as machines
from bureau.ledger.floor import EncoderView
from bureau.models import EncoderId, JobId
from hardware.encoders.pcsc.daemon import Daemon
from hardware.encoders.pcsc.feeder import Simulated
from hardware.encoders.pcsc.reader import Reader
from tests.e2e import expected
from tests.e2e.batches import standard_job
from tests.e2e.bureaus import ACTOR, Bureau, Station
from tests.pcsc.floor import Meddled

T = TypeVar("T")
SIM1: Final = EncoderId("sim1")
SECONDS: Final = 10.0
"""The longest that anything here is waited for."""


def until(found: Callable[[], T | None]) -> T | None:
    """Return what is found in time."""
    deadline = time.monotonic() + SECONDS
    while (what := found()) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return what


class Scene:
    """One bureau, the pcscd of its readers, and the first encoder."""

    def __init__(self, bureau: Bureau, daemon: Daemon, patch: pytest.MonkeyPatch) -> None:
        self.bureau, self.daemon, self.patch = bureau, daemon, patch
        self._others: list[subprocess.Popen[str]] = []

    def equip(self, *stations: Station) -> None:
        """Put simulated stations behind readers, open their lines, and start the first encoder."""
        settings = self.bureau.plant.settings
        settings.stations_file.write_text("\n".join(map(str, stations or (Station(name="sim1", seed=1),))))
        virtual.move(self.daemon, settings.stations_file, settings.worlds)
        for name, config in self.bureau.plant.encoders.items():
            encoders.start(self.bureau.plant.ledger, config.machine, self.bureau.plant.clock())
            encoders.open_line(self.bureau.plant.ledger, name, ACTOR, self.bureau.plant.clock())
        self._start(self.bureau.plant.encoder(SIM1).options)

    def hand_feed(self, stock: str) -> None:
        """Let a person feed the first encoder, whose cards then move by hand only."""
        options = self.bureau.plant.encoder(SIM1).options
        self.machine.close()
        self._start({"reader": options["reader"], "socket": options["socket"], "stock": stock})

    def _start(self, options: Mapping[str, object]) -> None:
        self.machine = Meddled.start(SIM1, options, self.bureau.plant.settings.worlds)
        connect = self.machine._reader.connect

        def told() -> tuple[int, bytes]:
            self.machine.before("connect")
            return connect()

        self.patch.setattr(self.machine._reader, "connect", told)
        self.bureau.machines[SIM1] = self.machine

    def hand(self) -> Simulated:
        """Return a hand of its own on the cards of the first reader."""
        return Simulated(str(self.bureau.plant.encoder(SIM1).options["feeder"]))

    def take(self, records: int) -> JobId:
        """Release a job of so many records."""
        self.file = standard_job(self.bureau.plant.settings.home / "batch.xml", records)
        (job,) = self.bureau.take(self.file)
        return job

    def work(self) -> Thread:
        """Let the first encoder work meanwhile."""
        thread = Thread(target=self.bureau.run, daemon=True)
        thread.start()
        return thread

    def at(self, moment: str, act: Callable[["Scene"], object], *, once: bool = True) -> None:
        """Act before the first (or each) command of this name, or before the encoder connects ("connect") or ejects."""
        before, done = self.machine.before, list[bool]()

        def told(each: str) -> None:
            before(each)
            if each == moment and not (done and once):
                done.append(True)
                act(self)

        self.machine.before = told

    def pull(self) -> None:
        """Pull the card out of the reader."""
        with closing(self.hand()) as hand:
            hand.meddle(card=False)

    def push(self) -> None:
        """Push the card in the station back."""
        with closing(self.hand()) as hand:
            hand.meddle(card=True)

    def noticed(self, *, card: bool = False) -> None:
        """Wait until pcscd has noticed that a card is in, or that it sees none any more."""
        with closing(Reader(self.daemon.reader(1), self.daemon.socket)) as anyone:
            assert anyone.wait(card=card, seconds=SECONDS).has_card is card

    def deadline(self, seconds: float) -> None:
        """Give the card so many seconds for a command."""
        self.machine._reader._deadline = seconds

    def intrude(self, share: str, *transaction: str) -> str:
        """Let another program connect to the card; return the code that it got. It holds on until it leaves."""
        environment = {**os.environ, "PCSCLITE_CSOCK_NAME": self.daemon.socket}
        words = [sys.executable, "-m", "tests.pcsc.other", self.daemon.reader(1), share, *transaction]
        other = subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._others.append(other)
        assert other.stdout is not None
        return other.stdout.readline().strip()

    def leave(self) -> None:
        """Let the other programs end."""
        while self._others:
            self._others.pop().communicate()

    def view(self) -> EncoderView:
        """Return what the ledger says of the first encoder."""
        with self.bureau.plant.ledger.read() as connection:
            return machines.list_encoders(connection)[0]

    def reason(self) -> str | None:
        """Return what the first encoder says that it waits for."""
        return self.view().reason

    def waits(self, words: str) -> str | None:
        """Return the whole of what it says that it waits for once *words* are in it; None if they never are."""
        return until(lambda: said if words in (said := str(self.reason())) else None)

    def states(self, job: JobId) -> list[str]:
        """Return the states of the job's records."""
        return [card.state for card in self.bureau.cards(job)]

    def plastics(self, job: JobId) -> list[tuple[int | None, str]]:
        """Return position and outcome of each plastic that the job's records consumed."""
        return sorted(
            (attempt.position, attempt.outcome) for card in self.bureau.cards(job) for attempt in self.bureau.attempts(card)
        )

    def cause(self, job: JobId) -> str:
        """Return why the first plastic of the job's first record isn't good."""
        return self.bureau.attempts(self.bureau.cards(job)[0])[0].cause or ""

    def trays(self) -> dict[int, object]:
        """Return where each plastic lies."""
        return {plastic.position: plastic.tray for plastic in self.bureau.plastics()}

    def assert_balanced(self, job: JobId) -> None:
        """Assert that every record and every plastic is counted, and that the world agrees on what was written."""
        (balance,) = self.bureau.balances(job)
        assert balance.records_in == balance.good + balance.open
        assert balance.stock_balances
        assert balance.drawn == len(self.bureau.plastics())
        called = dict(self.plastics(job))
        wanted = [card.contents for card in expected.cards(self.file)]
        for plastic in self.bureau.plastics():
            good = called.get(plastic.position) == "good"
            assert (plastic.tray == "good") == good
            assert not good or plastic.contents in wanted
            assert not plastic.contents or called.get(plastic.position) in {"good", "unknown", "spoiled"}
