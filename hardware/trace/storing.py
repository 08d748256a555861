"""What STORE DATA carry: DGIs or BER-TLVs that may go on from one command into the next (GPCS 11.11.2)."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from hardware.iso7816 import Command
from hardware.trace import meanings
from hardware.trace.details import Detail
from hardware.trace.masking import Cells, CutShortError, Reader, UnreadableError, asked, counted, text

STORE_DATA: Final = 0xE2
DGI, BER_TLV = 0x08, 0x10
"""P1 b5b4 (table 11-90)."""
STRUCTURE: Final = 0x18
LAST: Final = 0x80
LONG: Final = 0xFF
"""A DGI's length stands in the two bytes that follow."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What the next STORE DATA goes on with: an element with *left* of its bytes still to come, or the *head* of one."""

    name: str = ""
    size: int = 0
    left: int = 0
    head: Cells = field(default=(), repr=False)


NOTHING: Final = Begun()


def is_store_data(command: Command) -> bool:
    """Tell STORE DATA from APPEND RECORD, which is of the interindustry class."""
    return command.ins == STORE_DATA and bool(command.cla & 0x80)


def after(earlier: Begun, command: Command) -> Begun:
    """Return what is begun when *command* follows, or what it protects; only STORE DATA change that.

    It needn't be known how the card answered: after a refusal, in a new session and behind the last block the numbers begin
    at 00 again, and nothing goes on into that one.
    """
    plain = command.plain or command
    return _read(earlier, plain)[1] if is_store_data(plain) else earlier


def elements(earlier: Begun, command: Command) -> Iterator[Detail]:
    """Yield what a STORE DATA carries, *earlier* being what those before it have begun."""
    yield from _read(earlier, command)[0]


def _read(earlier: Begun, command: Command) -> tuple[list[Detail], Begun]:
    shown, structure = asked(command), command.p1 & STRUCTURE
    if command.secret is None or structure not in (DGI, BER_TLV):
        return ([Detail("data", text(shown))] if shown else []), NOTHING
    going_on = earlier if command.p2 else NOTHING
    reader, found = Reader(going_on.head + shown), list[Detail]()
    begun = going_on
    if going_on.left:
        begun = _go_on(going_on, reader, found)
    while reader.left:
        start = reader.at
        try:
            begun = _begin(structure, reader, found)
        except CutShortError:
            reader.at = start
            begun = Begun(head=reader.rest())
            found.append(Detail("cut short", text(begun.head)))
        except UnreadableError:
            reader.at = start
            begun = NOTHING
            found.append(Detail("unreadable", text(reader.rest())))
    return found, NOTHING if command.p1 & LAST else begun


def _begin(structure: int, reader: Reader, found: list[Detail]) -> Begun:
    """Read one tag and length, and as much of the value as there is."""
    if structure == DGI:
        number, size = reader.number(2), reader.number()
        name, size = f"DGI {number:04X}", reader.number(2) if size == LONG else size
        words = meanings.dgi(number)
    else:
        number, size = reader.tag(), reader.length()
        name, words = f"tag {number:02X}", ""
    value = reader.take(min(size, reader.left))
    begun = Begun(name=f"{name} {words}".rstrip(), size=size, left=size - len(value))
    found.append(_piece(begun, value, f", {len(value)} here, {begun.left} to come" if begun.left else ""))
    return begun


def _go_on(earlier: Begun, reader: Reader, found: list[Detail]) -> Begun:
    value = reader.take(min(earlier.left, reader.left))
    begun = replace(earlier, left=earlier.left - len(value))
    found.append(
        _piece(begun, value, f", {len(value)} more, {begun.left} to come" if begun.left else f", the last {len(value)}")
    )
    return begun


def _piece(begun: Begun, value: Cells, which: str) -> Detail:
    masked = all(cell is None for cell in value)
    return Detail(
        begun.name,
        f"{counted(begun.size)}{' (masked)' if masked and value else ''}{which}{'' if masked else f': {text(value)}'}",
    )
