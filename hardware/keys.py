"""What a card key is: its cipher or curve, its place in a key set, its length, its check value."""

from enum import StrEnum
from itertools import pairwise
from typing import Final

from hardware.crypto import Curve, aes_ecb_encrypt, des3_ecb_encrypt, ec_public, rsa_public, sha256


class Algorithm(StrEnum):
    """The cipher, or the elliptic curve, that a registered key belongs to."""

    DES3 = "3DES"
    AES = "AES"
    P256 = Curve.P256.value
    P384 = Curve.P384.value
    BRAINPOOL_P256 = Curve.BRAINPOOL_P256.value
    RSA = "RSA"

    @property
    def curve(self) -> Curve | None:
        """The elliptic curve; None for another algorithm."""
        return None if self in (Algorithm.DES3, Algorithm.AES, Algorithm.RSA) else Curve(self.value)

    @property
    def block(self) -> int:
        """Bytes of a block; raises ValueError for what is no cipher."""
        if self not in LENGTHS:
            raise ValueError(f"{self} is no cipher")
        return 8 if self is Algorithm.DES3 else 16


class Base(StrEnum):
    """One of the three static keys of a card's key set."""

    ENC = "enc"
    MAC = "mac"
    DEK = "dek"

    @property
    def number(self) -> int:
        """Key identifier in the key set: 1, 2, 3."""
        return {"enc": 1, "mac": 2, "dek": 3}[self]


LENGTHS: Final = {Algorithm.DES3: (16, 24), Algorithm.AES: (16, 24, 32)}
"""Bytes that a key may have."""


def check(algorithm: Algorithm, value: bytes) -> None:
    """Raise ValueError for a key of another length, or for a 3DES key that is no more than single DES.

    Parity bits of 3DES keys are neither looked at nor compared: published test keys don't set them. A private key on a curve
    must be one of its scalars, one of RSA stands in PKCS #8.
    """
    if algorithm not in LENGTHS:
        kcv(algorithm, value)
        return
    if len(value) not in LENGTHS[algorithm]:
        allowed = " or ".join(str(size) for size in LENGTHS[algorithm])
        raise ValueError(f"a key for {algorithm} has {allowed} bytes, not {len(value)}")
    if algorithm is Algorithm.DES3:
        parts = [bytes(byte & 0xFE for byte in value[at : at + 8]) for at in range(0, len(value), 8)]
        if any(first == second for first, second in pairwise(parts)):
            raise ValueError("a 3DES key with two equal parts is only single DES")


def kcv(algorithm: Algorithm, value: bytes) -> bytes:
    """Return the key check value: the 3 leftmost bytes of 8 x 00 (3DES) or 16 x 01 (AES) encrypted (GPCS B.5, B.6).

    GlobalPlatform has none for a private key; here it is the 3 leftmost bytes of SHA-256 over its public point or modulus.
    Raises ValueError for a key of another length.
    """
    if algorithm.curve:
        return sha256(ec_public(algorithm.curve, value))[:3]
    if algorithm is Algorithm.RSA:
        return sha256(rsa_public(value)[0])[:3]
    if algorithm is Algorithm.DES3:
        return des3_ecb_encrypt(value, bytes(8))[:3]
    return aes_ecb_encrypt(value, b"\x01" * 16)[:3]


def bits(algorithm: Algorithm, value: bytes) -> int:
    """Return the size of a key as it is usually stated; raises ValueError for a key of another kind."""
    return 8 * len(rsa_public(value)[0] if algorithm is Algorithm.RSA else value)
