"""Random elements into STORE DATA, read back by a parser of this file's own (GPCS 11.11, CPS)."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.iso7816 import Command
from hardware.perso.order import Instructions
from hardware.perso.values import Coded
from tests.hardware.cards import TRANSPORT
from tests.hardware.storing import Taker, item, stored, translate

ROOMS = st.integers(64, 255)
SMALL, ANY = st.integers(0, 15), st.integers(0, 700)
END = item("7FFF")


@dataclass(frozen=True)
class Case:
    """Random items, all with their own DGI, and instructions that can be met."""

    items: list[Coded]
    instructions: Instructions
    room: int
    packing: bool
    refused: frozenset[str]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Small elements may be under VERCNTL or in groups of up to three, large ones not; the last element is always taken.

    No value, clear or inverted, looks like a DGI.
    """
    names = [f"{dgi:04X}" for dgi in draw(st.lists(st.integers(0, 0x3FFF), min_size=1, max_size=12, unique=True))]
    roles = draw(st.lists(st.sampled_from(["plain", "control", "one", "two"]), min_size=len(names), max_size=len(names)))
    items, groups, control = [], {"one": list[str](), "two": list[str]()}, set[str]()
    for number, (name, role) in enumerate(zip(names, roles, strict=True)):
        size = draw(ANY if role == "plain" else SMALL)
        items.append(item(name, f"{number + 0x80:02X}" * size, secret=draw(st.booleans())))
        if role == "control":
            control.add(name)
        elif role in groups and len(groups[role]) < 3:
            groups[role].append(name)
    free = [name for name in names if not any(name in group for group in groups.values())]
    order = draw(st.permutations(free).flatmap(lambda found: st.integers(0, len(found)).map(lambda n: found[:n])))
    instructions = Instructions(
        order=tuple(order),
        version_control=frozenset(control),
        groups=tuple(map(tuple, draw(st.permutations([*groups.values()])))),
    )
    refused = frozenset(draw(st.lists(st.sampled_from(sorted(control)))) if control else ())
    return Case([*items, END], instructions, draw(ROOMS), draw(st.booleans()), refused)


@dataclass(frozen=True)
class Found:
    """One DGI as a card reads it, and the commands where it begins and ends."""

    dgi: str
    value: bytes
    encryption: int
    first: int
    last: int


def read(commands: Sequence[Command]) -> list[Found]:
    """Read DGIs as a card does that was given *commands* and took them all."""
    found, rest, begun, p1 = list[Found](), b"", 0, 0
    for at, command in enumerate(commands):
        assert command.p1 & 0x1F == 0x08  # DGI structure
        assert not rest or command.p1 & 0x60 == p1 & 0x60
        data, begun, p1 = rest + command.data, (begun if rest else at), command.p1
        while data:
            head = 5 if data[2] == 0xFF else 3
            size = int.from_bytes(data[3:5], "big") if head == 5 else data[2]
            assert head == 3 or size >= 0xFF
            if len(data) < head + size:
                break
            found.append(Found(data[:2].hex().upper(), data[head : head + size], p1 & 0x60, begun, at))
            data, begun = data[head + size :], at
        rest = data
    assert not rest
    return found


def expected(case: Case) -> list[Coded]:
    """Return the items as they must arrive: ORDER, then the file, the others of a group behind its first."""
    named = {each.name: each for each in case.items}
    names = [*case.instructions.order, *(name for name in named if name not in case.instructions.order)]
    for group in case.instructions.groups:
        if group:
            members = [name for name in names if name in group]
            at = names.index(members[0])
            names = names[:at] + members + [name for name in names[at:] if name not in members]
    return [named[name] for name in names]


@settings(deadline=None, max_examples=60)
@given(cases())
def test_a_card_reads_back_what_was_given(case: Case) -> None:
    """Each element once, in order, whole, under the right encryption; refused ones are passed over."""
    card = Taker(case.refused)
    stored(case.items, case.instructions, room=case.room, packing=case.packing, card=card)
    blocks = card.sent[1:]
    taken = [block for block in blocks if block.data[:2].hex().upper() not in case.refused]
    found, wanted = read(taken), [each for each in expected(case) if each.name not in case.refused]
    assert [each.dgi for each in found] == [each.name for each in wanted]
    for got, want in zip(found, wanted, strict=True):
        assert got.value == (translate(want.value, TRANSPORT) if want.transport else want.value)
        if got.encryption != 0x20:
            assert got.encryption == (0x60 if want.transport else 0x00)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_commands_keep_the_rules(case: Case) -> None:
    """Room, last mark, block numbers, version control, groups, and clear beside encrypted."""
    card = Taker(case.refused)
    stored(case.items, case.instructions, room=case.room, packing=case.packing, card=card)
    blocks, number = card.sent[1:], 0
    secret = {each.name: each.transport is not None for each in case.items}
    for at, block in enumerate(blocks):
        assert 0 < len(block.data) <= case.room
        assert bool(block.p1 & 0x80) == (at == len(blocks) - 1)
        assert block.p2 == number
        number = 0 if block.data[:2].hex().upper() in case.refused else number + 1
    found = read(blocks)
    groups = [set(group) for group in case.instructions.groups]
    for at, block in enumerate(blocks):
        here = [each for each in found if each.first <= at <= each.last]
        names = {each.dgi for each in here}
        if names & case.instructions.version_control:
            assert len(here) == 1
            assert here[0].first == here[0].last
        for group in groups:
            assert not names & group or group <= names
        if len({secret[name] for name in names}) > 1:
            assert block.p1 & 0x60 == 0x20
            assert names in groups
        elif block.p1 & 0x60 == 0x20:
            raise AssertionError("application dependent, though nothing is mixed")


@settings(deadline=None, max_examples=60)
@given(cases())
def test_packing_is_greedy(case: Case) -> None:
    """With packing no command begins with what its neighbour before had room for; without it each element has its own."""
    card = Taker()
    stored(case.items, case.instructions, room=case.room, packing=case.packing, card=card)
    blocks, found = card.sent[1:], read(card.sent[1:])
    groups = [set(group) for group in case.instructions.groups if group]
    control = case.instructions.version_control
    for at in range(1, len(blocks)):
        begins = [each for each in found if each.first == at]
        if any(each.first < at <= each.last for each in found) or begins[0].last > at:
            continue  # a rest, or the beginning of an element that no command holds
        group = next((group for group in groups if begins[0].dgi in group), {begins[0].dgi})
        size = sum(len(each.value) + (5 if len(each.value) > 0xFE else 3) for each in begins if each.dgi in group)
        names = {each.dgi for each in found if at - 1 in (each.first, each.last)} | {begins[0].dgi}
        kinds = {blocks[at].p1 & 0x60, blocks[at - 1].p1 & 0x60}
        if case.packing and len(kinds) == 1 and kinds != {0x20} and not names & control:
            assert len(blocks[at - 1].data) + size > case.room
    if not case.packing:
        for at in range(len(blocks)):
            here = {each.dgi for each in found if each.first == at}
            assert len(here) <= 1 or here in groups
