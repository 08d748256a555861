"""Checks card records against what the bureau knows: profiles, products, keys and the references in use."""

from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache

from lxml import etree

from bureau.containers import Known
from bureau.containers.lines import Place
from bureau.containers.orders import applications, configuration, element_name
from hardware.keystores import KeyId, KeyInfo, Mode, Purpose, Transport
from hardware.perso import check
from hardware.perso.order import ApplicationOrder, Order, UniqueID
from hardware.perso.product import Product
from hardware.perso.profiles import CardProfile
from hardware.scp import channel

Job = tuple[int, int | UniqueID]
"""A batch's position and a job's in it, or the card profile that a notification's job is made for."""


class Inspector:
    """Asks *known* once for each thing that the file names, and remembers each job's key mode."""

    def __init__(self, known: Known) -> None:
        self._application = lru_cache(maxsize=None)(known.application)
        self._card = lru_cache(maxsize=None)(known.card)
        self._product = lru_cache(maxsize=None)(known.product)
        self._naming = lru_cache(maxsize=None)(known.card_profiles_naming)
        self._key = lru_cache(maxsize=None)(known.key)
        self._modes: dict[Job, tuple[Mode, KeyId]] = {}
        self._said: set[tuple[Job, str]] = set()
        """What was said of a job and needn't be said of each of its cards."""
        self.keys: defaultdict[Job, set[UniqueID]] = defaultdict(set)
        """The transport keys that each job names."""

    def card(self, profile: UniqueID) -> CardProfile | None:
        """Return a registered card profile."""
        return self._card(profile)

    def product(self, profile: UniqueID) -> Product | None:
        """Return the card product that meets a card profile."""
        return self._product(profile)

    def naming(self, order: Order, root: etree._Element, place: Place) -> UniqueID | None:
        """Return the one card profile whose instances name every application profile of a notification."""
        wanted = [application.profile for application in order.applications]
        named = [profile for profile in wanted if profile is not None]
        if len(named) < len(wanted) or not named:
            place.wrong(root, "ApplicationProfileUniqueID", "is missing, so no card profile can be found for the record")
            return None
        if any(self._application(profile) is None for profile in named):
            return None
        fitting = set.intersection(*({card.id for card in self._naming(profile)} for profile in named))
        if len(fitting) != 1:
            said = f"{', '.join(named)} must lead to one registered card profile, but {len(fitting)} name it"
            place.wrong(root, "ApplicationProfileUniqueID", said)
            return None
        return fitting.pop()

    def inspect(self, order: Order, root: etree._Element, place: Place, job: Job) -> None:
        """Say what is wrong with one order."""
        card = configuration(root)
        if not order.card_profiles and card is not root:
            place.wrong(card, "ValidCardProfileID", "is missing: the record names no card profile")
        cards = [found for each in order.card_profiles if (found := self._profile(each, card, place, job)) is not None]
        elements = applications(root)
        culprits = [_Culprits(element) for element in elements]
        for element, application in zip(elements, order.applications, strict=True):
            self._named(application, element, place)
            self._transports(application, element, place, job)
        said: set[tuple[int | None, str, str]] = set()
        for each in cards:
            product = self._product(each.id)
            if product is None:
                continue
            for problem in self._problems(order, each, product):
                if (key := (problem.application, problem.element, problem.message)) not in said:
                    said.add(key)
                    at = problem.application
                    element = card if at is None else culprits[at].of(problem.element)
                    place.wrong(element, problem.element, problem.message, warning=problem.warning)

    def _problems(self, order: Order, card: CardProfile, product: Product) -> Iterator[check.Problem]:
        profiles = {
            each.profile: found
            for each in order.applications
            if each.profile is not None and (found := self._application(each.profile)) is not None
        }
        block = channel(product.scp).WRAP.block if product.scp else 16
        yield from check.problems(order, card, profiles, product, block)

    def _profile(self, profile: UniqueID, card: etree._Element, place: Place, job: Job) -> CardProfile | None:
        """Return the card profile if it, its product and the product's master key are registered."""
        found = self._card(profile)
        if found is None:
            place.wrong(card, "ValidCardProfileID", f"{profile} isn't registered; `bureau profiles add` registers it")
            return None
        product = self._product(profile)
        if product is None:
            self._say_once(card, place, job, "ValidCardProfileID", f"no card product meets {profile}")
        else:
            self._master(product, card, place, job)
        return found

    def _named(self, application: ApplicationOrder, element: etree._Element, place: Place) -> None:
        if application.profile is None:
            if element.find("{*}ApplicationProfileUniqueID") is None:
                place.wrong(element, "ApplicationProfileUniqueID", "is missing, so the data can't be checked")
        elif self._application(application.profile) is None:
            place.wrong(
                element, "ApplicationProfileUniqueID",
                f"{application.profile} isn't registered; `bureau profiles add` registers it",
            )  # fmt: skip

    def _transports(self, application: ApplicationOrder, element: etree._Element, place: Place, job: Job) -> None:
        """Check the transport keys of one application, and that what stands under each is whole blocks of it."""
        given = [each for data_set in application.data for each in data_set.elements]
        culprits = _Culprits(element)
        for transport in dict.fromkeys(each.transport for each in given if each.transport is not None):
            key = self._transport(transport, element, place, job)
            if key is None:
                continue
            block = key.algorithm.block
            for each in (each for each in given if each.transport == transport):
                if len(each.value) % (2 * block) or not each.value:
                    text = f"has {len(each.value) / 2:g} bytes, no multiple of the transport key's {block}-byte block"
                    place.wrong(culprits.of(each.name), each.name, text)

    def _transport(self, transport: Transport, element: etree._Element, place: Place, job: Job) -> KeyInfo | None:
        identifier = UniqueID(transport.key)
        self.keys[job].add(identifier)
        keys = element.iter("{*}TransportKey")
        culprit = next((each for each in keys if str(each.get("ID", "")).strip().upper() == identifier), element)
        info = self._key(identifier)
        if info is None or info.purpose is not Purpose.TRANSPORT:
            place.wrong(culprit, "TransportKey/@ID", _unfit(identifier, Purpose.TRANSPORT, info))
            return None
        if transport.iv and len(transport.iv) != info.algorithm.block:
            text = f"has {len(transport.iv)} bytes where the key's block has {info.algorithm.block}"
            place.wrong(culprit, "TransportKey/@AlgorithmParameters", text)
        self._keep_mode(info, culprit, "TransportKey/@ID", place, job)
        return info

    def _master(self, product: Product, card: etree._Element, place: Place, job: Job) -> None:
        for master in product.masters():
            info = self._key(UniqueID(master))
            if info is None or info.purpose is not product.purpose:
                self._say_once(card, place, job, "ValidCardProfileID", _unfit(master, product.purpose, info))
            else:
                self._keep_mode(info, card, "ValidCardProfileID", place, job)

    def _keep_mode(self, info: KeyInfo, element: etree._Element, name: str, place: Place, job: Job) -> None:
        """Say so, once a job, where a job's keys are of both modes."""
        mode, first = self._modes.setdefault(job, (info.mode, info.id))
        if mode is not info.mode:
            text = f"key {info.id} is a {info.mode} key, but the job already uses {first}, a {mode} key"
            self._say_once(element, place, job, name, text)

    def _say_once(self, element: etree._Element, place: Place, job: Job, name: str, message: str) -> None:
        if (job, message) not in self._said:
            self._said.add((job, message))
            place.wrong(element, name, message)


class _Culprits:
    """Finds the element of an ApplicationData that a name is about; looked through once, and only if anything is wrong."""

    def __init__(self, application: etree._Element) -> None:
        self._application = application
        self._found: dict[str, etree._Element] | None = None

    def of(self, name: str) -> etree._Element:
        """Return the Data pair of *name*, the instruction naming it, or the ApplicationData itself."""
        if self._found is None:
            self._found = {}
            pairs = list(self._application.iter("{*}Data"))
            for each in pairs:
                self._found.setdefault(element_name(str(each.get("DataElement", ""))), each)
            for each in pairs:
                for word in str(each.get("Value", "")).split():
                    self._found.setdefault(element_name(word), each)
        return self._found.get(name, self._application)


def _unfit(key: str, purpose: Purpose, info: KeyInfo | None) -> str:
    reason = "isn't registered; `bureau keys import` registers it" if info is None else f"is no {purpose} key"
    return f"{purpose} key {key} {reason}"
