"""Whatever moment the process dies at, or sleeps through its lease: no plastic is forgotten and no record is made twice."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.e2e.counting import COUNTED
from tests.e2e.kill import Way
from tests.e2e.mutations import Mutation

SIDES = {"before INSTALL [for load]", "after INSTALL [for load]", "before STORE DATA", "after STORE DATA", "after a commit"}
Record = Callable[[str, object], None]


def go_through(way: Way, mutation: Mutation = Mutation.NONE) -> tuple[list[str], dict[str, list[str]]]:
    """Return the points of a card, and what was wrong at which of them; the process of its own pays for no import twice."""
    command = [sys.executable, "-W", "error", "-m", "tests.e2e.kill", way, mutation]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout)
    return found["points"], found["wrong"]


@pytest.mark.parametrize("way", [Way.RESTART, Way.TAKEOVER])
def test_a_process_may_be_killed_at_any_point(way: Way, record_property: Record) -> None:
    """Around each command and commit: every touched plastic is counted once, what broke is suspect, the rest is made."""
    points, wrong = go_through(way)
    record_property(COUNTED, f"{way}: killed at {len(points)} points")
    assert not wrong
    assert SIDES | {"before a commit"} <= set(points)
    assert sum(point.startswith("before") for point in points) > 30


@pytest.mark.parametrize("way", [Way.AFTER, Way.CLAIMED, Way.WRITING, Way.UNREAPED])
def test_a_process_that_sleeps_through_its_lease_does_no_harm(way: Way, record_property: Record) -> None:
    """Stopped anywhere and gone on too late, its writes hit nothing, and it writes no card that is another's now."""
    points, wrong = go_through(way)
    record_property(COUNTED, f"{way}: stopped at {len(points)} points")
    assert not wrong
    assert set(points) >= SIDES


def test_a_submission_may_be_killed_at_any_commit(record_property: Record) -> None:
    """The file comes in whole when it is tried again, and its card is made once."""
    points, wrong = go_through(Way.SUBMISSION)
    record_property(COUNTED, f"{Way.SUBMISSION}: killed at {len(points)} points")
    assert not wrong
    assert len(points) >= 12


@pytest.mark.parametrize("way", [Way.RESTART, Way.TAKEOVER])
def test_without_rule_2_the_kill_test_is_red(way: Way) -> None:
    """Where `writing` is committed after the first command that changes the card, a plastic is forgotten, and it shows."""
    _, wrong = go_through(way, Mutation.LATE_WRITING)
    assert any("was touched and has 0 attempts" in problem for found in wrong.values() for problem in found)


def test_without_the_fence_the_kill_test_is_red() -> None:
    """Where nobody compares fences, a process writes a card whose lease it had lost, and it shows."""
    _, wrong = go_through(Way.CLAIMED, Mutation.NO_FENCE)
    found = [problem for problems in wrong.values() for problem in problems]
    assert "a card was written whose lease had been lost before" in found
    assert any("a lost lease wrote to the ledger" in problem for problem in found)
