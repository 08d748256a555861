"""SCP01 with options i = 05 and 15 (GPCS 2.1.1 appendix D)."""

from dataclasses import dataclass
from hmac import compare_digest
from typing import ClassVar, Final

from hardware.crypto import DES_BLOCK, des3_cbc_encrypt, des3_cbc_mac, des3_ecb_encrypt, pad80
from hardware.errors import PlanError, ProtocolError
from hardware.iso7816 import Command, Dialogue
from hardware.keystores import Base, Derivation, Method, Wrap
from hardware.scp import DeriveKeys, Foreseen, Opening, Options
from hardware.scp.des import DesSession
from hardware.scp.initiation import external_authenticate, initialize_update, refuse_unsupported, wrong_cryptogram

ENCRYPTED_ICV: Final = 0x10
"""Bit of i: the ICV of every C-MAC but the first is encrypted."""
ANSWER: Final = 28
"""KDD(10) KVN(1) 01 challenge(8) cryptogram(8), D.4.1.5."""


def derivation(base: Base, host: bytes, card: bytes) -> Derivation:
    """Return how a session key comes from both challenges of 8 bytes (D.3.1)."""
    return Derivation(base=base, method=Method.DES3_ECB, before=card[4:] + host[:4] + card[:4] + host[4:])


@dataclass(slots=True, kw_only=True, eq=False)
class Scp01(DesSession):
    """An SCP01 session at level 00, 01 (C-MAC) or 03 (C-MAC and C-DECRYPTION)."""

    KEY: ClassVar[str] = "SCP01"
    WRAP: ClassVar[Wrap] = Wrap.DES3_ECB
    AGREES: ClassVar[bool] = False
    OPTIONS: ClassVar[Options] = dict.fromkeys((0x05, 0x15), frozenset({0x00, 0x01, 0x03}))

    @classmethod
    def open(cls, opening: Opening, derive: DeriveKeys) -> Dialogue["Scp01"]:
        """Authenticate both ends; no EXTERNAL AUTHENTICATE is sent if the card's cryptogram is wrong."""
        refuse_unsupported(cls.KEY, opening.i, opening.level, cls.OPTIONS)
        if opening.i is None:
            raise PlanError("SCP01 needs its option i stated: the card's answer doesn't say it")
        host = opening.challenge(8)
        answer = yield from initialize_update(0x01, opening, host)
        if len(answer) != ANSWER:
            raise ProtocolError(f"INITIALIZE UPDATE: an SCP01 answer has {ANSWER} bytes, not {len(answer)}")
        kdd, card, cryptogram = answer[:10], answer[12:20], answer[20:]
        keys = derive(kdd, {base: derivation(base, host, card) for base in (Base.ENC, Base.MAC)})
        channel = cls(level=opening.level, i=opening.i, kdd=kdd, enc=keys[Base.ENC], mac=keys[Base.MAC])
        if not compare_digest(cryptogram, channel._cryptogram(host + card)):
            raise wrong_cryptogram(answer)
        proof = channel._cryptogram(card + host)
        command = Command("EXTERNAL AUTHENTICATE", 0x80, 0x82, opening.level, 0, proof, secret=())
        yield from external_authenticate(channel.protect(command))
        return channel

    @classmethod
    def foresee(cls, opening: Opening, derive: DeriveKeys, card: Foreseen) -> bytes:  # noqa: ARG003 - the port
        """Raise PlanError: the card challenge is always drawn."""
        raise PlanError("SCP01 can't be foreseen: its card challenge is drawn")

    def dek(self) -> Derivation:
        """Return that the DEK is the static one."""
        return Derivation(base=Base.DEK, method=Method.STATIC)

    def _cryptogram(self, context: bytes) -> bytes:
        return des3_cbc_mac(self.enc, pad80(context, DES_BLOCK))

    def _encipher(self, plain: bytes) -> bytes:
        """Encrypt the data behind their length; they are padded only where they don't fill their blocks (D.3.4)."""
        counted = bytes((len(plain),)) + plain
        return des3_cbc_encrypt(self.enc, counted if len(counted) % DES_BLOCK == 0 else pad80(counted, DES_BLOCK))

    def _mac_over(self, command: Command, modified: bytes) -> bytes:  # noqa: ARG002 - another channel's
        return des3_cbc_mac(self.mac, pad80(modified, DES_BLOCK), self._icv())

    def _icv(self) -> bytes:
        if not self._last:
            return bytes(DES_BLOCK)
        return des3_ecb_encrypt(self.mac, self._last) if self.i & ENCRYPTED_ICV else self._last
