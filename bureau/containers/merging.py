"""Merges what a container says for all its cards into one card record."""

from copy import deepcopy

from lxml import etree

from bureau.containers.dialects import local
from bureau.containers.frame import Card
from bureau.containers.orders import applications, configuration, element_name, unique_id
from hardware.perso.order import UniqueID


def complete(card: Card) -> list[etree._Element]:
    """Complete the record of *card*, in place, from what its container says for all cards; returns what was put in."""
    return [] if card.common is None else merge(card.root, card.common.root)


def named_profiles(record: etree._Element) -> tuple[UniqueID, ...]:
    """Return the application profiles that a notification's record names; raises ValueError."""
    return tuple(unique_id(each.findtext("{*}ApplicationProfileUniqueID")) for each in applications(record))


def name_card_profile(record: etree._Element, profile: UniqueID) -> None:
    """Write into a notification's record, which has no place for it, the card profile that was found for it."""
    etree.SubElement(record, f"{{{etree.QName(record).namespace}}}ValidCardProfileID").text = profile


def merge(record: etree._Element, common: etree._Element) -> list[etree._Element]:
    """Complete *record*, in place, from a CommonDataContainer or ApplicationCommonData; returns what was put in.

    The record's own word goes first: its card profiles, AIDs, steps and elements stay; what it lacks is added. Of several
    common groups, those of the record's own Identifier count, or all where none has it.
    """
    if local(common.tag) == "ApplicationCommonData":
        return _application_data(record, common)
    code = record.find("{*}ModuleIdentifierCode")
    groups = list(common.iterchildren("{*}CommonModuleIdentifierCode"))
    own = [group for group in groups if code is not None and group.get("Identifier") == code.get("Identifier")]
    added: list[etree._Element] = []
    for group in own or groups:
        shared = group.find("{*}CardCommonConfiguration")
        if shared is not None:
            added += _configuration(configuration(record), shared)
        for application in group.iterchildren("{*}ApplicationCommonData"):
            added += _application_data(record, application)
        added += _modules(record, group)
    return added


def _configuration(card: etree._Element, shared: etree._Element) -> list[etree._Element]:
    added = []
    for name, before in (("ValidCardProfileID", ("AID",)), ("AID", ())):
        if card.find(f"{{*}}{name}") is None:
            added += [_insert(card, each, before) for each in shared.iterchildren(f"{{*}}{name}")]
    return added


def _modules(record: etree._Element, group: etree._Element) -> list[etree._Element]:
    added = []
    for each in group.itersiblings():
        name = local(each.tag)
        if name == "CommonModuleIdentifierCode":
            break
        same = [own for own in record.iterchildren(each.tag) if own.get("ModuleName") == each.get("ModuleName")]
        if not same:
            added.append(_insert(record, each, ("DeliveryModule",) if name != "DeliveryModule" else ()))
    return added


def _application_data(record: etree._Element, common: etree._Element) -> list[etree._Element]:
    shared = common.find("{*}ApplicationData")
    if shared is None:
        return []
    added, met = [], False
    for own in applications(record):
        if _same(own, shared):
            met = True
            added += _application(own, shared)
    if not met:
        holder = record.find("{*}ModuleIdentifierCode")
        added.append(_insert(record if holder is None else holder, shared, ()))
    return added


def _same(own: etree._Element, shared: etree._Element) -> bool:
    """Whether both are about one application: by AID where both have one, else by profile; naming neither, it means all."""
    ours, theirs = own.find("{*}AID"), shared.find("{*}AID")
    profile, its = own.find("{*}ApplicationProfileUniqueID"), shared.find("{*}ApplicationProfileUniqueID")
    if ours is not None and theirs is not None:
        return str(ours.get("AID")).upper() == str(theirs.get("AID")).upper()
    if profile is not None and its is not None:
        return (profile.text or "").strip().upper() == (its.text or "").strip().upper()
    return theirs is None and its is None


def _application(own: etree._Element, shared: etree._Element) -> list[etree._Element]:
    added = []
    order = ("AID", "ApplicationProfileUniqueID", "ProcessingStep", "LogData", "ICCData")
    for place, name in enumerate(order):
        existing = own.find(f"{{*}}{name}")
        parts = list(shared.iterchildren(f"{{*}}{name}"))
        if existing is None:
            added += [_insert(own, each, (*order[place + 1 :], "Signature")) for each in parts]
        elif name in ("LogData", "ICCData"):
            added += [each for part in parts for each in _data(existing, part)]
    return added


def _data(own: etree._Element, shared: etree._Element) -> list[etree._Element]:
    """Put the common data sets first, without the elements that the record gives itself."""
    added: list[etree._Element] = []
    given = {(each.get("Name"), _name(data)) for each in own for data in each.iterchildren("{*}Data")}
    for data_set in shared.iterchildren("{*}DataSet"):
        copy = deepcopy(data_set)
        copy.tail = None
        for data in list(copy.iterchildren("{*}Data")):
            if (copy.get("Name"), _name(data)) in given:
                copy.remove(data)
        if copy.find("{*}Data") is not None:
            own.insert(len(added), copy)
            added.append(copy)
    return added


def _name(data: etree._Element) -> str:
    return element_name(str(data.get("DataElement", "")))


def _insert(parent: etree._Element, element: etree._Element, before: tuple[str, ...]) -> etree._Element:
    """Put a copy of *element* into *parent*, in front of the first child named in *before*."""
    copy = deepcopy(element)
    copy.tail = None
    place = next((at for at, child in enumerate(parent) if local(child.tag) in before), len(parent))
    parent.insert(place, copy)
    return copy
