"""Data grouping identifiers into STORE DATA: the fewest and fullest commands (GPCS 11.11, common personalization).

The layout is made from lengths alone, before the session key exists that the secret values will travel under.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hardware.gp import commands
from hardware.iso7816 import Command, Dialogue
from hardware.keystores import Transport
from hardware.perso.order import Instructions
from hardware.perso.values import STRUCTURE, Coded

CLEAR, MIXED, ENCRYPTED = 0x00, 0x20, 0x60
"""P1 b7b6 of STORE DATA (GPCS table 11-90): none, application dependent, all encrypted."""
MAX_BLOCKS: Final = 256
UNKNOWN_DGI: Final = 0x6A88

Translate = Callable[[bytes, Transport], bytes]
"""Takes a value from under its transport key to under the session's DEK; its length stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Bytes *start* to *end* of the serialised item number *item*."""

    item: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One STORE DATA: its slices, P1 b7-b4, and whether the card may refuse it with 6A88."""

    slices: tuple[Slice, ...]
    kind: int
    refusable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The items of one PERSONALIZE step in the order in which they travel, and how they fill commands."""

    items: tuple[Coded, ...]
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """Items that travel together; a *whole* one is never cut."""

    items: tuple[int, ...]
    kind: int
    whole: bool = False
    refusable: bool = False


def layout(items: Sequence[Coded], instructions: Instructions, *, room: int, packing: bool) -> Layout:
    """Lay *items* out into commands of at most *room* data bytes; raises ValueError where the instructions can't be met.

    First the items of ORDER, then file order. A group shares one command, a VERCNTL item travels alone and never last; with
    *packing* whole neighbours of one kind share a command.
    """
    ordered = _ordered(items, instructions)
    sizes = [len(item.serialised(item.value)) for item in ordered]
    blocks = tuple(_blocks(_units(ordered, instructions), sizes, room, packing=packing))
    if not blocks:
        raise ValueError("there is nothing to write")
    if blocks[-1].refusable:
        raise ValueError("a VERCNTL element may be refused and so can't come last: name another after it in ORDER")
    if len(blocks) > MAX_BLOCKS:
        raise ValueError(f"{len(blocks)} STORE DATA commands are needed where 256 can be numbered")
    return Layout(items=tuple(ordered), blocks=blocks)


def store(plan: Layout, translate: Translate) -> Dialogue[None]:
    """Send a layout to the application that INSTALL [for personalization] named; raises CardError.

    A refused command sets the card's block counter back to 00.
    """
    written = [
        item.serialised(translate(item.value, item.transport) if item.transport else item.value) for item in plan.items
    ]
    number, last = 0, plan.blocks[-1]
    for run in _runs(plan.blocks):
        response = yield tuple(
            _command(block, written, number + place, last=block is last) for place, block in enumerate(run)
        )
        number = 0 if response.sw == UNKNOWN_DGI else number + len(run)


def _command(block: Block, written: Sequence[bytes], number: int, *, last: bool) -> Command:
    data = b"".join(written[piece.item][piece.start : piece.end] for piece in block.slices)
    accept = (0x9000, UNKNOWN_DGI) if block.refusable else (0x9000,)
    return commands.store_data(data, number, block.kind, last=last, accept=accept)


def _runs(blocks: Sequence[Block]) -> Iterator[tuple[Block, ...]]:
    """Yield runs that need not wait for an answer: the number after a refusable block depends on it."""
    run: list[Block] = []
    for block in blocks:
        if block.refusable and run:
            yield tuple(run)
            run = []
        run.append(block)
        if block.refusable:
            yield tuple(run)
            run = []
    if run:
        yield tuple(run)


def _ordered(items: Sequence[Coded], instructions: Instructions) -> list[Coded]:
    first = [item for name in instructions.order for item in items if item.is_called(name)]
    return first + [item for item in items if item not in first]


def _units(items: Sequence[Coded], instructions: Instructions) -> Iterator[_Unit]:
    grouped: set[int] = set()
    for place, item in enumerate(items):
        if place in grouped:
            continue
        group = next((names for names in instructions.groups if any(map(item.is_called, names))), ())
        members = tuple(at for at, other in enumerate(items) if any(map(other.is_called, group))) or (place,)
        grouped.update(members)
        yield _Unit(
            items=members,
            kind=_kind([items[at] for at in members]),
            whole=bool(group),
            refusable=any(map(item.is_called, instructions.version_control)),
        )


def _kind(items: Sequence[Coded]) -> int:
    structures = {STRUCTURE[item.structure] for item in items}
    if len(structures) > 1:
        raise ValueError("a group mixes DGIs and other structures, which one command can't say")
    secret = {item.transport is not None for item in items}
    return structures.pop() | (MIXED if len(secret) > 1 else ENCRYPTED if secret.pop() else CLEAR)


def _blocks(units: Iterator[_Unit], sizes: Sequence[int], room: int, *, packing: bool) -> Iterator[Block]:
    open_slices: list[Slice] = []
    kind = used = 0
    for unit in units:
        size = sum(sizes[at] for at in unit.items)
        if size > room and (unit.whole or unit.refusable):
            raise ValueError(f"a GROUP or VERCNTL element has {size} bytes where a command takes {room}")
        shares = packing and not unit.refusable and unit.kind == kind and used + size <= room
        if open_slices and not shares:
            yield Block(slices=tuple(open_slices), kind=kind)
            open_slices, used = [], 0
        kind = unit.kind
        if unit.refusable:
            yield Block(slices=(Slice(item=unit.items[0], start=0, end=size),), kind=kind, refusable=True)
        elif size > room:
            cut = (size - 1) // room * room
            for start in range(0, cut, room):
                yield Block(slices=(Slice(item=unit.items[0], start=start, end=start + room),), kind=kind)
            open_slices, used = [Slice(item=unit.items[0], start=cut, end=size)], size - cut
        else:
            open_slices += (Slice(item=at, start=0, end=sizes[at]) for at in unit.items)
            used += size
    if open_slices:
        yield Block(slices=tuple(open_slices), kind=kind)
