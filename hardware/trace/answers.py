"""What cards answer: the status word, and the data as the command that they answer to gives them (GPCS 2.3.1 chapter 11)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from hardware.gp.commands import MODULES
from hardware.iso7816 import Command, Response
from hardware.trace import meanings
from hardware.trace.details import Detail, cplc, tree
from hardware.trace.masking import Cells, Reader, UnreadableError, answered, public, text
from hardware.trace.requests import states
from hardware.trace.tags import SCP03_OPTIONS

CPLC_TAG: Final = 0x9F7F
TLV_FORM: Final = 0x02
"""Bit of P2 of GET STATUS."""
S16: Final = 0x01
"""Bit of i in SCP03: challenges and cryptograms of 16 bytes."""


def details(command: Command, response: Response) -> Iterator[Detail]:
    """Yield what the card's answer to *command* holds."""
    shown = answered(command, response)
    if not shown:
        return
    known = public(shown)
    read = ANSWERS.get((bool(command.cla & 0x80), command.ins))
    if known is None or read is None:
        yield Detail("data", text(shown))
        return
    try:
        yield from tuple(read(command, shown))
    except UnreadableError:
        yield Detail("data", text(shown))


def _tree(command: Command, shown: Cells) -> Iterator[Detail]:
    yield from tree(shown, states(command))


def _status(command: Command, shown: Cells) -> Iterator[Detail]:
    """Yield registry entries, in the deprecated form as well (GPCS 2.1.1, 9.4.3.1)."""
    if command.p2 & TLV_FORM:
        yield from tree(shown, states(command))
        return
    reader = Reader(shown)
    while reader.left:
        aid, state, privileges = reader.take(reader.number()), reader.number(), reader.take(1)
        words = f"{state:02X} {meanings.state(state, states(command))}".rstrip()
        yield Detail(text(aid), f"{words}, privileges {text(privileges)}")
        for _ in range(reader.number() if command.p1 == MODULES else 0):
            yield Detail("module", text(reader.take(reader.number())), 1)


def _objects(command: Command, shown: Cells) -> Iterator[Detail]:
    """Yield data objects; some cards give the production data without tag and length."""
    bare = tuple(cplc(public(shown) or b"")) if command.p1 << 8 | command.p2 == CPLC_TAG else ()
    yield from bare or tree(shown)


def _receipt(_command: Command, shown: Cells) -> Iterator[Detail]:
    """Yield a receipt with its confirmation data (GPCS 11.1.6)."""
    if shown == (0,):
        yield Detail("", "no receipt")
        return
    reader = Reader(Reader(shown).lv())
    yield Detail("receipt", text(reader.lv()))
    for name in ("confirmation counter", "security domain's data", "token identifier", "digest of the token's data"):
        if reader.left:
            yield Detail(name, text(reader.lv()))


def _initialized(_command: Command, shown: Cells) -> Iterator[Detail]:
    """Yield an answer to INITIALIZE UPDATE (GPCS D.4.1 and E.5.1, Amendment D 7.1.1)."""
    reader = Reader(shown)
    kdd, kvn, scp = reader.take(10), reader.number(), reader.number()
    if scp not in HANDSHAKES:
        raise UnreadableError(f"SCP{scp:02X}")
    fields = (Detail("diversification data", text(kdd)), Detail("key set", f"{kvn:02X}"), *HANDSHAKES[scp](reader))
    if reader.left:
        raise UnreadableError("more than the protocol gives")
    yield from fields


def _scp01(reader: Reader) -> Iterator[Detail]:
    yield Detail("protocol", "SCP01")
    yield Detail("card challenge", text(reader.take(8)))
    yield Detail("card cryptogram", text(reader.take(8)))


def _scp02(reader: Reader) -> Iterator[Detail]:
    yield Detail("protocol", "SCP02")
    yield Detail("sequence counter", text(reader.take(2)))
    yield Detail("card challenge", text(reader.take(6)))
    yield Detail("card cryptogram", text(reader.take(8)))


def _scp03(reader: Reader) -> Iterator[Detail]:
    i = reader.number()
    size = 16 if i & S16 else 8
    yield Detail("protocol", f"SCP03 i={i:02X}: {meanings.bits(i, SCP03_OPTIONS, 'S8, random challenge')}")
    yield Detail("card challenge", text(reader.take(size)))
    yield Detail("card cryptogram", text(reader.take(size)))
    if reader.left:
        yield Detail("sequence counter", text(reader.take(3)))


HANDSHAKES: Final[Mapping[int, Callable[[Reader], Iterator[Detail]]]] = {0x01: _scp01, 0x02: _scp02, 0x03: _scp03}
"""What follows the protocol's number, by it."""
ANSWERS: Final[Mapping[tuple[bool, int], Callable[[Command, Cells], Iterator[Detail]]]] = {
    (False, 0xA4): _tree,
    (False, 0xB2): _tree,
    (False, 0xCA): _objects,
    (False, 0xCB): _objects,
    (True, 0x50): _initialized,
    (True, 0x82): _tree,
    (True, 0x88): _tree,
    (True, 0xCA): _objects,
    (True, 0xCB): _objects,
    (True, 0xE4): _receipt,
    (True, 0xE6): _receipt,
    (True, 0xE8): _receipt,
    (True, 0xF2): _status,
}
"""By whether CLA is proprietary, and INS."""
