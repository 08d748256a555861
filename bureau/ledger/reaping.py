"""Leases whose end has come: what was not written goes back, what may have been written is suspect."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from bureau.ledger import moves, stops
from bureau.ledger.ledger import Ledger, Transaction
from bureau.ledger.rows import AnyRow
from bureau.ledger.schema import cards
from bureau.models import AttemptOutcome, CardId, CardState, Cause, EncoderId, LotId

EXPIRED = "lease expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaped:
    """One card whose lease was taken back."""

    card: CardId
    crn: str
    encoder: EncoderId
    was: CardState
    now: CardState


def reap(
    ledger: Ledger, now: datetime, *, actor: str = "reap", limit: int = 1000, encoder: EncoderId | None = None
) -> tuple[Reaped, ...]:
    """Take back at most *limit* leases that have ended by *now*; the fence goes up, so their holders' writes hit nothing.

    leased becomes ready, its blank returned; writing and verifying become suspect, their plastic unknown. encoder: take back
    this one's leases instead, whenever they end: its machine has just been started anew, so nobody holds them.
    """
    with ledger.write(actor, now) as tx:
        over = cards.c.lease_until <= now if encoder is None else cards.c.encoder == encoder
        dead = select(cards).where(over).order_by(cards.c.lease_until, cards.c.id).limit(limit)
        return tuple(_take_back(tx, row) for row in tx.connection.execute(dead).all())


def _take_back(tx: Transaction, row: AnyRow) -> Reaped:
    unwritten = row.state == CardState.LEASED
    state, outcome = (CardState.READY, AttemptOutcome.RETURNED) if unwritten else (CardState.SUSPECT, AttemptOutcome.UNKNOWN)
    moves.end_attempt(tx, row, outcome, EXPIRED, tx.at, cause_code=Cause.READER)
    moves.move(tx, row, state, "reap", fence=row.fence + 1, returns=row.returns + unwritten)
    if not unwritten:
        stops.judge_in(tx, LotId(row.lot_id))
    return Reaped(card=CardId(row.id), crn=row.crn, encoder=EncoderId(row.encoder), was=CardState(row.state), now=state)
