"""Who brings cards into a reader and takes them out: a simulated machine, or a person."""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from hardware.encoders import Tray
from hardware.errors import ReaderError

SECONDS: Final = 10.0
POLL_SECONDS: Final = 5.0
"""pcscd looks for a card every 0.4 s; a reader that hasn't seen one come or go after this long won't."""
_OUT: Final = "out"
_STATION: Final = "station"
_TRAYS: Final = {Tray.GOOD: "good", Tray.REJECT: "a reject", Tray.RETURNED: "as it came"}
_MESSAGE: Final = 1 << 16


class Feeder(Protocol):
    """Moves plastic; each piece has a number of its own."""

    @property
    def patience(self) -> float:
        """Seconds that the reader has at least to see that what is wanted is so."""

    @property
    def wants_card(self) -> bool:
        """Whether a card must be in the reader before feed, or must not."""

    def asks(self, *, card: bool) -> str | None:
        """Return what a person must do before feed, by whether a card is in the reader now; None if nothing."""

    def station(self) -> int | None:
        """Return the number of the card in the reader."""

    def blanks(self) -> Mapping[str, int]:
        """Return how many blanks are left of each stock."""

    def feed(self, stock: str) -> int | None:
        """Bring the next blank of *stock* into the reader; None where there is none."""

    def eject(self, tray: Tray) -> None:
        """Move the card in the reader to *tray*."""

    def close(self) -> None:
        """Let go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stands:
    position: int | None
    blanks: Mapping[str, int]


class Simulated:
    """The feeder of a simulated card behind a virtual reader, asked over the unix socket *path*."""

    patience: Final = POLL_SECONDS
    wants_card: Final = False

    def __init__(self, path: str) -> None:
        self._path = path
        self._line: socket.socket | None = None

    def asks(self, *, card: bool) -> str | None:
        """Ask for a card to be taken out that the reader still sees, or that somebody put in."""
        return "take out the card that is in it" if card else None

    def station(self) -> int | None:
        """Return the number of the card in the reader."""
        return self._ask().position

    def blanks(self) -> Mapping[str, int]:
        """Return how many blanks are left of each stock."""
        return self._ask().blanks

    def feed(self, stock: str) -> int | None:
        """Bring the next blank of *stock* into the reader; None where there is none."""
        return self._ask(feed=stock).position

    def eject(self, tray: Tray) -> None:
        """Move the card in the reader to *tray*."""
        self._ask(eject=tray)

    def meddle(self, *, card: bool) -> None:
        """Push the card in the station back into the reader, or pull it out, as nobody should."""
        self._ask(**{"push" if card else "pull": "1"})

    def close(self) -> None:
        """Let go."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _ask(self, **request: str) -> _Stands:
        try:
            if self._line is None:
                self._line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                self._line.settimeout(SECONDS)
                self._line.connect(self._path)
            self._line.send(json.dumps(request).encode())
            answer = self._line.recv(_MESSAGE)
        except OSError as failed:
            self.close()
            raise ReaderError(f"the feeder behind {self._path} doesn't answer: {failed}") from failed
        if not answer:
            self.close()
            raise ReaderError(f"the feeder behind {self._path} has ended")
        return _Stands(**json.loads(answer))


class Hand:
    """A person who feeds blanks of *stock* one by one; *file* keeps the card's number and place for the next process."""

    patience: Final = 0.0

    def __init__(self, stock: str, file: Path) -> None:
        self._stock, self._file = stock, file
        self._number, self._place = 0, _OUT
        if file.exists():
            kept = json.loads(file.read_text("ascii"))
            self._number, self._place = int(kept["number"]), str(kept["place"])

    @property
    def wants_card(self) -> bool:
        """Whether the reader should hold a card: not until the last one has been taken out."""
        return self._place in (_OUT, _STATION)

    def asks(self, *, card: bool) -> str | None:
        """Ask for the last card to be taken out, then for a blank."""
        if not self.wants_card:
            if card:
                return f"take out the card, it is {_TRAYS[Tray(self._place)]}"
            self._keep(self._number, _OUT)
        return None if card else f"insert a {self._stock} blank"

    def station(self) -> int | None:
        """Return the number of the card that is being made."""
        return self._number if self._place == _STATION else None

    def blanks(self) -> Mapping[str, int]:
        """Return that there is one blank, for as many as are asked for come one by one."""
        return {self._stock: 1}

    def feed(self, stock: str) -> int | None:
        """Take the card in the reader for the next blank of *stock*."""
        if stock != self._stock:
            return None
        self._keep(self._number + 1, _STATION)
        return self._number

    def eject(self, tray: Tray) -> None:
        """Wait from now on for the card to be taken out."""
        self._keep(self._number, tray)

    def close(self) -> None:
        """Do nothing."""

    def _keep(self, number: int, place: str) -> None:
        """Write both down before they count: a number must never be used twice."""
        new = self._file.with_suffix(".new")
        with new.open("w", encoding="ascii") as file:
            json.dump({"number": number, "place": place}, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)
        self._number, self._place = number, place
