"""Many at once on PostgreSQL: who waits for whom, what the last of two sees, and what a lost server means."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from time import monotonic, sleep

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DBAPIError

from bureau.audit import Break
from bureau.errors import NotAllowedError, UnavailableError
from bureau.ledger import auditing, claims, closing, encoders, submissions
from bureau.ledger.ledger import Ledger, Transaction
from bureau.ledger.schema import attempts, cards, jobs
from bureau.models import AttemptOutcome, BatchId, CardState, JobHeader
from hardware.trace.speed import Speed
from tests.bureau.ledgers import (
    LEASE,
    NOW,
    SIM1,
    SIM2,
    authenticate,
    batch,
    begin,
    job,
    lot,
    make,
    open_encoder,
    opened,
    pin,
    records,
    state,
    submit,
    take,
    url,
    write,
)
from tests.servers import Cluster

pytestmark = pytest.mark.postgresql
SECONDS = 20.0
Step = Callable[[Ledger], object]


class Halting(Ledger):
    """A ledger that halts at the end of each change, before its audit entries and its commit, until it may go on."""

    def __init__(self, address: str) -> None:
        super().__init__(address, authenticate)
        self.halted, self.go = Event(), Event()

    @contextmanager
    def write(self, actor: str, at: datetime | None = None, *, alone: bool = True) -> Iterator[Transaction]:
        """Open a transaction that halts."""
        with super().write(actor, at, alone=alone) as transaction:
            yield transaction
            self.halted.set()
            assert self.go.wait(SECONDS)


class Two:
    """Two processes' view of one ledger: one that halts in a step, and what happens beside it."""

    def __init__(self, ledger: Ledger, address: str) -> None:
        self.ledger = ledger
        self.hasty = Ledger(f"{address}&options=-c%20lock_timeout%3D200ms", authenticate)
        """The same ledger for whoever may not have to wait."""
        self._address = address

    @contextmanager
    def halted(self, step: Step) -> Iterator["Future[object]"]:
        """Run *step* in a thread and halt it before its end as long as the block runs."""
        halting = Halting(self._address)
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(step, halting)
            try:
                assert halting.halted.wait(SECONDS)
                yield done
            finally:
                halting.go.set()
        halting.close()

    def one_after_the_other(self, first: Step, second: Step) -> tuple[object, object]:
        """Begin *first*, then *second*, which must wait until the first has ended; returns what both returned."""
        with ThreadPoolExecutor(1) as pool:
            with self.halted(first) as done:
                waiting = pool.submit(second, self.ledger)
                deadline = monotonic() + SECONDS
                while not self._somebody_waits():
                    assert not waiting.done(), waiting.result()
                    assert monotonic() < deadline
                    sleep(0.01)
            return done.result(SECONDS), waiting.result(SECONDS)

    def _somebody_waits(self) -> bool:
        with self.hasty.read() as connection:
            return bool(connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar())


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Two open encoders."""
    with opened(tmp_path / "ledger.db") as ledger:
        open_encoder(ledger, SIM1, SIM2)
        yield ledger


@pytest.fixture
def two(ledger: Ledger, tmp_path: Path) -> Iterator[Two]:
    two = Two(ledger, url(tmp_path / "ledger.db"))
    yield two
    two.hasty.close()


def test_two_encoders_claim_without_waiting_for_each_other(ledger: Ledger, two: Two) -> None:
    """FOR UPDATE SKIP LOCKED: the second takes the next card while the first is still taking his."""
    submit(ledger, "A", job("1", lot(2)))
    with two.halted(lambda halting: take(halting, SIM1)):
        assert take(two.hasty, SIM2).position == 1


def test_a_lot_whose_last_card_is_being_claimed_is_passed_over(ledger: Ledger, two: Two) -> None:
    """The next lot comes, and where there is none there is nothing."""
    submit(ledger, "URGENT", job("1", lot(1), priority=1))
    submit(ledger, "LATER", job("2", lot(1), priority=2))
    with two.halted(lambda halting: take(halting, SIM1)):
        assert take(two.hasty, SIM2).container == "LATER"
        assert claims.claim(two.hasty, SIM2, NOW, LEASE) is None


def test_cards_are_made_while_a_file_comes_in(ledger: Ledger, two: Two) -> None:
    """No step of a card waits for records that are being written."""
    submit(ledger, "A", job("1", lot(1)))
    whole = batch("B", job("2", lot(1000)))
    incoming = begin(ledger, whole)
    with two.halted(lambda halting: submissions.add_cards(halting, incoming, records(whole), NOW)):
        made = make(two.hasty, "AA")
    assert state(ledger, made.card) is CardState.GOOD
    assert auditing.verify(ledger, authenticate) is None


@pytest.mark.parametrize(
    "of_batch",
    [(job("1", lot(2)),), (job("1", lot(1), lot(1)),), (job("1", lot(1)), job("2", lot(1)))],
    ids=["one lot", "two lots", "two jobs"],
)
def test_the_last_two_cards_close_their_batch_together(ledger: Ledger, two: Two, of_batch: tuple[JobHeader, ...]) -> None:
    """Whoever ends second sees what the first one did: otherwise each would leave the closing to the other."""
    submit(ledger, "A", *of_batch)
    hands = take(ledger, SIM1), take(ledger, SIM2)
    for number, claim in enumerate(hands):
        write(ledger, claim, f"{number:02X}")
        claims.verifying(ledger, claim, NOW, LEASE)
    good = CardState.GOOD, AttemptOutcome.GOOD, NOW
    ends = two.one_after_the_other(
        lambda halting: claims.settle(halting, hands[0], *good), lambda other: claims.settle(other, hands[1], *good)
    )
    assert ends == (None, BatchId(1))


def test_one_chip_is_written_by_one_encoder(ledger: Ledger, two: Two) -> None:
    """Of two that begin with the same chip at once the second is refused."""
    submit(ledger, "A", job("1", lot(2)))
    one, other = take(ledger, SIM1), take(ledger, SIM2)
    with pytest.raises(NotAllowedError, match="may carry"):
        two.one_after_the_other(lambda halting: write(halting, one, "AA"), lambda other_: write(other_, other, "AA"))
    write(ledger, other, "BB")


def test_two_chips_are_written_at_once(ledger: Ledger, two: Two) -> None:
    """Another chip is none of the first one's business."""
    submit(ledger, "A", job("1", lot(2)))
    one, other = take(ledger, SIM1), take(ledger, SIM2)
    with two.halted(lambda halting: write(halting, one, "AA")):
        write(two.hasty, other, "BB")


def test_nothing_is_claimed_after_a_line_was_held(ledger: Ledger, two: Two) -> None:
    """A claim that comes while a person holds the line waits, and finds it held."""
    submit(ledger, "A", job("1", lot(1)))
    ends = two.one_after_the_other(
        lambda halting: encoders.hold(halting, SIM1, "lunch", "ann", NOW),
        lambda other: claims.claim(other, SIM1, NOW, LEASE),
    )
    assert ends[1] is None


def test_a_person_decides_after_what_is_under_way(ledger: Ledger, two: Two) -> None:
    """A change that is made alone waits for the steps that have begun."""
    submit(ledger, "A", job("1", lot(1)))
    two.one_after_the_other(
        lambda halting: take(halting, SIM1), lambda other: encoders.hold(other, SIM1, "lunch", "ann", NOW)
    )
    with ledger.read() as connection:
        told = [entry.action for entry in auditing.entries(connection)][-2:]
    assert told == ["claim", "hold"]


def test_a_result_whose_news_was_lost_counts(ledger: Ledger, two: Two) -> None:
    """A claim that is abandoned while its own end is still being committed ended as that says."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    write(ledger, claim, "AA")
    claims.verifying(ledger, claim, NOW, LEASE)
    ends = two.one_after_the_other(
        lambda halting: claims.settle(halting, claim, CardState.GOOD, AttemptOutcome.GOOD, NOW),
        lambda other: claims.abandon(other, claim, "connection lost", 1, NOW),
    )
    assert ends[1] is AttemptOutcome.GOOD


def test_who_waits_too_long_is_told(ledger: Ledger, two: Two) -> None:
    """As when somebody locks SQLite's file; afterwards it works again."""
    submit(ledger, "A", job("1", lot(1)))
    with (
        two.halted(lambda halting: encoders.hold(halting, SIM2, "lunch", "ann", NOW)),
        pytest.raises(UnavailableError, match="lock timeout"),
    ):
        take(two.hasty)
    take(two.hasty)


def _cut(cluster: Cluster) -> None:
    cluster.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'bureau'", user="root")


def test_a_connection_that_is_cut_costs_one_change(ledger: Ledger, cluster: Cluster) -> None:
    """Nothing of it lasts, whoever made it is told, and the next one has a new connection."""

    def change() -> None:
        with ledger.write("ann") as tx:
            tx.connection.execute(update(jobs).values(risk=1))
            _cut(cluster)
            tx.record("try", "nothing")

    submit(ledger, "A", job("1", lot(1)))
    with pytest.raises(UnavailableError, match=r"the ledger can't be used: .*terminat"):
        change()
    with ledger.read() as connection:
        assert connection.execute(select(jobs.c.risk)).scalar() == 3
        assert [entry.action for entry in auditing.entries(connection)][-1] != "try"
    take(ledger)


def test_a_connection_that_is_cut_between_changes_costs_nothing(ledger: Ledger, cluster: Cluster) -> None:
    """It is asked before it is used."""
    _cut(cluster)
    open_encoder(ledger, SIM1)
    _cut(cluster)
    with ledger.read() as connection:
        assert encoders.is_open(connection, SIM1)


def test_a_server_that_is_gone_is_said_in_one_line(tmp_path: Path) -> None:
    """Whatever is asked; without the password, and the next line says what to do."""
    gone = Ledger(f"postgresql://bureau:geheim@/bureau?host={tmp_path}", authenticate)

    def use(how: Callable[[Ledger], object]) -> UnavailableError:
        with pytest.raises(UnavailableError, match=r"the ledger can't be used: .*No such file") as told:
            how(gone)
        return told.value

    for how in (Ledger.is_migrated, Ledger.migrate, Ledger.checkpoint, take, lambda each: each.read().__enter__()):
        told = use(how)
        assert "\n" not in str(told)
        assert "runs" in told.remedy
        assert "geheim" not in f"{told} {told!r} {told.__cause__!r} {gone._open()!r}"


@pytest.mark.parametrize("address", ["mysql://bureau@host/bureau", "a file", "oracle:///ledger.db"])
def test_another_database_is_refused(address: str) -> None:
    """With the two ways to write it."""
    with pytest.raises(NotAllowedError, match="BUREAU_DATABASE_URL") as told:
        Ledger(address)
    assert "postgresql://" in told.value.remedy


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_the_driver_is_the_programs_business(ledger: Ledger, tmp_path: Path, scheme: str) -> None:
    """Whatever the address calls it."""
    same = Ledger(url(tmp_path / "ledger.db").replace("postgresql", scheme, 1))
    with same.read() as connection:
        assert encoders.is_open(connection, SIM1)
    same.close()


def test_a_commit_is_on_the_disk_whatever_the_server_says(ledger: Ledger, cluster: Cluster, tmp_path: Path) -> None:
    """Written before the card is; and moments are kept where they were."""
    cluster.run("ALTER ROLE bureau SET synchronous_commit = off")
    cluster.run("ALTER ROLE bureau SET default_transaction_isolation = 'serializable'")
    ledger.close()
    with ledger.write("ann") as tx:
        cluster.run("ALTER ROLE bureau RESET ALL")
        assert _shown(tx, "synchronous_commit", "lock_timeout") == ["on", "10s"]
        assert _shown(tx, "transaction_isolation", "transaction_read_only") == ["read committed", "off"]


def _shown(tx: Transaction, *names: str) -> list[object]:
    return [tx.connection.execute(select(func.current_setting(name))).scalar() for name in names]


def test_a_view_changes_nothing(ledger: Ledger) -> None:
    """REPEATABLE READ, READ ONLY."""
    with ledger.read() as connection:
        assert connection.execute(text("SHOW transaction_isolation")).scalar() == "repeatable read"
    with pytest.raises(UnavailableError, match="read-only"), ledger.read() as connection:
        connection.execute(update(jobs).values(risk=1))


@pytest.mark.parametrize("change", ["TRUNCATE audit", "TRUNCATE audit_head", "DELETE FROM audit WHERE number = 99"])
def test_the_audit_log_is_append_only(ledger: Ledger, change: str) -> None:
    """In every way in which PostgreSQL can change a table."""
    with pytest.raises(DBAPIError, match="append-only"), ledger.write("ann") as tx:
        tx.connection.execute(text(change))


@pytest.mark.parametrize(
    ("tampering", "number"),
    [
        ("UPDATE audit SET actor = 'bob' WHERE number = 1", 1),
        ("DELETE FROM audit WHERE number = 4", 4),
        ("UPDATE audit_head SET mac = decode('00000000000000000000000000000000', 'hex')", 4),
        ("DELETE FROM audit; UPDATE audit_head SET number = 0, digest = decode(repeat('00', 32), 'hex'), mac = ''", 1),
    ],
)
def test_tampering_by_the_owner_of_the_tables_is_found(
    ledger: Ledger, cluster: Cluster, tampering: str, number: int
) -> None:
    """By someone who can drop the triggers, and has no key store."""
    name = ledger._url.database or ""
    for table in ("audit", "audit_head"):
        cluster.run(f"ALTER TABLE {table} DISABLE TRIGGER ALL", name, user="root")
    for statement in tampering.split(";"):
        cluster.run(statement, name)
    found = auditing.verify(ledger, authenticate)
    assert isinstance(found, Break)
    assert found.number == number
    if number == 4 and "mac" in tampering:
        with pytest.raises(NotAllowedError, match="head isn't"):
            pin(ledger)


def test_tampering_during_a_change_is_found(ledger: Ledger, cluster: Cluster) -> None:
    """The head that an entry follows is the one that was looked at."""

    def change() -> None:
        with ledger.write("ann") as tx:
            tx.record("try", "nothing")
            cluster.run("UPDATE audit_head SET mac = decode(repeat('00', 16), 'hex')", ledger._url.database or "")

    with pytest.raises(NotAllowedError, match="head isn't"):
        change()


def test_a_purged_jobs_key_is_no_longer_in_its_table(ledger: Ledger, cluster: Cluster) -> None:
    """What is left elsewhere of its records can't be read without it; other jobs keep theirs."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    submit(ledger, "B", job("1", lot(1)))
    make(ledger, "AA")
    closing.reported(ledger, BatchId(1), "office", NOW)
    assert _table(cluster, ledger).count(b"<wrapped key>" * 4) >= 2
    with ledger.read() as connection:
        connection.execute(select(jobs.c.id)).all()
        assert not closing.purge(ledger, number, "office", NOW)
    assert closing.purge(ledger, number, "office", NOW)
    assert _table(cluster, ledger).count(b"<wrapped key>" * 4) == 1
    with ledger.read() as connection:
        assert connection.execute(select(func.count(cards.c.sealed))).scalar() == 1


def _table(cluster: Cluster, ledger: Ledger) -> bytes:
    """Return the file of the jobs' table."""
    cluster.run("CHECKPOINT", user="root")
    with ledger.read() as connection:
        return (
            cluster.folder / "data" / str(connection.execute(text("SELECT pg_relation_filepath('jobs')")).scalar())
        ).read_bytes()


def test_a_card_may_take_longer_than_31_bits_of_microseconds(ledger: Ledger) -> None:
    """A machine that slept for an hour in the middle of one."""
    submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    hour = 3_600_000_000
    with ledger.write("test") as tx:
        this = update(attempts).where(attempts.c.id == claim.attempt)
        tx.connection.execute(this.values(card_time=hour, host_time=hour, least_time=hour))
        encoders.pace_in(tx, SIM1, Speed(protocol="T=1", bit_rate=9600, octets=1, card=hour, host=0, least=1))
        encoders.pace_in(tx, SIM1, Speed(protocol="T=1", bit_rate=9600, octets=1, card=hour, host=0, least=1))
    with ledger.read() as connection:
        assert connection.execute(select(attempts.c.host_time)).scalar() == hour
        assert encoders.line(connection, SIM1).pace == timedelta(hours=1)
