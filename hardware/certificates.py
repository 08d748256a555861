"""Certificates of SCP11 in both forms, GlobalPlatform's and X.509, and chains of them (GPC Amendment F, table 6-12)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Final

from hardware.crypto import Curve, ec_check, ecdsa_verify, x509_parse, x509_verify
from hardware.errors import AuthenticationError
from hardware.tlv import parse as tlvs
from hardware.tlv import tlv

GLOBALPLATFORM, X509 = 0x7F21, 0x30
"""Tags that the two forms begin with."""
SERIAL, ISSUER, SUBJECT, USAGE, LAST, FIRST, KEY, SIGNATURE = 0x93, 0x42, 0x5F20, 0x95, 0x5F24, 0x5F25, 0x7F49, 0x5F37
MANDATORY: Final = {SERIAL, ISSUER, SUBJECT, USAGE, LAST, KEY, SIGNATURE}
OPTIONAL: Final = {FIRST, 0x53, 0x73, 0xBF20}
"""Effective date, discretionary data in two forms, authorizations under SCP11c."""
SIGNS, AGREES = b"\x82", b"\x00\x80"
"""Key usage: verification of signatures, so a CA's key; key agreement."""
CURVES: Final = {b"\x00": Curve.P256, b"\x01": Curve.P384, b"\x03": Curve.BRAINPOOL_P256}
"""Key parameter references (GPCS 2.3.1 table B-2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A CA whose key is trusted; *identifier* is what GlobalPlatform certificates call it (tag 42)."""

    identifier: bytes
    curve: Curve
    point: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate, its signature not looked at; issuer and subject are identifiers, or names in DER.

    *first* and *last* are the days that it is valid from and until; what is no date makes it valid on no day.
    *signs*: its key verifies other certificates, with at most *below* (None: any number of) further CAs beneath it.
    *agrees*: its key agrees on session keys.
    """

    form: int
    serial: bytes
    issuer: bytes
    subject: bytes
    first: date
    last: date
    agrees: bool
    signs: bool
    below: int | None
    curve: Curve
    point: bytes
    covered: bytes = field(repr=False)
    """What the signature is over; of an X.509 certificate all of it."""
    signature: bytes = field(repr=False)

    def is_signed_by(self, curve: Curve, point: bytes) -> bool:
        """Tell whether the key of *point* signed it."""
        if self.form == X509:
            return x509_verify(self.covered, curve, point)
        return ecdsa_verify(curve, point, self.covered, self.signature)


def split(store: bytes) -> tuple[bytes, ...]:
    """Return the certificates of a certificate store (the value of BF21); raises ValueError for anything else in it."""
    found = list(tlvs(store))
    if strange := [tag for tag, _ in found if tag not in (GLOBALPLATFORM, X509)]:
        raise ValueError(f"tag {strange[0]:X} is no certificate")
    return tuple(tlv(tag, value) for tag, value in found)


def parse(raw: bytes) -> Certificate:
    """Read one certificate of either form; raises ValueError for what isn't one, or isn't built in."""
    found = list(tlvs(raw))
    if len(found) != 1 or found[0][0] not in (GLOBALPLATFORM, X509):
        raise ValueError("neither a GlobalPlatform nor an X.509 certificate")
    return _x509(raw) if found[0][0] == X509 else _globalplatform(found[0][1])


def _x509(raw: bytes) -> Certificate:
    found = x509_parse(raw)
    return Certificate(
        form=X509,
        serial=found.serial.to_bytes((found.serial.bit_length() + 7) // 8, "big"),
        issuer=found.issuer,
        subject=found.subject,
        first=found.not_before.date(),
        last=found.not_after.date(),
        agrees=found.agrees,
        signs=found.signs,
        below=found.below,
        curve=found.curve,
        point=found.point,
        covered=raw,
        signature=b"",
    )


def _globalplatform(value: bytes) -> Certificate:
    items = list(tlvs(value))
    fields = dict(items)
    if len(fields) != len(items) or not MANDATORY <= fields.keys() <= MANDATORY | OPTIONAL or items[-1][0] != SIGNATURE:
        raise ValueError(
            "a GlobalPlatform certificate has other data objects than it should, or its signature isn't the last"
        )
    if fields[USAGE] not in (SIGNS, AGREES):
        raise ValueError(f"key usage {fields[USAGE].hex().upper()} isn't known")
    key = dict(tlvs(fields[KEY]))
    curve = CURVES.get(key.get(0xF0, b""))
    if curve is None or key.keys() != {0xB0, 0xF0}:
        raise ValueError("its key is on no curve that is built in")
    ec_check(curve, key[0xB0])
    return Certificate(
        form=GLOBALPLATFORM,
        serial=fields[SERIAL],
        issuer=fields[ISSUER],
        subject=fields[SUBJECT],
        first=_date(fields[FIRST], date.max) if FIRST in fields else date.min,
        last=_date(fields[LAST], date.min),
        agrees=fields[USAGE] == AGREES,
        signs=fields[USAGE] == SIGNS,
        below=None,
        curve=curve,
        point=key[0xB0],
        covered=value[: value.rindex(SIGNATURE.to_bytes(2, "big"), 0, len(value) - len(fields[SIGNATURE]))],
        signature=fields[SIGNATURE],
    )


def _date(value: bytes, never: date) -> date:
    """Return a date in BCD, YYYYMMDD, or *never* where it is none."""
    digits = value.hex()
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return never


def verified(chain: Sequence[bytes], authorities: Iterable[Authority], today: date) -> Certificate:
    """Return the last certificate of *chain* if one of *authorities* signed the first, and each the next.

    All must be valid *today*; the last one's key must be for key agreement, the others a CA's. Raises AuthenticationError
    that says which one fails, and why.
    """
    if not chain:
        raise AuthenticationError("there is no certificate")
    try:
        found = [parse(each) for each in chain]
    except ValueError as wrong:
        raise AuthenticationError(f"a certificate can't be read: {wrong}") from wrong
    _check_root(found[0], authorities)
    for number, (one, following) in enumerate(pairwise(found), 2):
        if one.form != following.form or one.subject != following.issuer:
            raise AuthenticationError(f"certificate {number} doesn't name the one ahead of it as its issuer")
        if not following.is_signed_by(one.curve, one.point):
            raise AuthenticationError(f"certificate {number} isn't signed by the one ahead of it")
    for number, each in enumerate(found, 1):
        _check_use(each, number, len(found), today)
    return found[-1]


def _check_root(first: Certificate, authorities: Iterable[Authority]) -> None:
    for each in authorities:
        named = first.form == X509 or first.issuer == each.identifier
        if named and first.is_signed_by(each.curve, each.point):
            return
    raise AuthenticationError("the first certificate is signed by no CA that is trusted")


def _check_use(certificate: Certificate, number: int, total: int, today: date) -> None:
    if not certificate.first <= today <= certificate.last:
        raise AuthenticationError(f"certificate {number} isn't valid on {today}")
    if number == total and not certificate.agrees:
        raise AuthenticationError("the last certificate isn't for key agreement")
    below = total - number - 1
    if number < total and (not certificate.signs or (certificate.below is not None and below > certificate.below)):
        raise AuthenticationError(f"certificate {number} isn't that of a CA that may sign the next one")
