"""Encoders as the ledger knows them: how they are set up, whether their line is open, and what they did wrong."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, case, cast, insert, select, update

from bureau.errors import NotFoundError
from bureau.ledger import book, rows
from bureau.ledger.ledger import Ledger, Transaction
from bureau.ledger.rows import AnyRow
from bureau.ledger.schema import attempts, encoders
from bureau.models import AttemptOutcome, EncoderId, EncoderState, Pool
from bureau.scheduling import Line, Machine
from hardware.trace.speed import Speed

STRIKES: Final = 3
"""So many cards in a row whose keys didn't fit hold the encoder."""
LAST: Final = 20
"""Good cards that an encoder's speed is the mean of."""
_IS_OPEN: Final = encoders.c.state == EncoderState.OPEN.value
_LINE: Final = select(encoders).where(encoders.c.name == bindparam("encoder"))
_REASON: Final = select(encoders.c.reason).where(encoders.c.name == bindparam("encoder"), _IS_OPEN)
_TOOK: Final = bindparam("took", type_=encoders.c.pace.type)
_PACE: Final = (
    update(encoders)
    .where(encoders.c.name == bindparam("encoder"))
    .values(
        pace=cast(
            case((encoders.c.pace.is_(None), _TOOK), else_=encoders.c.pace + (_TOOK - encoders.c.pace) / LAST),
            encoders.c.pace.type,
        ),
        strikes=0,
    )
)
_FORGIVE: Final = update(encoders).where(encoders.c.name == bindparam("encoder"), encoders.c.strikes > 0).values(strikes=0)


def machine(connection: Connection, encoder: EncoderId) -> Machine:
    """Return how *encoder* is set up and whether its line is open; raises NotFoundError."""
    return line(connection, encoder).machine


def line(connection: Connection, encoder: EncoderId) -> Line:
    """Return how *encoder* stands; raises NotFoundError."""
    row = connection.execute(_LINE, {"encoder": encoder}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no encoder {encoder}", "See `bureau encoders`.")
    return _line(row, book.used_up(connection, encoder))


def _line(row: AnyRow, empty: tuple[str, ...]) -> Line:
    found = rows.line(row)
    return replace(found, machine=replace(found.machine, empty=empty)) if empty else found


def machines(connection: Connection) -> list[Machine]:
    """Return how every encoder that ever started is set up, by name."""
    return [line.machine for line in lines(connection)]


def lines(connection: Connection) -> list[Line]:
    """Return every encoder that ever started, by name."""
    left = book.left(connection)
    return [
        _line(row, tuple(stock for stock, count in left.get(row.name, {}).items() if not count))
        for row in connection.execute(select(encoders).order_by(encoders.c.name))
    ]


def start(ledger: Ledger, machine: Machine, now: datetime, host: str = "") -> None:
    """Log that a worker started on *host* with *machine* as set up; its line is held until a person opens it."""
    values = {
        "product": machine.product,
        "profiles": list(machine.profiles),
        "environment": machine.environment,
        "version": machine.version,
        "stocks": list(machine.stocks),
        "mode": machine.mode.value,
        "protocols": list(machine.protocols),
        "interpreters": list(machine.interpreters),
        "state": EncoderState.HELD.value,
        "reason": "started",
        "held_by": machine.encoder,
        "held_at": now,
        "strikes": 0,
        "listening": [],
        "started_at": now,
        "seen_at": now,
        "lost_at": None,
        "host": host,
    }
    with ledger.write(machine.encoder, now) as tx:
        known = update(encoders).where(encoders.c.name == machine.encoder).values(values)
        if not tx.connection.execute(known).rowcount:
            tx.connection.execute(insert(encoders).values(name=machine.encoder, **values))
        tx.record("start", f"encoder {machine.encoder}", product=machine.product, stocks=", ".join(machine.stocks))


def is_open(connection: Connection, encoder: EncoderId) -> bool:
    """Return whether the line of *encoder* is open; raises NotFoundError."""
    return machine(connection, encoder).state is EncoderState.OPEN


def plastic(connection: Connection, encoder: EncoderId, position: int) -> AttemptOutcome | None:
    """Return what became of plastic number *position* of *encoder*; None if nothing was written to it."""
    this = (attempts.c.encoder == encoder) & (attempts.c.position == position)
    found = select(attempts.c.outcome).where(this).order_by(attempts.c.id.desc()).limit(1)
    outcome = connection.execute(found).scalar_one_or_none()
    return None if outcome in (None, AttemptOutcome.RETURNED) else AttemptOutcome(outcome)


def listens(ledger: Ledger, encoder: EncoderId, pools: Sequence[Pool], now: datetime) -> None:
    """Write down which pools the worker of *encoder* listens to, a sign of life too; not audited."""
    with ledger.write(encoder, now, alone=False) as tx:
        heard = {"listening": list(pools), "seen_at": now}
        tx.connection.execute(update(encoders).where(encoders.c.name == encoder).values(heard))


def seen(ledger: Ledger, names: Collection[EncoderId], host: str, now: datetime) -> None:
    """Write down a sign of life of those of *names* that run on *host*; only that a lost one is found again is audited."""
    with ledger.write(f"host {host}", now, alone=False) as tx:
        these = encoders.c.name.in_(names) & (encoders.c.host == host)
        lost = select(encoders.c.name).where(these, encoders.c.lost_at.is_not(None)).order_by(encoders.c.name)
        for name in tx.connection.execute(lost).scalars().all():
            tx.record("found", f"encoder {name}", host=host)
        tx.connection.execute(update(encoders).where(these).values(seen_at=now, lost_at=None))


def lose(ledger: Ledger, heard: Mapping[EncoderId, datetime], actor: str, now: datetime) -> tuple[EncoderId, ...]:
    """Write down which open lines are lost, of those that gave no sign since *heard*; return which weren't before."""
    lost = []
    with ledger.write(actor, now) as tx:
        for name, seen_at in sorted(heard.items()):
            silent = (encoders.c.name == name) & (encoders.c.seen_at == seen_at) & encoders.c.lost_at.is_(None)
            row = tx.connection.execute(select(encoders.c.host).where(silent, _IS_OPEN)).one_or_none()
            if row is not None:
                tx.connection.execute(update(encoders).where(encoders.c.name == name).values(lost_at=now))
                tx.record("lost", f"encoder {name}", host=row.host, heard=seen_at.isoformat())
                lost.append(name)
    return tuple(lost)


def left(ledger: Ledger, names: Collection[EncoderId], host: str, now: datetime) -> None:
    """Write down that the workers of *names* were stopped, so that another host may run such encoders; not audited."""
    with ledger.write(f"host {host}", now, alone=False) as tx:
        these = encoders.c.name.in_(names) & (encoders.c.host == host)
        tx.connection.execute(update(encoders).where(these).values(host="", lost_at=None))


def awaits(ledger: Ledger, encoder: EncoderId, reason: str | None, now: datetime) -> bool:
    """Write down what an open *encoder* waits for, None for nothing; return whether that is news. Not audited."""
    with ledger.read() as connection:
        known = connection.execute(_REASON, {"encoder": encoder}).one_or_none()
    if known is None or known.reason == reason:
        return False
    this = (encoders.c.name == encoder) & _IS_OPEN
    with ledger.write(encoder, now, alone=False) as tx:
        tx.connection.execute(update(encoders).where(this).values(reason=reason))
    return True


def open_line(ledger: Ledger, encoder: EncoderId, actor: str, now: datetime) -> None:
    """Let *encoder* take cards; its strikes are forgotten. Raises NotFoundError."""
    with ledger.write(actor, now) as tx:
        machine(tx.connection, encoder)
        opened = {"state": EncoderState.OPEN.value, "reason": None, "held_by": None, "held_at": None, "strikes": 0}
        tx.connection.execute(update(encoders).where(encoders.c.name == encoder).values(opened))
        tx.record("open", f"encoder {encoder}")


def hold(ledger: Ledger, encoder: EncoderId, reason: str, actor: str, now: datetime) -> None:
    """Let *encoder* take no more cards; the one in hand is finished. Raises NotFoundError."""
    with ledger.write(actor, now) as tx:
        hold_in(tx, encoder, reason)


def strike(ledger: Ledger, encoder: EncoderId, cause: str, now: datetime) -> None:
    """Count a card that went wrong; the third in a row holds *encoder*. Raises NotFoundError."""
    with ledger.write(encoder, now) as tx:
        strike_in(tx, encoder, cause)


def hold_in(tx: Transaction, encoder: EncoderId, reason: str) -> None:
    """Hold *encoder* as part of another change; raises NotFoundError."""
    machine(tx.connection, encoder)
    held = {"state": EncoderState.HELD.value, "reason": reason, "held_by": tx.actor, "held_at": tx.at}
    tx.connection.execute(update(encoders).where(encoders.c.name == encoder).values(held))
    tx.record("hold", f"encoder {encoder}", reason=reason)


def strike_in(tx: Transaction, encoder: EncoderId, cause: str) -> None:
    """Count a strike as part of another change; raises NotFoundError."""
    machine(tx.connection, encoder)
    this = encoders.c.name == encoder
    tx.connection.execute(update(encoders).where(this).values(strikes=encoders.c.strikes + 1))
    strikes = tx.connection.execute(select(encoders.c.strikes).where(this)).scalar_one()
    tx.record("strike", f"encoder {encoder}", cause=cause, strikes=strikes)
    if strikes >= STRIKES:
        hold_in(tx, encoder, f"{strikes} cards in a row: {cause}")


def pace_in(tx: Transaction, encoder: EncoderId, speed: Speed) -> None:
    """Let what a good card took count towards the pace of *encoder*, a running mean, and forget its strikes."""
    tx.connection.execute(_PACE, {"encoder": encoder, "took": speed.card + speed.host})


def forgive_in(tx: Transaction, encoder: EncoderId) -> None:
    """Forget the strikes of *encoder*: a card is good, or at least its keys fitted."""
    tx.connection.execute(_FORGIVE, {"encoder": encoder})
