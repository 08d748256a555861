"""A real or virtual PC/SC reader as an encoder: its own from connect to eject, and nothing that it does hangs the engine."""

import os
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final, Self

from hardware.encoders import Tray
from hardware.encoders.lock import locked
from hardware.encoders.pcsc import codes
from hardware.encoders.pcsc.exchange import exchange
from hardware.encoders.pcsc.feeder import POLL_SECONDS, Feeder, Hand, Simulated
from hardware.encoders.pcsc.reader import Reader, TooManyReaders, readers
from hardware.errors import ReaderError
from hardware.iso7816 import Command, Response

BLIND_SECONDS: Final = 0.5
"""pcscd calls a reader empty whose card couldn't be reset, and never sees a card that comes before its next poll."""
DEADLINE: Final = 30.0
"""The longest that a card may take for one command: some generate keys."""
OPTIONS: Final = {"reader", "socket", "deadline_seconds", "feeder", "stock"}


class Pcsc:
    """Hands commands to the card in a PC/SC reader."""

    KEY: ClassVar[str] = "pcsc"

    def __init__(self, reader: Reader, feeder: Feeder, lock: int) -> None:
        self._reader, self._feeder = reader, feeder
        self._protocol = 0
        self._unlock = weakref.finalize(self, os.close, lock)

    @classmethod
    def start(cls, name: str, options: Mapping[str, object], world: Path) -> Self:
        """Take the machine *name*; its reader need not be there yet.

        options: reader (its name), socket (the PCSCLITE_CSOCK_NAME of its pcscd; default the system's), deadline_seconds;
        and either stock (what a person feeds) or feeder (the socket of a virtual reader's simulated feeder). Raises
        ValueError, also where the pcscd has too many readers, and EncoderBusy.
        """
        if unknown := sorted(set(options) - OPTIONS):
            raise ValueError(f"encoder {name}: a PC/SC reader has no option {', '.join(unknown)}")
        reader, pcscd, feeder, stock = (_text(name, options, key) for key in ("reader", "socket", "feeder", "stock"))
        deadline = options.get("deadline_seconds", DEADLINE)
        if not reader:
            raise ValueError(f"encoder {name}: which reader? `bureau readers` lists them")
        if not isinstance(deadline, int | float) or not 0 < deadline <= 600:
            raise ValueError(f"encoder {name}: deadline_seconds: {deadline!r} is no number of seconds up to 600")
        if bool(feeder) == bool(stock):
            raise ValueError(f"encoder {name}: name either the stock that a person feeds, or the feeder of a virtual reader")
        _few(pcscd)
        lock = locked(world / f"{name}.reader.lock", name)
        fed_by = Simulated(feeder) if feeder else Hand(stock, world / f"{name}.fed")
        return cls(Reader(reader, pcscd, deadline), fed_by, lock)

    def station(self) -> int | None:
        """Return the number of the card in the reader."""
        return self._feeder.station()

    def blanks(self) -> Mapping[str, int]:
        """Return how many blanks are left of each stock."""
        return self._feeder.blanks()

    def awaits(self, seconds: float) -> str | None:
        """Return what keeps the reader from taking a card, after waiting so long for it to pass; None if nothing does."""
        wants = self._feeder.wants_card
        try:
            seen = self._reader.wait(card=wants, seconds=0)
            if seen.is_there and not seen.is_taken:
                seen = self._reader.wait(card=wants, seconds=max(seconds, self._feeder.patience))
        except ReaderError as fault:
            return _after(seconds, str(fault))
        if not seen.is_there:
            return _after(seconds, f"plug in reader {self._reader.name} again")
        if seen.is_taken:
            return _after(seconds, f"another program holds reader {self._reader.name}: end that program")
        asked = self._feeder.asks(card=seen.has_card)
        return f"{asked} (reader {self._reader.name})" if asked else None

    def feed(self, stock: str) -> tuple[int, bytes] | None:
        """Bring the next blank of *stock* into the reader and switch it on; raises ReaderError."""
        if fault := self.awaits(0):
            raise ReaderError(fault)
        position = self._feeder.feed(stock)
        if position is None:
            return None
        if not self._reader.wait(card=True, seconds=POLL_SECONDS).has_card:
            raise ReaderError(f"reader {self._reader.name} doesn't see the card that was fed")
        self._protocol, atr = self._reader.connect()
        return position, atr

    @property
    def protocol(self) -> str:
        """Return how the card in the reader talks."""
        return codes.NAMES.get(self._protocol, "")

    def transmit(self, command: Command) -> Response:
        """Exchange one command; raises MuteCard, LostCard, and ProtocolError before it is sent if T=0 can't carry it."""
        return exchange(command, self._protocol, lambda apdu: self._reader.transmit(command.name, apdu))

    def eject(self, tray: Tray) -> None:
        """Let go of the card and move it to *tray*."""
        is_clean = self._reader.disconnect()
        self._feeder.eject(tray)
        if not is_clean:
            time.sleep(BLIND_SECONDS)

    def close(self) -> None:
        """Let go of the reader."""
        self._reader.close()
        self._feeder.close()
        self._unlock()


def _after(seconds: float, reason: str) -> str:
    """Return *reason* after so many seconds in which nobody would have told that it passed."""
    time.sleep(seconds)
    return reason


def _few(pcscd: str) -> None:
    """Raise ValueError where the pcscd has more readers than it can serve; one that isn't running has none yet."""
    with suppress(ReaderError):
        try:
            readers(pcscd)
        except TooManyReaders as many:
            raise ValueError(str(many)) from many


def _text(name: str, options: Mapping[str, object], key: str) -> str:
    value = options.get(key, "")
    if not isinstance(value, str):
        raise ValueError(f"encoder {name}: {key} must be a text")
    return value
