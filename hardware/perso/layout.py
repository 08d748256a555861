"""Data grouping identifiers into STORE DATA: full commands, in the order given (GPCS 11.11, common personalization).

The layout is made from lengths alone, before the session key exists that the secret values will travel under.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hardware.gp import commands
from hardware.iso7816 import Command, Dialogue, Span
from hardware.keystores import Transport
from hardware.perso.order import Instructions
from hardware.perso.profiles import TagEncoding
from hardware.perso.values import STRUCTURE, Coded, Places, shown

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

    First the items of ORDER, then file order. A group shares one command, where the first of it has its place; a VERCNTL
    item travels alone and never last. With *packing* neighbours of one kind share a command; an item longer than a command
    begins one of its own, and others may follow its rest.
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


def store(plan: Layout, translate: Translate, ahead: Command, *, final: bool) -> Dialogue[None]:
    """Send *ahead*, which names the application, and a layout, the last block marked where it is *final*; raises CardError.

    A refused command sets the card's block counter back to 00. All is made ready before the first command is sent.
    """
    written = [
        item.serialised(translate(item.value, item.transport) if item.transport else item.value) for item in plan.items
    ]
    ahead_of = [len(whole) - len(item.value) for whole, item in zip(written, plan.items, strict=True)]
    number, last = 0, plan.blocks[-1]
    first: tuple[Command, ...] = (ahead,)
    for run in _runs(plan.blocks):
        response = yield (
            *first,
            *(
                _command(block, written, ahead_of, number + place, last=final and block is last)
                for place, block in enumerate(run)
            ),
        )
        first = ()
        number = 0 if response.sw == UNKNOWN_DGI else number + len(run)


def _command(block: Block, written: Sequence[bytes], ahead_of: Sequence[int], number: int, *, last: bool) -> Command:
    data = b"".join(written[piece.item][piece.start : piece.end] for piece in block.slices)
    accept = (0x9000, UNKNOWN_DGI) if block.refusable else (0x9000,)
    secret = tuple(_values(block.slices, ahead_of))
    return commands.store_data(data, number, block.kind, last=last, accept=accept, secret=secret)


def _values(slices: Sequence[Slice], ahead_of: Sequence[int]) -> Iterator[Span]:
    """Yield where values stand in a command's data; *ahead_of* each item's value are so many bytes of tag and length."""
    start = 0
    for piece in slices:
        end = start + piece.end - piece.start
        value = start + max(0, ahead_of[piece.item] - piece.start)
        if value < end:
            yield value, end
        start = end


def _runs(blocks: Sequence[Block]) -> Iterator[tuple[Block, ...]]:
    """Yield runs that need not wait for an answer: the number after a refusable block depends on it."""
    run: list[Block] = []
    for block in blocks:
        run.append(block)
        if block.refusable:
            yield tuple(run)
            run = []
    if run:
        yield tuple(run)


def _ordered(items: Sequence[Coded], instructions: Instructions) -> list[Coded]:
    first = Places(items).of(instructions.order)
    if len(set(first)) < len(first):
        raise ValueError("ORDER names an element twice")
    return [items[at] for at in first] + [item for at, item in enumerate(items) if at not in first]


def _units(items: Sequence[Coded], instructions: Instructions) -> Iterator[_Unit]:
    places = Places(items)
    groups = [sorted(set(places.of(names))) for names in instructions.groups]
    grouped = [at for group in groups for at in group]
    in_order, version_control = set(places.of(instructions.order)), set(places.of(instructions.version_control))
    if len(set(grouped)) < len(grouped):
        raise ValueError("GROUP names an element twice")
    for group in groups:
        for at in set(range(group[0], group[-1])).difference(group) if group else ():
            if at in in_order:
                raise ValueError(
                    f"a group would travel before {shown(items[at].name)}, which ORDER puts between its members"
                )
    for place, item in enumerate(items):
        refusable = place in version_control
        members = next((group for group in groups if place in group), [place])
        if refusable and place in grouped:
            raise ValueError(f"VERCNTL and GROUP both name {shown(item.name)}, but a VERCNTL element travels alone")
        if place == members[0]:
            kind = _kind([items[at] for at in members])
            yield _Unit(items=tuple(members), kind=kind, whole=place in grouped, refusable=refusable)


def _kind(items: Sequence[Coded]) -> int:
    structures = {STRUCTURE[item.structure] for item in items}
    if len(structures) > 1:
        raise ValueError("a group mixes DGIs and other structures, which one command can't say")
    secret = {item.transport is not None for item in items}
    structure = structures.pop()
    if structure == STRUCTURE[TagEncoding.L16] and True in secret:
        raise ValueError("an L16 element can't travel encrypted: without a structure a card decrypts its length too")
    return structure | (MIXED if len(secret) > 1 else ENCRYPTED if secret.pop() else CLEAR)


def _blocks(units: Iterator[_Unit], sizes: Sequence[int], room: int, *, packing: bool) -> Iterator[Block]:
    open_slices: list[Slice] = []
    kind = used = 0
    for unit in units:
        size = sum(sizes[at] for at in unit.items)
        if size > room and (unit.whole or unit.refusable):
            raise ValueError(f"a GROUP or VERCNTL element has {size} bytes where a command takes {room}")
        shares = packing and not unit.refusable and unit.kind == kind and used + size <= room
        # P1 01 stands for what one group mixes, and for nothing beside it.
        shares = shares and unit.kind & ENCRYPTED != MIXED
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
