"""A ledger in which two supervisors decide about records that were made, or failed, or came back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bureau.ledger import accounts, auditing, claims, decisions, reissues, requests, views
from bureau.ledger.claims import Claim
from bureau.ledger.ledger import Ledger
from bureau.models import AttemptOutcome, BatchId, CardId, CardState, JobId, RequestId, RequestState, Role
from tests.bureau.ledgers import (
    NOW,
    SIM1,
    finish,
    open_encoder,
    opened,
    state,
    take,
    write,
)

DAY = timedelta(hours=24)


@contextmanager
def staffed(path: Path) -> Iterator[Ledger]:
    """Open a ledger with two supervisors' accounts and an open encoder."""
    with opened(path) as ledger:
        with ledger.write("root", NOW) as tx:
            for name in ("anna", "berta"):
                accounts.add(tx, name, Role.SUPERVISOR, b"salt", b"verifier")
        open_encoder(ledger, SIM1)
        yield ledger


def ask(ledger: Ledger, subject: Mapping[str, Any], action: str = "withdraw", by: str = "anna") -> RequestId:
    with ledger.write(by, NOW) as tx:
        return requests.ask(tx, action, subject, "because", by, DAY, about="")


def approve(ledger: Ledger, number: RequestId, by: str = "berta", now: datetime = NOW) -> tuple[BatchId, ...]:
    """Carry a request out as its second person does."""
    with ledger.write(by, now) as tx:
        request = requests.find(tx.connection, number, now)
        requests.done(tx, request, by)
        carry_out = {"withdraw": decisions.withdraw, "requeue": decisions.requeue, "reissue": reissues.approve}
        return carry_out[request.action](tx, request.subject)


def decline(ledger: Ledger, number: RequestId, by: str = "berta", now: datetime = NOW) -> None:
    with ledger.write(by, now) as tx:
        requests.declined(tx, requests.find(tx.connection, number, now), by, "no")


def withdraw(ledger: Ledger, *cards: CardId, jobs: tuple[JobId, ...] = ()) -> RequestId:
    with ledger.read() as connection:
        subject = decisions.to_withdraw(connection, cards, jobs)
    return ask(ledger, subject)


def requeue(ledger: Ledger, *cards: CardId) -> RequestId:
    with ledger.read() as connection:
        subject = decisions.to_requeue(connection, cards)
    return ask(ledger, subject, "requeue")


def scrap(ledger: Ledger, *cards: CardId) -> tuple[BatchId, ...]:
    with ledger.write("anna", NOW) as tx:
        return decisions.scrap(tx, cards, "useless")


def standing(ledger: Ledger, number: RequestId, now: datetime = NOW) -> tuple[RequestState, str | None]:
    with ledger.read() as connection:
        found = requests.find(connection, number, now)
    return found.state, found.decided_by


def cards(ledger: Ledger, number: JobId) -> list[CardId]:
    with ledger.read() as connection:
        return [each.card for each in views.list_cards(connection, number)]


def states(ledger: Ledger, number: JobId) -> list[CardState]:
    return [state(ledger, card) for card in cards(ledger, number)]


def log(ledger: Ledger, *actions: str) -> list[tuple[str, str, str]]:
    with ledger.read() as connection:
        found = list(auditing.entries(connection))
    return [(each.actor, each.action, each.subject) for each in found if each.action in actions]


def fail(ledger: Ledger, end: CardState = CardState.REJECTED, chip: str = "AA") -> Claim:
    """Make a card that is rejected or suspect."""
    claim = take(ledger)
    write(ledger, claim, chip)
    finish(ledger, claim, end, AttemptOutcome.SPOILED if end is CardState.REJECTED else AttemptOutcome.UNKNOWN)
    return claim


def come_back(ledger: Ledger) -> Claim:
    """Let a record come back three times unwritten."""
    for _ in range(3):
        claim = take(ledger)
        claims.give_back(ledger, claim, "wrong card", 1, NOW)
    return claim
