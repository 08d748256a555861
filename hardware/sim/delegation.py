"""Who may change content, and what proves it: tokens, receipts and DAP blocks on the card (GPCS 9.1 to 9.3, annex C)."""

from collections.abc import Sequence
from hmac import compare_digest
from typing import Final

from hardware import crypto
from hardware.sim import privileges
from hardware.sim.apdu import Answer, Apdu, RefusedError
from hardware.sim.certificates import CURVES
from hardware.sim.eeprom import Eeprom, data_key
from hardware.sim.keyring import AES, DES, EC_CURVE, EC_PUBLIC, RSA_EXPONENT, RSA_MODULUS, Key, KeyRing
from hardware.sim.registry import Registry
from hardware.tlv import lv

TOKEN_KEY, RECEIPT_KEY, DAP_KEY = (0x70, 0x01), (0x71, 0x01), (0x73, 0x01)
CONFIRMATIONS: Final = "isd/confirmations"
NO_RECEIPT: Final = Answer(data=b"\0")


def mac(key: Key, message: bytes) -> bytes | None:
    """Return the MAC over *message* under a symmetric key (GPCS B.1.2.2, B.2.2), or None under another one."""
    if (des := key.part(DES)) is not None:
        return crypto.retail_mac(des, crypto.pad80(message, crypto.DES_BLOCK))
    return None if (aes := key.part(AES)) is None else crypto.cmac(aes, message)


def verified(key: Key, message: bytes, signature: bytes) -> bool:
    """Tell whether *signature* over *message* is right (GPCS B.3, B.4)."""
    if (expected := mac(key, message)) is not None:
        return compare_digest(expected, signature)
    modulus, exponent = key.part(RSA_MODULUS), key.part(RSA_EXPONENT)
    if modulus and exponent:
        verify = crypto.rsa_pkcs1_sha1_verify if len(modulus) == 128 else crypto.rsa_pss_sha256_verify
        return verify(modulus, exponent, message, signature)
    point, curve = key.part(EC_PUBLIC), key.part(EC_CURVE)
    named = CURVES.get(curve[0]) if curve else None
    if point and named and len(signature) == 2 * named.size:
        return crypto.ecdsa_verify(named, point, message, signature)
    return False


class Delegation:
    """Decide for the security domain *aid* with its *rights*; the Issuer Security Domain's *ring* has the token keys."""

    def __init__(self, aid: bytes, rights: int, ring: KeyRing, eeprom: Eeprom, registry: Registry) -> None:
        self._aid, self._rights, self._ring, self._eeprom, self._registry = aid, rights, ring, eeprom, registry

    def check(self, apdu: Apdu, covered: bytes, token: bytes) -> None:
        """Check the token over P1, P2, length and *covered*.

        Refuses with 6985 where it is missing, no key is there for it or the domain manages no content; 6A80 if it is wrong.
        """
        if self._rights & privileges.AUTHORIZED and not token:
            return
        if not self._rights & (privileges.AUTHORIZED | privileges.DELEGATED) or not token:
            raise RefusedError(0x6985)
        key = self._ring.key(*TOKEN_KEY)
        if key is None:
            raise RefusedError(0x6A80 if self._rights & privileges.AUTHORIZED else 0x6985)
        size = bytes((len(covered),)) if len(covered) < 0x100 else b"\0" + len(covered).to_bytes(2, "big")
        if not verified(key, bytes((apdu.p1, apdu.p2)) + size + covered, token):
            raise RefusedError(0x6A80)

    def receipt(self, token: bytes, *subject: bytes, identifier: bytes = b"") -> Answer:
        """Return a receipt for what a *token* allowed, or none (GPCS 11.1.6, C.5)."""
        key = self._ring.key(*RECEIPT_KEY)
        if not token or key is None:
            return NO_RECEIPT
        counter = self._eeprom.number(CONFIRMATIONS) + 1
        self._eeprom.put(CONFIRMATIONS, counter)
        unique = b"".join(bytes.fromhex(self._eeprom.text(data_key(tag)) or "") for tag in (0x42, 0x45))
        confirmation = lv(counter.to_bytes(2, "big")) + lv(unique) + (lv(identifier) if identifier else b"")
        signature = mac(key, confirmation + b"".join(map(lv, subject)))
        return Answer(data=lv(lv(signature) + confirmation)) if signature else NO_RECEIPT

    def check_daps(self, domain: bytes, digest: bytes, given: Sequence[tuple[bytes, bytes]]) -> None:
        """Check DAP blocks of a load for *domain*; refuses with 6985 where one is missing, 6A80 where one is wrong.

        Whoever has DAP verification checks what is loaded for itself, mandated DAP verification all that is loaded.
        """
        wanted = set[bytes]()
        for app in self._registry.instances():
            rights = privileges.number(app.privileges)
            if rights & privileges.MANDATED_DAP or (rights & privileges.DAP and app.aid == domain):
                wanted.add(app.aid)
        if not wanted <= {aid for aid, _ in given}:
            raise RefusedError(0x6985)
        for aid, signature in given:
            key = KeyRing(self._eeprom, aid).key(*DAP_KEY) if aid in wanted else None
            if not digest or key is None or not verified(key, digest, signature):
                raise RefusedError(0x6A80)
