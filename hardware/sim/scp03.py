"""The card's side of SCP03 in S8 mode, commands protected, responses not (GPCS Amendment D)."""

from collections.abc import Callable
from hmac import compare_digest
from typing import Final

from hardware import crypto
from hardware.sim.apdu import Apdu, RefusedError

PSEUDO_RANDOM: Final = 0x10
LAST: Final = 0xFFFFFF
MAC_SIZE: Final = 8


def derive(key: bytes, constant: int, context: bytes, bits: int) -> bytes:
    """Derive *bits* of key material (Amendment D 4.1.5)."""
    label = bytes(11) + bytes((constant, 0)) + bits.to_bytes(2, "big")
    return crypto.kbkdf_cmac(key, label, context, bits)


class Channel:
    """Take secure messaging off the commands of one session (Amendment D 6.2.4 to 6.2.6)."""

    def __init__(self, *, enc: bytes, mac: bytes, dek: bytes, level: int) -> None:
        self._enc, self._mac, self._dek = enc, mac, dek
        self._chain = bytes(16)
        self._counter = 0
        self.level = level

    def unwrap(self, apdu: Apdu, level: int) -> Apdu:
        """Return the plain command; refuses with 6988."""
        body, mac = apdu.data[:-MAC_SIZE], apdu.data[-MAC_SIZE:]
        chain = crypto.cmac(self._mac, self._chain + apdu.header(len(apdu.data)) + body)
        if not compare_digest(mac, chain[:MAC_SIZE]):
            raise RefusedError(0x6988)
        self._chain = chain
        return apdu.plain(self._decipher(body) if level & 0x02 else body)

    def _decipher(self, body: bytes) -> bytes:
        self._counter += 1  # a command without data counts too (6.2.6)
        if not body:
            return body
        icv = crypto.aes_ecb_encrypt(self._enc, self._counter.to_bytes(16, "big"))
        try:
            return crypto.unpad80(crypto.aes_cbc_decrypt(self._enc, body, icv))
        except ValueError as wrong:
            raise RefusedError(0x6988) from wrong

    def decrypt(self, data: bytes) -> bytes:
        """Decrypt sensitive data under the static K-DEK, AES-CBC, zero IV (6.2.8); refuses with 6A80."""
        if not data or len(data) % crypto.AES_BLOCK:
            raise RefusedError(0x6A80)
        return crypto.aes_cbc_decrypt(self._dek, data)


class Handshake:
    """Hold a session between INITIALIZE UPDATE and EXTERNAL AUTHENTICATE (Amendment D 7.1)."""

    # No R-MAC on this chip, whatever i announces
    LEVELS: Final = (0x01, 0x03)

    def __init__(
        self,
        keys: tuple[bytes, bytes, bytes],
        i: int,
        aid: bytes,
        sequence: int,
        host: bytes,
        entropy: Callable[[int], bytes],
    ) -> None:
        enc, mac, self._dek = keys
        moves = bool(i & PSEUDO_RANDOM)
        if moves and sequence >= LAST:
            raise RefusedError(0x6985)
        # The pseudo-random mode spends a counter value at every INITIALIZE UPDATE (6.2.2.1)
        self.counter_now = self.counter_after = sequence + moves
        counter = self.counter_now.to_bytes(3, "big") if moves else b""
        challenge = derive(enc, 0x02, counter + aid, 64) if moves else entropy(8)
        context, bits = host + challenge, 8 * len(enc)
        self._enc = derive(enc, 0x04, context, bits)
        self._mac = derive(mac, 0x06, context, bits)
        self.host_cryptogram = derive(self._mac, 0x01, context, 64)
        card = derive(self._mac, 0x00, context, 64)
        self.answer = bytes((0x03, i)) + challenge + card + counter

    def channel(self, level: int) -> Channel:
        """Return the channel that EXTERNAL AUTHENTICATE itself is the first command of."""
        return Channel(enc=self._enc, mac=self._mac, dek=self._dek, level=level)
