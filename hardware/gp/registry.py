"""What a card holds: GET STATUS asked and read (GPCS 11.4)."""

from collections.abc import Iterator
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
    """One registry entry: *state* is the life cycle coding."""

    aid: AID
    state: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A card's Issuer Security Domain, applications and load files."""

    isd: Entry
    applications: tuple[Entry, ...]
    load_files: tuple[Entry, ...]


def read(scope: int, aid: bytes = b"") -> Dialogue[tuple[Entry, ...]]:
    """Read all entries of a *scope* whose AID begins with *aid*; raises CardError, ProtocolError."""
    response = yield commands.get_status(scope, aid)
    data = response.data
    answers = 1
    while response.sw == commands.MORE:
        if answers == MOST_ANSWERS:
            raise ProtocolError(f"GET STATUS: the card still has more data after {answers} answers")
        response = yield commands.get_status(scope, aid, following=True)
        data += response.data
        answers += 1
    try:
        return tuple(_entries(data))
    except (ValueError, IndexError) as malformed:
        raise ProtocolError(f"GET STATUS: the card's answer is malformed: {malformed}") from malformed


def read_all() -> Dialogue[Registry]:
    """Read what the card holds; raises CardError, ProtocolError."""
    domains = yield from read(commands.ISD)
    if len(domains) != 1:
        raise ProtocolError(f"GET STATUS: {len(domains)} Issuer Security Domains reported")
    applications = yield from read(commands.APPLICATIONS)
    load_files = yield from read(commands.LOAD_FILES)
    return Registry(isd=domains[0], applications=applications, load_files=load_files)


def _entries(data: bytes) -> Iterator[Entry]:
    for tag, value in tlv.parse(data):
        if tag != 0xE3:
            raise ValueError(f"tag {tag:X} where E3 belongs")
        aid, state = tlv.find(value, 0x4F), tlv.find(value, 0x9F70)
        if aid is None or not state:
            raise ValueError("an entry lacks its AID or life cycle")
        yield Entry(aid=AID(aid), state=state[0])
