"""Published primitives, with no GlobalPlatform constant or layout in them.

3DES keys have 16 bytes (two-key) or 24; AES keys 16, 24 or 32. Every function raises ValueError for another length.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFCMAC, CounterLocation, Mode
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

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
