"""What is left when a process of a running bureau is killed, and how the others go on."""

import signal
from pathlib import Path

import pytest

from bureau.models import AttemptOutcome, CardState, EncoderState
from tests.workers import floor
from tests.workers.floor import Floor, eventually, kill, station

PACE = 40
"""Milliseconds for each command, so that a kill between two of them hits."""


def struck(bureau: Floor, victim: str, changes: int) -> int:
    """Kill the child or the parent of sim1's worker when the first chip has been changed so often; returns its worker."""
    running = bureau.running()
    eventually(f"{changes} commands", lambda: bureau.commands("sim1") >= changes)
    worker = running.worker("sim1")
    kill(running.child("sim1") if victim == "child" else worker)
    assert worker is not None
    return worker


def assert_one_broken(bureau: Floor, records: int, *, writing: bool) -> None:
    """Check that the first plastic alone is broken, its record suspect or, unwritten, made on another; the rest is good."""
    outcomes = [attempt.outcome for _, attempt in bureau.attempts()]
    assert outcomes.count(AttemptOutcome.UNKNOWN) == writing
    assert outcomes.count(AttemptOutcome.RETURNED) == (not writing)
    assert bureau.count(CardState.SUSPECT) == writing
    assert bureau.count(CardState.GOOD) == records - writing
    first, *others = bureau.plastics()
    assert first.tray == ("reject" if writing else "returned")
    assert {plastic.tray for plastic in others} == {"good"}
    assert len(others) == records - writing
    bureau.assert_balanced()


@pytest.mark.parametrize("changes", [1, 2, 6, 13])
def test_a_killed_child_breaks_one_card_and_its_line_goes_on(home: Path, changes: int) -> None:
    """The child is respawned, its station cleared; its worker didn't start anew, so its line is open and goes on."""
    with floor.opened(home, station("sim1", 1, pace=PACE)) as bureau:
        bureau.submit(floor.batch(home, "SOME", 3))
        running = floor.up(bureau, "--open")
        worker = struck(bureau, "child", changes)
        open_cards = {CardState.READY, CardState.LEASED, CardState.WRITING, CardState.VERIFYING}
        eventually("every record's end", lambda: not any(card.state in open_cards for card in bureau.cards()))
        assert running.worker("sim1") == worker
        assert bureau.is_open("sim1")
        actions = [action for action, subject in bureau.audit() if subject == "encoder sim1"]
        assert actions.count("start") == 1
        assert actions.count("hold") == 0
        running.signal(signal.SIGTERM)
        running.wait()
        assert_one_broken(bureau, 3, writing=changes > 1)


def test_a_killed_worker_comes_back_held(home: Path, broker_url: str | None) -> None:
    """Its child, orphaned, finishes the card in hand and takes no other; the new worker waits for it, held until opened."""
    with floor.opened(home, station("sim1", 1, pace=PACE), broker_url=broker_url) as bureau:
        bureau.submit(floor.batch(home, "SOME", 3))
        running = floor.up(bureau, "--open")
        worker = struck(bureau, "worker", 2)
        eventually("the new worker", lambda: running.worker("sim1") not in {None, worker})
        eventually("its start", lambda: bureau.audit().count(("start", "encoder sim1")) == 2)
        assert bureau.encoders()["sim1"].machine.state is EncoderState.HELD
        assert bureau.count(CardState.GOOD) == 1
        assert bureau.fed("sim1") == 1
        assert bureau.command("open", "sim1").returncode == 0
        eventually("the other cards", lambda: bureau.count(CardState.GOOD) == 3)
        bureau.assert_balanced()


def test_ctrl_c_finishes_the_cards_in_hand_and_starts_none(home: Path) -> None:
    """Cards in hand become good and no blank is fed after them; a second Ctrl-C cuts nothing; the message says who works."""
    with floor.opened(home, station("sim1", 1, pace=PACE), station("sim2", 2, pace=PACE)) as bureau:
        bureau.submit(floor.batch(home, "LONG", 30))
        running = floor.up(bureau, "--open")
        eventually("cards in hand", lambda: bureau.commands("sim1") > 3 and bureau.commands("sim2") > 3)
        running.signal(signal.SIGINT)
        fed = {name: bureau.fed(name) for name in ("sim1", "sim2")}
        running.signal(signal.SIGINT)
        code, said = running.wait()
        assert code == 0
        assert "finishing the cards in hand" in said
        assert "sim1, sim2" in said
        assert all(bureau.fed(name) <= fed[name] + 1 for name in fed)
        assert bureau.count(CardState.GOOD) == len(bureau.plastics()) == sum(bureau.fed(name) for name in fed)
        assert {plastic.tray for plastic in bureau.plastics()} == {"good"}
        bureau.assert_balanced()


def test_a_killed_supervisor_takes_its_workers_along_gently(home: Path) -> None:
    """The workers finish their cards and end; commands say that no broker answers; the next `up` finds the work."""
    with floor.opened(home, station("sim1", 1, pace=PACE)) as bureau:
        bureau.submit(floor.batch(home, "SOME", 2))
        running = floor.up(bureau, "--open")
        eventually("a card in hand", lambda: bureau.commands("sim1") > 3)
        running.signal(signal.SIGKILL)
        running.wait()
        eventually("the card in hand to be good", lambda: bureau.count(CardState.GOOD) == 1)
        assert bureau.fed("sim1") == 1
        assert (home / "broker.url").exists()
        late = bureau.submit(floor.batch(home, "LATE", 1), release=False)
        released = bureau.command("release", str(late[0]))
        assert released.returncode == 0
        assert released.stderr == "no broker answers; `bureau up` will find the work by itself\n"
        floor.up(bureau, "--open")
        eventually("all cards", lambda: bureau.count(CardState.GOOD) == 3)
        bureau.assert_balanced()


def test_a_killed_broker_is_started_again(home: Path) -> None:
    """Workers reach the new broker where the old one was, still hear their pools, and feed replaces what was lost."""
    with floor.opened(home, station("sim1", 1, pace=2)) as bureau:
        running = floor.up(bureau, "--open")
        eventually("an open line", lambda: "sim1" in bureau.encoders() and bureau.is_open("sim1"))
        broker = running.broker()
        kill(broker)
        eventually("another broker", lambda: any("valkey" in floor.command_line(pid) for pid in _children(running, broker)))
        bureau.submit(floor.batch(home, "SOME", 2))
        eventually("all cards", lambda: bureau.count(CardState.GOOD) == 2)
        assert bureau.command("hold", "sim1").returncode == 0
        eventually("a quiet line", lambda: not bureau.encoders()["sim1"].listening)


def _children(running: floor.Up, but: int) -> list[int]:
    return [pid for pid in floor.children(running.process.pid) if pid != but]
