"""Which secure channel a card speaks, from what it says of itself and never by trying (GPCS H.2 and 11.3.3.1)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hardware import tlv
from hardware.errors import ProtocolError
from hardware.iso7816 import Command, Dialogue
from hardware.keys import Algorithm
from hardware.scp import channel

SPEAKS: Final = bytes.fromhex("2A864886FC6B04")
"""Object identifier of the GlobalPlatform protocols; a protocol's number and its option i follow (H.2)."""
SYMMETRIC: Final = (0x01, 0x02, 0x03)
KEY_TYPES: Final = {0x80: Algorithm.DES3, 0x82: Algorithm.DES3, 0x88: Algorithm.AES}
"""Key types of GPCS table 11-16 that a secure channel's keys have."""
EXTENDED: Final = 0xFF
"""Ahead of a key type: what follows is in the extended format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The channel named *scp* with option *i*; *bits* of the card's keys, None where it wasn't asked or doesn't say."""

    scp: str
    i: int
    bits: int | None = None

    def __str__(self) -> str:
        return f"{self.scp} i={self.i:02X}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key that the card says it holds."""

    kvn: int
    algorithm: Algorithm
    bits: int


def choose(scp: str | None, i: int | None, kvn: int) -> Dialogue[Choice]:
    """Return the channel to open for key set *kvn* (0: the card's default); a stated *scp* and *i* are taken as they are.

    Where either isn't stated, the selected security domain's card recognition data say it, and its key information which of
    several. Raises ProtocolError where they say nothing, nothing that fits what is stated and the keys, or more than one.
    """
    if scp is not None and i is not None:
        return Choice(scp=scp, i=i)
    offered = tuple(_offered((yield from _read(0x66))))
    keys = [key for key in _keys((yield from _read(0xE0))) if kvn in (0, key.kvn)]
    fitting = [each for each in offered if scp in (None, each.scp) and i in (None, each.i)]
    suiting = [each for each in fitting if not keys or any(_suits(each, key) for key in keys)]
    if len(suiting) != 1:
        raise ProtocolError(_undecided(offered, fitting, suiting, kvn))
    sizes = {key.bits for key in keys if _suits(suiting[0], key)}
    return Choice(scp=suiting[0].scp, i=suiting[0].i, bits=sizes.pop() if len(sizes) == 1 else None)


def _undecided(offered: tuple[Choice, ...], fitting: list[Choice], suiting: list[Choice], kvn: int) -> str:
    said = " and ".join(map(str, offered)) or "no channel"
    if len(suiting) > 1:
        return f"the card says that it speaks {said}: the product must state which one key set {kvn:02X} is for"
    if fitting:
        return f"the card says that it speaks {said}, and that key set {kvn:02X} holds no keys for that"
    return f"the card says that it speaks {said}: that isn't what the product states, or too little to open one"


def _suits(choice: Choice, key: Key) -> bool:
    return channel(choice.scp).WRAP.algorithm is key.algorithm


def _read(tag: int) -> Dialogue[bytes]:
    """Return the content of one data object, nothing where there is none; raises ProtocolError where it is damaged."""
    answer = yield Command("GET DATA", 0x80, 0xCA, 0, tag, ne=256, accept=(0x9000, 0x6A88), secret=())
    try:
        return (tlv.find(answer.data, tag) or b"") if answer.sw == 0x9000 else b""
    except (ValueError, IndexError) as wrong:
        raise ProtocolError(f"GET DATA: data object {tag:02X} is damaged: {wrong}") from wrong


def _offered(recognition: bytes) -> Iterator[Choice]:
    """Yield the symmetric channels that card recognition data name, each once."""
    seen = set[Choice]()
    try:
        for tag, value in tlv.parse(tlv.find(recognition, 0x73) or b""):
            for inner, identifier in tlv.parse(value) if tag == 0x64 else ():
                spoken = identifier.removeprefix(SPEAKS)
                if inner == 0x06 and len(spoken) == 2 and spoken[0] in SYMMETRIC:
                    choice = Choice(scp=f"SCP{spoken[0]:02}", i=spoken[1])
                    if choice not in seen:
                        seen.add(choice)
                        yield choice
    except (ValueError, IndexError) as wrong:
        raise ProtocolError(f"GET DATA: the card recognition data are damaged: {wrong}") from wrong


def _keys(template: bytes) -> Iterator[Key]:
    """Yield the 3DES and AES keys of a key information template: identifier, KVN, then type and length of the first part."""
    try:
        for tag, value in tlv.parse(template):
            if tag != 0xC0:
                continue
            kvn, kind, size = value[1], value[2], value[3]
            if kind == EXTENDED:
                kind, size = value[3], value[4] << 8 | value[5]
            if kind in KEY_TYPES:
                yield Key(kvn=kvn, algorithm=KEY_TYPES[kind], bits=8 * size)
    except (ValueError, IndexError) as wrong:
        raise ProtocolError(f"GET DATA: the key information is damaged: {wrong}") from wrong
