"""Who acts, and what each role may do; passphrases are stretched with scrypt and never kept."""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from bureau.errors import BureauError, NotAllowedError
from bureau.ledger import accounts
from bureau.ledger.accounts import Account
from bureau.models import Role
from bureau.service.plant import Plant
from hardware.crypto import random_bytes, scrypt

SHORTEST: Final = 12
"""Characters of a passphrase at least."""
LONGEST: Final = 1024
SALT: Final = 16
_NOBODY: Final = bytes(SALT)
"""The salt where there is no account, so that a wrong name takes as long as a wrong passphrase."""


class Action(StrEnum):
    """What an account may be allowed to do."""

    SUBMIT = "submit"
    RELEASE = "release"
    RELEASE_LOT = "release lot"
    """Answer for a lot that held itself, its first article among the reasons."""
    PRIORITY = "priority"
    OPEN = "open"
    HOLD = "hold"
    """An encoder, a job or a lot."""
    STOCK = "stock"
    CLOSE = "close"
    REPORT = "report"
    REPLAY = "replay"
    WITHDRAW = "withdraw"
    REQUEUE = "requeue"
    REISSUE = "reissue"
    DESTROY = "destroy"
    SCRAP = "scrap"
    RESOLVE = "resolve"
    APPROVE_WITHDRAW = "approve withdraw"
    APPROVE_REQUEUE = "approve requeue"
    APPROVE_REISSUE = "approve reissue"
    APPROVE_DESTROY = "approve destroy"
    ACCOUNTS = "accounts"
    APPROVE_ACCOUNTS = "approve accounts"
    PROFILES = "profiles"
    KEYS = "keys"
    BACKUP = "backup"


_FLOOR: Final = frozenset(
    {
        Action.SUBMIT,
        Action.RELEASE,
        Action.PRIORITY,
        Action.OPEN,
        Action.HOLD,
        Action.STOCK,
        Action.CLOSE,
        Action.REPORT,
        Action.REPLAY,
        Action.WITHDRAW,
        Action.REQUEUE,
        Action.REISSUE,
        Action.DESTROY,
    }
)
ROLES: Final[Mapping[Role, frozenset[Action]]] = {
    Role.OPERATOR: _FLOOR,
    Role.SUPERVISOR: _FLOOR
    | {
        Action.RELEASE_LOT,
        Action.SCRAP,
        Action.RESOLVE,
        Action.APPROVE_WITHDRAW,
        Action.APPROVE_REQUEUE,
        Action.APPROVE_REISSUE,
        Action.APPROVE_DESTROY,
        Action.ACCOUNTS,
        Action.APPROVE_ACCOUNTS,
        Action.PROFILES,
        Action.BACKUP,
    },
    Role.CUSTODIAN: frozenset({Action.KEYS, Action.BACKUP, Action.APPROVE_ACCOUNTS}),
    Role.AUDITOR: frozenset({Action.REPORT, Action.APPROVE_ACCOUNTS}),
}
"""What each role may do. Whoever has the keys makes no cards, and whoever makes cards has no keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """An account whose passphrase was right, and whose process it was."""

    name: str
    role: Role
    os_user: str

    @property
    def actor(self) -> str:
        """Who the audit log says it was."""
        return f"{self.name} (os: {self.os_user})"

    def may(self, action: Action) -> bool:
        """Return whether this person's role allows *action*."""
        return action in ROLES[self.role]

    def allow(self, action: Action) -> None:
        """Raise NotAllowedError where this person's role doesn't allow *action*."""
        if not self.may(action):
            able = " or ".join(role for role, actions in ROLES.items() if action in actions)
            raise NotAllowedError(f"{self.name} is no {able}: {action} isn't for the role {self.role}", "Ask one of them.")


def identify(plant: Plant, name: str, passphrase: bytes) -> Person:
    """Return the person of an account; each failure counts and is in the audit log, whatever becomes of the command.

    Raises NotAllowedError: unknown, retired, wrong passphrase (the same message, after the same time), locked, not let in.
    """
    with plant.ledger.read() as connection:
        found = accounts.find(connection, name)
    seen = None if found is None or found.retired_at else found
    stretched = scrypt(passphrase, seen.salt if seen else _NOBODY)
    os_user, now = plant.settings.os_user, plant.clock()
    if seen is None:
        accounts.tried_nobody(plant.ledger, f"os: {os_user}", now)
        raise _wrong()
    right = hmac.compare_digest(stretched, seen.verifier)
    account = accounts.tried(plant.ledger, seen, right=right, actor=f"os: {os_user}", now=now)
    if (opens := account.opens(now)) is not None:
        raise _locked(plant, account, opens)
    if not right:
        raise _wrong()
    if account.waiting:
        raise NotAllowedError(f"account {name} isn't let in yet", "Somebody else approves it: see `bureau requests`.")
    return Person(name=account.name, role=account.role, os_user=os_user)


def _wrong() -> NotAllowedError:
    return NotAllowedError(
        "there is no such account, or its passphrase is another", f"{accounts.FAILURES} wrong ones in a row lock an account."
    )


def _locked(plant: Plant, account: Account, opens: datetime) -> NotAllowedError:
    when = f"{opens.astimezone(plant.settings.plant):%H:%M}"
    return NotAllowedError(
        f"account {account.name} is locked after {account.failures} wrong passphrases",
        f"It opens at {when}, or when a supervisor says `bureau accounts unlock {account.name}`.",
    )


def checked(name: str) -> str:
    """Return the *name* of a new account; raises BureauError for one that won't do."""
    if not re.fullmatch(r"[a-z][a-z0-9._-]{0,31}", name):
        raise BureauError(
            f"{name!r} is no name for an account", "Take up to 32 of a-z, 0-9, dot, dash and underscore, a letter first."
        )
    return name


def renew(plant: Plant, person: Person, passphrase: bytes) -> None:
    """Give a person another passphrase; raises BureauError for one that won't do."""
    salt, verifier = stretched(passphrase)
    accounts.renew(plant.ledger, person.name, salt, verifier, person.actor, plant.clock())


def stretched(passphrase: bytes) -> tuple[bytes, bytes]:
    """Return a salt and what *passphrase* becomes with it; raises BureauError for one that is too short or too long."""
    if not SHORTEST <= len(passphrase.decode(errors="replace")) <= LONGEST:
        raise BureauError(f"a passphrase has {SHORTEST} to {LONGEST} characters", "Several words are easy to remember.")
    salt = random_bytes(SALT)
    return salt, scrypt(passphrase, salt)
