"""STORE DATA as a stream: block numbers, structures that span commands, encryption (GPCS 11.11, CPS)."""

from typing import Final, Protocol

from hardware.sim.apdu import Apdu, RefusedError
from hardware.sim.reader import Reader
from hardware.sim.session import Channel

LAST: Final = 0x80
ENCRYPTION, CLEAR, BY_APPLICATION, ENCRYPTED = 0x60, 0x00, 0x20, 0x60
STRUCTURE, RAW, DGI, TLV = 0x18, 0x00, 0x08, 0x10
RESERVED: Final = 0x06


class Target(Protocol):
    """Whatever takes personalization data."""

    def check_open(self) -> None:
        """Refuse with 6985 where no more data is taken."""

    def is_encrypted(self, dgi: int) -> bool:
        """Tell whether the application expects *dgi* encrypted."""

    def take_dgi(self, dgi: int, value: bytes) -> None:
        """Keep one whole DGI, in clear."""

    def take_tag(self, tag: int, value: bytes) -> None:
        """Keep one whole data object, in clear."""

    def take_raw(self, data: bytes) -> None:
        """Keep data without structure."""

    def complete(self) -> None:
        """Close personalization; refuses with 6A80 where the data doesn't fit together."""


class Stream:
    """Take the STORE DATA commands of one personalization; one rejected command starts the count again."""

    def __init__(self) -> None:
        self._block = 0
        self._mode = 0
        self._partial = b""

    def store(self, apdu: Apdu, target: Target, channel: Channel) -> bool:
        """Take one command; returns True after the last one."""
        block, partial = self._block, self._partial
        self._block, self._partial = 0, b""
        mode, last = apdu.p1 & (ENCRYPTION | STRUCTURE), bool(apdu.p1 & LAST)
        if apdu.p1 & RESERVED or mode & ENCRYPTION == 0x40 or mode & STRUCTURE == 0x18 or apdu.p2 != block:
            raise RefusedError(0x6A86)
        target.check_open()
        if partial and mode != self._mode:
            raise RefusedError(0x6A80)
        partial = _take(partial + apdu.data, mode, target, channel)
        if last:
            if partial:
                raise RefusedError(0x6A86)
            target.complete()
            return True
        self._block, self._mode, self._partial = (block + 1) & 0xFF, mode, partial
        return False


def _take(data: bytes, mode: int, target: Target, channel: Channel) -> bytes:
    """Hand every whole structure in *data* to *target*; returns what the next command must complete."""
    encryption, structure = mode & ENCRYPTION, mode & STRUCTURE
    if structure == RAW:
        target.take_raw(channel.decrypt(data) if encryption == ENCRYPTED else data)
        return b""
    reader = Reader(data)
    while reader.left:
        start = len(data) - reader.left
        tag = reader.number(2) if structure == DGI else reader.tag()
        size = _dgi_length(reader) if structure == DGI else reader.length()
        if size > reader.left:
            return data[start:]
        value = reader.take(size)
        expected = structure == DGI and target.is_encrypted(tag)
        if encryption == ENCRYPTED or (encryption == BY_APPLICATION and expected):
            value = channel.decrypt(value)
        if structure == DGI:
            target.take_dgi(tag, value)
        else:
            target.take_tag(tag, value)
    return b""


def _dgi_length(reader: Reader) -> int:
    first = reader.number(1)
    return reader.number(2) if first == 0xFF else first
