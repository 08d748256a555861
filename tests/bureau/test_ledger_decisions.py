"""What is decided about records: withdrawn, made again, scrapped, as a whole or not at all; lots close by it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger import claims, closing, submissions, views
from bureau.ledger.ledger import Ledger
from bureau.models import CardId, CardState, LotId, RequestState
from tests.bureau.deciding import (
    DAY,
    approve,
    cards,
    come_back,
    fail,
    log,
    requeue,
    scrap,
    staffed,
    standing,
    states,
    withdraw,
)
from tests.bureau.ledgers import (
    NOW,
    SIM1,
    batch,
    begin,
    job,
    lot,
    make,
    records,
    submit,
    take,
    write,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with staffed(tmp_path / "ledger.db") as ledger:
        yield ledger


def test_the_crn_of_a_withdrawn_record_is_free(ledger: Ledger) -> None:
    """The corrected record comes in under it, and while the first isn't withdrawn it doesn't."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    again = batch("B", job("1", lot(1)))
    same = records(again, crn=b"A".hex().upper())
    incoming = begin(ledger, again)
    with pytest.raises(NotAllowedError, match="in use"):
        submissions.add_cards(ledger, incoming, same, NOW)
    approve(ledger, withdraw(ledger, *cards(ledger, number)))
    submissions.add_cards(ledger, incoming, same, NOW)


def test_only_what_is_ready_is_withdrawn(ledger: Ledger) -> None:
    """Not a good card, nor one in hand or one that failed; a record that came back is ready."""
    (number,) = submit(ledger, "A", job("1", lot(4)))
    good, rejected, leased, back = cards(ledger, number)
    make(ledger, "AA")
    fail(ledger, chip="AB")
    take(ledger)
    claims.give_back(ledger, take(ledger), "wrong card", 4, NOW)
    for card, word in ((good, "good"), (rejected, "rejected"), (leased, "leased")):
        with pytest.raises(NotAllowedError, match=f"card {card} is {word}"):
            withdraw(ledger, card)
    approve(ledger, withdraw(ledger, back))
    assert states(ledger, number)[-1] is CardState.WITHDRAWN


def test_records_that_changed_are_refused_as_a_whole(ledger: Ledger) -> None:
    """One that has been made meanwhile keeps the others from being withdrawn, and the reason names it."""
    (number,) = submit(ledger, "A", job("1", lot(3)))
    first, *_ = all_of_it = cards(ledger, number)
    asked = withdraw(ledger, *all_of_it)
    make(ledger, "AA")
    with pytest.raises(NotAllowedError, match=f"card {first} is good now and was ready"):
        approve(ledger, asked)
    assert states(ledger, number) == ["good", "ready", "ready"]
    assert standing(ledger, asked) == (RequestState.OPEN, None)


def test_a_blank_that_came_back_changes_nothing(ledger: Ledger) -> None:
    """The record is as unwritten as it was when it was asked for."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    asked = withdraw(ledger, *cards(ledger, number))
    claims.give_back(ledger, take(ledger), "wrong card", 1, NOW)
    approve(ledger, asked)
    assert states(ledger, number) == ["withdrawn"]


def test_a_job_is_withdrawn_as_far_as_it_is_unwritten(ledger: Ledger) -> None:
    """What was made stays; the lots close, the job, and the batch whose trail is due."""
    (number,) = submit(ledger, "A", job("1", lot(2), lot(1)))
    make(ledger, "AA")
    closed = approve(ledger, withdraw(ledger, jobs=(number,)))
    assert states(ledger, number) == ["good", "withdrawn", "withdrawn"]
    with ledger.read() as connection:
        assert list(closed) == closing.due_for_report(connection)
        assert [closing.balance(connection, LotId(each)).withdrawn for each in (1, 2)] == [1, 1]
    assert log(ledger, "withdraw records") == [("berta", "withdraw records", f"job {number}")]


def test_a_job_that_was_never_released_closes_when_all_of_it_is_withdrawn(ledger: Ledger) -> None:
    """Its issuer is answered; nobody has to release it for that."""
    (number,) = submit(ledger, "A", job("1", lot(2)), release=False)
    first, second = cards(ledger, number)
    assert approve(ledger, withdraw(ledger, first)) == ()
    (closed,) = approve(ledger, withdraw(ledger, second))
    closing.reported(ledger, closed, "office", NOW)


def test_a_batch_closes_with_its_last_job(ledger: Ledger) -> None:
    """Withdrawing all of one job leaves the other open."""
    first, second = submit(ledger, "A", job("1", lot(1)), job("2", lot(1)))
    assert approve(ledger, withdraw(ledger, jobs=(first,))) == ()
    assert len(approve(ledger, withdraw(ledger, jobs=(second,)))) == 1


def test_a_job_of_which_more_was_made_is_refused(ledger: Ledger) -> None:
    """It isn't what was asked for any more."""
    (number,) = submit(ledger, "A", job("1", lot(3)))
    asked = withdraw(ledger, jobs=(number,))
    make(ledger, "AA")
    with pytest.raises(NotAllowedError, match="job 1 has 2 ready records and had 3"):
        approve(ledger, asked)
    assert states(ledger, number) == ["good", "ready", "ready"]


def test_a_job_without_unwritten_records_has_none_to_withdraw(ledger: Ledger) -> None:
    """And a card of a job that is withdrawn whole is counted once."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    approve(ledger, withdraw(ledger, *cards(ledger, number), jobs=(number,)))
    with pytest.raises(NotAllowedError, match="no record that is ready"):
        withdraw(ledger, jobs=(number,))


def test_one_decision_is_about_a_thousand_cards_at_most(ledger: Ledger) -> None:
    """Every encoder waits for SQLite's one writer; a job goes in one statement instead."""
    (number,) = submit(ledger, "A", job("1", lot(1000)))
    (other,) = submit(ledger, "B", job("1", lot(1)))
    with pytest.raises(NotAllowedError, match="1001 cards are too many"):
        withdraw(ledger, *cards(ledger, number), *cards(ledger, other))
    approve(ledger, withdraw(ledger, jobs=(number, other)))


def test_a_card_that_isnt_in_yet_is_none(ledger: Ledger) -> None:
    """A file that is still being written can't be decided about, nor can what doesn't exist."""
    whole = batch("A", job("1", lot(1)))
    submissions.add_cards(ledger, begin(ledger, whole), records(whole), NOW)
    for decide in (withdraw, requeue, scrap):
        for card in (1, 99):
            with pytest.raises(NotFoundError, match=f"no card {card}"):
                decide(ledger, CardId(card))


# Making again


@pytest.mark.parametrize("end", [CardState.REJECTED, CardState.SUSPECT])
def test_a_failed_record_is_made_again_and_its_plastic_stays_counted(ledger: Ledger, end: CardState) -> None:
    """One record in, one good; two pieces of plastic drawn, one good."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    fail(ledger, end)
    asked = requeue(ledger, *cards(ledger, number))
    assert claims.claim(ledger, SIM1, NOW, DAY) is None
    assert approve(ledger, asked) == ()
    assert make(ledger, "AB").fence == 2
    with ledger.read() as connection:
        (lot_,) = views.list_lots(connection, number)
    at = lot_.balance
    assert (at.records_in, at.good, at.open) == (1, 1, 0)
    assert (at.drawn, at.good_plastics, at.spoiled + at.unknown) == (2, 1, 1)
    assert lot_.closed_at is not None


def test_the_chip_of_a_suspect_is_never_written_again(ledger: Ledger) -> None:
    """It may be a whole card of that record; the record itself is made on another."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    fail(ledger, CardState.SUSPECT, "AA")
    approve(ledger, requeue(ledger, *cards(ledger, number)))
    claim = take(ledger)
    with pytest.raises(NotAllowedError, match="may carry"):
        write(ledger, claim, "AA")
    write(ledger, claim, "AB")


def test_a_record_that_came_back_three_times_is_let_go_again(ledger: Ledger) -> None:
    """It is claimed no more until then; a fourth return doesn't hold it at once."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    come_back(ledger)
    assert claims.claim(ledger, SIM1, NOW, DAY) is None
    approve(ledger, requeue(ledger, *cards(ledger, number)))
    claims.give_back(ledger, take(ledger), "wrong card", 1, NOW)
    make(ledger, "AA")
    assert log(ledger, "requeue") == [("berta", "requeue", "card 1")]


def test_only_what_waits_for_a_person_is_made_again(ledger: Ledger) -> None:
    """A ready record needs nobody, a good or withdrawn one has its end."""
    (number,) = submit(ledger, "A", job("1", lot(3)))
    good, withdrawn, ready = cards(ledger, number)
    make(ledger, "AA")
    approve(ledger, withdraw(ledger, withdrawn))
    for card, word in ((good, "good"), (withdrawn, "withdrawn"), (ready, "ready")):
        with pytest.raises(NotAllowedError, match=f"card {card} is {word}"):
            requeue(ledger, card)


def test_a_card_that_failed_once_more_is_another_matter(ledger: Ledger) -> None:
    """Rejected now as it was then, but not the same rejection: two requests for one fault make one card."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    fail(ledger, chip="AA")
    first, second = requeue(ledger, *cards(ledger, number)), requeue(ledger, *cards(ledger, number))
    approve(ledger, first)
    with pytest.raises(NotAllowedError, match="card 1 is ready now and was rejected"):
        approve(ledger, second)
    fail(ledger, chip="AB")
    with pytest.raises(NotAllowedError, match="made once more"):
        approve(ledger, second)
    assert states(ledger, number) == ["rejected"]


def test_a_held_record_that_was_let_go_already_is_another_matter(ledger: Ledger) -> None:
    """The second request for it is refused."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    come_back(ledger)
    first, second = requeue(ledger, *cards(ledger, number)), requeue(ledger, *cards(ledger, number))
    approve(ledger, first)
    with pytest.raises(NotAllowedError, match="isn't held any more"):
        approve(ledger, second)


def test_one_that_can_not_be_made_again_keeps_the_others(ledger: Ledger) -> None:
    """All or none: the first would have been ready already when the second is refused."""
    (number,) = submit(ledger, "A", job("1", lot(2)))
    fail(ledger, chip="AA")
    fail(ledger, chip="AB")
    both = cards(ledger, number)
    asked = requeue(ledger, *both)
    scrap(ledger, both[1])
    with pytest.raises(NotAllowedError, match="scrapped now and was rejected"):
        approve(ledger, asked)
    assert states(ledger, number) == ["rejected", "scrapped"]


# Scrapping


@pytest.mark.parametrize("end", [CardState.REJECTED, CardState.SUSPECT])
def test_a_scrapped_record_closes_its_lot(ledger: Ledger, end: CardState) -> None:
    """With its plastic as it was counted; the batch that this closed is returned, for its trail is due."""
    (number,) = submit(ledger, "A", job("1", lot(2)))
    make(ledger, "AA")
    claim = fail(ledger, end, "AB")
    assert scrap(ledger, claim.card) == (claim.batch,)
    with ledger.read() as connection:
        assert closing.due_for_report(connection) == [claim.batch]
    assert states(ledger, number) == ["good", "scrapped"]
    assert log(ledger, "scrap") == [("anna", "scrap", f"card {claim.card}")]


def test_only_what_failed_is_scrapped_all_or_none(ledger: Ledger) -> None:
    """A ready record is withdrawn instead, a good card is good."""
    (number,) = submit(ledger, "A", job("1", lot(3)))
    good, failed, ready = cards(ledger, number)
    make(ledger, "AA")
    fail(ledger, chip="AB")
    for other, word in ((good, "good"), (ready, "ready")):
        with pytest.raises(NotAllowedError, match=f"card {other} is {word}"):
            scrap(ledger, failed, other)
    assert states(ledger, number) == ["good", "rejected", "ready"]
