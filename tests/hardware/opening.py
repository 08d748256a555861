"""Openings and static keys as published session vectors have them."""

from collections.abc import Mapping

from hardware.iso7816 import AID
from hardware.keystores import Agreement, Derivation
from hardware.keystores.soft import derived
from hardware.scp import DeriveKeys, Opening
from tests.hardware.vectors import Vector

ISD_R = AID(bytes.fromhex("A0000005591010FFFFFFFF8900000100"))
"""The security domain of pysim's SCP03 vectors: it alone gives their pseudo-random card challenges."""


def static_keys(v: Vector) -> DeriveKeys:
    """Return a derivation from the vector's three static keys, which no master gives."""
    return keys_of({base: bytes.fromhex(v["keys"][base]) for base in ("enc", "mac", "dek")})


def keys_of(static: Mapping[str, bytes]) -> DeriveKeys:
    """Return a derivation from three static keys."""

    def derive(kdd: bytes, wanted: Mapping[str, Derivation | Agreement]) -> dict[str, bytes]:
        assert len(kdd) == 10
        keys = {name: each for name, each in wanted.items() if isinstance(each, Derivation)}
        assert keys.keys() == wanted.keys()
        return {name: derived(static[derivation.base], derivation) for name, derivation in keys.items()}

    return derive


def opening(v: Vector, *, level: int | None = None, kvn: int | None = None, i: int | None = None) -> Opening:
    """Return how the vector's channel was opened, for the key set that the card answered for."""
    return Opening(
        i=int(v.get("i") or v["i_card"], 16) if i is None else i,
        level=int(v["security_level"], 16) if level is None else level,
        kvn=int(v["keys"]["kvn"], 16) if kvn is None else kvn,
        host_challenge=bytes.fromhex(v["host_challenge"]),
        sd_aid=AID(bytes.fromhex(v["sd_aid"])) if "sd_aid" in v else ISD_R,
    )


def handshake(v: Vector) -> list[tuple[str, str]]:
    """Return both commands with their answers; P1 of INITIALIZE UPDATE is the key set that the card answered for.

    One vector's P1 names another one, which is no part of any cryptogram or MAC.
    """
    first, second = v["initialize_update"], v["external_authenticate"]
    command = first["command"][:4] + v["keys"]["kvn"] + first["command"][6:]
    return [(command, first["response"]), (second["command"], second["response"])]
