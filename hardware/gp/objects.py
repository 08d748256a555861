"""What a card says of itself: the data objects of GET DATA, decoded (GPCS 2.3.1 section 11.3 and annex H; CPLC)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from hardware import tlv
from hardware.errors import ProtocolError
from hardware.gp import commands
from hardware.iso7816 import AID, Dialogue

T = TypeVar("T")

CPLC, RECOGNITION, CAPABILITIES, KEYS, MEMORY = 0x9F7F, 0x66, 0x67, 0xE0, 0xFF21
APPLICATIONS, ISSUER, IMAGE, SEQUENCE, CONFIRMATIONS, KDD = 0x2F00, 0x42, 0x45, 0xC1, 0xC2, 0xCF
FIELDS: Final = (
    ("ic_fabricator", 2), ("ic_type", 2), ("os_id", 2), ("os_date", 2), ("os_level", 2), ("ic_date", 2),
    ("ic_serial", 4), ("ic_batch", 2), ("module_fabricator", 2), ("module_date", 2), ("card_manufacturer", 2),
    ("embedding_date", 2), ("preperso_id", 2), ("preperso_date", 2), ("preperso_equipment", 4),
    ("perso_id", 2), ("perso_date", 2), ("perso_equipment", 4),
)  # fmt: skip
"""The 42 bytes of 9F7F in their order."""
OID: Final = bytes.fromhex("2A864886FC6B")
"""1.2.840.114283, GlobalPlatform's own."""
EXTENDED: Final = 0xFF
HASHES: Final[Mapping[int, str]] = {1: "SHA-1", 2: "SHA-256", 3: "SHA-384", 4: "SHA-512"}
SIGNATURES: Final = (
    (0x0100, "RSA-1024 PKCS #1 v1.5 SHA-1"), (0x0200, "RSA PSS SHA-256"), (0x0400, "DES MAC"), (0x0800, "AES-128 CMAC"),
    (0x1000, "AES-192 CMAC"), (0x2000, "AES-256 CMAC"), (0x4000, "ECDSA-256"), (0x8000, "ECDSA-384"),
    (0x0001, "ECDSA-512"), (0x0002, "ECDSA-521"),
)  # fmt: skip
"""Bits of 85, 86 and 87 in 67 (table H-9)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A secure channel protocol that a card offers: its number, and one or more values of option i, each as bytes."""

    protocol: int
    options: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """Card recognition data (table H-1): the version of GlobalPlatform, and what else the card gives as identifiers."""

    version: str
    channels: tuple[Channel, ...]
    configuration: bytes = b""
    chip: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPart:
    """One component of a key: its type (11.1.8) and length in bytes."""

    type: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CardKey:
    """One key that a card holds (11.3.3.1.1); usage and access only where the card gives the extended form."""

    kvn: int
    kid: int
    parts: tuple[KeyPart, ...]
    usage: bytes = b""
    access: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Card capability information (H.4)."""

    channels: tuple[Channel, ...]
    domain_privileges: bytes = b""
    application_privileges: bytes = b""
    hashes: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    receipts: tuple[str, ...] = ()
    daps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Free memory in bytes and the number of installed applications (TS 102 226 8.2.1.7.2)."""

    applications: int
    data: int
    volatile: int


def read(tag: int, decode: Callable[[bytes], T]) -> Dialogue[T | None]:
    """Read data object *tag* of the selected security domain and decode its value; None where the card has none.

    Raises ProtocolError where the value isn't what the specification gives. Some cards leave tag and length away.
    """
    response = yield commands.get_data(tag)
    if response.sw != 0x9000:
        return None
    try:
        return decode(_value(tag, response.data))
    except (ValueError, IndexError) as malformed:
        raise ProtocolError(f"GET DATA {tag:04X}: the card's answer is malformed: {malformed}") from malformed


def _value(tag: int, data: bytes) -> bytes:
    try:
        found = tlv.find(data, tag)
    except (ValueError, IndexError):
        return data
    return data if found is None else found


def cplc(value: bytes) -> dict[str, bytes]:
    """Return the card production life cycle data by field; raises ValueError for another length than 42 bytes."""
    if len(value) != sum(size for _, size in FIELDS):
        raise ValueError(f"production data have 42 bytes, not {len(value)}")
    fields, at = dict[str, bytes](), 0
    for name, size in FIELDS:
        fields[name], at = value[at : at + size], at + size
    return fields


def recognition(value: bytes) -> Recognition:
    """Decode 66 (table H-1); raises ValueError for what isn't GlobalPlatform's."""
    inner = tlv.find(value, 0x73)
    if inner is None or tlv.find(inner, 0x06) != OID + b"\x01":
        raise ValueError("no card recognition data of GlobalPlatform")
    version = _own(tlv.find(inner, 0x60, 0x06), b"\x02")
    channels = [_own(tlv.find(each, 0x06), b"\x04") for tag, each in tlv.parse(inner) if tag == 0x64]
    return Recognition(
        version=".".join(str(number) for number in version),
        channels=tuple(Channel(protocol=number[0], options=(number[1:],)) for number in channels),
        configuration=tlv.find(inner, 0x65) or b"",
        chip=tlv.find(inner, 0x66) or b"",
    )


def _own(identifier: bytes | None, arc: bytes) -> bytes:
    """Return what follows GlobalPlatform's *arc* in an object identifier."""
    head = OID + arc
    if not identifier or not identifier.startswith(head) or len(identifier) == len(head):
        raise ValueError("an object identifier is missing, or not of GlobalPlatform")
    return identifier[len(head) :]


def keys(value: bytes) -> tuple[CardKey, ...]:
    """Decode E0, each C0 in the basic or in the extended form (tables 11-29, 11-30); raises ValueError."""
    return tuple(_key(each) for tag, each in tlv.parse(value) if tag == 0xC0)


def _key(data: bytes) -> CardKey:
    kid, kvn, rest = data[0], data[1], data[2:]
    if rest[:1] == bytes((EXTENDED,)):
        return _extended(kid, kvn, rest)
    if not rest or len(rest) % 2:
        raise ValueError(f"key {kid:02X} of set {kvn:02X} lacks a type or a length")
    parts = tuple(KeyPart(type=kind, length=size) for kind, size in zip(rest[::2], rest[1::2], strict=True))
    return CardKey(kvn=kvn, kid=kid, parts=parts)


def _extended(kid: int, kvn: int, rest: bytes) -> CardKey:
    """Read components until what is left is just usage and access, each behind its length of 00 to 02."""
    parts = list[KeyPart]()
    while (ends := _ends(rest)) is None:
        rest = rest[1:] if rest[:1] == bytes((EXTENDED,)) else rest
        if len(rest) < 3:
            raise ValueError(f"key {kid:02X} of set {kvn:02X} is cut short")
        parts.append(KeyPart(type=rest[0], length=int.from_bytes(rest[1:3], "big")))
        rest = rest[3:]
    return CardKey(kvn=kvn, kid=kid, parts=tuple(parts), usage=ends[0], access=ends[1])


def _ends(rest: bytes) -> tuple[bytes, bytes] | None:
    if not rest or rest[0] > 2 or len(rest) < 2 + rest[0]:
        return None
    usage, access = rest[1 : 1 + rest[0]], rest[2 + rest[0] :]
    return (usage, access) if rest[1 + rest[0]] == len(access) <= 1 else None


def capabilities(value: bytes) -> Capabilities:
    """Decode 67 (H.4); raises ValueError."""
    fields = [*tlv.parse(value)]
    found = dict(fields)
    if not {*found} <= {0xA0, *range(0x81, 0x89)}:
        raise ValueError("tags that no card capability information has")
    return Capabilities(
        channels=tuple(_channel(each) for tag, each in fields if tag == 0xA0),
        domain_privileges=found.get(0x81, b""),
        application_privileges=found.get(0x82, b""),
        hashes=tuple(HASHES.get(number, f"{number:02X}") for number in found.get(0x83, b"")),
        tokens=tuple(_signatures(found.get(0x85, b""))),
        receipts=tuple(_signatures(found.get(0x86, b""))),
        daps=tuple(_signatures(found.get(0x87, b""))),
    )


def _channel(value: bytes) -> Channel:
    protocol, options = tlv.find(value, 0x80), tlv.find(value, 0x81) or b""
    if not protocol:
        raise ValueError("a secure channel lacks its number")
    return Channel(protocol=protocol[0], options=tuple(bytes((option,)) for option in options))


def _signatures(bits: bytes) -> Iterator[str]:
    known = int.from_bytes(bits[:2].ljust(2, b"\0"), "big")
    return (name for bit, name in SIGNATURES if known & bit)


def memory(value: bytes) -> Memory:
    """Decode FF21 (TS 102 226 8.2.1.7.2); raises ValueError where one of its three numbers is missing."""
    found = dict(tlv.parse(value))
    if not {0x81, 0x82, 0x83} <= found.keys():
        raise ValueError("a number is missing")
    applications, data, volatile = (int.from_bytes(found[tag], "big") for tag in (0x81, 0x82, 0x83))
    return Memory(applications=applications, data=data, volatile=volatile)


def applications(value: bytes) -> tuple[AID, ...]:
    """Decode 2F00, the list of applications (11.3.3.1.3); raises ValueError."""
    return tuple(AID(aid) for tag, each in tlv.parse(value) if tag == 0x61 for kind, aid in tlv.parse(each) if kind == 0x4F)
