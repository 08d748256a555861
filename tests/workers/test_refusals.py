"""What `bureau up` refuses before it starts anything."""

import fcntl
from pathlib import Path

from bureau.ledger import encoders
from bureau.models import EncoderId, EncoderState
from tests.workers import floor
from tests.workers.floor import station


def test_a_second_up_is_refused(home: Path) -> None:
    """One process at a time runs the bureau of a home."""
    with floor.opened(home, station("sim1", 1)) as bureau, (home / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = bureau.command("up")
        assert refused.returncode == 1
        assert "is up in" in refused.stderr
        assert not (home / "log").exists()


def test_a_ledger_that_is_not_migrated_is_refused(home: Path) -> None:
    """Nothing starts on tables that the program doesn't know."""
    with floor.opened(home, station("sim1", 1)) as bureau:
        (home / "ledger.sqlite").unlink()
        refused = bureau.command("up")
        assert refused.returncode == 1
        assert "bureau migrate" in refused.stderr
        assert not (home / "log").exists()


def test_a_missing_passphrase_is_refused(home: Path) -> None:
    """Nothing starts without the key store's passphrase, nor with another one."""
    with floor.opened(home, station("sim1", 1)) as bureau:
        assert bureau.jobs() == []
        (home / "passphrase").write_text("another one")
        assert "wrong passphrase" in bureau.command("up").stderr
        (home / "passphrase").unlink()
        refused = bureau.command("up")
        assert refused.returncode == 1
        assert "BUREAU_PASSPHRASE_FILE" in refused.stderr
        assert not (home / "log").exists()


def test_wrong_stations_are_refused(home: Path) -> None:
    """An encoder that the stations don't name, and stations that name none, are said before anything starts."""
    with floor.opened(home, station("sim1", 1)) as bureau:
        assert "names no encoder sim9" in bureau.command("up", "sim9").stderr
        (home / "stations.toml").write_text("")
        assert "names no encoder" in bureau.command("up").stderr
        assert not (home / "log").exists()


def test_an_encoder_that_another_host_runs_is_refused(home: Path) -> None:
    """Its blanks are counted by its name; that host's line stays as it is."""
    with floor.opened(home, station("sim1", 1)) as bureau:
        machine = bureau.plant.encoders[EncoderId("sim1")].machine
        encoders.start(bureau.plant.ledger, machine, bureau.plant.clock(), "plant9")
        encoders.open_line(bureau.plant.ledger, EncoderId("sim1"), "tester", bureau.plant.clock())
        refused = bureau.command("up")
        assert refused.returncode == 1
        assert "encoder sim1 runs on host plant9" in refused.stderr
        assert bureau.encoders()["sim1"].machine.state is EncoderState.OPEN
        assert not (home / "log").exists()
