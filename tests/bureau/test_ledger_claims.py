"""A card's way over an encoder: leases, fences, identities, and what goes back."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from bureau.errors import FenceError, NotAllowedError, NotFoundError
from bureau.ledger import auditing, claims, encoders, moves, reaping, submissions, views
from bureau.ledger.claims import Claim
from bureau.ledger.ledger import Ledger
from bureau.ledger.schema import attempts, cards
from bureau.models import (
    TRANSITIONS,
    AttemptOutcome,
    CardState,
    EncoderId,
    EncoderState,
    ReachedAid,
    StepResult,
)
from bureau.scheduling import Machine
from hardware.iso7816 import AID
from hardware.perso.order import TargetState
from tests.bureau.ledgers import (
    LATER,
    LEASE,
    NOW,
    SIM1,
    SIM2,
    authenticate,
    batch,
    begin,
    finish,
    job,
    lot,
    machine,
    make,
    mute,
    open_encoder,
    opened,
    put,
    records,
    state,
    submit,
    take,
    write,
)

LAW = """
ready     -> leased withdrawn
leased    -> ready writing
writing   -> verifying rejected suspect
verifying -> good rejected suspect
suspect   -> good ready scrapped
rejected  -> ready scrapped
good      ->
scrapped  ->
withdrawn ->
"""
MOVES = {line.split()[0]: set(line.split()[2:]) for line in LAW.strip().splitlines()}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with opened(tmp_path / "ledger.db") as ledger:
        open_encoder(ledger, SIM1, SIM2)
        yield ledger
        assert auditing.verify(ledger, authenticate) is None


def _attempts(ledger: Ledger, claim: Claim) -> list[views.AttemptView]:
    with ledger.read() as connection:
        return views.list_attempts(connection, claim.card)


def _actions(ledger: Ledger) -> list[tuple[str, str]]:
    with ledger.read() as connection:
        return [(entry.actor, entry.action) for entry in auditing.entries(connection)]


def test_the_table_of_transitions_is_the_specified_one() -> None:
    """State by state."""
    assert {str(state): {str(to) for to in moves} for state, moves in TRANSITIONS.items()} == MOVES


@pytest.mark.parametrize("to", list(CardState))
@pytest.mark.parametrize("was", list(CardState))
def test_a_card_moves_by_the_table_only(ledger: Ledger, was: CardState, to: CardState) -> None:
    """Every one of the 81 pairs: the legal ones happen, the others are refused and change nothing."""
    submit(ledger, "A", job("1", lot(1)))
    card = take(ledger).card
    put(ledger, card, was)
    lease = {"lease_until": LATER} if to in moves.IN_HAND else {}
    with ledger.write("test", NOW) as tx:
        row = moves.card_row(tx, card)
        if str(to) in MOVES[str(was)]:
            moves.move(tx, row, to, "try", **lease)
        else:
            with pytest.raises(NotAllowedError, match=f"is {was} and can't become {to}"):
                moves.move(tx, row, to, "try", **lease)
    assert state(ledger, card) is (to if str(to) in MOVES[str(was)] else was)


def test_a_claim_leases_the_first_card_of_the_best_lot(ledger: Ledger) -> None:
    """With everything that an encoder needs to make it, none of it printable that is confidential."""
    numbers = submit(ledger, "A", job("1", lot(2)))
    claim = take(ledger)
    assert (claim.job, claim.crn, claim.position, claim.encoder, claim.fence) == (numbers[0], "410000", 0, SIM1, 1)
    assert claim.lease_until == NOW + LEASE
    assert claim.sealed == b"<sealed A 0>" * 20
    assert claim.wrapped_data_key == b"<wrapped key>" * 4
    assert [pin.kind for pin in claim.profiles] == ["CardProfile"]
    assert "sealed" not in repr(claim)
    assert "wrapped" not in repr(claim)
    assert state(ledger, claim.card) is CardState.LEASED


def test_two_encoders_get_two_cards(ledger: Ledger) -> None:
    """And a third claim finds nothing."""
    submit(ledger, "A", job("1", lot(2)))
    assert {take(ledger, SIM1).position, take(ledger, SIM2).position} == {0, 1}
    assert claims.claim(ledger, SIM1, NOW, LEASE) is None


def test_a_held_line_takes_nothing(ledger: Ledger) -> None:
    """An encoder that nobody opened, or that was held."""
    submit(ledger, "A", job("1", lot(2)))
    encoders.hold(ledger, SIM1, "lunch", "operator", NOW)
    assert claims.claim(ledger, SIM1, NOW, LEASE) is None
    take(ledger, SIM2)


def test_an_unknown_encoder_is_refused(ledger: Ledger) -> None:
    """It never started."""
    with pytest.raises(NotFoundError):
        claims.claim(ledger, EncoderId("sim9"), NOW, LEASE)


def test_incoming_and_held_jobs_are_unseen_by_claims(ledger: Ledger) -> None:
    """Only a release lets encoders see a job."""
    whole = batch("B", job("1", lot(1)))
    incoming = begin(ledger, whole)
    submissions.add_cards(ledger, incoming, records(whole), NOW)
    assert claims.claim(ledger, SIM1, NOW, LEASE) is None
    (number,) = submissions.finish(ledger, incoming, NOW)
    assert claims.claim(ledger, SIM1, NOW, LEASE) is None
    submissions.release(ledger, number, "operator", NOW)
    assert take(ledger).job == number


def test_an_urgent_job_gets_the_next_card(ledger: Ledger) -> None:
    """Each claim asks afresh: priority, then due date, then job number, and cards in file order."""
    late = NOW - timedelta(days=1)
    submit(ledger, "A", job("1", lot(3)), job("2", lot(1, due=late)))
    assert take(ledger).crn == "410003"
    assert take(ledger).crn == "410000"
    submit(ledger, "U", job("1", lot(2), priority=1))
    assert [take(ledger).crn for _ in range(4)] == ["550000", "550001", "410001", "410002"]


def test_other_stock_is_left_to_other_encoders(ledger: Ledger) -> None:
    """A lot that no encoder fits isn't claimed, whatever its priority."""
    submit(ledger, "A", job("1", lot(1, stock="GOLD"), priority=1), job("2", lot(1)))
    assert take(ledger).position == 1
    assert claims.claim(ledger, SIM1, NOW, LEASE) is None


def test_an_encoder_takes_cards_of_the_stocks_that_it_holds_blanks_of(ledger: Ledger) -> None:
    """Of several stocks, whichever lot matters most; an empty hopper's lots are left to others."""
    encoders.start(ledger, replace(machine(SIM1), stocks=("GOLD", "PLASTIC")), NOW)
    encoders.open_line(ledger, SIM1, "operator", NOW)
    submit(ledger, "A", job("1", lot(2, stock="GOLD"), priority=1), job("2", lot(2)))
    assert take(ledger).position == 0
    left = claims.claim(ledger, SIM1, NOW, LEASE, stocks={"PLASTIC", "SILVER"})
    assert left is not None
    assert (left.position, left.stock) == (2, "PLASTIC")
    assert claims.claim(ledger, SIM1, NOW, LEASE, stocks=()) is None
    assert take(ledger).stock == "GOLD"


def test_unclaiming_leaves_no_trace_of_plastic(ledger: Ledger) -> None:
    """There was no blank: no attempt, no return counted, and the old claim can't write."""
    submit(ledger, "A", job("1", lot(1)))
    for fence in range(1, 6):
        claim = take(ledger)
        assert claim.fence == fence
        claims.unclaim(ledger, claim, NOW)
        assert _attempts(ledger, claim) == []
        with pytest.raises(FenceError):
            write(ledger, claim, "AA")


def test_a_returned_blank_is_counted(ledger: Ledger) -> None:
    """The record is ready again; the attempt says returned, why and which piece."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    claims.give_back(ledger, claim, "other ATR", 7, NOW)
    (attempt,) = _attempts(ledger, claim)
    assert (attempt.outcome, attempt.cause, attempt.position) == (AttemptOutcome.RETURNED, "other ATR", 7)
    assert attempt.ended_at == NOW
    assert take(ledger).fence == 2


def test_a_mute_blank_is_counted_as_mute(ledger: Ledger) -> None:
    """It never answered; the record is ready again."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    mute(ledger, claim, 7)
    assert [each.outcome for each in _attempts(ledger, claim)] == [AttemptOutcome.MUTE]
    assert state(ledger, claim.card) is CardState.READY


def test_a_record_that_came_back_three_times_is_held(ledger: Ledger) -> None:
    """Unwritten, by any mix of causes; the other records go on."""
    submit(ledger, "A", job("1", lot(2)))
    claims.give_back(ledger, take(ledger), "key", 1, NOW)
    mute(ledger, take(ledger), 2)
    third = take(ledger)
    reaping.reap(ledger, LATER)
    assert state(ledger, third.card) is CardState.READY
    assert take(ledger).position == 1
    assert claims.claim(ledger, SIM1, NOW, LEASE) is None
    with ledger.read() as connection:
        held = views.list_cards(connection, third.job)[0].held
        assert views.list_jobs(connection, [third.job])[0].waits == ("1 came back 3 times unwritten",)
    assert held == "came back 3 times unwritten: lease expired"


@pytest.mark.parametrize(
    "outcome", [AttemptOutcome.GOOD, AttemptOutcome.SPOILED, AttemptOutcome.UNKNOWN, AttemptOutcome.OPEN]
)
def test_a_blank_that_goes_back_is_returned_or_mute(ledger: Ledger, outcome: AttemptOutcome) -> None:
    """Nothing else leaves a record unwritten."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    with pytest.raises(NotAllowedError):
        claims.give_back(ledger, claim, "x", 1, NOW, outcome=outcome)
    assert state(ledger, claim.card) is CardState.LEASED


def test_a_good_card_goes_through_writing_and_verifying(ledger: Ledger) -> None:
    """And its attempt keeps the chip, the results and the times."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    write(ledger, claim, "4790AA", position=3)
    assert state(ledger, claim.card) is CardState.WRITING
    claims.verifying(ledger, claim, NOW, LEASE)
    assert state(ledger, claim.card) is CardState.VERIFYING
    aid = ReachedAid(aid=AID(bytes.fromhex("A000000003")), order=1, target=TargetState.PERSONALIZED, reached=0x0F)
    step = StepResult(application=0, step=1, status_words="9000")
    end = NOW + timedelta(seconds=5)
    done = claims.settle(ledger, claim, CardState.GOOD, AttemptOutcome.GOOD, end, aids=[aid], steps=[step], card_state=0x0F)
    assert done == claim.batch
    (attempt,) = _attempts(ledger, claim)
    assert (attempt.identity_type, attempt.identity, attempt.position) == ("CPLC", "4790AA", 3)
    assert (attempt.outcome, attempt.started_at, attempt.ended_at) == (AttemptOutcome.GOOD, NOW, end)


@pytest.mark.parametrize("verified", [False, True])
@pytest.mark.parametrize(
    ("end", "outcome"),
    [(CardState.REJECTED, AttemptOutcome.SPOILED), (CardState.SUSPECT, AttemptOutcome.UNKNOWN)],
)
def test_a_broken_card_is_rejected_or_suspect(
    ledger: Ledger, end: CardState, outcome: AttemptOutcome, verified: bool
) -> None:
    """While writing as while verifying; nothing retries it and the lot stays open."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    write(ledger, claim, "AA")
    if verified:
        claims.verifying(ledger, claim, NOW, LEASE)
    assert claims.settle(ledger, claim, end, outcome, NOW, cause="6A84") is None
    assert state(ledger, claim.card) is end
    assert [(each.outcome, each.cause) for each in _attempts(ledger, claim)] == [(outcome, "6A84")]
    assert claims.claim(ledger, SIM1, NOW, LEASE) is None


PAIRS = {
    (CardState.GOOD, AttemptOutcome.GOOD),
    (CardState.REJECTED, AttemptOutcome.SPOILED),
    (CardState.SUSPECT, AttemptOutcome.UNKNOWN),
}


@pytest.mark.parametrize("outcome", list(AttemptOutcome))
@pytest.mark.parametrize("end", list(CardState))
def test_only_matching_pairs_settle(ledger: Ledger, end: CardState, outcome: AttemptOutcome) -> None:
    """A good card on spoiled plastic, or a ready one by settling, can't be written down."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    write(ledger, claim, "AA")
    claims.verifying(ledger, claim, NOW, LEASE)
    if (end, outcome) in PAIRS:
        claims.settle(ledger, claim, end, outcome, NOW)
        assert state(ledger, claim.card) is end
        return
    with pytest.raises(NotAllowedError):
        claims.settle(ledger, claim, end, outcome, NOW)
    assert state(ledger, claim.card) is CardState.VERIFYING


def test_a_card_isnt_good_before_it_was_verified(ledger: Ledger) -> None:
    """Neither from leased nor from writing."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    for _ in range(2):
        with pytest.raises(NotAllowedError):
            claims.settle(ledger, claim, CardState.GOOD, AttemptOutcome.GOOD, NOW)
        if state(ledger, claim.card) is CardState.LEASED:
            with pytest.raises(NotAllowedError):
                claims.verifying(ledger, claim, NOW, LEASE)
            write(ledger, claim, "AA")


def test_what_was_begun_isnt_given_back(ledger: Ledger) -> None:
    """A written blank is never returned, mute or unclaimed."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    write(ledger, claim, "AA")
    with pytest.raises(NotAllowedError):
        claims.give_back(ledger, claim, "x", 1, NOW)
    with pytest.raises(NotAllowedError):
        mute(ledger, claim, 1)
    with pytest.raises(NotAllowedError):
        claims.unclaim(ledger, claim, NOW)
    with pytest.raises(NotAllowedError):
        write(ledger, claim, "AA")
    assert [each.outcome for each in _attempts(ledger, claim)] == [AttemptOutcome.OPEN]


def _zombie(ledger: Ledger, claim: Claim) -> None:
    """Try every write that the holder of *claim* could still send."""
    late: list[Callable[[], object]] = [
        partial(claims.unclaim, ledger, claim, NOW),
        partial(claims.give_back, ledger, claim, "zombie", 9, NOW, hold=True),
        partial(mute, ledger, claim, 9),
        partial(claims.extend, ledger, claim, NOW, LEASE),
        partial(write, ledger, claim, "DEAD"),
        partial(claims.verifying, ledger, claim, NOW, LEASE),
        partial(claims.settle, ledger, claim, CardState.GOOD, AttemptOutcome.GOOD, NOW),
        partial(claims.settle, ledger, claim, CardState.REJECTED, AttemptOutcome.SPOILED, NOW),
        partial(claims.settle, ledger, claim, CardState.SUSPECT, AttemptOutcome.UNKNOWN, NOW),
    ]
    for each in late:
        with pytest.raises(FenceError):
            each()


def _everything(ledger: Ledger) -> list[tuple[object, ...]]:
    with ledger.read() as connection:
        told = [tuple(row) for table in (cards, attempts) for row in connection.execute(select(table))]
    return [*told, *((each.encoder, each.state) for each in _machines(ledger))]


def _machines(ledger: Ledger) -> list[Machine]:
    with ledger.read() as connection:
        return encoders.machines(connection)


@pytest.mark.parametrize("reached", [CardState.LEASED, CardState.WRITING, CardState.VERIFYING])
def test_a_zombies_writes_hit_nothing(ledger: Ledger, reached: CardState) -> None:
    """After its lease was reaped, whatever it tries and wherever it stood."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    if reached is not CardState.LEASED:
        write(ledger, claim, "AA")
    if reached is CardState.VERIFYING:
        claims.verifying(ledger, claim, NOW, LEASE)
    reaping.reap(ledger, LATER)
    before = _everything(ledger)
    _zombie(ledger, claim)
    assert _everything(ledger) == before


def test_a_zombies_writes_dont_touch_the_next_holder(ledger: Ledger) -> None:
    """The card is in another encoder's hand, in the very state that the zombie left it in."""
    submit(ledger, "A", job("1", lot(1)))
    zombie = take(ledger, SIM1)
    reaping.reap(ledger, LATER)
    heir = take(ledger, SIM2)
    assert heir.card == zombie.card
    before = _everything(ledger)
    _zombie(ledger, zombie)
    assert _everything(ledger) == before
    write(ledger, heir, "BB")
    before = _everything(ledger)
    _zombie(ledger, zombie)
    assert _everything(ledger) == before


@pytest.mark.parametrize("end", [CardState.GOOD, CardState.REJECTED, CardState.SUSPECT])
def test_a_settled_card_isnt_settled_twice(ledger: Ledger, end: CardState) -> None:
    """The same claim has nothing more to say, not even what a person could."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    write(ledger, claim, "AA")
    finish(ledger, claim, end, dict(PAIRS)[end])
    before = _everything(ledger)
    _zombie(ledger, claim)
    assert _everything(ledger) == before


def test_a_forged_fence_hits_nothing(ledger: Ledger) -> None:
    """Neither an older nor a newer one."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    before = _everything(ledger)
    for fence in (claim.fence - 1, claim.fence + 1):
        _zombie(ledger, replace(claim, fence=fence))
    assert _everything(ledger) == before


def test_writing_doesnt_begin_after_the_lease_ended(ledger: Ledger) -> None:
    """Even if nobody took the card back yet: at any moment somebody may."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    with pytest.raises(FenceError):
        write(ledger, claim, "AA", now=claim.lease_until)
    with pytest.raises(FenceError):
        claims.extend(ledger, claim, claim.lease_until, LEASE)
    write(ledger, claim, "AA", now=claim.lease_until - timedelta(microseconds=1))


def test_what_was_written_late_is_still_told(ledger: Ledger) -> None:
    """The encoder knows better than a dead lease how its card ended, as long as nobody took it back."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    write(ledger, claim, "AA")
    claims.verifying(ledger, claim, LATER, LEASE)
    claims.settle(ledger, claim, CardState.GOOD, AttemptOutcome.GOOD, LATER + 2 * LEASE)
    assert state(ledger, claim.card) is CardState.GOOD


def test_extending_moves_the_leases_end(ledger: Ledger) -> None:
    """The reaper leaves it alone until then."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    claims.extend(ledger, claim, NOW + LEASE / 2, LEASE)
    assert reaping.reap(ledger, NOW + LEASE) == ()
    assert len(reaping.reap(ledger, NOW + LEASE * 1.5)) == 1


def test_a_chip_that_carries_a_good_card_is_refused(ledger: Ledger) -> None:
    """Nothing is begun, and the record goes back."""
    submit(ledger, "A", job("1", lot(2)))
    make(ledger, "AA")
    claim = take(ledger)
    with pytest.raises(NotAllowedError, match="chip AA already carries the card of record 410000"):
        write(ledger, claim, "AA")
    assert state(ledger, claim.card) is CardState.LEASED
    claims.give_back(ledger, claim, "used chip", 2, NOW)
    make(ledger, "AB")


def test_a_chip_whose_card_is_suspect_is_refused(ledger: Ledger) -> None:
    """It may carry a good card, and goes on doing so whatever a person decides about its record."""
    submit(ledger, "A", job("1", lot(2)))
    suspect = take(ledger)
    write(ledger, suspect, "AA")
    finish(ledger, suspect, CardState.SUSPECT, AttemptOutcome.UNKNOWN)
    claim = take(ledger)
    with pytest.raises(NotAllowedError, match="may carry"):
        write(ledger, claim, "AA")
    for decided in (CardState.READY, CardState.SCRAPPED):
        put(ledger, suspect.card, decided)
        with pytest.raises(NotAllowedError, match="may carry"):
            write(ledger, claim, "AA")
    write(ledger, claim, "AB")


def test_a_chip_in_another_hand_is_refused(ledger: Ledger) -> None:
    """The encoder that began with it died and nobody reaped it yet."""
    submit(ledger, "A", job("1", lot(2)))
    write(ledger, take(ledger, SIM1), "AA")
    with pytest.raises(NotAllowedError):
        write(ledger, take(ledger, SIM2), "AA")


def test_a_spoiled_chip_is_no_blank(ledger: Ledger) -> None:
    """It waits to be destroyed: made good, one piece of plastic would be counted twice."""
    submit(ledger, "A", job("1", lot(2)))
    spoiled = take(ledger)
    write(ledger, spoiled, "AA")
    finish(ledger, spoiled, CardState.REJECTED, AttemptOutcome.SPOILED)
    claim = take(ledger)
    with pytest.raises(NotAllowedError, match=f"chip AA was spoiled for record {spoiled.crn}"):
        write(ledger, claim, "AA")
    put(ledger, spoiled.card, CardState.READY)
    with pytest.raises(NotAllowedError, match="was spoiled for"):
        write(ledger, claim, "AA")
    write(ledger, claim, "AB")


def test_identities_of_different_types_are_different_chips(ledger: Ledger) -> None:
    """A UID may have a CPLC's bytes."""
    submit(ledger, "A", job("1", lot(2)))
    make(ledger, "AA")
    claim = take(ledger)
    claims.begin_writing(ledger, claim, "UID", "AA", 2, NOW, LEASE)
    assert state(ledger, claim.card) is CardState.WRITING


def test_anonymous_chips_are_told_apart_by_nothing(ledger: Ledger) -> None:
    """So none of them is refused."""
    submit(ledger, "A", job("1", lot(3)))
    assert len({make(ledger, "").card for _ in range(3)}) == 3


def test_a_record_that_has_a_good_card_is_refused(ledger: Ledger) -> None:
    """Even if a mistake of ours made it ready again."""
    submit(ledger, "A", job("1", lot(2)))
    good = make(ledger, "AA")
    put(ledger, good.card, CardState.READY)
    claim = take(ledger)
    assert claim.card == good.card
    with pytest.raises(NotAllowedError, match="already has a good card"):
        write(ledger, claim, "BB")


def _attempt(claim: Claim, fence: int, outcome: AttemptOutcome, identity: str) -> dict[str, object]:
    return {
        "card_id": claim.card,
        "encoder": SIM1,
        "fence": fence,
        "identity_type": "CPLC",
        "identity": identity,
        "outcome": outcome.value,
        "started_at": NOW,
        "ended_at": None if outcome is AttemptOutcome.OPEN else NOW,
        "result": {},
    }


def test_the_database_itself_forbids_what_the_rules_forbid(ledger: Ledger) -> None:
    """Two good plastics of a record, two good cards on a chip, two open attempts, an attempt twice, a lease in no hand."""
    submit(ledger, "A", job("1", lot(2)))
    good, other = make(ledger, "AA"), take(ledger)
    for forbidden in (
        insert(attempts).values(_attempt(good, 90, AttemptOutcome.GOOD, "BB")),
        insert(attempts).values(_attempt(other, 91, AttemptOutcome.GOOD, "AA")),
        insert(attempts).values(_attempt(other, 92, AttemptOutcome.OPEN, "CC")),
        insert(attempts).values(_attempt(other, other.fence, AttemptOutcome.SPOILED, "CC")),
        insert(attempts).values({**_attempt(other, 93, AttemptOutcome.SPOILED, "CC"), "ended_at": None}),
        insert(attempts).values({**_attempt(other, 94, AttemptOutcome.SPOILED, "CC"), "outcome": "lost"}),
        update(cards).where(cards.c.id == other.card).values(state="ready"),
        update(cards).where(cards.c.id == good.card).values(lease_until=LATER),
        update(cards).where(cards.c.id == other.card).values(crn="410000"),
        update(cards).where(cards.c.id == good.card).values(state="lost"),
    ):
        with pytest.raises(IntegrityError), ledger.write("test") as tx:
            tx.connection.execute(forbidden)


def test_every_change_says_who_made_it(ledger: Ledger) -> None:
    """Encoder, operator, submitter or reaper, step by step."""
    submit(ledger, "A", job("1", lot(2)))
    make(ledger, "AA")
    claims.give_back(ledger, take(ledger, SIM2), "key", 1, NOW, strike=True)
    take(ledger)
    reaping.reap(ledger, LATER)
    assert _actions(ledger)[4:] == [
        ("operator", "add"),
        ("ann", "submit"),
        ("ann", "add records"),
        ("ann", "accept"),
        ("operator", "release"),
        ("sim1", "claim"),
        ("sim1", "begin writing"),
        ("sim1", "verifying"),
        ("sim1", "settle"),
        ("sim2", "claim"),
        ("sim2", "give back"),
        ("sim2", "strike"),
        ("sim1", "claim"),
        ("reap", "reap"),
    ]


def _standing(ledger: Ledger, encoder: EncoderId = SIM1) -> EncoderState:
    with ledger.read() as connection:
        return encoders.machine(connection, encoder).state


def test_three_key_failures_in_a_row_hold_the_encoder(ledger: Ledger) -> None:
    """In the same commit that returns the third blank."""
    submit(ledger, "A", job("1", lot(5)))
    for _ in range(3):
        assert _standing(ledger) is EncoderState.OPEN
        claims.give_back(ledger, take(ledger), "key", 1, NOW, strike=True)
    assert _standing(ledger) is EncoderState.HELD
    assert _standing(ledger, SIM2) is EncoderState.OPEN
    assert claims.claim(ledger, SIM1, NOW, LEASE) is None


def test_a_channel_that_opens_ends_the_row(ledger: Ledger) -> None:
    """Two failures, a card that is begun, two failures: still open."""
    submit(ledger, "A", job("1", lot(5)))
    for chip in ("AA", "BB"):
        for _ in range(2):
            claims.give_back(ledger, take(ledger), "key", 1, NOW, strike=True)
        make(ledger, chip)
    assert _standing(ledger) is EncoderState.OPEN


def test_a_refused_authentication_holds_the_encoder_at_once(ledger: Ledger) -> None:
    """It spent a retry counter on the chip."""
    submit(ledger, "A", job("1", lot(1)))
    claims.give_back(ledger, take(ledger), "EXTERNAL AUTHENTICATE: 6300", 1, NOW, hold=True)
    assert _standing(ledger) is EncoderState.HELD
