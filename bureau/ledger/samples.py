"""Which cards of a lot are samples, read back as a whole, and what one says about its lot.

A lot counts the cards since its last good sample. So one that was lost, with its encoder or its reader, is made up for by
the next card, and until a lot has its first good one every card is a sample.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import bindparam, case, select, update

from bureau.ledger import stops
from bureau.ledger.ledger import Transaction
from bureau.ledger.schema import attempts, jobs, lots
from bureau.models import AttemptId, CardState, LotId

EVERY: Final[Mapping[int, int]] = {1: 1, 2: 10, 3: 100}
"""By a job's RiskLevel, one card in how many is a sample; at any other level each is."""


_RISK: Final = select(jobs.c.risk).where(jobs.c.id == lots.c.job_id).scalar_subquery()
_PASS: Final = (
    update(lots)
    .where(lots.c.id == bindparam("lot"), lots.c.unsampled + 1 < case(dict(EVERY), value=_RISK, else_=1))
    .values(unsampled=lots.c.unsampled + 1)
)
"""Counts a card that needn't be a sample."""
_TAKE: Final = update(attempts).where(attempts.c.id == bindparam("attempt")).values(sampled=True)
_TAKEN: Final = select(attempts.c.sampled).where(attempts.c.id == bindparam("attempt"))


def take(tx: Transaction, attempt: AttemptId, lot: LotId) -> bool:
    """Count a card of *lot* that is about to be read back, and return whether it is a sample."""
    if tx.connection.execute(_PASS, {"lot": lot}).rowcount:
        return False
    tx.connection.execute(_TAKE, {"attempt": attempt})
    return True


def settle(tx: Transaction, attempt: AttemptId, lot: LotId, state: CardState, what: str) -> None:
    """Let a sample that has ended in *state* count for its lot: a good one begins the count anew, a failed one holds it.

    One whose fate is unknown does neither: the next card is a sample again. *what* tells of the card, without a value.
    """
    if not tx.connection.execute(_TAKEN, {"attempt": attempt}).scalar():
        return
    if state is CardState.GOOD:
        tx.connection.execute(update(lots).where(lots.c.id == lot).values(unsampled=0))
    elif state is CardState.REJECTED:
        stops.stop_in(tx, lot, f"sample failed: {what}")
