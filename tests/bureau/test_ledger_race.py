"""Many processes on one database: no card is given to two, and nobody is starved."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkContext, SpawnContext
from multiprocessing.queues import Queue
from pathlib import Path
from threading import Barrier

import pytest

from bureau.errors import FenceError
from bureau.ledger import auditing, claims, reaping, stops, views
from bureau.ledger.claims import Claim
from bureau.ledger.ledger import Ledger
from bureau.models import AttemptOutcome, CardState, EncoderId, LotId
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
            assert views.list_jobs(connection, [number])[0].state == "closed"
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


EIGHT = [EncoderId(f"sim{number}") for number in range(8)]


def _all_claim(ledgers: dict[EncoderId, Ledger]) -> list[Claim]:
    """Let every encoder claim at the same moment, and return what they got."""
    together = Barrier(len(ledgers))

    def claim(encoder: EncoderId) -> Claim | None:
        together.wait(30)
        return claims.claim(ledgers[encoder], encoder, NOW, LEASE)

    with ThreadPoolExecutor(len(ledgers)) as pool:
        return [got for got in pool.map(claim, ledgers) if got is not None]


@pytest.mark.databases
def test_eight_encoders_at_once_make_one_first_article(tmp_path: Path) -> None:
    """Whatever becomes of it, one card at a time, none while a good one waits for approval, and then one each."""
    with opened(tmp_path / "ledger.db") as ledger:
        open_encoder(ledger, *EIGHT)
        submit(ledger, "A", job("1", lot(RECORDS)), first_article=True)
        ledgers = {encoder: Ledger(url(tmp_path / "ledger.db"), authenticate) for encoder in EIGHT}
        try:
            for place in range(20):
                (first,) = _all_claim(ledgers)
                if place % 2:
                    claims.give_back(ledger, first, "trial", 1, NOW)
                else:
                    claims.begin_writing(ledger, first, "CPLC", f"{place:02X}", None, NOW, LEASE)
                    claims.settle(ledger, first, CardState.REJECTED, AttemptOutcome.SPOILED, NOW)
                open_encoder(ledger, first.encoder)
            (first,) = _all_claim(ledgers)
            claims.begin_writing(ledger, first, "CPLC", "AA", None, NOW, LEASE)
            claims.verifying(ledger, first, NOW, LEASE)
            claims.settle(ledger, first, CardState.GOOD, AttemptOutcome.GOOD, NOW)
            assert _all_claim(ledgers) == []
            assert stops.release(ledger, LotId(1), "anna", NOW).article == first.card
            assert len({claim.card for claim in _all_claim(ledgers)}) == len(EIGHT)
        finally:
            for each in ledgers.values():
                each.close()
        assert auditing.verify(ledger, authenticate) is None
