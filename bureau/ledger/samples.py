"""Which cards of a lot are samples, read back as a whole, and what one says about its lot.

A lot counts the cards since its last good sample. So one that was lost, with its encoder or its reader, is made up for by
the next card, and until a lot has its first good one every card is a sample.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import select, update

from bureau.ledger import stops
from bureau.ledger.ledger import Transaction
from bureau.ledger.schema import attempts, jobs, lots
from bureau.models import AttemptId, CardState, LotId

EVERY: Final[Mapping[int, int]] = {1: 1, 2: 10, 3: 100}
"""By a job's RiskLevel, one card in how many is a sample; at any other level each is."""


def take(tx: Transaction, attempt: AttemptId, lot: LotId) -> bool:
    """Count a card of *lot* that is about to be read back, and return whether it is a sample."""
    risk = tx.connection.execute(select(jobs.c.risk).join(lots, lots.c.job_id == jobs.c.id).where(lots.c.id == lot)).scalar()
    is_other = (lots.c.id == lot) & (lots.c.unsampled + 1 < EVERY.get(risk or 0, 1))
    if tx.connection.execute(update(lots).where(is_other).values(unsampled=lots.c.unsampled + 1)).rowcount:
        return False
    tx.connection.execute(update(attempts).where(attempts.c.id == attempt).values(sampled=True))
    return True


def settle(tx: Transaction, attempt: AttemptId, lot: LotId, state: CardState, what: str) -> None:
    """Let a sample that has ended in *state* count for its lot: a good one begins the count anew, a failed one holds it.

    One whose fate is unknown does neither: the next card is a sample again. *what* tells of the card, without a value.
    """
    if not tx.connection.execute(select(attempts.c.sampled).where(attempts.c.id == attempt)).scalar():
        return
    if state is CardState.GOOD:
        tx.connection.execute(update(lots).where(lots.c.id == lot).values(unsampled=0))
    elif state is CardState.REJECTED:
        stops.stop_in(tx, lot, f"sample failed: {what}")
