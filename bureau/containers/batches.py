"""Draws up the requests of a file: what it says, and the defaults where it says nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from bureau.containers import Defaults, commons
from bureau.containers.attributes import due
from bureau.containers.frame import BatchDraft, JobDraft, LotDraft
from bureau.models import Batch, Environment, Form, Interpreter, JobHeader, LotHeader, Preference
from hardware.perso.order import UniqueID
from hardware.perso.product import Product
from hardware.perso.profiles import CardProfile


class Shelf(Protocol):
    """Where card profiles and the products that meet them are found."""

    def card(self, profile: UniqueID) -> CardProfile | None:
        """Return a registered card profile."""

    def product(self, profile: UniqueID) -> Product | None:
        """Return the card product that meets a card profile."""


@dataclass(slots=True, kw_only=True)
class Lot:
    """The cards of one lot: how many, the first one's line and CRN, and the card profiles that will do for all."""

    line: int
    crn: str
    cards: int = 0
    profiles: tuple[UniqueID, ...] = ()
    named: bool = True
    """Whether each card names a profile."""
    scripted: bool = False
    """Whether any card has a step that only an interpreter can do."""

    def take(self, profiles: tuple[UniqueID, ...], *, scripted: bool) -> None:
        """Count one card that any of *profiles* will do for."""
        self.profiles = profiles if not self.cards else tuple(each for each in self.profiles if each in profiles)
        self.named = self.named and bool(profiles)
        self.scripted = self.scripted or scripted
        self.cards += 1


def batch(draft: BatchDraft, lots: Mapping[tuple[int, int], Lot], defaults: Defaults, shelf: Shelf) -> Batch:
    """Return the request that *draft* stands for; *lots* by job and lot."""
    identifier = _identifier(draft, lots)
    if draft.form is Form.BATCH:
        jobs = tuple(
            _job(job, {lot: found for (at, lot), found in lots.items() if at == place}, identifier, defaults, shelf)
            for place, job in enumerate(draft.jobs)
        )
    else:
        jobs = tuple(_bare(lots[place, 0], identifier, defaults, shelf) for place in range(len(lots)))
    return Batch(
        form=draft.form,
        batch_id=identifier,
        issuer=draft.attributes["IssuingEntity"] if draft.form is Form.BATCH else defaults.issuer or "",
        processing_entity=draft.attributes.get("ProcessingEntity", ""),
        user_data=draft.attributes.get("UserData"),
        namespace=draft.dialect.namespace,
        envelope=draft.envelope,
        context=draft.context,
        jobs=jobs,
    )


def _identifier(draft: BatchDraft, lots: Mapping[tuple[int, int], Lot]) -> str:
    first = draft.attributes.get("BatchID")
    if draft.form is Form.NOTIFICATION and first != draft.container:
        return f"{first}..{draft.container}"
    if first is not None:
        return first
    return draft.envelope.transaction_id if draft.envelope is not None else lots[0, 0].crn


def _job(job: JobDraft, lots: Mapping[int, Lot], identifier: str, defaults: Defaults, shelf: Shelf) -> JobHeader:
    given, named = job.attributes, job.environment
    support, kind = named.get("CommandInterpreterSupport"), named.get("CommandInterpreterType")
    interpreter = None
    if support is not None or kind is not None:
        interpreter = Interpreter(
            support=Preference(int(support or Preference.ANY)), type=kind or "",
            version=named.get("CommandInterpreterVersion", ""),
        )  # fmt: skip
    if any(lot.scripted for lot in lots.values()):
        interpreter = _needed(interpreter)
    return JobHeader(
        job_id=given.get("JobID", identifier),
        priority=int(given.get("JobPriorityLevel", defaults.priority)),
        risk=int(given.get("RiskLevel", defaults.risk)),
        environment=Environment(
            name=named["EnvironmentName"], version=named["EnvironmentVersion"],
            preference=Preference(int(named["Preference"])), interpreter=interpreter,
        ),
        environment_index=job.environment_index,
        lots=tuple(_lot(draft, lots[place], defaults, shelf) for place, draft in enumerate(job.lots)),
    )  # fmt: skip


def _needed(asked: Interpreter | None) -> Interpreter:
    """Return the interpreter *asked* for as one that scripts can't do without, whatever the environment says of it."""
    any_kind = Interpreter(support=Preference.MANDATORY, type="", version="")
    return any_kind if asked is None else replace(asked, support=Preference.MANDATORY)


def _lot(draft: LotDraft, lot: Lot, defaults: Defaults, shelf: Shelf) -> LotHeader:
    given = draft.attributes
    required = given.get("RequiredProcessingDate")
    return LotHeader(
        generation_date=given["DataGenerationDate"],
        card_product=given["CardProductID"],
        card_product_version=given["CardProductVersion"],
        issuer_name=given["IssuerName"],
        record_count=lot.cards,
        stock=given.get("PlasticStockID") or _stock(lot, shelf),
        required_date=required,
        due=None if required is None else due(required, defaults.plant),
        profiles=lot.profiles,
        protocols=_protocols(lot, shelf),
        common=() if draft.common is None else commons.structure(draft.common.root),
    )


def _bare(lot: Lot, identifier: str, defaults: Defaults, shelf: Shelf) -> JobHeader:
    """Return the one job of a form that names none: its environment is its product's, its stock its card profile's."""
    product = shelf.product(lot.profiles[0])
    header = LotHeader(
        generation_date="", card_product="", card_product_version="", issuer_name=defaults.issuer or "",
        record_count=lot.cards, stock=_stock(lot, shelf), required_date=None, due=None, profiles=lot.profiles,
        protocols=_protocols(lot, shelf),
    )  # fmt: skip
    environment = Environment(
        name=product.environment if product else "", version=product.environment_version if product else "",
        preference=Preference.COMPATIBLE, interpreter=_needed(None) if lot.scripted else None,
    )  # fmt: skip
    return JobHeader(
        job_id=identifier, priority=defaults.priority, risk=defaults.risk, environment=environment,
        environment_index=0, lots=(header,),
    )  # fmt: skip


def _stock(lot: Lot, shelf: Shelf) -> str:
    card = shelf.card(lot.profiles[0])
    return (card.stock if card is not None else None) or ""


def _protocols(lot: Lot, shelf: Shelf) -> tuple[str, ...]:
    """Return what the cards of *lot* talk; nothing, which is anything, where a profile that will do doesn't say."""
    said = [card.protocols if (card := shelf.card(profile)) else () for profile in lot.profiles]
    return tuple(dict.fromkeys(each for protocols in said for each in protocols)) if all(said) else ()
