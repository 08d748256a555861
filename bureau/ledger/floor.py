"""The floor: encoders as a person watches them, and the pools that have work."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from bureau import scheduling
from bureau.ledger import book, queue, rows
from bureau.ledger import encoders as lines_of
from bureau.ledger.schema import attempts, cards, encoders
from bureau.models import AttemptOutcome, CardState, EncoderId, EncoderState, Hold, JobId, Pool
from bureau.scheduling import Machine
from hardware.trace.speed import Speed, average


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderView:
    """One encoder; *reason* says why its line is held, or what it waits for, *hold* by whom and since when it is held.

    *in_hand* names the records that it holds a lease on.
    """

    machine: Machine
    host: str
    """Where its worker runs, or ran when it was last heard of; empty where it was stopped."""
    reason: str | None
    hold: Hold | None
    strikes: int
    started_at: datetime
    seen_at: datetime
    in_hand: tuple[str, ...]
    made: int
    """Good cards that it has made."""
    left: Mapping[str, int]
    """Blanks of the stocks that it is in the book for."""
    stock_changes: int
    """Claims for another stock than that of the claim before."""
    listening: tuple[Pool, ...]
    """The pools that its worker has said to listen to."""
    speed: Speed | None
    """The mean of its last good cards."""


def list_encoders(connection: Connection) -> list[EncoderView]:
    """Return every encoder that ever started, by name."""
    hands: dict[str, list[str]] = {}
    left = book.left(connection)
    of_encoder = select(attempts.c.encoder, func.count().label("made")).group_by(attempts.c.encoder)
    good = connection.execute(of_encoder.where(attempts.c.outcome == AttemptOutcome.GOOD.value))
    made = {row.encoder: row.made for row in good}
    leased = select(cards.c.encoder, cards.c.crn).where(cards.c.lease_until.is_not(None)).order_by(cards.c.id)
    for row in connection.execute(leased):
        hands.setdefault(row.encoder, []).append(row.crn)
    return [
        EncoderView(
            machine=rows.machine(row),
            host=row.host,
            reason=row.reason,
            hold=rows.line_hold(row),
            strikes=row.strikes,
            started_at=row.started_at,
            seen_at=row.seen_at,
            in_hand=tuple(hands.get(row.name, ())),
            made=made.get(row.name, 0),
            left=left.get(EncoderId(row.name), {}),
            stock_changes=row.stock_changes,
            listening=tuple(Pool(name) for name in row.listening),
            speed=_speed(connection, row.name),
        )
        for row in connection.execute(select(encoders).order_by(encoders.c.name))
    ]


def _speed(connection: Connection, encoder: str) -> Speed | None:
    good = (attempts.c.encoder == encoder) & (attempts.c.outcome == AttemptOutcome.GOOD.value)
    last = select(attempts).where(good, attempts.c.octets > 0).order_by(attempts.c.id.desc()).limit(lines_of.LAST)
    return average([found for row in connection.execute(last) if (found := rows.speed(row))])


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What an encoder would take next: its job, its stock, and how many cards the job still has to make."""

    job: JobId
    stock: str
    left: int


def next_work(connection: Connection, encoder: EncoderId, now: datetime) -> Work | None:
    """Return what *encoder* would claim at *now*; None where its line is held or nothing fits. Raises NotFoundError."""
    line = lines_of.line(connection, encoder)
    choice = queue.choose(connection, line, now) if line.machine.state is EncoderState.OPEN else None
    if choice is None:
        return None
    ready = (cards.c.job_id == choice.lot.job) & (cards.c.state == CardState.READY.value)
    left = connection.execute(select(func.count()).where(ready)).scalar_one()
    return Work(job=choice.lot.job, stock=choice.lot.stock, left=left)


def open_work(connection: Connection) -> dict[Pool, int]:
    """Return the open encoders of each pool that has a card to make."""
    ready = queue.open_lots(connection)
    machines = [each for each in lines_of.machines(connection) if each.state is EncoderState.OPEN]
    able = [machine for machine in machines if any(scheduling.fits(lot, machine) for lot in ready)]
    return dict(Counter(scheduling.pool(machine) for machine in able))
