"""Published vectors, and which of the built-in combinations they leave to the simulator."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from hardware.iso7816 import Command
from hardware.scp.scp02 import Scp02
from hardware.scp.scp03 import Scp03

Vector: TypeAlias = dict[str, Any]
"""One vector as its JSON has it."""
Combination: TypeAlias = tuple[str, int, int, int]
"""Protocol, i, key size in bits, level."""


def vectors(name: str, **wanted: str) -> list[Vector]:
    """Return the vectors of one file whose fields have the *wanted* values."""
    text = (Path(__file__).parents[1] / "vectors" / f"{name}.json").read_text(encoding="utf-8")
    found: list[Vector] = json.loads(text)["vectors"]
    return [vector for vector in found if wanted.items() <= vector.items()]


def command(apdu: str) -> Command:
    """Read one APDU in hex: short, or extended with data."""
    raw = bytes.fromhex(apdu)
    cla, ins, p1, p2 = raw[:4]
    start = 7 if len(raw) > 7 and not raw[4] else 5
    lc = int.from_bytes(raw[4:start], "big") if len(raw) > 5 else 0
    rest = raw[start + lc :] if lc else raw[4:]
    ne = int.from_bytes(rest, "big") or 256 ** len(rest)
    return Command("vector", cla, ins, p1, p2, raw[start : start + lc], ne if rest else None)


def sessions() -> list[Vector]:
    """Return every vector that has wrapped commands."""
    return [vector for name in ("scp_pysim", "scp_openjavacard") for vector in vectors(name) if "steps" in vector]


def combination(vector: Vector) -> Combination:
    """Return what a session vector is about."""
    i = int(vector.get("i") or vector["i_card"], 16)
    return vector["protocol"], i, 4 * len(vector["session_keys"]["enc"]), int(vector["security_level"], 16)


def built_in() -> Iterator[Combination]:
    """Yield what the channels accept."""
    for level in sorted(Scp02.LEVELS):
        yield from (("SCP02", i, 128, level) for i in sorted(Scp02.OPTIONS))
    for level in sorted(Scp03.LEVELS):
        yield from (("SCP03", i, bits, level) for i in sorted(Scp03.OPTIONS) for bits in (128, 192, 256))


def simulator_only() -> list[Combination]:
    """Return what is built in and no published vector covers."""
    return sorted(set(built_in()) - {combination(vector) for vector in sessions()})


def without_handshake() -> list[Combination]:
    """Return what published vectors cover from given session keys on, but not from INITIALIZE UPDATE."""
    opened = {combination(vector) for vector in sessions() if "initialize_update" in vector}
    return sorted({combination(vector) for vector in sessions()} & set(built_in()) - opened)


def not_reproduced() -> list[Vector]:
    """Return the session vectors whose combination isn't built in: only their keys and cryptograms are checked."""
    known = set(built_in())
    return [vector for vector in sessions() if combination(vector) not in known]
