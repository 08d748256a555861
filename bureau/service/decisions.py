"""What takes two people, and what one supervisor decides about records that failed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bureau.errors import BureauError, NotAllowedError
from bureau.ledger import accounts, decisions, destruction, reissues, requests
from bureau.ledger.ledger import Transaction
from bureau.ledger.requests import Request
from bureau.models import BatchId, CardId, JobId, RequestId, Role
from bureau.service import people
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
    carry_out: Callable[[Transaction, Request], tuple[BatchId, ...]]


TWO_PEOPLE: Final[Mapping[str, TwoPeople]] = {
    each.ask.value: each
    for each in (
        TwoPeople(
            ask=Action.WITHDRAW,
            approve=Action.APPROVE_WITHDRAW,
            about=decisions.about,
            carry_out=lambda tx, asked: decisions.withdraw(tx, asked.subject),
        ),
        TwoPeople(
            ask=Action.REQUEUE,
            approve=Action.APPROVE_REQUEUE,
            about=decisions.about,
            carry_out=lambda tx, asked: decisions.requeue(tx, asked.subject),
        ),
        TwoPeople(
            ask=Action.REISSUE,
            approve=Action.APPROVE_REISSUE,
            about=reissues.about,
            carry_out=lambda tx, asked: reissues.approve(tx, asked.subject),
        ),
        TwoPeople(
            ask=Action.DESTROY,
            approve=Action.APPROVE_DESTROY,
            about=destruction.about,
            carry_out=destruction.destroy,
        ),
        TwoPeople(
            ask=Action.ACCOUNTS,
            approve=Action.APPROVE_ACCOUNTS,
            about=accounts.about,
            carry_out=accounts.approve,
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


def ask_to_reissue(plant: Plant, jobs: Sequence[JobId], reason: str, person: Person) -> Request:
    """Ask for what a submitted job makes a second time, where its request was declined or expired; raises BureauError."""
    with plant.ledger.read() as connection:
        subject = reissues.to_reissue(connection, jobs, plant.clock())
    return ask(plant, TWO_PEOPLE[Action.REISSUE], subject, reason, person)


def ask_to_destroy(plant: Plant, stock: str, job: JobId | None, count: int, reason: str, person: Person) -> Request:
    """Say that so many spent plastics are destroyed, which somebody else has seen; raises BureauError."""
    with plant.ledger.read() as connection:
        subject = destruction.to_destroy(connection, stock, job, count)
    return ask(plant, TWO_PEOPLE[Action.DESTROY], subject, reason, person)


def add_account(plant: Plant, name: str, role: Role, passphrase: bytes, person: Person | None) -> Request | None:
    """Add an account; where that takes two people it waits, and what was asked is returned.

    person: who adds it, None where nobody has an account. Raises BureauError for a name or passphrase that won't do,
    NotAllowedError for a name in use.
    """
    people.checked(name)
    salt, verifier = people.stretched(passphrase)
    with plant.ledger.write(person.actor if person else plant.settings.user, plant.clock()) as tx:
        if person is None and accounts.exist(tx.connection):
            raise NotAllowedError("somebody has an account by now, so nobody acts without one", "Say --as NAME.")
        if person is not None:
            accounts.active(tx, person.name)
        waiting = person is not None and accounts.takes_two(tx.connection)
        accounts.add(tx, name, role, salt, verifier, waiting=waiting)
        if person is None or not waiting:
            return None
        return ask_in(tx, plant, TWO_PEOPLE[Action.ACCOUNTS], {"add": name, "role": role}, f"a new {role}", person)


def unlock_account(plant: Plant, name: str, person: Person) -> Request | None:
    """Unlock an account; where that takes two people, return what was asked. Raises NotFoundError, NotAllowedError."""
    with plant.ledger.write(person.actor, plant.clock()) as tx:
        if not accounts.takes_two(tx.connection):
            accounts.unlock(tx, name)
            return None
        subject = accounts.to_unlock(tx, name)
        return ask_in(tx, plant, TWO_PEOPLE[Action.ACCOUNTS], subject, "locked by wrong passphrases", person)


def ask(plant: Plant, action: TwoPeople, subject: Subject, reason: str, person: Person) -> Request:
    """Ask for something that somebody else has to approve; raises BureauError."""
    person.allow(action.ask)
    why = said(reason)
    with plant.ledger.write(person.actor, plant.clock()) as tx:
        return ask_in(tx, plant, action, subject, why, person)


def ask_in(tx: Transaction, plant: Plant, action: TwoPeople, subject: Subject, why: str, person: Person) -> Request:
    """Ask as part of another change; raises NotAllowedError where who asks was retired meanwhile."""
    accounts.active(tx, person.name)
    wait, about = plant.settings.approval, action.about(subject)
    number = requests.ask(tx, action.ask.value, subject, why, person.name, wait, about=about)
    return requests.find(tx.connection, number, tx.at)


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
        accounts.active(tx, person.name)
        requests.done(tx, request, person.name)
        return request, action.carry_out(tx, request)


def decline(plant: Plant, number: RequestId, reason: str, person: Person) -> Request:
    """Close a request without doing it, also one's own; raises NotFoundError, NotAllowedError."""
    why, now = said(reason), plant.clock()
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
    why = said(reason)
    with plant.ledger.write(actor, plant.clock()) as tx:
        return decisions.scrap(tx, cards, why)


def _action(request: Request) -> TwoPeople:
    if request.action not in TWO_PEOPLE:
        raise NotAllowedError(f"nothing is known here of how to {request.action}", "Use the program that asked for it.")
    return TWO_PEOPLE[request.action]


def said(reason: str) -> str:
    """Return the *reason* of a decision; raises BureauError for none."""
    if not (why := reason.strip()):
        raise BureauError("a decision needs its reason", "Say in --reason why; the audit log keeps it.")
    return why
