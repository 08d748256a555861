"""The up command: the whole bureau under one supervisor."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import click

from bureau.cli import session
from bureau.cli.output import note
from bureau.errors import BureauError
from bureau.ledger import floor
from bureau.models import EncoderId, EncoderState
from bureau.service import operate
from bureau.service.plant import Plant
from config.settings import Settings
from workers.supervisor import Supervisor, broker, signals_caught

TICK: Final = 0.1
START_SECONDS: Final = 60.0


@click.command("up")
@click.option("--open", "open_", is_flag=True, help="Open the line of every encoder; otherwise they start held.")
@click.argument("encoders", nargs=-1, metavar="[ENCODER...]")
def up_command(open_: bool, encoders: tuple[str, ...]) -> None:
    """Run broker, one worker for each encoder (or those named), the office and beat, until Ctrl-C.

    Ctrl-C and SIGTERM finish the cards in hand and start nothing new. Logs are under BUREAU_HOME/log.
    """
    plant = session.plant()
    check(plant)
    names = [plant.encoder(EncoderId(name)).machine.encoder for name in encoders] or list(plant.encoders)
    if not names:
        raise BureauError(f"{plant.settings.stations_file} names no encoder", "config/demo/stations.toml shows how.")
    run(plant, names, opened=names if open_ else (), on_ready=lambda: note(_welcome(names, opened=open_)))


def check(plant: Plant) -> None:
    """Raise BureauError where the ledger isn't migrated or the key store doesn't open, before anything is started."""
    if not plant.ledger.is_migrated():
        raise BureauError("the ledger isn't that of this version", "Run `bureau migrate` first.")


def run(
    plant: Plant,
    names: Sequence[EncoderId],
    *,
    opened: Sequence[EncoderId] = (),
    on_ready: Callable[[], None] = lambda: None,
    done: Callable[[], bool] = lambda: False,
) -> None:
    """Keep the bureau running until a signal comes or *done*, then let the cards in hand be finished."""
    with signals_caught() as caught, broker(plant.settings) as settings:
        supervisor = Supervisor(settings)
        started = plant.clock()
        supervisor.start(names)
        try:
            waiting = set(names)
            deadline = time.monotonic() + START_SECONDS
            while not caught and (waiting or not done()):
                if waiting and time.monotonic() < deadline:
                    waiting -= _started(plant, started)
                    if not waiting:
                        _open(plant, opened, settings)
                        on_ready()
                supervisor.check()
                time.sleep(TICK)
        finally:
            _stop(supervisor, caught)


def _started(plant: Plant, since: datetime) -> set[EncoderId]:
    with plant.ledger.read() as connection:
        return {view.machine.encoder for view in floor.list_encoders(connection) if view.started_at >= since}


def _open(plant: Plant, names: Sequence[EncoderId], settings: Settings) -> None:
    with plant.ledger.read() as connection:
        held = {view.machine.encoder for view in floor.list_encoders(connection) if view.machine.state is EncoderState.HELD}
    tell, wake = session.tell(settings), session.wake(settings)
    for name in names:
        if name in held:
            operate.open_line(plant, name, plant.settings.user, tell)
    operate.wake_pools(plant, wake)


def _stop(supervisor: Supervisor, caught: list[int]) -> None:
    supervisor.stop()
    told = 0
    while running := supervisor.running():
        if caught and len(caught) != told:
            told = len(caught)
            note(f"finishing the cards in hand, starting nothing new: {', '.join(running)}")
        time.sleep(TICK)


def _welcome(names: Sequence[EncoderId], *, opened: bool) -> str:
    lines = "their lines are open" if opened else "their lines are held: `bureau open ENCODER`"
    return f"the bureau is up with {', '.join(names)}; {lines}. Ctrl-C finishes the cards in hand and ends."
