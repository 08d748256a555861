"""The card's side of SCP02: every option, explicit and implicit initiation, R-MAC sessions (GPCS annex E)."""

from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto
from hmac import compare_digest
from typing import Final

from hardware import crypto
from hardware.sim.apdu import Answer, Apdu, RefusedError

# Table E-1, from b1 to b7
HAS_THREE_KEYS, MACS_UNMODIFIED, IS_EXPLICIT, ICV_OVER_AID, ICV_ENCRYPTED, HAS_R_MAC, WELL_KNOWN = (
    0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40,
)  # fmt: skip
LAST: Final = 0xFFFF
MAC_SIZE: Final = 8


class Answers(Enum):
    """What becomes of the R-MACs: none are made, they run on unseen, or each answer carries its own."""

    PLAIN = auto()
    COUNTED = auto()
    CARRYING = auto()


def session_key(key: bytes, constant: int, sequence: int) -> bytes:
    """Derive one session key from a static one (GPCS E.4.1)."""
    return crypto.des3_cbc_encrypt(key, constant.to_bytes(2, "big") + sequence.to_bytes(2, "big") + bytes(12))


class Channel:
    """Take secure messaging off the commands of one session and put R-MACs on its answers (GPCS E.4.4 to E.4.7)."""

    def __init__(
        self,
        *,
        enc: bytes,
        mac: bytes,
        dek: bytes,
        level: int,
        i: int,
        rmac: bytes = b"",
        icv: bytes = bytes(8),
    ) -> None:
        self._enc, self._mac, self._rmac, self._dek = enc, mac, rmac, dek
        self._i, self._icv = i, icv
        self._ricv: bytes | None = None
        self._command = b""
        self._now = self._next = Answers.CARRYING if level & 0x10 else Answers.PLAIN
        self._begun = False
        self.level = level

    def unwrap(self, apdu: Apdu, level: int) -> Apdu:
        """Return the plain command; refuses with 6988."""
        plain = self._verified(apdu, level) if level & 0x01 else apdu
        self._command = bytes((plain.cla & 0xF8, plain.ins, plain.p1, plain.p2, len(plain.data))) + plain.data
        if self._now is Answers.CARRYING and plain.ne is not None:
            plain = replace(plain, ne=max(plain.ne - MAC_SIZE, 0))
        return plain

    def _verified(self, apdu: Apdu, level: int) -> Apdu:
        body, mac = apdu.data[:-MAC_SIZE], apdu.data[-MAC_SIZE:]
        if level & 0x02 and body:
            body = self._decipher(body)
        plain = apdu.plain(body)
        header = plain.header(len(body)) if self._i & MACS_UNMODIFIED else apdu.header(len(body) + MAC_SIZE)
        expected = crypto.retail_mac(self._mac, crypto.pad80(header + body, crypto.DES_BLOCK), self._icv)
        if not compare_digest(mac, expected):
            raise RefusedError(0x6988)
        # E.3.4: the ICV of a session's first C-MAC is never encrypted
        self._icv = crypto.des_ecb_encrypt(self._mac[:8], expected) if self._i & ICV_ENCRYPTED else expected
        # E.4.5: the R-MAC goes on from the C-MAC that opened the session
        self._ricv = self._ricv or expected
        return plain

    def _decipher(self, body: bytes) -> bytes:
        try:
            return crypto.unpad80(crypto.des3_cbc_decrypt(self._enc, body))
        except ValueError as wrong:
            raise RefusedError(0x6988) from wrong

    def begin_r_mac(self, apdu: Apdu) -> Answer:
        """Begin an R-MAC session with the next command (E.5.3); refuses with 6985, 6A86, 6A80."""
        if not self._i & HAS_R_MAC or self._now is not Answers.PLAIN:
            raise RefusedError(0x6985)
        if apdu.p1 not in (0x00, 0x10) or apdu.p2 != 0x01:
            raise RefusedError(0x6A86)
        if apdu.data and apdu.data[0] != len(apdu.data) - 1:
            raise RefusedError(0x6A80)
        self._begun, self._next = True, Answers.CARRYING if apdu.p1 else Answers.COUNTED
        return Answer()

    def end_r_mac(self, apdu: Apdu) -> Answer:
        """End the R-MAC session that was begun; this answer carries its R-MAC (E.5.4); refuses with 6985, 6A86, 6A80."""
        if not self._begun:
            raise RefusedError(0x6985)
        if apdu.p1 or apdu.p2 != 0x03:
            raise RefusedError(0x6A86)
        if apdu.data:
            raise RefusedError(0x6A80)
        self._begun, self._now, self._next = False, Answers.CARRYING, Answers.PLAIN
        return Answer()

    def protect(self, answer: Answer) -> Answer:
        """Return *answer* with its R-MAC, where it has one; an error neither has nor counts one."""
        now, self._now = self._now, self._next
        if now is Answers.PLAIN or (answer.sw != 0x9000 and answer.sw >> 8 not in (0x62, 0x63)):
            return answer
        size = bytes((len(answer.data) % 256,))
        message = self._command + size + answer.data + answer.sw.to_bytes(2, "big")
        self._ricv = crypto.retail_mac(self._rmac, crypto.pad80(message, crypto.DES_BLOCK), self._ricv or bytes(8))
        return Answer(data=answer.data + self._ricv, sw=answer.sw) if now is Answers.CARRYING else answer

    def decrypt(self, data: bytes) -> bytes:
        """Decrypt sensitive data under the session DEK: ECB, or CBC after implicit initiation (E.4.8); refuses with 6A80."""
        if not data or len(data) % crypto.DES_BLOCK:
            raise RefusedError(0x6A80)
        decrypt = crypto.des3_ecb_decrypt if self._i & IS_EXPLICIT else crypto.des3_cbc_decrypt
        return decrypt(self._dek, data)


class Keys:
    """The session keys that one value of the sequence counter gives."""

    def __init__(self, keys: tuple[bytes, bytes, bytes], i: int, sequence: int) -> None:
        if sequence >= LAST:
            raise RefusedError(0x6985)
        enc, mac, dek = keys if i & HAS_THREE_KEYS else (keys[0],) * 3
        self.enc, self.dek = session_key(enc, 0x0182, sequence), session_key(dek, 0x0181, sequence)
        self.mac, self.rmac = session_key(mac, 0x0101, sequence), session_key(mac, 0x0102, sequence)

    def over(self, aid: bytes) -> bytes:
        """Return the MAC over *aid* that serves as a first ICV, and as a challenge."""
        return crypto.retail_mac(self.mac, crypto.pad80(aid, crypto.DES_BLOCK))

    def channel(self, level: int, i: int, icv: bytes) -> Channel:
        """Return a channel whose first C-MAC begins at *icv*."""
        return Channel(enc=self.enc, mac=self.mac, rmac=self.rmac, dek=self.dek, level=level, i=i, icv=icv)


def implicit(keys: tuple[bytes, bytes, bytes], i: int, aid: bytes, sequence: int) -> Channel:
    """Return the channel that a first command with a C-MAC opens, if it verifies (E.1.2.2)."""
    session = Keys(keys, i, sequence)
    return session.channel(0x01, i, session.over(aid) if i & ICV_OVER_AID else bytes(8))


class Handshake:
    """Hold a session between INITIALIZE UPDATE and EXTERNAL AUTHENTICATE (GPCS E.5.1, E.5.2)."""

    size: Final = 8

    def __init__(
        self,
        keys: tuple[bytes, bytes, bytes],
        i: int,
        aid: bytes,
        sequence: int,
        host: bytes,
        entropy: Callable[[int], bytes],
    ) -> None:
        if len(host) != 8:
            raise RefusedError(0x6700)
        self._i, self._keys = i, Keys(keys, i, sequence)
        self.levels = (0x00, 0x01, 0x03) + ((0x10, 0x11, 0x13) if i & HAS_R_MAC else ())
        counter = sequence.to_bytes(2, "big")
        challenge = self._keys.over(aid)[:6] if i & WELL_KNOWN else entropy(6)
        card = self._cryptogram(host + counter + challenge)
        self.host_cryptogram = self._cryptogram(counter + challenge + host)
        self.answer = b"\x02" + counter + challenge + card
        # The counter counts sessions: it moves when EXTERNAL AUTHENTICATE succeeds (GPCS E.1.2)
        self.counter_now, self.counter_after = sequence, sequence + 1

    def _cryptogram(self, message: bytes) -> bytes:
        return crypto.des3_cbc_mac(self._keys.enc, crypto.pad80(message, crypto.DES_BLOCK))

    def channel(self, level: int) -> Channel:
        """Return the channel that EXTERNAL AUTHENTICATE itself is the first command of."""
        return self._keys.channel(level, self._i, bytes(8))
