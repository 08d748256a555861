"""The chaos command without one of the rules that keep it harmless: a lease that is over gives back what was being written.

Faults come faster than usual and each reaping takes every lease, so that a short run hits for certain. Run as a command it
starts itself as the template that all workers are forked from.
"""

import sys
from datetime import datetime, timedelta
from typing import Final

from bureau import models
from bureau.cli import main, ordeal
from bureau.ledger import moves, reaping
from bureau.ledger.ledger import Ledger, Transaction
from bureau.ledger.reaping import Reaped
from bureau.ledger.rows import AnyRow
from bureau.models import AttemptOutcome, CardId, CardState, EncoderId
from workers import chaos, stepping

REAP: Final = reaping.reap


def give_back(tx: Transaction, row: AnyRow) -> Reaped:
    """Call every plastic untouched, and its record ready."""
    moves.end_attempt(tx, row, AttemptOutcome.RETURNED, "sabotage", tx.at)
    moves.move(tx, row, CardState.READY, "reap", fence=row.fence + 1)
    encoder, was = EncoderId(row.encoder), CardState(row.state)
    return Reaped(card=CardId(row.id), crn=row.crn, encoder=encoder, was=was, now=CardState.READY)


def reap_all(ledger: Ledger, now: datetime, *, encoder: EncoderId | None = None) -> tuple[Reaped, ...]:
    """Take back every lease, as if it were tomorrow."""
    return REAP(ledger, now + timedelta(days=1), encoder=encoder)


if __name__ == "__main__":
    if sys.argv[1].isdigit():
        for state in (CardState.WRITING, CardState.VERIFYING):
            models.TRANSITIONS[state] |= {CardState.READY}
        setattr(reaping, "_take_back", give_back)  # noqa: B010
        setattr(reaping, "reap", reap_all)  # noqa: B010
        stepping.main()
    else:
        setattr(chaos, "MEAN_SECONDS", 0.1)  # noqa: B010
        ordeal.TEMPLATE = "tests.workers.sabotaged"
        main()
