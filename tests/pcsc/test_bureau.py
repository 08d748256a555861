"""Cards made through pyscard and pcscd by the whole bureau: ledger and world must agree, whatever happens to the reader."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import TypeVar

import pytest

from bureau.cli import virtual
from bureau.ledger import encoders
from bureau.ledger import floor as machines
from bureau.models import EncoderId, EncoderState, JobId
from hardware.encoders import Tray
from hardware.encoders.pcsc.daemon import Daemon
from hardware.encoders.pcsc.feeder import Simulated
from hardware.encoders.pcsc.reader import Reader
from hardware.iso7816 import Command
from tests.e2e import expected
from tests.e2e.batches import standard_job
from tests.e2e.bureaus import ACTOR, BLUE, Bureau, Station
from tests.e2e.expected import SINGLE
from tests.pcsc.floor import Meddled

T = TypeVar("T")
SIM1 = EncoderId("sim1")
RECORD = expected.cards(SINGLE)[0]


@pytest.fixture
def equip(bureau: Bureau, daemon: Daemon) -> Callable[..., Meddled]:
    """Put simulated stations behind readers, open their lines, and return the first encoder, started."""

    def equipped(*stations: Station) -> Meddled:
        settings = bureau.plant.settings
        settings.stations_file.write_text("\n".join(map(str, stations or (Station(name="sim1", seed=1),))))
        virtual.move(daemon, settings.stations_file, settings.worlds)
        for name, config in bureau.plant.encoders.items():
            encoders.start(bureau.plant.ledger, config.machine, bureau.plant.clock())
            encoders.open_line(bureau.plant.ledger, name, ACTOR, bureau.plant.clock())
        machine = Meddled.start(SIM1, bureau.plant.encoder(SIM1).options, settings.worlds)
        bureau.machines[SIM1] = machine
        return machine

    return equipped


def pull(bureau: Bureau, *, back: bool = False) -> Callable[[], None]:
    """Return what pulls the card out of the first encoder's reader, and pushes it *back* at once."""

    def act() -> None:
        with closing(Simulated(str(bureau.plant.encoder(SIM1).options["feeder"]))) as hand:
            hand.meddle(card=False)
            if back:
                hand.meddle(card=True)

    return act


def at(command: str, act: Callable[[], object]) -> Callable[[Command], None]:
    """Return what acts once, before the first command of this name."""
    done: list[bool] = []

    def before(each: Command) -> None:
        if each.name == command and not done:
            done.append(True)
            act()

    return before


def ended(bureau: Bureau, job: JobId) -> tuple[str, list[tuple[int | None, str]]]:
    """Return the state of the job's only record, and position and outcome of each of its plastics."""
    (card,) = bureau.cards(job)
    return card.state, [(attempt.position, attempt.outcome) for attempt in bureau.attempts(card)]


def assert_balanced(bureau: Bureau, job: JobId) -> None:
    """Assert that every record and every plastic is counted, and that the world agrees on what was written."""
    (balance,) = bureau.balances(job)
    assert balance.records_in == balance.good + balance.open
    assert balance.stock_balances
    assert balance.drawn == len(bureau.plastics())
    (card,) = bureau.cards(job)
    called = {attempt.position: attempt.outcome for attempt in bureau.attempts(card)}
    for plastic in bureau.plastics():
        good = called.get(plastic.position) == "good"
        assert (plastic.tray == "good") == good
        assert not good or plastic.contents == RECORD.contents
        assert not plastic.touched or called.get(plastic.position) in {"good", "unknown", "spoiled", "returned"}


def test_two_readers_make_a_batch(bureau: Bureau, equip: Callable[..., Meddled], tmp_path: Path) -> None:
    """Each record is on exactly one card, to the byte, and both readers made some."""
    equip(Station(name="sim1", seed=1), Station(name="sim2", seed=2))
    file = standard_job(tmp_path / "batch.xml", 6)
    (job,) = bureau.take(file)
    bureau.run_all()
    assert {card.state for card in bureau.cards(job)} == {"good"}
    for wanted in expected.cards(file):
        (mine,) = [plastic for plastic in bureau.touched() if wanted.is_on(plastic.contents)]
        assert (mine.contents, mine.tray) == (wanted.contents, "good")
    assert {plastic.encoder for plastic in bureau.touched()} == {"sim1", "sim2"}


@pytest.mark.parametrize("command", ["SELECT", "INITIALIZE UPDATE", "EXTERNAL AUTHENTICATE", "GET STATUS"])
def test_a_card_removed_before_it_is_written_brings_its_record_back(
    bureau: Bureau, equip: Callable[..., Meddled], command: str
) -> None:
    """Nothing was sent that changes it: returned; the next blank takes the record."""
    machine = equip()
    machine.before = at(command, pull(bureau))
    (job,) = bureau.take(SINGLE)
    bureau.run()
    assert ended(bureau, job) == ("good", [(1, "returned"), (2, "good")])
    assert_balanced(bureau, job)


@pytest.mark.parametrize("command", ["LOAD", "STORE DATA"])
def test_a_card_removed_while_it_is_written_is_suspect(bureau: Bureau, equip: Callable[..., Meddled], command: str) -> None:
    """Nobody tries again by himself; the plastic is counted."""
    machine = equip()
    machine.before = at(command, pull(bureau))
    (job,) = bureau.take(SINGLE)
    bureau.run()
    assert ended(bureau, job) == ("suspect", [(1, "unknown")])
    assert_balanced(bureau, job)


def test_a_card_that_falls_silent_while_it_is_written_is_suspect(bureau: Bureau, equip: Callable[..., Meddled]) -> None:
    """The deadline ends it, and the encoder makes the next job."""
    machine = equip(Station(name="sim1", seed=1, defects={1: "mute_at = 12"}))
    machine._reader._deadline = 1.0
    (job,) = bureau.take(SINGLE)
    bureau.run()
    assert ended(bureau, job) == ("suspect", [(1, "unknown")])
    assert_balanced(bureau, job)


def test_a_card_swapped_while_it_is_written_is_never_good(bureau: Bureau, equip: Callable[..., Meddled]) -> None:
    """PC/SC doesn't notice a swap between two polls; the new chip has no channel and takes nothing."""
    machine = equip()
    machine.before = at("STORE DATA", pull(bureau, back=True))
    (job,) = bureau.take(SINGLE)
    bureau.run()
    state, plastics = ended(bureau, job)
    assert (state, plastics) in [("suspect", [(1, "unknown")]), ("rejected", [(1, "spoiled")])]
    assert_balanced(bureau, job)


def test_another_program_that_gets_in_first_holds_the_encoder(
    bureau: Bureau, equip: Callable[..., Meddled], daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each blank is returned and counted, the record isn't lost, and the third time in a row a person is asked."""
    machine, other = equip(), Reader(daemon.reader(1), daemon.socket)
    feed, eject = machine._feeder.feed, machine._feeder.eject

    def robbed(stock: str) -> int | None:
        position = feed(stock)
        other.wait(card=True, seconds=5)
        other.connect()
        return position

    monkeypatch.setattr(machine._feeder, "feed", robbed)
    monkeypatch.setattr(machine._feeder, "eject", lambda tray: (other.disconnect(), eject(tray)))
    (job,) = bureau.take(SINGLE)
    for _ in range(4):
        bureau.run()
    assert ended(bureau, job) == ("ready", [(position, "returned") for position in (1, 2, 3)])
    assert_balanced(bureau, job)
    with bureau.plant.ledger.read() as connection:
        (view,) = machines.list_encoders(connection)
    assert view.machine.state is EncoderState.HELD
    assert "another program holds the reader exclusively" in str(view.reason)
    other.close()


def test_a_pcscd_that_is_killed_costs_one_card(bureau: Bureau, equip: Callable[..., Meddled], daemon: Daemon) -> None:
    """That one is suspect; after the restart the encoder goes on by itself, and meanwhile says what it waits for."""
    machine = equip()
    machine.before = at("STORE DATA", daemon.kill)
    (first,) = bureau.take(SINGLE)
    bureau.run()
    assert ended(bureau, first) == ("suspect", [(1, "unknown")])
    assert_balanced(bureau, first)
    thread = Thread(target=bureau.run)
    (second,) = bureau.take(standard_one(bureau))
    thread.start()
    waits = until(lambda: reason(bureau))
    assert waits is not None
    assert "start pcscd again" in waits
    assert waits.endswith(f"(1 left of job {second})")
    daemon.start()
    thread.join()
    assert ended(bureau, second) == ("good", [(2, "good")])
    assert reason(bureau) is None


def hand_fed(bureau: Bureau) -> Simulated:
    """Let a person feed the first encoder, and return that person."""
    options = dict(bureau.plant.encoder(SIM1).options)
    person = Simulated(str(options.pop("feeder")))
    bureau.machines[SIM1].close()
    bureau.machines[SIM1] = Meddled.start(SIM1, {**options, "stock": BLUE}, bureau.plant.settings.worlds)
    return person


def states(bureau: Bureau, job: JobId) -> list[str]:
    """Return the states of the job's records."""
    return [card.state for card in bureau.cards(job)]


def standard_one(bureau: Bureau) -> Path:
    """Return a file with one card of another record."""
    return standard_job(bureau.plant.settings.home / "one.xml", 1)


def reason(bureau: Bureau) -> str | None:
    """Return what the first encoder says that it waits for."""
    with bureau.plant.ledger.read() as connection:
        return machines.list_encoders(connection)[0].reason


def until(found: Callable[[], T | None]) -> T | None:
    """Return what is found within five seconds."""
    deadline = time.monotonic() + 5
    while (what := found()) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return what


def test_a_person_is_told_what_to_insert_and_how_many_are_left(bureau: Bureau, equip: Callable[..., Meddled]) -> None:
    """The encoder claims nothing while it waits; each card in is made, and has to come out before the next."""
    equip()
    person = hand_fed(bureau)
    (job,) = bureau.take(standard_job(bureau.plant.settings.home / "two.xml", 2))
    thread = Thread(target=bureau.run)
    thread.start()
    told = [until(lambda: reason(bureau))]
    assert states(bureau, job) == ["ready", "ready"]
    person.feed(BLUE)
    assert until(lambda: states(bureau, job) == ["good", "ready"] or None)
    told.append(until(lambda: reason(bureau)))
    person.eject(Tray.GOOD)
    assert until(lambda: str(reason(bureau)).startswith("insert") or None)
    told.append(reason(bureau))
    person.feed(BLUE)
    thread.join()
    where = "(reader Virtual 1 00 00)"
    assert told == [
        f"insert a PLASTIC-BLUE blank {where} (2 left of job {job})",
        f"take out the card, it is good {where} (1 left of job {job})",
        f"insert a PLASTIC-BLUE blank {where} (1 left of job {job})",
    ]
    assert states(bureau, job) == ["good", "good"]
    person.close()


def test_a_card_that_was_made_here_is_refused(bureau: Bureau, equip: Callable[..., Meddled]) -> None:
    """A hand-fed good card that comes back isn't written again."""
    equip()
    person = hand_fed(bureau)
    (job,) = bureau.take(standard_job(bureau.plant.settings.home / "two.xml", 2))
    thread = Thread(target=bureau.run)
    person.feed(BLUE)
    thread.start()
    assert until(lambda: states(bureau, job) == ["good", "ready"] or None)
    person.meddle(card=False)
    assert until(lambda: str(reason(bureau)).startswith("insert") or None)
    person.meddle(card=True)
    assert until(lambda: len(bureau.attempts(bureau.cards(job)[1])) or None)
    assert until(lambda: states(bureau, job) == ["good", "ready"] or None)
    (attempt,) = bureau.attempts(bureau.cards(job)[1])
    assert (attempt.outcome, attempt.position) == ("returned", 2)
    assert "is on the card already" in str(attempt.cause)
    assert until(lambda: "still blank" in str(reason(bureau)) or None)
    person.eject(Tray.REJECT)
    assert until(lambda: str(reason(bureau)).startswith("insert") or None)
    person.feed(BLUE)
    thread.join()
    assert states(bureau, job) == ["good", "good"]
    person.close()
