"""Several hosts on one ledger: signs of life, lines that are lost and found, and whose encoder it is."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bureau.errors import NotAllowedError
from bureau.ledger import alerts, auditing, claims, encoders, floor, standing, views
from bureau.ledger.ledger import Ledger
from bureau.models import EncoderId, EncoderState
from bureau.service import hosts
from bureau.service.hosts import Watch
from bureau.service.plant import Plant
from tests.bureau import ledgers
from tests.bureau.ledgers import LEASE, NOW, SIM1, SIM2, job, lot, machine, submit
from tests.e2e import bureaus

SILENCE = timedelta(seconds=45)
"""Three signs of a lease of two minutes."""


@pytest.fixture
def second(ledger: Ledger, tmp_path: Path) -> Iterator[Ledger]:
    """The same ledger, opened by another process of another host."""
    other = Ledger(ledgers.url(tmp_path / "ledger.db"))
    yield other
    other.close()


class Watches:
    """The monotonic watch of one office, which a test turns."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.seconds


def plant_of(ledger: Ledger, host: str, path: Path, now: datetime = NOW) -> Plant:
    """Return what one *host* works with on the one *ledger*."""
    plant = Plant(replace(bureaus.settings(path), host=host), lambda: now)
    vars(plant).update(ledger=ledger)
    return plant


def opened(ledger: Ledger, name: EncoderId, host: str) -> None:
    """Start an encoder on a host, and open its line."""
    encoders.start(ledger, machine(name), NOW, host)
    encoders.open_line(ledger, name, "operator", NOW)


def state(ledger: Ledger, name: EncoderId) -> EncoderState:
    """Return how a line stands."""
    with ledger.read() as connection:
        return encoders.machine(connection, name).state


def told(ledger: Ledger) -> list[tuple[str, str]]:
    """Return what the audit log says was lost or found."""
    with ledger.read() as connection:
        found = [(entry.action, entry.subject) for entry in auditing.entries(connection)]
    return [each for each in found if each[0] in {"lost", "found"}]


def test_a_host_that_falls_silent_loses_its_open_lines_once(ledger: Ledger, tmp_path: Path) -> None:
    """Three signs missed: one entry that alerts, however often anyone looks; another host's lines stay as they are."""
    for name, host in ((SIM1, "plant1"), (SIM2, "plant2")):
        opened(ledger, name, host)
    watches = Watches()
    here, watch = plant_of(ledger, "plant1", tmp_path), Watch(watches)
    assert watch.look(here) == ()
    watches.seconds = 44
    hosts.sign(plant_of(ledger, "plant1", tmp_path, NOW + timedelta(seconds=44)), [SIM1, SIM2])
    assert watch.look(here) == ()
    watches.seconds = 46
    assert watch.look(here) == (SIM2,)
    assert watch.look(here) == ()
    assert (state(ledger, SIM1), state(ledger, SIM2)) == (EncoderState.OPEN, EncoderState.LOST)
    assert told(ledger) == [("lost", "encoder sim2")]
    with ledger.read() as connection:
        assert [alerts.is_alert(entry) for entry in auditing.entries(connection) if entry.action == "lost"] == [True]


def test_clocks_of_hosts_are_never_compared(ledger: Ledger, tmp_path: Path) -> None:
    """A host whose clock is an hour behind or ahead isn't lost as long as its signs come."""
    opened(ledger, SIM1, "plant2")
    watches = Watches()
    here, watch = plant_of(ledger, "plant1", tmp_path), Watch(watches)
    for seconds in range(0, 200, 15):
        watches.seconds = seconds
        wrong = NOW + timedelta(seconds=seconds, hours=-1 if seconds % 2 else 1)
        hosts.sign(plant_of(ledger, "plant2", tmp_path, wrong), [SIM1])
        assert watch.look(here) == ()


def test_a_held_line_is_not_lost(ledger: Ledger, tmp_path: Path) -> None:
    """It takes no card anyway; opened, it is lost after the same time."""
    encoders.start(ledger, machine(SIM1), NOW, "plant2")
    watches = Watches()
    here, watch = plant_of(ledger, "plant1", tmp_path), Watch(watches)
    for seconds in (0, 50):
        watches.seconds = seconds
        assert watch.look(here) == ()
    encoders.open_line(ledger, SIM1, "operator", NOW)
    assert watch.look(here) == ()
    watches.seconds = 100
    assert watch.look(here) == (SIM1,)


def test_a_lost_line_takes_no_card_and_is_open_again_with_its_next_sign(ledger: Ledger, tmp_path: Path) -> None:
    """It doesn't count as open, jobs and why say so, and a sign of life brings it back as it was."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    opened(ledger, SIM1, "plant2")
    encoders.lose(ledger, {SIM1: NOW}, "office", NOW)
    assert claims.claim(ledger, SIM1, NOW, LEASE) is None
    with ledger.read() as connection:
        assert floor.open_work(connection) == {}
        assert views.list_jobs(connection, [number])[0].waits == ("all encoders that fit are lost: sim1",)
        (explained,) = standing.explain(connection, number, NOW, UTC)
    assert explained.why.encoders == {SIM1: "is lost: host plant2 hasn't been heard of since 12:00"}
    hosts.sign(plant_of(ledger, "plant2", tmp_path, NOW + timedelta(minutes=9)), [SIM1])
    assert told(ledger) == [("lost", "encoder sim1"), ("found", "encoder sim1")]
    assert claims.claim(ledger, SIM1, NOW, LEASE, host="plant2") is not None


def test_a_sign_that_comes_just_in_time_keeps_the_line(ledger: Ledger) -> None:
    """Who noticed the silence wrote down since when; a newer sign makes that void."""
    opened(ledger, SIM1, "plant2")
    encoders.seen(ledger, [SIM1], "plant2", NOW + timedelta(seconds=1))
    assert encoders.lose(ledger, {SIM1: NOW}, "office", NOW) == ()
    assert state(ledger, SIM1) is EncoderState.OPEN


def test_a_name_that_a_living_host_uses_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    """Until that host stops it, is silent for long, or is lost; the host itself may always start it again."""
    opened(ledger, SIM1, "plant1")
    with pytest.raises(NotAllowedError, match="encoder sim1 runs on host plant1"):
        hosts.check(plant_of(ledger, "plant2", tmp_path), [SIM1])
    hosts.check(plant_of(ledger, "plant1", tmp_path), [SIM1])
    hosts.check(plant_of(ledger, "plant2", tmp_path), [SIM2])
    hosts.check(plant_of(ledger, "plant2", tmp_path, NOW + SILENCE), [SIM1])
    encoders.left(ledger, [SIM1], "plant2", NOW)
    with pytest.raises(NotAllowedError):
        hosts.check(plant_of(ledger, "plant2", tmp_path), [SIM1])
    encoders.left(ledger, [SIM1], "plant1", NOW)
    hosts.check(plant_of(ledger, "plant2", tmp_path), [SIM1])


def test_a_host_whose_encoder_another_one_runs_now_claims_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """It comes back from the dead, and its signs and claims are nobody's."""
    submit(ledger, "A", job("1", lot(1)))
    opened(ledger, SIM1, "plant1")
    opened(ledger, SIM1, "plant2")
    encoders.seen(ledger, [SIM1], "plant1", NOW + timedelta(minutes=5))
    with ledger.read() as connection:
        assert encoders.line(connection, SIM1).seen_at == NOW
    assert claims.claim(ledger, SIM1, NOW, LEASE, host="plant1") is None
    assert claims.claim(ledger, SIM1, NOW, LEASE, host="plant2") is not None


def test_one_office_at_a_time(ledger: Ledger, second: Ledger, database: str) -> None:
    """Trails and alerts are one office's, whichever host it is on; SQLite's single host has one."""
    with ledger.sole("purge") as first:
        assert first
        with second.sole("alert") as other:
            assert other
        with second.sole("purge") as again:
            assert again is (database == "sqlite")
    with second.sole("purge") as free:
        assert free
