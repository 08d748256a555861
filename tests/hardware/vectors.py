"""Published vectors, and which of the built-in combinations they leave to the simulator."""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

from hardware.crypto import Curve
from hardware.iso7816 import Command
from hardware.scp.scp01 import Scp01
from hardware.scp.scp02 import Scp02
from hardware.scp.scp03 import Scp03
from hardware.scp.scp11 import USAGE, Scp11

SESSIONS = ("scp_pysim", "scp_openjavacard", "scp_globalplatform", "scp_yubikit")
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
    return [
        vector
        for name in SESSIONS
        for vector in vectors(name)
        if "steps" in vector and ("keys" in vector or "session_keys" in vector)
    ]


def combination(vector: Vector) -> Combination:
    """Return what a session vector is about."""
    i = int(vector.get("i") or vector["i_card"], 16)
    keys = vector["keys"] if "keys" in vector else vector["session_keys"]
    return vector["protocol"], i, 4 * len(keys["enc"]), int(vector["security_level"], 16)


def built_in() -> Iterator[Combination]:
    """Yield what the channels accept."""
    for kind, sizes in ((Scp01, (128,)), (Scp02, (128,)), (Scp03, (128, 192, 256))):
        for i, levels in kind.OPTIONS.items():
            yield from ((kind.KEY, i, bits, level) for bits in sizes for level in levels)


def matrix() -> Iterator[str]:
    """Yield a line for each channel, option and key size: by level the ids of its vectors, handshake and wrapping alike."""
    proofs: dict[Combination, list[str]] = {each: [] for each in built_in()}
    for vector in sessions():
        partly = "" if "initialize_update" in vector else " (no handshake)"
        proofs[combination(vector)].append(vector["id"] + partly)
    for (protocol, i, bits), group in groupby(sorted(proofs), key=lambda each: each[:3]):
        cipher = f"AES-{bits}" if protocol == "SCP03" else "3DES"
        by_level = (f"{each[3]:02X} {', '.join(proofs[each]) or 'simulator only'}" for each in group)
        yield f"{protocol} i={i:02X} {cipher}: {'; '.join(by_level)}"
    yield from _agreements()


def _agreements() -> Iterator[str]:
    """Yield SCP11's lines, one for each curve too."""
    proofs: dict[tuple[int, str, int, int], list[str]] = {}
    for vector in (each for name in ("scp11_openscp", "scp11_pkcs11rs") for each in vectors(name) if "kid" in each):
        level = {usage: level for level, usage in USAGE.items()}[int(vector["key_usage"], 16)]
        key = int(vector["i"], 16), vector["curve"], vector["key_size"], level
        proofs.setdefault(key, []).append(vector["id"] + ("" if "steps" in vector else " (handshake)"))
    for i, levels in sorted(Scp11.OPTIONS.items()):
        for curve, size in ((curve, size) for curve in Curve for size in (16, 24, 32)):
            proven = (
                f"{level:02X} {', '.join(proofs.get((i, curve, size, level), ['simulator only']))}"
                for level in sorted(levels)
            )
            yield f"SCP11 i={i:02X} {curve} AES-{8 * size}: {'; '.join(proven)}"


def simulator_only() -> list[Combination]:
    """Return what is built in and no published vector covers."""
    return sorted(set(built_in()) - {combination(vector) for vector in sessions()})
