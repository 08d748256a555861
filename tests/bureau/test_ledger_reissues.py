"""Records that are made a second time: linked with the first, once that is done with, and after somebody else's approval."""

from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread

import pytest

from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger import claims, reissues, requests, submissions, views
from bureau.ledger.ledger import Ledger, Transaction
from bureau.models import CardId, CardState, JobId, RequestId, RequestState
from tests.bureau import ledgers
from tests.bureau.deciding import (
    DAY,
    approve,
    ask,
    decline,
    fail,
    log,
    requeue,
    scrap,
    staffed,
    standing,
    states,
    withdraw,
)
from tests.bureau.ledgers import NOW, batch, job, lot, make, records, submit, take, write

CRN = b"A".hex().upper()
"""What the CRNs of the first job begin with."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with staffed(tmp_path / "ledger.db") as ledger:
        yield ledger


@pytest.fixture
def first(ledger: Ledger) -> JobId:
    """A job of two records, both made."""
    (number,) = submit(ledger, "A", job("1", lot(2)))
    make(ledger, "AA")
    make(ledger, "AB")
    return number


def begin(ledger: Ledger, name: str, count: int = 1, *, reissue: bool = True) -> submissions.Incoming:
    whole = batch(name, job("1", lot(count)))
    return submissions.begin(
        ledger, f"{name}.xml", name, [ledgers.submitted(whole, ledgers.pin(ledger))], "ann", NOW, reissue=reissue
    )


def add(ledger: Ledger, incoming: submissions.Incoming, count: int = 1, crn: str = CRN) -> None:
    submissions.add_cards(ledger, incoming, records(batch("X", job("1", lot(count))), crn=crn), NOW)


def again(ledger: Ledger, name: str = "B", count: int = 1) -> JobId:
    """Submit the first records of job A again, without asking."""
    incoming = begin(ledger, name, count)
    add(ledger, incoming, count)
    (number,) = submissions.finish(ledger, incoming, NOW)
    return number


def reissue(ledger: Ledger, *numbers: JobId) -> RequestId:
    with ledger.read() as connection:
        subject = reissues.to_reissue(connection, numbers, NOW)
    return ask(ledger, subject, "reissue")


def release(ledger: Ledger, number: JobId) -> None:
    submissions.release(ledger, number, "operator", NOW)


def cards(ledger: Ledger, number: JobId) -> list[views.CardView]:
    with ledger.read() as connection:
        return views.list_cards(connection, number)


def test_a_record_is_made_again_on_another_chip_when_somebody_else_approves(ledger: Ledger, first: JobId) -> None:
    """Not before; then both are good, each linked with the other."""
    second = again(ledger)
    with pytest.raises(NotAllowedError, match=f"job {second} makes 1 of its cards a second time"):
        release(ledger, second)
    asked = reissue(ledger, second)
    with pytest.raises(NotAllowedError, match="makes 1 of its cards a second time") as said:
        release(ledger, second)
    assert f"bureau approve {asked}" in said.value.remedy
    with pytest.raises(NotAllowedError, match="anna asked"):
        approve(ledger, asked, by="anna")
    approve(ledger, asked)
    release(ledger, second)
    with pytest.raises(NotAllowedError, match="already carries the card of record"):
        write(ledger, claim := take(ledger), "AA")
    claims.give_back(ledger, claim, "wrong card", 1, NOW)
    make(ledger, "AC")
    one, _ = cards(ledger, first)
    (other,) = cards(ledger, second)
    assert (other.state, other.reissue_of, other.remade_as) == (CardState.GOOD, one.card, None)
    assert (one.state, one.reissue_of, one.remade_as) == (CardState.GOOD, None, other.card)
    with ledger.read() as connection:
        assert reissues.links(connection, first) == ({}, {second: 1})
        assert reissues.links(connection, second) == ({first: 1}, {})
    assert log(ledger, "approve reissue") == [("berta", "approve reissue", f"job {second}")]


def test_asking_is_part_of_the_change_that_accepts_the_file(ledger: Ledger, first: JobId) -> None:
    """So no crash lies between; where asking fails the file isn't accepted."""

    def fails(_tx: Transaction, _jobs: object) -> None:
        raise NotAllowedError("nobody there")

    incoming = begin(ledger, "B", 1)
    add(ledger, incoming)
    with pytest.raises(NotAllowedError, match="nobody there"):
        submissions.finish(ledger, incoming, NOW, fails)
    with ledger.read() as connection:
        assert views.list_jobs(connection, [incoming.jobs[0, 0]]) == []

    def asks(tx: Transaction, numbers: object) -> None:
        assert numbers == [incoming.jobs[0, 0]]
        subject = reissues.to_reissue(tx.connection, [incoming.jobs[0, 0]], NOW)
        requests.ask(tx, "reissue", subject, "lost in the mail", "anna", DAY, about="")

    (number,) = submissions.finish(ledger, incoming, NOW, asks)
    with pytest.raises(NotAllowedError, match="request 1 about job 2 is open"):
        reissue(ledger, number)
    approve(ledger, RequestId(1))
    release(ledger, number)


def test_what_is_made_again_needs_the_word(ledger: Ledger, first: JobId) -> None:
    """Without it the CRN is in use, whatever became of its card."""
    incoming = begin(ledger, "B", reissue=False)
    with pytest.raises(NotAllowedError, match="in use"):
        add(ledger, incoming)


def test_a_job_of_new_records_needs_nobody(ledger: Ledger, first: JobId) -> None:
    """Though it came in by the same word; one that has both needs somebody for all of it."""
    incoming = begin(ledger, "B", 2)
    add(ledger, incoming, 2, crn="FF")
    (number,) = submissions.finish(ledger, incoming, NOW)
    with pytest.raises(NotAllowedError, match="nothing of job 2 waits"):
        reissue(ledger, number)
    release(ledger, number)


@pytest.mark.parametrize("state", [each for each in CardState if each != CardState.WITHDRAWN])
def test_nothing_is_made_twice_while_the_first_isnt_done_with(ledger: Ledger, state: CardState) -> None:
    """Good and scrapped are done with; everything else may become a card yet."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    (card,) = cards(ledger, number)
    ledgers.put(ledger, card.card, state)
    incoming = begin(ledger, "B")
    if state in {CardState.GOOD, CardState.SCRAPPED}:
        add(ledger, incoming)
        return
    with pytest.raises(NotAllowedError, match=f"card {card.card} is still being made"):
        add(ledger, incoming)


def test_a_third_card_follows_the_second(ledger: Ledger, first: JobId) -> None:
    """Only when that one is done with, too; each points to the one before it."""
    second = again(ledger)
    incoming = begin(ledger, "C")
    (middle,) = cards(ledger, second)
    with pytest.raises(NotAllowedError, match=f"card {middle.card} is still being made"):
        add(ledger, incoming)
    approve(ledger, reissue(ledger, second))
    release(ledger, second)
    fail(ledger, chip="AC")
    scrap(ledger, middle.card)
    add(ledger, incoming)
    (third,) = submissions.finish(ledger, incoming, NOW)
    assert [each.reissue_of for each in cards(ledger, third)] == [middle.card]
    assert cards(ledger, first)[0].remade_as == middle.card
    with ledger.read() as connection:
        assert reissues.earlier(connection, "BANK", [f"{CRN}0000"])[f"{CRN}0000"].issue == 2


def test_a_withdrawn_reissue_leaves_the_first_as_it_was(ledger: Ledger, first: JobId) -> None:
    """And it may be asked for once more, as the second again."""
    second = again(ledger)
    approve(ledger, withdraw(ledger, jobs=(second,)))
    assert cards(ledger, first)[0].remade_as is None
    third = again(ledger, "C")
    (card,) = cards(ledger, third)
    assert (card.reissue_of, cards(ledger, first)[0].remade_as) == (cards(ledger, first)[0].card, card.card)


def test_what_changed_since_it_was_asked_for_isnt_approved(ledger: Ledger, first: JobId) -> None:
    """One record of two was withdrawn; declined and asked anew it goes."""
    second = again(ledger, count=2)
    asked = reissue(ledger, second)
    approve(ledger, withdraw(ledger, cards(ledger, second)[0].card))
    with pytest.raises(NotAllowedError, match="isn't as it was"):
        approve(ledger, asked)
    assert standing(ledger, asked)[0] is RequestState.OPEN
    decline(ledger, asked)
    with pytest.raises(NotAllowedError, match="a second time") as said:
        release(ledger, second)
    assert f"bureau reissue {second}" in said.value.remedy
    asked = reissue(ledger, second)
    approve(ledger, asked)
    with pytest.raises(NotAllowedError, match="nothing of job 2 waits"):
        reissue(ledger, second)
    release(ledger, second)


def test_the_first_job_is_none_the_wiser(ledger: Ledger, first: JobId) -> None:
    """Its records and its plastic balance as they did."""
    with ledger.read() as connection:
        before = views.list_lots(connection, first)
    again(ledger)
    with ledger.read() as connection:
        assert views.list_lots(connection, first) == before
    assert states(ledger, first) == ["good", "good"]


def test_a_reissue_that_failed_is_made_on_another_blank(ledger: Ledger, first: JobId) -> None:
    """As any record; its issue stays."""
    second = again(ledger)
    approve(ledger, reissue(ledger, second))
    release(ledger, second)
    failed = fail(ledger, chip="AC")
    approve(ledger, requeue(ledger, failed.card))
    make(ledger, "AD")
    assert states(ledger, second) == ["good"]


def test_a_crn_of_several_cards_is_ambiguous(ledger: Ledger, first: JobId) -> None:
    """Each is named by its number, how it stands, and what it came after."""
    second = again(ledger)
    (card,) = cards(ledger, second)
    with ledger.read() as connection:
        with pytest.raises(NotFoundError) as said:
            views.find_card(connection, f"{CRN}0000")
        assert "1 (BANK, good), 3 (BANK, ready, reissue of 1)" in said.value.remedy
        assert views.find_card(connection, "3") == card.card == views.one_card(connection, CardId(3)).card
        assert views.find_card(connection, f"{CRN}0001") == CardId(2)


def test_of_two_files_at_once_one_makes_it_again(ledger: Ledger, first: JobId) -> None:
    """The other is refused, whichever comes first."""
    files = [begin(ledger, name) for name in ("B", "C")]
    start, refusals = Barrier(2), list[NotAllowedError]()

    def submit_one(incoming: submissions.Incoming) -> None:
        start.wait()
        try:
            add(ledger, incoming)
        except NotAllowedError as refusal:
            refusals.append(refusal)

    threads = [Thread(target=submit_one, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refusals) == 1
    assert len([card for number in (2, 3) for card in cards(ledger, JobId(number))]) == 1
