"""The floor: encoders as a person watches them, and the pools that have work."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, select

from bureau import scheduling
from bureau.ledger import rows
from bureau.ledger.claims import open_lots
from bureau.ledger.encoders import machine as machine_of
from bureau.ledger.schema import attempts, cards, encoders
from bureau.models import AttemptOutcome, CardState, EncoderId, EncoderState, JobId, Pool
from bureau.scheduling import Machine
from hardware.trace.speed import Speed, average

LAST: Final = 20
"""Good cards that an encoder's speed is the mean of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderView:
    """One encoder; *reason* says why its line is held, or what it waits for.

    *in_hand* names the records that it holds a lease on.
    """

    machine: Machine
    reason: str | None
    strikes: int
    started_at: datetime
    seen_at: datetime
    in_hand: tuple[str, ...]
    made: int
    """Good cards that it has made."""
    listening: tuple[Pool, ...]
    """The pools that its worker has said to listen to."""
    speed: Speed | None
    """The mean of its last good cards."""


def list_encoders(connection: Connection) -> list[EncoderView]:
    """Return every encoder that ever started, by name."""
    hands: dict[str, list[str]] = {}
    of_encoder = select(attempts.c.encoder, func.count().label("made")).group_by(attempts.c.encoder)
    good = connection.execute(of_encoder.where(attempts.c.outcome == AttemptOutcome.GOOD.value))
    made = {row.encoder: row.made for row in good}
    leased = select(cards.c.encoder, cards.c.crn).where(cards.c.lease_until.is_not(None)).order_by(cards.c.id)
    for row in connection.execute(leased):
        hands.setdefault(row.encoder, []).append(row.crn)
    return [
        EncoderView(
            machine=rows.machine(row),
            reason=row.reason,
            strikes=row.strikes,
            started_at=row.started_at,
            seen_at=row.seen_at,
            in_hand=tuple(hands.get(row.name, ())),
            made=made.get(row.name, 0),
            listening=tuple(Pool(name) for name in row.listening),
            speed=_speed(connection, row.name),
        )
        for row in connection.execute(select(encoders).order_by(encoders.c.name))
    ]


def _speed(connection: Connection, encoder: str) -> Speed | None:
    good = (attempts.c.encoder == encoder) & (attempts.c.outcome == AttemptOutcome.GOOD.value)
    last = select(attempts).where(good, attempts.c.octets > 0).order_by(attempts.c.id.desc()).limit(LAST)
    return average([found for row in connection.execute(last) if (found := rows.speed(row))])


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What an encoder would take next: its job, its stock, and how many cards the job still has to make."""

    job: JobId
    stock: str
    left: int


def next_work(connection: Connection, encoder: EncoderId) -> Work | None:
    """Return what *encoder* would claim now; None where its line is held or nothing fits. Raises NotFoundError."""
    machine = machine_of(connection, encoder)
    best = scheduling.ranked(open_lots(connection), machine) if machine.state is EncoderState.OPEN else []
    if not best:
        return None
    ready = (cards.c.job_id == best[0].job) & (cards.c.state == CardState.READY.value)
    left = connection.execute(select(func.count()).where(ready)).scalar_one()
    return Work(job=best[0].job, stock=best[0].stock, left=left)


def open_work(connection: Connection) -> dict[Pool, int]:
    """Return the open encoders of each pool that has a card to make."""
    ready = open_lots(connection)
    opened = select(encoders).where(encoders.c.state == EncoderState.OPEN.value).order_by(encoders.c.name)
    machines = [rows.machine(row) for row in connection.execute(opened)]
    able = [machine for machine in machines if any(scheduling.eligible(lot, machine) is None for lot in ready)]
    return dict(Counter(scheduling.pool(machine) for machine in able))
