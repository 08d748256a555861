"""Lots that hold themselves: no encoder takes a card of one until a person has looked."""

from sqlalchemy import update

from bureau.ledger.ledger import Transaction
from bureau.ledger.schema import lots
from bureau.models import LotId


def stop_in(tx: Transaction, lot: LotId, reason: str) -> None:
    """Hold *lot* as part of another change; what holds it already stays the reason. Cards in hand are finished."""
    free = (lots.c.id == lot) & lots.c.stopped_at.is_(None)
    stopped = {"stopped_by": tx.actor, "stopped_at": tx.at, "stopped_reason": reason}
    if tx.connection.execute(update(lots).where(free).values(stopped)).rowcount:
        tx.record("hold", f"lot {lot}", reason=reason)
