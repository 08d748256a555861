"""Which cards of a lot are samples, and what becomes of the lot when one fails or is lost."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from bureau.ledger import auditing, claims, reaping, views
from bureau.ledger.claims import Claim
from bureau.ledger.ledger import Ledger
from bureau.ledger.schema import jobs, lots
from bureau.models import AttemptOutcome, CardState, JobId, LotHeader
from tests.bureau.ledgers import LATER, LEASE, NOW, SIM1, SIM2, finish, job, lot, open_encoder, submit, take, write

GOOD = (CardState.GOOD, AttemptOutcome.GOOD)
REJECTED = (CardState.REJECTED, AttemptOutcome.SPOILED)
SUSPECT = (CardState.SUSPECT, AttemptOutcome.UNKNOWN)


def released(ledger: Ledger, risk: int, *headers: LotHeader) -> JobId:
    """Release a job of this RiskLevel and open two encoders."""
    (number,) = submit(ledger, "A", replace(job("J", *headers), risk=risk))
    open_encoder(ledger, SIM1, SIM2)
    return number


def verified(ledger: Ledger) -> tuple[Claim, bool]:
    """Write the next card until it is read back; returns its claim and whether it is a sample."""
    claim = take(ledger)
    write(ledger, claim, f"C{claim.attempt:04X}")
    return claim, claims.verifying(ledger, claim, NOW, LEASE)


def settled(ledger: Ledger, claim: Claim, end: tuple[CardState, AttemptOutcome] = GOOD) -> None:
    """End a card that is being read back."""
    claims.settle(ledger, claim, *end, NOW, cause=None if end is GOOD else "read back: something differs")


def samples(ledger: Ledger, cards: int) -> list[int]:
    """Make good cards one after another; returns which of them were samples, from 1."""
    found = []
    for number in range(1, cards + 1):
        claim, sampled = verified(ledger)
        settled(ledger, claim)
        found += [number] if sampled else []
    return found


def stopped(ledger: Ledger) -> list[str | None]:
    """Return why each lot is held."""
    with ledger.read() as connection:
        return list(connection.execute(select(lots.c.stopped_reason).order_by(lots.c.id)).scalars())


@pytest.mark.parametrize(
    ("risk", "wanted"),
    [(1, list(range(1, 22))), (2, [1, 11, 21]), (3, [1]), (0, list(range(1, 22))), (9, list(range(1, 22)))],
)
def test_the_risk_level_says_how_many_are_samples(ledger: Ledger, risk: int, wanted: list[int]) -> None:
    """1 each card, 2 one in ten, 3 one in a hundred, the first always; an unknown level each card."""
    released(ledger, 1, lot(21))
    with ledger.write("test", NOW) as tx:
        tx.connection.execute(update(jobs).values(risk=risk))
    assert samples(ledger, 21) == wanted


def test_at_the_third_level_the_hundredth_after_the_last_is_the_next(ledger: Ledger) -> None:
    """The ledger is put where 98 have been made since."""
    released(ledger, 3, lot(4))
    assert samples(ledger, 1) == [1]
    with ledger.write("test", NOW) as tx:
        tx.connection.execute(update(lots).values(unsampled=98))
    assert [verified(ledger)[1] for _ in range(2)] == [False, True]


def test_the_first_card_of_each_lot_is_a_sample(ledger: Ledger) -> None:
    """Lots count for themselves."""
    released(ledger, 3, lot(3), lot(2))
    assert samples(ledger, 5) == [1, 4]


def test_until_one_has_passed_every_card_is_a_sample(ledger: Ledger) -> None:
    """Two encoders at once: neither takes the other's for good."""
    released(ledger, 3, lot(4))
    first, one = verified(ledger)
    second, other = verified(ledger)
    assert (one, other) == (True, True)
    settled(ledger, first)
    settled(ledger, second)
    assert not verified(ledger)[1]


@pytest.mark.parametrize("lost", ["suspect", "reaped"])
def test_a_sample_that_is_lost_is_made_up_for_by_the_next_card(ledger: Ledger, lost: str) -> None:
    """Its fate is unknown, which neither passes nor holds the lot."""
    released(ledger, 3, lot(3))
    claim, sampled = verified(ledger)
    assert sampled
    if lost == "suspect":
        settled(ledger, claim, SUSPECT)
    else:
        assert [each.now for each in reaping.reap(ledger, LATER)] == ["suspect"]
    assert stopped(ledger) == [None]
    assert samples(ledger, 2) == [1]


def test_a_failed_sample_holds_its_lot_at_once(ledger: Ledger) -> None:
    """In the same change, with the card and what it gave back wrongly; no other lot is; a card in hand is finished."""
    number = released(ledger, 2, lot(3), lot(1))
    claim, _ = verified(ledger)
    in_hand, _ = verified(ledger)
    settled(ledger, claim, REJECTED)
    assert stopped(ledger) == [f"sample failed: card {claim.card}: read back: something differs", None]
    settled(ledger, in_hand)
    after = take(ledger)
    assert after.lot != claim.lot
    with ledger.read() as connection:
        said = [(each.action, each.subject) for each in auditing.entries(connection)]
        (first, *_) = views.list_cards(connection, number)
        assert [plastic.sampled for plastic in views.list_attempts(connection, first.card)] == [True]
    assert said.count(("hold", f"lot {claim.lot}")) == 1
    write(ledger, after, "C0003")
    finish(ledger, after)
    assert claims.claim(ledger, SIM1, NOW, LEASE) is None


def test_any_other_card_that_is_rejected_holds_nothing(ledger: Ledger) -> None:
    """Nor does a sample's lot lose its count by it."""
    released(ledger, 2, lot(4))
    assert samples(ledger, 1) == [1]
    claim, sampled = verified(ledger)
    assert not sampled
    settled(ledger, claim, REJECTED)
    assert stopped(ledger) == [None]
    write(ledger, claim := take(ledger), "C0003")
    settled(ledger, claim, REJECTED)  # before it was to be read back
    assert stopped(ledger) == [None]
    assert not verified(ledger)[1]


def test_of_cards_that_are_read_back_at_one_moment_only_the_tenth_is_a_sample(ledger: Ledger) -> None:
    """Encoders count one after the other, whoever comes first."""
    released(ledger, 2, lot(5))
    assert samples(ledger, 1) == [1]
    in_hand = [take(ledger, encoder) for encoder in (SIM1, SIM2, SIM1, SIM2)]
    for claim in in_hand:
        write(ledger, claim, f"C{claim.attempt:04X}")
    with ledger.write("test", NOW) as tx:
        tx.connection.execute(update(lots).values(unsampled=6))
    with ThreadPoolExecutor(len(in_hand)) as encoders:
        found = list(encoders.map(lambda claim: claims.verifying(ledger, claim, NOW, LEASE), in_hand))
    assert sorted(found) == [False, False, False, True]
