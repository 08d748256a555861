"""What jobs cost as the ledger has it: how long encoders had their cards, and what became of the plastic."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from bureau.costing import Cost, Past
from bureau.ledger import claims, costs, reaping, schema
from bureau.ledger.ledger import Ledger
from bureau.models import AttemptOutcome, CardState, EncoderId, JobId
from hardware.perso.order import UniqueID
from tests.bureau.ledgers import LEASE, NOW, PROFILE, SIM1, SIM2, job, lot, open_encoder, opened, submit

MS = timedelta(milliseconds=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with opened(tmp_path / "ledger.db") as ledger:
        open_encoder(ledger, SIM1, SIM2)
        yield ledger


def take(ledger: Ledger, took: timedelta, chip: str, state: CardState = CardState.GOOD, encoder: EncoderId = SIM1) -> None:
    """Make a card that takes so long."""
    outcome = AttemptOutcome.GOOD if state is CardState.GOOD else AttemptOutcome.SPOILED
    claim = claims.claim(ledger, encoder, NOW, LEASE)
    assert claim is not None
    claims.begin_writing(ledger, claim, "CPLC", chip, 1, NOW, LEASE)
    if state is CardState.GOOD:
        claims.verifying(ledger, claim, NOW, LEASE)
    claims.settle(ledger, claim, state, outcome, NOW + took)


def give_back(ledger: Ledger, took: timedelta, outcome: AttemptOutcome) -> None:
    claim = claims.claim(ledger, SIM1, NOW, LEASE)
    assert claim is not None
    claims.give_back(ledger, claim, "trial", 1, NOW + took, outcome=outcome)


def cost(ledger: Ledger, number: JobId) -> Cost:
    with ledger.read() as connection:
        return costs.cost(connection, number)


def past(ledger: Ledger, *profiles: UniqueID) -> Past:
    with ledger.read() as connection:
        return costs.past(connection, profiles)


def test_a_job_costs_what_its_plastic_took(ledger: Ledger) -> None:
    """Good in 300 ms, mute in 20, returned in 5, spoiled in 100; another job's card isn't counted, nor one in hand timed."""
    (number,) = submit(ledger, "A", job("1", lot(4)))
    assert cost(ledger, number) == Cost(
        busy_time=0, drawn=0, good=0, spent=0, to_destroy=0, destroyed=0, returned=0, in_hand=0
    )
    take(ledger, 300 * MS, "AA")
    give_back(ledger, 20 * MS, AttemptOutcome.MUTE)
    give_back(ledger, 5 * MS, AttemptOutcome.RETURNED)
    take(ledger, 100 * MS, "AB", CardState.REJECTED)
    assert claims.claim(ledger, SIM2, NOW, LEASE)
    assert cost(ledger, number) == Cost(
        busy_time=425_000, drawn=5, good=1, spent=2, to_destroy=2, destroyed=0, returned=1, in_hand=1
    )


@pytest.mark.parametrize(("ended", "busy"), [(timedelta(hours=8), 60_000_000), (-1 * MS, 0)])
def test_an_encoder_is_busy_until_the_lease_ends_at_the_most(ledger: Ledger, ended: timedelta, busy: int) -> None:
    """Not until somebody noticed, in the morning; and a clock that was set back takes no time away."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    assert claims.claim(ledger, SIM1, NOW, LEASE)
    reaping.reap(ledger, NOW + ended, encoder=SIM1)
    assert cost(ledger, number).busy_time == busy


def test_a_past_counts_all_the_plastic_of_good_records(ledger: Ledger) -> None:
    """A mute blank before the good one is what a good card costs; a record that failed is no measure."""
    submit(ledger, "A", job("1", lot(4)))
    give_back(ledger, 20 * MS, AttemptOutcome.MUTE)
    give_back(ledger, 10 * MS, AttemptOutcome.RETURNED)
    take(ledger, 300 * MS, "AA")
    take(ledger, 100 * MS, "AB")
    take(ledger, 900 * MS, "AC", CardState.REJECTED)
    assert past(ledger, PROFILE) == Past(records=2, busy_time=430_000, plastics=3)


def test_a_past_is_of_the_same_card_profiles(ledger: Ledger) -> None:
    """Neither of others nor of some of them; and of records that somebody timed."""
    submit(ledger, "A", job("1", lot(2)))
    take(ledger, 300 * MS, "AA")
    assert past(ledger, UniqueID("2B06FF")) == Past(records=0, busy_time=0, plastics=0)
    assert past(ledger, PROFILE, UniqueID("2B06FF")) == Past(records=0, busy_time=0, plastics=0)
    with ledger.write("test", NOW) as tx:
        tx.connection.execute(update(schema.attempts).values(busy_time=None))
    assert past(ledger, PROFILE).records == 0


def test_a_past_is_of_the_newest_records(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three newest of four here, across jobs."""
    monkeypatch.setattr(costs, "NEWEST", 3)
    for name, took in (("A", (800, 400)), ("B", (20, 10))):
        submit(ledger, name, job("1", lot(2)))
        for each in took:
            take(ledger, each * MS, f"{each:04X}")
    assert past(ledger, PROFILE) == Past(records=3, busy_time=430_000, plastics=3)
