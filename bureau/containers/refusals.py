"""What this bureau doesn't accept in any piece of a file, however well it is formed."""

from collections.abc import Iterator
from typing import Final

from lxml import etree

from bureau.containers.attributes import LONGEST, is_date
from bureau.containers.dialects import SIGNATURES, code, local

Refusal = tuple[etree._Element, str, str]
_COLLATION: Final = ("01", "02")
MOST_PAIRS: Final = 100
"""Data pairs of a message's MessageContext."""
_LOOKED_AT: Final = (
    "MessageContext",
    "SecureElementId",
    "CardConfiguration",
    "CardCommonConfiguration",
    "RequestedDeliveryDate",
)


def refusals(root: etree._Element) -> Iterator[Refusal]:
    """Yield element, name and message.

    Signatures, secure elements, requests for collation, dates that don't exist, too much of an issuer's own criteria.
    """
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
        elif name == "MessageContext":
            yield from _criteria(element)
        elif code(str(element.get("CollatorStatus", ""))) in _COLLATION:
            yield element, f"{name}/@CollatorStatus", "asks for collation, which this bureau doesn't do"


def _criteria(context: etree._Element) -> Iterator[Refusal]:
    if len(context) > MOST_PAIRS:
        yield context, "MessageContext", f"holds {len(context)} pairs; at most {MOST_PAIRS} are kept"
    for pair in context:
        for attribute in ("DataElement", "Value"):
            if (length := len(str(pair.get(attribute, "")))) > LONGEST:
                yield pair, f"Data/@{attribute}", f"has {length} characters; at most {LONGEST} are kept"
