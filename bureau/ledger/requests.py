"""What takes two people: asked by one account, decided by another within a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update

from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger.ledger import Ledger, Transaction
from bureau.ledger.rows import AnyRow
from bureau.ledger.schema import requests
from bureau.models import RequestId, RequestState

EXPIRY = "expiry"
"""Who the audit log says it was when a request's time ran out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One *action* with its *subject*, what the action itself wrote down; *decided_by* is None where its time ran out."""

    number: RequestId
    action: str
    subject: Mapping[str, Any]
    reason: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    state: RequestState
    decided_by: str | None
    decided_at: datetime | None


def list_requests(connection: Connection, now: datetime) -> list[Request]:
    """Return all requests, the oldest first; one whose time is over by *now* as expired, though nobody noted it yet."""
    return [_request(row, now) for row in connection.execute(select(requests).order_by(requests.c.id))]


def open_for(connection: Connection, action: str, now: datetime) -> list[Request]:
    """Return the requests for *action* that somebody can still decide at *now*, the oldest first."""
    still = (requests.c.action == action) & (requests.c.state == RequestState.OPEN.value) & (requests.c.expires_at > now)
    return [_request(row, now) for row in connection.execute(select(requests).where(still).order_by(requests.c.id))]


def find(connection: Connection, number: RequestId, now: datetime) -> Request:
    """Return a request as list_requests() shows it; raises NotFoundError."""
    row = connection.execute(select(requests).where(requests.c.id == number)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no request {number}", "See `bureau requests`.")
    return _request(row, now)


def ask(
    tx: Transaction, action: str, subject: Mapping[str, Any], reason: str, asked_by: str, wait: timedelta, *, about: str
) -> RequestId:
    """Write down what *asked_by* wants done and wait for somebody else, no longer than *wait*; *about* is for the log."""
    values = {
        "action": action,
        "subject": subject,
        "reason": reason,
        "asked_by": asked_by,
        "asked_at": tx.at,
        "expires_at": tx.at + wait,
        "state": RequestState.OPEN.value,
    }
    key = tx.connection.execute(insert(requests).values(values)).inserted_primary_key
    number = RequestId(key[0] if key else 0)
    tx.record("request", f"request {number}", asks=action, about=about, reason=reason)
    return number


def done(tx: Transaction, request: Request, by: str) -> None:
    """Say in the transaction that carried it out that *by* approved; raises NotAllowedError for the one who asked."""
    if by == request.asked_by:
        raise NotAllowedError(
            f"{by} asked for request {request.number} and can't approve it", "It takes another account's approval."
        )
    _decide(tx, request, RequestState.DONE, by)
    tx.record("approve", f"request {request.number}", asks=request.action, asked_by=request.asked_by)


def declined(tx: Transaction, request: Request, by: str, reason: str) -> None:
    """Say that *by* declined."""
    _decide(tx, request, RequestState.DECLINED, by)
    tx.record("decline", f"request {request.number}", asks=request.action, asked_by=request.asked_by, reason=reason)


def expire(ledger: Ledger, now: datetime) -> None:
    """Close the requests whose time is over by *now*."""
    over = (requests.c.state == RequestState.OPEN.value) & (requests.c.expires_at <= now)
    with ledger.read() as connection:
        if connection.execute(select(requests.c.id).where(over).limit(1)).first() is None:
            return
    with ledger.write(EXPIRY, now) as tx:
        for row in tx.connection.execute(select(requests).where(over).order_by(requests.c.id)).all():
            _decide(tx, _request(row, row.asked_at), RequestState.EXPIRED, None)
            tx.record("expire", f"request {row.id}", asks=row.action, asked_by=row.asked_by)


def _decide(tx: Transaction, request: Request, state: RequestState, by: str | None) -> None:
    if request.state is not RequestState.OPEN:
        raise NotAllowedError(f"request {request.number} is {request.state} already", "See `bureau requests`; ask anew.")
    decided = {"state": state.value, "decided_by": by, "decided_at": tx.at}
    tx.connection.execute(update(requests).where(requests.c.id == request.number).values(decided))


def _request(row: AnyRow, now: datetime) -> Request:
    state, over = RequestState(row.state), row.expires_at <= now
    return Request(
        number=RequestId(row.id),
        action=row.action,
        subject=row.subject,
        reason=row.reason,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        expires_at=row.expires_at,
        state=RequestState.EXPIRED if state is RequestState.OPEN and over else state,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )
