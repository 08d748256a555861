"""The audit log's arithmetic: every entry is hashed over the one before it, and the last is authenticated."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from typing import Final, TypeAlias

Authenticate: TypeAlias = Callable[[bytes], bytes]
"""A key store's MAC over a message."""
Detail: TypeAlias = str | int | bool | None
"""What an entry may tell beside its subject: references and ids, never a value of a record."""

GENESIS: Final = bytes(32)
"""What the first entry's hash goes over."""
_ENTRY: Final = b"bureau audit entry 1\0"
_HEAD: Final = b"bureau audit head 1\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change: who did what to what, and when; *number* counts from 1, *details* is JSON as canonical() writes it."""

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last entry's number and digest with their MAC, kept apart from the entries; number 0 has no MAC."""

    number: int
    digest: bytes
    mac: bytes


EMPTY: Final = Head(number=0, digest=GENESIS, mac=b"")


@dataclass(frozen=True, slots=True)
class Break:
    """The first entry that can't be trusted, and why."""

    number: int
    reason: str

    def __str__(self) -> str:
        return f"entry {self.number}: {self.reason}"


def canonical(details: Mapping[str, Detail]) -> str:
    """Return *details* as JSON in the one way that is hashed: sorted names, no blanks, ASCII."""
    return json.dumps(dict(details), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(previous: bytes, number: int, at: datetime, actor: str, action: str, subject: str, details: str) -> bytes:
    """Return the SHA-256 of an entry over the *previous* digest and its fields; *at* must be aware."""
    when = at.astimezone(UTC).isoformat(timespec="microseconds")
    fields = json.dumps([number, when, actor, action, subject, details], separators=(",", ":"), ensure_ascii=True)
    return sha256(_ENTRY + previous + fields.encode("ascii")).digest()


def mac_input(number: int, value: bytes) -> bytes:
    """Return the message whose MAC makes entry *number* the head."""
    return _HEAD + number.to_bytes(8, "big") + value


def is_authentic(head: Head, authenticate: Authenticate) -> bool:
    """Return whether the key store made *head*; none has been made while there is no entry."""
    if head.number < 1:
        return head == EMPTY
    known = isinstance(head.digest, bytes) and isinstance(head.mac, bytes)  # a database keeps what an intruder gives it
    return known and compare_digest(authenticate(mac_input(head.number, head.digest)), head.mac)


def append(
    head: Head,
    authenticate: Authenticate,
    *,
    at: datetime,
    actor: str,
    action: str,
    subject: str,
    details: Mapping[str, Detail],
) -> tuple[Entry, Head]:
    """Return the entry that follows *head*, and the head that it makes."""
    number, text = head.number + 1, canonical(details)
    value = digest(head.digest, number, at, actor, action, subject, text)
    entry = Entry(number=number, at=at, actor=actor, action=action, subject=subject, details=text, digest=value)
    return entry, Head(number=number, digest=value, mac=authenticate(mac_input(number, value)))


def verify(entries: Iterable[Entry], head: Head, authenticate: Authenticate) -> Break | None:
    """Return where the log stops being what was written: altered, removed, reordered or cut short; None if nowhere.

    An intruder who also recomputes every later digest is found at the head, which only the key store can make.
    """
    last, previous = 0, GENESIS
    for entry in entries:
        if entry.number != last + 1:
            return Break(last + 1, f"missing, number {entry.number} stands in its place")
        fields = (entry.number, entry.at, entry.actor, entry.action, entry.subject, entry.details)
        if digest(previous, *fields) != entry.digest:
            return Break(entry.number, "altered")
        last, previous = entry.number, entry.digest
    if last < head.number:
        return Break(last + 1, f"missing, the log ends here and its head says {head.number}")
    if last > head.number:
        return Break(head.number + 1, "not made by this engine, the head doesn't know it")
    return _verify_head(head, previous, authenticate)


def _verify_head(head: Head, last: bytes, authenticate: Authenticate) -> Break | None:
    if head.digest != last:
        return Break(head.number, "not the one that the head names")
    if not is_authentic(head, authenticate):
        return Break(head.number, "the head isn't authentic")
    return None
