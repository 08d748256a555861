"""What SQLite needs: its pragmas, who begins a transaction and how, and a file that nobody else may read."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from weakref import WeakSet

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.engine import URL

BUSY_SECONDS: Final = 10
WRITING: Final = "bureau_writing"
"""The execution option of a connection that is going to write."""
_ENGINES: Final[WeakSet[Engine]] = WeakSet()
_IN_USE_AT_FORK: Final[set[Path]] = set()
"""Databases that this process's parent had a transaction open on: SQLite takes the parent's locks for its own here."""
_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "secure_delete=ON",
    "foreign_keys=ON",
    "temp_store=MEMORY",
    f"busy_timeout={BUSY_SECONDS * 1000}",
)


def engine(url: URL) -> Engine:
    """Return an engine whose writers take SQLite's one write lock at the start and whose readers take none."""
    made = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True)
    _ENGINES.add(made)
    event.listen(made, "do_connect", _refuse_after_fork)
    event.listen(made, "connect", _connected)
    event.listen(made, "begin", _begin)
    return made


def path(url: URL) -> Path:
    """Return where the database of *url* lies; raises ValueError for one in memory, which no worker could share."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ValueError("the ledger needs a file")
    return Path(url.database)


def create(file: Path) -> None:
    """Make an empty database *file* with mode 0600, which its WAL inherits; one that exists stays as it is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return


def _connected(raw: sqlite3.Connection, _record: object) -> None:
    raw.isolation_level = None  # sqlite3 would begin by itself, deferred, and only before a change
    cursor = raw.cursor()
    try:
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


def _before_fork() -> None:
    """Close idle connections: a child that finds them in SQLite's memory believes in locks that only the parent holds."""
    for each in list(_ENGINES):
        if isinstance(each.pool, QueuePool) and each.pool.checkedout():
            _IN_USE_AT_FORK.add(path(each.url).absolute())
        each.dispose()


os.register_at_fork(before=_before_fork, after_in_parent=_IN_USE_AT_FORK.clear)


def _refuse_after_fork(_dialect: object, _record: object, arguments: Sequence[object], _options: object) -> None:
    if Path(str(arguments[0])).absolute() in _IN_USE_AT_FORK:
        raise RuntimeError("this process was forked inside a transaction on the ledger and can't use it")


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get(WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
