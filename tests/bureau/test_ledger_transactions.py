"""The door to the database: migration, locks, who may write, and what an interrupted change leaves."""

import multiprocessing
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime
from multiprocessing.synchronize import Event
from pathlib import Path
from time import monotonic

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DBAPIError

from bureau.audit import Break
from bureau.errors import NotAllowedError
from bureau.ledger import auditing, backup, encoders, schema
from bureau.ledger.ledger import Ledger
from bureau.ledger.migrations.run import config
from tests.bureau.ledgers import NOW, SIM1, authenticate, machine, open_encoder, opened, pin, unmigrated, url


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ledger.db"


@pytest.fixture
def ledger(file: Path) -> Iterator[Ledger]:
    file.parent.mkdir()
    with opened(file) as ledger:
        yield ledger


def _audited(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return connection.execute(select(func.count()).select_from(schema.audit)).scalar_one()


def test_migration_makes_the_tables_that_the_program_knows(ledger: Ledger) -> None:
    """Alembic, comparing them with the schema, finds nothing to do."""
    with ledger.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_the_schema_is_that_of_the_newest_migration(ledger: Ledger) -> None:
    """is_migrated() doesn't load Alembic, so the number stands in the schema."""
    with ledger.read() as connection:
        assert ScriptDirectory.from_config(config(connection)).get_current_head() == schema.VERSION


def test_migrating_again_changes_nothing(ledger: Ledger) -> None:
    """What is there stays."""
    open_encoder(ledger, SIM1)
    before = _audited(ledger)
    ledger.migrate()
    assert ledger.is_migrated()
    assert _audited(ledger) == before


@pytest.mark.databases
def test_an_unmigrated_ledger_is_refused_and_not_made(file: Path) -> None:
    """Neither reading nor writing brings a database about, or tables in one."""
    with unmigrated(file) as ledger:
        assert not ledger.is_migrated()
        with pytest.raises(NotAllowedError), ledger.read():
            pass
        with pytest.raises(NotAllowedError), ledger.write("ann"):
            pass
        assert not ledger.is_migrated()
        assert not file.exists()


def test_a_ledger_of_another_version_is_refused(ledger: Ledger, file: Path) -> None:
    """A newer program's tables aren't touched by this one."""
    with ledger.write("ann") as tx:
        tx.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    other = Ledger(url(file), authenticate)
    with pytest.raises(NotAllowedError), other.read():
        pass
    other.close()


def test_a_ledger_in_memory_is_refused() -> None:
    """No worker could share it."""
    with pytest.raises(ValueError, match="file"):
        Ledger("sqlite://", authenticate).migrate()


def test_only_its_owner_may_read_the_files(file: Path) -> None:
    """The database and its write-ahead log have mode 0600, whatever the umask."""
    with unmigrated(file) as ledger:
        ledger.migrate()
        open_encoder(ledger, SIM1)
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in file.parent.iterdir()}
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("secure_delete", 1), ("foreign_keys", 1), ("busy_timeout", 10_000)],
)
def test_every_connection_has_its_pragmas(ledger: Ledger, pragma: str, value: object) -> None:
    """Write-ahead log, full sync, overwritten deletions, foreign keys, ten seconds' patience."""
    with ledger.read() as connection:
        assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == value


@pytest.mark.sqlite
def test_a_writer_holds_the_write_lock_from_its_start(ledger: Ledger, file: Path) -> None:
    """BEGIN IMMEDIATE: before its first change already, nobody else can begin to write."""
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as other:
        with ledger.write("ann"), pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")


@pytest.mark.sqlite
def test_a_reader_takes_no_write_lock(ledger: Ledger, file: Path) -> None:
    """A listing doesn't keep an encoder from claiming."""
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as other, ledger.read() as connection:
        connection.execute(select(schema.encoders)).all()
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")


def test_a_reader_sees_one_state_while_others_write(ledger: Ledger) -> None:
    """What is committed meanwhile belongs to the next listing, and the reader doesn't wait for it."""
    count = select(func.count()).select_from(schema.encoders)
    with ledger.read() as reader:
        assert reader.execute(count).scalar() == 0
        with ledger.write("ann") as tx:
            tx.record("try", "nothing")
            assert reader.execute(count).scalar() == 0
        open_encoder(ledger, SIM1)
        assert reader.execute(count).scalar() == 0
    with ledger.read() as reader:
        assert reader.execute(count).scalar() == 1


def test_an_error_undoes_the_change_and_its_audit_entry(ledger: Ledger) -> None:
    """Either both last or neither."""
    before = _audited(ledger)

    def fail() -> None:
        with ledger.write("ann") as tx:
            tx.record("try", "division")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert _audited(ledger) == before
    assert auditing.verify(ledger, authenticate) is None


@pytest.mark.databases
def test_every_commit_goes_through_the_one_method(file: Path) -> None:
    """A test can kill the process on both sides of it: what it doesn't commit doesn't last."""

    class Counting(Ledger):
        commits = 0
        dropped = False

        def _commit(self, connection: Connection) -> None:
            self.commits += 1
            if not self.dropped:
                super()._commit(connection)
            else:
                connection.rollback()

    with unmigrated(file):
        ledger = Counting(url(file), authenticate)
        ledger.migrate()
        assert ledger.commits == 1
        open_encoder(ledger, SIM1)
        assert ledger.commits == 3
        ledger.dropped = True
        encoders.hold(ledger, SIM1, "test", "ann", NOW)
        with ledger.read() as connection:
            assert encoders.machine(connection, SIM1).state == "open"
        ledger.close()


def test_a_ledger_without_a_key_store_only_reads(ledger: Ledger, file: Path) -> None:
    """Every change is an audit entry, and only the key store can authenticate one."""
    reader = Ledger(url(file))
    with pytest.raises(NotAllowedError, match="reading only"), reader.write("ann"):
        pass
    with reader.read() as connection:
        assert encoders.machines(connection) == []
    reader.close()


def test_a_moment_without_a_zone_is_refused(ledger: Ledger) -> None:
    """Plant time and UTC never mix."""
    with pytest.raises(Exception, match="zone"):
        encoders.start(ledger, machine(), datetime(2026, 3, 1))


def test_moments_come_back_in_utc(ledger: Ledger) -> None:
    """Stored in UTC, aware, to the microsecond."""
    moment = datetime.fromisoformat("2026-03-01T08:00:00.000007+05:30")
    encoders.start(ledger, machine(), moment)
    with ledger.read() as connection:
        back = connection.execute(select(schema.encoders.c.seen_at)).scalar_one()
    assert back.isoformat() == "2026-03-01T02:30:00.000007+00:00"


@pytest.mark.parametrize("change", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", "DELETE FROM audit_head"])
def test_the_database_forbids_changing_the_audit_log(ledger: Ledger, change: str) -> None:
    """Even this engine's own mistakes can't."""
    open_encoder(ledger, SIM1)
    with pytest.raises(DBAPIError, match="append-only"), ledger.write("ann") as tx:
        tx.connection.execute(text(change))


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("tampering", "number"),
    [
        ("UPDATE audit SET actor = 'bob' WHERE number = 1", 1),
        ("UPDATE audit SET at = '2020-01-01 00:00:00.000000' WHERE number = 2", 2),
        ("UPDATE audit SET at = 'yesterday' WHERE number = 2", 2),
        ("UPDATE audit SET digest = 'text' WHERE number = 2", 2),
        ("DELETE FROM audit WHERE number = 1", 1),
        ("DELETE FROM audit WHERE number = 3", 3),
        ("UPDATE audit_head SET number = 2, digest = (SELECT digest FROM audit WHERE number = 2)", 3),
        ("UPDATE audit_head SET mac = x'00000000000000000000000000000000'", 3),
        ("UPDATE audit_head SET mac = 'text'", 3),
        ("DELETE FROM audit; UPDATE audit_head SET number = 0, digest = zeroblob(32), mac = x''", 1),
        ("DELETE FROM audit; DELETE FROM audit_head", 1),
    ],
)
def test_tampering_in_the_file_is_found(ledger: Ledger, file: Path, tampering: str, number: int) -> None:
    """By someone who has the file, SQL and no key store."""
    open_encoder(ledger, SIM1)
    pin(ledger)
    assert auditing.verify(ledger, authenticate) is None
    with closing(sqlite3.connect(file)) as raw:
        for trigger in ("audit_no_update", "audit_no_delete", "audit_head_no_delete"):
            raw.execute(f"DROP TRIGGER {trigger}")
        raw.executescript(tampering)
    found = auditing.verify(ledger, authenticate)
    assert isinstance(found, Break)
    assert found.number == number
    with suppress(NotAllowedError):
        open_encoder(ledger, SIM1)
    assert isinstance(auditing.verify(ledger, authenticate), Break), "the next change made it authentic"


def test_nothing_follows_a_head_that_the_key_store_did_not_make(ledger: Ledger) -> None:
    """Otherwise the engine itself would sign what an intruder left."""
    open_encoder(ledger, SIM1)
    other = Ledger(str(ledger._url), lambda message: authenticate(b"another" + message))
    with pytest.raises(NotAllowedError, match="head isn't this key store's"):
        open_encoder(other, SIM1)
    other.close()
    assert auditing.verify(ledger, authenticate) is None


def test_entries_can_be_read_from_any_number(ledger: Ledger) -> None:
    """Who did what, in order."""
    open_encoder(ledger, SIM1)
    encoders.hold(ledger, SIM1, "lunch", "bob", NOW)
    with ledger.read() as connection:
        told = [(each.actor, each.action, each.subject, each.details) for each in auditing.entries(connection, after=1)]
    assert told == [
        ("operator", "open", "encoder sim1", "{}"),
        ("bob", "hold", "encoder sim1", '{"reason":"lunch"}'),
    ]


def _write_in_child(ledger: Ledger, seconds: float) -> None:
    end = monotonic() + seconds
    while True:
        with ledger.write("child") as tx:
            tx.record("try", "a child")
        if monotonic() > end:
            break


def test_a_ledger_opened_before_a_fork_works_on_both_sides(ledger: Ledger) -> None:
    """The child opens connections of its own and leaves its parent's locks alone."""
    open_encoder(ledger, SIM1)
    before = _audited(ledger)
    child = multiprocessing.get_context("fork").Process(target=_write_in_child, args=(ledger, 1.0))
    child.start()
    for _ in range(20):
        with ledger.write("parent") as tx:
            tx.record("try", "a parent")
    child.join(20)
    assert child.exitcode == 0
    assert _audited(ledger) > before + 20
    assert auditing.verify(ledger, authenticate) is None


def _read_in_child(ledger: Ledger, reading: Event, done: Event) -> None:
    with ledger.read() as connection:
        connection.execute(select(schema.encoders)).all()
        reading.set()
        done.wait(20)


@pytest.mark.sqlite
def test_a_child_holds_locks_of_its_own(ledger: Ledger, file: Path) -> None:
    """A parent that closes its last connection doesn't take itself for the last user and remove the write-ahead log."""
    open_encoder(ledger, SIM1)
    context = multiprocessing.get_context("fork")
    reading, done = context.Event(), context.Event()
    child = context.Process(target=_read_in_child, args=(ledger, reading, done))
    child.start()
    assert reading.wait(20)
    ledger.is_migrated()
    ledger.close()
    assert file.with_name("ledger.db-wal").exists()
    done.set()
    child.join(20)
    assert child.exitcode == 0


def _refused_in_child(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError, match="forked inside a transaction"):
        _write_in_child(ledger, 0)


def test_a_ledger_is_refused_to_a_child_forked_inside_a_transaction(ledger: Ledger) -> None:
    """SQLite would take the parent's locks for the child's own; the parent goes on."""
    open_encoder(ledger, SIM1)
    before = _audited(ledger)
    with ledger.write("parent") as tx:
        child = multiprocessing.get_context("fork").Process(target=_refused_in_child, args=(ledger,))
        child.start()
        child.join(20)
        tx.record("try", "a parent")
    assert child.exitcode == 0
    assert _audited(ledger) == before + 1


@pytest.mark.sqlite
def test_a_backup_is_a_whole_ledger_of_its_own(ledger: Ledger, file: Path, tmp_path: Path) -> None:
    """Taken while a change is under way, which isn't in it."""
    open_encoder(ledger, SIM1)
    target = tmp_path / "copy.db"
    with ledger.write("ann") as tx:
        tx.record("try", "not yet")
        backup.copy(url(file), target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    copy = Ledger(url(target), authenticate)
    assert auditing.verify(copy, authenticate) is None
    assert _audited(copy) == _audited(ledger) - 1
    open_encoder(copy, SIM1)
    copy.close()
    with pytest.raises(NotAllowedError):
        backup.copy(url(file), target)
    assert not backup.copy("postgresql://host/bureau", tmp_path / "other.db")
    assert not (tmp_path / "other.db").exists()
