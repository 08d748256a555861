"""The load generator of `bureau bench`: its cards open their channel, take a given time for every command, and agree.

It checks nothing, which leaves the processor to what is measured: what a chip would refuse is the simulator's to know. Its
plastic is forgotten with its process, so it is for bureaus that live as long as one measurement.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from hardware.crypto import random_bytes
from hardware.encoders import Tray
from hardware.iso7816 import Command, Response
from hardware.sim.blank import Blank, shipped
from hardware.sim.scp03 import Handshake
from hardware.tlv import tlv

BLANKS: Final = 1 << 20
OPTIONS: Final = {"seed", "milliseconds_per_command", "stocks", "load_file", "application"}
SELECT, INITIALIZE_UPDATE, GET_DATA, GET_STATUS, INSTALL, LOAD, STORE_DATA = 0xA4, 0x50, 0xCA, 0xF2, 0xE6, 0xE8, 0xE2
FOR_INSTALL, LAST = 0x04, 0x80
OP_READY, LOADED, SELECTABLE, PERSONALIZED = 0x01, 0x01, 0x07, 0x0F
DONE, NOT_FOUND = Response(b"", 0x9000), Response(b"", 0x6A88)


class _Chip:
    """One card: the cryptogram of its blank's SCP03 keys, and what it holds, seen by the headers of its commands alone."""

    def __init__(self, blank: Blank, identity: bytes, load_file: bytes, application: bytes) -> None:
        self._blank, self._identity = blank, identity
        self._held = {0x80: (blank.isd_aid, OP_READY), 0x40: (application, 0), 0x20: (load_file, 0)}

    def answer(self, command: Command) -> Response:
        """Return what a card answers that finds nothing wrong."""
        match command.ins:
            case 0x50:
                return self._challenge(command.data)
            case 0xCA:
                return Response(tlv(0x9F7F, self._identity), 0x9000)
            case 0xF2:
                return self._status(command.p1)
            case 0xE8 if command.p1 & LAST:
                self._note(0x20, LOADED)
            case 0xE6 if command.p1 & FOR_INSTALL:
                self._note(0x40, SELECTABLE)
            case 0xE2 if command.p1 & LAST:
                self._note(0x40, PERSONALIZED)
        return DONE

    def _challenge(self, host: bytes) -> Response:
        blank = self._blank
        handshake = Handshake((blank.enc, blank.mac, blank.dek), blank.i, blank.isd_aid, 0, host, random_bytes)
        return Response(blank.kdd + bytes((blank.kvn,)) + handshake.answer, 0x9000)

    def _status(self, scope: int) -> Response:
        aid, state = self._held[scope]
        if not state:
            return NOT_FOUND
        return Response(tlv(0xE3, tlv(0x4F, aid) + tlv(0x9F70, bytes((state,)))), 0x9000)

    def _note(self, scope: int, state: int) -> None:
        self._held[scope] = self._held[scope][0], state


class Bench:
    """Feeds such cards without end."""

    KEY: ClassVar[str] = "bench"

    def __init__(self, options: Mapping[str, object]) -> None:
        self._blank = shipped("export-scp03")
        self._pace = float(str(options["milliseconds_per_command"])) / 1000
        self._seed = (
            int(str(options["seed"])) << 12 | int.from_bytes(random_bytes(2), "big") >> 4
        )  # other chips at each start
        self._blanks = dict.fromkeys(map(str, list(options["stocks"])), BLANKS)  # type: ignore[call-overload]
        self._held = bytes.fromhex(str(options["load_file"])), bytes.fromhex(str(options["application"]))
        self._fed = 0
        self._chip: _Chip | None = None
        self._late = 0.0

    @classmethod
    def start(cls, name: str, options: Mapping[str, object], world: Path) -> "Bench":  # noqa: ARG003
        """Start the machine; options: seed, milliseconds_per_command, stocks, and the AIDs that its cards get to hold."""
        if set(options) != OPTIONS:
            raise ValueError(f"encoder {name}: a load generator has the options {', '.join(sorted(OPTIONS))}")
        return cls(options)

    def station(self) -> int | None:
        """Return the number of the card in the station."""
        return self._fed if self._chip else None

    def blanks(self) -> Mapping[str, int]:
        """Return how many blanks are left of each stock: always as many."""
        return self._blanks

    def awaits(self, seconds: float) -> str | None:  # noqa: ARG002
        """Return None: it is always ready."""
        return None

    def feed(self, stock: str) -> tuple[int, bytes] | None:  # noqa: ARG002
        """Bring the next blank into the station."""
        self._fed += 1
        self._chip = _Chip(self._blank, self._blank.identity(self._seed, self._fed), *self._held)
        return self._fed, self._blank.atr

    @property
    def protocol(self) -> str:
        """Return nothing: there is no line."""
        return ""

    def transmit(self, command: Command) -> Response:
        """Exchange one command; the card's time begins when the command has been coded for the wire.

        What one sleep takes too long the next is shortened by: a card doesn't wait for this machine's timers.
        """
        assert self._chip is not None  # noqa: S101 - who transmits has fed
        bytes(command)
        due = time.perf_counter() + self._pace - self._late
        answer = self._chip.answer(command)
        if (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        self._late = max(0.0, time.perf_counter() - due)
        return answer

    def eject(self, tray: Tray) -> None:  # noqa: ARG002
        """Let the card go."""
        self._chip = None

    def close(self) -> None:
        """Let go of nothing."""
