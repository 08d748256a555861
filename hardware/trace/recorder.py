"""Writes down every exchange with a card as it happens; what can wait until the card is made is done then."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from hardware.errors import HardwareError
from hardware.iso7816 import Command, Response, Transmit
from hardware.trace import DIGEST, Exchange, Trace


class _Noted(NamedTuple):
    phase: str
    command: Command
    response: Response | None
    fault: str
    start: float
    end: float


class Recorder:
    """Stands between a dialogue and what transmits; *ticks* returns seconds that only go forward, *now* the time of day."""

    def __init__(self, transmit: Transmit, ticks: Callable[[], float], now: Callable[[], datetime]) -> None:
        self._transmit, self._ticks, self._now = transmit, ticks, now
        self._began: datetime | None = None
        self._noted: list[_Noted] = []
        self.phase = ""
        """What is being done now, as it will be shown."""

    def enter(self, phase: str) -> None:
        """Say what the next commands are for."""
        self.phase = phase

    def __call__(self, command: Command) -> Response:
        """Exchange one command and return its answer in plain; raises what transmitting raises, and what opening it does."""
        self._began = self._began or self._now()
        response, fault, start = None, "", self._ticks()
        try:
            response = command.opened(self._transmit(command))
        except BaseException as failed:
            fault = f"{type(failed).__name__}: {failed}" if isinstance(failed, HardwareError) else type(failed).__name__
            raise
        finally:
            self._noted.append(_Noted(self.phase, command, response, fault, start, self._ticks()))
        return response

    @property
    def last(self) -> Exchange | None:
        """The newest exchange."""
        return _exchange(self._noted[-1], self._noted[0].start) if self._noted else None

    def trace(self, *, product: str, encoder: str, atr: bytes, protocol: str) -> Trace:
        """Return what has been noted since the card was switched on."""
        first = self._noted[0].start if self._noted else 0.0
        return Trace(
            product=product,
            encoder=encoder,
            atr=atr,
            protocol=protocol,
            began=self._began or self._now(),
            exchanges=tuple(_exchange(noted, first) for noted in self._noted),
        )


def _exchange(noted: _Noted, first: float) -> Exchange:
    sent = bytes(noted.command)
    return Exchange(
        phase=noted.phase,
        command=noted.command.plain or noted.command,
        octets=len(sent),
        digest=digest(sent),
        response=noted.response,
        fault=noted.fault,
        start=round(noted.start - first, 6),
        seconds=round(noted.end - noted.start, 6),
    )


def digest(sent: bytes) -> bytes:
    """Return what tells a command as it was sent from any other."""
    return hashlib.sha256(sent).digest()[:DIGEST]
