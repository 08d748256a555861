"""Everything goes wrong at once, with another seed in each run, and afterwards worlds and ledger are compared.

What the comparison finds where something is wrong, tests/e2e/test_agreement.py shows.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.e2e.counting import COUNTED
from tests.servers import Cluster

SECONDS = 20


def chaos(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the chaos command."""
    command = [sys.executable, "-m", "tests.workers.run", "chaos", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=400, env=os.environ | variables)


def test_worlds_and_ledger_agree_after_chaos(record_property: Callable[[str, object], None]) -> None:
    """200 cards on eight encoders while processes and the broker are killed, cards torn and clocks stepped."""
    seed = secrets.randbelow(1 << 32)
    done = chaos("--seconds", str(SECONDS), "--seed", str(seed))
    record_property(COUNTED, f"chaos: seed {seed}; {' '.join(done.stdout.split())}")
    assert done.returncode == 0, f"bureau chaos --seconds {SECONDS} --seed {seed}\n{done.stdout}{done.stderr[-8000:]}"
    assert "world and ledger agree" in done.stdout
    for kind in ("worker killed", "child killed", "broker killed", "clock stepped", "card torn"):
        assert kind in done.stdout


def test_chaos_touches_no_bureau_that_is_there(cluster: Cluster, home: Path) -> None:
    """A database with tables is refused, whosever they are, and nothing of the environment's home is touched."""
    cluster.run("CREATE DATABASE occupied")
    cluster.run("CREATE TABLE somebody (id integer)", "occupied")
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    refused = chaos("--database", cluster.url("occupied"), BUREAU_HOME=str(home))
    assert (refused.returncode, "isn't empty" in refused.stderr) == (1, True)
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before
    cluster.drop("occupied")


def test_chaos_says_which_broker_is_missing() -> None:
    """A program that isn't there is said before anything starts."""
    refused = chaos("--server", "no-such-redis")
    assert (refused.returncode, "there is no program no-such-redis" in refused.stderr) == (1, True)
