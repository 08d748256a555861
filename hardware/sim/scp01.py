"""The card's side of SCP01, i = 05 and 15 (GPCS 2.1.1 annex D)."""

from collections.abc import Callable
from hmac import compare_digest
from typing import Final

from hardware import crypto
from hardware.sim.apdu import Answer, Apdu, RefusedError

MODE_ICV_ENCRYPTED: Final = 0x10
MAC_SIZE: Final = 8


def session_key(key: bytes, host: bytes, card: bytes) -> bytes:
    """Derive one session key: the right half of the card challenge, the left of the host's, and so crosswise (D.3.1)."""
    return crypto.des3_ecb_encrypt(key, b"".join((card[4:8], host[0:4], card[0:4], host[4:8])))


class Channel:
    """Take secure messaging off the commands of one session (D.3.3, D.3.4)."""

    def __init__(self, *, enc: bytes, mac: bytes, dek: bytes, level: int, i: int) -> None:
        self._enc, self._mac, self._dek = enc, mac, dek
        self._icv = bytes(8)
        self._encrypts_icv = bool(i & MODE_ICV_ENCRYPTED)
        self.level = level

    def unwrap(self, apdu: Apdu, level: int) -> Apdu:
        """Return the plain command; refuses with 6988."""
        if not level & 0x01:
            return apdu
        body, mac = apdu.data[:-MAC_SIZE], apdu.data[-MAC_SIZE:]
        if level & 0x02 and body:
            body = self._decipher(body)
        message = apdu.header(len(body) + MAC_SIZE) + body
        expected = crypto.des3_cbc_mac(self._mac, crypto.pad80(message, 8), self._icv)
        if not compare_digest(mac, expected):
            raise RefusedError(0x6988)
        self._icv = crypto.des3_ecb_encrypt(self._mac, expected) if self._encrypts_icv else expected
        return apdu.plain(body)

    def _decipher(self, body: bytes) -> bytes:
        """Take off the leading length, and padding where there had to be any (D.3.4)."""
        if len(body) % 8:
            raise RefusedError(0x6988)
        clear = crypto.des3_cbc_decrypt(self._enc, body)
        size, rest = clear[0], clear[1:]
        if not size or rest[size:] != (b"\x80" + bytes(7))[: len(rest) - size]:
            raise RefusedError(0x6988)
        return rest[:size]

    def protect(self, answer: Answer) -> Answer:
        """Return *answer* as it is: SCP01 has no R-MAC."""
        return answer

    def decrypt(self, data: bytes) -> bytes:
        """Decrypt sensitive data under the static K-DEK, 3DES-ECB (D.3.5); refuses with 6A80."""
        if not data or len(data) % 8:
            raise RefusedError(0x6A80)
        return crypto.des3_ecb_decrypt(self._dek, data)


class Handshake:
    """Hold a session between INITIALIZE UPDATE and EXTERNAL AUTHENTICATE (D.4.1, D.4.2)."""

    levels: Final = (0x00, 0x01, 0x03)
    size: Final = 8

    def __init__(
        self,
        keys: tuple[bytes, bytes, bytes],
        i: int,
        aid: bytes,  # noqa: ARG002 - other protocols compute their challenge from it
        sequence: int,
        host: bytes,
        entropy: Callable[[int], bytes],
    ) -> None:
        if len(host) != 8:
            raise RefusedError(0x6700)
        enc, mac, self._dek = keys
        self._i, card = i, entropy(8)
        self._enc, self._mac = session_key(enc, host, card), session_key(mac, host, card)
        self.host_cryptogram = self._cryptogram(card + host)
        self.answer = b"\x01" + card + self._cryptogram(host + card)
        self.counter_now = self.counter_after = sequence  # there is no counter

    def _cryptogram(self, message: bytes) -> bytes:
        return crypto.des3_cbc_mac(self._enc, crypto.pad80(message, 8))

    def channel(self, level: int) -> Channel:
        """Return the channel that EXTERNAL AUTHENTICATE itself is the first command of."""
        return Channel(enc=self._enc, mac=self._mac, dek=self._dek, level=level, i=self._i)
