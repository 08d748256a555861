"""Keys put onto a card: PUT KEY in both formats, and STORE DATA with DGIs 00B9 and 8113 (GPCS 2.3.1, 11.8 and 11.11.4).

What is secret has been encrypted inside a key store by the time it comes here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from hardware.certificates import CURVES
from hardware.crypto import Curve
from hardware.errors import ProtocolError
from hardware.gp import commands
from hardware.iso7816 import Dialogue
from hardware.keystores import Algorithm, EccPublic, RsaPublic, Wrap, Wrapped
from hardware.tlv import dgi, length, lv, tlv

DES, AES, RSA_EXPONENT, RSA_MODULUS, ECC_PUBLIC, ECC_PRIVATE, CURVE = 0x80, 0x88, 0xA0, 0xA1, 0xB0, 0xB1, 0xF0
"""Key types (11.1.8)."""
REFERENCES: Final = {curve: reference for reference, curve in CURVES.items()}
"""Key parameter references by curve."""
EXTENDED: Final = 0xFF
MOST: Final = 0x7F
DESCRIPTIONS, VALUE = 0x00B9, 0x8113
CLEAR_DGIS, ENCRYPTED_DGIS = 0x08, 0x68
"""P1 of STORE DATA: DGIs, none or all of them encrypted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A part of a key; *size* is the length in clear of one that is encrypted, None where it stands in clear."""

    type: int
    value: bytes = field(repr=False)
    size: int | None = None

    def block(self, wrap: Wrap) -> bytes:
        """Return the key component block: under an AES key, or padded, its length in clear stands ahead (table 11-70)."""
        if self.size is None or (wrap.algorithm is Algorithm.DES3 and self.size == len(self.value)):
            return self.value
        return length(self.size) + self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """One key as a card is to hold it: its identifier, components and check value; usage (11.1.9) and access (11.1.10).

    Where the check value stands in the extended format is taken from the basic one; no published value has confirmed it yet.
    """

    kid: int
    components: tuple[Component, ...]
    kcv: bytes = b""
    usage: bytes = b""
    access: bytes = b""

    def field(self, wrap: Wrap, *, extended: bool) -> bytes:
        """Return the key data field in the basic or in the *extended* format (tables 11-68 and 11-69)."""
        blocks = [(component.type, component.block(wrap)) for component in self.components]
        if not extended:
            return b"".join(bytes((kind,)) + lv(block) for kind, block in blocks) + lv(self.kcv)
        parts = (bytes((EXTENDED, kind)) + len(block).to_bytes(2, "big") + block for kind, block in blocks)
        return b"".join(parts) + lv(self.kcv) + lv(self.usage) + lv(self.access)


def symmetric(kid: int, key: Wrapped, *, usage: bytes = b"", access: bytes = b"") -> NewKey:
    """Return a DES or AES key."""
    kind = DES if key.algorithm is Algorithm.DES3 else AES
    return NewKey(
        kid=kid,
        components=(Component(type=kind, value=key.value, size=key.size),),
        kcv=key.kcv,
        usage=usage,
        access=access,
    )


def public(kid: int, key: RsaPublic | EccPublic, *, usage: bytes = b"", access: bytes = b"") -> NewKey:
    """Return the public half of an RSA or ECC key, which travels in clear and has no check value."""
    if isinstance(key, RsaPublic):
        parts = (Component(type=RSA_MODULUS, value=key.modulus), Component(type=RSA_EXPONENT, value=key.exponent))
    else:
        parts = (Component(type=ECC_PUBLIC, value=key.point), _curve(key.curve))
    return NewKey(kid=kid, components=parts, usage=usage, access=access)


def private(kid: int, key: Wrapped, *, usage: bytes = b"", access: bytes = b"") -> NewKey:
    """Return a private ECC key; raises ValueError for another one."""
    if key.algorithm.curve is None:
        raise ValueError(f"a key for {key.algorithm} isn't on a curve")
    parts = (Component(type=ECC_PRIVATE, value=key.value, size=key.size), _curve(key.algorithm.curve))
    return NewKey(kid=kid, components=parts, usage=usage, access=access)


def _curve(curve: Curve) -> Component:
    return Component(type=CURVE, value=REFERENCES[curve])


def put(keys: Sequence[NewKey], kvn: int, wrap: Wrap, *, replaced: int = 0, extended: bool = False) -> Dialogue[None]:
    """Put *keys* of successive identifiers as set *kvn*, new or in the place of set *replaced*; raises CardError.

    Raises ProtocolError where the card's answer isn't the set with the check values of the keys, ValueError for numbers that
    no card has.
    """
    _check(keys, kvn)
    fields = bytes((kvn,)) + b"".join(key.field(wrap, extended=extended) for key in keys)
    response = yield commands.put_key(replaced, keys[0].kid, fields, several=len(keys) > 1)
    if response.data != bytes((kvn,)) + b"".join(key.kcv for key in keys):
        raise ProtocolError(f"PUT KEY: the card's check values aren't those of key set {kvn:02X}")


def store(keys: Sequence[NewKey], kvn: int) -> Dialogue[None]:
    """Store secret *keys* as set *kvn* of the domain that takes STORE DATA; raises CardError, ValueError like put.

    DGI 00B9 describes all of them, a DGI 8113 brings each (11.11.4.1).
    """
    _check(keys, kvn)
    if any(len(key.components) != 1 or key.components[0].size is None for key in keys):
        raise ValueError("STORE DATA brings symmetric keys; others are put by PUT KEY")
    described = b"".join(_description(key, kvn) for key in keys)
    last = len(keys)
    yield (
        commands.store_data(dgi(DESCRIPTIONS, described), 0, CLEAR_DGIS, last=False, secret=()),
        *(
            commands.store_data(dgi(VALUE, key.components[0].value), number, ENCRYPTED_DGIS, last=number == last)
            for number, key in enumerate(keys, 1)
        ),
    )


def _description(key: NewKey, kvn: int) -> bytes:
    """Return the control reference template of one key: usage, access, type, length, identifier, version, check value."""
    (component,) = key.components
    fields = (
        (0x95, key.usage), (0x96, key.access), (0x80, bytes((component.type,))), (0x81, bytes((component.size or 0,))),
        (0x82, bytes((key.kid,))), (0x83, bytes((kvn,))), (0x84, key.kcv),
    )  # fmt: skip
    return tlv(0xB9, b"".join(tlv(tag, value) for tag, value in fields if value))


def _check(keys: Sequence[NewKey], kvn: int) -> None:
    if not keys or not 1 <= kvn <= MOST:
        raise ValueError(f"no keys, or key version {kvn:02X}, which no card has")
    if [key.kid for key in keys] != [*range(keys[0].kid, keys[0].kid + len(keys))] or not 1 <= keys[0].kid <= MOST:
        raise ValueError("the keys' identifiers don't follow each other")
