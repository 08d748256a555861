"""A key store in one JSON file, its keys sealed under a passphrase; several processes may use it at once."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from hmac import compare_digest
from pathlib import Path
from typing import ClassVar, Final

from hardware import crypto
from hardware.certificates import parse
from hardware.diversification import diversify
from hardware.errors import KeyStoreError
from hardware.keys import LENGTHS, Algorithm, Base, bits, check, kcv
from hardware.keystores import (
    Agreement,
    CardKeys,
    DataKey,
    Dek,
    Derivation,
    EccPublic,
    KeyId,
    KeyInfo,
    Method,
    Mode,
    Purpose,
    RsaPublic,
    Signing,
    Static,
    Transport,
    Wrap,
    Wrapped,
)
from hardware.keystores.keyfile import OWN, Entry, KeyFile, locked

NONCE: Final = 12
ENCRYPT: Final[Mapping[Wrap, Callable[[bytes, bytes], bytes]]] = {
    Wrap.DES3_ECB: crypto.des3_ecb_encrypt,
    Wrap.DES3_CBC: crypto.des3_cbc_encrypt,
    Wrap.AES_CBC: crypto.aes_cbc_encrypt,
}
ALGORITHMS: Final = {
    Method.DES3_CBC: Algorithm.DES3, Method.DES3_ECB: Algorithm.DES3, Method.CMAC_KDF: Algorithm.AES,
}  # fmt: skip
METHODS: Final = {
    Algorithm.DES3: (Signing.RETAIL_MAC,),
    Algorithm.AES: (Signing.CMAC,),
    Algorithm.RSA: (Signing.RSA_PKCS1_SHA1, Signing.RSA_PSS_SHA256),
}
SIGN: Final[Mapping[Signing, Callable[[bytes, bytes], bytes]]] = {
    Signing.RETAIL_MAC: lambda key, message: crypto.retail_mac(key, crypto.pad80(message, crypto.DES_BLOCK)),
    Signing.CMAC: crypto.cmac,
    Signing.RSA_PKCS1_SHA1: crypto.rsa_pkcs1_sha1_sign,
    Signing.RSA_PSS_SHA256: crypto.rsa_pss_sha256_sign,
}


def derived(static: bytes, derivation: Derivation) -> bytes:
    """Carry out *derivation* on one static key; raises ValueError where the lengths don't suit."""
    if derivation.method is Method.STATIC:
        return static
    if derivation.method in (Method.DES3_CBC, Method.DES3_ECB):
        if len(static) != 16 or len(derivation.before) != 16:
            raise ValueError("a 3DES session key comes from a 16-byte key and 16 bytes of derivation data")
        encrypt = crypto.des3_cbc_encrypt if derivation.method is Method.DES3_CBC else crypto.des3_ecb_encrypt
        return encrypt(static, derivation.before)
    bits = derivation.bits or 8 * len(static)
    return crypto.kbkdf_cmac(static, derivation.before + bits.to_bytes(2, "big"), derivation.after, bits)


def _check(info: KeyInfo, value: bytes, certificates: tuple[bytes, ...]) -> None:
    """Raise KeyStoreError for a key that can't serve its purpose, or that the last of its *certificates* isn't for."""
    key, purpose, algorithm = info.id, info.purpose, info.algorithm
    if not re.fullmatch(r"(?:[0-9A-F]{2})+", key):
        raise KeyStoreError(f"key id {key!r} isn't upper-case hex")
    if purpose is Purpose.MASTER and algorithm is Algorithm.DES3 and len(value) != 16:
        raise KeyStoreError(f"key {key}: a 3DES master key has 16 bytes, not {len(value)}")
    ciphered = algorithm in LENGTHS
    if (algorithm.curve is None) if purpose is Purpose.AGREEMENT else (purpose is not Purpose.SIGNING and not ciphered):
        raise KeyStoreError(f"key {key}: a key for {algorithm} can't serve as {purpose} key")
    if purpose is not Purpose.AGREEMENT:
        if certificates:
            raise KeyStoreError(f"key {key}: a {purpose} key has no certificates")
        return
    if not certificates:
        raise KeyStoreError(f"key {key}: an {purpose} key needs its chain of certificates")
    try:
        own = [parse(each) for each in certificates][-1]
    except ValueError as wrong:
        raise KeyStoreError(f"key {key}: {wrong}") from wrong
    if own.curve is not algorithm.curve or own.point != crypto.ec_public(own.curve, value):
        raise KeyStoreError(f"key {key}: the last certificate is for another key")


def _seal(key: bytes, value: bytes, bound: bytes) -> bytes:
    return crypto.aead_seal(key, crypto.random_bytes(NONCE), value, bound)


class SoftKeyStore:
    """The key store of a test bureau: keys are sealed on disk, and open in this process's memory while it uses them."""

    KEY: ClassVar[str] = "soft"

    def __init__(self, path: Path, kek: bytes, file: KeyFile) -> None:
        self._path = path
        self._kek = kek
        self._file = file
        self._own = {name: self._unseal(sealed, name.encode(), f"its {name} key") for name, sealed in file.own.items()}
        self._last: tuple[Dek, bytes] | None = None
        self._check(file)

    def __repr__(self) -> str:
        return f"SoftKeyStore({str(self._path)!r})"

    @classmethod
    def create(cls, path: Path, passphrase: bytes) -> "SoftKeyStore":
        """Make a new key store with keys of its own; raises KeyStoreError where *path* exists."""
        if not passphrase:
            raise KeyStoreError("a key store needs a passphrase")
        salt = crypto.random_bytes(16)
        kek = crypto.scrypt(passphrase, salt)
        own = {name: _seal(kek, crypto.random_bytes(32), name.encode()) for name in OWN}
        verifier = _seal(kek, b"", b"verifier")
        file = KeyFile(salt=salt, verifier=verifier, own=own, entries={})
        with locked(path):
            if path.exists():
                raise KeyStoreError(f"there is a key store {path} already")
            file.write(path)
        return cls(path, kek, file)

    @classmethod
    def open(cls, path: Path, passphrase: bytes) -> "SoftKeyStore":
        """Open a key store; raises KeyStoreError where it is missing, damaged or under another passphrase."""
        file = KeyFile.read(path)
        kek = crypto.scrypt(passphrase, file.salt)
        try:
            crypto.aead_open(kek, file.verifier, b"verifier")
        except ValueError as wrong:
            raise KeyStoreError(f"wrong passphrase for key store {path}") from wrong
        return cls(path, kek, file)

    def keys(self) -> tuple[KeyInfo, ...]:
        """Return what is registered, by id."""
        self._reload()
        return tuple(self._file.entries[key].info for key in sorted(self._file.entries))

    def info(self, key: KeyId) -> KeyInfo:
        """Return what may be shown of *key*; an unknown one raises."""
        return self._entry(key).info

    def certificates(self, key: KeyId) -> tuple[bytes, ...]:
        """Return the chain of certificates that was registered with *key*, its own the last."""
        return self._entry(key).certificates

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
        """Register a key; the same one again is no error and keeps its first name.

        Raises KeyStoreError for an id that isn't upper-case hex, a weak or ill-sized value, certificates that aren't the
        key's, or an id that is taken.
        """
        try:
            check(algorithm, value)
        except ValueError as weak:
            raise KeyStoreError(f"key {key}: {weak}") from weak
        info = KeyInfo(
            id=key,
            name=name,
            purpose=purpose,
            algorithm=algorithm,
            size=bits(algorithm, value),
            mode=mode,
            kcv=kcv(algorithm, value).hex().upper(),
        )
        _check(info, value, certificates)
        return self._register(info, value, certificates)

    def _register(self, info: KeyInfo, value: bytes, certificates: tuple[bytes, ...]) -> KeyInfo:
        key = info.id
        with locked(self._path):
            self._reload()
            known = self._file.entries.get(key)
            if known:
                same = replace(known.info, name=info.name) == info and known.certificates == certificates
                if not same or not compare_digest(self._value(known), value):
                    raise KeyStoreError(f"key {key} is registered already with another value or another use")
                return known.info
            entry = Entry(info, b"", certificates)
            entry = replace(entry, sealed=_seal(self._kek, value, entry.associated))
            file = replace(self._file, entries={**self._file.entries, key: entry})
            file.write(self._path)
            self._file = file
        return info

    def session_keys(self, card: CardKeys, wanted: Mapping[str, Derivation | Agreement]) -> dict[str, bytes]:
        """Derive the *wanted* session keys of one card by name; neither a static key nor an agreed secret is given out."""
        if any(isinstance(each, Derivation) and each.method is Method.STATIC for each in wanted.values()):
            raise KeyStoreError("a static key never leaves the key store")
        return {name: self._derive(card, derivation) for name, derivation in wanted.items()}

    def translate(self, value: bytes, transport: Transport | None, dek: Dek) -> bytes:
        """Re-encrypt *value* from *transport* (None: it stands clear) to *dek*; it must be whole blocks of both."""
        if not value or len(value) % dek.wrap.block:
            raise KeyStoreError(f"a value of {len(value)} bytes isn't whole {dek.wrap} blocks of {dek.wrap.block}")
        clear = value if transport is None else self._decrypt(value, transport)
        key = self._dek(dek)
        return ENCRYPT[dek.wrap](key, clear)

    def wrap(self, key: KeyId | Static, dek: Dek) -> Wrapped:
        """Encrypt a card's static key, or a registered signing key that isn't RSA, under *dek*, to be put onto a card."""
        if isinstance(key, Static):
            algorithm = self._for(key.card.master, Purpose.MASTER).info.algorithm
            value = self._static(key.card, key.base, algorithm)
        else:
            entry = self._for(key, Purpose.SIGNING)
            algorithm, value = entry.info.algorithm, self._value(entry)
            if algorithm is Algorithm.RSA:
                raise KeyStoreError(f"key {key}: of an RSA key only the public half goes onto a card")
        padded = value + crypto.random_bytes(-len(value) % dek.wrap.block)
        return Wrapped(
            algorithm=algorithm, value=self.translate(padded, None, dek), size=len(value), kcv=kcv(algorithm, value)
        )  # fmt: skip

    def public(self, key: KeyId) -> RsaPublic | EccPublic:
        """Return the public half of a signing key; one that is a secret of its own raises."""
        entry = self._for(key, Purpose.SIGNING)
        algorithm, value = entry.info.algorithm, self._value(entry)
        if algorithm.curve:
            return EccPublic(curve=algorithm.curve, point=crypto.ec_public(algorithm.curve, value))
        if algorithm is not Algorithm.RSA:
            raise KeyStoreError(f"key {key} is for {algorithm} and has no public half")
        modulus, exponent = crypto.rsa_public(value)
        return RsaPublic(modulus=modulus, exponent=exponent)

    def sign(self, key: KeyId, message: bytes, method: Signing) -> bytes:
        """Return the signature or MAC of a signing key over *message*; a *method* that isn't its own raises."""
        entry = self._signing(key, method)
        value, curve = self._value(entry), entry.info.algorithm.curve
        try:
            if curve:
                return crypto.ecdsa_sign(curve, value, message)
            return SIGN[method](value, message)
        except ValueError as wrong:
            raise KeyStoreError(f"key {key}: {wrong}") from wrong

    def verify(self, key: KeyId, message: bytes, signature: bytes, method: Signing) -> bool:
        """Tell whether *signature* is that of a signing key over *message*."""
        entry = self._signing(key, method)
        value, curve = self._value(entry), entry.info.algorithm.curve
        if curve:
            return crypto.ecdsa_verify(curve, crypto.ec_public(curve, value), message, signature)
        if method is Signing.RSA_PKCS1_SHA1:
            return crypto.rsa_pkcs1_sha1_verify(*crypto.rsa_public(value), message, signature)
        if method is Signing.RSA_PSS_SHA256:
            return crypto.rsa_pss_sha256_verify(*crypto.rsa_public(value), message, signature)
        return compare_digest(SIGN[method](value, message), signature)

    def _signing(self, key: KeyId, method: Signing) -> Entry:
        entry = self._for(key, Purpose.SIGNING)
        algorithm = entry.info.algorithm
        if method not in ((Signing.ECDSA,) if algorithm.curve else METHODS[algorithm]):
            raise KeyStoreError(f"key {key} is for {algorithm} and doesn't sign with {method}")
        return entry

    def new_data_key(self) -> tuple[DataKey, bytes]:
        """Make a data key; returns it with its wrapped form, which may be stored."""
        value = crypto.random_bytes(32)
        return DataKey(value), _seal(self._own["wrapping"], value, b"data key")

    def unwrap(self, wrapped: bytes) -> DataKey:
        """Return the data key behind its wrapped form; raises KeyStoreError where this store didn't wrap it."""
        try:
            return DataKey(crypto.aead_open(self._own["wrapping"], wrapped, b"data key"))
        except ValueError as wrong:
            raise KeyStoreError("a wrapped data key doesn't open: not of this key store, or damaged") from wrong

    def authenticate(self, message: bytes) -> bytes:
        """Return a 16-byte AES-CMAC over *message* under a key of the store's own."""
        return crypto.cmac(self._own["audit"], message)

    def _reload(self) -> None:
        file = KeyFile.read(self._path)
        if (file.salt, file.verifier, file.own) != (self._file.salt, self._file.verifier, self._file.own):
            raise KeyStoreError(f"key store {self._path} has been replaced by another one since it was opened")
        self._check(file)
        self._file = file

    def _check(self, file: KeyFile) -> None:
        for entry in file.entries.values():
            self._value(entry)

    def _unseal(self, sealed: bytes, associated: bytes, what: str) -> bytes:
        try:
            return crypto.aead_open(self._kek, sealed, associated)
        except ValueError as wrong:
            raise KeyStoreError(f"key store {self._path} is damaged: {what} doesn't open as described") from wrong

    def _value(self, entry: Entry) -> bytes:
        return self._unseal(entry.sealed, entry.associated, f"key {entry.info.id}")

    def _entry(self, key: KeyId) -> Entry:
        """Return an entry, also one that another process has registered since."""
        if key not in self._file.entries:
            self._reload()
        try:
            return self._file.entries[key]
        except KeyError as missing:
            raise KeyStoreError(f"key {key} isn't registered") from missing

    def _for(self, key: KeyId, purpose: Purpose) -> Entry:
        entry = self._entry(key)
        if entry.info.purpose is not purpose:
            raise KeyStoreError(f"key {key} is registered as {entry.info.purpose} key and can't serve as {purpose} key")
        return entry

    def _static(self, card: CardKeys, base: Base, algorithm: Algorithm) -> bytes:
        entry = self._for(card.master, Purpose.MASTER)
        if not entry.info.algorithm is algorithm is (card.recipe.algorithm or algorithm):
            raise KeyStoreError(
                f"key {card.master} is for {entry.info.algorithm}, recipe {card.recipe.name} for "
                f"{card.recipe.algorithm or 'either'}, the card for {algorithm}: they must be the same"
            )
        try:
            return diversify(card.recipe, base, self._value(entry), card.kdd)
        except ValueError as wrong:
            raise KeyStoreError(f"key {card.master}: {wrong}") from wrong

    def _derive(self, card: CardKeys, derivation: Derivation | Agreement, static: Algorithm = Algorithm.AES) -> bytes:
        if isinstance(derivation, Agreement):
            return self._agree(card.master, derivation)
        algorithm = ALGORITHMS.get(derivation.method, static)
        try:
            return derived(self._static(card, derivation.base, algorithm), derivation)
        except ValueError as wrong:
            raise KeyStoreError(f"key {card.master}: {wrong}") from wrong

    def _agree(self, key: KeyId, agreement: Agreement) -> bytes:
        secret = agreement.shared
        if agreement.peer is not None:
            entry = self._for(key, Purpose.AGREEMENT)
            curve = crypto.Curve(entry.info.algorithm.value)
            try:
                secret += crypto.ecdh(curve, self._value(entry), agreement.peer)
            except ValueError as wrong:
                raise KeyStoreError(f"key {key} is on {curve}, and the card's isn't: {wrong}") from wrong
        end = (agreement.number + 1) * agreement.size
        return crypto.x963_kdf(secret, agreement.info, end)[-agreement.size :]

    def _dek(self, dek: Dek) -> bytes:
        """Derive a card's DEK, once for all the values of a card."""
        if self._last is None or self._last[0] != dek:
            self._last = dek, self._derive(dek.card, dek.derivation, dek.wrap.algorithm)
        return self._last[1]

    def _decrypt(self, value: bytes, transport: Transport) -> bytes:
        entry = self._for(transport.key, Purpose.TRANSPORT)
        block = entry.info.algorithm.block
        if len(value) % block:
            raise KeyStoreError(f"key {transport.key}: a value of {len(value)} bytes isn't whole blocks of {block}")
        if transport.iv and (not transport.cbc or len(transport.iv) != block):
            raise KeyStoreError(f"key {transport.key}: an IV of {len(transport.iv)} bytes doesn't suit it")
        key, iv = self._value(entry), transport.iv or bytes(block)
        if entry.info.algorithm is Algorithm.DES3:
            return crypto.des3_cbc_decrypt(key, value, iv) if transport.cbc else crypto.des3_ecb_decrypt(key, value)
        return crypto.aes_cbc_decrypt(key, value, iv) if transport.cbc else crypto.aes_ecb_decrypt(key, value)
