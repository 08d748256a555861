"""The card's side of certificates: those that an off-card entity introduces itself with (GPC Amendment F, table 6-12)."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from hardware import crypto
from hardware.sim.apdu import RefusedError
from hardware.sim.reader import Reader

CSN, CA_ID, SUBJECT, USAGE, EFFECTIVE, EXPIRATION, KEY, SIGNATURE = 0x93, 0x42, 0x5F20, 0x95, 0x5F25, 0x5F24, 0x7F49, 0x5F37
DISCRETIONARY, AUTHORIZATIONS = (0x53, 0x73), 0xBF20
WANTED: Final = {CSN, CA_ID, SUBJECT, USAGE, EXPIRATION, KEY, SIGNATURE}
# Key parameter references (GPCS 2.3.1 table B-2)
CURVES: Final = {0x00: crypto.Curve.P256, 0x01: crypto.Curve.P384, 0x03: crypto.Curve.BRAINPOOL_P256}
FAILED, NOT_ALLOWED, NO_AUTHORIZATIONS = 0x6600, 0x6640, 0x6A81


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Whose key it is, and what a certificate says of it; *until* YYYYMMDD."""

    identifier: bytes
    curve: crypto.Curve
    point: bytes
    serial: bytes = b""
    may_certify: bool = True
    since: str = ""
    until: str = "99999999"


def check(raw: bytes, issuer: Holder) -> Holder:
    """Return whom *issuer* certifies; refuses with 6A80 what can't be read, with 6600 what isn't signed by *issuer*."""
    if raw[:1] == b"\x30":
        return _x509(raw, issuer)
    reader = Reader(raw)
    tag, value = reader.tlv()
    reader.end()
    if tag != 0x7F21:
        raise RefusedError(0x6A80)
    return _globalplatform(value, issuer)


def _x509(raw: bytes, issuer: Holder) -> Holder:
    try:
        found = crypto.x509_parse(raw)
        signed = crypto.x509_verify(raw, issuer.curve, issuer.point)
    except ValueError as wrong:
        raise RefusedError(0x6A80) from wrong
    if not signed or not (found.agrees or found.signs):
        raise RefusedError(FAILED)
    return Holder(
        identifier=found.subject,
        curve=found.curve,
        point=found.point,
        serial=found.serial.to_bytes(20, "big").lstrip(b"\0"),
        may_certify=found.signs,
        since=f"{found.not_before:%Y%m%d}",
        until=f"{found.not_after:%Y%m%d}",
    )


def _globalplatform(value: bytes, issuer: Holder) -> Holder:
    fields, reader, covered = dict[int, bytes](), Reader(value), b""
    while reader.left:
        covered = value[: len(value) - reader.left]
        tag, content = reader.tlv()
        if tag in fields or tag not in WANTED | {EFFECTIVE, AUTHORIZATIONS, *DISCRETIONARY} or SIGNATURE in fields:
            raise RefusedError(0x6A80)
        fields[tag] = content
    if not fields.keys() >= WANTED or any(len(fields[tag]) != 4 for tag in (EFFECTIVE, EXPIRATION) if tag in fields):
        raise RefusedError(0x6A80)
    curve, point = _key(fields[KEY])
    if AUTHORIZATIONS in fields:  # this chip limits no commands one by one (annex B)
        raise RefusedError(NO_AUTHORIZATIONS)
    genuine = crypto.ecdsa_verify(issuer.curve, issuer.point, covered, fields[SIGNATURE])
    if fields[CA_ID] != issuer.identifier or fields[USAGE] not in (b"\x82", b"\0\x80") or not genuine:
        raise RefusedError(FAILED)
    return Holder(
        identifier=fields[SUBJECT],
        curve=curve,
        point=point,
        serial=fields[CSN],
        may_certify=fields[USAGE] == b"\x82",
        since=fields.get(EFFECTIVE, b"").hex(),
        until=fields[EXPIRATION].hex(),
    )


def _key(value: bytes) -> tuple[crypto.Curve, bytes]:
    """Return curve and point of a public key data object, B0 and F0 (table 6-14)."""
    reader = Reader(value)
    (first, point), (second, reference) = reader.tlv(), reader.tlv()
    reader.end()
    if (first, second) != (0xB0, 0xF0) or len(reference) != 1 or reference[0] not in CURVES:
        raise RefusedError(0x6A80)
    curve = CURVES[reference[0]]
    try:
        crypto.ec_check(curve, point)
    except ValueError as wrong:
        raise RefusedError(0x6A80) from wrong
    return curve, point


class Introduction:
    """Take the certificates of one off-card entity, in blocks; the last one's key is the entity's (6.5.2)."""

    def __init__(self, ca: Holder, allowed: frozenset[bytes], today: date | None) -> None:
        self._ca, self._allowed, self._today = ca, allowed, today
        self.reset()

    def reset(self) -> None:
        """Forget the entity and what came of its certificates."""
        self._issuer, self._blocks = self._ca, b""
        self.holder: Holder | None = None

    def take(self, block: bytes, *, more_blocks: bool, more_certificates: bool) -> None:
        """Take a block, and verify the certificate that it completes; a refusal ends the introduction."""
        if self.holder is not None:
            self.reset()
        blocks, self._blocks = self._blocks + block, b""
        if more_blocks:
            self._blocks = blocks
            return
        issuer, self._issuer = self._issuer, self._ca
        found = check(blocks, issuer)
        if self._today and not found.since <= f"{self._today:%Y%m%d}" <= found.until:
            raise RefusedError(FAILED)
        if found.may_certify is not more_certificates:
            raise RefusedError(FAILED)
        if more_certificates:
            self._issuer = found
            return
        if self._allowed and found.serial not in self._allowed:
            raise RefusedError(NOT_ALLOWED)
        self.holder = found
