"""Throw-away servers for tests: PostgreSQL clusters and Redis brokers, which end with the process that started them."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from tempfile import mkdtemp
from typing import Final

import psycopg
import pytest

START_SECONDS: Final = 20.0
_NOBODY: Final = ("--reuid=nobody", "--regid=nogroup", "--clear-groups") if os.getuid() == 0 else ()
"""PostgreSQL refuses to run as root."""
_SETTINGS: Final = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "32MB",
    "autovacuum": "off",
    "timezone": "Asia/Kolkata",
}
"""No network, no waiting for the disk, and half an hour off where a moment would be read without its zone."""


@dataclass(slots=True)
class Cluster:
    """A PostgreSQL cluster that listens on a unix socket in *folder*, with a role that isn't its superuser."""

    folder: Path

    def url(self, database: str) -> str:
        """Return what BUREAU_DATABASE_URL says of a database."""
        return f"postgresql://bureau@/{database}?host={self.folder}"

    def run(self, statement: str, database: str = "postgres", user: str = "bureau") -> None:
        """Execute a statement that stands in no transaction."""
        with psycopg.connect(f"host={self.folder} dbname={database} user={user}", autocommit=True) as connection:
            connection.execute(statement.encode())

    def clone(self, template: str, database: str) -> None:
        """Make a database that is a copy of another one."""
        self.run(f'CREATE DATABASE "{database}" TEMPLATE "{template}" STRATEGY file_copy')

    def drop(self, database: str) -> None:
        """Remove a database and cut whoever is connected."""
        self.run(f'DROP DATABASE "{database}" WITH (FORCE)')


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Run a new cluster as an unprivileged user; skips the test where PostgreSQL isn't installed."""
    programs = _programs()
    folder = Path(mkdtemp(prefix="bureau-postgres-", dir=_memory()))
    made = Cluster(folder)
    try:
        if _NOBODY:
            shutil.chown(folder, "nobody", "nogroup")
        initdb = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "root", "-A", "trust", "-E", "UTF8"]
        subprocess.run(["setpriv", *_NOBODY, *initdb, "--locale=C", "--no-sync"], check=True, capture_output=True)
        options = [text for name, value in _SETTINGS.items() for text in ("-c", f"{name}={value}")]
        server = [str(programs / "postgres"), "-D", str(folder / "data"), "-k", str(folder), *options]
        with _running(server, Signals.SIGINT, folder, lambda: _answers(made), _NOBODY):
            made.run("CREATE ROLE bureau LOGIN CREATEDB", user="root")
            yield made
    finally:
        shutil.rmtree(folder)


@contextmanager
def redis() -> Iterator[str]:
    """Run a Redis and yield its address; skips the test where none is installed."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server: apt-get install redis-server")
    folder = Path(mkdtemp(prefix="bureau-redis-"))
    socket = folder / "s"
    options = ["--port", "0", "--unixsocket", str(socket), "--dir", str(folder)]
    kept = ["--appendonly", "yes", "--maxmemory-policy", "noeviction", "--save", ""]
    try:
        with _running([program, *options, *kept], Signals.SIGTERM, folder, socket.exists):
            yield f"redis+socket://{socket}"
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(
    command: Sequence[str], end: Signals, folder: Path, ready: Callable[[], bool], who: Sequence[str] = ()
) -> Iterator[None]:
    """Run a server that is sent the signal *end* at the end, also where this process is killed."""
    tied = ["setpriv", f"--pdeathsig={end.name.removeprefix('SIG')}", *who, "--", *command]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(tied, stdout=log, stderr=log, start_new_session=True) as server,
    ):
        try:
            deadline = time.monotonic() + START_SECONDS
            while not ready():
                said = (folder / "log").read_text()
                assert server.poll() is None, said
                assert time.monotonic() < deadline, said
                time.sleep(0.02)
            yield
        finally:
            server.send_signal(end)


def _answers(started: Cluster) -> bool:
    try:
        started.run("SELECT 1", user="root")
    except psycopg.OperationalError:
        return False
    return True


def _memory() -> str | None:
    """Return a folder in memory if there is one with room: a database is 300 files, half a second on many disks."""
    memory = Path("/dev/shm")
    return str(memory) if memory.exists() and shutil.disk_usage(memory).free > 1 << 29 else None


def _programs() -> Path:
    """Return where PostgreSQL's programs are: in PATH, or where Debian puts each version's."""
    on_path = shutil.which("postgres")
    found = [Path(on_path)] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    return found[-1].parent
