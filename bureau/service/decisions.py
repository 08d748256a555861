"""What takes two people, and what one supervisor decides about records that failed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bureau.errors import BureauError, NotAllowedError
from bureau.ledger import decisions, requests
from bureau.ledger.ledger import Transaction
from bureau.ledger.requests import Request
from bureau.models import BatchId, CardId, JobId, RequestId
from bureau.service.people import Action, Person
from bureau.service.plant import Plant

Subject = Mapping[str, Any]
"""What a request is about, as JSON; only its own action reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoPeople:
    """One action that takes two: what asking and approving are called, and how it is carried out.

    *carry_out* runs in the approving transaction, all or nothing, and returns the batches that closed by it.
    """

    ask: Action
    approve: Action
    about: Callable[[Subject], str]
    carry_out: Callable[[Transaction, Subject], tuple[BatchId, ...]]


TWO_PEOPLE: Final[Mapping[str, TwoPeople]] = {
    each.ask.value: each
    for each in (
        TwoPeople(
            ask=Action.WITHDRAW,
            approve=Action.APPROVE_WITHDRAW,
            about=decisions.about,
            carry_out=decisions.withdraw,
        ),
        TwoPeople(
            ask=Action.REQUEUE,
            approve=Action.APPROVE_REQUEUE,
            about=decisions.about,
            carry_out=decisions.requeue,
        ),
    )
}
"""Everything that takes two people, by the name that its requests have."""


def ask_to_withdraw(plant: Plant, cards: Sequence[CardId], jobs: Sequence[JobId], reason: str, person: Person) -> Request:
    """Ask for unwritten records to be withdrawn; raises BureauError."""
    with plant.ledger.read() as connection:
        subject = decisions.to_withdraw(connection, cards, jobs)
    return ask(plant, TWO_PEOPLE[Action.WITHDRAW], dict(subject), reason, person)


def ask_to_requeue(plant: Plant, cards: Sequence[CardId], reason: str, person: Person) -> Request:
    """Ask for records to be made again; raises BureauError."""
    with plant.ledger.read() as connection:
        subject = decisions.to_requeue(connection, cards)
    return ask(plant, TWO_PEOPLE[Action.REQUEUE], dict(subject), reason, person)


def ask(plant: Plant, action: TwoPeople, subject: Subject, reason: str, person: Person) -> Request:
    """Ask for something that somebody else has to approve; raises BureauError."""
    person.allow(action.ask)
    why, now = _said(reason), plant.clock()
    with plant.ledger.write(person.actor, now) as tx:
        wait, about = plant.settings.approval, action.about(subject)
        number = requests.ask(tx, action.ask.value, subject, why, person.name, wait, about=about)
        return requests.find(tx.connection, number, now)


def approve(plant: Plant, number: RequestId, person: Person) -> tuple[Request, tuple[BatchId, ...]]:
    """Do what somebody else asked for; returns the request and the batches that closed by it: their trails are due.

    Another account of the same OS user may approve: a floor's shared terminal has one, and the log names it beside each.
    Raises NotFoundError; NotAllowedError for one's own request, another role's, one that is decided or too old, and where
    what it is about has changed since. Nothing is done then, and an open request stays open.
    """
    now = plant.clock()
    requests.expire(plant.ledger, now)
    with plant.ledger.write(person.actor, now) as tx:
        request = requests.find(tx.connection, number, now)
        action = _action(request)
        person.allow(action.approve)
        requests.done(tx, request, person.name)
        return request, action.carry_out(tx, request.subject)


def decline(plant: Plant, number: RequestId, reason: str, person: Person) -> Request:
    """Close a request without doing it, also one's own; raises NotFoundError, NotAllowedError."""
    why, now = _said(reason), plant.clock()
    requests.expire(plant.ledger, now)
    with plant.ledger.write(person.actor, now) as tx:
        request = requests.find(tx.connection, number, now)
        if person.name != request.asked_by:
            person.allow(_action(request).approve)
        requests.declined(tx, request, person.name, why)
        return request


def about(request: Request) -> str:
    """Return in words what a request is about."""
    return _action(request).about(request.subject)


def scrap(plant: Plant, cards: Sequence[CardId], reason: str, actor: str) -> tuple[BatchId, ...]:
    """Give failed records up; returns the batches that closed by it: their trails are due. Raises BureauError."""
    why = _said(reason)
    with plant.ledger.write(actor, plant.clock()) as tx:
        return decisions.scrap(tx, cards, why)


def _action(request: Request) -> TwoPeople:
    if request.action not in TWO_PEOPLE:
        raise NotAllowedError(f"nothing is known here of how to {request.action}", "Use the program that asked for it.")
    return TWO_PEOPLE[request.action]


def _said(reason: str) -> str:
    if not (said := reason.strip()):
        raise BureauError("a decision needs its reason", "Say in --reason why; the audit log keeps it.")
    return said
