"""PUT KEY, DELETE [key] and the keys in STORE DATA, as the card takes them (GPCS 11.8, 11.2.2.3.2, 11.11.4)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Final

from hardware import crypto
from hardware.sim import scp03
from hardware.sim.apdu import Answer, Apdu, RefusedError
from hardware.sim.keyring import AES, DES, EC_PRIVATE, Key, KeyRing, check_type
from hardware.sim.reader import Reader
from hardware.sim.registry import Registry
from hardware.sim.session import Channel

SEVERAL: Final = 0x80
EXTENDED: Final = 0xFF
SECRET: Final = (DES, AES, EC_PRIVATE)
KEY_SIZE: Final = 16
"""What a key takes beside its value."""


def check_value(kind: int, value: bytes) -> bytes:
    """Return the key check value (GPCS B.5, B.6)."""
    if kind == DES:
        return crypto.des3_ecb_encrypt(value, bytes(8))[:3]
    return crypto.aes_ecb_encrypt(value, b"\x01" * 16)[:3]


@dataclass(slots=True)
class _Field:
    """One key as PUT KEY brings it, before it has its place."""

    parts: list[tuple[int, bytes]] = field(default_factory=list)
    check: bytes = b""
    extended: bool = False
    usage: bytes = b""
    access: bytes = b""


def put_key(apdu: Apdu, ring: KeyRing, registry: Registry, channel: Channel) -> Answer:
    """Take new keys, or others in the place of those of set P1; returns their set and check values.

    Refuses with 6A88 where there is nothing to replace, 6A80 for a set that is there already, 9485 for a wrong check value.
    """
    replaced, several, first = apdu.p1, apdu.p2 & SEVERAL, apdu.p2 & 0x7F
    if replaced > 0x7F or not first:
        raise RefusedError(0x6A86)
    reader = Reader(apdu.data)
    kvn = reader.number(1)
    fields = [*_fields(reader, channel)]
    if not 1 <= kvn <= 0x7F or not fields or (len(fields) > 1 and not several) or first + len(fields) > 0x80:
        raise RefusedError(0x6A80)
    for kid, new in enumerate(fields, first):
        _place(ring, Key(kvn=kvn, kid=kid, parts=tuple(new.parts), extended=new.extended, usage=new.usage,
                         access=new.access), replaced, registry)  # fmt: skip
    return Answer(data=bytes((kvn,)) + b"".join(new.check for new in fields))


def _place(ring: KeyRing, new: Key, replaced: int, registry: Registry) -> None:
    old = ring.key(replaced, new.kid) if replaced else None
    if replaced and old is None:
        raise RefusedError(0x6A88)
    if old is not None:
        if {kind for kind, _ in old.parts} != {kind for kind, _ in new.parts}:
            raise RefusedError(0x6A80)
        ring.remove(old)
    if ring.key(new.kvn, new.kid) is not None:
        raise RefusedError(0x6A80)
    registry.claim(new.size + KEY_SIZE)
    ring.put(new)


def _fields(reader: Reader, channel: Channel) -> Iterator[_Field]:
    """Yield the keys in basic or extended form; components of one key follow each other up to its check value."""
    while reader.left:
        new = _Field()
        while True:
            kind = reader.number(1)
            if kind == EXTENDED:
                new.extended = True
                kind = reader.number(1)
            block = reader.take(reader.number(2) if new.extended else reader.length())
            value = _clear(kind, block, channel)
            check_type(kind, value)
            new.parts.append((kind, value))
            if not reader.left or reader.peek() < DES:  # a length; no component has such a type (GPCS 11.1.8)
                break
        _end(reader, new)
        yield new


def _end(reader: Reader, new: _Field) -> None:
    new.check = reader.lv()
    if new.check:
        kind, value = new.parts[0]
        if kind not in (DES, AES) or not compare_digest(check_value(kind, value), new.check):
            raise RefusedError(0x9485)
    if new.extended:
        new.usage, new.access = reader.lv(), reader.lv()


def _clear(kind: int, block: bytes, channel: Channel) -> bytes:
    """Return a component in clear; under an AES key, or where it had to be padded, its length stands ahead."""
    if kind not in SECRET:
        return block
    if isinstance(channel, scp03.Channel) or len(block) % crypto.DES_BLOCK:
        reader = Reader(block)
        size = reader.length()
        value = channel.decrypt(reader.rest())
        if not size <= len(value) < size + 16:
            raise RefusedError(0x6A80)
        return value[:size]
    return channel.decrypt(block)


def delete_key(data: bytes, ring: KeyRing, in_use: int) -> None:
    """Remove the keys that D0 (identifier), D2 (version) or both name; refuses with 6985 for the set of this session."""
    reader, wanted = Reader(data), dict[int, int]()
    while reader.left:
        tag, value = reader.tlv()
        if tag not in (0xD0, 0xD2) or len(value) != 1 or tag in wanted:
            raise RefusedError(0x6A80)
        wanted[tag] = value[0]
    found = [key for key in ring if wanted.get(0xD0, key.kid) == key.kid and wanted.get(0xD2, key.kvn) == key.kvn]
    if not found:
        raise RefusedError(0x6A88)
    if any(key.kvn == in_use for key in found):
        raise RefusedError(0x6985)
    for key in found:
        ring.remove(key)


class KeyLoad:
    """Take the keys of one STORE DATA: their descriptions in DGI 00B9, then their values in as many DGIs 8113."""

    def __init__(self, ring: KeyRing, registry: Registry) -> None:
        self._ring, self._registry = ring, registry
        self._wanted: list[dict[int, bytes]] = []
        self._taken = 0

    def describe(self, value: bytes) -> None:
        """Read control reference templates B9; what all keys share may stand in B7 before them."""
        reader, shared = Reader(value), dict[int, bytes]()
        while reader.left:
            tag, inner = reader.tlv()
            if tag not in (0xB7, 0xB9):
                raise RefusedError(0x6A80)
            fields, each = dict[int, bytes](), Reader(inner)
            while each.left:
                name, content = each.tlv()
                fields[name] = content
            if tag == 0xB7:
                shared = fields
            else:
                self._wanted.append({**shared, **fields})

    def take(self, value: bytes) -> None:
        """Keep the next value; refuses with 6A80 where nothing describes it, 9485 where its check value is another."""
        if self._taken == len(self._wanted):
            raise RefusedError(0x6A80)
        said = self._wanted[self._taken]
        self._taken += 1
        kind, size, kid, kvn = (int.from_bytes(said.get(tag, b""), "big") for tag in (0x80, 0x81, 0x82, 0x83))
        if not size <= len(value) < size + 16 or not 1 <= kvn <= 0x7F or not 1 <= kid <= 0x7F:
            raise RefusedError(0x6A80)
        value = value[:size]
        check_type(kind, value)
        if 0x84 in said and not compare_digest(check_value(kind, value), said[0x84]):
            raise RefusedError(0x9485)
        new = Key(kvn=kvn, kid=kid, parts=((kind, value),), usage=said.get(0x95, b""), access=said.get(0x96, b""))
        _place(self._ring, new, 0, self._registry)

    def complete(self) -> bool:
        """Tell whether keys came; refuses with 6A80 where one is described that didn't."""
        if self._taken != len(self._wanted):
            raise RefusedError(0x6A80)
        return bool(self._taken)
