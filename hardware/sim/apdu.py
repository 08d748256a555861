"""Command APDUs as they reach the chip, and what it answers (ISO/IEC 7816-4 5.1)."""

from dataclasses import dataclass
from typing import Final

SECURED: Final = 0x04


class RefusedError(Exception):
    """End a command with an error status word; what the command wrote so far is undone."""

    def __init__(self, sw: int) -> None:
        super().__init__(f"{sw:04X}")
        self.sw = sw


@dataclass(frozen=True, slots=True, kw_only=True)
class Apdu:
    """One parsed command; *ne* is None where the command has no Le field."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    ne: int | None = None
    extended: bool = False

    @property
    def secured(self) -> bool:
        """Tell whether CLA announces GlobalPlatform secure messaging (GPCS 11.1.4)."""
        return bool(self.cla & SECURED)

    def header(self, lc: int) -> bytes:
        """Return CLA to P2 and *lc*, coded in as many bytes as the command's own Lc."""
        size = b"\0" + lc.to_bytes(2, "big") if self.extended else bytes((lc & 0xFF,))
        return bytes((self.cla, self.ins, self.p1, self.p2)) + size

    def plain(self, data: bytes) -> "Apdu":
        """Return the command without its secure messaging, carrying *data*."""
        return Apdu(
            cla=self.cla & ~SECURED, ins=self.ins, p1=self.p1, p2=self.p2, data=data, ne=self.ne, extended=self.extended
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Response data and status word of a command that was executed."""

    data: bytes = b""
    sw: int = 0x9000


def parse(raw: bytes, *, extended: bool) -> Apdu:
    """Parse *raw* in any of the cases 1 to 4, short or (where *extended* allows) extended; refuses with 6700."""
    if len(raw) < 4:
        raise RefusedError(0x6700)
    body = raw[4:]
    long = len(body) >= 3 and body[0] == 0
    if long and not extended:
        raise RefusedError(0x6700)
    data, le = _extended(body) if long else _short(body)
    full = 0x10000 if long else 0x100
    ne = None if not le else int.from_bytes(le, "big") or full
    return Apdu(cla=raw[0], ins=raw[1], p1=raw[2], p2=raw[3], data=data, ne=ne, extended=long)


def _short(body: bytes) -> tuple[bytes, bytes]:
    if len(body) < 2:
        return b"", body
    lc = body[0]
    if lc == 0 or len(body) - 1 - lc not in (0, 1):
        raise RefusedError(0x6700)
    return body[1 : 1 + lc], body[1 + lc :]


def _extended(body: bytes) -> tuple[bytes, bytes]:
    if len(body) == 3:
        return b"", body[1:]
    lc = int.from_bytes(body[1:3], "big")
    if lc == 0 or len(body) - 3 - lc not in (0, 2):
        raise RefusedError(0x6700)
    return body[3 : 3 + lc], body[3 + lc :]
