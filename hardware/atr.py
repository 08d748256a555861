"""An answer to reset in words (ISO/IEC 7816-3 section 8.2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

CONVENTIONS: Final = {0x3B: "direct", 0x3F: "inverse"}
F: Final = {
    0: 372, 1: 372, 2: 558, 3: 744, 4: 1116, 5: 1488, 6: 1860,
    9: 512, 10: 768, 11: 1024, 12: 1536, 13: 2048,
}  # fmt: skip
D: Final = {1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 6: 32, 7: 64, 8: 12, 9: 20}
"""F and D by the halves of TA1 (tables 7 and 8)."""
CLOCK: Final = 4_000_000
"""Hz that readers usually give a card; PC/SC doesn't tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Atr:
    """What an ATR says: convention, the protocols that it offers, TA1's F and D, its historical bytes."""

    convention: str
    protocols: tuple[int, ...]
    f: int
    d: int
    historical: bytes

    @property
    def rate(self) -> int:
        """Bits a second that the card offers, at the usual clock."""
        return CLOCK * self.d // self.f

    def __str__(self) -> str:
        protocols = " and ".join(f"T={each}" for each in self.protocols)
        text = self.historical.decode("ascii", "replace") if self.historical else "none"
        shown = text if text.isascii() and text.isprintable() else self.historical.hex().upper()
        return f"{self.convention}, {protocols}, up to {self.rate // 1000} kbit/s, historical bytes {shown}"


def parse(atr: bytes) -> Atr:
    """Take *atr* apart; raises ValueError for one that breaks off or has a wrong check byte."""
    rest = iter(atr)
    try:
        convention, first = CONVENTIONS.get(next(rest)), next(rest)
        interface, protocols = _interface(rest, first >> 4)
        historical = bytes(next(rest) for _ in range(first & 0x0F))
    except (StopIteration, RuntimeError) as short:
        raise ValueError("the ATR breaks off") from short
    if convention is None:
        raise ValueError("an ATR begins with 3B or 3F")
    _check(atr, list(rest), protocols)
    f, d = F.get(interface >> 4), D.get(interface & 0x0F)
    return Atr(convention=convention, protocols=protocols, f=f or 372, d=d or 1, historical=historical)


def _interface(rest: Iterator[int], present: int) -> tuple[int, tuple[int, ...]]:
    """Return TA1 (11 where absent) and the protocols that the TD bytes name."""
    ta1, protocols, first = 0x11, list[int](), True
    while present:
        found = {bit: next(rest) for bit in (1, 2, 4, 8) if present & bit}
        if first:
            ta1, first = found.get(1, ta1), False
        td = found.get(8)
        if td is not None:
            protocols.append(td & 0x0F)
        present = 0 if td is None else td >> 4
    return ta1, tuple(dict.fromkeys(each for each in protocols if each != 15)) or (0,)


def _check(atr: bytes, left: list[int], protocols: tuple[int, ...]) -> None:
    if protocols == (0,) and not left:
        return
    total = 0
    for byte in atr[1:]:
        total ^= byte
    if len(left) != 1 or total:
        raise ValueError("the ATR's check byte is wrong")
