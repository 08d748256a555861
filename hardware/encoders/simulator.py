"""A simulated encoder: hoppers of simulated blanks whose world outlives every crash."""

import os
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, cast

from hardware.crypto import random_bytes
from hardware.encoders import Tray
from hardware.encoders.lock import locked
from hardware.errors import LostCard, MuteCard
from hardware.iso7816 import Command, Response
from hardware.sim.blank import shipped
from hardware.sim.world import Defect, Pace, World

OPTIONS: Final = {"blank", "blanks", "seed", "milliseconds_per_command", "milliseconds_per_byte", "defects"}


class Simulator:
    """Hands commands to the card of a World."""

    KEY: ClassVar[str] = "simulator"

    def __init__(self, world: World, lock: int) -> None:
        self._world = world
        self._unlock = weakref.finalize(self, os.close, lock)

    @classmethod
    def start(
        cls, name: str, options: Mapping[str, object], world: Path, probe: Callable[[str], None] = lambda _moment: None
    ) -> "Simulator":
        """Start or rebuild the world of *name* in the folder *world*.

        options: blank (a kind that hardware/sim/blanks ships), blanks (how many, by stock), seed (another for each encoder,
        for it goes into the chips' serial numbers), milliseconds_per_command and _per_byte, defects (by position: Defect).
        Raises EncoderBusy while another process drives this world.
        """
        return cls(*open_world(name, options, world, probe))

    def station(self) -> int | None:
        """Return the number of the card in the station."""
        return self._world.position

    def blanks(self) -> Mapping[str, int]:
        """Return how many blanks are left of each stock."""
        return self._world.hoppers

    def awaits(self, seconds: float) -> str | None:  # noqa: ARG002
        """Return None: a simulated machine is always ready."""
        return None

    def feed(self, stock: str) -> tuple[int, bytes] | None:
        """Bring the next blank of *stock* into the station and switch it on."""
        position = self._world.feed(stock)
        return None if position is None else (position, self._world.power_on())

    @property
    def protocol(self) -> str:
        """Return nothing: there is no line."""
        return ""

    def transmit(self, command: Command) -> Response:
        """Exchange one command; raises MuteCard where the card doesn't answer, LostCard where its journal fails."""
        try:
            answer = self._world.transmit(bytes(command))
        except OSError as fault:
            raise LostCard(f"{command.name}: the world's journal: {fault}") from fault
        if answer is None:
            raise MuteCard(f"{command.name}: the card doesn't answer")
        return Response.parse(answer)

    def eject(self, tray: Tray) -> None:
        """Move the card in the station to *tray*."""
        self._world.eject(tray)

    def close(self) -> None:
        """Close the world's journal."""
        self._world.close()
        self._unlock()


def open_world(
    name: str, options: Mapping[str, object], folder: Path, probe: Callable[[str], None] = lambda _moment: None
) -> tuple[World, int]:
    """Open or rebuild the world of *name* in *folder* as the options of a simulator say; return it with the lock on it.

    Raises ValueError for wrong options, EncoderBusy while another process drives this world.
    """
    if unknown := sorted(set(options) - OPTIONS):
        raise ValueError(f"encoder {name}: a simulator has no option {', '.join(unknown)}")
    settings = cast("Mapping[str, Any]", options)
    try:
        pace = Pace(
            command=settings.get("milliseconds_per_command", 0) / 1000,
            byte=settings.get("milliseconds_per_byte", 0) / 1000,
        )
        defects = {int(position): Defect(**defect) for position, defect in settings.get("defects", {}).items()}
        blank, count, seed = shipped(settings["blank"]), dict(settings["blanks"]), int(settings["seed"])
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as wrong:
        raise ValueError(f"encoder {name}: its options are wrong: {wrong}") from wrong
    lock = locked(folder / f"{name}.lock", name)
    try:
        opened = World.open(
            folder / f"{name}.journal",
            blank=blank,
            hoppers=count,
            seed=seed,
            entropy=random_bytes,
            defects=defects,
            probe=probe,
            sleep=time.sleep,
            pace=pace,
        )
    except BaseException:
        os.close(lock)
        raise
    return opened, lock
