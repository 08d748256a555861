"""Published primitives, with no GlobalPlatform constant or layout in them.

3DES keys have 16 bytes (two-key) or 24; AES keys 16, 24 or 32. Every function raises ValueError for another length.
Points are uncompressed (SEC 1 section 2.3.3), private keys big-endian and as long as a coordinate.
"""

import hashlib
import os
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFCMAC, CounterLocation, Mode
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

T = TypeVar("T")
DES_BLOCK: Final = 8
AES_BLOCK: Final = 16


def random_bytes(size: int) -> bytes:
    """Return *size* bytes from the operating system."""
    return os.urandom(size)


def pad80(data: bytes, block: int) -> bytes:
    """Append 80 and as few 00 as fill the *block* (ISO/IEC 9797-1 padding method 2)."""
    return data + b"\x80" + bytes(-(len(data) + 1) % block)


def unpad80(data: bytes) -> bytes:
    """Take padding method 2 off again; raises ValueError where it isn't there."""
    bare = data.rstrip(b"\0")
    if not bare.endswith(b"\x80"):
        raise ValueError("no padding found")
    return bare[:-1]


def _des3(key: bytes) -> TripleDES:
    if len(key) not in (16, 24):
        raise ValueError(f"a 3DES key has 16 or 24 bytes, not {len(key)}")
    return TripleDES(key if len(key) == 24 else key + key[:8])


def _encrypt(algorithm: TripleDES | AES, mode: modes.ECB | modes.CBC, data: bytes) -> bytes:
    run = Cipher(algorithm, mode).encryptor()
    return run.update(data) + run.finalize()


def _decrypt(algorithm: TripleDES | AES, mode: modes.ECB | modes.CBC, data: bytes) -> bytes:
    run = Cipher(algorithm, mode).decryptor()
    return run.update(data) + run.finalize()


def des3_ecb_encrypt(key: bytes, data: bytes) -> bytes:
    """Encrypt whole 8-byte blocks."""
    return _encrypt(_des3(key), modes.ECB(), data)  # noqa: S305 - what the card specifications use


def des3_ecb_decrypt(key: bytes, data: bytes) -> bytes:
    """Decrypt whole 8-byte blocks."""
    return _decrypt(_des3(key), modes.ECB(), data)  # noqa: S305 - as above


def des3_cbc_encrypt(key: bytes, data: bytes, iv: bytes = bytes(DES_BLOCK)) -> bytes:
    """Encrypt whole 8-byte blocks."""
    return _encrypt(_des3(key), modes.CBC(iv), data)


def des3_cbc_decrypt(key: bytes, data: bytes, iv: bytes = bytes(DES_BLOCK)) -> bytes:
    """Decrypt whole 8-byte blocks."""
    return _decrypt(_des3(key), modes.CBC(iv), data)


def des_ecb_encrypt(key: bytes, data: bytes) -> bytes:
    """Encrypt whole 8-byte blocks under a single-DES *key* of 8 bytes."""
    if len(key) != 8:
        raise ValueError(f"a DES key has 8 bytes, not {len(key)}")
    return des3_ecb_encrypt(key * 3, data)


def retail_mac(key: bytes, data: bytes, iv: bytes = bytes(DES_BLOCK)) -> bytes:
    """Return the 8-byte retail MAC (ISO/IEC 9797-1 algorithm 3) of padded *data* under a 16-byte *key*."""
    if len(key) != 16 or not data or len(data) % DES_BLOCK:
        raise ValueError("a retail MAC takes a 16-byte key and whole blocks")
    head, last = data[:-DES_BLOCK], data[-DES_BLOCK:]
    if head:
        iv = des3_cbc_encrypt(key[:8] * 3, head, iv)[-DES_BLOCK:]
    return des3_ecb_encrypt(key, bytes(a ^ b for a, b in zip(iv, last, strict=True)))


def des3_cbc_mac(key: bytes, data: bytes, iv: bytes = bytes(DES_BLOCK)) -> bytes:
    """Return the 8-byte full 3DES-CBC MAC (ISO/IEC 9797-1 algorithm 1) of padded *data*."""
    return des3_cbc_encrypt(key, data, iv)[-DES_BLOCK:]


def aes_ecb_encrypt(key: bytes, data: bytes) -> bytes:
    """Encrypt whole 16-byte blocks."""
    return _encrypt(AES(key), modes.ECB(), data)  # noqa: S305 - what the card specifications use


def aes_ecb_decrypt(key: bytes, data: bytes) -> bytes:
    """Decrypt whole 16-byte blocks."""
    return _decrypt(AES(key), modes.ECB(), data)  # noqa: S305 - as above


def aes_cbc_encrypt(key: bytes, data: bytes, iv: bytes = bytes(AES_BLOCK)) -> bytes:
    """Encrypt whole 16-byte blocks."""
    return _encrypt(AES(key), modes.CBC(iv), data)


def aes_cbc_decrypt(key: bytes, data: bytes, iv: bytes = bytes(AES_BLOCK)) -> bytes:
    """Decrypt whole 16-byte blocks."""
    return _decrypt(AES(key), modes.CBC(iv), data)


def cmac(key: bytes, data: bytes) -> bytes:
    """Return the 16-byte AES-CMAC (NIST SP 800-38B)."""
    run = CMAC(AES(key))
    run.update(data)
    return run.finalize()


def kbkdf_cmac(key: bytes, before: bytes, after: bytes, bits: int) -> bytes:
    """Derive *bits* with AES-CMAC in counter mode (NIST SP 800-108), its one-byte counter between *before* and *after*."""
    fixed = before + after
    return KBKDFCMAC(
        algorithm=AES,
        mode=Mode.CounterMode,
        length=bits // 8,
        rlen=1,
        llen=None,
        location=CounterLocation.MiddleFixed,
        label=None,
        context=None,
        fixed=fixed,
        break_location=len(before),
    ).derive(key)


def aead_seal(key: bytes, nonce: bytes, plain: bytes, associated: bytes) -> bytes:
    """Encrypt with AES-GCM; *nonce* has 12 bytes and never serves twice. Returns nonce, ciphertext and tag."""
    return nonce + AESGCM(key).encrypt(nonce, plain, associated)


def aead_open(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """Undo aead_seal; raises ValueError where the key, the data or *associated* differ."""
    try:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], associated)
    except InvalidTag as wrong:
        raise ValueError("sealed data doesn't open: wrong key or damaged data") from wrong


def scrypt(passphrase: bytes, salt: bytes) -> bytes:
    """Stretch *passphrase* into 32 bytes (RFC 7914, N = 2^15, r = 8, p = 1)."""
    return Scrypt(salt=salt, length=32, n=2**15, r=8, p=1).derive(passphrase)


class Curve(StrEnum):
    """An elliptic curve over a prime field, by its usual name (FIPS 186-5, RFC 5639)."""

    P256 = "P-256"
    P384 = "P-384"
    BRAINPOOL_P256 = "brainpoolP256r1"

    @property
    def size(self) -> int:
        """Bytes of a coordinate, and of a private key."""
        return _CURVES[self].key_size // 8


_CURVES: Final[dict[Curve, ec.EllipticCurve]] = {
    Curve.P256: ec.SECP256R1(),
    Curve.P384: ec.SECP384R1(),
    Curve.BRAINPOOL_P256: ec.BrainpoolP256R1(),
}


def ec_private(curve: Curve, seed: bytes) -> bytes:
    """Return the private key that random *seed* gives, 8 bytes longer than a coordinate (FIPS 186-5 A.2.1)."""
    if len(seed) != curve.size + 8:
        raise ValueError(f"a key on {curve} comes from {curve.size + 8} random bytes, not {len(seed)}")
    return (int.from_bytes(seed, "big") % (_CURVES[curve].group_order - 1) + 1).to_bytes(curve.size, "big")


def ec_public(curve: Curve, private: bytes) -> bytes:
    """Return the point that belongs to *private*."""
    return _point(_private(curve, private).public_key())


def ec_check(curve: Curve, point: bytes) -> None:
    """Raise ValueError unless *point* is on *curve*."""
    _public(curve, point)


def ecdh(curve: Curve, private: bytes, point: bytes) -> bytes:
    """Return the x coordinate of the shared point (SEC 1 section 3.3.1); raises ValueError for one that isn't on *curve*."""
    return _private(curve, private).exchange(ec.ECDH(), _public(curve, point))


def sha256(data: bytes) -> bytes:
    """Return the 32-byte SHA-256 of *data* (FIPS 180-4)."""
    return hashlib.sha256(data).digest()


def x963_kdf(secret: bytes, info: bytes, size: int) -> bytes:
    """Derive *size* bytes with SHA-256 (ANSI X9.63, SEC 1 section 3.6.1)."""
    return X963KDF(SHA256(), size, info).derive(secret)


def ecdsa_sign(curve: Curve, private: bytes, message: bytes) -> bytes:
    """Return the signature r || s over the hash of *message*, which is SHA-2 of the curve's size."""
    r, s = decode_dss_signature(_private(curve, private).sign(message, ec.ECDSA(_hash(curve))))
    return r.to_bytes(curve.size, "big") + s.to_bytes(curve.size, "big")


def ecdsa_verify(curve: Curve, point: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether *signature* is one over *message*, like ecdsa_sign's: r || s, or as DER where its length is another."""
    if len(signature) == 2 * curve.size:
        r, s = (int.from_bytes(half, "big") for half in (signature[: curve.size], signature[curve.size :]))
        signature = encode_dss_signature(r, s)
    try:
        _public(curve, point).verify(signature, message, ec.ECDSA(_hash(curve)))
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class X509:
    """What an X.509 certificate with an elliptic curve key says (RFC 5280); names are DER.

    *agrees*: its key may serve for key agreement; *signs*: it is a CA that may sign certificates, *below* it at most so many
    other CAs (None: any number).
    """

    serial: int
    issuer: bytes
    subject: bytes
    not_before: datetime
    not_after: datetime
    curve: Curve
    point: bytes
    agrees: bool
    signs: bool
    below: int | None


def x509_parse(der: bytes) -> X509:
    """Read one certificate; raises ValueError for what isn't one, another key, and a critical extension unknown here."""
    try:
        found = x509.load_der_x509_certificate(der)
        extensions = {each.oid: each for each in found.extensions}
        key = found.public_key()
        curve = next(name for name, each in _CURVES.items() if _is_on(key, each))
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion) as wrong:
        raise ValueError(f"no X.509 certificate: {wrong}") from wrong
    except StopIteration:
        raise ValueError("its key is on no curve that is built in") from None
    usage = _value(extensions.pop(x509.KeyUsage.oid, None), x509.KeyUsage)
    basic = _value(extensions.pop(x509.BasicConstraints.oid, None), x509.BasicConstraints)
    extensions.pop(x509.CertificatePolicies.oid, None)
    if unknown := [oid.dotted_string for oid, each in extensions.items() if each.critical]:
        raise ValueError(f"its critical extension {unknown[0]} isn't known")
    return X509(
        serial=found.serial_number,
        issuer=found.issuer.public_bytes(),
        subject=found.subject.public_bytes(),
        not_before=found.not_valid_before_utc,
        not_after=found.not_valid_after_utc,
        curve=curve,
        point=_point(cast("ec.EllipticCurvePublicKey", key)),
        agrees=usage is not None and usage.key_agreement,
        signs=basic is not None and basic.ca and usage is not None and usage.key_cert_sign,
        below=basic.path_length if basic else None,
    )


def x509_verify(der: bytes, curve: Curve, point: bytes) -> bool:
    """Tell whether the key of *point* signed the certificate *der*, with ECDSA over SHA-2; raises ValueError for none."""
    found = x509.load_der_x509_certificate(der)
    try:
        digest = found.signature_hash_algorithm
        # A signature is whole bytes, but the library lets its BIT STRING say otherwise
        if not isinstance(digest, SHA256 | SHA384 | SHA512) or not der.endswith(b"\0" + found.signature):
            return False
        _public(curve, point).verify(found.signature, found.tbs_certificate_bytes, ec.ECDSA(digest))
    except (InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _value(extension: x509.Extension[x509.ExtensionType] | None, kind: type[T]) -> T | None:
    return extension.value if extension and isinstance(extension.value, kind) else None


def _is_on(key: object, curve: ec.EllipticCurve) -> bool:
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == curve.name


def _hash(curve: Curve) -> SHA256 | SHA384:
    return SHA384() if curve.size == 48 else SHA256()


def _private(curve: Curve, value: bytes) -> ec.EllipticCurvePrivateKey:
    if len(value) != curve.size:
        raise ValueError(f"a private key on {curve} has {curve.size} bytes, not {len(value)}")
    return ec.derive_private_key(int.from_bytes(value, "big"), _CURVES[curve])


def _public(curve: Curve, point: bytes) -> ec.EllipticCurvePublicKey:
    if len(point) != 1 + 2 * curve.size:
        raise ValueError(f"a point on {curve} has {1 + 2 * curve.size} bytes, not {len(point)}")
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[curve], point)


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def rsa_public(private: bytes) -> tuple[bytes, bytes]:
    """Return modulus and public exponent of a private RSA key (PKCS #8, DER), without leading zeros; raises ValueError."""
    numbers = _rsa(private).public_key().public_numbers()
    n, e = (number.to_bytes((number.bit_length() + 7) // 8, "big") for number in (numbers.n, numbers.e))
    return n, e


def rsa_pkcs1_sha1_sign(private: bytes, message: bytes) -> bytes:
    """Sign with RSASSA-PKCS1-v1_5 and SHA-1 (RFC 8017 8.2)."""
    return _rsa(private).sign(message, padding.PKCS1v15(), SHA1())  # noqa: S303 - what 1024-bit card keys are for


def rsa_pkcs1_sha1_verify(modulus: bytes, exponent: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether an RSASSA-PKCS1-v1_5 signature with SHA-1 is right."""
    return _verified(_rsa_public(modulus, exponent), signature, message, padding.PKCS1v15(), SHA1())  # noqa: S303 - as above


def rsa_pss_sha256_sign(private: bytes, message: bytes) -> bytes:
    """Sign with RSASSA-PSS, SHA-256 and a salt of 32 bytes (RFC 8017 8.1)."""
    return _rsa(private).sign(message, _PSS, SHA256())


def rsa_pss_sha256_verify(modulus: bytes, exponent: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether an RSASSA-PSS signature with SHA-256 and a salt of 32 bytes is right."""
    return _verified(_rsa_public(modulus, exponent), signature, message, _PSS, SHA256())


_PSS: Final = padding.PSS(padding.MGF1(SHA256()), 32)


def _verified(
    key: rsa.RSAPublicKey, signature: bytes, message: bytes, scheme: padding.PKCS1v15 | padding.PSS, digest: SHA1 | SHA256
) -> bool:
    try:
        key.verify(signature, message, scheme, digest)
    except InvalidSignature:
        return False
    return True


def _rsa_public(modulus: bytes, exponent: bytes) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big")).public_key()


def _rsa(der: bytes) -> rsa.RSAPrivateKey:
    try:
        key = load_der_private_key(der, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("no private RSA key in PKCS #8 without a passphrase") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("no private RSA key")
    return key
