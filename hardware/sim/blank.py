"""Kinds of blank chips: what a manufacturer states about the plastic in a hopper."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Any, Final

from hardware.sim import scp11

BLANKS: Final = Path(__file__).with_name("blanks")
IMPLEMENTATIONS: Final = {
    1: (0x05, 0x15),
    2: (
        0x04, 0x05, 0x0A, 0x0B, 0x14, 0x15, 0x1A, 0x1B, 0x24, 0x25, 0x2A, 0x2B,
        0x34, 0x35, 0x3A, 0x3B, 0x44, 0x45, 0x54, 0x55, 0x64, 0x65, 0x74, 0x75,
    ),
    3: (0x00, 0x10, 0x20, 0x30, 0x60, 0x70, 0x01, 0x11, 0x21, 0x31, 0x61, 0x71),
}  # fmt: skip
KEY_SIZES: Final = {1: (16,), 2: (16,), 3: (16, 24, 32)}
# Name and size of each field, in the order of the 42 bytes
CPLC: Final = (
    ("ic_fabricator", 2), ("ic_type", 2), ("os_id", 2), ("os_date", 2), ("os_level", 2), ("ic_date", 2),
    ("ic_serial", 4), ("ic_batch", 2), ("module_fabricator", 2), ("module_date", 2), ("icc_manufacturer", 2),
    ("embedding_date", 2), ("preperso_id", 2), ("preperso_date", 2), ("preperso_equipment", 4),
    ("perso_id", 2), ("perso_date", 2), ("perso_equipment", 4),
)  # fmt: skip
PER_CHIP: Final = ("ic_serial", "ic_batch")
SEEDS: Final = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Blank:
    """One kind of blank; keys are literal test values, never derived here."""

    name: str
    atr: bytes
    isd_aid: bytes
    scp: int
    i: int
    kvn: int
    kdd: bytes
    enc: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    dek: bytes = field(repr=False)
    memory: int
    retries: int
    life_cycle: int
    extended_length: bool
    response_limit: int
    encrypted_dgis: frozenset[int]
    refused_dgis: frozenset[int]
    cplc: Mapping[str, bytes]
    worn_dgis: frozenset[int] = frozenset()
    lost_dgis: frozenset[int] = frozenset()
    pads_empty: bool = False
    """Whether its SCP03 expects a padding block where an encrypted command has no data."""
    ecka: scp11.Keys | None = None
    """What it has for SCP11 beside its key set."""

    def __post_init__(self) -> None:
        if self.i not in IMPLEMENTATIONS.get(self.scp, ()):
            raise ValueError(f"blank {self.name}: no SCP{self.scp:02} with i={self.i:02X} on this chip")
        if {len(self.enc), len(self.mac), len(self.dek)} - {*KEY_SIZES[self.scp]} or len(self.enc) != len(self.mac):
            raise ValueError(f"blank {self.name}: a key has the wrong length")
        if len(self.kdd) != 10 or not 5 <= len(self.isd_aid) <= 16 or not 1 <= self.kvn <= 0x7F:
            raise ValueError(f"blank {self.name}: KDD, ISD AID or KVN is out of range")
        if self.life_cycle not in (0x01, 0x07, 0x0F) or self.response_limit < 64 or self.retries < 1:
            raise ValueError(f"blank {self.name}: life cycle, response limit or retries are out of range")
        if self.atr[:1] != b"\x3b" or reduce(xor, self.atr[1:]):
            raise ValueError(f"blank {self.name}: the ATR's check byte TCK is wrong")
        wanted = {name: size for name, size in CPLC if name not in PER_CHIP}
        if {name: len(value) for name, value in self.cplc.items()} != wanted:
            raise ValueError(f"blank {self.name}: a CPLC field is missing, unknown or of the wrong size")

    @property
    def key_identifiers(self) -> tuple[int, ...]:
        """Return the identifiers in its key set: one base key, or three."""
        return (1,) if self.scp == 2 and not self.i & 0x01 else (1, 2, 3)

    def identity(self, seed: int, position: int) -> bytes:
        """Return the CPLC of one plastic; two seeds, or two positions of one seed, never make the same."""
        if not (0 <= seed < SEEDS and 0 < position < SEEDS):
            raise ValueError("a seed and a position have 24 bits each")
        unique = ((seed << 24) | position).to_bytes(6, "big")
        values = {**self.cplc, "ic_batch": unique[:2], "ic_serial": unique[2:]}
        return b"".join(values[name] for name, _ in CPLC)


def load_blank(path: Path) -> Blank:
    """Read a kind of blank from TOML; byte strings are hex. Raises ValueError for what no chip can be."""
    table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        for name in ("atr", "isd_aid", "kdd", "enc", "mac", "dek"):
            table[name] = bytes.fromhex(table[name])
        for name in ("encrypted_dgis", "refused_dgis"):
            table[name] = frozenset(int(dgi, 16) for dgi in table[name])
        if "ecka" in table:
            table["ecka"] = scp11.read(table["ecka"])
        table["cplc"] = {name: bytes.fromhex(value) for name, value in table["cplc"].items()}
        return Blank(**table)
    except (KeyError, TypeError) as wrong:
        raise ValueError(f"{path.name}: {wrong}") from wrong


def shipped(name: str) -> Blank:
    """Return the blank kind that ships under *name*."""
    return load_blank(BLANKS / f"{name}.toml")
