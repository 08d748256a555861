"""A bureau whose ledger and messages are on servers, as where its workers span hosts."""

import json
import signal
import subprocess
from pathlib import Path

from bureau.ledger import auditing
from bureau.models import CardState
from tests import servers
from tests.servers import Cluster
from tests.workers import floor
from tests.workers.floor import Floor, eventually, station

FOUR = tuple(station(f"sim{seed}", seed) for seed in (1, 2, 3, 4))


def _done(bureau: Floor, *words: str) -> subprocess.CompletedProcess[str]:
    ended = bureau.command(*words)
    assert ended.returncode == 0, ended.stderr
    return ended


def test_cards_are_made_with_postgresql_and_redis(home: Path, cluster: Cluster) -> None:
    """Every command works, every record becomes one good plastic, and neither server has anything in the home."""
    (home / "ledger.sqlite").unlink()
    cluster.run("CREATE DATABASE floor")
    with (
        servers.redis() as broker_url,
        floor.opened(home, *FOUR, broker_url=broker_url, database_url=cluster.url("floor")) as bureau,
    ):
        assert "bureau migrate" in bureau.command("jobs").stderr
        _done(bureau, "migrate")
        _done(bureau, "profiles", "add", "--shipped")
        home.chmod(0o700)
        found = {each["part"]: each["found"] for each in json.loads(_done(bureau, "doctor", "--json").stdout)}
        assert (found["ledger"], found["broker"]) == ("up to date", "answers")
        bureau.submit(floor.batch(home, "LONG", 16))
        running = floor.up(bureau, "--open")
        eventually("16 good cards", lambda: bureau.count(CardState.GOOD) == 16)
        running.signal(signal.SIGTERM)
        assert running.wait()[0] == 0
        assert len(bureau.plastics()) == 16
        bureau.assert_balanced()
        assert auditing.verify(bureau.plant.ledger, bureau.plant.keystore.authenticate) is None
        copied = bureau.command("backup", str(home / "copy"))
        assert (copied.returncode, "pg_dump" in copied.stderr) == (0, True)
        assert (home / "copy" / "keystore.json").exists()
        assert not [*home.glob("ledger*"), *home.glob("broker*")]
    cluster.drop("floor")
