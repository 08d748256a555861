"""The card's side of SCP03 in both modes at every level (GPCS Amendment D)."""

from collections.abc import Callable
from dataclasses import replace
from hmac import compare_digest
from typing import Final

from hardware import crypto
from hardware.sim.apdu import Answer, Apdu, RefusedError

# Bits of i (5.1) and of the security level
S16, PSEUDO_RANDOM, HAS_R_MAC, HAS_R_ENC = 0x01, 0x10, 0x20, 0x40
C_DECRYPTION, R_MAC, R_ENCRYPTION = 0x02, 0x10, 0x20
LEVELS: Final = {0x00: (0x01, 0x03), 0x20: (0x01, 0x03, 0x11, 0x13), 0x60: (0x01, 0x03, 0x11, 0x13, 0x33)}
LAST: Final = 0xFFFFFF


def derive(key: bytes, constant: int, context: bytes, bits: int) -> bytes:
    """Derive *bits* of key material (Amendment D 4.1.5)."""
    label = bytes(11) + bytes((constant, 0)) + bits.to_bytes(2, "big")
    return crypto.kbkdf_cmac(key, label, context, bits)


class Channel:
    """Take secure messaging off the commands of one session and put it on its answers (Amendment D 6.2.4 to 6.2.7)."""

    def __init__(
        self,
        *,
        enc: bytes,
        mac: bytes,
        dek: bytes,
        level: int,
        rmac: bytes = b"",
        size: int = 8,
        chain: bytes = bytes(16),
        pads_empty: bool = False,
    ) -> None:
        self._enc, self._mac, self._rmac, self._dek = enc, mac, rmac, dek
        self._size, self._chain, self._pads_empty = size, chain, pads_empty
        self._counter = 0
        self.level = level

    def unwrap(self, apdu: Apdu, level: int) -> Apdu:
        """Return the plain command; refuses with 6988."""
        body, mac = apdu.data[: -self._size], apdu.data[-self._size :]
        chain = crypto.cmac(self._mac, self._chain + apdu.header(len(apdu.data)) + body)
        if not compare_digest(mac, chain[: self._size]):
            raise RefusedError(0x6988)
        self._chain = chain
        if level & C_DECRYPTION:
            body = self._decipher(body)
        return replace(apdu.plain(body), ne=self._left(apdu.ne, level))

    def _decipher(self, body: bytes) -> bytes:
        self._counter += 1  # a command without data counts too (6.2.6)
        if not body and not self._pads_empty:
            return body
        icv = crypto.aes_ecb_encrypt(self._enc, self._counter.to_bytes(16, "big"))
        try:
            return crypto.unpad80(crypto.aes_cbc_decrypt(self._enc, body, icv))
        except ValueError as wrong:
            raise RefusedError(0x6988) from wrong

    def _left(self, ne: int | None, level: int) -> int | None:
        """Return how much of what the host takes is left for data beside R-MAC and padding."""
        if ne is None or not level & R_MAC:
            return ne
        left = max(ne - self._size, 0)
        return max(left // 16 * 16 - 1, 0) if level & R_ENCRYPTION else left

    def protect(self, answer: Answer) -> Answer:
        """Return *answer* with R-ENCRYPTION and R-MAC as the level says (6.2.5, 6.2.7); errors go out as they are."""
        if not self.level & R_MAC or (answer.sw != 0x9000 and answer.sw >> 8 not in (0x62, 0x63)):
            return answer
        body = answer.data
        if body and self.level & R_ENCRYPTION:
            block = bytearray(self._counter.to_bytes(16, "big"))
            block[0] = 0x80
            icv = crypto.aes_ecb_encrypt(self._enc, bytes(block))
            body = crypto.aes_cbc_encrypt(self._enc, crypto.pad80(body, crypto.AES_BLOCK), icv)
        mac = crypto.cmac(self._rmac, self._chain + body + answer.sw.to_bytes(2, "big"))
        return Answer(data=body + mac[: self._size], sw=answer.sw)

    def decrypt(self, data: bytes) -> bytes:
        """Decrypt sensitive data under the static K-DEK, AES-CBC, zero IV (6.2.8); refuses with 6A80."""
        if not data or len(data) % crypto.AES_BLOCK:
            raise RefusedError(0x6A80)
        return crypto.aes_cbc_decrypt(self._dek, data)


class Handshake:
    """Hold a session between INITIALIZE UPDATE and EXTERNAL AUTHENTICATE (Amendment D 7.1)."""

    def __init__(
        self,
        keys: tuple[bytes, bytes, bytes],
        i: int,
        aid: bytes,
        sequence: int,
        host: bytes,
        entropy: Callable[[int], bytes],
        *,
        pads_empty: bool = False,
    ) -> None:
        enc, mac, self._dek = keys
        self.size, self._pads_empty = (16 if i & S16 else 8), pads_empty
        if len(host) != self.size:
            raise RefusedError(0x6700)
        self.levels = LEVELS[i & (HAS_R_MAC | HAS_R_ENC)]
        moves = bool(i & PSEUDO_RANDOM)
        if moves and sequence >= LAST:
            raise RefusedError(0x6985)
        # The pseudo-random mode spends a counter value at every INITIALIZE UPDATE (6.2.2.1)
        self.counter_now = self.counter_after = sequence + moves
        counter = self.counter_now.to_bytes(3, "big") if moves else b""
        short = 8 * self.size
        challenge = derive(enc, 0x02, counter + aid, short) if moves else entropy(self.size)
        context, bits = host + challenge, 8 * len(enc)
        self._enc = derive(enc, 0x04, context, bits)
        self._mac, self._rmac = (derive(mac, constant, context, bits) for constant in (0x06, 0x07))
        self.host_cryptogram = derive(self._mac, 0x01, context, short)
        cryptogram = derive(self._mac, 0x00, context, short)
        self.answer = bytes((0x03, i)) + challenge + cryptogram + counter

    def channel(self, level: int) -> Channel:
        """Return the channel that EXTERNAL AUTHENTICATE itself is the first command of."""
        return Channel(
            enc=self._enc,
            mac=self._mac,
            rmac=self._rmac,
            dek=self._dek,
            level=level,
            size=self.size,
            pads_empty=self._pads_empty,
        )
