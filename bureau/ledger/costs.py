"""What jobs have cost, and what cards of one kind took so far."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import JSON, Connection, Text, case, cast, func, literal, select

from bureau.costing import Cost, Past
from bureau.ledger.schema import attempts, cards, lots
from bureau.models import AttemptOutcome, CardState, JobId
from hardware.perso.order import UniqueID

NEWEST: Final = 1_000
"""Good records that a kind's past is told from."""
SPENT: Final = (AttemptOutcome.SPOILED.value, AttemptOutcome.MUTE.value, AttemptOutcome.UNKNOWN.value)
"""Plastic that became nobody's card."""


def cost(connection: Connection, job: JobId) -> Cost:
    """Return what *job* has taken so far."""
    wanted = select(attempts.c.outcome, func.count(), func.coalesce(func.sum(attempts.c.busy_time), 0))
    of_job = wanted.join(cards, attempts.c.card_id == cards.c.id).where(cards.c.job_id == job)
    found = {row[0]: (row[1], int(row[2])) for row in connection.execute(of_job.group_by(attempts.c.outcome))}
    plastics = {outcome: found.get(outcome, (0, 0))[0] for outcome in AttemptOutcome}
    return Cost(
        busy_time=sum(busy for _, busy in found.values()),
        drawn=sum(plastics.values()),
        good=plastics[AttemptOutcome.GOOD],
        spent=sum(plastics[AttemptOutcome(outcome)] for outcome in SPENT),
        returned=plastics[AttemptOutcome.RETURNED],
        in_hand=plastics[AttemptOutcome.OPEN],
    )


def past(connection: Connection, profiles: Sequence[UniqueID]) -> Past:
    """Return what the newest good records took for which just these card profiles will do, with all their plastic.

    The profile decides what is loaded and written, and on which chip; a card product's name is the issuer's to choose.
    """
    alike = select(lots.c.id).where(cast(lots.c.profiles, Text) == cast(literal([*profiles], JSON), Text))
    good = (
        select(cards.c.id)
        .join(attempts, attempts.c.card_id == cards.c.id)
        .where(cards.c.lot_id.in_(alike), cards.c.state == CardState.GOOD.value)
        .where(attempts.c.outcome == AttemptOutcome.GOOD.value, attempts.c.busy_time.is_not(None))
        .order_by(cards.c.lot_id.desc(), cards.c.position.desc())
        .limit(NEWEST)
    )
    kept = case((attempts.c.outcome == AttemptOutcome.RETURNED.value, 0), else_=1)
    taken = select(func.count(attempts.c.card_id.distinct()), func.sum(attempts.c.busy_time), func.sum(kept))
    records, busy, plastics = connection.execute(taken.where(attempts.c.card_id.in_(good))).one()
    return Past(records=records, busy_time=int(busy or 0), plastics=int(plastics or 0))
