"""SCP03 in S8 mode with AES-128, 192 or 256 (GPC Amendment D)."""

from dataclasses import dataclass, field, replace
from hmac import compare_digest
from typing import ClassVar, Final

from hardware.crypto import AES_BLOCK, aes_cbc_encrypt, aes_ecb_encrypt, cmac, kbkdf_cmac, pad80
from hardware.errors import AuthenticationError, ProtocolError
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

PSEUDO_RANDOM: Final = 0x10
"""Bit of i: the card challenge is computed, not drawn, and its counter ends the answer."""
ANSWER: Final = 29
"""KDD(10) KVN(1) 03 i(1) challenge(8) cryptogram(8) [SEQ(3)], Amendment D 7.1.1.6."""
CARD_CRYPTOGRAM, HOST_CRYPTOGRAM, CARD_CHALLENGE, S_ENC, S_MAC = 0x00, 0x01, 0x02, 0x04, 0x06
"""Derivation constants (Amendment D table 4-1)."""
MAC: Final = 8
"""Bytes of a C-MAC and of a cryptogram in S8 mode."""


def derivation(base: Base, constant: int, context: bytes, bits: int = 0) -> Derivation:
    """Return how key material comes about (Amendment D 4.1.5); bits 0: as much as the static key has."""
    return Derivation(base=base, method=Method.CMAC_KDF, before=_label(constant), after=context, bits=bits)


def _label(constant: int) -> bytes:
    return bytes(11) + bytes((constant, 0))


@dataclass(slots=True, kw_only=True, eq=False)
class Scp03:
    """An SCP03 session at level 01 (C-MAC) or 03 (C-MAC and C-DECRYPTION)."""

    KEY: ClassVar[str] = "SCP03"
    WRAP: ClassVar[Wrap] = Wrap.AES_CBC
    OPTIONS: ClassVar[frozenset[int]] = frozenset({0x00, 0x10, 0x20, 0x30, 0x60, 0x70})
    LEVELS: ClassVar[frozenset[int]] = frozenset({0x01, 0x03})

    level: int
    kdd: bytes
    enc: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    extended: bool = False
    """Whether the card takes commands of extended length."""
    _chaining: bytes = field(default=bytes(AES_BLOCK), init=False, repr=False)
    _counter: int = field(default=0, init=False)

    @classmethod
    def open(cls, opening: Opening, derive: DeriveKeys) -> Dialogue["Scp03"]:
        """Authenticate both ends; no EXTERNAL AUTHENTICATE is sent if the card's cryptogram is wrong.

        A pseudo-random card challenge is compared with the one that SD AID and counter give. The cryptogram has proved
        the keys by then, so a difference isn't a wrong key but another AID than stated: ProtocolError.
        """
        refuse_unsupported(cls.KEY, opening, cls.OPTIONS, cls.LEVELS)
        answer = yield from initialize_update(0x03, opening)
        sequence = _check(answer, opening)
        kdd, challenge, cryptogram = answer[:10], answer[13:21], answer[21:29]
        context = opening.host_challenge + challenge
        wanted = {"enc": derivation(Base.ENC, S_ENC, context), "mac": derivation(Base.MAC, S_MAC, context)}
        if sequence:
            wanted["challenge"] = derivation(Base.ENC, CARD_CHALLENGE, sequence + opening.sd_aid, 8 * MAC)
        keys = derive(kdd, wanted)
        channel = cls(level=opening.level, kdd=kdd, enc=keys["enc"], mac=keys["mac"], extended=opening.extended)
        if not compare_digest(cryptogram, channel._cryptogram(CARD_CRYPTOGRAM, context)):
            raise AuthenticationError("card cryptogram does not verify")
        if sequence and not compare_digest(challenge, keys["challenge"]):
            raise ProtocolError(f"INITIALIZE UPDATE: the card challenge isn't that of security domain {opening.sd_aid}")
        proof = channel._cryptogram(HOST_CRYPTOGRAM, context)
        command = Command("EXTERNAL AUTHENTICATE", 0x80, 0x82, opening.level, 0, proof, secret=())
        yield from external_authenticate(channel._protect(command, command.data))
        return channel

    @classmethod
    def room(cls, *, extended: bool) -> int:
        """Return the longest data that one command holds at level 03, short or *extended*."""
        return longest(AES_BLOCK, MAC, extended=extended)

    def dek(self) -> Derivation:
        """Return that the DEK is the static one."""
        return Derivation(base=Base.DEK, method=Method.STATIC)

    def wrap(self, command: Command) -> Command:
        """Protect one command (Amendment D 6.2.4, 6.2.6); raises PlanError where it doesn't fit one that the card takes.

        The C-MAC is over the header as it is sent, so over three bytes of an extended Lc. GlobalPlatformPro's SCP03Wrapper
        and NXP's Plug & Trust library do so, and both talk to real chips.
        Data are encrypted under a counter that moves with every command, also with one that has none.
        """
        data = command.data
        if data and self.level & C_DECRYPTION:
            iv = aes_ecb_encrypt(self.enc, (self._counter + 1).to_bytes(AES_BLOCK, "big"))
            data = aes_cbc_encrypt(self.enc, pad80(data, AES_BLOCK), iv)
        wrapped = self._protect(command, data)
        self._counter += 1
        return wrapped

    def _cryptogram(self, constant: int, context: bytes) -> bytes:
        return kbkdf_cmac(self.mac, _label(constant) + (8 * MAC).to_bytes(2, "big"), context, 8 * MAC)

    def _protect(self, command: Command, data: bytes) -> Command:
        secure = header(command, len(data) + MAC, extended=self.extended)
        self._chaining = cmac(self.mac, self._chaining + secure + data)
        return replace(command, cla=secure[0], data=data + self._chaining[:MAC])


def _check(answer: bytes, opening: Opening) -> bytes:
    """Return the counter of a pseudo-random challenge, or nothing; raises ProtocolError for an ill-made answer."""
    if len(answer) < ANSWER:
        raise ProtocolError(f"INITIALIZE UPDATE: an SCP03 answer has {ANSWER} bytes or more, not {len(answer)}")
    i = answer[12]
    if opening.i not in (None, i):
        raise ProtocolError(f"INITIALIZE UPDATE: the card answers with i={i:02X}, not {opening.i:02X}")
    refuse_unsupported(Scp03.KEY, replace(opening, i=i), Scp03.OPTIONS, Scp03.LEVELS)
    expected = ANSWER + (3 if i & PSEUDO_RANDOM else 0)
    if len(answer) != expected:
        raise ProtocolError(f"INITIALIZE UPDATE: an answer with i={i:02X} has {expected} bytes, not {len(answer)}")
    return answer[ANSWER:]
