"""BER-TLV, LV and DGI coding (ISO/IEC 7816-4 annex; GPCS 11.1.5 and 11.11)."""

from collections.abc import Iterator


def length(n: int) -> bytes:
    """Return *n* as a BER length of one to three bytes (00..7F, 81xx, 82xxxx); raises ValueError above 65,535."""
    if not 0 <= n <= 0xFFFF:
        raise ValueError(f"no BER length for {n}")
    if n < 0x80:
        return bytes((n,))
    return bytes((0x81, n)) if n < 0x100 else b"\x82" + n.to_bytes(2, "big")


def tlv(tag: int, value: bytes) -> bytes:
    """Return one BER-TLV; *tag* is given as its bytes read as a number (4F, 9F7F, BF0C)."""
    return tag.to_bytes((tag.bit_length() + 7) // 8 or 1, "big") + length(len(value)) + value


def lv(value: bytes) -> bytes:
    """Return *value* behind its BER length."""
    return length(len(value)) + value


def parse(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (tag, value) of each BER-TLV in *data*; raises ValueError where it is cut short."""
    at = 0
    while at < len(data):
        tag, at = _tag(data, at)
        size, at = _length(data, at)
        if at + size > len(data):
            raise ValueError(f"tag {tag:X} states {size} bytes where {len(data) - at} are left")
        yield tag, data[at : at + size]
        at += size


def find(data: bytes, *path: int) -> bytes | None:
    """Return the value at *path* (outer to inner tag), or None; raises ValueError like parse."""
    for step in path:
        found = next((value for tag, value in parse(data) if tag == step), None)
        if found is None:
            return None
        data = found
    return data


def _tag(data: bytes, at: int) -> tuple[int, int]:
    end = at + 1
    if data[at] & 0x1F == 0x1F:
        while end < len(data) and data[end] & 0x80:
            end += 1
        end += 1
    if end > len(data) or end - at > 3:
        raise ValueError("a tag is cut short or longer than three bytes")
    return int.from_bytes(data[at:end], "big"), end


def _length(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise ValueError("a length is missing")
    first, at = data[at], at + 1
    if first < 0x80:
        return first, at
    size = first & 0x7F
    if not 1 <= size <= 2 or at + size > len(data):
        raise ValueError("a length is indefinite, cut short or longer than three bytes")
    return int.from_bytes(data[at : at + size], "big"), at + size


def dgi(tag: int, value: bytes) -> bytes:
    """Return one DGI: two-byte tag, length 00..FE in one byte or FF and two bytes, value (GPCS 11.11, CPS)."""
    size = bytes((len(value),)) if len(value) < 0xFF else b"\xff" + len(value).to_bytes(2, "big")
    return tag.to_bytes(2, "big") + size + value
