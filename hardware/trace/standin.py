"""A recorded trace in a card's place, below the secure channel: what was seen on the floor happens once more."""

from dataclasses import replace
from typing import Final

from hardware.errors import AuthenticationError, HardwareError, LostCard, MuteCard, ProtocolError, ReaderError
from hardware.iso7816 import Command, Response
from hardware.trace import Exchange, Trace
from hardware.trace.compare import shown
from hardware.trace.recorder import digest

FAULTS: Final = {each.__name__: each for each in (AuthenticationError, LostCard, MuteCard, ProtocolError, ReaderError)}
_INITIALIZE_UPDATE: Final = 0x50


class Diverged(HardwareError):  # noqa: N818 - what the two have done
    """What is sent isn't what was recorded, so nobody knows what the card would answer."""


class Standin:
    """Takes exactly the commands of *trace* and gives its answers, its faults too.

    A whole trace tells a command by all its bytes as they were sent, so keys and challenge must be the recorded ones; a
    masked one by its header, its length, and what isn't masked of its data.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace, self._done = trace, 0

    @property
    def finished(self) -> bool:
        """Whether all that was recorded has happened."""
        return self._done == len(self._trace.exchanges)

    @property
    def host_challenge(self) -> bytes:
        """What the host must challenge the card with for its recorded answer to fit; empty if no channel was begun."""
        return next((each.command.data for each in self._trace.exchanges if each.command.ins == _INITIALIZE_UPDATE), b"")

    def __call__(self, command: Command) -> Response:
        """Answer one command; raises Diverged, and the recorded fault."""
        if self.finished:
            raise Diverged(f"{command.name}: the recording is over after {self._done} commands")
        recorded = self._trace.exchanges[self._done]
        if not _same(command, recorded):
            raise Diverged(f"{command.name}: command {self._done + 1} was {recorded.command.name}, or had other bytes")
        self._done += 1
        if recorded.response is None:
            name, _, message = recorded.fault.partition(": ")
            raise FAULTS.get(name, LostCard)(message or name)
        return replace(recorded.response, opened=True)  # a trace has answers in plain


def _same(command: Command, recorded: Exchange) -> bool:
    sent = bytes(command)
    if recorded.digest:
        return digest(sent) == recorded.digest
    return len(sent) == recorded.octets and shown(command.plain or command) == shown(recorded.command)
