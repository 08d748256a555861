"""Many processes on one database: no card is given to two, and nobody is starved."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkContext, SpawnContext
from multiprocessing.queues import Queue
from pathlib import Path

import pytest

from bureau.errors import FenceError
from bureau.ledger import auditing, claims, reaping, views
from bureau.ledger.ledger import Ledger
from bureau.models import AttemptOutcome, CardState, EncoderId
from tests.bureau.ledgers import NOW, SIM1, SIM2, authenticate, job, lot, open_encoder, opened, submit, url

RECORDS = 40
LEASE = timedelta(minutes=5)


def _encode(address: str, encoder: EncoderId, told: "Queue[tuple[str, int]]") -> None:
    ledger = Ledger(address, authenticate)
    while (claim := claims.claim(ledger, encoder, NOW, LEASE)) is not None:
        told.put((claim.crn, claim.fence))
        claims.begin_writing(ledger, claim, "CPLC", f"{encoder}-{claim.crn}", None, NOW, LEASE)
        claims.verifying(ledger, claim, NOW, LEASE)
        claims.settle(ledger, claim, CardState.GOOD, AttemptOutcome.GOOD, NOW)
    ledger.close()


@pytest.mark.databases
@pytest.mark.parametrize("context", [ForkContext(), SpawnContext()], ids=["fork", "spawn"])
def test_no_card_is_given_to_two(tmp_path: Path, context: ForkContext | SpawnContext) -> None:
    """Two processes for each of two encoders, as if every message came twice."""
    with opened(tmp_path / "ledger.db") as ledger:
        open_encoder(ledger, SIM1, SIM2)
        (number,) = submit(ledger, "A", job("1", lot(RECORDS)))
        told: Queue[tuple[str, int]] = context.Queue()
        address = url(tmp_path / "ledger.db")
        workers = [context.Process(target=_encode, args=(address, encoder, told)) for encoder in (SIM1, SIM2) * 2]
        for worker in workers:
            worker.start()
        got = Counter(told.get(timeout=60) for _ in range(RECORDS))
        for worker in workers:
            worker.join(60)
        assert [worker.exitcode for worker in workers] == [0] * 4
        assert told.empty()
        told.close()
        told.join_thread()
        assert got == {(f"41{position:04X}", 1): 1 for position in range(RECORDS)}
        with ledger.read() as connection:
            assert views.one_job(connection, number).state == "closed"
        assert auditing.verify(ledger, authenticate) is None


def _reap(address: str, until: datetime) -> None:
    ledger = Ledger(address, authenticate)
    while datetime.now(UTC) < until:
        reaping.reap(ledger, NOW + LEASE)
    ledger.close()


@pytest.mark.databases
def test_a_reaper_and_an_encoder_never_both_decide(tmp_path: Path) -> None:
    """At the very end of a lease one of the two wins: either writing has begun, or the record is ready again."""
    with opened(tmp_path / "ledger.db") as ledger:
        open_encoder(ledger, SIM1)
        (number,) = submit(ledger, "A", job("1", lot(200)))
        until = datetime.now(UTC) + timedelta(seconds=2)
        reaper = SpawnContext().Process(target=_reap, args=(url(tmp_path / "ledger.db"), until))
        reaper.start()
        ends = Counter[str]()
        while datetime.now(UTC) < until:
            claim = claims.claim(ledger, SIM1, NOW, LEASE)
            if claim is None:
                break
            try:
                claims.begin_writing(ledger, claim, "CPLC", claim.crn, None, NOW, LEASE)
                ends["begun"] += 1
            except FenceError:
                ends["reaped"] += 1
        reaper.join(60)
        assert reaper.exitcode == 0
        reaping.reap(ledger, NOW + LEASE)
        with ledger.read() as connection:
            cards = views.list_cards(connection, number)
            attempts = [views.list_attempts(connection, card.card) for card in cards]
        assert Counter(card.state for card in cards)[CardState.SUSPECT] == ends["begun"]
        outcomes = Counter(attempt.outcome for each in attempts for attempt in each)
        assert outcomes == {
            outcome: count
            for outcome, count in ((AttemptOutcome.UNKNOWN, ends["begun"]), (AttemptOutcome.RETURNED, ends["reaped"]))
            if count
        }
