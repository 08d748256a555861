"""Two virtual readers, the simulated cards behind them, and encoders on them that a test can meddle with."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from hardware.encoders import Tray
from hardware.encoders.pcsc import Pcsc
from hardware.encoders.pcsc.daemon import Daemon
from hardware.encoders.pcsc.feeder import Simulated
from hardware.encoders.pcsc.reader import Reader
from hardware.iso7816 import Command, Response

BLUE: Final = "PLASTIC-BLUE"
ATR: Final = bytes.fromhex("3B878131FE45504552534F3032D5")
CPLC: Final = Command("GET DATA 9F7F", 0x80, 0xCA, 0x9F, 0x7F, ne=256)


class Meddled(Pcsc):
    """A PC/SC encoder that tells of each command before it is sent, and of each card before it leaves ("eject")."""

    before: Callable[[str], None] = staticmethod(lambda _moment: None)

    def transmit(self, command: Command) -> Response:
        """Tell, then exchange."""
        self.before(command.name)
        return super().transmit(command)

    def eject(self, tray: Tray) -> None:
        """Tell, then let the card go."""
        self.before("eject")
        super().eject(tray)


class Floor:
    """What stands on the two readers."""

    def __init__(self, daemon: Daemon, worlds: Path) -> None:
        self.daemon, self.worlds = daemon, worlds
        self._feeders: dict[int, str] = {}
        self._open: list[Pcsc | Simulated | Reader] = []

    def cards(self, number: int, blanks: int = 5, **defects: Mapping[str, object]) -> str:
        """Put blanks behind reader *number*; defects as p1={"mute_at": 2}. Returns the feeder's socket."""
        options = {
            "blank": "payment-scp02",
            "blanks": {BLUE: blanks},
            "seed": number,
            "defects": {position[1:]: defect for position, defect in defects.items()},
        }
        self._feeders[number] = self.daemon.put(number, f"sim{number}", self.worlds, options)
        return self._feeders[number]

    def encoder(self, number: int, deadline: float = 10.0, **options: object) -> Meddled:
        """Start an encoder on reader *number*."""
        machine = Meddled.start(
            f"sim{number}",
            {
                "reader": self.daemon.reader(number),
                "socket": self.daemon.socket,
                "deadline_seconds": deadline,
                **(options or {"feeder": self._feeders[number]}),
            },
            self.worlds,
        )
        self._open.append(machine)
        return machine

    def hand(self, number: int) -> Simulated:
        """Return a hand of its own on the cards of reader *number*."""
        hand = Simulated(self._feeders[number])
        self._open.append(hand)
        return hand

    def reader(self, number: int) -> Reader:
        """Return another program on reader *number*."""
        reader = Reader(self.daemon.reader(number), self.daemon.socket)
        self._open.append(reader)
        return reader

    def close(self) -> None:
        """Let go of everything."""
        for each in self._open:
            each.close()
