"""What PostgreSQL needs: its driver, its patience, and locks in the place of SQLite's one write lock.

A change is made *alone* unless it says otherwise: it takes the ledger's lock for itself and so sees and changes everything
as if there were nobody else, like every change on SQLite. The steps of a card and the records of a file are taken by many
at once: they share that lock, and lock the rows that they decide about, always in the order card, attempt, encoder, lots by
number, job, batch, and the head of the audit log last of all, when the transaction ends. So nobody waits in a circle.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, func, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from bureau.ledger import forks

_LEDGER: Final = 0x6275726561750001
"""The ledger's lock; names that are locked have their hash beside it."""
_PATIENCE: Final = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""Seconds, and milliseconds, after which a server that doesn't answer is gone; its address may say otherwise."""
_SESSION: Final = "-c lock_timeout=10s -c synchronous_commit=on -c timezone=UTC"
"""Whatever the server's settings say, a change that was committed lasts."""
READING: Final[Mapping[str, Any]] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
WRITING: Final[Mapping[str, Any]] = {"isolation_level": "READ COMMITTED"}
EXCLUSIVE: Final = False
"""The ledger's lock keeps this program's changes apart, not what somebody else does in the database."""


def engine(url: URL) -> Engine:
    """Return an engine that speaks through psycopg and replaces a connection that died since it was used."""
    given = {key: value for key, value in url.query.items() if key != "options"}
    options = f"{_SESSION} {url.query.get('options', '')}".strip()
    whole = url.set(drivername="postgresql+psycopg", query={**_PATIENCE, **given, "options": options})
    made = create_engine(whole, pool_pre_ping=True, hide_parameters=True)
    forks.guard(made, whole.render_as_string())
    return made


def exists(url: URL) -> bool:  # noqa: ARG001 - connecting tells
    """Return True: a database that is missing is found out on connecting."""
    return True


def create(url: URL) -> None:
    """Make nothing: a database and its owner are for whoever runs the server to make."""


def lock(connection: Connection, *, alone: bool) -> None:
    """Take the ledger's lock until the transaction ends, for this change alone or shared with others of its kind."""
    take = func.pg_advisory_xact_lock if alone else func.pg_advisory_xact_lock_shared
    connection.execute(select(take(_LEDGER)))


def lock_name(connection: Connection, name: str) -> None:
    """Keep everyone who locks the same *name* waiting until the transaction ends."""
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, _LEDGER))))


def try_name(connection: Connection, name: str) -> bool:
    """Lock *name* until the transaction ends, as lock_name() does; return False where somebody else has."""
    taken = connection.execute(select(func.pg_try_advisory_xact_lock(func.hashtextextended(name, _LEDGER)))).scalar_one()
    return bool(taken)


def forget(engine: Engine) -> bool:
    """Write the jobs' table anew without the wrapped keys of purged jobs; returns False if a reader is in the way.

    Writers wait meanwhile, a second at most. Without its key nothing of a purged record or trace can be read, wherever a
    copy of it is left: in the other tables until VACUUM has made room and the room was used again, in the server's own
    write-ahead log, in standbys and backups, and on a disk under files that were deleted. A wrapped key that is left
    there opens nothing without the key store.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET lock_timeout = '1s'"))
        try:
            connection.execute(text("VACUUM (FULL) jobs"))
        except OperationalError as busy:
            if getattr(busy.orig, "sqlstate", None) != "55P03":  # lock_not_available
                raise
            return False
        finally:
            connection.invalidate()  # a connection that waits for a second only is of no other use
    return True
