"""What the ledger keeps of each exchange with a piece of plastic, and finds again."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import insert, update
from sqlalchemy.engine import make_url

from bureau.errors import FenceError, NotFoundError
from bureau.ledger import claims, floor, reaping, schema, sqlite, traces, views
from bureau.ledger import closing as ends
from bureau.ledger.ledger import Ledger
from bureau.ledger.migrations.run import config
from bureau.models import AttemptOutcome, BatchId, CardId, CardState, Recording
from hardware.trace.speed import Speed
from tests.bureau.ledgers import (
    LATER,
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


def test_a_trace_that_is_there_already_keeps_no_card_from_its_end(ledger: Ledger) -> None:
    """Whoever put it there: what was recorded takes its place."""
    claim = take(ledger)
    with ledger.write("vandal", NOW) as tx:
        tx.connection.execute(insert(schema.traces).values(attempt_id=claim.attempt, sealed=b"x"))
    claims.give_back(ledger, claim, "wrong key", 1, NOW, recording=RECORDING)
    with ledger.read() as connection:
        assert traces.kept(connection, claim.card).trace == b"<sealed trace>"


def test_a_trace_may_come_after_the_end_that_somebody_else_wrote(ledger: Ledger) -> None:
    """A lease that was reaped while its holder slept: the trace is kept, and nothing else of the attempt changes."""
    claim = take(ledger)
    write(ledger, claim, "AA")
    reaping.reap(ledger, LATER)
    with pytest.raises(FenceError):
        claims.settle(ledger, claim, CardState.GOOD, AttemptOutcome.GOOD, LATER, recording=RECORDING)
    traces.keep(ledger, claim, RECORDING, LATER)
    with ledger.read() as connection:
        kept = traces.kept(connection, claim.card)
    assert (kept.attempt.outcome, kept.attempt.speed, kept.trace) == (AttemptOutcome.UNKNOWN, SPEED, b"<sealed trace>")


def test_a_trace_is_not_kept_of_an_attempt_that_is_open(ledger: Ledger) -> None:
    """Its own end brings it."""
    claim = take(ledger)
    traces.keep(ledger, claim, RECORDING, NOW)
    with ledger.read() as connection, pytest.raises(NotFoundError, match="no trace was kept"):
        traces.kept(connection, claim.card)


def test_a_zombies_trace_hits_nothing(ledger: Ledger) -> None:
    """Its fence is over, and so is its say."""
    claim = returned(ledger, None)
    with pytest.raises(FenceError):
        claims.give_back(ledger, claim, "again", 1, NOW, recording=RECORDING)
    with ledger.read() as connection, pytest.raises(NotFoundError, match="no trace was kept"):
        traces.kept(connection, claim.card)


@pytest.mark.sqlite
def test_a_purge_forgets_traces(ledger: Ledger, tmp_path: Path) -> None:
    """Their bytes are in no file any more; the times stay."""
    claim = returned(ledger)
    for chip in ("AA", "BB", "CC"):
        make(ledger, chip)
    ends.reported(ledger, BatchId(1), "office", NOW)
    files = [tmp_path / name for name in ("ledger.db", "ledger.db-wal")]
    assert any(b"<sealed trace>" in file.read_bytes() for file in files)
    assert ends.purge(ledger, claim.job, "office", NOW)
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
        for unknown in ("4", "410009", "", "9" * 30, "02"):
            with pytest.raises(NotFoundError, match="there is no card"):
                views.find_card(connection, unknown)


def test_a_crn_of_digits_goes_before_a_number(ledger: Ledger) -> None:
    """Nobody is shown another card than the one that he named."""
    with ledger.write("test", NOW) as tx:
        tx.connection.execute(update(schema.cards).where(schema.cards.c.id == 3).values(crn="1"))
    with ledger.read() as connection:
        assert views.find_card(connection, "1") == 3


def test_a_ledger_of_the_first_version_keeps_its_attempts(tmp_path: Path) -> None:
    """They have neither times nor traces nor anybody to blame, and new ones do."""
    with opened(tmp_path / "new.db") as new:
        open_encoder(new, SIM1)
        submit(new, "A", job("1", lot(2)))
        returned(new)
    _as_of("0001", tmp_path / "new.db", tmp_path / "old.db")
    ledger = Ledger(url(tmp_path / "old.db"), authenticate)
    assert not ledger.is_migrated()
    ledger.migrate()
    with ledger.read() as connection:
        (old,) = views.list_attempts(connection, CardId(1))
    assert (old.outcome, old.cause, old.code, old.speed) == (AttemptOutcome.RETURNED, "wrong key", None, None)
    returned(ledger)
    with ledger.read() as connection:
        assert traces.kept(connection, CardId(1)).number == 2
    ledger.close()


def _as_of(version: str, new: Path, old: Path) -> None:
    """Write to *old* what a ledger of *version* would hold of *new*."""
    engine = sqlite.engine(make_url(url(old)))
    with engine.connect() as connection:
        command.upgrade(config(connection), version)
        connection.commit()
    engine.dispose()
    with closing(sqlite3.connect(old)) as made:
        made.execute("ATTACH ? AS new", (str(new),))
        tables = [name for (name,) in made.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")]
        for table in sorted(set(tables) - {"alembic_version", "audit_head", "sqlite_sequence"}):
            columns = ", ".join(row[1] for row in made.execute(f"PRAGMA main.table_info({table})"))
            made.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
        made.execute("UPDATE main.audit_head SET (number, digest, mac) = (SELECT number, digest, mac FROM new.audit_head)")
        made.commit()
