"""What is said about a command or an answer: a name, its text, and how deep it stands; TLVs as such details."""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from hardware.trace import meanings
from hardware.trace.masking import Cells, Reader, UnreadableError, counted, public, text
from hardware.trace.tags import APPLICATION_STATES, CPLC, TAGS, UNDER

WIDTH: Final = 98
DEEPEST: Final = 8
"""Constructed TLVs below that are shown in hex: only somebody who means harm nests that deep."""
CONSTRUCTED: Final = 0x20
INDENT: Final = 4
WIDEST_NAME: Final = 46


@dataclass(frozen=True, slots=True)
class Detail:
    """One line, or more where *text* is long; without a *name* it begins where the names do."""

    name: str
    text: str
    depth: int = 0


def rendered(details: Iterable[Detail]) -> Iterator[str]:
    """Yield the lines of *details*, their texts one below the other."""
    block = tuple(details)
    names = [INDENT + 2 * each.depth + len(each.name) for each in block if each.name and each.text]
    column = min(max(names, default=INDENT), WIDEST_NAME) + 2
    for each in block:
        head = " " * (INDENT + 2 * each.depth) + each.name
        if not each.text:
            yield head.rstrip()
            continue
        start = f"{head:<{column - 2}}  " if each.name else head
        wrapped = textwrap.wrap(each.text, WIDTH - len(start), break_on_hyphens=False)
        yield (start + wrapped[0]).rstrip()
        for more in wrapped[1:]:
            yield " " * len(start) + more


def tree(shown: Cells, states: Mapping[int, str] = APPLICATION_STATES) -> Iterator[Detail]:
    """Yield the BER-TLVs in *shown*; raises UnreadableError where it isn't wholly such. *states*: what 9F70 may say."""
    return _tree(shown, states, within=0, depth=0)


def _tree(shown: Cells, states: Mapping[int, str], *, within: int, depth: int) -> Iterator[Detail]:
    reader, found = Reader(shown), list[tuple[int, Cells]]()
    while reader.left:
        found.append(reader.tlv())
    for tag, value in found:
        name = f"{tag:02X} {UNDER.get(within, {}).get(tag) or TAGS.get(tag, '')}".rstrip()
        if _is_constructed(tag) and value and depth < DEEPEST:
            try:
                inner = tuple(_tree(value, states, within=tag, depth=depth + 1))
            except UnreadableError:
                yield Detail(name, f"{text(value)} (no TLV)", depth)
            else:
                yield Detail(name, "", depth)
                yield from inner
            continue
        yield from _primitive(tag, name, value, states, depth)


def _is_constructed(tag: int) -> bool:
    first = tag.to_bytes((tag.bit_length() + 7) // 8 or 1, "big")[0]
    return bool(first & CONSTRUCTED)


def _primitive(tag: int, name: str, value: Cells, states: Mapping[int, str], depth: int) -> Iterator[Detail]:
    known = public(value)
    if known is None or not known:
        yield Detail(name, text(value) or "(empty)", depth)
    elif tag == 0x9F7F and (fields := tuple(cplc(known, depth + 1))):
        yield Detail(name, "", depth)
        yield from fields
    elif tag == 0x9F70:
        yield Detail(name, f"{known.hex().upper()} {meanings.state(known[0], states)}", depth)
    else:
        words = MEANINGS[tag](known) if tag in MEANINGS else ""
        yield Detail(name, f"{known.hex().upper()} {words}".rstrip(), depth)


def cplc(value: bytes, depth: int = 0) -> Iterator[Detail]:
    """Yield a card's production data, a line for each that had it in hand; nothing for a *value* of another length."""
    if len(value) != sum(size for _, _, size in CPLC):
        return
    at, lines = 0, dict[str, list[str]]()
    for of, name, size in CPLC:
        lines.setdefault(of, []).append(f"{name} {value[at : at + size].hex().upper()}")
        at += size
    yield from (Detail(of, ", ".join(fields), depth) for of, fields in lines.items())


MEANINGS: Final[Mapping[int, Callable[[bytes], str]]] = {
    0x06: meanings.identifier,
    0x9F65: lambda value: counted(int.from_bytes(value, "big")) if len(value) <= 2 else "",
    0xC0: meanings.keys,
    0xC5: meanings.privileges,
}
"""What values say, by their tags; empty where they don't have the length that they should."""
