"""Accounts: who there is, what each is for, and how often somebody has tried a wrong passphrase."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger import requests
from bureau.ledger.ledger import Ledger, Transaction
from bureau.ledger.requests import Request
from bureau.ledger.rows import AnyRow
from bureau.ledger.schema import accounts
from bureau.models import BatchId, RequestId, Role

FAILURES: Final = 5
"""So many wrong passphrases in a row lock an account."""
ACTION: Final = "accounts"
"""What requests about accounts are called."""
APPROVERS: Final = (Role.SUPERVISOR, Role.CUSTODIAN, Role.AUDITOR)
"""The roles that approve an account: so that none of them is ever the only one who could."""
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
    waiting: bool
    """For somebody else's approval; until then it can do nothing."""
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


def takes_two(connection: Connection) -> bool:
    """Return whether adding and unlocking accounts takes two people: from the second supervisor on that was ever let in.

    A retired one counts too, or one supervisor could retire the others and add a second self; and there must be somebody who
    could approve, which retire() sees to.
    """
    let_in = [each for each in list_accounts(connection) if not each.waiting]
    able = [each for each in let_in if each.role in APPROVERS and each.retired_at is None]
    return sum(each.role is Role.SUPERVISOR for each in let_in) >= 2 and len(able) >= 2


def add(tx: Transaction, name: str, role: Role, salt: bytes, verifier: bytes, *, waiting: bool = False) -> None:
    """Add an account, which does nothing while it is *waiting*; one that nobody has let in yet is replaced.

    Raises NotAllowedError for a name that was used before or that an open request is about, and for a first account that is
    no supervisor's.
    """
    if not exist(tx.connection) and role is not Role.SUPERVISOR:
        raise NotAllowedError("the first account is a supervisor's, who adds the others", "Add it with --role supervisor.")
    found = find(tx.connection, name)
    if found is not None and not (found.waiting and found.retired_at is None):
        raise NotAllowedError(
            f"there is or was an account {name}", "The audit log names it, so nobody else gets this name: take another."
        )
    _refuse_asked(tx, name)
    if found is not None:
        tx.connection.execute(delete(accounts).where(accounts.c.name == name))
    values = {"role": role.value, "salt": salt, "verifier": verifier, "added_by": tx.actor, "added_at": tx.at}
    tx.connection.execute(insert(accounts).values(name=name, waiting=waiting, **values))
    tx.record("add account", f"account {name}", role=role, waiting=waiting)


def to_unlock(tx: Transaction, name: str) -> Mapping[str, Any]:
    """Return what unlocking an account is about; raises NotFoundError, NotAllowedError for one that isn't locked."""
    _refuse_asked(tx, name)
    return {"unlock": _locked(tx, name).name}


def about(subject: Mapping[str, Any]) -> str:
    """Return in words what a request is about."""
    return f"unlock {subject['unlock']}" if "unlock" in subject else f"add {subject['add']}, {subject['role']}"


def approve(tx: Transaction, asked: Request) -> tuple[BatchId, ...]:
    """Let in or unlock the account that was asked for.

    Raises NotAllowedError where it is retired or open by now, or another one of that name than was asked for.
    """
    if "unlock" in asked.subject:
        unlock(tx, asked.subject["unlock"])
        return ()
    account = active(tx, asked.subject["add"])
    if account.added_at != asked.asked_at:  # by the clock of another host the request may be open that was asked anew
        raise NotAllowedError(f"account {account.name} was added anew since", "Decline it; see `bureau requests`.")
    _set(tx, account, waiting=False)
    tx.record("let in", f"account {account.name}", role=account.role)
    return ()


def request(connection: Connection, name: str, now: datetime) -> RequestId | None:
    """Return the request that is open about an account."""
    found = requests.open_for(connection, ACTION, now)
    return next((each.number for each in found if name in (each.subject.get("add"), each.subject.get("unlock"))), None)


def _refuse_asked(tx: Transaction, name: str) -> None:
    if number := request(tx.connection, name, tx.at):
        raise NotAllowedError(
            f"request {number} about account {name} is open", f"Somebody else says: bureau approve {number}"
        )


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


def unlock(tx: Transaction, name: str) -> None:
    """Let a locked account act again; raises NotFoundError, NotAllowedError for one that isn't locked."""
    _set(tx, _locked(tx, name), failures=0, locked_at=None)
    tx.record("unlock", f"account {name}")


def _locked(tx: Transaction, name: str) -> Account:
    account = active(tx, name)
    if not account.opens(tx.at):
        raise NotAllowedError(f"account {name} isn't locked")
    return account


def retire(ledger: Ledger, name: str, actor: str, now: datetime) -> None:
    """Let an account act no more, for good; raises NotFoundError.

    Raises NotAllowedError for the last supervisor, and for the last who could approve what that one asks for accounts.
    """
    with ledger.write(actor, now) as tx:
        account = active(tx, name)
        if not account.waiting:
            _refuse_last(tx, account)
        _set(tx, account, retired_at=now)
        tx.record("retire account", f"account {name}")


def _refuse_last(tx: Transaction, account: Account) -> None:
    others = [each for each in list_accounts(tx.connection) if each.name != account.name]
    left = [each.role for each in others if each.retired_at is None and not each.waiting]
    if account.role is Role.SUPERVISOR and Role.SUPERVISOR not in left:
        raise NotAllowedError(f"{account.name} is the last supervisor, and nobody could add another", "Add another first.")
    if account.role in APPROVERS and takes_two(tx.connection) and sum(role in APPROVERS for role in left) < 2:
        raise NotAllowedError(
            f"without {account.name} nobody would be left to approve another account",
            f"Add another {', '.join(APPROVERS[:-1])} or {APPROVERS[-1]} first.",
        )


def renew(ledger: Ledger, name: str, salt: bytes, verifier: bytes, actor: str, now: datetime) -> None:
    """Give an account another passphrase; raises NotFoundError."""
    with ledger.write(actor, now) as tx:
        _set(tx, active(tx, name), salt=salt, verifier=verifier)
        tx.record("change passphrase", f"account {name}")


def active(tx: Transaction, name: str) -> Account:
    """Return an account that isn't retired; raises NotFoundError, NotAllowedError."""
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
        waiting=row.waiting,
        salt=row.salt,
        verifier=row.verifier,
    )
