"""Reading structures that must be consumed to the last byte; whatever doesn't fit refuses with 6A80."""

from hardware.sim.apdu import RefusedError


class Reader:
    """Walk through *data*."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Return how many bytes are left."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """Return the next *size* bytes."""
        if size > self.left:
            raise RefusedError(0x6A80)
        self._at += size
        return self._data[self._at - size : self._at]

    def peek(self) -> int:
        """Return the next byte, which stays the next."""
        byte = self.number(1)
        self._at -= 1
        return byte

    def number(self, size: int) -> int:
        """Return the next *size* bytes as a number."""
        return int.from_bytes(self.take(size), "big")

    def tag(self) -> int:
        """Return the next BER tag of one to three bytes."""
        tag = self.number(1)
        if tag & 0x1F == 0x1F:
            for _ in range(2):
                tag = tag << 8 | self.number(1)
                if not tag & 0x80:
                    return tag
            raise RefusedError(0x6A80)
        return tag

    def length(self) -> int:
        """Return the next BER length of one to four bytes."""
        first = self.number(1)
        if first < 0x80:
            return first
        if first not in (0x81, 0x82, 0x83):
            raise RefusedError(0x6A80)
        return self.number(first & 0x7F)

    def lv(self) -> bytes:
        """Return the next length-value field."""
        return self.take(self.length())

    def tlv(self) -> tuple[int, bytes]:
        """Return the next tag and value."""
        tag = self.tag()
        return tag, self.lv()

    def rest(self) -> bytes:
        """Return everything that is left."""
        return self.take(self.left)

    def end(self) -> None:
        """Refuse if anything is left."""
        if self.left:
            raise RefusedError(0x6A80)
