"""Which entries of the audit log somebody must hear of, and how far they have been told."""

import json
from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from bureau.audit import Entry
from bureau.ledger import auditing
from bureau.ledger.ledger import Ledger
from bureau.ledger.schema import alerts
from bureau.models import CardState

ACTIONS: Final = frozenset({"hold", "fault", "late", "lost"})
"""What is always told; of what happens to a card, that its fate is unknown."""


def pending(connection: Connection) -> Iterator[Entry]:
    """Yield what hasn't been told yet, the oldest first; nothing before begin()."""
    told = connection.execute(select(alerts.c.number)).scalar_one_or_none()
    if told is not None:
        yield from (entry for entry in auditing.entries(connection, after=told) if is_alert(entry))


def is_alert(entry: Entry) -> bool:
    """Return whether somebody must hear of *entry*."""
    return entry.action in ACTIONS or json.loads(entry.details).get("now") == CardState.SUSPECT


def begun(connection: Connection) -> bool:
    """Return whether anything is told at all."""
    return connection.execute(select(alerts.c.number)).scalar_one_or_none() is not None


def told(ledger: Ledger, number: int, actor: str) -> None:
    """Write down that all entries up to *number* have been told of; the first call begins it. Not audited."""
    with ledger.write(actor) as tx:
        tx.connection.execute(delete(alerts))
        tx.connection.execute(insert(alerts).values(id=1, number=number))
