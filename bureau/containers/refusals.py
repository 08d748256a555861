"""What this bureau doesn't accept in any piece of a file, however well it is formed."""

from collections.abc import Iterator
from typing import Final

from lxml import etree

from bureau.containers.attributes import is_date
from bureau.containers.dialects import SIGNATURES, code, local

Refusal = tuple[etree._Element, str, str]
_COLLATION: Final = ("01", "02")
_LOOKED_AT: Final = ("SecureElementId", "CardConfiguration", "CardCommonConfiguration", "RequestedDeliveryDate")


def refusals(root: etree._Element) -> Iterator[Refusal]:
    """Yield element, name and message: signatures, secure elements, requests for collation, dates that don't exist."""
    for signature in root.iter(f"{{{SIGNATURES}}}*"):
        parent = signature.getparent()
        if parent is None or etree.QName(parent).namespace != SIGNATURES:
            yield signature, "Signature", "is there, but this bureau doesn't verify signatures yet"
    for element in root.iter(*(f"{{*}}{name}" for name in _LOOKED_AT)):
        name = local(element.tag)
        if name == "SecureElementId":
            yield element, name, "is there, but secure elements (mobile NFC) aren't done here"
        elif name == "RequestedDeliveryDate":
            for attribute in ("RequestedDeliveryDate", "ExpectedCommitDate"):
                if (value := element.get(attribute)) is not None and not is_date(str(value)):
                    yield element, f"{name}/@{attribute}", "is malformed: expected a real date, YYYYMMDD or YYYYMMDDHHMMSS"
        elif code(str(element.get("CollatorStatus", ""))) in _COLLATION:
            yield element, f"{name}/@CollatorStatus", "asks for collation, which this bureau doesn't do"
