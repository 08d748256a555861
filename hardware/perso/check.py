"""What is wrong with an order before any card is touched."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from hardware.errors import PlanError
from hardware.iso7816 import AID
from hardware.keystores import KeyId, Transport
from hardware.perso.layout import layout
from hardware.perso.order import Action, ApplicationOrder, Element, Instructions, Order, Step, Target, TargetState, UniqueID
from hardware.perso.product import Product
from hardware.perso.profiles import ApplicationProfile, CardProfile, TagEncoding
from hardware.perso.values import Coded, Places, code, described, elements, shown

LEVELS: Final = (0x01, 0x03)
"""Security levels that the secure channels offer."""
_SOME: Final = {False: None, True: Transport(key=KeyId("00"), cbc=False, iv=b"")}
"""Whether a value stands under a transport key; which one makes no difference here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault of an order: the element's name, the position of its application, if any; a *warning* doesn't stop it."""

    application: int | None
    element: str
    message: str
    warning: bool = False


def problems(
    order: Order, card: CardProfile, profiles: Mapping[UniqueID, ApplicationProfile], product: Product, dek_block: int
) -> Iterator[Problem]:
    """Yield every fault of *order*; none quotes a value. Applications whose profile is unknown are passed over."""
    if not any(each.steps for each in order.applications) and not any(target.state for target in order.targets):
        yield Problem(application=None, element="ApplicationData", message="the record asks for nothing to be done")
    seen: set[AID | None] = set()
    for place, application in enumerate(order.applications):
        aid = _aid(order, application, card)
        if aid is not None and aid in seen:
            yield Problem(application=place, element="ApplicationData", message=f"the record names application {aid} twice")
        seen.add(aid)
        profile = profiles.get(application.profile) if application.profile else None
        if profile is None:
            continue
        found = [*_target(order, application, card), *_application(application, profile, product, dek_block)]
        for element, message, warning in found:
            yield Problem(application=place, element=element, message=message, warning=warning)
    for target in order.targets:
        if target.state and target.aid not in seen:
            for message in _alone(target, card):
                yield Problem(application=None, element="AID/@TargeState", message=message)


def _alone(target: Target, card: CardProfile) -> Iterator[str]:
    if target.state is TargetState.PERSONALIZED:
        yield f"no steps personalize {target.aid}, so it doesn't end {target.state}"
    try:
        card.instance(target.aid, None)
    except PlanError as wrong:
        yield str(wrong)


Found = tuple[str, str, bool]


def _aid(order: Order, application: ApplicationOrder, card: CardProfile) -> AID | None:
    try:
        return card.instance(order.aid(application), application.profile).aid
    except PlanError:
        return order.aid(application)


def _target(order: Order, application: ApplicationOrder, card: CardProfile) -> Iterator[Found]:
    try:
        instance = card.instance(order.aid(application), application.profile)
    except PlanError as wrong:
        yield "ApplicationData", str(wrong), False
        return
    if instance.profile != application.profile:
        yield "ApplicationProfileUniqueID", f"card profile {card.id} gives {instance.aid} profile {instance.profile}", False
    personalized = any(step.action is Action.PERSONALIZE for step in application.steps)
    for target in order.targets:
        if target.aid != instance.aid or target.state is None:
            continue
        if personalized is not (target.state is TargetState.PERSONALIZED):
            steps = "personalize" if personalized else "don't personalize"
            yield "AID/@TargeState", f"the steps {steps} {target.aid}, so it doesn't end {target.state}", False


def _application(
    application: ApplicationOrder, profile: ApplicationProfile, product: Product, dek_block: int
) -> Iterator[Found]:
    for step in application.steps:
        level = step.instructions.security_level
        if level is not None and level not in LEVELS:
            yield "SECLEV", f"level {level:02X} is not offered: 01 and 03 are", False
    steps = [step for step in application.steps if step.action is Action.PERSONALIZE]
    given: list[str] = []
    for step in steps:
        chosen = elements(application, step)
        given += (element.name for element in chosen)
        yield from _step(chosen, step, profile, product, dek_block)
    if application.data and not steps:
        yield "ApplicationData", "holds data, but no step personalizes the application with it", False
    if steps:
        for element in profile.elements:
            if not element.optional and element.name not in given:
                yield element.name, "the application profile calls for this element and the record lacks it", False
        yield from _unwritten(application, {step.data_set for step in steps})


def _unwritten(application: ApplicationOrder, written: Collection[str | None]) -> Iterator[Found]:
    for data_set in application.data if None not in written else ():
        if data_set.name not in written:
            yield "DataSet/@Name", f"no step writes the data set '{shown(data_set.name)}'", True


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
    if step.script is not None:  # what becomes of the values is the script's business
        return
    shapes = tuple(
        _Shape(each.name, each.tag, each.structure, len(each.value), each.transport is not None) for each in values
    )
    said, unfit = _shaped(shapes, step.instructions, dek_block, product.block, product.packing)
    yield from said
    if unfit and not failed:
        yield "PersoDeviceIns", unfit, False


class _Shape(NamedTuple):
    """All of a value that the instructions are about: never the value itself, for a shape is remembered."""

    name: str
    tag: int
    structure: TagEncoding
    length: int
    secret: bool


@lru_cache(maxsize=256)
def _shaped(
    shapes: tuple[_Shape, ...], instructions: Instructions, dek_block: int, room: int, packing: bool
) -> tuple[tuple[Found, ...], str | None]:
    """Return what is wrong with *instructions* for values of such *shapes*, and, if nothing is, why they can't be laid out.

    The records of a file are much alike, so few shapes answer for all of them.
    """
    values = [
        Coded(name=each.name, tag=each.tag, structure=each.structure, value=bytes(each.length), transport=_SOME[each.secret])
        for each in shapes
    ]
    found = tuple(_instructions(instructions, values, dek_block))
    if any(not warning for _, _, warning in found):
        return found, None
    try:
        layout(values, instructions, room=room, packing=packing)
    except ValueError as wrong:
        return found, str(wrong)
    return found, None


def _instructions(instructions: Instructions, values: list[Coded], dek_block: int) -> Iterator[Found]:
    places = Places(values)
    grouped = [name for names in instructions.groups for name in names]
    yield from _names("ORDER", instructions.order, values, places)
    yield from _names("GROUP", grouped, values, places)
    for place in sorted(set(places.of(instructions.version_control)) & set(places.of(grouped))):
        yield values[place].name, "VERCNTL and GROUP both name it, but a VERCNTL element travels alone", False
    for name in sorted(instructions.encrypted):
        if not places.of([name]):
            yield name, "ENC names it and the record lacks it", True
    listed = set(places.of(instructions.encrypted))
    for place, value in enumerate(values):
        yield from _secrecy(value, listed=place in listed, dek_block=dek_block)
    if instructions.update_cplc:
        yield "UPDATECPLC", "this engine doesn't write the CPLC", False


def _names(instruction: str, names: Sequence[str], values: list[Coded], places: Places) -> Iterator[Found]:
    for name in dict.fromkeys(names):
        if not places.of([name]):
            yield name, f"{instruction} names it and the record lacks it", False
    for place, times in Counter(places.of(names)).items():
        if times > 1:
            yield values[place].name, f"{instruction} names it twice", False


def _secrecy(value: Coded, *, listed: bool, dek_block: int) -> Iterator[Found]:
    if value.transport and not listed:
        yield value.name, "stands under a TransportKey, but ENC doesn't list it", False
    if listed and not value.transport:
        yield value.name, "ENC lists it, but it stands clear", False
    if listed and len(value.value) % dek_block:
        yield value.name, f"has {len(value.value)} bytes, no multiple of the card's {dek_block}-byte DEK block", False
