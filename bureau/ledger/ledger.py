"""The door to the database: transactions that say who acts, the audit log within them, and migration."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Engine, Row, exists, insert, inspect, or_, select, text, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, InternalError, OperationalError

from bureau import audit
from bureau.audit import Authenticate, Detail
from bureau.errors import NotAllowedError, UnavailableError
from bureau.ledger import postgresql, schema, sqlite

NEVER: Final = 100.0
"""The share of rejects that no lot is above."""


class Database(Protocol):
    """What differs between databases; READING and WRITING are the execution options of a connection.

    EXCLUSIVE: whether nobody at all can write beside a writer, so that what it has read stays as it is.
    """

    @property
    def READING(self) -> Mapping[str, Any]: ...  # noqa: N802, D102 - a module's constants and functions, as it says there
    @property
    def WRITING(self) -> Mapping[str, Any]: ...  # noqa: N802, D102
    @property
    def EXCLUSIVE(self) -> bool: ...  # noqa: N802, D102
    def engine(self, url: URL) -> Engine: ...  # noqa: D102
    def exists(self, url: URL) -> bool: ...  # noqa: D102
    def create(self, url: URL) -> None: ...  # noqa: D102
    def lock(self, connection: Connection, *, alone: bool) -> None: ...  # noqa: D102
    def lock_name(self, connection: Connection, name: str) -> None: ...  # noqa: D102
    def try_name(self, connection: Connection, name: str) -> bool: ...  # noqa: D102
    def forget(self, engine: Engine) -> bool: ...  # noqa: D102


_DATABASES: Final[Mapping[str, Database]] = {"sqlite": sqlite, "postgresql": postgresql, "postgres": postgresql}


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InternalError) as fault:  # internal: a server that was made read-only, such as a standby
        raise UnavailableError(
            f"the ledger can't be used: {' '.join(str(fault.orig).split())}",
            "See whether its database runs, who locks it and whether its disk is full, then try again.",
        ) from fault


_TABLES: Final = (schema.encoders, schema.files, schema.profiles, schema.accounts)
_CHANGED: Final = select(or_(*(exists(select(table)) for table in _TABLES)))
_HEAD: Final = select(schema.audit_head)
_NEWEST_HEAD: Final = _HEAD.with_for_update()
_APPEND: Final = insert(schema.audit)
_ADVANCE: Final = update(schema.audit_head).where(schema.audit_head.c.id == 1)
"""Statements that every card needs stand ready: building one anew takes longer than carrying it out."""


def has_changed(connection: Connection) -> bool:
    """Return whether anybody has ever changed the ledger, whatever its audit log says."""
    return bool(connection.execute(_CHANGED).scalar())


def _head(row: Row[*tuple[Any, ...]]) -> audit.Head:
    return audit.Head(number=row.number, digest=row.digest, mac=row.mac)


def _columns(made: audit.Entry | audit.Head) -> dict[str, object]:
    return {name: getattr(made, name) for name in made.__slots__}


def _parse(url: str) -> tuple[URL, Database]:
    """Return *url* with what its database needs; raises NotAllowedError for one that this program doesn't know."""
    try:
        parsed = make_url(url)
        return parsed, _DATABASES[parsed.get_backend_name()]
    except (ArgumentError, KeyError) as unknown:
        raise NotAllowedError(
            "BUREAU_DATABASE_URL names no database that a ledger can be in",
            "Write sqlite:///FILE or postgresql://USER@HOST/DATABASE.",
        ) from unknown


class Transaction:
    """One change of the ledger: its connection, who makes it and when.

    Raises NotAllowedError for a head that would make authentic what isn't.
    """

    def __init__(
        self,
        connection: Connection,
        database: Database,
        authenticate: Authenticate,
        actor: str,
        at: datetime,
        *,
        most_rejects: float = NEVER,
    ) -> None:
        self.connection = connection
        self.actor = actor
        self.at = at
        self.most_rejects = most_rejects
        self._database = database
        self._authenticate = authenticate
        self._told: list[tuple[str, str, dict[str, Detail]]] = []
        row = connection.execute(_HEAD).one_or_none()
        self._head = self._authentic(_head(row) if row is not None and (row.number or not has_changed(connection)) else None)

    def lock_name(self, name: str) -> None:
        """Keep everyone who locks the same *name* waiting until this change is made or not."""
        self._database.lock_name(self.connection, name)

    def record(self, action: str, subject: str, **details: Detail) -> None:
        """Append to the audit log as the transaction ends; *details* are references and ids, never a value of a record."""
        self._told.append((action, subject, details))

    def close(self) -> None:
        """Write down what was recorded: the log's head is what all changes have in common, so it is locked last."""
        if not self._told:
            return
        head = self._head if self._database.EXCLUSIVE else _head(self.connection.execute(_NEWEST_HEAD).one())
        if head != self._head:  # somebody else's change was made meanwhile
            self._authentic(head)
        entries = []
        for action, subject, details in self._told:
            entry, head = audit.append(
                head, self._authenticate, at=self.at, actor=self.actor, action=action, subject=subject, details=details
            )
            entries.append(_columns(entry))
        self.connection.execute(_APPEND, entries)
        self.connection.execute(_ADVANCE, _columns(head))

    def _authentic(self, head: audit.Head | None) -> audit.Head:
        if head is None or not audit.is_authentic(head, self._authenticate):
            raise NotAllowedError(
                "the audit log's head isn't this key store's, so nothing may follow it",
                "See `bureau audit verify`: somebody altered the ledger, or the key store is another one.",
            )
        return head


class Ledger:
    """The one place that knows what became of every card.

    Without *authenticate* it can only be read, for every change is an audit entry. most_rejects: the percentage of cards
    gone wrong above which a lot holds itself. It survives a fork outside a transaction: idle connections are closed before,
    and each process opens its own.
    """

    def __init__(
        self,
        url: str,
        authenticate: Authenticate | None = None,
        *,
        clock: Callable[[], datetime] = _now,
        most_rejects: float = NEVER,
    ) -> None:
        self._url, self._database = _parse(url)
        self._authenticate = authenticate
        self._clock = clock
        self._most_rejects = most_rejects
        self._engine: Engine | None = None
        self._checked = False

    @contextmanager
    def write(self, actor: str, at: datetime | None = None, *, alone: bool = True) -> Iterator[Transaction]:
        """Open a transaction that holds the write lock from its start; commits at the end, rolls back on an error.

        at: when the change is made, now if None. alone: whether nobody else may write meanwhile, as on SQLite ever; who says
        False locks the rows that the change is decided by. Raises NotAllowedError without a key store or migration;
        UnavailableError where the database fails, and then nobody knows whether the change was made.
        """
        if self._authenticate is None:
            raise NotAllowedError("this ledger is open for reading only", "Open the key store first.")
        with _available(), self._checked_to_write() as connection:
            self._database.lock(connection, alone=alone)
            transaction = Transaction(
                connection,
                self._database,
                self._authenticate,
                actor,
                at or self._clock(),
                most_rejects=self._most_rejects,
            )
            yield transaction
            transaction.close()
            self._commit(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open one consistent view that blocks no writer; raises NotAllowedError without migration, UnavailableError."""
        with _available():
            self._check()
            with self._open().connect() as connection:
                connection.execution_options(**self._database.READING)
                with connection.begin():
                    yield connection

    def is_migrated(self) -> bool:
        """Return whether the tables are those that this program knows; raises UnavailableError."""
        if not self._database.exists(self._url):
            return False
        with _available(), self._open().connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return False
            version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return bool(version == schema.VERSION)

    @contextmanager
    def sole(self, name: str) -> Iterator[bool]:
        """Yield whether nobody on any other host does what is called *name* meanwhile; raises UnavailableError."""
        with _available(), self._open().connect() as connection, connection.begin():
            yield self._database.try_name(connection, name)

    def is_empty(self) -> bool:
        """Return whether there are no tables at all, not even another version's; raises UnavailableError."""
        if not self._database.exists(self._url):
            return True
        with _available(), self._open().connect() as connection:
            return not inspect(connection).get_table_names()

    def migrate(self) -> None:
        """Bring the tables up to date in one transaction; makes SQLite's database where there is none."""
        from bureau.ledger.migrations.run import upgrade  # noqa: PLC0415  Alembic costs every worker 100 ms

        self._database.create(self._url)
        with _available(), self._connect_to_write() as connection:
            self._database.lock(connection, alone=True)
            upgrade(connection)
            self._commit(connection)

    def checkpoint(self) -> bool:
        """Let the database forget what was deleted, as far as it can: see its forget(). False if a reader is in the way.

        Writers wait meanwhile, a second at most.
        """
        with _available():
            return self._database.forget(self._open())

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
            connection.execution_options(**self._database.WRITING)
            with connection.begin():
                yield connection

    def _check(self) -> None:
        if not self._checked:
            if not self.is_migrated():
                raise NotAllowedError("the ledger's tables are not those of this program", "Run `bureau migrate`.")
            self._checked = True

    def _open(self) -> Engine:
        if self._engine is None:
            self._engine = self._database.engine(self._url)
        return self._engine
