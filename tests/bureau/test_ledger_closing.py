"""Lots close when both balances hold; then jobs, reports, and forgetting the cardholders."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from bureau.errors import NotAllowedError
from bureau.ledger import auditing, claims, closing, results, views
from bureau.ledger.closing import Balance
from bureau.ledger.ledger import Ledger
from bureau.ledger.schema import cards, jobs
from bureau.models import AttemptOutcome, BatchId, CardState, JobId, JobState, LotId
from tests.bureau.ledgers import (
    LEASE,
    NOW,
    SIM1,
    authenticate,
    finish,
    job,
    lot,
    make,
    mute,
    open_encoder,
    opened,
    put,
    submit,
    take,
    write,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with opened(tmp_path / "ledger.db") as ledger:
        open_encoder(ledger, SIM1)
        yield ledger
        assert auditing.verify(ledger, authenticate) is None


def _state(ledger: Ledger, number: JobId) -> JobState:
    with ledger.read() as connection:
        return views.list_jobs(connection, [number])[0].state


def _balance(ledger: Ledger, number: int = 1) -> Balance:
    with ledger.read() as connection:
        return closing.balance(connection, LotId(number))


def _due(ledger: Ledger) -> list[BatchId]:
    with ledger.read() as connection:
        return closing.due_for_report(connection)


def _close_lot(ledger: Ledger, number: int = 1) -> BatchId | None:
    with ledger.write("test", NOW) as tx:
        return closing.close_lot(tx, LotId(number))


def test_the_last_good_card_closes_lot_job_and_batch(ledger: Ledger) -> None:
    """Each when its last part is closed; only then is the audit trail due."""
    first, second = submit(ledger, "A", job("1", lot(1), lot(1)), job("2", lot(1)))
    make(ledger, "AA")
    assert _state(ledger, first) is JobState.RELEASED
    make(ledger, "AB")
    assert (_state(ledger, first), _state(ledger, second)) == (JobState.CLOSED, JobState.RELEASED)
    assert _due(ledger) == []
    claim = take(ledger)
    write(ledger, claim, "AC")
    assert finish(ledger, claim) == claim.batch
    assert _state(ledger, second) is JobState.CLOSED
    assert _due(ledger) == [claim.batch]


def test_both_balances_name_everything(ledger: Ledger) -> None:
    """Returned, mute, spoiled, unknown and good plastic; good, open and scrapped records."""
    submit(ledger, "A", job("1", lot(4)))
    claims.give_back(ledger, take(ledger), "ATR", 1, NOW)
    mute(ledger, take(ledger), 2)
    make(ledger, "AA")
    for chip, end, outcome in (
        ("AB", CardState.REJECTED, AttemptOutcome.SPOILED),
        ("AC", CardState.SUSPECT, AttemptOutcome.UNKNOWN),
    ):
        claim = take(ledger)
        write(ledger, claim, chip)
        finish(ledger, claim, end, outcome)
        if end is CardState.REJECTED:
            put(ledger, claim.card, CardState.SCRAPPED)
    take(ledger)
    now = _balance(ledger)
    assert now == Balance(
        records_in=4,
        good=1,
        scrapped=1,
        withdrawn=0,
        open=2,
        drawn=6,
        good_plastics=1,
        spoiled=1,
        mute=1,
        unknown=1,
        returned=1,
        in_hand=1,
    )
    assert not now.records_balance
    assert not now.stock_balances


@pytest.mark.parametrize(
    "left", [state for state in CardState if state not in {CardState.GOOD, CardState.SCRAPPED, CardState.WITHDRAWN}]
)
def test_a_lot_stays_open_while_a_card_is(ledger: Ledger, left: CardState) -> None:
    """Ready, in a hand, or waiting for a person."""
    submit(ledger, "A", job("1", lot(2)))
    make(ledger, "AA")
    put(ledger, take(ledger).card, left)
    assert _close_lot(ledger) is None
    assert _state(ledger, JobId(1)) is JobState.RELEASED


@pytest.mark.parametrize("end", [CardState.SCRAPPED, CardState.WITHDRAWN])
def test_scrapped_and_withdrawn_cards_let_a_lot_close(ledger: Ledger, end: CardState) -> None:
    """A person decided about them."""
    submit(ledger, "A", job("1", lot(2)))
    claim = take(ledger)
    write(ledger, claim, "AA")
    finish(ledger, claim, CardState.REJECTED, AttemptOutcome.SPOILED)
    put(ledger, claim.card, end)
    last = make(ledger, "AB")
    assert _state(ledger, last.job) is JobState.CLOSED
    assert _balance(ledger).records_balance
    assert _balance(ledger).stock_balances


def test_a_lot_that_doesnt_balance_stays_open(ledger: Ledger) -> None:
    """A good record without its good plastic is a mistake of ours that nobody may sign."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    claims.give_back(ledger, claim, "ATR", 1, NOW)
    put(ledger, claim.card, CardState.GOOD)
    assert _close_lot(ledger) is None
    assert not _balance(ledger).stock_balances


def test_plastic_in_hand_keeps_a_lot_open(ledger: Ledger) -> None:
    """Nobody knows yet what it will be."""
    submit(ledger, "A", job("1", lot(1)))
    put(ledger, take(ledger).card, CardState.WITHDRAWN)
    assert _close_lot(ledger) is None


def test_a_lot_closes_once(ledger: Ledger) -> None:
    """Asking again changes nothing."""
    submit(ledger, "A", job("1", lot(1)))
    make(ledger, "AA")
    assert _close_lot(ledger) is None


def test_a_batch_is_reported_when_closed_and_once(ledger: Ledger) -> None:
    """Before there is only an interim trail."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    with pytest.raises(NotAllowedError):
        closing.reported(ledger, BatchId(1), "office", NOW)
    make(ledger, "AA")
    closing.reported(ledger, BatchId(1), "office", NOW)
    assert _state(ledger, number) is JobState.REPORTED
    assert _due(ledger) == []
    with pytest.raises(NotAllowedError):
        closing.reported(ledger, BatchId(1), "office", NOW)
    with pytest.raises(NotAllowedError):
        closing.reported(ledger, BatchId(9), "office", NOW)


@pytest.mark.parametrize("reach", ["held", "released", "closed"])
def test_only_a_reported_job_is_purged(ledger: Ledger, reach: str) -> None:
    """The trail needs the records."""
    (number,) = submit(ledger, "A", job("1", lot(1)), release=reach != "held")
    if reach == "closed":
        make(ledger, "AA")
    with pytest.raises(NotAllowedError):
        closing.purge(ledger, number, "office", NOW)
    with ledger.read() as connection:
        assert connection.execute(select(cards.c.sealed)).scalar_one() is not None


def _bytes_of(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in sorted(folder.iterdir()))


@pytest.mark.sqlite
def test_a_purge_leaves_no_byte_of_a_record_or_its_key_in_the_files(ledger: Ledger, tmp_path: Path) -> None:
    """Neither in the database nor in its write-ahead log; other jobs keep theirs."""
    (number,) = submit(ledger, "A", job("1", lot(30)))
    for chip in range(30):
        make(ledger, f"{chip:04X}")
    submit(ledger, "B", job("1", lot(1)), release=False)
    closing.reported(ledger, BatchId(1), "office", NOW)
    assert all(f"<sealed A {each}>".encode() in _bytes_of(tmp_path) for each in range(30))
    assert closing.purge(ledger, number, "office", NOW)
    assert b"<sealed A" not in _bytes_of(tmp_path)
    assert _bytes_of(tmp_path).count(b"<wrapped key>") == 4
    assert b"<sealed B 0>" in _bytes_of(tmp_path)
    assert _state(ledger, number) is JobState.PURGED
    with ledger.read() as connection:
        keys = {row.id: row.wrapped_data_key for row in connection.execute(select(jobs.c.id, jobs.c.wrapped_data_key))}
    assert keys[number] is None
    assert len([row for row in results.stream(ledger, BatchId(1)) if row.sealed is None]) == 30


@pytest.mark.sqlite
def test_a_purge_that_a_reader_delays_is_finished_by_a_checkpoint(ledger: Ledger, tmp_path: Path) -> None:
    """It says so, and may be repeated."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    make(ledger, "AA")
    closing.reported(ledger, BatchId(1), "office", NOW)
    with ledger.read() as connection:
        connection.execute(select(cards.c.id)).all()
        assert not closing.purge(ledger, number, "office", NOW)
        assert b"<sealed A" in _bytes_of(tmp_path)
    assert closing.purge(ledger, number, "office", NOW)
    assert b"<sealed A" not in _bytes_of(tmp_path)


def test_a_large_job_is_purged_in_small_transactions(ledger: Ledger) -> None:
    """At most a thousand rows each, and a crash in between leaves a job that can be purged again."""
    (number,) = submit(ledger, "A", job("1", lot(1000)))
    with ledger.write("test", NOW) as tx:
        tx.connection.execute(cards.update().values(state="withdrawn"))
    _close_lot(ledger)
    closing.reported(ledger, BatchId(1), "office", NOW)
    closing.purge(ledger, number, "office", NOW)
    with ledger.read() as connection:
        told = [(entry.action, entry.details) for entry in auditing.entries(connection)][-2:]
    assert told == [("purge records", '{"records":1000}'), ("purge", "{}")]


def test_an_extended_lease_doesnt_keep_a_lot_from_closing(ledger: Ledger) -> None:
    """It ends with the card."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    claims.extend(ledger, claim, NOW, LEASE)
    write(ledger, claim, "AA")
    assert finish(ledger, claim) == claim.batch
