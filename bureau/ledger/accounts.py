"""Accounts: who there is, what each is for, and how often somebody has tried a wrong passphrase."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger.ledger import Ledger, Transaction
from bureau.ledger.rows import AnyRow
from bureau.ledger.schema import accounts
from bureau.models import Role

FAILURES: Final = 5
"""So many wrong passphrases in a row lock an account."""
LOCKED: Final = timedelta(minutes=30)
"""A lock opens by itself after this long: otherwise anyone could shut out the last supervisor for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account; *verifier* is what its passphrase is stretched into with *salt*."""

    name: str
    role: Role
    failures: int
    locked_at: datetime | None
    added_by: str
    added_at: datetime
    retired_at: datetime | None
    salt: bytes = field(repr=False)
    verifier: bytes = field(repr=False)

    def opens(self, now: datetime) -> datetime | None:
        """Return when the lock that is on at *now* opens by itself; None where there is none."""
        over = self.locked_at + LOCKED if self.locked_at else now
        return over if over > now else None


def exist(connection: Connection) -> bool:
    """Return whether there ever was an account: from the first on, nobody acts without one."""
    return connection.execute(select(accounts.c.name).limit(1)).first() is not None


def list_accounts(connection: Connection) -> list[Account]:
    """Return all accounts by name, retired ones too."""
    return [_account(row) for row in connection.execute(select(accounts).order_by(accounts.c.name))]


def find(connection: Connection, name: str) -> Account | None:
    """Return the account of *name*, retired or not."""
    row = connection.execute(select(accounts).where(accounts.c.name == name)).one_or_none()
    return None if row is None else _account(row)


def add(ledger: Ledger, name: str, role: Role, salt: bytes, verifier: bytes, actor: str, now: datetime) -> None:
    """Add an account; raises NotAllowedError for a name that was used before, and for a first that is no supervisor."""
    with ledger.write(actor, now) as tx:
        if not exist(tx.connection) and role is not Role.SUPERVISOR:
            raise NotAllowedError(
                "the first account is a supervisor's, who adds the others", "Add it with --role supervisor."
            )
        if find(tx.connection, name) is not None:
            raise NotAllowedError(
                f"there is or was an account {name}", "The audit log names it, so nobody else gets this name: take another."
            )
        values = {"role": role.value, "salt": salt, "verifier": verifier, "added_by": actor, "added_at": now}
        tx.connection.execute(insert(accounts).values(name=name, **values))
        tx.record("add account", f"account {name}", role=role)


def tried(ledger: Ledger, seen: Account, *, right: bool, actor: str, now: datetime) -> Account:
    """Write down that somebody tried a passphrase on the account that was *seen*, and return how it stands now.

    What is wrong counts, whatever becomes of the command; the fifth in a row locks. Whoever tries side by side learns
    nothing: raises NotAllowedError where the account has changed since it was seen.
    """
    with ledger.write(actor, now) as tx:
        account = _one(tx, seen.name)
        if account.opens(now):
            tx.record("refuse passphrase", f"account {account.name}", why="locked")
            return account
        if (account.failures, account.locked_at, account.verifier) != (seen.failures, seen.locked_at, seen.verifier):
            raise NotAllowedError(f"somebody else tries account {account.name} at this very moment", "Try again.")
        if right:
            return _set(tx, account, failures=0, locked_at=None) if account.failures else account
        failures = 1 if account.locked_at else account.failures + 1  # a lock that is over began a new row
        tx.record("refuse passphrase", f"account {account.name}", why="wrong", failures=failures)
        if failures < FAILURES:
            return _set(tx, account, failures=failures, locked_at=None)
        tx.record("lock", f"account {account.name}", failures=failures)
        return _set(tx, account, failures=failures, locked_at=now)


def tried_nobody(ledger: Ledger, actor: str, now: datetime) -> None:
    """Write down that somebody named no account that may act; not which name, for it may be a passphrase by mistake."""
    with ledger.write(actor, now) as tx:
        tx.record("refuse passphrase", "account unknown", why="unknown or retired")


def unlock(ledger: Ledger, name: str, actor: str, now: datetime) -> None:
    """Let a locked account act again; raises NotFoundError, NotAllowedError for one that isn't locked."""
    with ledger.write(actor, now) as tx:
        account = _active(tx, name)
        if not account.opens(now):
            raise NotAllowedError(f"account {name} isn't locked")
        _set(tx, account, failures=0, locked_at=None)
        tx.record("unlock", f"account {name}")


def retire(ledger: Ledger, name: str, actor: str, now: datetime) -> None:
    """Let an account act no more, for good; raises NotFoundError, NotAllowedError for the last supervisor."""
    with ledger.write(actor, now) as tx:
        account = _active(tx, name)
        others = (accounts.c.role == Role.SUPERVISOR.value) & accounts.c.retired_at.is_(None) & (accounts.c.name != name)
        left = tx.connection.execute(select(func.count()).where(others)).scalar_one()
        if account.role is Role.SUPERVISOR and not left:
            raise NotAllowedError(f"{name} is the last supervisor, and nobody could add another", "Add another first.")
        _set(tx, account, retired_at=now)
        tx.record("retire account", f"account {name}")


def renew(ledger: Ledger, name: str, salt: bytes, verifier: bytes, actor: str, now: datetime) -> None:
    """Give an account another passphrase; raises NotFoundError."""
    with ledger.write(actor, now) as tx:
        _set(tx, _active(tx, name), salt=salt, verifier=verifier)
        tx.record("change passphrase", f"account {name}")


def _active(tx: Transaction, name: str) -> Account:
    account = _one(tx, name)
    if account.retired_at is not None:
        raise NotAllowedError(f"account {name} is retired")
    return account


def _one(tx: Transaction, name: str) -> Account:
    account = find(tx.connection, name)
    if account is None:
        raise NotFoundError(f"there is no account {name}", "See `bureau accounts`.")
    return account


def _set(tx: Transaction, account: Account, **values: object) -> Account:
    tx.connection.execute(update(accounts).where(accounts.c.name == account.name).values(values))
    return _one(tx, account.name)


def _account(row: AnyRow) -> Account:
    return Account(
        name=row.name,
        role=Role(row.role),
        failures=row.failures,
        locked_at=row.locked_at,
        added_by=row.added_by,
        added_at=row.added_at,
        retired_at=row.retired_at,
        salt=row.salt,
        verifier=row.verifier,
    )
