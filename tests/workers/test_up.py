"""Cards through broker and workers, as `bureau up` runs them."""

import signal
from pathlib import Path

from bureau.ledger import encoders
from bureau.models import CardState, EncoderId, EncoderState, JobState, Role
from bureau.service import decisions
from tests.e2e import expected, secrecy
from tests.workers import floor
from tests.workers.floor import Floor, eventually, station

FOUR = (station("sim1", 1), station("sim2", 2), station("sim3", 3), station("sim4", 4, product="export-scp03"))


def all_good(bureau: Floor, cards: int) -> None:
    """Wait until so many cards are good."""
    eventually(f"{cards} good cards", lambda: bureau.count(CardState.GOOD) == cards)


def test_four_encoders_make_every_card_once(home: Path, broker_url: str | None) -> None:
    """Through several encoders at once every record becomes one good plastic; trails are written; no log tells a secret."""
    with floor.opened(home, *FOUR, broker_url=broker_url) as bureau:
        bureau.submit(floor.batch(home, "LONG", 16))
        bureau.submit(expected.EXPORT)
        running = floor.up(bureau, "--open")
        all_good(bureau, 19)
        eventually("trails", lambda: {job.state for job in bureau.jobs()} <= {JobState.REPORTED, JobState.PURGED})
        running.signal(signal.SIGTERM)
        code, _ = running.wait()
        assert code == 0
        plastics = bureau.plastics()
        assert len(plastics) == 19
        assert {plastic.encoder for plastic in plastics} >= {"sim4"}
        assert {plastic.tray for plastic in plastics} == {"good"}
        bureau.assert_balanced()
        logs = [
            path for path in home.rglob("*") if path.is_file() and path.parent.name in {"log", "broker", "appendonlydir"}
        ]
        assert len(logs) > 6
        assert secrecy.search(logs, expected.secrets(home / "LONG.xml", expected.EXPORT)) == {}
        for name in ("sim1", "sim4", "office", "beat"):
            bureau.logged(name)


def test_lines_start_held_and_make_nothing_until_opened(home: Path) -> None:
    """A worker starts held and leaves released work alone; a person opens its line, and then it makes it."""
    with floor.opened(home, station("sim1", 1)) as bureau:
        bureau.submit(floor.batch(home, "HELD", 2))
        running = floor.up(bureau)
        eventually("the start", lambda: bureau.encoders().get("sim1"))
        eventually("the worker", lambda: running.child("sim1"))
        assert floor.flood(bureau, 4, bureau.encoders()["sim1"].machine) == 4
        assert bureau.encoders()["sim1"].machine.state is EncoderState.HELD
        private = {"ledger.sqlite", "keystore.json", "sim1.journal"}
        assert private.isdisjoint(floor.files(running.worker("sim1")))
        assert private.isdisjoint(floor.files(running.template()))
        assert private & set(floor.files(running.child("sim1")))
        assert bureau.command("open", "sim1").returncode == 0
        all_good(bureau, 2)
        opening = next(number for number, line in enumerate(bureau.audit()) if line == ("open", "encoder sim1"))
        claims = [number for number, (action, _) in enumerate(bureau.audit()) if action == "claim"]
        assert len(claims) == 2
        assert min(claims) > opening


def test_hold_finishes_the_card_in_hand_only(home: Path, broker_url: str | None) -> None:
    """A line that is held in the middle of a job makes the card in hand and no other; the worker stops listening."""
    with floor.opened(home, station("sim1", 1, pace=15), broker_url=broker_url) as bureau:
        bureau.submit(floor.batch(home, "LONG", 50))
        floor.up(bureau, "--open")
        eventually("the second card", lambda: bureau.fed("sim1") == 2)
        assert bureau.command("hold", "sim1", "--reason", "a test").returncode == 0
        fed = bureau.fed("sim1")
        eventually("the line to go quiet", lambda: not bureau.encoders()["sim1"].listening)
        assert bureau.fed("sim1") <= fed + 1
        assert bureau.count(CardState.GOOD) == bureau.fed("sim1")
        assert bureau.command("open", "sim1").returncode == 0
        eventually("another card", lambda: bureau.fed("sim1") > fed + 1)


def test_urgent_job_gets_the_next_chip_but_one(home: Path) -> None:
    """An urgent job released during a long one waits for the card in hand alone."""
    with floor.opened(home, station("sim1", 1, pace=10)) as bureau:
        bureau.submit(floor.batch(home, "LONG", 50))
        urgent = bureau.submit(floor.batch(home, "NOW", 2, priority=1), release=False)
        floor.up(bureau, "--open")
        eventually("the third card", lambda: bureau.fed("sim1") == 3)
        assert bureau.command("release", "NOW").returncode == 0
        before = bureau.fed("sim1")
        eventually("the urgent cards", lambda: bureau.jobs()[-1].counts[CardState.GOOD] == 2)
        assert bureau.jobs()[-1].number == urgent[0]
        positions = sorted(attempt.position or 0 for card, attempt in bureau.attempts() if card.container == "NOW")
        assert positions[0] <= before + 2
        assert positions[1] == positions[0] + 1


def test_doubled_messages_do_no_harm(home: Path, broker_url: str | None) -> None:
    """Where there are far too many wake-ups, no card is made twice."""
    with floor.opened(home, station("sim1", 1), station("sim2", 2), broker_url=broker_url) as bureau:
        running = floor.up(bureau, "--open")
        eventually(
            "open lines", lambda: all(name in bureau.encoders() and bureau.is_open(name) for name in ("sim1", "sim2"))
        )
        bureau.submit(floor.batch(home, "SOME", 6))
        assert floor.flood(bureau, 40, bureau.encoders()["sim1"].machine) == 40
        all_good(bureau, 6)
        running.signal(signal.SIGTERM)
        running.wait()
        assert len(bureau.plastics()) == 6
        bureau.assert_balanced()


def test_a_bureau_that_ends_holds_its_lines_in_no_accounts_name(home: Path) -> None:
    """Whoever stops it hasn't said a passphrase, so what the environment calls him is no account in the audit log."""
    with floor.opened(home, station("sim1", 1)) as bureau:
        decisions.add_account(bureau.plant, "anna", Role.SUPERVISOR, b"anna likes long walks", None)
        running = floor.up(bureau, BUREAU_USER="anna")
        eventually("the start", lambda: bureau.encoders().get("sim1"))
        encoders.open_line(bureau.plant.ledger, EncoderId("sim1"), "anna (os: root)", bureau.plant.clock())
        running.signal(signal.SIGTERM)
        running.wait()
        hold = bureau.encoders()["sim1"].hold
        assert hold is not None
        assert (hold.by, hold.reason) == (f"os: {bureau.plant.settings.os_user}", "the bureau was stopped")
