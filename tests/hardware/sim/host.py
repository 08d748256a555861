"""A bare host: raw command bytes and its own secure messaging, sharing nothing with the engine's."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from hardware import crypto
from hardware.sim.blank import Blank
from tests.hardware.sim import caps

Transmit = Callable[[bytes], bytes | None]
CHALLENGE = bytes.fromhex("1122334455667788")


VECTORS = Path(__file__).parents[2] / "vectors"


def vectors(name: str) -> list[dict[str, Any]]:
    """Return the published vectors of one file."""
    found: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))["vectors"]
    return found


def apdu(header: str, data: bytes = b"", le: str = "00") -> bytes:
    """Return a short command; *header* is CLA to P2 in hex."""
    lc = bytes((len(data),)) if data else b""
    return bytes.fromhex(header) + lc + data + bytes.fromhex(le)


def lvs(*fields: bytes) -> bytes:
    return b"".join(bytes((len(value),)) + value for value in fields)


def kdf(key: bytes, constant: int, context: bytes, bits: int) -> bytes:
    """One CMAC block, or two, written out (NIST SP 800-108)."""
    blocks = (
        crypto.cmac(key, bytes(11) + bytes((constant, 0)) + bits.to_bytes(2, "big") + bytes((i,)) + context) for i in (1, 2)
    )
    return b"".join(blocks)[: bits // 8]


@dataclass
class Host:
    """Speak to one card; every expectation is the caller's."""

    transmit: Transmit
    blank: Blank
    level: int = 0
    enc: bytes = b""
    mac: bytes = b""
    dek: bytes = b""
    chain: bytes = b""
    counter: int = 0
    first: bool = True
    sent: list[bytes] = field(default_factory=list)

    def raw(self, command: bytes) -> bytes:
        self.sent.append(command)
        answer = self.transmit(command)
        assert answer is not None
        return answer

    def status(self, command: bytes) -> int:
        return int.from_bytes(self.raw(command)[-2:], "big")

    def select(self, aid: bytes = b"") -> bytes:
        return self.raw(apdu("00A40400", aid))

    def begin(self, kvn: int = 0) -> bytes:
        """Send INITIALIZE UPDATE and derive the session from its answer; returns EXTERNAL AUTHENTICATE's cryptogram."""
        answer = self.raw(apdu(f"8050{kvn:02X}00", CHALLENGE))
        assert answer[-2:] == b"\x90\0", answer.hex()
        body = answer[:-2]
        return self._scp02(body) if self.blank.scp == 2 else self._scp03(body)

    def _scp02(self, body: bytes) -> bytes:
        sequence, challenge, cryptogram = body[12:14], body[14:20], body[20:28]

        def key(static: bytes, constant: str) -> bytes:
            return crypto.des3_cbc_encrypt(static, bytes.fromhex(constant) + sequence + bytes(12))

        self.enc, self.mac = key(self.blank.enc, "0182"), key(self.blank.mac, "0101")
        self.dek = key(self.blank.dek, "0181")
        both = sequence + challenge
        assert cryptogram == crypto.des3_cbc_mac(self.enc, CHALLENGE + both + b"\x80" + bytes(7))
        self.chain, self.first = bytes(8), True
        return crypto.des3_cbc_mac(self.enc, both + CHALLENGE + b"\x80" + bytes(7))

    def _scp03(self, body: bytes) -> bytes:
        context = CHALLENGE + body[13:21]
        bits = 8 * len(self.blank.enc)
        self.enc, self.mac = kdf(self.blank.enc, 4, context, bits), kdf(self.blank.mac, 6, context, bits)
        self.dek = self.blank.dek
        assert body[21:29] == kdf(self.mac, 0, context, 64)
        self.chain, self.counter = bytes(16), 0
        return kdf(self.mac, 1, context, 64)

    def open(self, level: int = 3, kvn: int = 0) -> None:
        self.level = 1
        command = apdu(f"8082{level:02X}00", self.begin(kvn), le="")
        assert self.status(self.wrap(command)) == 0x9000
        self.level = level

    def wrap(self, command: bytes) -> bytes:
        """Apply C-MAC and C-DECRYPTION at the host's level."""
        if not self.level & 1:
            return command
        header, lc = bytes((command[0] | 4,)) + command[1:4], command[4] if len(command) > 5 else 0
        data, le = command[5 : 5 + lc], command[5 + lc :] if lc else command[4:]
        return (self._wrap02 if self.blank.scp == 2 else self._wrap03)(header, data) + le

    def _wrap02(self, header: bytes, data: bytes) -> bytes:
        icv = self.chain if self.first else crypto.des_ecb_encrypt(self.mac[:8], self.chain)
        message = crypto.pad80(header + bytes((len(data) + 8,)) + data, 8)
        self.chain, self.first = crypto.retail_mac(self.mac, message, icv), False
        if self.level & 2 and data:
            data = crypto.des3_cbc_encrypt(self.enc, crypto.pad80(data, 8))
        return header + bytes((len(data) + 8,)) + data + self.chain

    def _wrap03(self, header: bytes, data: bytes, *, extended: bool = False) -> bytes:
        if self.level & 2:
            self.counter += 1
            if data:
                iv = crypto.aes_ecb_encrypt(self.enc, self.counter.to_bytes(16, "big"))
                data = crypto.aes_cbc_encrypt(self.enc, crypto.pad80(data, 16), iv)
        size = len(data) + 8
        body = header + (b"\0" + size.to_bytes(2, "big") if extended else bytes((size,))) + data
        self.chain = crypto.cmac(self.mac, self.chain + body)
        return body + self.chain[:8]

    def extended(self, header: str, data: bytes) -> bytes:
        """Wrap for SCP03, with a length of three bytes whatever it is."""
        return self._wrap03(bytes.fromhex("84" + header[2:]), data, extended=True)

    def secured(self, header: str, data: bytes = b"", le: str = "00") -> bytes:
        return self.raw(self.wrap(apdu(header, data, le)))

    def sw(self, header: str, data: bytes = b"", le: str = "00") -> int:
        """Send a command in the session and return its status word."""
        return int.from_bytes(self.secured(header, data, le)[-2:], "big")

    def encrypted(self, value: bytes) -> bytes:
        """Encrypt *value* under the DEK of this session."""
        encrypt = crypto.des3_ecb_encrypt if self.blank.scp == 2 else crypto.aes_cbc_encrypt
        return encrypt(self.dek, value)

    def install_for_load(self, digest: bytes = b"", params: bytes = b"", package: bytes = caps.PACKAGE) -> int:
        return self.sw("80E60200", lvs(package, b"", digest, params, b""))

    def load(self, data: bytes, size: int = 200) -> int:
        """Send LOAD blocks until one is refused or the last is through; returns its status word."""
        for block in count():
            part, data = data[:size], data[size:]
            sw = self.sw(f"80E8{0 if data else 0x80:02X}{block:02X}", part)
            if sw != 0x9000 or not data:
                return sw
        raise AssertionError

    def install(self, aid: bytes = caps.INSTANCE, p1: int = 0x0C, params: str = "C900", privileges: str = "00") -> int:
        fields = (caps.PACKAGE, caps.MODULE, aid, bytes.fromhex(privileges), bytes.fromhex(params), b"")
        return self.sw(f"80E6{p1:02X}00", lvs(*fields))

    def prepare(self) -> None:
        """Load the package and install one selectable application."""
        assert self.install_for_load() == 0x9000
        assert self.load(caps.load_file(caps.CAP)) == 0x9000
        assert self.install() == 0x9000

    def target(self, aid: bytes = caps.INSTANCE) -> int:
        return self.sw("80E62000", lvs(b"", b"", aid, b"", b"", b""))

    def store(self, p1: int, block: int, data: bytes) -> int:
        return self.sw(f"80E2{p1:02X}{block:02X}", data, "")
