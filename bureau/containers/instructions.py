"""Reads PersoDeviceIns: Data pairs named after the common personalization record."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from lxml import etree

from hardware.perso.order import Instructions

NAMES: Final = frozenset({"ORDER", "VERCNTL", "ENC", "GROUP", "SECLEV", "UPDATECPLC", "RANDOM"})

Fault = tuple[int, str, str]
"""Which pair, what of it, and what is wrong."""


def instructions(device: etree._Element | None, complain: Callable[[etree._Element, str, str], None]) -> Instructions:
    """Return what *device* says; complains about what it doesn't know. RANDOM is accepted and means nothing here."""
    if device is None:
        return Instructions()
    pairs = list(device.iterchildren("{*}Data"))
    read, faults = _read(tuple((str(pair.get("DataElement", "")), str(pair.get("Value", ""))) for pair in pairs))
    for place, name, message in faults:
        complain(pairs[place], name, message)
    return read


@lru_cache(maxsize=256)
def _read(pairs: tuple[tuple[str, str], ...]) -> tuple[Instructions, tuple[Fault, ...]]:
    given: dict[str, list[str]] = {}
    faults: list[Fault] = []
    for place, (written, text) in enumerate(pairs):
        name, value = written.strip().upper(), text.strip()
        if name not in NAMES:
            known = ", ".join(sorted(NAMES))
            faults.append((place, "PersoDeviceIns/Data/@DataElement", f"is unknown; known are {known}"))
            continue
        if name in given and name != "GROUP":
            faults.append((place, f"PersoDeviceIns/{name}", "stands twice"))
        if name == "SECLEV" and not re.fullmatch(r"[0-9A-Fa-f]{2}", value):
            faults.append((place, "PersoDeviceIns/SECLEV", "is malformed: expected one byte in hex"))
            continue
        given.setdefault(name, []).append(value)
    level = given.get("SECLEV")
    read = Instructions(
        order=tuple(_names(given, "ORDER")),
        version_control=frozenset(_names(given, "VERCNTL")),
        encrypted=frozenset(_names(given, "ENC")),
        groups=tuple(tuple(map(_name, value.split())) for value in given.get("GROUP", ()) if value),
        security_level=int(level[0], 16) if level else None,
        update_cplc=any(value not in ("0", "00") for value in given.get("UPDATECPLC", ())),
    )
    return read, tuple(faults)


def _names(given: dict[str, list[str]], instruction: str) -> list[str]:
    return [_name(word) for value in given.get(instruction, ()) for word in value.split()]


def _name(word: str) -> str:
    """A DGI in upper case; the name of an element as it stands."""
    return word.upper() if re.fullmatch(r"[0-9A-Fa-f]{4}", word) else word
