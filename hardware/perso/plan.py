"""The Plan of one card: what will be done, in order, from the order, the profiles, the product and what the card holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hardware.errors import PlanError
from hardware.gp.loadfile import LoadFile
from hardware.gp.registry import Registry
from hardware.iso7816 import AID
from hardware.perso.layout import layout
from hardware.perso.order import Action, ApplicationOrder, Order, Step, TargetState, UniqueID
from hardware.perso.product import Product
from hardware.perso.profiles import ApplicationInstance, ApplicationProfile, CardProfile
from hardware.perso.steps import Delete, Install, Load, Origin, Personalize, PlanStep
from hardware.perso.values import coded, elements

MAX_LOADS = 256
LOCKED = 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What the bureau holds registered for one card profile."""

    card: CardProfile
    applications: Mapping[UniqueID, ApplicationProfile]
    load_files: Mapping[UniqueID, LoadFile]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps of one card, and the life cycle state that each application must then report."""

    steps: tuple[PlanStep, ...]
    states: Mapping[AID, int]

    def __str__(self) -> str:
        return "\n".join(map(str, self.steps))


def security_level(order: Order, product: Product) -> int:
    """Return the level that the one channel needs: the highest that a step asks for, else the product's."""
    asked = [step.instructions.security_level for application in order.applications for step in application.steps]
    return max((level for level in asked if level is not None), default=product.level)


def plan(order: Order, catalog: Catalog, product: Product, registry: Registry) -> Plan:
    """Plan one card; raises PlanError where the order can't be carried out, before anything is written."""
    making = _Making(catalog, product, registry)
    ranks = {target.aid: target.order for target in order.targets}
    wanted = [
        (place, application, catalog.card.instance(order.aid(application), application.profile))
        for place, application in enumerate(order.applications)
    ]
    steps: list[PlanStep] = []
    for place, application, instance in sorted(wanted, key=lambda each: ranks.get(each[2].aid, len(ranks))):
        steps += making.application(place, application, instance)
    states = {instance.aid: making.applications[instance.aid] for _, _, instance in wanted}
    for target in order.targets:
        if target.state and states.get(target.aid) != target.state.code:
            raise PlanError(f"the steps asked for don't bring {target.aid} to {target.state}")
    return Plan(steps=tuple(steps), states=states)


class _Making:
    """Turns processing steps into plan steps, keeping track of what the card will hold at each point."""

    def __init__(self, catalog: Catalog, product: Product, registry: Registry) -> None:
        self.catalog, self.product = catalog, product
        self.load_files = {entry.aid for entry in registry.load_files}
        self.applications = {entry.aid: entry.state for entry in registry.applications}

    def application(self, place: int, application: ApplicationOrder, instance: ApplicationInstance) -> Iterator[PlanStep]:
        """Yield the steps of one application; a LOAD or INSTALL that nobody asked for is made where the card needs it."""
        for at, step in enumerate(application.steps):
            origin = Origin(place, at)
            if step.action is Action.LOAD:
                yield from self.load(instance, origin, again=step.mandatory)
                continue
            yield from self.load(instance, None, again=False)
            if step.action is Action.INSTALL:
                yield from self.install(instance, origin, again=step.mandatory)
                continue
            yield from self.install(instance, None, again=False)
            yield from self.personalize(application, instance, step, origin)

    def load(self, instance: ApplicationInstance, origin: Origin | None, *, again: bool) -> Iterator[PlanStep]:
        """Load the instance's load file where the card lacks it, or *again*."""
        load_file = self._load_file(instance)
        if load_file.aid in self.load_files:
            if not again:
                return
            yield self._delete(load_file.aid, origin, related=True)
            for each in self._from(load_file):
                self.applications.pop(each.aid, None)
        masked = any(each.masked for each in self.catalog.card.load_files if each.profile == instance.load_file)
        if masked:
            raise PlanError(f"load file {load_file.aid} should be in this card's ROM and isn't")
        blocks = load_file.load_blocks(self.product.block)
        if len(blocks) > MAX_LOADS:
            raise PlanError(f"load file {load_file.aid} needs {len(blocks)} LOAD commands where 256 can be numbered")
        self.load_files.add(load_file.aid)
        yield Load(load_file=load_file, blocks=blocks, security_domain=self.product.isd_aid, origin=origin)

    def install(self, instance: ApplicationInstance, origin: Origin | None, *, again: bool) -> Iterator[PlanStep]:
        """Install the instance where the card lacks it, or *again*."""
        if instance.aid in self.applications:
            if not again:
                return
            yield self._delete(instance.aid, origin, related=False)
        load_file = self._load_file(instance)
        self.applications[instance.aid] = TargetState.SELECTABLE.code
        yield Install(load_file=load_file.aid, module=_module(load_file, instance), instance=instance, origin=origin)

    def personalize(
        self, application: ApplicationOrder, instance: ApplicationInstance, step: Step, origin: Origin
    ) -> Iterator[PlanStep]:
        """Store the step's data, first making anew an application that is personalized already."""
        state = self.applications[instance.aid]
        if state & LOCKED:
            raise PlanError(f"application {instance.aid} is locked")
        if state == TargetState.PERSONALIZED.code:
            if not step.mandatory:
                return
            yield from self.install(instance, origin, again=True)
        if step.script is not None or application.profile is None:
            raise PlanError("a script needs an interpreter, and this engine has none yet")
        profile = self.catalog.applications[application.profile]
        values = coded(elements(application, step), profile)
        try:
            laid = layout(values, step.instructions, room=self.product.block, packing=self.product.packing)
        except ValueError as wrong:
            raise PlanError(str(wrong)) from wrong
        self.applications[instance.aid] = TargetState.PERSONALIZED.code
        yield Personalize(aid=instance.aid, layout=laid, origin=origin)

    def _load_file(self, instance: ApplicationInstance) -> LoadFile:
        load_file = self.catalog.load_files.get(instance.load_file)
        if load_file is None:
            raise PlanError(f"the code of load file profile {instance.load_file} isn't registered")
        return load_file

    def _delete(self, aid: AID, origin: Origin | None, *, related: bool) -> Delete:
        if not self.product.replace:
            raise PlanError(f"{aid} is on the card already and {self.product.name} doesn't allow it to be made again")
        return Delete(aid=aid, related=related, origin=origin)

    def _from(self, load_file: LoadFile) -> list[ApplicationInstance]:
        return [each for each in self.catalog.card.applications if self.catalog.load_files.get(each.load_file) is load_file]


def _module(load_file: LoadFile, instance: ApplicationInstance) -> AID:
    """Return the only module, or the one of the instance's own AID; profiles have no other way to name one."""
    matches = [each for each in load_file.modules if each == instance.aid] or list(load_file.modules)
    if len(matches) != 1:
        raise PlanError(f"load file {load_file.aid} has {len(matches)} modules that {instance.aid} could come from")
    return matches[0]
