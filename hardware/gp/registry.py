"""What a card holds: GET STATUS asked and read, in its TLV form (GPCS 2.3.1, 11.4) and the deprecated one (2.1.1, 9.4)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from hardware import tlv
from hardware.errors import ProtocolError
from hardware.gp import commands
from hardware.iso7816 import AID, Dialogue

MOST_ANSWERS: Final = 256
"""A card that has more data to the end of days is stopped here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One registry entry: *state* is the life cycle coding; the rest is empty where the card doesn't say it.

    privileges: 1 or 3 bytes; load_file: what an application was made from; version: a load file's, major first; modules: its
    own; domain: the security domain that it belongs to; implicit: which interfaces and channels select it.
    """

    aid: AID
    state: int
    privileges: bytes = b""
    load_file: AID | None = None
    version: bytes = b""
    modules: tuple[AID, ...] = ()
    domain: AID | None = None
    implicit: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A card's Issuer Security Domain, applications and load files."""

    isd: Entry
    applications: tuple[Entry, ...]
    load_files: tuple[Entry, ...]


def read(scope: int, aid: bytes = b"") -> Dialogue[tuple[Entry, ...]]:
    """Read all entries of a *scope* whose AID begins with *aid*; raises CardError, ProtocolError.

    A card that knows nothing of the TLV form is asked again in the deprecated one.
    """
    deprecated = False
    response = yield commands.get_status(scope, aid)
    if response.sw == commands.WRONG_P1_P2:
        deprecated = True
        response = yield commands.get_status(scope, aid, deprecated=True)
    data = response.data
    answers = 1
    while response.sw == commands.MORE:
        if answers == MOST_ANSWERS:
            raise ProtocolError(f"GET STATUS: the card still has more data after {answers} answers")
        response = yield commands.get_status(scope, aid, following=True, deprecated=deprecated)
        if response.sw == commands.WRONG_P1_P2:
            raise ProtocolError("GET STATUS: the card has more data and refuses to be asked for it")
        data += response.data
        answers += 1
    entries: Callable[[bytes, int], Iterator[Entry]] = _rows if deprecated else _templates
    try:
        return tuple(entries(data, scope))
    except (ValueError, IndexError) as malformed:
        raise ProtocolError(f"GET STATUS: the card's answer is malformed: {malformed}") from malformed


def read_all(*, modules: bool = False) -> Dialogue[Registry]:
    """Read what the card holds, load files with their *modules* or without; raises CardError, ProtocolError."""
    domains = yield from read(commands.ISD)
    if len(domains) != 1:
        raise ProtocolError(f"GET STATUS: {len(domains)} Issuer Security Domains reported")
    applications = yield from read(commands.APPLICATIONS)
    load_files = yield from read(commands.MODULES if modules else commands.LOAD_FILES)
    return Registry(isd=domains[0], applications=applications, load_files=load_files)


def _templates(data: bytes, _scope: int) -> Iterator[Entry]:
    """Yield the entries of the TLV form (table 11-36)."""
    for tag, value in tlv.parse(data):
        if tag != 0xE3:
            raise ValueError(f"tag {tag:X} where E3 belongs")
        fields = [*tlv.parse(value)]
        found = dict(reversed(fields))
        if 0x4F not in found or not found.get(0x9F70):
            raise ValueError("an entry lacks its AID or life cycle")
        yield Entry(
            aid=AID(found[0x4F]),
            state=found[0x9F70][0],
            privileges=found.get(0xC5, b""),
            load_file=_aid(found.get(0xC4)),
            version=found.get(0xCE, b""),
            modules=tuple(AID(module) for each, module in fields if each == 0x84),
            domain=_aid(found.get(0xCC)),
            implicit=tuple(byte for each, selected in fields if each == 0xCF for byte in selected),
        )


def _aid(value: bytes | None) -> AID | None:
    return AID(value) if value else None


def _rows(data: bytes, scope: int) -> Iterator[Entry]:
    """Yield the entries of the deprecated form: LV(AID), state, privileges, and modules if asked for (2.1.1, 9.4.3.1)."""
    at = 0

    def take(size: int) -> bytes:
        nonlocal at
        if at + size > len(data):
            raise ValueError(f"{size} bytes of an entry where {len(data) - at} are left")
        at += size
        return data[at - size : at]

    while at < len(data):
        aid, (state, privileges) = AID(take(take(1)[0])), take(2)
        modules = tuple(AID(take(take(1)[0])) for _ in range(take(1)[0])) if scope == commands.MODULES else ()
        is_code = scope in (commands.LOAD_FILES, commands.MODULES)
        yield Entry(aid=aid, state=state, privileges=b"" if is_code else bytes((privileges,)), modules=modules)
