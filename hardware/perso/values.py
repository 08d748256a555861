"""Data elements as an issuer names them, turned into what a card stores."""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hardware import tlv
from hardware.keystores import Transport
from hardware.perso.order import ApplicationOrder, Element, Step
from hardware.perso.profiles import ApplicationProfile, DataElement, Encoding, TagEncoding

_VALUE: Final = re.compile(r"[0-9]{8}|^[0-9A-Fa-f]{12,}$")
"""What an element's name doesn't look like, and a PAN or a DGI's content does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """One value ready for a card; while *transport* is set it is still encrypted under that key."""

    name: str
    tag: int
    structure: TagEncoding
    value: bytes = field(repr=False)
    transport: Transport | None

    def serialised(self, value: bytes) -> bytes:
        """Return tag, length and *value* in this element's structure."""
        if self.structure is TagEncoding.DGI:
            return tlv.dgi(self.tag, value)
        if self.structure is TagEncoding.EMV:
            return tlv.tlv(self.tag, value)
        return self.tag.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


STRUCTURE: Final = {TagEncoding.DGI: 0x08, TagEncoding.EMV: 0x10, TagEncoding.L16: 0x00}
"""P1 b5b4 of STORE DATA (GPCS table 11-90)."""


LONGEST: Final = 0xFFFF
"""Bytes of a value whose length has two bytes."""


class Places:
    """Where each of some values stands, by what the device instructions may call it: its name, or its tag in hex."""

    def __init__(self, values: Sequence[Coded]) -> None:
        self._by_name: dict[str, list[int]] = {}
        for place, value in enumerate(values):
            for name in {value.name, f"{value.tag:04X}", f"{value.tag:02X}"}:
                self._by_name.setdefault(name, []).append(place)

    def of(self, names: Iterable[str]) -> list[int]:
        """Return the places of what *names* call, in the order of the names; what nobody has is left out."""
        return [place for name in names for place in self._by_name.get(name, ())]


def shown(name: str) -> str:
    """Return an element's name as a message may show it: one that looks like a value, the two swapped, by its length."""
    return f"(a name of {len(name)} characters)" if _VALUE.search(name) else name


def elements(application: ApplicationOrder, step: Step) -> tuple[Element, ...]:
    """Return what *step* writes: the elements of the DataSet it names, or of all."""
    return tuple(
        element
        for data_set in application.data
        if step.data_set is None or data_set.name == step.data_set
        for element in data_set.elements
    )


def described(profile: ApplicationProfile) -> Mapping[str, DataElement]:
    """Return the profile's elements by name."""
    return {element.name: element for element in profile.elements}


def coded(given: Iterable[Element], profile: ApplicationProfile) -> tuple[Coded, ...]:
    """Return the values that go onto the card, in file order; raises ValueError at the first that can't be coded."""
    known = described(profile)
    made = (code(element, known) for element in given)
    return tuple(value for value in made if value is not None)


def code(element: Element, known: Mapping[str, DataElement]) -> Coded | None:
    """Code one element; None: the profile keeps it without writing it. Raises ValueError, never quoting the value."""
    if not known:
        raw = _hex(element.value)
        _check_room(raw, TagEncoding.DGI)
        return Coded(
            name=element.name,
            tag=_dgi(element.name),
            structure=TagEncoding.DGI,
            value=raw,
            transport=element.transport,
        )
    entry = known.get(element.name)
    if entry is None:
        raise ValueError("the application profile doesn't know this element")
    value = _hex(element.value) if element.transport else decode(element.value, entry.encoding)
    if element.transport is None:
        _check_length(value, entry)
    if entry.tag is None or entry.tag_encoding is None:
        return None
    _check_room(value, entry.tag_encoding)
    return Coded(name=element.name, tag=entry.tag, structure=entry.tag_encoding, value=value, transport=element.transport)


def decode(text: str, encoding: Encoding) -> bytes:
    """Return the bytes that *text* writes; raises ValueError."""
    match encoding:
        case Encoding.HEX:
            return _hex(text)
        case Encoding.ASCII:
            if not text.isascii():
                raise ValueError("not ASCII")
            return text.encode("ascii")
        case Encoding.UTF8:
            return text.encode()
        case Encoding.CN:
            if not (text.isascii() and text.isdigit()):
                raise ValueError("CN takes digits only")
            return bytes.fromhex(text + "F" * (len(text) % 2))
        case Encoding.BASE64:
            try:
                return base64.b64decode(text, validate=True)
            except ValueError:
                raise ValueError("not BASE64") from None


def _hex(text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        raise ValueError("not hex") from None
    if len(text) != 2 * len(value):
        raise ValueError("not hex")
    return value


def _dgi(name: str) -> int:
    if len(name) != 4:
        raise ValueError("the application profile maps no elements, so each must be named by its DGI, four hex digits")
    return int.from_bytes(_hex(name), "big")


def _check_room(value: bytes, structure: TagEncoding) -> None:
    if len(value) > LONGEST:
        raise ValueError(f"has {len(value)} bytes where a {structure} element holds {LONGEST}")


def _check_length(value: bytes, element: DataElement) -> None:
    if element.length is None:
        return
    if element.fixed_length and len(value) != element.length:
        raise ValueError(f"has {len(value)} bytes where the profile fixes {element.length}")
    if len(value) > element.length:
        raise ValueError(f"has {len(value)} bytes where the profile allows {element.length}")
