"""The lots that have a card to make, which of them is late, and which an encoder takes next."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final

from sqlalchemy import Connection, Select, exists, func, select, update

from bureau import scheduling
from bureau.ledger import encoders as lines_of
from bureau.ledger import moves
from bureau.ledger.ledger import Transaction
from bureau.ledger.rows import open_lot
from bureau.ledger.schema import UNWRITTEN, cards, encoders, jobs, lots
from bureau.models import CardState, JobState, LotId
from bureau.scheduling import Last, Line, OpenLot

CLAIMABLE: Final = (cards.c.state == CardState.READY.value) & (cards.c.returns < UNWRITTEN)
"""The condition on a card that an encoder may take."""
_ARTICLE: Final = jobs.c.first_article & lots.c.article_at.is_(None)
_IN_HAND: Final = exists().where(cards.c.lot_id == lots.c.id, cards.c.state.in_(moves.IN_HAND))
FREE: Final = lots.c.stopped_at.is_(None) & ~(_ARTICLE & _IN_HAND)
"""The condition on a lot that nothing holds: until its first article is approved, one card at a time is made."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The lot that an encoder takes next, and those that were found to have become late, or to be in time again."""

    lot: OpenLot
    turned: Sequence[OpenLot]


def lots_with_jobs() -> Select[*tuple[object, ...]]:
    """Return the query for lots with their jobs' columns."""
    columns = [column for column in jobs.c if column.name not in lots.c and column is not jobs.c.wrapped_data_key]
    return select(lots, *columns).join(jobs, lots.c.job_id == jobs.c.id)


_OPEN_LOTS: Final = lots_with_jobs().where(
    jobs.c.state == JobState.RELEASED.value,
    lots.c.closed_at.is_(None),
    FREE,
    exists().where(cards.c.lot_id == lots.c.id, CLAIMABLE),
)


def open_lots(connection: Connection) -> list[OpenLot]:
    """Return the released lots that nothing holds and that have a card to claim, late as far as the ledger says so."""
    return [open_lot(row) for row in connection.execute(_OPEN_LOTS)]


def may_begin(tx: Transaction, lot: OpenLot) -> bool:
    """Return whether a card of *lot* may be begun; of several who ask before its first article is approved, one may."""
    if not lot.article:
        return True
    tx.lock_name("first article")  # one for all lots, so that nobody holds one's and waits for another's
    this = select(lots.c.id).join(jobs, lots.c.job_id == jobs.c.id).where(lots.c.id == lot.lot, FREE)
    return tx.connection.execute(this).first() is not None


def choose(connection: Connection, line: Line, now: datetime, but: Collection[LotId] = ()) -> Choice | None:
    """Return what the encoder of *line* takes next, none of *but*; None where nothing fits."""
    able = [lot for lot in open_lots(connection) if lot.lot not in but and scheduling.fits(lot, line.machine)]
    level = min((lot.priority for lot in able), default=0)
    top = found = [lot for lot in able if lot.priority == level]
    if len(found) > 1 and any(lot.due for lot in found):  # whether a single one is late makes no difference
        top = judged(connection, found, now)
    ranked = scheduling.ranked(top, line.machine, line.last)
    turned = [lot for was, lot in zip(found, top, strict=True) if was.late != lot.late]
    return Choice(ranked[0], turned) if ranked else None


def judged(connection: Connection, found: Sequence[OpenLot], now: datetime) -> list[OpenLot]:
    """Return the lots of *found* in their order, each saying whether it is late at *now*."""
    slowest = timedelta(microseconds=connection.execute(select(func.max(encoders.c.pace))).scalar_one() or 0)
    close = {lot.lot for lot in found if not scheduling.surely_fits(lot, slowest, now)}
    lines = lines_of.lines(connection) if close else []
    return [replace(lot, late=lot.lot in close and _is_late(connection, lot, lines, now)) for lot in found]


def _is_late(connection: Connection, lot: OpenLot, lines: Sequence[Line], now: datetime) -> bool:
    """Return whether more cards of *lot* are ready than there is time for; looks no further than that, in an index."""
    room = scheduling.room(lot, lines, now)
    if room is None or room >= lot.records:
        return False
    ready = select(cards.c.id).where(cards.c.lot_id == lot.lot, cards.c.state == CardState.READY.value)
    return connection.execute(ready.order_by(cards.c.position).offset(room).limit(1)).first() is not None


def take_turn(tx: Transaction, line: Line, choice: Choice) -> None:
    """Write down what *choice* means: which lots are late now, and whether the encoder changes its stock."""
    taken = choice.lot
    changes = int(line.last is not None and line.last.stock != taken.stock)
    if line.last != Last(taken.lot, taken.stock):
        turn = {"last_lot": taken.lot, "last_stock": taken.stock, "stock_changes": encoders.c.stock_changes + changes}
        tx.connection.execute(update(encoders).where(encoders.c.name == line.machine.encoder).values(turn))
    for lot in sorted(choice.turned, key=attrgetter("lot")):  # in one order, so that no two encoders wait for each other
        unsaid = lots.c.late_at.is_(None) if lot.late else lots.c.late_at.is_not(None)
        turned = update(lots).where(lots.c.id == lot.lot, unsaid).values(late_at=tx.at if lot.late else None)
        if tx.connection.execute(turned).rowcount:
            tx.record("late" if lot.late else "in time", f"lot {lot.lot}", job=lot.job)
    if changes:
        counted = update(jobs).where(jobs.c.id == taken.job).values(stock_changes=jobs.c.stock_changes + 1)
        tx.connection.execute(counted)
