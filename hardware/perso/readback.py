"""What was written to a card, read back from it in clear and compared.

Only what stands clear in the order is asked for. Which of it an application gives back, and how, is the table here (DGIs
after common personalization); what the table doesn't know isn't compared, and what a product's applications never give back
its `unread` names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from hardware import tlv
from hardware.errors import CardError, PlanError, ReadBackError
from hardware.gp import commands
from hardware.iso7816 import AID, IN_ANSWER, Command, Dialogue
from hardware.perso.plan import Plan
from hardware.perso.product import Product
from hardware.perso.profiles import TagEncoding
from hardware.perso.steps import Personalize
from hardware.perso.values import Coded

RECORDS: Final = range(0x0101, 0x1EFF + 1)
"""DGIs that are records: the short file identifier, then the record's number from 01."""
FCI: Final = 0x9102
"""The DGI that the answer to SELECT gives back, as its proprietary template A5."""
OBJECTS: Final = range(0x9000, 0x9FFF + 1)
"""DGIs that GET DATA gives back by their own number, key check values among them."""
LAST_TAG: Final = 0xFFFF
"""GET DATA asks for tags of one byte or two."""
LONGEST: Final = 256
"""Bytes that a short answer holds; what is longer isn't compared."""
ABSENT: Final = (0x6A82, 0x6A83, 0x6A88)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One value to read back: in words, with which command, and what the answer must be.

    *command* None: it stands in the answer to SELECT. *optional*: the card was free to refuse it when it was written.
    """

    what: str
    command: Command | None
    value: bytes = field(repr=False)
    optional: bool


def read_back(plan: Plan, product: Product) -> Dialogue[None]:
    """Select each application that *plan* personalizes, outside of any channel, and compare what it gives back.

    Selecting ends a secure channel. Raises ReadBackError, never with a value, at the first that differs, is missing or is
    refused.
    """
    for aid, readings in observable(plan, product).items():
        if readings:
            yield from _read_application(aid, readings)


def observable(plan: Plan, product: Product) -> Mapping[AID, tuple[Reading, ...]]:
    """Return what can be read back of each application that *plan* personalizes; empty where it gives back nothing."""
    written: dict[AID, dict[tuple[TagEncoding, int], Reading | None]] = {}
    for step in plan.steps:
        if isinstance(step, Personalize):
            of_application = written.setdefault(step.aid, {})
            refusable = {piece.item for block in step.layout.blocks if block.refusable for piece in block.slices}
            for place, item in enumerate(step.layout.items):  # what is written twice holds what came last
                reading = None if item.transport or item.tag in product.unread else _reading(item)
                of_application[item.structure, item.tag] = reading and replace(reading, optional=place in refusable)
    return {aid: tuple(reading for reading in of.values() if reading) for aid, of in written.items()}


def check_provable(plan: Plan, product: Product) -> None:
    """Raise PlanError unless the card alone can show that all of *plan* was carried out."""
    if not plan.states:
        raise PlanError("nothing that can be read back shows whether its order was carried out")
    for aid, readings in observable(plan, product).items():
        if all(reading.optional for reading in readings):
            raise PlanError(f"nothing of the data of application {aid} can be read back")


def _reading(item: Coded) -> Reading | None:
    """Return how *item* is read back; None where nobody knows."""
    tag, value = item.tag, item.value
    command: Command | None = None
    if item.structure is TagEncoding.EMV and tag <= LAST_TAG:
        what, command, value = f"tag {tag:02X}", _get_data(tag), tlv.tlv(tag, value)
    elif item.structure is not TagEncoding.DGI:
        return None
    elif tag in RECORDS and tag & 0xFF:
        what, command = f"record {tag & 0xFF} of SFI {tag >> 8}", _read_record(tag & 0xFF, tag >> 8)
    elif tag == FCI:
        what, value = "the answer to SELECT", _template(value)
    elif tag in OBJECTS:
        what, command = f"DGI {tag:04X}", _get_data(tag)
    else:
        return None
    return Reading(what=what, command=command, value=value, optional=False) if len(value) <= LONGEST else None


def _template(value: bytes) -> bytes:
    """Return what template A5 holds, whether DGI 9102 brings the template or what belongs into it."""
    found = _find(value, 0xA5)
    return value if found is None else found


def _find(data: bytes, *path: int) -> bytes | None:
    try:
        return tlv.find(data, *path)
    except (ValueError, IndexError):
        return None


def _read_application(aid: AID, readings: tuple[Reading, ...]) -> Dialogue[None]:
    try:
        selected = yield replace(commands.select(aid), secret=IN_ANSWER)
    except CardError as refusal:
        raise ReadBackError(f"read back: application {aid} can't be selected: {refusal}") from refusal
    for reading in readings:
        what = f"read back: {reading.what} of application {aid}"
        if reading.command is None:
            found = _find(selected.data, 0x6F, 0xA5) or b""
        else:
            accept = (0x9000, *ABSENT) if reading.optional else (0x9000,)
            try:
                answer = yield replace(reading.command, accept=accept)
            except CardError as refusal:
                raise ReadBackError(f"{what} can't be read: {refusal}") from refusal
            found = answer.data
        if found != reading.value and (found or not reading.optional):
            raise ReadBackError(f"{what} differs from what was written")


def _read_record(record: int, sfi: int) -> Command:
    """Return READ RECORD by number (ISO/IEC 7816-4 7.3.3)."""
    return Command("READ RECORD", 0x00, 0xB2, record, sfi << 3 | 0x04, ne=256, secret=IN_ANSWER)


def _get_data(tag: int) -> Command:
    """Return GET DATA of a cardholder's data."""
    return replace(commands.get_data(tag, absent_ok=False), secret=IN_ANSWER)
