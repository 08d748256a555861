"""What the ledger keeps of each exchange with a piece of plastic, and finds again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from bureau.errors import FenceError, NotFoundError
from bureau.ledger import claims, closing, floor, traces, views
from bureau.ledger.ledger import Ledger
from bureau.models import AttemptOutcome, BatchId, CardId, CardState, Recording
from hardware.trace.speed import Speed
from tests.bureau.ledgers import (
    NOW,
    SIM1,
    authenticate,
    job,
    lot,
    make,
    open_encoder,
    opened,
    submit,
    take,
    url,
    write,
)

SPEED = Speed(protocol="T=1", bit_rate=115_200, octets=2_000, card=800_000, host=12_000, least=190_972)
RECORDING = Recording(speed=SPEED, sealed=b"<sealed trace>")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with one open encoder and a job of three records."""
    with opened(tmp_path / "ledger.db") as made:
        open_encoder(made, SIM1)
        submit(made, "A", job("1", lot(3)))
        yield made


def returned(ledger: Ledger, recording: Recording | None = RECORDING) -> claims.Claim:
    """Claim a card and give it back unwritten."""
    claim = take(ledger)
    claims.give_back(ledger, claim, "wrong key", 1, NOW, recording=recording)
    return claim


def test_each_attempt_has_its_own_times_and_trace(ledger: Ledger) -> None:
    """Returned, then good: the newest trace is found, or the one that is asked for."""
    first = returned(ledger)
    second = take(ledger)
    assert second.card == first.card
    write(ledger, second, "AA")
    claims.verifying(ledger, second, NOW, NOW - NOW)
    good = Recording(speed=SPEED, sealed=b"<good trace>")
    claims.settle(ledger, second, CardState.GOOD, AttemptOutcome.GOOD, NOW, recording=good)
    with ledger.read() as connection:
        newest, oldest = traces.kept(connection, first.card), traces.kept(connection, first.card, 1)
        attempts = views.list_attempts(connection, first.card)
    assert [each.speed for each in attempts] == [SPEED, SPEED]
    assert (newest.number, newest.trace, newest.attempt.outcome) == (2, b"<good trace>", AttemptOutcome.GOOD)
    assert (oldest.number, oldest.trace, oldest.attempt.outcome) == (1, b"<sealed trace>", AttemptOutcome.RETURNED)
    assert (newest.record.crn, newest.record.sealed) == (second.crn, second.sealed)


def test_the_newest_that_left_a_trace_is_found(ledger: Ledger) -> None:
    """A process that died left none."""
    claim = returned(ledger)
    returned(ledger, None)
    with ledger.read() as connection:
        assert traces.kept(connection, claim.card).number == 1
        assert [each.speed for each in views.list_attempts(connection, claim.card)] == [SPEED, None]
        with pytest.raises(NotFoundError, match="no trace was kept"):
            traces.kept(connection, claim.card, 2)
        with pytest.raises(NotFoundError, match="no attempt 3"):
            traces.kept(connection, claim.card, 3)


def test_a_card_without_any_attempt_has_no_trace(ledger: Ledger) -> None:
    """And neither has one that doesn't exist."""
    with ledger.read() as connection:
        with pytest.raises(NotFoundError, match="no attempt 1"):
            traces.kept(connection, CardId(1))
        with pytest.raises(NotFoundError, match="there is no card 77"):
            traces.kept(connection, CardId(77))


def test_what_was_abandoned_keeps_its_trace(ledger: Ledger) -> None:
    """Unwritten or written."""
    claim = take(ledger)
    assert claims.abandon(ledger, claim, "interrupted", 1, NOW, RECORDING) is AttemptOutcome.RETURNED
    claim = take(ledger)
    write(ledger, claim, "AA")
    assert claims.abandon(ledger, claim, "interrupted", 1, NOW, RECORDING) is AttemptOutcome.UNKNOWN
    with ledger.read() as connection:
        assert [each.speed for each in views.list_attempts(connection, claim.card)] == [SPEED, SPEED]


def test_a_zombies_trace_hits_nothing(ledger: Ledger) -> None:
    """Its fence is over, and so is its say."""
    claim = returned(ledger, None)
    with pytest.raises(FenceError):
        claims.give_back(ledger, claim, "again", 1, NOW, recording=RECORDING)
    with ledger.read() as connection, pytest.raises(NotFoundError, match="no trace was kept"):
        traces.kept(connection, claim.card)


def test_a_purge_forgets_traces(ledger: Ledger, tmp_path: Path) -> None:
    """Their bytes are in no file any more; the times stay."""
    claim = returned(ledger)
    for chip in ("AA", "BB", "CC"):
        make(ledger, chip)
    closing.reported(ledger, BatchId(1), "office", NOW)
    files = [tmp_path / name for name in ("ledger.db", "ledger.db-wal")]
    assert any(b"<sealed trace>" in file.read_bytes() for file in files)
    assert closing.purge(ledger, claim.job, "office", NOW)
    assert not any(b"<sealed trace>" in file.read_bytes() for file in files if file.exists())
    with ledger.read() as connection:
        assert views.list_attempts(connection, claim.card)[0].speed == SPEED
        with pytest.raises(NotFoundError, match="purged"):
            traces.kept(connection, claim.card)


def test_an_encoders_speed_is_that_of_its_last_good_cards(ledger: Ledger) -> None:
    """Blanks that went back don't count, nor do cards of which nothing was recorded."""
    returned(ledger)
    for chip, card in (("AA", 100_000), ("BB", 300_000)):
        claim = take(ledger)
        write(ledger, claim, chip)
        claims.verifying(ledger, claim, NOW, NOW - NOW)
        speed = Speed(protocol="T=1", bit_rate=115_200, octets=2_000, card=card, host=10_000, least=90_000)
        claims.settle(ledger, claim, CardState.GOOD, AttemptOutcome.GOOD, NOW, recording=Recording(speed=speed, sealed=b"x"))
    make(ledger, "CC")
    with ledger.read() as connection:
        (view,) = floor.list_encoders(connection)
    assert view.speed is not None
    assert (view.speed.card, view.speed.least) == (200_000, 90_000)


def test_a_card_is_found_by_number_or_crn(ledger: Ledger) -> None:
    """A CRN that is none of these is said."""
    with ledger.read() as connection:
        crn = views.list_cards(connection, take(ledger).job)[1].crn
        assert views.find_card(connection, "3") == 3
        assert views.find_card(connection, crn) == 2
        for unknown in ("4", "410009", "", "9" * 30):
            with pytest.raises(NotFoundError, match="there is no card"):
                views.find_card(connection, unknown)


def test_a_ledger_of_the_version_before_keeps_its_attempts(tmp_path: Path) -> None:
    """They have neither times nor traces, and new ones do."""
    with opened(tmp_path / "new.db") as new:
        open_encoder(new, SIM1)
        submit(new, "A", job("1", lot(2)))
        returned(new)
    _downgrade(tmp_path / "new.db")
    ledger = Ledger(url(tmp_path / "new.db"), authenticate)
    assert not ledger.is_migrated()
    ledger.migrate()
    with ledger.read() as connection:
        (old,) = views.list_attempts(connection, CardId(1))
    assert (old.outcome, old.cause, old.speed) == (AttemptOutcome.RETURNED, "wrong key", None)
    returned(ledger)
    with ledger.read() as connection:
        assert traces.kept(connection, CardId(1)).number == 2
    ledger.close()


def _downgrade(file: Path) -> None:
    """Take away what the second migration adds, as a ledger of the first has it."""
    ledger = Ledger(url(file), authenticate)
    with ledger.write("test", NOW) as tx:
        for column in ("protocol", "bit_rate", "octets", "card_time", "host_time", "least_time"):
            tx.connection.execute(text(f"ALTER TABLE attempts DROP COLUMN {column}"))
        tx.connection.execute(text("DROP TABLE traces"))
        tx.connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    ledger.close()
