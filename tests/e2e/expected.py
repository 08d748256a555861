"""What every card must hold and what nobody may find, computed from the issuers' files with lxml and cryptography alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from lxml import etree

SAMPLES: Final = Path(__file__).parents[1] / "samples"
PAYMENT, SINGLE, EXPORT, NATIVE = (
    SAMPLES / name for name in ("payment-batch.xml", "single-card-1.1.xml", "cms-export-1.0.xml", "native-static-batch.xml")
)
TRANSPORT_KEY: Final = bytes.fromhex("A1A2A3A4A5A6A7A8B1B2B3B4B5B6B7B8")
MASTER_KEY: Final = bytes.fromhex("404142434445464748494A4B4C4D4E4F")
EXPORT_TAGS: Final = {"PAND": "5A", "CRDN": "5F20", "AEDT": "5F25", "5F34": "5F34", "57": "57"}
"""The named elements of the export that reach the card; PAND is CN, CRDN is ASCII, the others are hex."""
CARD_HOLDING: Final = ("dgi/0201", "tag/5A")
"""The DGI or tag that holds the PAN and so says whose card it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One record's card: what its application holds, "AID dgi/0101" or "AID tag/5A" to hex, and nothing else."""

    crn: str
    aid: str
    contents: Mapping[str, str] = field(repr=False)
    job: str = ""

    def is_on(self, contents: Mapping[str, str]) -> bool:
        """Tell whether this cardholder's PAN is among *contents*."""
        keys = [f"{self.aid} {name}" for name in CARD_HOLDING]
        return any(key in self.contents and self.contents[key] == contents.get(key) for key in keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """Something that may stand in the issuer's file and on the card, and nowhere else."""

    kind: str
    value: bytes = field(repr=False)
    on_card: bool = True
    in_file: bool = True


def cards(file: Path) -> list[Expected]:
    """Return what the cards of *file* must hold, in file order."""
    root = etree.parse(file).getroot()
    if named(root, "ApplicationDataPerCRN"):
        return [_export(record) for record in named(root, "ApplicationDataPerCRN")]
    return [_payment(record) for record in named(root, "ModuleIdentifierCode")]


def named(element: etree._Element, name: str) -> list[etree._Element]:
    """Return the element itself and all below it that are called *name* in any namespace."""
    return [each for each in element.iter() if isinstance(each.tag, str) and etree.QName(each).localname == name]


def clear(value: bytes) -> bytes:
    """Undo the transport key: 3DES in ECB mode."""
    decryptor = Cipher(TripleDES(TRANSPORT_KEY + TRANSPORT_KEY[:8]), modes.ECB()).decryptor()
    return decryptor.update(value) + decryptor.finalize()


def objects(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield tag and value of each data object, and of those inside a template 70."""
    while data:
        size = 2 if data[0] & 0x1F == 0x1F else 1
        tag, length, start = data[:size].hex().upper(), data[size], size + 1
        if length & 0x80:
            more = length & 0x7F
            length, start = int.from_bytes(data[start : start + more], "big"), start + more
        value, data = data[start : start + length], data[start + length :]
        yield tag, value
        if tag == "70":
            yield from objects(value)


def secrets(*files: Path) -> set[Secret]:
    """Return every PAN, name, key and PIN block of the sample *files*, and the keys over them."""
    found = {
        Secret(kind="transport key", value=TRANSPORT_KEY, on_card=False, in_file=False),
        Secret(kind="master key", value=MASTER_KEY, on_card=False, in_file=False),
    }
    for file in files:
        for record in named(etree.parse(file).getroot(), "ICCData"):
            found |= set(_secrets(record))
    written = {(secret.kind, secret.value) for secret in found if secret.on_card}
    return {secret for secret in found if secret.on_card or (secret.kind, secret.value) not in written}


def _secrets(record: etree._Element) -> Iterator[Secret]:
    for name, value, encrypted in _values(record):
        match name:
            case "PAND" | "CRDN":
                yield Secret(kind="PAN" if name == "PAND" else "name", value=value.encode())
            case "NAME":
                yield Secret(kind="name", value=bytes.fromhex(value), on_card=False)
            case "0101" | "0201":
                data = dict(objects(bytes.fromhex(value)))
                if "5A" in data:
                    yield Secret(kind="PAN", value=data["5A"].hex().rstrip("f").encode())
                if "5F20" in data:
                    yield Secret(kind="name", value=data["5F20"].rstrip())
        if encrypted:
            yield from _parts("PIN block" if name == "8010" else "key", bytes.fromhex(value))


def _parts(kind: str, value: bytes) -> Iterator[Secret]:
    """Yield each 16 bytes of an encrypted *value*, and of what is behind it: a DGI may be split anywhere."""
    for shown, on_card in ((value, False), (clear(value), True)):
        for start in range(0, len(shown), 16):
            yield Secret(kind=kind, value=shown[start : start + 16], on_card=on_card, in_file=not on_card)


def _values(record: etree._Element) -> Iterator[tuple[str, str, bool]]:
    """Yield name and value of each element under ICCData, and whether the transport key is over it."""
    for data_set in named(record, "DataSet"):
        if data_set.getparent() is not None and etree.QName(data_set.getparent()).localname == "ICCData":
            encrypted = bool(named(data_set, "TransportKey"))
            for element in named(data_set, "Data"):
                yield str(element.get("DataElement")), str(element.get("Value")), encrypted


def _payment(record: etree._Element) -> Expected:
    aid = str(named(named(record, "ApplicationData")[0], "AID")[0].get("AID"))
    contents = {}
    for name, value, encrypted in _values(record):
        contents[f"{aid} dgi/{name}"] = clear(bytes.fromhex(value)).hex().upper() if encrypted else value.upper()
    jobs = [each for each in record.iterancestors() if etree.QName(each).localname == "JobContainer"]
    job = str(jobs[0].get("JobID")) if jobs else ""
    return Expected(crn=str(named(record, "CRN")[0].get("Number")), aid=aid, contents=contents, job=job)


def _export(record: etree._Element) -> Expected:
    aid = str(named(named(record, "ApplicationData")[0], "AID")[0].get("AID"))
    contents = {}
    for name, value, _ in _values(record):
        if name not in EXPORT_TAGS:
            continue
        if name == "CRDN":
            shown = value.encode("ascii").hex().upper()
        elif name == "PAND":
            shown = value + "F" * (len(value) % 2)
        else:
            shown = value.upper()
        contents[f"{aid} tag/{EXPORT_TAGS[name]}"] = shown
    return Expected(crn=str(named(record, "CRN")[0].get("Number")), aid=aid, contents=contents)
