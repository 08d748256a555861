"""SCP03 in both modes, S8 and S16, with AES-128, 192 or 256 (GPC Amendment D)."""

from dataclasses import dataclass
from hmac import compare_digest
from typing import ClassVar, Final

from hardware.crypto import kbkdf_cmac
from hardware.errors import PlanError, ProtocolError
from hardware.iso7816 import Command, Dialogue
from hardware.keystores import Base, Derivation, Method, Wrap
from hardware.scp import DeriveKeys, Foreseen, Opening, Options
from hardware.scp.initiation import R_MAC, external_authenticate, initialize_update, refuse_unsupported, wrong_cryptogram
from hardware.scp.messaging import S16, AesSession, mac_size

PSEUDO_RANDOM: Final = 0x10
"""Bit of i: the card challenge is computed, not drawn, and its counter ends the answer."""
WITH_R_MAC, WITH_R_ENCRYPTION = 0x20, 0x40
"""Bits of i: the card supports the R-MAC; and R-ENCRYPTION, which needs it."""
HEAD, SEQUENCE = 13, 3
"""KDD(10) KVN(1) 03 i(1), then challenge and cryptogram of 8 or 16 bytes, then [SEQ(3)] (Amendment D 7.1.1.6)."""
CARD_CRYPTOGRAM, HOST_CRYPTOGRAM, CARD_CHALLENGE, S_ENC, S_MAC, S_RMAC = 0x00, 0x01, 0x02, 0x04, 0x06, 0x07
"""Derivation constants (Amendment D table 4-1)."""
LEVELS: Final = {
    0: (0x01, 0x03),
    WITH_R_MAC: (0x01, 0x03, 0x11, 0x13),
    WITH_R_MAC | WITH_R_ENCRYPTION: (0x01, 0x03, 0x11, 0x13, 0x33),
}
"""By what i says of answers."""


def derivation(base: Base, constant: int, context: bytes, bits: int = 0) -> Derivation:
    """Return how key material comes about (Amendment D 4.1.5); bits 0: as much as the static key has."""
    return Derivation(base=base, method=Method.CMAC_KDF, before=_label(constant), after=context, bits=bits)


def _label(constant: int) -> bytes:
    return bytes(11) + bytes((constant, 0))


@dataclass(slots=True, kw_only=True, eq=False)
class Scp03(AesSession):
    """An SCP03 session."""

    KEY: ClassVar[str] = "SCP03"
    WRAP: ClassVar[Wrap] = Wrap.AES_CBC
    AGREES: ClassVar[bool] = False
    OPTIONS: ClassVar[Options] = {
        mode | challenge | answers: frozenset(levels)
        for mode in (0, S16)
        for challenge in (0, PSEUDO_RANDOM)
        for answers, levels in LEVELS.items()
    }

    kdd: bytes

    @classmethod
    def open(cls, opening: Opening, derive: DeriveKeys) -> Dialogue["Scp03"]:
        """Authenticate both ends; no EXTERNAL AUTHENTICATE is sent if the card's cryptogram is wrong.

        A pseudo-random card challenge is compared with the one that SD AID and counter give. The cryptogram has proved
        the keys by then, so a difference isn't a wrong key but another AID than stated: ProtocolError.
        """
        refuse_unsupported(cls.KEY, opening.i, opening.level, cls.OPTIONS)
        host = opening.challenge(mac_size(opening.i or 0))
        answer = yield from initialize_update(0x03, opening, host)
        i = _option(answer, opening)
        size = mac_size(i)
        kdd, challenge, cryptogram = answer[:10], answer[HEAD : HEAD + size], answer[HEAD + size : HEAD + 2 * size]
        context, sequence = host + challenge, answer[HEAD + 2 * size :]
        keys = derive(kdd, _wanted(opening, context, sequence, size))
        expected = keys.pop("challenge", challenge)
        channel = cls(
            level=opening.level, kdd=kdd, size=size, extended=opening.extended, pad_empty=opening.pad_empty, **keys
        )
        if not compare_digest(cryptogram, channel._cryptogram(CARD_CRYPTOGRAM, context)):
            raise wrong_cryptogram(answer)
        if not compare_digest(challenge, expected):
            raise ProtocolError(f"INITIALIZE UPDATE: the card challenge isn't that of security domain {opening.sd_aid}")
        proof = channel._cryptogram(HOST_CRYPTOGRAM, context)
        command = Command("EXTERNAL AUTHENTICATE", 0x80, 0x82, opening.level, 0, proof, secret=())
        yield from external_authenticate(channel.authenticate(command, proof))
        return channel

    @classmethod
    def foresee(cls, opening: Opening, derive: DeriveKeys, card: Foreseen) -> bytes:
        """Return the answer to INITIALIZE UPDATE; raises PlanError where the card challenge is drawn."""
        i = opening.i
        if i is None or not i & PSEUDO_RANDOM:
            raise PlanError("SCP03 can be foreseen with a computed card challenge only")
        size = mac_size(i)
        computed = derivation(Base.ENC, CARD_CHALLENGE, card.sequence + opening.sd_aid, 8 * size)
        challenge = derive(card.kdd, {"challenge": computed})["challenge"]
        context = opening.challenge(size) + challenge
        keys = derive(card.kdd, _wanted(opening, context, b"", size))
        channel = cls(level=opening.level, kdd=card.kdd, size=size, enc=keys["enc"], mac=keys["mac"])
        cryptogram = channel._cryptogram(CARD_CRYPTOGRAM, context)
        return card.kdd + bytes((opening.kvn, 0x03, i)) + challenge + cryptogram + card.sequence

    def dek(self) -> Derivation:
        """Return that the DEK is the static one."""
        return Derivation(base=Base.DEK, method=Method.STATIC)

    def _cryptogram(self, constant: int, context: bytes) -> bytes:
        bits = 8 * self.size
        return kbkdf_cmac(self.mac, _label(constant) + bits.to_bytes(2, "big"), context, bits)


def _wanted(opening: Opening, context: bytes, sequence: bytes, size: int) -> dict[str, Derivation]:
    """Return the session keys, and the card challenge where the card has a *sequence* counter."""
    wanted = {"enc": derivation(Base.ENC, S_ENC, context), "mac": derivation(Base.MAC, S_MAC, context)}
    if opening.level & R_MAC:
        wanted["rmac"] = derivation(Base.MAC, S_RMAC, context)
    if sequence:
        wanted["challenge"] = derivation(Base.ENC, CARD_CHALLENGE, sequence + opening.sd_aid, 8 * size)
    return wanted


def _option(answer: bytes, opening: Opening) -> int:
    """Return the card's i; raises ProtocolError for an ill-made answer or another i, PlanError for one without the level."""
    if len(answer) < HEAD:
        raise ProtocolError(f"INITIALIZE UPDATE: an SCP03 answer has more than {HEAD} bytes, not {len(answer)}")
    i = answer[HEAD - 1]
    if opening.i not in (None, i):
        raise ProtocolError(f"INITIALIZE UPDATE: the card answers with i={i:02X}, not {opening.i:02X}")
    refuse_unsupported(Scp03.KEY, i, opening.level, Scp03.OPTIONS)
    if mac_size(i) != mac_size(opening.i or 0):
        raise ProtocolError(f"INITIALIZE UPDATE: the card answers a challenge of 8 bytes with i={i:02X}")
    expected = HEAD + 2 * mac_size(i) + (SEQUENCE if i & PSEUDO_RANDOM else 0)
    if len(answer) != expected:
        raise ProtocolError(f"INITIALIZE UPDATE: an answer with i={i:02X} has {expected} bytes, not {len(answer)}")
    return i
