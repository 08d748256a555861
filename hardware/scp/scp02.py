"""SCP02 with every option i: explicit and implicit initiation, C-MAC, C-DECRYPTION and R-MAC (GPCS appendix E)."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from hmac import compare_digest
from itertools import product
from typing import ClassVar, Final

from hardware.crypto import DES_BLOCK, des3_cbc_encrypt, des3_cbc_mac, des_ecb_encrypt, pad80, retail_mac
from hardware.errors import AuthenticationError, CardError, PlanError, ProtocolError
from hardware.iso7816 import AID, Command, Dialogue, Response
from hardware.keystores import Base, Derivation, Method, Wrap
from hardware.scp import DeriveKeys, Foreseen, Opening, Options
from hardware.scp.des import DesSession
from hardware.scp.initiation import (
    C_DECRYPTION,
    C_MAC,
    R_MAC,
    carries_r_mac,
    data_object,
    external_authenticate,
    initialize_update,
    refuse_after_wrong,
    refuse_unsupported,
    wrong_cryptogram,
    wrong_r_mac,
)

THREE_KEYS, UNMODIFIED, EXPLICIT, OVER_AID, ENCRYPTED_ICV, WITH_R_MAC, PSEUDO_RANDOM = (1 << bit for bit in range(7))
"""Bits of i (table E-1): three keys, not one base key; C-MAC on the unmodified APDU; explicit initiation; the first ICV is
a MAC over the AID; later ones are encrypted; R-MAC is there; the card challenge is computed, not drawn."""
ANSWER: Final = 28
"""KDD(10) KVN(1) 02 SEQ(2) challenge(6) cryptogram(8), GPCS table E-7."""
KEY_C_MAC, KEY_R_MAC, KEY_DEK, KEY_ENC = 0x0101, 0x0102, 0x0181, 0x0182
"""Derivation constants (GPCS E.4.1)."""
COUNTER, DIVERSIFICATION = 0xC1, 0xCF
"""Tags of GET DATA: the sequence counter, and the ten bytes that the card's keys come from."""
SECURED: Final = 0x07
"""Bits of CLA that the R-MAC doesn't cover: secure messaging and the logical channel."""


def derivation(base: Base, constant: int, sequence: bytes) -> Derivation:
    """Return how a session key comes about; sequence: the two bytes of the card's counter (GPCS E.4.1)."""
    return Derivation(base=base, method=Method.DES3_CBC, before=constant.to_bytes(2, "big") + sequence + bytes(12))


def options() -> Iterable[int]:
    """Yield every i that the specification lists: explicit initiation with a zero ICV, implicit with one over the AID."""
    for keys, icv, r_mac in product((0, THREE_KEYS), (0, ENCRYPTED_ICV), (0, WITH_R_MAC)):
        yield from (keys | icv | r_mac | EXPLICIT | challenge for challenge in (0, PSEUDO_RANDOM))
        yield keys | icv | r_mac | UNMODIFIED | OVER_AID


def levels(i: int) -> frozenset[int]:
    """Return the levels of option *i*: with implicit initiation there is always a C-MAC, and never C-DECRYPTION."""
    of_commands = {0x00, C_MAC, C_MAC | C_DECRYPTION} if i & EXPLICIT else {C_MAC}
    return frozenset(of_commands | ({level | R_MAC for level in of_commands} if i & WITH_R_MAC else set()))


@dataclass(slots=True, kw_only=True, eq=False)
class Scp02(DesSession):
    """An SCP02 session; one that was opened by INITIALIZE UPDATE and EXTERNAL AUTHENTICATE."""

    KEY: ClassVar[str] = "SCP02"
    WRAP: ClassVar[Wrap] = Wrap.DES3_ECB
    AGREES: ClassVar[bool] = False
    OPTIONS: ClassVar[Options] = {i: levels(i) for i in options()}

    sequence: bytes
    rmac: bytes = field(default=b"", repr=False)
    _answers: bytes = field(default=b"", init=False, repr=False)
    """The R-MAC before; ahead of the first, the C-MAC of the command that opened the session."""
    _begun: bool = field(default=False, init=False)
    """Whether BEGIN R-MAC SESSION holds."""
    _ended: bool = field(default=False, init=False)
    """Whether nothing more may be sent: from when an answer comes until it has proved right."""

    @classmethod
    def open(cls, opening: Opening, derive: DeriveKeys) -> Dialogue["Scp02"]:
        """Authenticate both ends; no EXTERNAL AUTHENTICATE is sent if the card's cryptogram is wrong.

        A computed card challenge is compared with the one that SD AID and sequence counter give. The cryptogram has
        proved the keys by then, so a difference isn't a wrong key but another AID than stated: ProtocolError.
        With implicit initiation the card authenticates the host by a first C-MAC, and itself only by its R-MACs (E.1.2.2).
        """
        refuse_unsupported(cls.KEY, opening.i, opening.level, cls.OPTIONS)
        if opening.i is None:
            raise PlanError("SCP02 needs its option i stated: the card's answer doesn't say it")
        if opening.i & EXPLICIT:
            return (yield from cls._explicit(opening, opening.i, derive))
        return (yield from Implicit.begin(opening, opening.i, derive))

    @classmethod
    def _explicit(cls, opening: Opening, i: int, derive: DeriveKeys) -> Dialogue["Scp02"]:
        host = opening.challenge(8)
        answer = yield from initialize_update(0x02, opening, host)
        if len(answer) != ANSWER:
            raise ProtocolError(f"INITIALIZE UPDATE: an SCP02 answer has {ANSWER} bytes, not {len(answer)}")
        kdd, sequence, challenge, cryptogram = answer[:10], answer[12:14], answer[14:20], answer[20:]
        keys = derive(kdd, cls._wanted(i, sequence))
        channel = cls(level=opening.level, i=i, kdd=kdd, sequence=sequence, **keys)
        if not compare_digest(cryptogram, channel._cryptogram(host + sequence + challenge)):
            raise wrong_cryptogram(answer)
        if i & PSEUDO_RANDOM and not compare_digest(challenge, channel._over(opening.sd_aid)[:6]):
            raise ProtocolError(f"INITIALIZE UPDATE: the card challenge isn't that of security domain {opening.sd_aid}")
        proof = channel._cryptogram(sequence + challenge + host)
        command = Command("EXTERNAL AUTHENTICATE", 0x80, 0x82, opening.level, 0, proof, secret=())
        yield from external_authenticate(channel.protect(command))
        channel._answers = channel._last
        return channel

    @classmethod
    def foresee(cls, opening: Opening, derive: DeriveKeys, card: Foreseen) -> bytes:
        """Return the answer to INITIALIZE UPDATE; raises PlanError where the challenge is drawn or initiation implicit."""
        i = opening.i
        if i is None or not i & EXPLICIT or not i & PSEUDO_RANDOM:
            raise PlanError("SCP02 can be foreseen with explicit initiation and a computed card challenge only")
        keys = derive(card.kdd, cls._wanted(i, card.sequence))
        channel = cls(level=opening.level, i=i, kdd=card.kdd, sequence=card.sequence, **keys)
        challenge = channel._over(opening.sd_aid)[:6]
        cryptogram = channel._cryptogram(opening.challenge(8) + card.sequence + challenge)
        return card.kdd + bytes((opening.kvn, 0x02)) + card.sequence + challenge + cryptogram

    @classmethod
    def _wanted(cls, i: int, sequence: bytes) -> dict[str, Derivation]:
        wanted = {
            "enc": derivation(_base(i, Base.ENC), KEY_ENC, sequence),
            "mac": derivation(_base(i, Base.MAC), KEY_C_MAC, sequence),
        }
        if i & WITH_R_MAC:
            wanted["rmac"] = derivation(_base(i, Base.MAC), KEY_R_MAC, sequence)
        return wanted

    def dek(self) -> Derivation:
        """Return how the session's DEK comes from the card's static keys."""
        return derivation(_base(self.i, Base.DEK), KEY_DEK, self.sequence)

    def wrap(self, command: Command) -> Command:
        """Protect one command (GPCS E.4.4 to E.4.6); raises PlanError where it doesn't fit a short one."""
        refuse_after_wrong(command, ended=self._ended)
        wrapped = DesSession.wrap(self, command)
        if not (self._begun or self.level & R_MAC):
            return wrapped
        stripped = bytes((command.cla & ~SECURED, command.ins, command.p1, command.p2, len(command.data))) + command.data
        unwrap = partial(self._unwrap, command.name, stripped, carried=bool(self.level & R_MAC))
        return replace(wrapped, ne=command.ne and 256, unwrap=unwrap)

    def begin_r_mac(self, *, each: bool, data: bytes = b"") -> Dialogue[None]:
        """Begin an R-MAC session: *each* answer carries its R-MAC, or only that to END R-MAC SESSION does (E.5.3).

        *data*: up to 238 bytes of the host's own choice. Raises PlanError where the card has no R-MAC, or it runs already.
        """
        if not self.i & WITH_R_MAC or self._begun or self.level & R_MAC:
            raise PlanError(f"SCP02 i={self.i:02X} at level {self.level:02X} can't begin an R-MAC session")
        begin = bytes((len(data),)) + data if data else b""
        yield self.wrap(Command("BEGIN R-MAC SESSION", 0x80, 0x7A, R_MAC if each else 0, 0x01, begin, secret=()))
        self._begun = True
        self.level |= R_MAC if each else 0

    def end_r_mac(self) -> Dialogue[None]:
        """End the R-MAC session that was begun; its last R-MAC covers all answers since then (E.5.4).

        Raises PlanError where none was begun, AuthenticationError for a wrong R-MAC.
        """
        if not self._begun:
            raise PlanError("no R-MAC session was begun that could be ended")
        self.level |= R_MAC
        yield self.wrap(Command("END R-MAC SESSION", 0x80, 0x78, 0, 0x03, ne=256, secret=()))
        self.level &= ~R_MAC
        self._begun = False

    def _unwrap(self, name: str, stripped: bytes, response: Response, *, carried: bool) -> Response:
        """Verify the R-MAC and take it off, or (not *carried*) let it run on; an error has none, and so no data (E.4.5)."""
        self._ended = True
        if not carries_r_mac(name, response):
            self._ended = False
            return response
        body, mac = (response.data[:-DES_BLOCK], response.data[-DES_BLOCK:]) if carried else (response.data, b"")
        covered = stripped + bytes((len(body) & 0xFF,)) + body + response.sw.to_bytes(2, "big")
        self._answers = retail_mac(self.rmac, pad80(covered, DES_BLOCK), self._answers)
        if carried and not compare_digest(mac, self._answers):
            raise wrong_r_mac(name)
        self._ended = False
        return Response(body, response.sw)

    def _cryptogram(self, context: bytes) -> bytes:
        return des3_cbc_mac(self.enc, pad80(context, DES_BLOCK))

    def _over(self, aid: AID) -> bytes:
        return retail_mac(self.mac, pad80(aid, DES_BLOCK))

    def _encipher(self, plain: bytes) -> bytes:
        return des3_cbc_encrypt(self.enc, pad80(plain, DES_BLOCK))

    def _mac_over(self, command: Command, modified: bytes) -> bytes:  # noqa: ARG002 - the implicit one's
        return retail_mac(self.mac, pad80(modified, DES_BLOCK), self._icv(bytes(DES_BLOCK)))

    def _icv(self, first: bytes) -> bytes:
        """Return the *first* ICV as it is, a later one encrypted where the option says so (E.3.4)."""
        if not self._last:
            return first
        return des_ecb_encrypt(self.mac[:8], self._last) if self.i & ENCRYPTED_ICV else self._last


@dataclass(slots=True, kw_only=True, eq=False)
class Implicit(Scp02):
    """An SCP02 session that the first command with a C-MAC opens; it has no C-DECRYPTION, and its DEK uses CBC."""

    WRAP: ClassVar[Wrap] = Wrap.DES3_CBC

    first: bytes = field(repr=False)
    """The ICV of the first C-MAC: a MAC over the security domain's AID."""

    @classmethod
    def begin(cls, opening: Opening, i: int, derive: DeriveKeys) -> Dialogue["Implicit"]:
        """Read the sequence counter and whose keys these are, derive the session, and open it with a first C-MAC.

        That command is BEGIN R-MAC SESSION at level 11, else one that asks for the counter again: what a card refuses here
        is the host. Raises ProtocolError where the card doesn't say what is read, AuthenticationError where it refuses.
        """
        sequence = yield from data_object(COUNTER, 2)
        kdd = yield from data_object(DIVERSIFICATION, 10)
        keys = derive(kdd, cls._wanted(i, sequence))
        icv = retail_mac(keys["mac"], pad80(opening.sd_aid, DES_BLOCK))
        channel = cls(level=C_MAC, i=i, kdd=kdd, sequence=sequence, first=icv, **keys)
        try:
            yield from channel.begin_r_mac(each=True) if opening.level & R_MAC else channel._prove()
        except CardError as refusal:
            raise AuthenticationError(f"the card refused the host: {refusal}", refused=True) from refusal
        return channel

    def _prove(self) -> Dialogue[None]:
        yield self.wrap(Command("GET DATA", 0x80, 0xCA, 0, COUNTER, ne=256, secret=()))

    def _mac_over(self, command: Command, modified: bytes) -> bytes:
        """Return the C-MAC over the command as it was: without secure messaging in CLA, without the MAC in Lc (E.4.4)."""
        unmodified = bytes((command.cla, *modified[1:4], len(command.data))) + command.data
        mac = retail_mac(self.mac, pad80(unmodified, DES_BLOCK), self._icv(self.first))
        self._answers = self._answers or mac
        return mac


def _base(i: int, base: Base) -> Base:
    """Return the static key that a session key comes from: all from the first one where there is one base key (E.1.4)."""
    return base if i & THREE_KEYS else Base.ENC
