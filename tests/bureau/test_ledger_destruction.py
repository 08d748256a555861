"""Spent plastic stays counted until one has destroyed it and another has seen it: exactly what waited."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from bureau.errors import NotAllowedError
from bureau.ledger import auditing, claims, costs, destruction, requests, schema, views
from bureau.ledger.ledger import Ledger
from bureau.models import AttemptOutcome, CardState, JobId, RequestId
from tests.bureau.deciding import approve as approve_other
from tests.bureau.deciding import ask, fail, requeue, scrap, staffed
from tests.bureau.ledgers import NOW, job, lot, make, mute, submit, take

STOCK = "PLASTIC"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with staffed(tmp_path / "ledger.db") as ledger:
        yield ledger


@pytest.fixture
def number(ledger: Ledger) -> JobId:
    """A job that has made one card and spent three plastics: spoiled, mute, and one of a suspect; one came back."""
    (number,) = submit(ledger, "A", job("1", lot(5)))
    make(ledger, "AA")
    fail(ledger, CardState.REJECTED, "AB")
    fail(ledger, CardState.SUSPECT, "AC")
    mute(ledger, take(ledger), 4)
    claims.give_back(ledger, take(ledger), "wrong card", 5, NOW)
    return number


def count(ledger: Ledger, counted: int, job: JobId | None = None, stock: str = STOCK) -> RequestId:
    """Say as anna that so many are destroyed."""
    with ledger.read() as connection:
        subject = destruction.to_destroy(connection, stock, job, counted)
    return ask(ledger, subject, "destroy")


def approve(ledger: Ledger, number: RequestId, by: str = "berta") -> None:
    with ledger.write(by, NOW) as tx:
        request = requests.find(tx.connection, number, NOW)
        requests.done(tx, request, by)
        destruction.destroy(tx, request)


def waste(ledger: Ledger) -> list[tuple[str, JobId, int, int]]:
    with ledger.read() as connection:
        return [(each.stock, each.job, each.waiting, each.destroyed) for each in destruction.list_waste(connection)]


def destroyed(ledger: Ledger) -> dict[str, RequestId | None]:
    """Return by outcome which request destroyed the plastic."""
    with ledger.read() as connection:
        rows = connection.execute(select(schema.attempts.c.outcome, schema.attempts.c.destroyed))
        return {row[0]: row[1] for row in rows}


def test_what_one_destroys_another_has_seen(ledger: Ledger, number: JobId) -> None:
    """Both names and the count are in the log; the good card, what came back and the suspect's are nobody's to destroy."""
    assert waste(ledger) == [(STOCK, number, 2, 0)]
    asked = count(ledger, 2)
    assert waste(ledger) == [(STOCK, number, 2, 0)]
    with pytest.raises(NotAllowedError, match="anna asked"):
        approve(ledger, asked, by="anna")
    approve(ledger, asked)
    assert waste(ledger) == [(STOCK, number, 0, 2)]
    assert destroyed(ledger) == {"good": None, "spoiled": asked, "unknown": None, "mute": asked, "returned": None}
    with ledger.read() as connection:
        *_, entry = auditing.entries(connection)
    assert (entry.actor, entry.action, entry.subject) == ("berta", "destroy", "stock PLASTIC")
    assert entry.details == '{"by":"anna","count":2,"request":1}'


@pytest.mark.parametrize("counted", [1, 3])
def test_another_count_is_refused_with_both_numbers(ledger: Ledger, number: JobId, counted: int) -> None:
    """Nothing is recorded, and it is said what to do."""
    with pytest.raises(NotAllowedError, match=f"2 of PLASTIC wait to be destroyed, and {counted} were counted") as said:
        count(ledger, counted)
    assert "Count again" in said.value.remedy
    with pytest.raises(NotAllowedError, match="0 of GOLD wait"):
        count(ledger, counted, stock="GOLD")


def test_a_suspects_plastic_waits_when_a_person_has_decided(ledger: Ledger, number: JobId) -> None:
    """Scrapped or made again, it is never a good card."""
    with ledger.read() as connection:
        suspect = next(card for card in views.list_cards(connection, number) if card.state is CardState.SUSPECT)
    scrap(ledger, suspect.card)
    assert waste(ledger) == [(STOCK, number, 3, 0)]
    approve(ledger, count(ledger, 3))
    assert destroyed(ledger)["unknown"] == 1


def test_a_requeued_records_first_plastic_waits(ledger: Ledger) -> None:
    """Also when its second is good."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    failed = fail(ledger, CardState.SUSPECT, "AB")
    assert waste(ledger) == [(STOCK, number, 0, 0)]
    approve_other(ledger, requeue(ledger, failed.card))
    make(ledger, "AC")
    assert waste(ledger) == [(STOCK, number, 1, 0)]
    approve(ledger, count(ledger, 1))
    assert destroyed(ledger) == {"unknown": 2, "good": None}


def test_a_record_that_is_suspect_again_hides_only_its_last_plastic(ledger: Ledger) -> None:
    """Nobody waits for the first one any more, and it is in the tray that people count."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    approve_other(ledger, requeue(ledger, fail(ledger, CardState.SUSPECT, "AB").card))
    asked = count(ledger, 1)
    fail(ledger, CardState.SUSPECT, "AC")
    assert waste(ledger) == [(STOCK, number, 1, 0)]
    approve(ledger, asked)
    assert waste(ledger) == [(STOCK, number, 0, 1)]


def test_what_was_destroyed_meanwhile_is_refused_as_a_whole(ledger: Ledger, number: JobId) -> None:
    """Two people counted the same; the second request records nothing."""
    first, second = count(ledger, 2), count(ledger, 2, number)
    approve(ledger, first)
    with pytest.raises(NotAllowedError, match="0 of these 2 plastics still wait"):
        approve(ledger, second)
    assert destroyed(ledger)["spoiled"] == first


def test_what_was_spent_meanwhile_waits_for_the_next_time(ledger: Ledger, number: JobId) -> None:
    """The two that were counted are destroyed, the third isn't."""
    asked = count(ledger, 2)
    fail(ledger, CardState.REJECTED, "AD")
    approve(ledger, asked)
    assert waste(ledger) == [(STOCK, number, 1, 2)]


def test_a_job_may_be_counted_by_itself(ledger: Ledger, number: JobId) -> None:
    """Another job's plastic of the same stock waits on."""
    (other,) = submit(ledger, "B", job("1", lot(1), priority=1))
    fail(ledger, CardState.REJECTED, "BA")
    with pytest.raises(NotAllowedError, match="1 of PLASTIC of job 2 wait"):
        count(ledger, 3, other)
    approve(ledger, count(ledger, 1, other))
    assert waste(ledger) == [(STOCK, number, 2, 0), (STOCK, other, 0, 1)]


def test_every_spent_plastic_is_destroyed_or_waits_or_is_a_suspects(ledger: Ledger, number: JobId) -> None:
    """And drawn = good + spent + returned + in hand, before and after."""
    for done in (0, 2):
        with ledger.read() as connection:
            cost = costs.cost(connection, number)
        assert (cost.drawn, cost.good, cost.spent, cost.returned, cost.in_hand) == (5, 1, 3, 1, 0)
        assert (cost.to_destroy, cost.destroyed) == (2 - done, done)
        if not done:
            approve(ledger, count(ledger, 2))
    assert AttemptOutcome.UNKNOWN in destroyed(ledger)
