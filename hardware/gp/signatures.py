"""Which signature belongs to which key in GlobalPlatform (GPCS 2.3.1 annex B.1.2.2, B.2.2, B.3, B.4)."""

from typing import Final

from hardware.gp.loadfile import DapBlock
from hardware.gp.tokens import Sign, Verify
from hardware.iso7816 import AID
from hardware.keystores import Algorithm, KeyId, KeyStore, Signing

SHORT_RSA: Final = 1024
"""Bits of an RSA key that signs with PKCS #1 v1.5 and SHA-1; longer ones sign with PSS and SHA-256."""


def method(algorithm: Algorithm, bits: int) -> Signing:
    """Return how a key of *algorithm* and size signs tokens, DAP blocks and receipts."""
    if algorithm.curve:
        return Signing.ECDSA
    if algorithm is Algorithm.RSA:
        return Signing.RSA_PKCS1_SHA1 if bits <= SHORT_RSA else Signing.RSA_PSS_SHA256
    return Signing.RETAIL_MAC if algorithm is Algorithm.DES3 else Signing.CMAC


def sign(store: KeyStore, key: KeyId) -> Sign:
    """Return what signs with the registered *key*, inside the key store; raises KeyStoreError."""
    info = store.info(key)
    how = method(info.algorithm, info.size)
    return lambda message: store.sign(key, message, how)


def verify(store: KeyStore, key: KeyId) -> Verify:
    """Return what checks signatures of the registered *key*, inside the key store; raises KeyStoreError."""
    info = store.info(key)
    how = method(info.algorithm, info.size)
    return lambda message, signature: store.verify(key, message, signature, how)


def dap(domain: AID, digest: bytes, signer: Sign) -> DapBlock:
    """Return the DAP block of *domain* over a load file's hash (GPCS C.3)."""
    return DapBlock(domain=domain, signature=signer(digest))
