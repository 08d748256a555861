"""The card's side of SCP02 with three keys, explicit initiation and an encrypted ICV: i = 15 and 55 (GPCS annex E)."""

from collections.abc import Callable
from hmac import compare_digest
from typing import Final

from hardware import crypto
from hardware.sim.apdu import Answer, Apdu, RefusedError

WELL_KNOWN: Final = 0x40
LAST: Final = 0xFFFF
MAC_SIZE: Final = 8


def session_key(key: bytes, constant: int, sequence: int) -> bytes:
    """Derive one session key from a static one (GPCS E.4.1)."""
    return crypto.des3_cbc_encrypt(key, constant.to_bytes(2, "big") + sequence.to_bytes(2, "big") + bytes(12))


class Channel:
    """Take secure messaging off the commands of one session (GPCS E.4.4 to E.4.7)."""

    def __init__(self, *, enc: bytes, mac: bytes, dek: bytes, level: int) -> None:
        self._enc, self._mac, self._dek = enc, mac, dek
        self._last: bytes | None = None
        self.level = level

    def unwrap(self, apdu: Apdu, level: int) -> Apdu:
        """Return the plain command; refuses with 6988."""
        body, mac = apdu.data[:-MAC_SIZE], apdu.data[-MAC_SIZE:]
        if level & 0x02 and body:
            body = self._decipher(body)
        expected = self._next(apdu.header(len(body) + MAC_SIZE) + body)
        if not compare_digest(mac, expected):
            raise RefusedError(0x6988)
        self._last = expected
        return apdu.plain(body)

    def _next(self, message: bytes) -> bytes:
        # E.3.4: the ICV of a session's first C-MAC is zero and not encrypted, each later one is
        icv = bytes(8) if self._last is None else crypto.des_ecb_encrypt(self._mac[:8], self._last)
        return crypto.retail_mac(self._mac, crypto.pad80(message, crypto.DES_BLOCK), icv)

    def protect(self, answer: Answer) -> Answer:
        """Return *answer* as it is: this card has no R-MAC."""
        return answer

    def _decipher(self, body: bytes) -> bytes:
        try:
            return crypto.unpad80(crypto.des3_cbc_decrypt(self._enc, body))
        except ValueError as wrong:
            raise RefusedError(0x6988) from wrong

    def decrypt(self, data: bytes) -> bytes:
        """Decrypt sensitive data under the session DEK, 3DES-ECB (GPCS E.4.8); refuses with 6A80."""
        if not data or len(data) % crypto.DES_BLOCK:
            raise RefusedError(0x6A80)
        return crypto.des3_ecb_decrypt(self._dek, data)


class Handshake:
    """Hold a session between INITIALIZE UPDATE and EXTERNAL AUTHENTICATE (GPCS E.5.1, E.5.2)."""

    levels: Final = (0x00, 0x01, 0x03)
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
        if sequence >= LAST:
            raise RefusedError(0x6985)
        enc, mac, dek = keys
        self._enc = session_key(enc, 0x0182, sequence)
        self._mac = session_key(mac, 0x0101, sequence)
        self._dek = session_key(dek, 0x0181, sequence)
        counter = sequence.to_bytes(2, "big")
        challenge = self._pseudo_random(aid) if i & WELL_KNOWN else entropy(6)
        card = self._cryptogram(host + counter + challenge)
        self.host_cryptogram = self._cryptogram(counter + challenge + host)
        self.answer = b"\x02" + counter + challenge + card
        # The counter counts sessions: it moves when EXTERNAL AUTHENTICATE succeeds (GPCS E.1.2)
        self.counter_now, self.counter_after = sequence, sequence + 1

    def _pseudo_random(self, aid: bytes) -> bytes:
        return crypto.retail_mac(self._mac, crypto.pad80(aid, crypto.DES_BLOCK))[:6]

    def _cryptogram(self, message: bytes) -> bytes:
        return crypto.des3_cbc_mac(self._enc, crypto.pad80(message, crypto.DES_BLOCK))

    def channel(self, level: int) -> Channel:
        """Return the channel that EXTERNAL AUTHENTICATE itself is the first command of."""
        return Channel(enc=self._enc, mac=self._mac, dek=self._dek, level=level)
