"""The world of one encoder: hoppers of blanks, one station, three trays, and the journal it all follows from."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from hardware.sim.blank import Blank
from hardware.sim.card import Card
from hardware.sim.eeprom import Eeprom, Json, fold
from hardware.sim.journal import Event, Journal

FORMAT: Final = 1
TRAYS: Final = ("good", "reject", "returned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """What is wrong with one plastic; commands count from 1 since it was fed, or since the process started.

    worn_dgis: one bit of each flips as it is written; lost_dgis: each is taken and not kept.
    """

    mute_at: int | None = None
    mute_after: int | None = None
    memory: int | None = None
    wrong_keys: bool = False
    refused_dgis: Collection[int] = ()
    worn_dgis: Collection[int] = ()
    lost_dgis: Collection[int] = ()
    dead: bool = False

    def spoil(self, blank: Blank) -> Blank:
        """Return *blank* as this plastic came out of the factory."""
        if self.wrong_keys:
            keys = {name: bytes(byte ^ 0xFF for byte in getattr(blank, name)) for name in ("enc", "mac", "dek")}
            agreed = blank.ecka.spoiled() if blank.ecka else None
            blank = replace(blank, enc=keys["enc"], mac=keys["mac"], dek=keys["dek"], ecka=agreed)
        memory = blank.memory if self.memory is None else self.memory
        return replace(
            blank,
            memory=memory,
            refused_dgis=blank.refused_dgis.union(self.refused_dgis),
            worn_dgis=blank.worn_dgis.union(self.worn_dgis),
            lost_dgis=blank.lost_dgis.union(self.lost_dgis),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a command takes: seconds for each, and for each byte sent or received."""

    command: float = 0.0
    byte: float = 0.0


NO_DEFECTS: Final[Mapping[int, Defect]] = MappingProxyType({})
SOUND: Final = Defect()


def _no_probe(_moment: str) -> None: ...


class World:
    """Move plastic through one encoder; opening the same journal again rebuilds it exactly."""

    def __init__(
        self,
        journal: Journal,
        *,
        blank: Blank,
        hoppers: Mapping[str, int],
        seed: int,
        entropy: Callable[[int], bytes],
        defects: Mapping[int, Defect],
        probe: Callable[[str], None],
        pause: Callable[[int], None],
    ) -> None:
        self._journal, self._blank, self._seed, self._entropy = journal, blank, seed, entropy
        self._defects, self._probe, self._pause = defects, probe, pause
        self._filled, self._fed = dict(hoppers), dict[str, int]()
        self._position: int | None = None
        self._values: dict[str, Json] = {}
        self._card: Card | None = None
        self._powered, self._commands = False, 0
        for event in journal.events:
            self._replay(event)

    @classmethod
    def open(
        cls,
        journal: Path,
        *,
        blank: Blank,
        hoppers: Mapping[str, int],
        seed: int,
        entropy: Callable[[int], bytes],
        defects: Mapping[int, Defect] = NO_DEFECTS,
        probe: Callable[[str], None] = _no_probe,
        sleep: Callable[[float], None] | None = None,
        pace: Pace | None = None,
    ) -> "World":
        """Open the journal, or start it with *hoppers* (blanks by stock); a card in the station stays there, powered off.

        Raises ValueError where the journal is another blank's or another seed's, or *pace* has no *sleep*.
        """
        if pace and not sleep:
            raise ValueError("a pace needs a sleep")

        def pause(size: int) -> None:
            if pace and sleep and (seconds := pace.command + pace.byte * size):
                sleep(seconds)

        lines = Journal(journal)
        first: Event = {"event": "world", "format": FORMAT, "blank": blank.name, "hoppers": dict(hoppers), "seed": seed}
        if not lines.events:
            blank.identity(seed, 1)
            lines.append(first)
            lines.events.append(first)
        found = lines.events[0]
        filled = found.get("hoppers")
        if {**found, "hoppers": dict(hoppers)} != first or not isinstance(filled, dict):
            lines.close()
            raise ValueError(f"{journal} belongs to blank {found.get('blank')}, seed {found.get('seed')}")
        return cls(
            lines,
            blank=blank,
            hoppers={stock: int(str(count)) for stock, count in filled.items()},
            seed=seed,
            entropy=entropy,
            defects=defects,
            probe=probe,
            pause=pause,
        )

    @property
    def hoppers(self) -> dict[str, int]:
        """Return how many blanks are left, by stock."""
        return {stock: filled - self._fed.get(stock, 0) for stock, filled in self._filled.items()}

    @property
    def position(self) -> int | None:
        """Return the number of the plastic in the station, counted from 1 and never used again."""
        return self._position

    def feed(self, stock: str) -> int | None:
        """Move the next blank of *stock* into the station; returns None when its hopper is empty or isn't there."""
        if self._position is not None:
            raise RuntimeError("a card is in the station")
        if not self.hoppers.get(stock):
            return None
        position = sum(self._fed.values()) + 1
        values: dict[str, Json] = {
            "stock": stock,
            "identity": self._blank.identity(self._seed, position).hex().upper(),
            "isd/state": f"{self._blank.life_cycle:02X}",
            "scp/sequence": 0,
            "scp/failures": 0,
        }
        self._record({"position": position, "event": "fed", "set": values})
        return position

    def power_on(self) -> bytes:
        """Reset the card and return its ATR; a dead or mute one returns nothing."""
        if self._position is None:
            raise RuntimeError("no card is in the station")
        self._powered = True
        if self._defect.dead or self._values.get("mute"):
            return b""
        if self._card is None:
            self._card = Card(self._defect.spoil(self._blank), Eeprom(self._values), self._entropy)
        return self._card.reset()

    def transmit(self, apdu: bytes) -> bytes | None:
        """Return the card's answer; None once it is mute."""
        if self._position is None or not self._powered:
            raise RuntimeError("no powered card is in the station")
        if self._card is None or self._values.get("mute"):
            return None
        self._probe("before")
        self._commands += 1
        if self._commands == self._defect.mute_at:
            self._mute()
            return None
        answer, changes = self._card.transmit(apdu)
        if changes:
            header = apdu[:4].hex().upper()
            self._record({"position": self._position, "event": "command", "header": header, "set": changes})
        self._pause(len(apdu) + len(answer))
        self._probe("after")
        if self._commands == self._defect.mute_after:
            self._mute()
            return None
        return answer

    def _mute(self) -> None:
        self._record({"position": self._position, "event": "mute", "set": {"mute": True}})

    def eject(self, tray: str) -> None:
        """Drop the card into *tray*; raises ValueError for a tray that isn't there."""
        if self._position is None:
            raise RuntimeError("no card is in the station")
        if tray not in TRAYS:
            raise ValueError(f"no tray {tray}")
        self._record({"position": self._position, "event": "ejected", "set": {"tray": tray}})

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    @property
    def _defect(self) -> Defect:
        return self._defects.get(self._position or 0, SOUND)

    def _record(self, event: Event) -> None:
        try:
            self._journal.append(event)
        except OSError:
            self._card, self._powered = None, False  # what the journal lacks never happened
            raise
        self._replay(event)

    def _replay(self, event: Event) -> None:
        match event:
            case {"event": "fed", "position": int(position), "set": {"stock": str(stock)}}:
                self._position = position
                self._fed[stock] = self._fed.get(stock, 0) + 1
                self._values, self._card, self._powered, self._commands = {}, None, False, 0
            case {"event": "ejected"}:
                self._position, self._card, self._powered = None, None, False
        match event:
            case {"set": dict(changes)}:
                fold(self._values, changes)
