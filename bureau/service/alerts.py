"""A command of the plant's choice for what can't wait until somebody looks at a screen."""

import json
import shlex
import subprocess
import time
from typing import Final

import structlog

from bureau.audit import Entry
from bureau.ledger import alerts, auditing
from bureau.service.plant import Plant
from bureau.service.report import OFFICE

log = structlog.get_logger(__name__)

SECONDS: Final = 30.0
"""The longest that the command may take, and after how long the rest waits for the next time: the office has more to do."""


def alert(plant: Plant) -> int:
    """Run the plant's command once for each alert since the last time; return for how many.

    Where it fails or is slow, the rest waits and is told the next time, so that nothing is lost; it may be told twice.
    """
    if not plant.settings.alert:
        return 0
    with plant.ledger.read() as connection:
        if is_new := not alerts.begun(connection):
            newest = auditing.head(connection).number
        pending = list(alerts.pending(connection))
    if is_new:  # what happened before anybody asked to be told is history
        alerts.told(plant.ledger, newest, OFFICE)
    done, until = 0, time.monotonic() + SECONDS
    for entry in pending:
        if time.monotonic() > until or not _run(plant.settings.alert, entry):
            break
        alerts.told(plant.ledger, entry.number, OFFICE)
        done += 1
    return done


def _run(command: str, entry: Entry) -> bool:
    """Run *command* with what happened and to what as its last two words, and all of it as JSON on standard input."""
    told = {"number": entry.number, "at": entry.at.isoformat(), "actor": entry.actor, "action": entry.action}
    told |= {"subject": entry.subject, "details": json.loads(entry.details)}
    try:
        subprocess.run(  # noqa: S603 - the plant's own command
            [*shlex.split(command), entry.action, entry.subject],
            input=json.dumps(told).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as failed:
        log.error("alert_failed", cause=f"{entry.action} {entry.subject}", error=type(failed).__name__)
        return False
    return True
