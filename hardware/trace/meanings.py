"""Bits and codes in words."""

from collections.abc import Iterable, Mapping
from typing import Final

from hardware.errors import STATUS_WORDS
from hardware.gp.commands import MORE
from hardware.trace.tags import (
    APPLICATION_STATES,
    DGIS,
    FAMILIES,
    KEY_TYPES,
    LAST_SFI,
    LOCKED,
    PRIVILEGES,
    SCP02_OPTIONS,
    SCP03_OPTIONS,
)

OWN: Final = {0x9000: "done", MORE: "done, more data available"}
"""Status words that are no error."""
GLOBALPLATFORM: Final = bytes.fromhex("2A864886FC6B")
"""Object identifier 1.2.840.114283."""


def bits(value: int, named: Iterable[tuple[int, str]], nothing: str = "none") -> str:
    """Return the names of the bits that are set in *value*."""
    return ", ".join(name for bit, name in named if value & bit) or nothing


def status(sw: int) -> str:
    """Return what a status word says (ISO/IEC 7816-4 section 5.6, GPCS chapter 11)."""
    known = OWN.get(sw) or STATUS_WORDS.get(sw)
    low = sw & 0xFF
    if known:
        return known
    match sw >> 8:
        case 0x61:
            return f"done, {low or 256} more bytes to fetch"
        case 0x6C:
            return f"wrong Le, {low:02X} is the right one"
        case 0x63 if low >> 4 == 0xC:
            return f"verification failed, {low & 0x0F} tries left"
        case family:
            return FAMILIES.get(family, "see the card's manual")


def state(code: int, states: Mapping[int, str]) -> str:
    """Return a life cycle state; an application that is locked keeps the state that it had (GPCS 5.3)."""
    if states is APPLICATION_STATES and code & LOCKED:
        return f"LOCKED, before {state(code & ~LOCKED, states)}"
    if code in states:
        return states[code]
    return "the application's own state" if states is APPLICATION_STATES and code & 0x07 == 0x07 else "unknown state"


def privileges(value: bytes) -> str:
    """Return the privileges in one or three bytes (GPCS 6.6.2)."""
    if len(value) not in (1, 3):
        return ""
    return bits(int.from_bytes(value.ljust(3, b"\0"), "big"), PRIVILEGES, "no privilege")


def keys(value: bytes) -> str:
    """Return key identifier, key version number, types and lengths of one key (GPCS 11.3.3.1)."""
    parts = value[2:]
    if len(value) < 4 or len(parts) % 2 or 0xFF in parts[::2]:
        return ""
    components = (
        f"{KEY_TYPES.get(kind, f'type {kind:02X}')} {size} bytes" for kind, size in zip(parts[::2], parts[1::2], strict=True)
    )
    return f"key {value[0]:02X} of key set {value[1]:02X}: {', '.join(components)}"


def identifier(value: bytes) -> str:
    """Return what an object identifier of GlobalPlatform stands for (GPCS H.1)."""
    if not value.startswith(GLOBALPLATFORM) or len(value) == len(GLOBALPLATFORM):
        return ""
    kind, rest = value[len(GLOBALPLATFORM)], value[len(GLOBALPLATFORM) + 1 :]
    match kind, len(rest):
        case 1, 0:
            return "card recognition data"
        case 2, n if n:
            return f"GlobalPlatform {'.'.join(map(str, rest))}"
        case 3, 0:
            return "identified by issuer and card image number"
        case 4, 2:
            return protocol(rest[0], rest[1])
    return ""


def protocol(scp: int, i: int) -> str:
    """Return a secure channel protocol with its options."""
    named = {0x02: SCP02_OPTIONS, 0x03: SCP03_OPTIONS}.get(scp)
    options = f": {bits(i, named)}" if named and i else ""
    return f"SCP{scp:02X} i={i:02X}{options}"


def dgi(number: int) -> str:
    """Return what a data grouping identifier usually holds, or nothing."""
    if 1 <= number >> 8 <= LAST_SFI and number & 0xFF:
        return f"record {number & 0xFF} of SFI {number >> 8}"
    return DGIS.get(number, "")
