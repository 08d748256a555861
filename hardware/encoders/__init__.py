"""What holds a card: one file for each kind of machine, found by its KEY."""

from collections.abc import Mapping
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import ClassVar, Protocol, cast

from hardware.iso7816 import Command, Response


class Tray(StrEnum):
    """Where a card goes when it leaves the station."""

    GOOD = "good"
    REJECT = "reject"
    RETURNED = "returned"
    """Untouched, back to the stock."""


class Encoder(Protocol):
    """A machine with hoppers of blanks, one station with contacts, and trays."""

    KEY: ClassVar[str]

    @classmethod
    def start(cls, name: str, options: Mapping[str, object], world: Path) -> "Encoder":
        """Start the machine *name*; *options* are its lines in stations.toml.

        Raises ValueError for wrong options, EncoderBusy while another process drives the machine.
        """

    def station(self) -> int | None:
        """Return the number of the card in the station, which a crash may have left there."""

    def blanks(self) -> Mapping[str, int]:
        """Return how many blanks are left of each stock."""

    def awaits(self, seconds: float) -> str | None:
        """Return what keeps the machine from taking a card, after waiting so long for it to pass; None if nothing does."""

    def feed(self, stock: str) -> tuple[int, bytes] | None:
        """Bring the next blank of *stock* into the station and switch it on.

        Returns its number on this machine, never used twice, and its ATR (empty: mute); None when there is no blank of it.
        Raises ReaderError where the machine fails; the card may be in the station then.
        """

    @property
    def protocol(self) -> str:
        """How the card in the station talks: "T=0" or "T=1"; empty where there is no line that could be slow."""

    def transmit(self, command: Command) -> Response:
        """Exchange one command; raises MuteCard or LostCard when no answer came."""

    def eject(self, tray: Tray) -> None:
        """Move the card in the station to *tray*."""

    def close(self) -> None:
        """Let go of the machine."""


def encoder(key: str) -> type[Encoder]:
    """Return the kind of machine named *key*; raises ValueError where there is none."""
    try:
        if not key.isidentifier():
            raise ModuleNotFoundError(key)
        module = import_module(f"hardware.encoders.{key}")
    except ModuleNotFoundError as missing:
        raise ValueError(f"no kind of encoder is called {key!r}") from missing
    found = [kind for kind in vars(module).values() if getattr(kind, "KEY", None) == key]
    if not found:
        raise ValueError(f"no kind of encoder is called {key!r}")
    return cast("type[Encoder]", found[0])
