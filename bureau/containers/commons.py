"""What a request says for several cards at once: its structure, kept for the way back, and the log that mirrors it."""

from lxml import etree

from bureau.containers.dialects import Dialect, local
from bureau.containers.logs import NOT_DONE
from bureau.containers.orders import unique_id
from bureau.models import CommonApplication, CommonGroup, CommonModule

_NOTED = "ApplicationCommonLog"


def structure(container: etree._Element) -> tuple[CommonGroup, ...]:
    """Return the groups of a CommonDataContainer, by name only; raises ValueError for an identifier that is malformed."""
    return tuple(_group(code) for code in container.iterchildren("{*}CommonModuleIdentifierCode"))


def _group(code: etree._Element) -> CommonGroup:
    card = code.find("{*}CardCommonConfiguration")
    modules, delivery = list[CommonModule](), False
    for each in code.itersiblings():
        match local(each.tag):
            case "CommonModuleIdentifierCode":
                break
            case "DeliveryModule":
                delivery = True
            case "GenericModule" | "Module":
                profile = unique_id(each.findtext("{*}ProfileUniqueID"))
                modules.append(CommonModule(str(each.get("ModuleName")), _maybe(each.get("Identifier")), profile))
    profiles = () if card is None else card.iterchildren("{*}ValidCardProfileID")
    return CommonGroup(
        identifier=str(code.get("Identifier", "")),
        card_profiles=None if card is None else tuple(unique_id(each.text) for each in profiles),
        applications=tuple(_application(each) for each in code.iterchildren("{*}ApplicationCommonData")),
        modules=tuple(modules),
        delivery=delivery,
    )


def _application(common: etree._Element) -> CommonApplication:
    named, profile = (
        common.find("{*}ApplicationData/{*}AID"),
        common.find("{*}ApplicationData/{*}ApplicationProfileUniqueID"),
    )
    return CommonApplication(
        aid=None if named is None else _maybe(named.get("AID")),
        order=None if named is None else _maybe(named.get("Order")),
        profile=None if profile is None else unique_id(profile.text),
    )


def _maybe(text: str | bytes | None) -> str | None:
    return None if text is None else str(text).strip()


def note(record: etree._Element, common: etree._Element) -> None:
    """Write into a notification's record how its ApplicationCommonData will be answered."""
    namespace = etree.QName(record).namespace
    record.append(_application_log(f"{{{namespace}}}", _application(common)))


def noted(record: etree._Element) -> etree._Element | None:
    """Return the ApplicationCommonLog that `note` left in a record."""
    return record.find(f"{{*}}{_NOTED}")


def log(groups: tuple[CommonGroup, ...], dialect: Dialect) -> etree._Element:
    """Return the CommonLogContainer that mirrors *groups*; the modules of each aren't done here."""
    root = etree.Element(dialect.tag("CommonLogContainer"), nsmap={None: dialect.namespace})  # type: ignore[dict-item]
    for group in groups:
        code = etree.SubElement(root, dialect.tag("CommonLogIdentifierCode"), Identifier=group.identifier)
        if group.card_profiles is not None:
            card = etree.SubElement(code, dialect.tag("CardCommonConfigurationLog"), DecollationStatus="0")
            if len(group.card_profiles) == 1:
                etree.SubElement(card, dialect.tag("ValidCardProfileID")).text = group.card_profiles[0]
        code.extend(_application_log(dialect.tag(""), each) for each in group.applications)
        for module in group.modules:
            element = etree.SubElement(root, dialect.tag("ModuleLog"), ModuleName=module.name)
            if module.identifier is not None:
                element.set("Identifier", module.identifier)
            etree.SubElement(element, dialect.tag("Error"), NOT_DONE)
            etree.SubElement(element, dialect.tag("ProfileUniqueID")).text = module.profile
        if group.delivery:
            etree.SubElement(etree.SubElement(root, dialect.tag("DeliveryModuleLog")), dialect.tag("Error"), NOT_DONE)
    return root


def _application_log(namespace: str, application: CommonApplication) -> etree._Element:
    common = etree.Element(f"{namespace}{_NOTED}")
    element = etree.SubElement(common, f"{namespace}ApplicationLog")
    if application.aid is not None:
        etree.SubElement(element, f"{namespace}AID", AID=application.aid, Order=application.order or "0")
    if application.profile is not None:
        etree.SubElement(element, f"{namespace}ApplicationProfileUniqueID").text = application.profile
    return common
