"""Issuers' files made from the sample batch: as many cards as wanted, with new CRNs and PANs of the same test range."""

from copy import deepcopy
from pathlib import Path

from lxml import etree

from tests.e2e.expected import PAYMENT, named

SAMPLE_PAN = "541333000001"


def luhn(digits: str) -> str:
    """Return *digits* with their check digit (ISO/IEC 7812-1 annex B)."""
    doubled = [int(digit) * (2 - at % 2) for at, digit in enumerate(reversed(digits))]
    return digits + str(-sum(value - 9 * (value > 9) for value in doubled) % 10)


def standard_job(file: Path, cards: int) -> Path:
    """Write a batch of one job, STANDARD, with so many cards that differ in CRN and PAN from all samples; returns *file*."""
    root = etree.parse(PAYMENT).getroot()
    named(root, "BatchCardCustomization")[0].set("BatchID", f"B-{cards}")
    for environment in named(root, "EnvironmentContainer"):
        for job in named(environment, "JobContainer"):
            if job.get("JobID") != "STANDARD":
                environment.remove(job)
        if not named(environment, "JobContainer"):
            named(root, "BatchCardCustomization")[0].remove(environment)
    header = named(root, "DataContainerHeader")[0]
    model, *others = named(header, "DataContainer")
    for other in others:
        header.remove(other)
    header.set("CardRecordCount", str(cards))
    for number in range(cards):
        record = deepcopy(model)
        _rename(record, number)
        header.append(record)
    header.remove(model)
    file.write_bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))
    return file


def _rename(record: etree._Element, number: int) -> None:
    named(record, "CRN")[0].set("Number", f"2B0601040181FD5963E{number:05X}")
    pan = luhn(f"541333{900_000_000 + number}")
    for element in named(record, "Data"):
        value = str(element.get("Value"))
        at = value.find(SAMPLE_PAN)
        if at >= 0:
            element.set("Value", value[:at] + pan + value[at + len(pan) :])
