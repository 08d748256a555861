"""What commands ask for, one function each for P1 and P2 and for the data (GPCS 2.3.1 chapter 11, ISO/IEC 7816-4)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from hardware.gp.commands import ISD, LOAD_FILES, MODULES
from hardware.iso7816 import Command
from hardware.trace import meanings, storing
from hardware.trace.details import Detail, tree
from hardware.trace.masking import Cells, Reader, UnreadableError, asked, counted, public, text
from hardware.trace.storing import NOTHING, Begun
from hardware.trace.tags import (
    APPLICATION_STATES,
    CARD_STATES,
    ENCRYPTIONS,
    INSTALL_FIELDS,
    INSTALL_KINDS,
    LEVELS,
    LOAD_FILE_STATES,
    OCCURRENCES,
    SCOPES,
    SELECTED_BY,
    STATUS_OF,
    STRUCTURES,
    TAGS,
)

MORE_OR_LAST: Final = 0x80
SECURE: Final = 0x04
KEYS: Final = frozenset({0xD0, 0xD2})
"""Tags that DELETE begins with where it is about keys (GPCS table 11-24)."""


class Request(NamedTuple):
    """How to say one kind of command: P1 and P2, then the data."""

    header: Callable[[Command], str]
    data: Callable[[Command, Cells], Iterator[Detail]]


def details(command: Command, earlier: Begun = NOTHING) -> Iterator[Detail]:
    """Yield what *command* asks for; *earlier*: what the STORE DATA before it have begun."""
    is_mutual = (command.cla, command.ins) == (0x80, 0x82)
    request = MUTUAL if is_mutual else REQUESTS.get((bool(command.cla & 0x80), command.ins), OTHER)
    if words := request.header(command):
        yield Detail("", words)
    if storing.is_store_data(command):
        yield from storing.elements(earlier, command)
    elif shown := asked(command):
        try:
            yield from tuple(request.data(command, shown))
        except UnreadableError:
            yield Detail("data", text(shown))


def states(command: Command) -> Mapping[int, str]:
    """Return the life cycle states that a GET STATUS or SET STATUS is about."""
    if command.p1 == ISD:
        return CARD_STATES
    return LOAD_FILE_STATES if command.p1 in (LOAD_FILES, MODULES) else APPLICATION_STATES


def _plain(_command: Command, shown: Cells) -> Iterator[Detail]:
    yield Detail("data", text(shown))


def _tree(_command: Command, shown: Cells) -> Iterator[Detail]:
    yield from tree(shown)


def _number(place: str) -> Callable[[Command], str]:
    return lambda command: f"{place} {command.p2}, {'last' if command.p1 & MORE_OR_LAST else 'more follow'}"


def _select(command: Command) -> str:
    way = SELECTED_BY.get(command.p1, f"P1 {command.p1:02X}")
    return f"{way}, {OCCURRENCES[command.p2 & 0x03]}"


def _selected(command: Command, shown: Cells) -> Iterator[Detail]:
    yield Detail("AID" if command.p1 == 0x04 else "file", text(shown))


def _key_set(command: Command) -> str:
    return f"key set {command.p1:02X}" if command.p1 else "key set 00, the card's default"


def _challenge(_command: Command, shown: Cells) -> Iterator[Detail]:
    yield Detail("host challenge", text(shown))


def _level(command: Command) -> str:
    return f"security level {command.p1:02X}: {meanings.bits(command.p1, LEVELS, 'no secure messaging')}"


def _proof(command: Command, shown: Cells) -> Iterator[Detail]:
    """Split the data in two of equal length (GPCS E.5.2, Amendment D 7.1.2)."""
    if len(shown) not in (16, 32) or not command.cla & SECURE:
        raise UnreadableError("no cryptogram with a C-MAC")
    half = len(shown) // 2
    yield Detail("host cryptogram", text(shown[:half]))
    yield Detail("C-MAC", text(shown[half:]))


def _install(command: Command) -> str:
    kinds = meanings.bits(command.p1, INSTALL_KINDS, "nothing")
    return f"for {kinds}{', more blocks follow' if command.p1 & MORE_OR_LAST else ''}"


def _installed(command: Command, shown: Cells) -> Iterator[Detail]:
    reader, empty = Reader(shown), list[str]()
    for name in INSTALL_FIELDS.get(command.p1 << 8 | command.p2 if command.p2 else command.p1, ()):
        value = reader.lv()
        if value:
            yield from _field(name or "not to be given", value)
        elif name:
            empty.append(name)
    if reader.left:
        yield Detail("data", text(reader.rest()))
    if empty:
        yield Detail("(empty)", ", ".join(empty))


def _field(name: str, value: Cells) -> Iterator[Detail]:
    known = public(value)
    if name == "privileges" and known is not None:
        yield Detail(name, f"{known.hex().upper()} {meanings.privileges(known)}".rstrip())
        return
    if name == "parameters":
        try:
            inner = tuple(tree(value))
        except UnreadableError:
            pass
        else:
            yield Detail(name, "")
            yield from (Detail(each.name, each.text, each.depth + 1) for each in inner)
            return
    yield Detail(name, text(value))


def _loaded(command: Command, shown: Cells) -> Iterator[Detail]:
    """Yield the tags that lie around the code, which itself is nothing to read."""
    reader = Reader(shown)
    while command.p2 == 0 and reader.left:
        tag, size = reader.tag(), reader.length()
        yield Detail(f"{tag:02X} {TAGS.get(tag, '')}".rstrip(), counted(size))
        if tag in (0xC4, 0xD4):
            break
        reader.take(size)
    yield Detail("code", f"{counted(reader.left)} here")


def _store(command: Command) -> str:
    kind = command.p1 >> 5 & 0x03, command.p1 >> 3 & 0x03
    answer = ", an answer may come" if command.p1 & 0x01 else ""
    return f"{_number('block')(command)}, {ENCRYPTIONS[kind[0]]}, {STRUCTURES[kind[1]]}{answer}"


def _scope(command: Command) -> str:
    which = "next answer" if command.p2 & 0x01 else "first answer"
    form = "" if command.p2 & 0x02 else ", deprecated form"
    return f"{SCOPES.get(command.p1, f'P1 {command.p1:02X}')}, {which}{form}"


def _criteria(command: Command, shown: Cells) -> Iterator[Detail]:
    for each in tree(shown, states(command)):
        yield Detail(each.name, "any" if each.text == "(empty)" else each.text, each.depth)


def _tag(command: Command) -> str:
    tag = command.p1 << 8 | command.p2
    return f"tag {tag:02X} {TAGS.get(tag, '')}".rstrip()


def _deleted(command: Command) -> str:
    if KEYS.intersection(asked(command)[:1]):
        return "keys"
    return "with what was made from it" if command.p2 & MORE_OR_LAST else "alone"


def _keys(command: Command) -> str:
    place = f"into key set {command.p1 & 0x7F:02X}" if command.p1 & 0x7F else "a new key set"
    several = ", several keys" if command.p2 & 0x80 else ""
    return f"{place}, from key identifier {command.p2 & 0x7F:02X} on{several}"


def _key_data(_command: Command, shown: Cells) -> Iterator[Detail]:
    """Yield the new key version number alone: keys are never shown, whatever the command says of itself."""
    reader = Reader(shown)
    yield Detail("new key set", f"{reader.number():02X}")
    yield Detail("keys", f"{counted(reader.left)} (masked)")


def _static_key(command: Command) -> str:
    return f"key {command.p2:02X} of key set {command.p1:02X}"


def _ca_key(command: Command) -> str:
    block = ", more blocks of it follow" if command.p1 & MORE_OR_LAST else ""
    certificate = ", another certificate follows" if command.p2 & MORE_OR_LAST else ""
    return f"certificate under key {command.p2 & 0x7F:02X} of key set {command.p1 & 0x7F:02X}{block}{certificate}"


def _new_state(command: Command) -> str:
    of = STATUS_OF.get(command.p1, f"P1 {command.p1:02X}")
    return f"{of} to {command.p2:02X} {meanings.state(command.p2, states(command))}"


def _aid(_command: Command, shown: Cells) -> Iterator[Detail]:
    yield Detail("AID", text(shown))


def _record(command: Command) -> str:
    file = f"SFI {command.p2 >> 3}" if command.p2 >> 3 else "the current file"
    return f"record {command.p1} of {file}"


REQUESTS: Final[Mapping[tuple[bool, int], Request]] = {
    (False, 0xA4): Request(_select, _selected),
    (False, 0xB2): Request(_record, _plain),
    (False, 0xDC): Request(_record, _plain),
    (False, 0xCA): Request(_tag, _plain),
    (False, 0xCB): Request(_tag, _tree),
    (True, 0x50): Request(_key_set, _challenge),
    (True, 0x2A): Request(_ca_key, _plain),
    (True, 0x7A): Request(_level, _plain),
    (True, 0x82): Request(_level, _proof),
    (True, 0x88): Request(_static_key, _tree),
    (True, 0xCA): Request(_tag, _plain),
    (True, 0xCB): Request(_tag, _tree),
    (True, 0xD8): Request(_keys, _key_data),
    (True, 0xE2): Request(_store, _plain),
    (True, 0xE4): Request(_deleted, _tree),
    (True, 0xE6): Request(_install, _installed),
    (True, 0xE8): Request(_number("block"), _loaded),
    (True, 0xF0): Request(_new_state, _aid),
    (True, 0xF2): Request(_scope, _criteria),
}
"""By whether CLA is proprietary, and INS."""
MUTUAL: Final = Request(_static_key, _tree)
"""SCP11's MUTUAL AUTHENTICATE, which has the INS of EXTERNAL AUTHENTICATE; only that one is secured."""
OTHER: Final = Request(lambda _command: "", _plain)
"""A command that its name alone must say."""
