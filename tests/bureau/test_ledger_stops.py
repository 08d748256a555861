"""Lots that hold themselves: too many cards that went wrong, the first article, a person; and what lets them go on."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger import (
    alerts,
    auditing,
    claims,
    closing,
    decisions,
    encoders,
    reaping,
    standing,
    stops,
    submissions,
    suspects,
    views,
)
from bureau.ledger.ledger import Ledger
from bureau.models import AttemptOutcome, BatchId, CardId, CardState, EncoderId, Hold, JobId, JobState, LotId
from tests.bureau.ledgers import (
    LATER,
    LEASE,
    NOW,
    SIM1,
    SIM2,
    SIM3,
    authenticate,
    finish,
    job,
    lot,
    machine,
    make,
    mute,
    open_encoder,
    opened,
    submit,
    take,
    write,
)

LOT = LotId(1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Three open encoders, and lots that hold themselves above five percent."""
    with opened(tmp_path / "ledger.db", most_rejects=5) as ledger:
        open_encoder(ledger, SIM1, SIM2, SIM3)
        yield ledger
        assert auditing.verify(ledger, authenticate) is None


def _hold(ledger: Ledger) -> Hold | None:
    """Return what holds the first job's first lot."""
    return _lots(ledger, JobId(1))[0].hold


def _lots(ledger: Ledger, number: JobId) -> list[views.LotView]:
    with ledger.read() as connection:
        return views.list_lots(connection, number)


def _end(ledger: Ledger, outcome: AttemptOutcome, chip: str, encoder: EncoderId = SIM1, now: datetime = NOW) -> None:
    """Let one card of the lot end so, and its encoder go on whatever it did wrong before."""
    claim = take(ledger, encoder, now)
    if outcome is AttemptOutcome.MUTE:
        mute(ledger, claim, 1, now)
    elif outcome is AttemptOutcome.RETURNED:
        claims.give_back(ledger, claim, "wrong ATR", 1, now)
    else:
        write(ledger, claim, chip, now=now)
        if outcome is AttemptOutcome.GOOD:
            claims.verifying(ledger, claim, now, LEASE)
        states = {AttemptOutcome.GOOD: CardState.GOOD, AttemptOutcome.SPOILED: CardState.REJECTED}
        claims.settle(ledger, claim, states.get(outcome, CardState.SUSPECT), outcome, now, cause="trial")
    encoders.open_line(ledger, encoder, "operator", now)


def _entries(ledger: Ledger, *actions: str) -> list[tuple[str, str, str]]:
    with ledger.read() as connection:
        return [(each.actor, each.action, each.subject) for each in auditing.entries(connection) if each.action in actions]


# Too many cards that went wrong


@pytest.mark.parametrize(
    ("good", "wrong", "reason"),
    [
        (0, 2, None),
        (0, 3, "3 of 3 cards went wrong (100.0 %, more than 5 %)"),
        (57, 3, None),
        (56, 3, "3 of 59 cards went wrong (5.1 %, more than 5 %)"),
    ],
)
def test_a_lot_with_more_than_its_share_of_rejects_holds_itself(
    ledger: Ledger, good: int, wrong: int, reason: str | None
) -> None:
    """Not with exactly that share, and not before three went wrong."""
    submit(ledger, "A", job("1", lot(70)))
    for number in range(good):
        _end(ledger, AttemptOutcome.GOOD, f"A{number}")
    for number in range(wrong):
        assert _hold(ledger) is None
        _end(ledger, AttemptOutcome.SPOILED, f"B{number}")
    assert _hold(ledger) == (reason and Hold(by=SIM1, at=NOW, reason=reason))
    assert (claims.claim(ledger, SIM2, NOW, LEASE) is None) == (reason is not None)


@pytest.mark.parametrize(
    ("outcomes", "holds"),
    [
        ((AttemptOutcome.SPOILED, AttemptOutcome.MUTE, AttemptOutcome.UNKNOWN), True),
        ((AttemptOutcome.MUTE, AttemptOutcome.MUTE, AttemptOutcome.MUTE), True),
        ((AttemptOutcome.SPOILED, AttemptOutcome.SPOILED, AttemptOutcome.RETURNED), False),
    ],
)
def test_what_lies_in_the_reject_tray_counts(ledger: Ledger, outcomes: tuple[AttemptOutcome, ...], holds: bool) -> None:
    """Spoiled, unknown and mute plastic alike; a blank that went back untouched isn't one of them."""
    submit(ledger, "A", job("1", lot(9)))
    for place, outcome in enumerate(outcomes):
        _end(ledger, outcome, f"A{place}", (SIM1, SIM2, SIM3)[place])
    assert (_hold(ledger) is not None) == holds


def test_cards_that_nobody_ended_count_too(ledger: Ledger) -> None:
    """Those whose encoder died, and one that it gave up itself."""
    submit(ledger, "A", job("1", lot(9)))
    for encoder, chip in ((SIM1, "A1"), (SIM2, "A2")):
        write(ledger, take(ledger, encoder), chip)
    claim = take(ledger, SIM3)
    write(ledger, claim, "A3")
    claims.abandon(ledger, claim, "interrupted", 1, NOW)
    assert _hold(ledger) is None
    reaping.reap(ledger, LATER)
    assert _hold(ledger) == Hold(by="reap", at=LATER, reason="3 of 3 cards went wrong (100.0 %, more than 5 %)")


def test_another_lot_of_the_job_goes_on(ledger: Ledger) -> None:
    """The hold is the lot's alone, and cards in hand are finished."""
    (number,) = submit(ledger, "A", job("1", lot(9), lot(1)))
    in_hand = take(ledger, SIM2)
    for place in range(3):
        _end(ledger, AttemptOutcome.SPOILED, f"A{place}")
    assert take(ledger).lot == 2
    write(ledger, in_hand, "AF")
    finish(ledger, in_hand)
    with ledger.read() as connection:
        assert list(views.list_jobs(connection, [number])[0].stops) == [1]
        assert stops.stopped(connection, number) == (1,)


def test_a_released_lot_needs_new_evidence_to_hold_itself_again(ledger: Ledger) -> None:
    """What went wrong before the person looked doesn't count a second time; three more that go wrong do."""
    submit(ledger, "A", job("1", lot(9)))
    for place in range(3):
        _end(ledger, AttemptOutcome.SPOILED, f"A{place}")
    later = NOW + timedelta(minutes=5)
    stops.release(ledger, LOT, "anna", later)
    for place in range(3):
        assert _hold(ledger) is None
        _end(ledger, AttemptOutcome.SPOILED, f"B{place}", now=later + timedelta(seconds=1 + place))
    held = _hold(ledger)
    assert held is not None
    assert held.reason.startswith("3 of 3 cards")


def test_at_a_hundred_percent_no_lot_holds_itself(tmp_path: Path) -> None:
    """That turns it off."""
    with opened(tmp_path / "other.db", most_rejects=100) as ledger:
        open_encoder(ledger, SIM1)
        submit(ledger, "A", job("1", lot(5)))
        for place in range(5):
            _end(ledger, AttemptOutcome.SPOILED, f"A{place}")
        assert _hold(ledger) is None


def test_somebody_hears_of_a_lot_that_holds_itself(ledger: Ledger) -> None:
    """The alert names the job and the lot as people call them, and why."""
    submit(ledger, "A", job("1", lot(1)))
    (number,) = submit(ledger, "B", job("1", lot(1), lot(9)))
    with ledger.read() as connection:
        alerts.told(ledger, auditing.head(connection).number, "office")
    with ledger.write("sim1", NOW) as tx:
        stops.stop_in(tx, LotId(3), "card 7 is no good")
    with ledger.read() as connection:
        (told,) = alerts.pending(connection)
    assert (told.action, told.subject) == ("hold", "lot 3")
    assert json.loads(told.details) == {"job": number, "number": 2, "reason": "card 7 is no good"}


# The first article


def test_until_its_first_article_is_approved_one_card_is_made_at_a_time(ledger: Ledger) -> None:
    """While it is in hand, no encoder takes another; when it is good, the lot waits for a person."""
    submit(ledger, "A", job("1", lot(9)), first_article=True)
    first = take(ledger)
    assert claims.claim(ledger, SIM2, NOW, LEASE) is None
    write(ledger, first, "AA")
    assert claims.claim(ledger, SIM2, NOW, LEASE) is None
    assert finish(ledger, first) is None
    assert _hold(ledger) == Hold(by=SIM1, at=NOW, reason=f"first article: card {first.card} waits for approval")
    assert [claims.claim(ledger, each, NOW, LEASE) for each in (SIM1, SIM2, SIM3)] == [None] * 3


def test_releasing_its_lot_approves_a_first_article(ledger: Ledger) -> None:
    """Then all encoders make it at once, no card holds it again, and the audit log says who approved which."""
    submit(ledger, "A", job("1", lot(9)), first_article=True)
    first = make(ledger, "AA")
    assert stops.release(ledger, LOT, "anna", NOW) == stops.Released(article=first.card, closed=None)
    assert len({take(ledger, each).card for each in (SIM1, SIM2, SIM3)}) == 3
    assert _entries(ledger, "approve article") == [("anna", "approve article", f"card {first.card}")]
    with ledger.read() as connection:
        (release,) = (each for each in auditing.entries(connection) if each.action == "release" and each.subject == "lot 1")
    assert json.loads(release.details)["reason"] == f"first article: card {first.card} waits for approval"


@pytest.mark.parametrize("outcome", sorted(set(AttemptOutcome) - {AttemptOutcome.GOOD, AttemptOutcome.OPEN}))
def test_when_the_first_one_fails_the_next_good_one_is_the_first_article(ledger: Ledger, outcome: AttemptOutcome) -> None:
    """A card that isn't good can't be approved, nor one that was never written."""
    submit(ledger, "A", job("1", lot(9)), first_article=True)
    _end(ledger, outcome, "AA")
    assert _hold(ledger) is None
    second = make(ledger, "BB", SIM2)
    held = _hold(ledger)
    assert held is not None
    assert f"card {second.card}" in held.reason


def test_a_dead_first_article_makes_room_for_the_next(ledger: Ledger) -> None:
    """Its lease ends, and the lot isn't stuck."""
    submit(ledger, "A", job("1", lot(9)), first_article=True)
    first = take(ledger)
    write(ledger, first, "AA")
    reaping.reap(ledger, LATER)
    assert take(ledger, SIM2, LATER).card != first.card


@pytest.mark.parametrize("records", [1, 3])
def test_a_suspect_that_is_proved_good_is_a_first_article(ledger: Ledger, records: int) -> None:
    """Nothing else is made of its lot, and a lot of one doesn't close, before somebody has looked at it."""
    submit(ledger, "A", job("1", lot(records)), first_article=True)
    _end(ledger, AttemptOutcome.UNKNOWN, "AA")
    with ledger.write("zoe", NOW) as tx:
        assert suspects.good(tx, suspects.find(tx.connection, CardId(1)), (), 1, "desk") is None
    assert _hold(ledger) == Hold(by="zoe", at=NOW, reason="first article: card 1 waits for approval")
    assert claims.claim(ledger, SIM2, NOW, LEASE) is None
    closed = BatchId(1) if records == 1 else None
    assert stops.release(ledger, LOT, "anna", NOW) == stops.Released(article=CardId(1), closed=closed)


def test_each_lot_has_its_own_first_article(ledger: Ledger) -> None:
    """Another lot's is made meanwhile; a job that asks for none goes on beside them."""
    submit(ledger, "A", job("1", lot(9), lot(9)), first_article=True)
    submit(ledger, "B", job("1", lot(9)))
    assert [take(ledger, each).lot for each in (SIM1, SIM2, SIM3)] == [1, 2, 3]
    assert [take(ledger, each).lot for each in (SIM1, SIM2)] == [3, 3]


def test_releasing_a_lot_before_its_first_article_is_good_approves_nothing(ledger: Ledger) -> None:
    """Somebody held it by hand; it is still made one card at a time."""
    submit(ledger, "A", job("1", lot(9)), first_article=True)
    stops.hold(ledger, LOT, "wait", "carl", NOW)
    assert stops.release(ledger, LOT, "anna", NOW).article is None
    take(ledger)
    assert claims.claim(ledger, SIM2, NOW, LEASE) is None
    assert _entries(ledger, "approve article") == []


def test_a_lot_of_one_card_waits_for_its_approval_too(ledger: Ledger) -> None:
    """Its answer goes to the issuer only then."""
    submit(ledger, "A", job("1", lot(1)), first_article=True)
    make(ledger, "AA")
    with ledger.read() as connection:
        assert views.list_jobs(connection, [JobId(1)])[0].state is JobState.RELEASED
    assert stops.release(ledger, LOT, "anna", NOW).closed == BatchId(1)


@pytest.mark.parametrize("made", [True, False], ids=["made", "in hand"])
def test_a_job_under_way_has_no_first_article_any_more(ledger: Ledger, made: bool) -> None:
    """Asking for one is refused, and the job stays held."""
    (number,) = submit(ledger, "A", job("1", lot(3)))
    if made:
        make(ledger, "AA")
    else:
        take(ledger)
    submissions.hold(ledger, number, "wait", "carl", NOW)
    with pytest.raises(NotAllowedError, match="none is its first"):
        submissions.release(ledger, number, "carl", NOW, first_article=True)
    with ledger.read() as connection:
        assert views.list_jobs(connection, [number])[0].state is JobState.HELD


def test_why_says_what_a_first_article_does(ledger: Ledger) -> None:
    """Before, while it is made, and when it waits."""

    def says() -> tuple[str, ...]:
        with ledger.read() as connection:
            (found,) = standing.explain(connection, JobId(1), NOW, UTC)
        return found.why.says

    submit(ledger, "A", job("1", lot(9)), first_article=True)
    one = "makes one card at a time until its first article is approved"
    assert says() == (one, "next on sim1, sim2, sim3")
    first = take(ledger)
    assert says() == (one, "runs on sim1 now")
    write(ledger, first, "AA")
    finish(ledger, first)
    waits = f"first article: card {first.card} waits for approval"
    assert says() == (f"the lot is held by sim1 since 2026-03-01 12:00: {waits}: `bureau release 1 --lot 1`", one)
    stops.release(ledger, LOT, "anna", NOW)
    assert says() == ("next on sim1, sim2, sim3",)


# People hold and release


def test_a_person_holds_a_lot_and_another_lets_it_go_on(ledger: Ledger) -> None:
    """With name, time and reason; nobody takes a card of it meanwhile."""
    submit(ledger, "A", job("1", lot(9)))
    stops.hold(ledger, LOT, "wrong artwork", "carl", NOW)
    assert _hold(ledger) == Hold(by="carl", at=NOW, reason="wrong artwork")
    assert claims.claim(ledger, SIM1, NOW, LEASE) is None
    stops.release(ledger, LOT, "anna", LATER)
    assert take(ledger).lot == 1
    assert _entries(ledger, "hold", "release")[-2:] == [("carl", "hold", "lot 1"), ("anna", "release", "lot 1")]


def test_a_second_reason_is_added_to_the_first(ledger: Ledger) -> None:
    """So whoever releases the lot has read both; who held it first stays."""
    submit(ledger, "A", job("1", lot(9)))
    stops.hold(ledger, LOT, "wrong artwork", "carl", NOW)
    with ledger.write("sim1", LATER) as tx:
        stops.stop_in(tx, LOT, "card 1 is no good")
    assert _hold(ledger) == Hold(by="carl", at=NOW, reason="wrong artwork; card 1 is no good")


def test_what_isnt_held_isnt_released(ledger: Ledger) -> None:
    """And what it waits for, where it is its job."""
    submit(ledger, "A", job("1", lot(9)))
    (held,) = submit(ledger, "B", job("1", lot(9)), release=False)
    with pytest.raises(NotAllowedError, match="lot 1 of job 1 isn't held"):
        stops.release(ledger, LOT, "anna", NOW)
    with pytest.raises(NotAllowedError) as refused:
        stops.release(ledger, LotId(2), "anna", NOW)
    assert f"bureau release {held}" in refused.value.remedy


def test_a_released_job_names_the_lots_that_are_held(ledger: Ledger) -> None:
    """Whoever releases it again is told what to type."""
    (number,) = submit(ledger, "A", job("1", lot(9), lot(9), lot(9)))
    for each in (LotId(1), LotId(3)):
        stops.hold(ledger, each, "wait", "carl", NOW)
    with pytest.raises(NotAllowedError, match="released already") as refused:
        submissions.release(ledger, number, "anna", NOW)
    assert [f"bureau release {number} --lot {each}" in refused.value.remedy for each in (1, 2, 3)] == [True, False, True]


def test_a_lot_is_found_by_its_number_in_its_job(ledger: Ledger) -> None:
    """From 1; a number that the job hasn't is unknown."""
    submit(ledger, "A", job("1", lot(1)))
    (number,) = submit(ledger, "B", job("1", lot(1), lot(1)))
    with ledger.read() as connection:
        assert stops.find(connection, number, 2) == 3
        for wrong in (0, 3):
            with pytest.raises(NotFoundError, match="has no lot"):
                stops.find(connection, number, wrong)


def test_a_held_lot_doesnt_close_until_it_is_released(ledger: Ledger) -> None:
    """The card in hand becomes good, and nothing is answered before a person has looked; then the batch is due."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    stops.hold(ledger, LOT, "a sample failed", "carl", NOW)
    write(ledger, claim, "AA")
    assert finish(ledger, claim) is None
    with ledger.read() as connection:
        assert closing.due_for_report(connection) == []
    assert stops.release(ledger, LOT, "anna", NOW).closed == claim.batch
    with pytest.raises(NotAllowedError, match="closed"):
        stops.hold(ledger, LOT, "too late", "carl", NOW)


def test_records_that_were_decided_close_with_the_release(ledger: Ledger) -> None:
    """Scrapped while the lot was held; both balances hold all the time."""
    submit(ledger, "A", job("1", lot(3)))
    for place in range(3):
        _end(ledger, AttemptOutcome.SPOILED, f"A{place}")
    with ledger.write("anna", NOW) as tx:
        assert decisions.scrap(tx, [CardId(1), CardId(2), CardId(3)], "useless") == ()
    (before,) = _lots(ledger, JobId(1))
    assert (before.balance.records_balance, before.balance.stock_balances, before.closed_at) == (True, True, None)
    assert stops.release(ledger, LOT, "anna", NOW).closed == BatchId(1)
    (after,) = _lots(ledger, JobId(1))
    assert (after.balance, after.closed_at) == (before.balance, NOW)


def test_a_requeued_record_of_a_held_lot_waits_with_it(ledger: Ledger) -> None:
    """A decision about a card doesn't release its lot."""
    submit(ledger, "A", job("1", lot(3)))
    for place in range(3):
        _end(ledger, AttemptOutcome.SPOILED, f"A{place}")
    with ledger.write("anna", NOW) as tx:
        decisions.requeue(tx, decisions.to_requeue(tx.connection, [CardId(1)]))
    assert claims.claim(ledger, SIM1, NOW, LEASE) is None


# Encoders


def test_an_encoder_knows_who_holds_it_since_when(ledger: Ledger) -> None:
    """From its start on, until it is opened."""

    def hold() -> Hold | None:
        with ledger.read() as connection:
            return encoders.line(connection, SIM1).hold

    encoders.start(ledger, machine(SIM1), NOW)
    assert hold() == Hold(by=SIM1, at=NOW, reason="started")
    encoders.open_line(ledger, SIM1, "anna", NOW)
    assert hold() is None
    encoders.hold(ledger, SIM1, "lunch", "anna (os: root)", LATER)
    assert hold() == Hold(by="anna (os: root)", at=LATER, reason="lunch")
