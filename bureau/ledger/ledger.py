"""The door to the database: transactions that say who acts, the audit log within them, and migration."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, create_engine, insert, inspect, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from bureau import audit
from bureau.audit import Authenticate, Detail
from bureau.errors import NotAllowedError, UnavailableError
from bureau.ledger import schema, sqlite


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except OperationalError as fault:
        raise UnavailableError(
            f"the ledger can't be used: {fault.orig}", "See who locks it and whether its disk is full, then try again."
        ) from fault


def has_changed(connection: Connection) -> bool:
    """Return whether anybody has ever changed the ledger, whatever its audit log says."""
    some = (schema.encoders, schema.files, schema.profiles)
    return any(connection.execute(select(table).limit(1)).first() for table in some)


def _head(connection: Connection, authenticate: Authenticate) -> audit.Head:
    """Return what the next entry follows; raises NotAllowedError for a head that would make authentic what isn't."""
    row = connection.execute(select(schema.audit_head).with_for_update()).one_or_none()
    if row is not None:
        head = audit.Head(number=row.number, digest=row.digest, mac=row.mac)
        if audit.is_authentic(head, authenticate) and (head.number or not has_changed(connection)):
            return head
    raise NotAllowedError(
        "the audit log's head isn't this key store's, so nothing may follow it",
        "See `bureau audit`: somebody altered the ledger, or the key store is another one.",
    )


class Transaction:
    """One change of the ledger: its connection, who makes it and when."""

    def __init__(self, connection: Connection, authenticate: Authenticate, actor: str, at: datetime) -> None:
        self.connection = connection
        self.actor = actor
        self.at = at
        self._authenticate = authenticate
        self._head = _head(connection, authenticate)

    def record(self, action: str, subject: str, **details: Detail) -> None:
        """Append to the audit log; *details* are references and ids, never a value of a record."""
        entry, self._head = audit.append(
            self._head,
            self._authenticate,
            at=self.at,
            actor=self.actor,
            action=action,
            subject=subject,
            details=details,
        )
        self.connection.execute(
            insert(schema.audit).values(
                number=entry.number,
                at=entry.at,
                actor=entry.actor,
                action=entry.action,
                subject=entry.subject,
                details=entry.details,
                digest=entry.digest,
            )
        )
        head = update(schema.audit_head).where(schema.audit_head.c.id == 1)
        self.connection.execute(head.values(number=entry.number, digest=entry.digest, mac=self._head.mac))


class Ledger:
    """The one place that knows what became of every card.

    Without *authenticate* it can only be read, for every change is an audit entry. It survives a fork outside
    a transaction: idle connections are closed before, and each process opens its own.
    """

    def __init__(self, url: str, authenticate: Authenticate | None = None, *, clock: Callable[[], datetime] = _now) -> None:
        self._url = make_url(url)
        self._is_sqlite = self._url.get_backend_name() == "sqlite"
        self._authenticate = authenticate
        self._clock = clock
        self._engine: Engine | None = None
        self._checked = False

    @contextmanager
    def write(self, actor: str, at: datetime | None = None) -> Iterator[Transaction]:
        """Open a transaction that holds the write lock from its start; commits at the end, rolls back on an error.

        at: when the change is made, now if None. Raises NotAllowedError without a key store or migration; UnavailableError
        where the database fails, and then nobody knows whether the change was made.
        """
        if self._authenticate is None:
            raise NotAllowedError("this ledger is open for reading only", "Open the key store first.")
        with _available(), self._checked_to_write() as connection:
            yield Transaction(connection, self._authenticate, actor, at or self._clock())
            self._commit(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open one consistent view that blocks no writer; raises NotAllowedError without migration, UnavailableError."""
        with _available():
            self._check()
            with self._open().connect() as connection, connection.begin():
                yield connection

    def is_migrated(self) -> bool:
        """Return whether the tables are those that this program knows."""
        if self._is_sqlite and not sqlite.path(self._url).exists():
            return False
        with self._open().connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return False
            version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return bool(version == schema.VERSION)

    def migrate(self) -> None:
        """Bring the tables up to date in one transaction; makes the database where there is none."""
        from bureau.ledger.migrations.run import upgrade  # noqa: PLC0415  Alembic costs every worker 100 ms

        if self._is_sqlite:
            sqlite.create(sqlite.path(self._url))
        with self._connect_to_write() as connection:
            upgrade(connection)
            self._commit(connection)

    def checkpoint(self) -> bool:
        """Move everything from SQLite's write-ahead log into the database and empty it; False if a reader is in the way.

        Writers wait meanwhile, a second at most.
        """
        if not self._is_sqlite:
            return True
        raw = self._open().raw_connection()
        try:
            cursor = raw.cursor()
            cursor.execute("PRAGMA busy_timeout=1000")
            busy: int = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            cursor.execute(f"PRAGMA busy_timeout={sqlite.BUSY_SECONDS * 1000}")
            cursor.close()
        finally:
            raw.close()
        return busy == 0

    def close(self) -> None:
        """Close this process's connections."""
        if self._engine is not None:
            self._engine.dispose()
        self._engine = None

    def _commit(self, connection: Connection) -> None:
        """Make a change lasting; the one place that does."""
        connection.commit()

    @contextmanager
    def _checked_to_write(self) -> Iterator[Connection]:
        self._check()
        with self._connect_to_write() as connection:
            yield connection

    @contextmanager
    def _connect_to_write(self) -> Iterator[Connection]:
        with self._open().connect() as connection:
            connection.execution_options(**{sqlite.WRITING: True})
            with connection.begin():
                yield connection

    def _check(self) -> None:
        if not self._checked:
            if not self.is_migrated():
                raise NotAllowedError("the ledger's tables are not those of this program", "Run `bureau migrate`.")
            self._checked = True

    def _open(self) -> Engine:
        if self._engine is None:
            self._engine = sqlite.engine(self._url) if self._is_sqlite else create_engine(self._url)
        return self._engine
