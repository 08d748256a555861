"""What a process of a running bureau writes into its log."""

import json
import subprocess
import sys

PROGRAM = """
import logging, sys, warnings
from config import logging as bureau_logging

bureau_logging.configure()
bureau_logging.route()
pan = "5413330000" + "020017"

def fail():
    raise ValueError(f"no such card: {pan}")

try:
    fail()
except ValueError as error:
    logging.getLogger("library").exception("it failed: %r", error)
    context = {"name": "stint", "id": 1, "description": "raised", "exc": repr(error)}
    logging.getLogger("celery.app.trace").error("Task %(name)s: %(exc)s", context, exc_info=True)
warnings.warn("old")
fail()
"""


def test_an_unforeseen_exception_is_logged_without_its_values() -> None:
    """Libraries' messages, warnings and what ends a process are JSON: types and places, no exception's message."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "5413330000020017" not in ended.stderr
    library, task, warning, last = map(json.loads, ended.stderr.splitlines())
    assert library["event"] == "it failed: 'ValueError'"
    assert library["error"] == task["error"] == last["error"] == "ValueError"
    assert task["event"] == "Task %(name)s: %(exc)s"
    assert "old" in warning["event"]
    assert last["event"] == "process_failed"
    assert last["where"][-1].endswith(" fail")
