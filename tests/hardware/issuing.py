"""A CA of the tests: certificates in GlobalPlatform and in X.509 form, right ones and wrong ones."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA224, SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding

from hardware.crypto import Curve, ec_private, ec_public, ecdsa_sign
from hardware.tlv import tlv

FORMS = ("GlobalPlatform", "X.509")
TODAY = date(2026, 6, 15)
FIRST, LAST = date(2026, 1, 1), date(2027, 12, 31)
SIGNS, AGREES = "82", "0080"
REFERENCES = {Curve.P256: "00", Curve.P384: "01", Curve.BRAINPOOL_P256: "03"}
OPENSSL = {Curve.P256: ec.SECP256R1(), Curve.P384: ec.SECP384R1(), Curve.BRAINPOOL_P256: ec.BrainpoolP256R1()}


@dataclass(frozen=True)
class Key:
    """A key pair of the tests, and what its holder is called."""

    name: str
    curve: Curve = Curve.P256

    @property
    def private(self) -> bytes:
        return ec_private(self.curve, self.name.encode().rjust(self.curve.size + 8, b"\1"))

    @property
    def point(self) -> bytes:
        return ec_public(self.curve, self.private)

    @property
    def identifier(self) -> bytes:
        return self.name.encode()


def globalplatform(
    holder: Key,
    signer: Key,
    usage: str = AGREES,
    *,
    first: date | None = FIRST,
    last: date = LAST,
    serial: bytes = b"\1\2\3",
    extra: bytes = b"",
    issuer: bytes | None = None,
    reference: str | None = None,
) -> bytes:
    """Issue a certificate as GPC Amendment F table 6-12 has it."""
    key = tlv(0xB0, holder.point) + tlv(0xF0, bytes.fromhex(reference or REFERENCES[holder.curve]))
    covered = b"".join(
        (
            tlv(0x93, serial),
            tlv(0x42, signer.identifier if issuer is None else issuer),
            tlv(0x5F20, holder.identifier),
            tlv(0x95, bytes.fromhex(usage)),
            tlv(0x5F25, bytes.fromhex(f"{first:%Y%m%d}")) if first else b"",
            tlv(0x5F24, bytes.fromhex(f"{last:%Y%m%d}")),
            extra,
            tlv(0x7F49, key),
        )
    )
    return tlv(0x7F21, covered + tlv(0x5F37, ecdsa_sign(signer.curve, signer.private, covered)))


def x509_certificate(
    holder: Key,
    signer: Key,
    usage: str = AGREES,
    *,
    first: date = FIRST,
    last: date = LAST,
    issuer: str | None = None,
    below: int | None = None,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    digest: SHA224 | SHA512 | None = None,
) -> bytes:
    """Issue a certificate as RFC 5280 has it; *below*: how many CAs there may be beneath a CA."""
    is_ca = usage == SIGNS
    bits: dict[str, Any] = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "crl_sign", "encipher_only",
         "decipher_only"), False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(holder.name))
        .issuer_name(_name(issuer or signer.name))
        .public_key(_private(holder).public_key())
        .serial_number(0x010203)
        .not_valid_before(datetime.combine(first, time(), UTC))
        .not_valid_after(datetime.combine(last, time(), UTC))
        .add_extension(x509.KeyUsage(key_agreement=not is_ca, key_cert_sign=is_ca, **bits), critical=True)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=below), critical=True)
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    chosen = digest or (SHA384() if signer.curve is Curve.P384 else SHA256())
    return builder.sign(_private(signer), chosen).public_bytes(Encoding.DER)


def issue(form: str, holder: Key, signer: Key, usage: str = AGREES, **options: Any) -> bytes:
    """Issue a certificate of either form."""
    make = globalplatform if form == "GlobalPlatform" else x509_certificate
    return make(holder, signer, usage, **options)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _private(key: Key) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(key.private, "big"), OPENSSL[key.curve])
