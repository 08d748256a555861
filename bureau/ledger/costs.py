"""What jobs have cost, and what cards of one kind took so far."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import JSON, Connection, Text, case, cast, func, literal, select

from bureau.costing import Cost, Past
from bureau.ledger.destruction import SPENT, waiting
from bureau.ledger.schema import attempts, cards, lots
from bureau.models import AttemptOutcome, CardState, JobId
from hardware.perso.order import UniqueID

NEWEST: Final = 1_000
"""Good records that a kind's past is told from."""


def cost(connection: Connection, job: JobId) -> Cost:
    """Return what *job* has taken so far."""
    waste = (waiting().label("waiting"), func.count(attempts.c.destroyed).label("destroyed"))
    busy = func.coalesce(func.sum(attempts.c.busy_time), 0).label("busy")
    wanted = select(attempts.c.outcome, func.count().label("plastics"), busy, *waste)
    of_job = wanted.join(cards, attempts.c.card_id == cards.c.id).where(cards.c.job_id == job)
    found = connection.execute(of_job.group_by(attempts.c.outcome)).all()
    plastics = dict.fromkeys(AttemptOutcome, 0) | {AttemptOutcome(row.outcome): row.plastics for row in found}
    return Cost(
        busy_time=sum(int(row.busy) for row in found),
        drawn=sum(plastics.values()),
        good=plastics[AttemptOutcome.GOOD],
        spent=sum(plastics[AttemptOutcome(outcome)] for outcome in SPENT),
        to_destroy=sum(row.waiting for row in found),
        destroyed=sum(row.destroyed for row in found),
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
