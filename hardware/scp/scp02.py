"""SCP02 with explicit initiation, three keys and encrypted ICV: i = 15 and 55 (GPCS appendix E)."""

from dataclasses import dataclass, field, replace
from hmac import compare_digest
from typing import ClassVar, Final

from hardware.crypto import DES_BLOCK, des3_cbc_encrypt, des3_cbc_mac, des_ecb_encrypt, pad80, retail_mac
from hardware.errors import AuthenticationError, PlanError, ProtocolError
from hardware.iso7816 import Command, Dialogue
from hardware.keystores import Base, Derivation, Method, Wrap
from hardware.scp import DeriveKeys, Opening
from hardware.scp.initiation import (
    C_DECRYPTION,
    external_authenticate,
    header,
    initialize_update,
    longest,
    refuse_unsupported,
)

PSEUDO_RANDOM: Final = 0x40
"""Bit of i: the card challenge is computed, not drawn."""
ANSWER: Final = 28
"""KDD(10) KVN(1) 02 SEQ(2) challenge(6) cryptogram(8), GPCS table E-7."""
C_MAC, DEK, ENC = 0x0101, 0x0181, 0x0182
"""Derivation constants (GPCS E.4.1)."""


def derivation(base: Base, constant: int, sequence: bytes) -> Derivation:
    """Return how a session key comes about; sequence: the two bytes of the card's counter (GPCS E.4.1)."""
    return Derivation(base=base, method=Method.DES3_CBC, before=constant.to_bytes(2, "big") + sequence + bytes(12))


@dataclass(slots=True, kw_only=True, eq=False)
class Scp02:
    """An SCP02 session at level 01 (C-MAC) or 03 (C-MAC and C-DECRYPTION)."""

    KEY: ClassVar[str] = "SCP02"
    WRAP: ClassVar[Wrap] = Wrap.DES3_ECB
    OPTIONS: ClassVar[frozenset[int]] = frozenset({0x15, 0x55})
    LEVELS: ClassVar[frozenset[int]] = frozenset({0x01, 0x03})

    level: int
    kdd: bytes
    sequence: bytes
    enc: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    _last: bytes = field(default=b"", init=False, repr=False)
    """C-MAC of the command before; empty ahead of the first."""

    @classmethod
    def open(cls, opening: Opening, derive: DeriveKeys) -> Dialogue["Scp02"]:
        """Authenticate both ends; no EXTERNAL AUTHENTICATE is sent if the card's cryptogram is wrong.

        With i = 55 the card challenge is compared with the one that SD AID and sequence counter give. The cryptogram has
        proved the keys by then, so a difference isn't a wrong key but another AID than stated: ProtocolError.
        """
        refuse_unsupported(cls.KEY, opening, cls.OPTIONS, cls.LEVELS)
        if opening.i is None:
            raise PlanError("SCP02 needs its option i stated: the card's answer doesn't say it")
        host = opening.challenge(8)
        answer = yield from initialize_update(0x02, opening, host)
        if len(answer) != ANSWER:
            raise ProtocolError(f"INITIALIZE UPDATE: an SCP02 answer has {ANSWER} bytes, not {len(answer)}")
        kdd, sequence, challenge, cryptogram = answer[:10], answer[12:14], answer[14:20], answer[20:]
        wanted = {"enc": derivation(Base.ENC, ENC, sequence), "mac": derivation(Base.MAC, C_MAC, sequence)}
        keys = derive(kdd, wanted)
        channel = cls(level=opening.level, kdd=kdd, sequence=sequence, enc=keys["enc"], mac=keys["mac"])
        if not compare_digest(cryptogram, channel._cryptogram(host + sequence + challenge)):
            raise AuthenticationError("card cryptogram does not verify")
        expected = retail_mac(channel.mac, pad80(opening.sd_aid, DES_BLOCK))[:6]
        if opening.i & PSEUDO_RANDOM and not compare_digest(challenge, expected):
            raise ProtocolError(f"INITIALIZE UPDATE: the card challenge isn't that of security domain {opening.sd_aid}")
        proof = channel._cryptogram(sequence + challenge + host)
        command = Command("EXTERNAL AUTHENTICATE", 0x80, 0x82, opening.level, 0, proof, secret=())
        yield from external_authenticate(channel._protect(command, encrypt=False))
        return channel

    @classmethod
    def room(cls, i: int | None, *, extended: bool) -> int:  # noqa: ARG003 - the port
        """Return the longest data that one command holds at level 03; raises PlanError where it should be *extended*.

        Lc is under the C-MAC, and it isn't said how an extended one is coded there: at level 03 it is that of the plaintext,
        which may fit one byte where the Lc that is sent doesn't. No implementation at hand has it.
        """
        if extended:
            raise PlanError(f"{cls.KEY} with commands of extended length isn't built in")
        return longest(DES_BLOCK, DES_BLOCK)

    def dek(self) -> Derivation:
        """Return how the session's DEK comes from the card's static keys."""
        return derivation(Base.DEK, DEK, self.sequence)

    def wrap(self, command: Command) -> Command:
        """Protect one command (GPCS E.4.4, E.4.6); raises PlanError where it doesn't fit a short one."""
        return self._protect(command, encrypt=bool(self.level & C_DECRYPTION))

    def _cryptogram(self, context: bytes) -> bytes:
        return des3_cbc_mac(self.enc, pad80(context, DES_BLOCK))

    def _protect(self, command: Command, *, encrypt: bool) -> Command:
        plain = data = command.data
        if encrypt and plain:
            data = des3_cbc_encrypt(self.enc, pad80(plain, DES_BLOCK))
        secure = header(command, len(data) + DES_BLOCK)
        # The MAC is over the plaintext, whose length its header states.
        covered = secure[:4] + bytes((len(plain) + DES_BLOCK,)) + plain
        icv = des_ecb_encrypt(self.mac[:8], self._last) if self._last else bytes(DES_BLOCK)
        self._last = retail_mac(self.mac, pad80(covered, DES_BLOCK), icv)
        return replace(command, cla=secure[0], data=data + self._last)
