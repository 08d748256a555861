"""Dead leases: what was not begun goes back, what may have been written is suspect."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bureau.ledger import claims, reaping, views
from bureau.ledger.claims import Claim
from bureau.ledger.ledger import Ledger
from bureau.ledger.schema import cards
from bureau.models import AttemptOutcome, CardState
from tests.bureau.ledgers import (
    LATER,
    LEASE,
    NOW,
    SIM1,
    SIM2,
    job,
    lot,
    make,
    open_encoder,
    opened,
    state,
    submit,
    take,
    write,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with opened(tmp_path / "ledger.db") as ledger:
        open_encoder(ledger, SIM1, SIM2)
        submit(ledger, "A", job("1", lot(3)))
        yield ledger


def _outcomes(ledger: Ledger, claim: Claim) -> list[tuple[AttemptOutcome, str | None]]:
    with ledger.read() as connection:
        return [(each.outcome, each.cause) for each in views.list_attempts(connection, claim.card)]


def test_a_lease_that_ends_before_writing_goes_back_to_ready(ledger: Ledger) -> None:
    """Nothing was begun: the blank counts as returned."""
    claim = take(ledger)
    (reaped,) = reaping.reap(ledger, LATER)
    assert (reaped.card, reaped.crn, reaped.encoder) == (claim.card, claim.crn, SIM1)
    assert (reaped.was, reaped.now) == (CardState.LEASED, CardState.READY)
    assert state(ledger, claim.card) is CardState.READY
    assert _outcomes(ledger, claim) == [(AttemptOutcome.RETURNED, "lease expired")]


@pytest.mark.parametrize("verified", [False, True])
def test_a_lease_that_ends_after_writing_began_is_suspect(ledger: Ledger, verified: bool) -> None:
    """Never ready: the plastic exists, and no encoder takes the record again."""
    claim = take(ledger)
    write(ledger, claim, "AA")
    if verified:
        claims.verifying(ledger, claim, NOW, LEASE)
    (reaped,) = reaping.reap(ledger, LATER)
    assert reaped.now is CardState.SUSPECT
    assert state(ledger, claim.card) is CardState.SUSPECT
    assert _outcomes(ledger, claim) == [(AttemptOutcome.UNKNOWN, "lease expired")]
    assert {take(ledger).position, take(ledger).position} == {1, 2}
    assert claims.claim(ledger, SIM1, NOW, LEASE) is None


@pytest.mark.parametrize("written", [False, True])
def test_reaping_raises_the_fence(ledger: Ledger, written: bool) -> None:
    """That is what makes a zombie's writes hit nothing."""
    claim = take(ledger)
    if written:
        write(ledger, claim, "AA")
    reaping.reap(ledger, LATER)
    with ledger.read() as connection:
        assert connection.execute(select(cards.c.fence).where(cards.c.id == claim.card)).scalar() == claim.fence + 1


def test_living_leases_and_cards_in_nobodys_hand_are_left_alone(ledger: Ledger) -> None:
    """A lease lives until its end."""
    make(ledger, "AA")
    claim = take(ledger)
    assert reaping.reap(ledger, claim.lease_until - timedelta(microseconds=1)) == ()
    assert len(reaping.reap(ledger, claim.lease_until)) == 1
    assert reaping.reap(ledger, LATER + timedelta(days=1)) == ()


def test_reaping_is_bounded(ledger: Ledger) -> None:
    """After a long stop the writers still get their turn."""
    for _ in range(3):
        take(ledger)
    assert len(reaping.reap(ledger, LATER, limit=2)) == 2
    assert len(reaping.reap(ledger, LATER, limit=2)) == 1
