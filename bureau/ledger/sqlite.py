"""What SQLite needs: its pragmas, who begins a transaction and how, and a file that nobody else may read."""

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from bureau.ledger import forks

BUSY_SECONDS: Final = 10
_WRITING: Final = "bureau_writing"
READING: Final[Mapping[str, Any]] = {}
WRITING: Final[Mapping[str, Any]] = {_WRITING: True}
EXCLUSIVE: Final = True
_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "secure_delete=ON",
    "foreign_keys=ON",
    "temp_store=MEMORY",
    f"busy_timeout={BUSY_SECONDS * 1000}",
)


def engine(url: URL) -> Engine:
    """Return an engine whose writers take SQLite's one write lock at the start and whose readers take none.

    Before a fork idle connections are closed: a child that finds them in SQLite's memory believes in locks that only the
    parent holds, and would take a transaction's locks for its own.
    """
    made = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True)
    forks.guard(made, str(_path(url).absolute()))
    event.listen(made, "connect", _connected)
    event.listen(made, "begin", _begin)
    return made


def exists(url: URL) -> bool:
    """Return whether there is a database; raises ValueError as create() does."""
    return _path(url).exists()


def create(url: URL) -> None:
    """Make an empty database with mode 0600, which its WAL inherits; one that exists stays as it is.

    Raises ValueError for one in memory, which no worker could share.
    """
    file = _path(url)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return


def lock(connection: Connection, *, alone: bool) -> None:
    """Lock nothing: who writes is alone since the transaction began."""


def lock_name(connection: Connection, name: str) -> None:
    """Lock nothing, as above."""


def try_name(connection: Connection, name: str) -> bool:  # noqa: ARG001
    """Return True: there is one host, and its office does one thing at a time."""
    return True


def forget(engine: Engine) -> bool:
    """Move everything from the write-ahead log into the database, which overwrites what was deleted, and empty it.

    Returns False if a reader is in the way. Writers wait meanwhile, a second at most.
    """
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute("PRAGMA busy_timeout=1000")
        busy: int = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
        cursor.close()
    finally:
        raw.close()
    return busy == 0


def _path(url: URL) -> Path:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ValueError("the ledger needs a file")
    return Path(url.database)


def _connected(raw: sqlite3.Connection, _record: object) -> None:
    raw.isolation_level = None  # sqlite3 would begin by itself, deferred, and only before a change
    cursor = raw.cursor()
    try:
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get(_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def version() -> str:
    """Return the version of SQLite itself."""
    return sqlite3.sqlite_version
