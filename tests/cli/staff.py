"""The people of the accounts' tests, their passphrases, and what the audit log says of them."""

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

STAFF = {"anna": "supervisor", "berta": "supervisor", "carl": "operator", "dora": "auditor", "emil": "custodian"}


def secret(name: str) -> str:
    return f"{name} likes long walks"


def handed(text: str) -> str:
    """Return a descriptor that *text* can be read from."""
    read, write = os.pipe()
    os.write(write, text.encode())
    os.close(write)
    return str(read)


def log(home: Path) -> list[tuple[str, str, str]]:
    """Return actor, action and subject of the audit log's entries, read past the engine."""
    with closing(sqlite3.connect(home / "ledger.sqlite")) as ledger:
        return ledger.execute("SELECT actor, action, subject FROM audit ORDER BY number").fetchall()


def os_user() -> str:
    """Return whose process this is, as the system says."""
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
