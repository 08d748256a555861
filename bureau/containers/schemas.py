"""The project's own schemas, compiled for one messaging namespace, and what they find, in words without data values."""

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from lxml import etree

from bureau.containers.dialects import Dialect

_XS: Final = "{http://www.w3.org/2001/XMLSchema}"
_FOLDER: Final = Path(__file__).parent / "schema"
_STRUCTURE: Final = frozenset(
    {"SCHEMAV_ELEMENT_CONTENT", "SCHEMAV_CVC_TYPE_3_1_1", "SCHEMAV_CVC_TYPE_3_1_2"}
    | {f"SCHEMAV_CVC_COMPLEX_TYPE_{rule}" for rule in ("2_1", "2_2", "2_3", "2_4", "3_2_1", "3_2_2", "4")}
)
"""Findings whose text names elements and attributes only."""
_SUBJECT: Final = re.compile(r"Element '(?:\{[^}]*\})?([^']+)'(?:, attribute '(?:\{[^}]*\})?([^']+)')?: (.*)", re.DOTALL)
_ATTRIBUTE: Final = re.compile(r"The attribute '(?:\{[^}]*\})?([^']+)' is (required|not allowed)")
_HEX: Final = "an even number of hex digits, at least two"
_DATE: Final = "YYYYMMDD or YYYYMMDDHHMMSS"
_WANTED: Final = {
    "ValidCardProfileID": _HEX,
    "ApplicationProfileUniqueID": _HEX,
    "ProfileUniqueID": _HEX,
    "@Number": _HEX,
    "@Source": _HEX,
    "@Destination": _HEX,
    "@AID": "5 to 16 bytes in hex",
    "@Order": "a number from 0 to 32767",
    "@TargeState": "INSTALLED, SELECTABLE or PERSONALIZED",
    "@Requirement": "00 or 01",
    "@CollatorStatus": "00 to 04",
    "@RequestedDeliveryDate": _DATE,
    "@ExpectedCommitDate": _DATE,
    "@Type": "one of the message types",
    "@MessageVersion": "three numbers with dots between",
    "@ErrataVersion": "a whole number",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a schema refuses, at *line* of the tree."""

    line: int
    element: str
    message: str


@lru_cache
def compiled(name: str, dialect: Dialect) -> etree.XMLSchema:
    """Return the schema *name* (request or trail) for the namespace of *dialect*."""
    parser = etree.XMLParser(no_network=True, resolve_entities=False, remove_comments=True)
    text = (_FOLDER / f"{name}.xsd").read_text(encoding="utf-8").replace("urn:messaging", dialect.namespace)
    tree = etree.fromstring(text.encode(), parser)
    for today, before in dialect.aliases:
        for element in list(tree.iter(f"{_XS}element")):
            if element.get("name") == today:
                _either(element, before)
    if dialect.short_codes:
        for pattern in tree.iter(f"{_XS}pattern"):
            pattern.set("value", re.sub(r"^0\[", "0?[", str(pattern.get("value"))))
    return etree.XMLSchema(tree)


def _either(element: etree._Element, name: str) -> None:
    """Let *element* also be called *name*."""
    choice = etree.Element(f"{_XS}choice")
    for attribute in ("minOccurs", "maxOccurs"):
        if attribute in element.attrib:
            choice.set(attribute, element.attrib.pop(attribute))
    other = deepcopy(element)
    other.set("name", name)
    parent = element.getparent()
    assert parent is not None  # noqa: S101 - for the type checker
    parent.replace(element, choice)
    choice.extend((element, other))


def findings(root: etree._Element, name: str, dialect: Dialect) -> Iterator[Finding]:
    """Yield what the schema *name* refuses in *root*."""
    schema = compiled(name, dialect)
    if not schema.validate(root):
        yield from dict.fromkeys(_finding(entry) for entry in schema.error_log)  # type: ignore[attr-defined]


def _finding(entry: etree._LogEntry) -> Finding:
    subject = _SUBJECT.match(entry.message)
    if subject is None:
        return Finding(entry.line, "record", "doesn't meet the schema")
    element, attribute, said = subject.groups()
    path = f"{element}/@{attribute}" if attribute else element
    if entry.type_name in _STRUCTURE:
        if (missing := _ATTRIBUTE.match(said)) is not None:
            text = "is missing" if missing[2] == "required" else "isn't known here"
            return Finding(entry.line, f"{element}/@{missing[1]}", text)
        return Finding(entry.line, path, re.sub(r"\{[^}]*\}", "", said).strip().rstrip("."))
    wanted = _WANTED.get(f"@{attribute}" if attribute else element, "a value that isn't empty")
    return Finding(entry.line, path, f"is malformed: expected {wanted}")
