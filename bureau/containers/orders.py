"""Turns one card record, common data merged in, into an Order."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, TypeVar

from lxml import etree

from bureau.containers.dialects import PROFILES, code, local
from bureau.containers.instructions import instructions
from hardware.iso7816 import AID
from hardware.keystores import KeyId, Transport
from hardware.perso.order import (
    ACTIONS,
    ApplicationOrder,
    DataSet,
    Element,
    Order,
    Step,
    Target,
    TargetState,
    UniqueID,
)

T = TypeVar("T")

Complain = Callable[[etree._Element, str, str], None]
"""Takes the element, its name (with an attribute's, perhaps) and the message."""
_HEX: Final = re.compile(r"([0-9A-Fa-f]{2})+")


def parse(xml: bytes) -> etree._Element:
    """Return the tree of a sealed record."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    return etree.fromstring(xml, parser)


def order(xml: bytes) -> Order:
    """Return the Order that a sealed record holds; raises ValueError, never quoting data, for one that is damaged."""

    def complain(_element: etree._Element, name: str, message: str) -> None:
        raise ValueError(f"{name} {message}")

    return Builder(parse(xml), complain).order()


def configuration(root: etree._Element) -> etree._Element:
    """Return the element of a record that holds its CRN, card profiles and AIDs."""
    holder = next(root.iterchildren("{*}ModuleIdentifierCode"), None)
    found = None if holder is None else next(holder.iterchildren("{*}CardConfiguration"), None)
    return root if found is None else found


def applications(root: etree._Element) -> tuple[etree._Element, ...]:
    """Return the ApplicationData elements of a record, in order."""
    holder = next(root.iterchildren("{*}ModuleIdentifierCode"), None)
    return tuple((root if holder is None else holder).iterchildren("{*}ApplicationData"))


def crn(root: etree._Element) -> str | None:
    """Return the CRN of a record in upper case; None where there is none or it is malformed."""
    found = configuration(root).find("{*}CRN")
    number = None if found is None else found.get("Number")
    return str(number).upper() if number is not None and _HEX.fullmatch(str(number)) else None


@lru_cache(maxsize=1024)
def unique_id(text: str | None) -> UniqueID:
    """Return a UniqueID in upper case; raises ValueError."""
    if text is None or not _HEX.fullmatch(text.strip()):
        raise ValueError("is malformed: expected an even number of hex digits, at least two")
    return UniqueID(text.strip().upper())


@lru_cache(maxsize=1024)
def aid(text: str | None) -> AID:
    """Return an AID; raises ValueError."""
    if text is None or not re.fullmatch(r"([0-9A-Fa-f]{2}){5,16}", text.strip()):
        raise ValueError("is malformed: expected 5 to 16 bytes in hex")
    return AID(bytes.fromhex(text))


class Builder:
    """Reads one record; what it can't read it complains about and leaves out."""

    def __init__(self, root: etree._Element, complain: Complain) -> None:
        self._root, self._complain = root, complain

    def order(self) -> Order:
        """Return the record's Order."""
        card = configuration(self._root)
        reference = crn(self._root)
        if reference is None:
            self._complain(card, "CRN/@Number", "is missing or malformed")
        named = card.iterchildren("{*}ValidCardProfileID")
        profiles = [self._try(unique_id, each.text, each, "ValidCardProfileID") for each in named]
        targets = [target for each in card.iterchildren("{*}AID") if (target := self._target(each))]
        named_aids: set[AID] = set()
        for target in targets:
            if target.aid in named_aids:
                self._complain(card, "AID/@AID", f"{target.aid} stands twice")
            named_aids.add(target.aid)
        elements = applications(self._root)
        orders = tuple(map(self._application, elements))
        for element in elements:
            own = element.find("{*}AID")
            another = None if own is None else self._target(own)
            if another is not None and another.aid not in named_aids:
                named_aids.add(another.aid)
                targets.append(another)
        return Order(
            crn=reference or "",
            card_profiles=tuple(dict.fromkeys(each for each in profiles if each is not None)),
            targets=tuple(sorted(targets, key=lambda target: target.order)),
            applications=orders,
        )

    def _try(self, read: Callable[[str | None], T], text: object, element: etree._Element, name: str) -> T | None:
        try:
            return read(None if text is None else str(text))
        except ValueError as wrong:
            self._complain(element, name, str(wrong))
            return None

    def _target(self, element: etree._Element) -> Target | None:
        identifier = self._try(aid, element.get("AID"), element, "AID/@AID")
        place = self._try(_number, element.get("Order"), element, "AID/@Order")
        state = element.get("TargeState")
        reached = None if state is None else self._try(_state, state, element, "AID/@TargeState")
        if identifier is None or place is None:
            return None
        return Target(aid=identifier, order=place, state=reached)

    def _application(self, element: etree._Element) -> ApplicationOrder:
        named, profile = element.find("{*}AID"), element.find("{*}ApplicationProfileUniqueID")
        data = self._sets(element.find("{*}ICCData"), strict=True)
        steps = tuple(step for each in element.iterchildren("{*}ProcessingStep") if (step := self._step(each, data)))
        return ApplicationOrder(
            aid=None if named is None else self._try(aid, named.get("AID"), named, "AID/@AID"),
            profile=None if profile is None else self._try(unique_id, profile.text, profile, "ApplicationProfileUniqueID"),
            steps=steps,
            data=data,
            log=self._sets(element.find("{*}LogData"), strict=False),
        )

    def _step(self, element: etree._Element, data: tuple[DataSet, ...]) -> Step | None:
        written = str(element.get("Action", ""))
        action = ACTIONS.get(written.strip().upper())
        if action is None:
            self._complain(element, "ProcessingStep/@Action", f"'{written[:32]}' is unknown; known are {', '.join(ACTIONS)}")
        requirement = code(str(element.get("Requirement", "")))
        if requirement not in ("00", "01"):
            self._complain(element, "ProcessingStep/@Requirement", "is malformed: expected 00 or 01")
        named = element.get("DataSet")
        if named is not None and all(each.name != named for each in data):
            self._complain(element, "ProcessingStep/@DataSet", "names a data set that the record doesn't have")
        if (command := element.find("{*}SECommand")) is not None:
            self._complain(command, "SECommand", "isn't done here")
        device = element.find("{*}PersoDeviceIns")
        given = instructions(device, self._complain)
        scripts = [each.text or "" for each in element.iterchildren("{*}ScriptFragment", "{*}Script")]
        if action is None:
            return None
        return Step(
            action=action, code=written, mandatory=requirement == "01", data_set=None if named is None else str(named),
            instructions=given, script="\n".join(map(str.strip, scripts)) if scripts else None,
        )  # fmt: skip

    def _sets(self, holder: etree._Element | None, *, strict: bool) -> tuple[DataSet, ...]:
        sets: dict[str, list[Element]] = {}
        for each in () if holder is None else holder.iterchildren("{*}DataSet"):
            sets.setdefault(str(each.get("Name", "")), []).extend(self._elements(each, strict=strict))
        return tuple(DataSet(name=name, elements=tuple(elements)) for name, elements in sets.items())

    def _elements(self, data_set: etree._Element, *, strict: bool) -> Iterator[Element]:
        transport = self._transport(data_set) if strict else None
        for data in data_set.iterchildren("{*}Data"):
            name, value = data.get("DataElement"), data.get("Value")
            if strict and (name is None or value is None):
                self._complain(data, f"Data/@{'Value' if name else 'DataElement'}", "is missing")
            yield Element(name=element_name(str(name or "")), value=str(value or ""), transport=transport)

    def _transport(self, data_set: etree._Element) -> Transport | None:
        keys = [each for each in data_set if etree.QName(each).namespace in PROFILES]
        if not keys:
            return None
        key = keys[0]
        if local(key.tag) != "TransportKey":
            self._complain(key, local(key.tag), "isn't expected here: a DataSet ends with a TransportKey")
            return None
        known = {"ID", "Name", "Owner", "Version", "Algorithm", "AlgorithmParameters"}
        for attribute in sorted(set(map(str, key.attrib)) - known):
            self._complain(key, f"TransportKey/@{attribute}", "isn't known here")
        for attribute in {"Owner", "Version"} & set(map(str, key.attrib)):
            self._try(unique_id, key.get(attribute), key, f"TransportKey/@{attribute}")
        algorithm = str(key.get("Algorithm", "ECB"))
        if algorithm not in ("CBC", "ECB"):
            self._complain(key, "TransportKey/@Algorithm", "is malformed: expected CBC or ECB")
        parameters = key.get("AlgorithmParameters")
        vector = None if parameters is None else self._try(unique_id, parameters, key, "TransportKey/@AlgorithmParameters")
        if key.get("ID") is None:
            self._complain(key, "TransportKey/@ID", "is missing: a transport key is found by its ID, not by its Name")
            return None
        identifier = self._try(unique_id, key.get("ID"), key, "TransportKey/@ID")
        if identifier is None:
            return None
        iv = bytes.fromhex(vector) if vector and algorithm == "CBC" else b""
        return Transport(key=KeyId(identifier), cbc=algorithm == "CBC", iv=iv)


@lru_cache(maxsize=1024)
def element_name(name: str) -> str:
    """Return the name of an element or, in upper case, the DGI that is one."""
    return name.upper() if re.fullmatch(r"[0-9A-Fa-f]{4}", name) else name


def _number(text: str | None) -> int:
    if text is None or not re.fullmatch(r"\+?[0-9]{1,5}", text.strip()) or int(text) > 32767:
        raise ValueError("is malformed: expected a number from 0 to 32767")
    return int(text)


def _state(text: str | None) -> TargetState:
    try:
        return TargetState((text or "").strip())
    except ValueError:
        raise ValueError("is malformed: expected INSTALLED, SELECTABLE or PERSONALIZED") from None
