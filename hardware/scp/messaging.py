"""AES secure messaging, as SCP03 and SCP11 share it (GPC Amendment D 6.2)."""

from dataclasses import dataclass, field, replace
from functools import partial
from hmac import compare_digest
from typing import Final

from hardware.crypto import AES_BLOCK, aes_cbc_decrypt, aes_cbc_encrypt, aes_ecb_encrypt, cmac, pad80, unpad80
from hardware.errors import ProtocolError
from hardware.iso7816 import Command, Response
from hardware.scp.initiation import (
    C_DECRYPTION,
    R_ENCRYPTION,
    R_MAC,
    carries_r_mac,
    header,
    longest,
    refuse_after_wrong,
    wrong_r_mac,
)

OF_ANSWERS: Final = 0x80
"""First byte of the counter block that an answer's IV comes from (6.2.7)."""
S16: Final = 0x01
"""Bit of i: MACs, cryptograms and challenges of 16 bytes, not 8 (5.1)."""


def mac_size(i: int) -> int:
    """Return how many bytes option *i* gives MACs, cryptograms and challenges."""
    return 16 if i & S16 else 8


@dataclass(slots=True, kw_only=True, eq=False)
class AesSession:
    """The two ends of an opened channel at level 01, 03, 11, 13 or 33.

    enc, mac, rmac: S-ENC, S-MAC and S-RMAC; rmac may be empty at the levels without R-MAC. chaining: the 16 bytes that the
    first C-MAC goes on from. size: bytes of a MAC on the line, 8 (S8 mode) or 16 (S16). extended: the card takes commands of
    extended length; pad_empty: it expects a padding block where a command has no data.
    """

    level: int
    enc: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    rmac: bytes = field(default=b"", repr=False)
    chaining: bytes = field(default=bytes(AES_BLOCK), repr=False)
    size: int = 8
    extended: bool = False
    pad_empty: bool = False
    _counter: int = field(default=0, init=False)
    _ended: bool = field(default=False, init=False)
    """Whether nothing more may be sent: from when an answer comes until it has proved right."""

    @classmethod
    def room(cls, i: int | None, *, extended: bool) -> int:
        """Return the longest data that one command holds at every level, short or *extended*, with a MAC of 16 bytes or 8.

        Where *i* isn't known there is room for 16.
        """
        return longest(AES_BLOCK, mac_size(S16 if i is None else i), extended=extended)

    def wrap(self, command: Command) -> Command:
        """Protect one command (6.2.4, 6.2.6); raises PlanError where it doesn't fit one that the card takes.

        The C-MAC is over the header as it is sent, so over three bytes of an extended Lc. GlobalPlatformPro's SCP03Wrapper
        and NXP's Plug & Trust library do so, and both talk to real chips.
        Data are encrypted under a counter that moves with every command, also with one that has none.
        With R-MAC the wrapped command has what it takes to unwrap its own answer. An absent Le stays absent: pysim and
        GlobalPlatform's library send no other, and the cards answer all the same.
        """
        refuse_after_wrong(command, ended=self._ended)
        data, counter = command.data, (self._counter + 1).to_bytes(AES_BLOCK, "big")
        if self.level & C_DECRYPTION and (data or self.pad_empty):
            data = aes_cbc_encrypt(self.enc, pad80(data, AES_BLOCK), aes_ecb_encrypt(self.enc, counter))
        wrapped = self.authenticate(command, data)
        self._counter += 1
        if not self.level & R_MAC:
            return wrapped
        ne = command.ne and (256 if command.ne <= 256 else 65536)
        return replace(wrapped, ne=ne, unwrap=partial(self._unwrap, command.name, self.chaining, counter))

    def authenticate(self, command: Command, data: bytes) -> Command:
        """Give *command* the *data* and their C-MAC and nothing else, as EXTERNAL AUTHENTICATE has it (7.1.2)."""
        secure = header(command, len(data) + self.size, extended=self.extended)
        self.chaining = cmac(self.mac, self.chaining + secure + data)
        return replace(command, cla=secure[0], data=data + self.chaining[: self.size])

    def _unwrap(self, name: str, chaining: bytes, counter: bytes, response: Response) -> Response:
        """Verify and take off R-MAC and R-ENCRYPTION (6.2.5, 6.2.7); an error carries neither, and so no data.

        Raises AuthenticationError for a wrong R-MAC, ProtocolError where what it covers isn't well-formed.
        """
        self._ended = True
        if not carries_r_mac(name, response):
            self._ended = False
            return response
        body, mac = response.data[: -self.size], response.data[-self.size :]
        whole = cmac(self.rmac, chaining + body + response.sw.to_bytes(2, "big"))
        if not compare_digest(mac, whole[: self.size]):
            raise wrong_r_mac(name)
        if body and self.level & R_ENCRYPTION:
            body = self._decipher(name, body, aes_ecb_encrypt(self.enc, bytes((OF_ANSWERS,)) + counter[1:]))
        self._ended = False
        return Response(body, response.sw)

    def _decipher(self, name: str, body: bytes, iv: bytes) -> bytes:
        try:
            return unpad80(aes_cbc_decrypt(self.enc, body, iv))
        except ValueError as wrong:
            raise ProtocolError(f"{name}: the answer isn't encrypted as R-ENCRYPTION says") from wrong
