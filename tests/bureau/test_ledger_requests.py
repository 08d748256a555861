"""What takes two people: asked by one, approved or declined by another, within a time, once."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger import auditing, requests, schema
from bureau.ledger.ledger import Ledger
from bureau.models import RequestId, RequestState
from tests.bureau.deciding import DAY, approve, cards, decline, log, staffed, standing, states, withdraw
from tests.bureau.ledgers import (
    NOW,
    authenticate,
    job,
    lot,
    submit,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with staffed(tmp_path / "ledger.db") as ledger:
        yield ledger


def test_what_one_asks_for_another_approves(ledger: Ledger) -> None:
    """Nothing happens before; afterwards the log names both."""
    (number,) = submit(ledger, "A", job("1", lot(2)))
    first, _ = cards(ledger, number)
    asked = withdraw(ledger, first)
    assert states(ledger, number) == ["ready", "ready"]
    assert standing(ledger, asked) == (RequestState.OPEN, None)
    assert approve(ledger, asked) == ()
    assert states(ledger, number) == ["withdrawn", "ready"]
    assert standing(ledger, asked) == (RequestState.DONE, "berta")
    assert log(ledger, "request", "approve", "withdraw") == [
        ("anna", "request", f"request {asked}"),
        ("berta", "approve", f"request {asked}"),
        ("berta", "withdraw", f"card {first}"),
    ]
    assert auditing.verify(ledger, authenticate) is None


def test_nobody_approves_their_own(ledger: Ledger) -> None:
    """And nothing of it is done; somebody else still may."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    asked = withdraw(ledger, *cards(ledger, number))
    with pytest.raises(NotAllowedError, match="anna asked for request 1"):
        approve(ledger, asked, by="anna")
    assert states(ledger, number) == ["ready"]
    approve(ledger, asked)


def test_the_database_wants_two_people_too(ledger: Ledger) -> None:
    """Whoever writes it: done needs somebody else, and somebody who has an account."""
    row = {"action": "withdraw", "subject": {}, "reason": "x", "asked_by": "anna", "asked_at": NOW, "expires_at": NOW}
    for decided in (
        {"state": "done", "decided_by": "anna", "decided_at": NOW},
        {"state": "done", "decided_by": None, "decided_at": NOW},
        {"state": "done", "decided_by": "zoe", "decided_at": NOW},
        {"state": "open", "decided_by": None, "decided_at": NOW},
        {"state": "declined", "decided_by": "berta", "decided_at": None},
        {"state": "maybe", "decided_by": None, "decided_at": NOW},
    ):
        with pytest.raises(IntegrityError), ledger.write("test", NOW) as tx:
            tx.connection.execute(insert(schema.requests).values(row | decided))


def test_a_request_waits_a_day_and_not_longer(ledger: Ledger) -> None:
    """Approved in its last moment it is done, a moment later it is too late; who looks sees it without it being noted."""
    (number,) = submit(ledger, "A", job("1", lot(2)))
    first, second = cards(ledger, number)
    early, late = withdraw(ledger, first), withdraw(ledger, second)
    approve(ledger, early, now=NOW + DAY - timedelta(microseconds=1))
    with pytest.raises(NotAllowedError, match="expired"):
        approve(ledger, late, now=NOW + DAY)
    assert states(ledger, number) == ["withdrawn", "ready"]
    assert standing(ledger, late, NOW + DAY) == (RequestState.EXPIRED, None)


def test_what_expired_is_noted_once(ledger: Ledger) -> None:
    """In the table and in the audit log; what is open still, or decided, isn't touched."""
    (number,) = submit(ledger, "A", job("1", lot(3)))
    old, done, young = (withdraw(ledger, card) for card in cards(ledger, number))
    approve(ledger, done)
    with ledger.write("test", NOW) as tx:
        tx.connection.execute(update(schema.requests).where(schema.requests.c.id == young).values(expires_at=NOW + 2 * DAY))
    for _ in range(2):
        requests.expire(ledger, NOW + DAY)
    assert log(ledger, "expire") == [("expiry", "expire", f"request {old}")]
    assert [standing(ledger, each)[0] for each in (old, done, young)] == ["expired", "done", "open"]


@pytest.mark.parametrize("first", [approve, decline])
@pytest.mark.parametrize("second", [approve, decline])
def test_a_request_is_decided_once(ledger: Ledger, first: Any, second: Any) -> None:
    """Whatever it was, what comes later is refused."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    asked = withdraw(ledger, *cards(ledger, number))
    first(ledger, asked)
    before = standing(ledger, asked), states(ledger, number), log(ledger, "approve", "decline", "withdraw")
    with pytest.raises(NotAllowedError, match="already"):
        second(ledger, asked)
    assert (standing(ledger, asked), states(ledger, number), log(ledger, "approve", "decline", "withdraw")) == before


def test_what_is_declined_isnt_done(ledger: Ledger) -> None:
    """One may decline one's own, which is to take it back."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    for by in ("berta", "anna"):
        asked = withdraw(ledger, *cards(ledger, number))
        decline(ledger, asked, by)
        assert standing(ledger, asked) == (RequestState.DECLINED, by)
    assert states(ledger, number) == ["ready"]
    assert log(ledger, "decline") == [("berta", "decline", "request 1"), ("anna", "decline", "request 2")]


def test_there_is_no_such_request(ledger: Ledger) -> None:
    """Neither to approve nor to decline."""
    with pytest.raises(NotFoundError, match="no request 7"):
        approve(ledger, RequestId(7))
    with pytest.raises(NotFoundError, match="no request 7"):
        decline(ledger, RequestId(7))
