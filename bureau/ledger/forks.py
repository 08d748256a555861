"""Connections and forks: a child opens connections of its own, and one that was forked inside a transaction opens none."""

import os
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, QueuePool, event
from sqlalchemy.engine.interfaces import DBAPIConnection

_ENGINES: Final[WeakKeyDictionary[Engine, str]] = WeakKeyDictionary()
_IN_USE_AT_FORK: Final[set[str]] = set()
"""Databases that this process's parent had a transaction open on, whose locks or connection are half this process's."""


def guard(engine: Engine, database: str) -> None:
    """Close idle connections of *engine* before a fork; refuse new ones to a child of a transaction on *database*."""
    _ENGINES[engine] = database
    event.listen(engine, "do_connect", partial(_refuse_after_fork, database))


def _before_fork() -> None:
    for engine, database in list(_ENGINES.items()):
        pool = engine.pool
        if isinstance(pool, QueuePool) and pool.checkedout():
            _IN_USE_AT_FORK.add(database)
            event.listen(pool, "checkin", _close)  # nobody takes it out of this pool again
        engine.dispose()


def _close(connection: DBAPIConnection | None, _record: object) -> None:
    if connection is not None:
        connection.close()


os.register_at_fork(before=_before_fork, after_in_parent=_IN_USE_AT_FORK.clear)


def _refuse_after_fork(database: str, *_given: object) -> None:
    if database in _IN_USE_AT_FORK:
        raise RuntimeError("this process was forked inside a transaction on the ledger and can't use it")
