"""The one way in which a card changes its state: by the table, under its fence, told to the audit log."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, bindparam, delete, insert, select, update

from bureau.errors import FenceError, NotAllowedError, NotFoundError
from bureau.ledger import book
from bureau.ledger.ledger import Transaction
from bureau.ledger.rows import AnyRow, speed_columns
from bureau.ledger.schema import attempts, cards, traces
from bureau.models import TRANSITIONS, AttemptOutcome, CardId, CardState, JobId, LotId, Recording

MICROSECOND: Final = timedelta(microseconds=1)
IN_HAND: Final = (CardState.LEASED, CardState.WRITING, CardState.VERIFYING)
"""States in which an encoder holds the card's lease."""
ENDS: Final = {
    CardState.READY: frozenset({AttemptOutcome.RETURNED, AttemptOutcome.MUTE}),
    CardState.GOOD: frozenset({AttemptOutcome.GOOD}),
    CardState.REJECTED: frozenset({AttemptOutcome.SPOILED}),
    CardState.SUSPECT: frozenset({AttemptOutcome.UNKNOWN}),
}
"""What the piece of plastic in hand has become when its card goes to a state that ends the lease."""


_CARD: Final = (
    select(cards.c.id, cards.c.lot_id, cards.c.crn, cards.c.state, cards.c.fence, cards.c.lease_until, cards.c.returns)
    .where(cards.c.id == bindparam("card"))
    .with_for_update()
)
_SAME_CARD: Final = update(cards).where(
    cards.c.id == bindparam("card"), cards.c.fence == bindparam("was_fence"), cards.c.state == bindparam("was_state")
)
"""Changes a card that still stands as it was read, in the columns that are given beside."""


def card_row(tx: Transaction, card: CardId) -> AnyRow:
    """Return where *card* stands; raises NotFoundError."""
    row = tx.connection.execute(_CARD, {"card": card}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no card {card}")
    return row


def in_hand(tx: Transaction, card: CardId, fence: int) -> AnyRow:
    """Return where *card* stands; raises FenceError unless the holder of *fence* still decides about it."""
    row = card_row(tx, card)
    if row.fence != fence or row.state not in IN_HAND:
        raise FenceError(f"the lease {fence} on card {card} is over")
    return row


def alive(row: AnyRow, now: datetime) -> None:
    """Raise FenceError for a lease that has ended by *now*, even if nobody took the card yet."""
    if row.lease_until is None or row.lease_until <= now:
        raise FenceError(f"the lease {row.fence} on card {row.id} is over")


def move(tx: Transaction, row: AnyRow, state: CardState, action: str, **values: object) -> None:
    """Put the card of *row* into *state* if it still stands as *row* says.

    values: other columns to set; the encoder and the end of the lease are cleared unless a lease is among them. Raises
    NotAllowedError for a move that isn't in TRANSITIONS, FenceError when someone else was faster.
    """
    if state not in TRANSITIONS[CardState(row.state)]:
        raise NotAllowedError(f"card {row.id} is {row.state} and can't become {state}")
    if "lease_until" not in values:
        values |= {"lease_until": None, "encoder": None}
    was = {"card": row.id, "was_fence": row.fence, "was_state": row.state}
    if tx.connection.execute(_SAME_CARD, {**was, "state": state.value, **values}).rowcount != 1:
        raise FenceError(f"the lease {row.fence} on card {row.id} is over")
    fence = values.get("fence", row.fence)
    tx.record(action, f"card {row.id}", crn=row.crn, fence=int(str(fence)), was=str(row.state), now=state.value)


def move_all(tx: Transaction, job: JobId, was: CardState, state: CardState, action: str) -> int:
    """Put every card of *job* that *was* so, and is in no encoder's hand, into *state*, and return how many those are."""
    if was in IN_HAND or state not in TRANSITIONS[was]:
        raise NotAllowedError(f"cards that are {was} can't become {state}")
    these = (cards.c.job_id == job) & (cards.c.state == was.value)
    moved = tx.connection.execute(update(cards).where(these).values(state=state.value)).rowcount
    tx.record(action, f"job {job}", records=moved, was=was.value, now=state.value)
    return moved


OPEN_ATTEMPT: Final[ColumnElement[bool]] = (
    (attempts.c.card_id == bindparam("card"))
    & (attempts.c.fence == bindparam("holder"))
    & (attempts.c.outcome == AttemptOutcome.OPEN.value)
)
"""The condition that finds the piece of plastic that the *holder* of a fence works on, for a *card*."""
_OPEN: Final = select(attempts.c.id, attempts.c.started_at).where(OPEN_ATTEMPT)
_ATTEMPT: Final = update(attempts).where(attempts.c.id == bindparam("attempt"))
_FORGET: Final = delete(traces).where(traces.c.attempt_id == bindparam("attempt"))
_KEEP: Final = insert(traces)


def open_attempt(row: AnyRow) -> dict[str, int]:
    """Return what OPEN_ATTEMPT asks for, of the card of *row*."""
    return {"card": row.id, "holder": row.fence}


def end_attempt(
    tx: Transaction,
    row: AnyRow,
    outcome: AttemptOutcome,
    cause: str | None,
    now: datetime,
    recording: Recording | None = None,
    **values: object,
) -> None:
    """Write down what became of the piece of plastic, with what was recorded; raises FenceError when there is none open.

    It kept its encoder busy until now, or until its lease ended, however late somebody noticed that.
    """
    attempt = tx.connection.execute(_OPEN, open_attempt(row)).one_or_none()
    if attempt is None:
        raise FenceError(f"the lease {row.fence} on card {row.id} is over")
    if recording is not None:
        values |= _recorded(tx, attempt.id, recording)
    if outcome is AttemptOutcome.RETURNED:
        book.put_back(tx, attempt.id, LotId(row.lot_id))
    busy = max(min(now, row.lease_until) - attempt.started_at, timedelta(0)) // MICROSECOND
    ended = {"outcome": outcome.value, "cause": cause, "ended_at": now, "busy_time": busy}
    tx.connection.execute(_ATTEMPT, {"attempt": attempt.id, **ended, **values})


def keep(tx: Transaction, attempt: int, recording: Recording) -> None:
    """Keep what was recorded of an attempt, in the place of anything that was."""
    tx.connection.execute(_ATTEMPT, {"attempt": attempt, **_recorded(tx, attempt, recording)})


def _recorded(tx: Transaction, attempt: int, recording: Recording) -> dict[str, object]:
    """Keep the trace of an attempt, in the place of anything that was; return what remains to be written beside it."""
    tx.connection.execute(_FORGET, {"attempt": attempt})
    tx.connection.execute(_KEEP, {"attempt_id": attempt, "sealed": recording.sealed})
    return speed_columns(recording.speed)
