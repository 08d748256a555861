"""The chaos command without one of the rules that keep it harmless: a dead lease gives back what was being written, too.

Run as a command it starts itself as the template that all workers are forked from.
"""

import sys

from bureau import models
from bureau.cli import main, ordeal
from bureau.ledger import moves, reaping
from bureau.ledger.ledger import Transaction
from bureau.ledger.reaping import Reaped
from bureau.ledger.rows import AnyRow
from bureau.models import AttemptOutcome, CardId, CardState, EncoderId
from workers import stepping


def give_back(tx: Transaction, row: AnyRow) -> Reaped:
    """Call every plastic untouched, and its record ready."""
    moves.end_attempt(tx, row, AttemptOutcome.RETURNED, "sabotage", tx.at)
    moves.move(tx, row, CardState.READY, "reap", fence=row.fence + 1)
    encoder, was = EncoderId(row.encoder), CardState(row.state)
    return Reaped(card=CardId(row.id), crn=row.crn, encoder=encoder, was=was, now=CardState.READY)


if __name__ == "__main__":
    if sys.argv[1].isdigit():
        for state in (CardState.WRITING, CardState.VERIFYING):
            models.TRANSITIONS[state] |= {CardState.READY}
        setattr(reaping, "_take_back", give_back)  # noqa: B010
        stepping.main()
    else:
        ordeal.TEMPLATE = "tests.workers.sabotaged"
        main()
