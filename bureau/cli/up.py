"""The up command: the whole bureau under one supervisor."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from bureau.cli import acting, session
from bureau.cli.output import note
from bureau.errors import BureauError, NotAllowedError
from bureau.ledger import accounts, floor
from bureau.ledger import encoders as lines_of
from bureau.models import EncoderId, EncoderState
from bureau.service import hosts, operate
from bureau.service.people import Action
from bureau.service.plant import Plant
from workers.broker import Broker, broker
from workers.supervisor import Supervisor, signals_caught

TICK: Final = 0.1
START_SECONDS: Final = 60.0
"""An encoder that hasn't started by then is named, and the others begin."""


@click.command("up")
@click.option("--open", "open_", is_flag=True, help="Open the line of every encoder; otherwise they start held.")
@click.argument("encoders", nargs=-1, metavar="[ENCODER...]")
@acting.acting
def up_command(open_: bool, encoders: tuple[str, ...]) -> None:
    """Run the bureau until Ctrl-C.

    That is a broker, one worker for each encoder (or those named), the office and beat. Ctrl-C and SIGTERM finish the cards
    in hand and start nothing new. Logs are under BUREAU_HOME/log.
    """
    plant = session.plant()
    check(plant)
    names = [plant.encoder(EncoderId(name)).machine.encoder for name in encoders] or list(plant.encoders)
    if not names:
        raise BureauError(f"{plant.settings.stations_file} names no encoder", "config/demo/stations.toml shows how.")
    hosts.check(plant, names)
    opener = acting.actor(plant, Action.OPEN) if open_ else None
    with running(plant) as bureau:
        bureau.start(names, opener=opener)
        bureau.keep(on_ready=lambda: note(_welcome(names, opened=open_)))


def check(plant: Plant) -> None:
    """Raise BureauError where the ledger isn't migrated or there is no passphrase, KeyStoreError where it is a wrong one."""
    if not plant.ledger.is_migrated():
        raise BureauError("the ledger isn't that of this version", "Run `bureau migrate` first.")


@dataclass(slots=True)
class Bureau:
    """A bureau that runs: its broker, if it is our own, and the processes under the supervisor."""

    plant: Plant
    supervisor: Supervisor
    broker: Broker | None
    caught: list[int]
    opener: str | None = None
    """Who opens the lines of the encoders, if anyone does."""
    names: tuple[EncoderId, ...] = ()
    missing: set[EncoderId] = field(default_factory=set)
    since: datetime = datetime.min
    signed: float = 0.0
    """When this host last gave a sign of life."""

    def start(self, names: Sequence[EncoderId], *, opener: str | None) -> None:
        """Start the workers of *names*, beside those that run; keep() opens their lines where there is an *opener*."""
        self.names, self.missing, self.opener = (*self.names, *names), set(names), opener
        self.since = self.plant.clock()
        self.supervisor.start(names)

    def keep(self, *, on_ready: Callable[[], None] = lambda: None, done: Callable[[], bool] = lambda: False) -> None:
        """Keep everything running until a signal comes or *done*."""
        self._await(time.monotonic() + START_SECONDS)
        if not self.caught:
            on_ready()
        while not self.caught and not done():
            self.tick()

    def stop(self) -> None:
        """Let the cards in hand be finished; start nothing new. Another signal changes nothing."""
        self.supervisor.stop()
        told = 0
        while running := self.supervisor.names():
            if len(self.caught) != told:
                told = len(self.caught)
                note(f"finishing the cards in hand, starting nothing new: {', '.join(running)}")
            self.tick()
        self.supervisor.close()
        _leave(self)

    def _await(self, deadline: float) -> None:
        """Wait until every worker has started, opening each line that is to be opened as its worker comes up."""
        while self.missing and not self.caught:
            up = self.missing & _started(self.plant, self.since)
            self.missing -= up
            if up and self.opener is not None:
                _open(self, up, self.opener)
            if time.monotonic() > deadline:
                logs = self.plant.settings.logs
                note(f"not started within {START_SECONDS:.0f} s: {', '.join(sorted(self.missing))}; see {logs}")
                return
            self.tick()

    def tick(self) -> None:
        """Look after the processes for a moment: start again what ended by itself."""
        self.supervisor.check()
        if self.broker is not None:
            self.broker.check()
        if time.monotonic() - self.signed > self.plant.settings.sign.total_seconds():
            self.signed = time.monotonic()
            with suppress(BureauError):  # a ledger that can't be written lets nothing be claimed either
                hosts.sign(self.plant, self.names)
        time.sleep(TICK)


@contextmanager
def running(plant: Plant, *, template: str = "workers.template", server: Path | None = None) -> Iterator[Bureau]:
    """Start broker and supervisor of *plant*; at the end, let the cards in hand be finished.

    template: the module that all workers are forked from; server: the broker to start where none is configured.

    Raises NotAllowedError where another process does so already, BureauError without a broker.
    """
    with _alone(plant.settings.lock), signals_caught() as caught, broker(plant.settings, server) as (settings, own):
        supervisor = Supervisor(settings, template)
        supervisor.prepare()
        bureau = Bureau(plant, supervisor, own, caught)
        try:
            yield bureau
        finally:
            bureau.stop()


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as taken:
        raise NotAllowedError(
            f"a bureau is up in {file.parent} already", "End that one with Ctrl-C, or open its encoders."
        ) from taken
    finally:
        os.close(lock)


def _started(plant: Plant, since: datetime) -> set[EncoderId]:
    with plant.ledger.read() as connection:
        return {view.machine.encoder for view in floor.list_encoders(connection) if view.started_at >= since}


def _open(bureau: Bureau, names: set[EncoderId], actor: str) -> None:
    """Open the lines of *names* and wake them: what a broker forgot, the ledger knows."""
    settings, plant = bureau.supervisor.settings, bureau.plant
    tell, wake = session.tell(settings), session.wake(settings)
    with plant.ledger.read() as connection:
        held = {view.machine.encoder for view in floor.list_encoders(connection) if view.machine.state is EncoderState.HELD}
    for name in sorted(names & held):
        operate.open_line(plant, name, actor, tell)
    operate.wake_pools(plant, wake)


def _leave(bureau: Bureau) -> None:
    """Hold the lines that are still open, nobody is there to take their cards, and give up their names; not other hosts'."""
    plant = bureau.plant
    with plant.ledger.read() as connection:
        mine = [view for view in floor.list_encoders(connection) if view.machine.encoder in bureau.names]
        actor = f"os: {plant.settings.os_user}" if accounts.exist(connection) else plant.settings.user
    for view in mine:
        if view.machine.state is EncoderState.HELD or view.host != plant.settings.host:
            continue
        operate.hold_line(plant, view.machine.encoder, "the bureau was stopped", actor, lambda *_line: None)
    lines_of.left(plant.ledger, bureau.names, plant.settings.host, plant.clock())


def _welcome(names: Sequence[EncoderId], *, opened: bool) -> str:
    lines = "their lines are open" if opened else "their lines are held: `bureau open ENCODER`"
    return f"the bureau is up with {', '.join(names)}; {lines}. Ctrl-C finishes the cards in hand and ends."
