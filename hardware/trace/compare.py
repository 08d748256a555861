"""Two traces of one record, side by side."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest

from hardware.iso7816 import OPENING, Command
from hardware.trace import Exchange, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A command of either trace, or the same of both."""

    recorded: Exchange | None
    now: Exchange | None

    @property
    def differs(self) -> str:
        """In what the two differ, times apart; empty where they don't."""
        if self.now is None:
            return "not sent now"
        if self.recorded is None:
            return "not sent then"
        if _key(self.recorded.command) != _key(self.now.command):
            return "other command"
        if _said(self.recorded) != _said(self.now):
            return "other answer"
        return ""


def compare(recorded: Trace, now: Trace) -> Iterator[Pair]:
    """Yield the commands of both traces in order, those that are the same side by side.

    The same are two of the same header and length whose public data are equal; a handshake's data are never twice the same.
    """
    one, other = recorded.exchanges, now.exchanges
    keys, others = ([_key(each.command) for each in side] for side in (one, other))
    for _kind, start, end, begin, until in SequenceMatcher(None, keys, others, autojunk=False).get_opcodes():
        for before, after in zip_longest(one[start:end], other[begin:until]):
            yield Pair(recorded=before, now=after)


def _key(command: Command) -> tuple[str, bytes]:
    return command.name, shown(command)


def _said(exchange: Exchange) -> tuple[int, int] | str:
    return (exchange.response.sw, len(exchange.response.data)) if exchange.response else exchange.fault


def shown(command: Command) -> bytes:
    """Return what may be compared of a command: header, and data with 00 where they are hidden or a handshake's."""
    data = bytearray(command.data)
    for start, end in ((0, len(data)),) if command.ins in OPENING else command.hidden:
        data[start:end] = bytes(end - start)
    return bytes((command.cla, command.ins, command.p1, command.p2)) + data
