"""How the lots of a job stand, and why they run or wait."""

from dataclasses import dataclass
from datetime import datetime, tzinfo

from sqlalchemy import Connection, case, func, select

from bureau.ledger import encoders, queue, rows
from bureau.ledger.rows import AnyRow
from bureau.ledger.schema import UNWRITTEN, cards, lots
from bureau.models import CardState, EncoderId, JobId, JobState
from bureau.reasons import Standing, Why, why


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One lot of a job, and why it runs or waits."""

    standing: Standing
    why: Why


def explain(connection: Connection, job: JobId, now: datetime, zone: tzinfo) -> list[Explained]:
    """Return why each lot of *job* runs or waits at *now*, in words of the plant's *zone*."""
    lines = encoders.lines(connection)
    rivals = queue.judged(connection, queue.open_lots(connection), now)
    of_job = queue.lots_with_jobs().where(lots.c.job_id == job).order_by(lots.c.position)
    found = [_standing(connection, row, now) for row in connection.execute(of_job).all()]
    return [Explained(standing=each, why=why(each, lines, rivals, zone)) for each in found]


def _standing(connection: Connection, row: AnyRow, now: datetime) -> Standing:
    unwritten = func.sum(case((cards.c.returns >= UNWRITTEN, 1), else_=0))
    tally = select(cards.c.state, func.count(), unwritten).where(cards.c.lot_id == row.id).group_by(cards.c.state)
    counts = {CardState(state): (count, back) for state, count, back in connection.execute(tally)}
    ready, back = counts.get(CardState.READY, (0, 0))
    held = select(cards.c.encoder).where(cards.c.lot_id == row.id, cards.c.lease_until.is_not(None))
    (lot,) = queue.judged(connection, [rows.open_lot(row)], now)
    return Standing(
        lot=lot,
        position=row.position,
        state=JobState(row.state),
        hold=rows.hold(row),
        stop=rows.stop(row),
        counts={state: count for state, (count, _) in counts.items()},
        ready=ready - back,
        unwritten=back,
        at_work=tuple(EncoderId(name) for name in connection.execute(held.order_by(cards.c.encoder)).scalars()),
    )
