"""The Plan of one card: what will be done, in order, from the order, the profiles, the product and what the card holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from math import inf
from operator import or_
from typing import Final

from hardware.errors import PlanError
from hardware.gp.loadfile import LoadFile
from hardware.gp.registry import Entry, Registry
from hardware.iso7816 import AID
from hardware.perso.layout import Layout, layout
from hardware.perso.order import Action, ApplicationOrder, Order, Step, TargetState, UniqueID
from hardware.perso.product import Product
from hardware.perso.profiles import ApplicationInstance, ApplicationProfile, CardProfile
from hardware.perso.rotation import Rotation
from hardware.perso.steps import Delete, Install, Load, Origin, Personalize, PlanStep
from hardware.perso.values import coded, elements

OPEN: Final = (0x01, 0x07, 0x0F)
"""Life cycle states of a card whose content may change: OP_READY, INITIALIZED, SECURED (GPCS table 11-6)."""

LOADED: Final = 0x01
"""The life cycle state of a load file (GPCS table 11-3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What the bureau holds registered for one card profile."""

    card: CardProfile
    applications: Mapping[UniqueID, ApplicationProfile]
    load_files: Mapping[UniqueID, LoadFile]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps of one card, the change of its keys ahead of them, and the states that applications must then report."""

    steps: tuple[PlanStep, ...]
    states: Mapping[AID, int]
    rotation: Rotation | None = None

    def __str__(self) -> str:
        rotation = (self.rotation,) if self.rotation else ()
        return "\n".join(map(str, (*rotation, *self.steps)))


def security_level(order: Order, product: Product) -> int:
    """Return the level that the one channel needs: all the protection that its steps ask for, else the product's."""
    asked = [step.instructions.security_level for application in order.applications for step in application.steps]
    stated = [level for level in asked if level is not None]
    return reduce(or_, stated) if stated else product.level


def plan(order: Order, catalog: Catalog, product: Product, registry: Registry) -> Plan:
    """Plan one card; raises PlanError where the order can't be carried out, before anything is written.

    Applications are made in the Order of their AIDs, then those that none is given for. A LOAD or INSTALL that nobody asked
    for is made where an INSTALL, a PERSONALIZE or the state to be reached needs it.
    """
    if registry.isd.state not in OPEN:
        raise PlanError(f"the card is in state {registry.isd.state:02X}, in which it takes nothing")
    making = _Making(catalog, product, registry)
    tasks = _tasks(order, catalog.card)
    steps = tuple(step for task in tasks for step in making.steps(task))
    states = making.applications
    for task in tasks:
        if task.state and states.get(task.instance.aid) != task.state.code:
            raise PlanError(f"the steps asked for don't bring {task.instance.aid} to {task.state}")
    return Plan(
        steps=steps,
        states={aid: states[aid] for task in tasks if (aid := task.instance.aid) in states},
        rotation=Rotation(transport=product.kvn, kvn=product.keys.kvn) if product.keys else None,
    )


def blank(catalog: Catalog, domain: AID) -> Registry:
    """Return what a card holds that nothing was made on yet: its security *domain*, and the load files in its ROM."""
    masked = {each.profile for each in catalog.card.load_files if each.masked}
    codes = (code for profile, code in catalog.load_files.items() if profile in masked)
    return Registry(
        isd=Entry(aid=domain, state=OPEN[0]),
        applications=(),
        load_files=tuple(Entry(aid=code.aid, state=LOADED) for code in codes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One application to make: what is asked for, its *place* in the record, and its *rank* among the others."""

    instance: ApplicationInstance
    asked: ApplicationOrder
    place: int
    rank: float
    state: TargetState | None


def _tasks(order: Order, card: CardProfile) -> list[_Task]:
    """Return the applications of the record, and the AIDs that must reach a state without any step of their own."""
    alone = (
        ApplicationOrder(aid=target.aid, profile=None, steps=())
        for target in order.targets
        if target.state and all(order.aid(application) != target.aid for application in order.applications)
    )
    targets = {target.aid: target for target in order.targets}
    tasks: dict[AID, _Task] = {}
    for place, asked in enumerate((*order.applications, *alone)):
        instance = card.instance(order.aid(asked), asked.profile)
        target = targets.get(instance.aid)
        if instance.aid in tasks and asked.steps:
            raise PlanError(f"the record names application {instance.aid} twice")
        rank, state = (target.order, target.state) if target else (inf, None)
        tasks.setdefault(instance.aid, _Task(instance=instance, asked=asked, place=place, rank=rank, state=state))
    return sorted(tasks.values(), key=lambda task: task.rank)


class _Making:
    """Turns processing steps into plan steps, keeping track of what the card will hold at each point."""

    def __init__(self, catalog: Catalog, product: Product, registry: Registry) -> None:
        self.catalog, self.product, self.domain = catalog, product, registry.isd.aid
        self.load_files = {entry.aid for entry in registry.load_files}
        self.applications = {entry.aid: entry.state for entry in registry.applications}
        self.made: set[AID] = set()
        """What this plan has put onto the card: it isn't made a second time."""

    def steps(self, task: _Task) -> Iterator[PlanStep]:
        """Yield the steps of one application."""
        for at, step in enumerate(task.asked.steps):
            origin = Origin(task.place, at)
            if step.script is not None:
                raise PlanError("a script needs an interpreter, and this engine has none yet")
            if step.action is Action.LOAD:
                yield from self.load(task.instance, origin, again=step.mandatory)
            elif step.action is Action.INSTALL:
                yield from self.install(task, origin, again=step.mandatory)
            else:
                yield from self.personalize(task, step, origin)
        if task.state and task.instance.aid not in self.applications:
            yield from self.install(task, None, again=False)

    def load(self, instance: ApplicationInstance, origin: Origin | None, *, again: bool) -> Iterator[PlanStep]:
        """Load the instance's load file where the card lacks it, or *again*."""
        load_file = self._load_file(instance)
        if load_file.aid in self.load_files:
            if not again or load_file.aid in self.made:
                return
            yield self._delete(load_file.aid, origin, related=True)
            self._forget_applications(load_file)
        masked = any(each.masked for each in self.catalog.card.load_files if each.profile == instance.load_file)
        if masked:
            raise PlanError(f"load file {load_file.aid} should be in this card's ROM and isn't")
        try:
            blocks = load_file.load_blocks(self.product.block)
        except ValueError as wrong:
            raise PlanError(str(wrong)) from wrong
        self.load_files.add(load_file.aid)
        self.made.add(load_file.aid)
        yield Load(load_file=load_file, blocks=blocks, security_domain=self.domain, origin=origin)

    def install(self, task: _Task, origin: Origin | None, *, again: bool) -> Iterator[PlanStep]:
        """Install the instance where the card lacks it, or *again*."""
        instance = task.instance
        if instance.aid in self.applications:
            if not again or instance.aid in self.made:
                return
            yield self._delete(instance.aid, origin, related=False)
        yield from self.load(instance, None, again=False)
        load_file = self._load_file(instance)
        state = TargetState.INSTALLED if task.state is TargetState.INSTALLED else TargetState.SELECTABLE
        self.applications[instance.aid] = state.code
        self.made.add(instance.aid)
        step = Install(
            load_file=load_file.aid,
            module=_module(load_file, instance),
            instance=instance,
            selectable=state is TargetState.SELECTABLE,
            origin=origin,
        )
        if (size := len(step.command.data)) > self.product.block:
            raise PlanError(f"INSTALL of {instance.aid} has {size} bytes of data where a command takes {self.product.block}")
        yield step

    def personalize(self, task: _Task, step: Step, origin: Origin) -> Iterator[PlanStep]:
        """Store the step's data, first making anew an application that was personalized before; the last step ends it."""
        aid, done = task.instance.aid, self.applications.get(task.instance.aid) == TargetState.PERSONALIZED.code
        if done and not any(each.mandatory for each in task.asked.steps if each.action is Action.PERSONALIZE):
            return
        yield from self.install(task, origin if done else None, again=done)
        if self.applications[aid] != TargetState.SELECTABLE.code:
            raise PlanError(f"application {aid} is in state {self.applications[aid]:02X}, in which it takes no data")
        final = all(each.action is not Action.PERSONALIZE for each in task.asked.steps[origin.step + 1 :])
        if final:
            self.applications[aid] = TargetState.PERSONALIZED.code
        yield Personalize(aid=aid, layout=self._layout(task.asked, step), final=final, origin=origin)

    def _layout(self, application: ApplicationOrder, step: Step) -> Layout:
        profile = self.catalog.applications.get(application.profile) if application.profile else None
        if profile is None:
            raise PlanError(f"application profile {application.profile} isn't registered")
        try:
            values = coded(elements(application, step), profile)
            return layout(values, step.instructions, room=self.product.block, packing=self.product.packing)
        except ValueError as wrong:
            raise PlanError(str(wrong)) from wrong

    def _load_file(self, instance: ApplicationInstance) -> LoadFile:
        load_file = self.catalog.load_files.get(instance.load_file)
        if load_file is None:
            raise PlanError(f"the code of load file profile {instance.load_file} isn't registered")
        return load_file

    def _delete(self, aid: AID, origin: Origin | None, *, related: bool) -> Delete:
        if not self.product.replace:
            raise PlanError(f"{aid} is on the card already and {self.product.name} doesn't allow it to be made again")
        return Delete(aid=aid, related=related, origin=origin)

    def _forget_applications(self, load_file: LoadFile) -> None:
        """Reckon with the applications that go with their load file."""
        for each in self.catalog.card.applications:
            if self.catalog.load_files.get(each.load_file) is load_file:
                if each.aid in self.made:
                    raise PlanError(f"loading {load_file.aid} again would delete {each.aid}, which this plan makes")
                self.applications.pop(each.aid, None)


def _module(load_file: LoadFile, instance: ApplicationInstance) -> AID:
    """Return the only module, or the one of the instance's own AID; profiles have no other way to name one."""
    matches = [each for each in load_file.modules if each == instance.aid] or list(load_file.modules)
    if len(matches) != 1:
        raise PlanError(f"load file {load_file.aid} has {len(matches)} modules that {instance.aid} could come from")
    return matches[0]
