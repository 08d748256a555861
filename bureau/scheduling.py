"""Which card next: what an encoder can make, what matters most, and why a lot waits."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import takewhile
from typing import Final

from bureau.models import EncoderId, EncoderState, Environment, Hold, JobId, LotId, Pool, Preference
from hardware.keystores import Mode
from hardware.perso.order import UniqueID
from hardware.trace.speed import T0, T1

PACE: Final = timedelta(seconds=10)
"""What a card is taken to need on encoders that have made none yet."""
EASED: Final = 0.8
"""A late lot stays late until its work fits into this share of the time left, or stocks would change back and forth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One encoder as it is set up: its card product with the profiles that it meets, the stocks that it holds, its mode.

    *interpreters* are the script interpreters that it supports, by type and version.
    """

    encoder: EncoderId
    product: str
    profiles: tuple[UniqueID, ...]
    environment: str
    version: str
    stocks: tuple[str, ...]
    mode: Mode
    protocols: tuple[str, ...] = (T0, T1)
    interpreters: tuple[tuple[str, str], ...] = ()
    state: EncoderState = EncoderState.HELD
    empty: tuple[str, ...] = ()
    """Those of its stocks that are used up by the book."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLot:
    """What a lot with cards to make asks of an encoder.

    *protocols*: those that will do, any if none; *late*: its work doesn't fit before its date any more; *article*: a person
    has yet to approve its first article, so that its cards are made one at a time.
    """

    job: JobId
    lot: LotId
    priority: int
    due: datetime | None
    environment: Environment
    stock: str
    profiles: tuple[UniqueID, ...]
    mode: Mode
    records: int = 0
    protocols: tuple[str, ...] = ()
    late: bool = False
    article: bool = False


@dataclass(frozen=True, slots=True)
class Last:
    """What an encoder made its last card for."""

    lot: LotId
    stock: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One encoder as it stands: *reason* is why it is held or what it waits for, *pace* the mean that its cards took.

    *host* is where its worker runs or ran, empty after it was stopped; *seen_at* its last sign of life.
    *hold* says by whom and since when it is held.
    """

    machine: Machine
    reason: str | None
    last: Last | None
    pace: timedelta | None
    host: str
    seen_at: datetime
    hold: Hold | None = None


_NEVER: Final = datetime.max.replace(tzinfo=UTC)


def needs_interpreter(lot: OpenLot) -> bool:
    """Return whether *lot* waits for a script interpreter: it names one and doesn't say that it doesn't care."""
    interpreter = lot.environment.interpreter
    return interpreter is not None and interpreter.support is not Preference.ANY


def _interpreter_fits(lot: OpenLot, machine: Machine) -> bool:
    wanted = lot.environment.interpreter
    if wanted is None or wanted.support is Preference.ANY:
        return True
    exactly = wanted.support is Preference.MANDATORY and wanted.version
    return any(
        (not wanted.type or kind == wanted.type) and (not exactly or version == wanted.version)
        for kind, version in machine.interpreters
    )


def _environment_fits(lot: OpenLot, machine: Machine) -> bool:
    wanted = lot.environment
    if wanted.preference is Preference.MANDATORY:
        return (machine.environment, machine.version) == (wanted.name, wanted.version)
    return wanted.preference is Preference.ANY or machine.environment == wanted.name


def _wanted_environment(lot: OpenLot) -> str:
    wanted = lot.environment
    return f"{wanted.name} {wanted.version}" if wanted.preference is Preference.MANDATORY else wanted.name


def _wanted_interpreter(lot: OpenLot) -> str:
    wanted = lot.environment.interpreter
    return (f"{wanted.type} {wanted.version}".strip() if wanted else "") or "any kind"


def _fits(lot: OpenLot, machine: Machine) -> tuple[bool, ...]:
    return (
        _interpreter_fits(lot, machine),
        lot.stock in machine.stocks and lot.stock not in machine.empty,
        _environment_fits(lot, machine),
        not set(machine.profiles).isdisjoint(lot.profiles),
        not lot.protocols or not set(machine.protocols).isdisjoint(lot.protocols),
        machine.mode is lot.mode,
    )


def fits(lot: OpenLot, machine: Machine) -> bool:
    """Return whether *machine* can make cards of *lot*; whether its line is open doesn't count."""
    return all(_fits(lot, machine))


def obstacles(lot: OpenLot, machine: Machine) -> tuple[str, ...]:
    """Return everything that keeps *machine* from making cards of *lot*, each as what *machine* is or does."""
    reasons = (
        f"has no interpreter for {_wanted_interpreter(lot)}",
        f"has no blank of {lot.stock} left: `bureau stock load {machine.encoder} {lot.stock} COUNT`"
        if lot.stock in machine.empty
        else f"holds {' and '.join(machine.stocks) or 'no stock'}, not {lot.stock}",
        f"is {machine.environment} {machine.version}, not {_wanted_environment(lot)}",
        "has a card product that meets none of the lot's card profiles",
        f"can {' and '.join(machine.protocols)}, not {' or '.join(lot.protocols)}",
        f"is {machine.mode}, the job {lot.mode}",
    )
    return tuple(reason for reason, fits in zip(reasons, _fits(lot, machine), strict=True) if not fits)


def _rank(lot: OpenLot, last: Last | None) -> tuple[int, bool, datetime, bool, bool, JobId, LotId]:
    moved = last is None or lot.lot != last.lot
    return (lot.priority, not lot.late, lot.due or _NEVER, moved, last is None or lot.stock != last.stock, lot.job, lot.lot)


def ranked(lots: Iterable[OpenLot], machine: Machine, last: Last | None = None) -> list[OpenLot]:
    """Return the lots that *machine* can make, the most urgent first.

    Priority, then late ones, then due date; among equals the lot and the stock of its *last* card, then who arrived first.
    """
    return sorted((lot for lot in lots if fits(lot, machine)), key=lambda lot: _rank(lot, last))


def before(first: OpenLot, second: OpenLot, last: Last | None = None) -> str:
    """Return why *first* goes before *second* on an encoder whose last card was for *last*."""
    same = zip(_rank(first, last), _rank(second, last), strict=True)
    deciding = len(list(takewhile(lambda pair: pair[0] == pair[1], same)))
    return (
        f"priority {first.priority} before {second.priority}",
        "late",
        "due earlier",
        "under way here",
        f"{first.stock} is under way here",
        "arrived earlier",
        "earlier in its job",
    )[deciding]


def room(lot: OpenLot, lines: Iterable[Line], now: datetime) -> int | None:
    """Return how many cards of *lot* the open ones of *lines* make before its date; None where it has no date.

    A lot that is late already is given less room, and one that nobody can make now as much as one encoder gives.
    """
    if lot.due is None:
        return None
    able = [line for line in lines if line.machine.state is EncoderState.OPEN and fits(lot, line.machine)]
    known = [line.pace for line in able if line.pace]
    pace = sum(known, timedelta()) / len(known) if known else PACE
    left = (lot.due - now) * (EASED if lot.late else 1.0)
    return max(0, left * max(1, len(able)) // pace)


def surely_fits(lot: OpenLot, slowest: timedelta, now: datetime) -> bool:
    """Return whether all cards of *lot* fit before its date even on one encoder, the slowest: room() need not be asked."""
    return lot.due is None or (lot.due - now) * EASED >= max(slowest, PACE) * lot.records


def waits(lot: OpenLot, machines: Sequence[Machine]) -> str | None:
    """Return why no machine at all will take *lot*, or None when an open one can."""
    interpreter = f"waits for an interpreter: {_wanted_interpreter(lot)}"
    if not machines:
        return interpreter if needs_interpreter(lot) else "there is no encoder"
    fit = list(machines)
    for index, reason in enumerate(
        (
            interpreter,
            f"stock {lot.stock} not loaded anywhere",
            f"no encoder with {lot.stock} is of environment {_wanted_environment(lot)}",
            f"no encoder that fits meets card profile {' or '.join(lot.profiles) or '(the lot names none)'}",
            f"no open encoder can {' or '.join(lot.protocols)}",
            f"no encoder that fits is {lot.mode}",
        )
    ):
        fit = [machine for machine in fit if _fits(lot, machine)[index]]
        if not fit:
            return reason
    if any(machine.state is EncoderState.OPEN for machine in fit):
        return None
    states = " or ".join(sorted({machine.state for machine in fit}))
    return f"all encoders that fit are {states}: {', '.join(sorted(machine.encoder for machine in fit))}"


def pool(machine: Machine) -> Pool:
    """Return the name of the pool of *machine*: encoders that take the same lots; letters, digits, dots and hyphens."""
    told = (machine.product, *sorted(machine.stocks), machine.mode)
    can = (*machine.protocols, *(part for each in sorted(machine.interpreters) for part in each))
    whole = (*told, machine.environment, machine.version, *sorted(machine.profiles), *can)
    mark = sha256("\0".join(f"{len(part)}:{part}" for part in whole).encode()).hexdigest()[:8]
    return Pool(".".join(("pool", *(re.sub(r"[^A-Za-z0-9-]+", "-", part)[:40] for part in told), mark)))
