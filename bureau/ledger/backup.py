"""A copy of the ledger while everything goes on."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import make_url

from bureau.errors import NotAllowedError


def copy(url: str, target: Path) -> bool:
    """Copy the SQLite ledger at *url* to *target*, mode 0600, as it stands at one moment.

    Returns False for another database, which is left to its own tools. Raises NotAllowedError where *target* exists.
    """
    found = make_url(url)
    if found.get_backend_name() != "sqlite" or found.database is None:
        return False
    if target.exists():
        raise NotAllowedError(f"{target} exists already", "Name a new directory.")
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(found.database)) as source, closing(sqlite3.connect(target)) as made:
        source.backup(made)
    return True
