"""The audit log as it lies in the database: read, and checked against what the key store says."""

from collections.abc import Iterator

from sqlalchemy import Connection, select

from bureau import audit
from bureau.audit import Authenticate, Break, Entry, Head
from bureau.ledger.ledger import Ledger, has_changed
from bureau.ledger.rows import AnyRow
from bureau.ledger.schema import audit as table
from bureau.ledger.schema import audit_head


def entries(connection: Connection, *, after: int = 0) -> Iterator[Entry]:
    """Yield the entries past number *after*, the oldest first, some at a time."""
    wanted = select(table).where(table.c.number > after).order_by(table.c.number)
    with connection.execution_options(yield_per=1000).execute(wanted) as found:
        for row in found:
            yield _entry(row)


def newest(connection: Connection, count: int) -> list[Entry]:
    """Return the last *count* entries, the oldest of them first."""
    found = connection.execute(select(table).order_by(table.c.number.desc()).limit(count)).all()
    return [_entry(row) for row in reversed(found)]


def head(connection: Connection) -> Head:
    """Return the head of the log, or an empty one where it is missing."""
    row = connection.execute(select(audit_head)).one_or_none()
    return Head(number=row.number, digest=row.digest, mac=row.mac) if row else audit.EMPTY


def verify(ledger: Ledger, authenticate: Authenticate) -> Break | None:
    """Return where the audit log stops being what this engine wrote, None if nowhere."""
    with ledger.read() as connection:
        newest = head(connection)
        if not newest.number and has_changed(connection):
            return Break(1, "missing, though the ledger has changed")
        read: list[int] = [0]
        try:
            return audit.verify(_noted(entries(connection), read), newest, authenticate)
        except (ValueError, TypeError):
            return Break(read[0] + 1, "unreadable")


def _noted(found: Iterator[Entry], read: list[int]) -> Iterator[Entry]:
    for entry in found:
        read[0] = entry.number
        yield entry


def _entry(row: AnyRow) -> Entry:
    return Entry(
        number=row.number,
        at=row.at,
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        details=row.details,
        digest=row.digest,
    )
