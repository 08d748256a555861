"""What is wrong with an order before any card is touched."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from hardware.errors import PlanError
from hardware.perso.layout import layout
from hardware.perso.order import Action, ApplicationOrder, Element, Instructions, Order, Step, TargetState, UniqueID
from hardware.perso.product import Product
from hardware.perso.profiles import ApplicationProfile, CardProfile
from hardware.perso.values import Coded, code, described, elements

LEVELS: Final = (0x01, 0x03)
"""Security levels that the secure channels offer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault of an order: the position of the application, the element's name; a *warning* doesn't stop it."""

    application: int
    element: str
    message: str
    warning: bool = False


def problems(
    order: Order, card: CardProfile, profiles: Mapping[UniqueID, ApplicationProfile], product: Product, dek_block: int
) -> Iterator[Problem]:
    """Yield every fault of *order*; none quotes a value. Applications whose profile is unknown are passed over."""
    for place, application in enumerate(order.applications):
        profile = profiles.get(application.profile) if application.profile else None
        if profile is None:
            continue
        found = [*_target(order, application, card), *_application(application, profile, product, dek_block)]
        for element, message, warning in found:
            yield Problem(application=place, element=element, message=message, warning=warning)


Found = tuple[str, str, bool]


def _target(order: Order, application: ApplicationOrder, card: CardProfile) -> Iterator[Found]:
    try:
        instance = card.instance(order.aid(application), application.profile)
    except PlanError as wrong:
        yield "ApplicationData", str(wrong), False
        return
    if instance.profile != application.profile:
        yield "ApplicationProfileUniqueID", f"card profile {card.id} gives {instance.aid} profile {instance.profile}", False
    personalized = any(step.action is Action.PERSONALIZE for step in application.steps)
    reached = TargetState.PERSONALIZED if personalized else TargetState.SELECTABLE
    for target in order.targets:
        if target.aid == instance.aid and target.state not in (None, reached):
            yield "AID/@TargeState", f"the steps bring {target.aid} to {reached}, not to {target.state}", False


def _application(
    application: ApplicationOrder, profile: ApplicationProfile, product: Product, dek_block: int
) -> Iterator[Found]:
    steps = [step for step in application.steps if step.action is Action.PERSONALIZE and step.script is None]
    given: list[str] = []
    for step in steps:
        chosen = elements(application, step)
        given += (element.name for element in chosen)
        yield from _step(chosen, step, profile, product, dek_block)
    if steps:
        for element in profile.elements:
            if not element.optional and element.name not in given:
                yield element.name, "the application profile calls for this element and the record lacks it", False


def _step(
    chosen: tuple[Element, ...], step: Step, profile: ApplicationProfile, product: Product, dek_block: int
) -> Iterator[Found]:
    known, values, failed = described(profile), list[Coded](), False
    seen: set[str] = set()
    for element in chosen:
        if element.name in seen:
            yield element.name, "stands twice", False
        seen.add(element.name)
        try:
            value = code(element, known)
        except ValueError as wrong:
            failed = True
            yield element.name, str(wrong), False
        else:
            values += [value] if value else []
    found = list(_instructions(step.instructions, values, dek_block))
    yield from found
    if failed or any(not warning for _, _, warning in found):
        return
    try:
        layout(values, step.instructions, room=product.block, packing=product.packing)
    except ValueError as wrong:
        yield "PersoDeviceIns", str(wrong), False


def _instructions(instructions: Instructions, values: list[Coded], dek_block: int) -> Iterator[Found]:
    grouped = [name for names in instructions.groups for name in names]
    yield from _names("ORDER", list(instructions.order), values)
    yield from _names("GROUP", grouped, values)
    for name in sorted(instructions.version_control & set(grouped)):
        yield name, "VERCNTL and GROUP both name it, but a VERCNTL element travels alone", False
    for name in sorted(instructions.encrypted):
        if not any(value.is_called(name) for value in values):
            yield name, "ENC names it and the record lacks it", True
    for value in values:
        yield from _secrecy(value, listed=any(map(value.is_called, instructions.encrypted)), dek_block=dek_block)
    if instructions.security_level is not None and instructions.security_level not in LEVELS:
        yield "SECLEV", f"level {instructions.security_level:02X} is not offered: 01 and 03 are", False
    if instructions.update_cplc:
        yield "UPDATECPLC", "this engine doesn't write the CPLC", False


def _names(instruction: str, names: list[str], values: list[Coded]) -> Iterator[Found]:
    for name in dict.fromkeys(names):
        if not any(value.is_called(name) for value in values):
            yield name, f"{instruction} names it and the record lacks it", False
        if names.count(name) > 1:
            yield name, f"{instruction} names it twice", False


def _secrecy(value: Coded, *, listed: bool, dek_block: int) -> Iterator[Found]:
    if value.transport and not listed:
        yield value.name, "stands under a TransportKey, but ENC doesn't list it", False
    if listed and not value.transport:
        yield value.name, "ENC lists it, but it stands clear", False
    if listed and len(value.value) % dek_block:
        yield value.name, f"has {len(value.value)} bytes, no multiple of the card's {dek_block}-byte DEK block", False
