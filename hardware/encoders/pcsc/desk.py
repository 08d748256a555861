"""A card that an engineer has put into a reader, for as long as one command needs it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from hardware.encoders.pcsc.codes import NAMES
from hardware.encoders.pcsc.exchange import exchange
from hardware.encoders.pcsc.reader import SYSTEM, Reader, readers
from hardware.errors import MuteCard, ReaderError
from hardware.iso7816 import Command, Response, Transmit

DEADLINE: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One card, exclusively."""

    reader: str
    atr: bytes
    protocol: str
    transmit: Transmit


def called(named: str, pcscd: str = SYSTEM) -> str:
    """Return the name of the only reader whose name is, or holds, *named*; raises ReaderError."""
    names = [seen.name for seen in readers(pcscd)]
    found = [name for name in names if name == named] or [name for name in names if named.casefold() in name.casefold()]
    if len(found) != 1:
        there = ", ".join(repr(name) for name in found or names) or "none"
        raise ReaderError(f"{len(found)} readers are called {named!r}; there are: {there}")
    return found[0]


@contextmanager
def desk(reader: str, pcscd: str = SYSTEM) -> Iterator[Desk]:
    """Take the card in *reader* and let go of it at the end, switched off; raises ReaderError, MuteCard."""
    with closing(Reader(reader, pcscd, DEADLINE)) as owned:
        seen = owned.wait(card=True, seconds=0)
        if not seen.is_there or not seen.has_card:
            raise ReaderError(f"no card is in reader {reader}: insert a test card")
        if seen.is_taken:
            raise ReaderError(f"another program holds reader {reader}: end that program")
        protocol, atr = owned.connect()
        if not atr:
            raise MuteCard(f"the card in reader {reader} doesn't answer to reset")

        def transmit(command: Command) -> Response:
            return exchange(command, protocol, lambda apdu: owned.transmit(command.name, apdu))

        yield Desk(reader=reader, atr=atr, protocol=NAMES[protocol], transmit=transmit)
        owned.disconnect()
