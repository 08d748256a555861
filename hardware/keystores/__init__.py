"""The key store port: master and transport keys stay behind it, session and data keys come out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, NewType, Protocol

from hardware.crypto import Curve
from hardware.diversification import Recipe
from hardware.keys import Algorithm, Base

__all__ = [
    "Agreement",
    "Algorithm",
    "Base",
    "CardKeys",
    "DataKey",
    "Dek",
    "Derivation",
    "EccPublic",
    "KeyId",
    "KeyInfo",
    "KeyStore",
    "Method",
    "Mode",
    "Purpose",
    "Recipe",
    "RsaPublic",
    "Signing",
    "Static",
    "Transport",
    "Wrap",
    "Wrapped",
]

KeyId = NewType("KeyId", str)
"""UniqueID of a registered key: upper-case hex of the body of an object identifier."""


class Mode(StrEnum):
    """What a key may be used for (KeyInfo @Mode)."""

    TEST = "TEST"
    PRODUCTION = "PRODUCTION"


class Purpose(StrEnum):
    """What a registered key is."""

    MASTER = "master"
    TRANSPORT = "transport"
    AGREEMENT = "agreement"
    """The private key of the off-card entity's certificate (SK.OCE.ECKA of SCP11)."""
    SIGNING = "signing"
    """Signs what allows a change of content, or checks what proves it; cards get its public half, or all of a secret one."""


class Signing(StrEnum):
    """How a message is signed."""

    RETAIL_MAC = "retail-mac"
    """ISO/IEC 9797-1 algorithm 3 over padding method 2."""
    CMAC = "cmac"
    RSA_PKCS1_SHA1 = "rsa-pkcs1-sha1"
    RSA_PSS_SHA256 = "rsa-pss-sha256"
    """With a salt as long as the hash."""
    ECDSA = "ecdsa"
    """r and s, the hash as long as a coordinate."""


class Method(StrEnum):
    """How a session key comes from a static key."""

    STATIC = "static"
    """The static key itself."""
    DES3_CBC = "3des-cbc"
    """3DES-CBC, zero IV, over the 16-byte *before* (GPCS E.4.1)."""
    DES3_ECB = "3des-ecb"
    """3DES-ECB over the 16-byte *before* (GPCS 2.1.1 D.3.1)."""
    CMAC_KDF = "cmac-kdf"
    """SP 800-108 in counter mode with AES-CMAC over *before*, L (two bytes), counter, *after* (Amendment D 4.1.5)."""


class Wrap(StrEnum):
    """How a value goes under the DEK."""

    DES3_ECB = "3des-ecb"
    DES3_CBC = "3des-cbc"
    """Zero IV."""
    AES_CBC = "aes-cbc"
    """Zero IV."""

    @property
    def algorithm(self) -> Algorithm:
        """The cipher that the DEK belongs to."""
        return Algorithm.AES if self is Wrap.AES_CBC else Algorithm.DES3

    @property
    def block(self) -> int:
        """Bytes of a block: a value must be a multiple of it."""
        return self.algorithm.block


@dataclass(frozen=True, slots=True, kw_only=True)
class CardKeys:
    """Names the static keys of one card: the master, the recipe and the card's ten bytes of diversification data.

    Where keys are agreed on, *master* is the off-card entity's own key and the rest means nothing.
    """

    master: KeyId
    recipe: Recipe
    kdd: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """Says how one session key comes from a static key; a secure channel makes it, a key store carries it out.

    *bits* wanted of CMAC_KDF; 0 means as long as the static key, whose length a channel doesn't know.
    """

    base: Base
    method: Method
    before: bytes = b""
    after: bytes = b""
    bits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Says how one session key comes from a key agreement: X9.63 KDF with SHA-256 over *shared*, then the store's secret.

    That secret is what the named private key and the point *peer* agree on; with no *peer* nothing is behind *shared*, and
    no registered key takes part. The session key is *number*, from 0, of the keys of *size* bytes that *info* gives.
    """

    shared: bytes = field(repr=False)
    peer: bytes | None
    info: bytes
    size: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dek:
    """Names the key, inside the key store, that secrets travel to one card under."""

    card: CardKeys
    derivation: Derivation | Agreement
    wrap: Wrap


@dataclass(frozen=True, slots=True, kw_only=True)
class Static:
    """Names one static key of a card."""

    card: CardKeys
    base: Base


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """A key under a card's DEK, padded on its right to whole blocks: *size* bytes of it count. *kcv*: its check value."""

    algorithm: Algorithm
    value: bytes = field(repr=False)
    size: int
    kcv: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RsaPublic:
    """The public half of an RSA key, big-endian without leading zeros."""

    modulus: bytes
    exponent: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EccPublic:
    """The public half of a key on a curve: its uncompressed point."""

    curve: Curve
    point: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """Names the key that an issuer's value stands under, and how; CBC (else ECB) begins at *iv*, empty for zero."""

    key: KeyId
    cbc: bool
    iv: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """What may be shown of a registered key; *size* in bits, *kcv* three bytes in hex."""

    id: KeyId
    name: str
    purpose: Purpose
    algorithm: Algorithm
    size: int
    mode: Mode
    kcv: str

    @property
    def kind(self) -> str:
        """Cipher and size, as in AES-128; a curve's name has its own."""
        return str(self.algorithm) if self.algorithm.curve else f"{self.algorithm}-{self.size}"


@dataclass(frozen=True, slots=True)
class DataKey:
    """A 32-byte key that a job's records are sealed under."""

    value: bytes = field(repr=False)


class KeyStore(Protocol):
    """Does what needs a master, transport or wrapping key; every method raises KeyStoreError."""

    KEY: ClassVar[str]

    def keys(self) -> tuple[KeyInfo, ...]:
        """Return what is registered, by id."""

    def info(self, key: KeyId) -> KeyInfo:
        """Return what may be shown of *key*; an unknown one raises."""

    def certificates(self, key: KeyId) -> tuple[bytes, ...]:
        """Return the chain of certificates that was registered with *key*, its own the last."""

    def import_key(
        self,
        key: KeyId,
        value: bytes,
        *,
        name: str,
        purpose: Purpose,
        algorithm: Algorithm,
        mode: Mode,
        certificates: tuple[bytes, ...] = (),
    ) -> KeyInfo:
        """Register a key under an id not used before (the same key again is no error); it is never given out again.

        A private key on a curve comes with its chain of *certificates*, its own the last.
        """

    def session_keys(self, card: CardKeys, wanted: Mapping[str, Derivation | Agreement]) -> dict[str, bytes]:
        """Derive the *wanted* session keys of one card by name; neither a static key nor an agreed secret is given out."""

    def translate(self, value: bytes, transport: Transport | None, dek: Dek) -> bytes:
        """Re-encrypt *value* from *transport* (None: it stands clear) to *dek*; it must be whole blocks of both."""

    def wrap(self, key: KeyId | Static, dek: Dek) -> Wrapped:
        """Encrypt a card's static key, or a registered signing key that isn't RSA, under *dek*, to be put onto a card."""

    def public(self, key: KeyId) -> RsaPublic | EccPublic:
        """Return the public half of a signing key; one that is a secret of its own raises."""

    def sign(self, key: KeyId, message: bytes, method: Signing) -> bytes:
        """Return the signature or MAC of a signing key over *message*; a *method* that isn't its own raises."""

    def verify(self, key: KeyId, message: bytes, signature: bytes, method: Signing) -> bool:
        """Tell whether *signature* is that of a signing key over *message*."""

    def new_data_key(self) -> tuple[DataKey, bytes]:
        """Make a data key; returns it with its wrapped form, which may be stored."""

    def unwrap(self, wrapped: bytes) -> DataKey:
        """Return the data key behind its wrapped form."""

    def authenticate(self, message: bytes) -> bytes:
        """Return a 16-byte MAC over *message* under a key of the store's own."""
