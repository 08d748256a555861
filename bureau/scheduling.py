"""Which card next: what an encoder can make, what matters most, and why a lot waits."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from bureau.models import EncoderId, EncoderState, Environment, JobId, LotId, Pool, Preference
from hardware.keystores import Mode
from hardware.perso.order import UniqueID


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One encoder as it is set up: its card product with the profiles that it meets, the stocks that it holds, its mode."""

    encoder: EncoderId
    product: str
    profiles: tuple[UniqueID, ...]
    environment: str
    version: str
    stocks: tuple[str, ...]
    mode: Mode
    state: EncoderState = EncoderState.HELD


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLot:
    """What a lot with cards to make asks of an encoder."""

    job: JobId
    lot: LotId
    priority: int
    due: datetime | None
    environment: Environment
    stock: str
    profiles: tuple[UniqueID, ...]
    mode: Mode


_NEVER: Final = datetime.max.replace(tzinfo=UTC)


def needs_interpreter(lot: OpenLot) -> bool:
    """Return whether *lot* waits for a script interpreter: it names one and doesn't say that it doesn't care."""
    interpreter = lot.environment.interpreter
    return interpreter is not None and interpreter.support is not Preference.ANY


def _environment_fits(lot: OpenLot, machine: Machine) -> bool:
    wanted = lot.environment
    if wanted.preference is Preference.MANDATORY:
        return (machine.environment, machine.version) == (wanted.name, wanted.version)
    return wanted.preference is Preference.ANY or machine.environment == wanted.name


def _wanted_environment(lot: OpenLot) -> str:
    wanted = lot.environment
    return f"{wanted.name} {wanted.version}" if wanted.preference is Preference.MANDATORY else wanted.name


def _fits(lot: OpenLot, machine: Machine) -> tuple[bool, bool, bool, bool]:
    return (
        lot.stock in machine.stocks,
        _environment_fits(lot, machine),
        not set(machine.profiles).isdisjoint(lot.profiles),
        machine.mode is lot.mode,
    )


def eligible(lot: OpenLot, machine: Machine) -> str | None:
    """Return why *machine* can't make cards of *lot*, or None when it can; whether its line is open doesn't count."""
    if needs_interpreter(lot):
        return _interpreter_reason(lot)
    reasons = (
        f"{machine.encoder} holds {' and '.join(machine.stocks)}, not {lot.stock}",
        f"{machine.encoder} is {machine.environment} {machine.version}, not {_wanted_environment(lot)}",
        f"{machine.encoder}'s card product meets none of the lot's card profiles",
        f"{machine.encoder} is {machine.mode}, the job {lot.mode}",
    )
    return next((reason for reason, fits in zip(reasons, _fits(lot, machine), strict=True) if not fits), None)


def ranked(lots: Iterable[OpenLot], machine: Machine) -> list[OpenLot]:
    """Return the lots that *machine* can make, the most urgent first: priority, due date, job number, lot number."""
    able = (lot for lot in lots if eligible(lot, machine) is None)
    return sorted(able, key=lambda lot: (lot.priority, lot.due or _NEVER, lot.job, lot.lot))


def waits(lot: OpenLot, machines: Sequence[Machine]) -> str | None:
    """Return why no machine at all will take *lot*, or None when an open one can."""
    if needs_interpreter(lot):
        return _interpreter_reason(lot)
    if not machines:
        return "there is no encoder"
    fit = list(machines)
    for index, reason in enumerate(
        (
            f"no encoder holds {lot.stock}",
            f"no encoder with {lot.stock} is of environment {_wanted_environment(lot)}",
            f"no encoder that fits meets card profile {' or '.join(lot.profiles) or '(the lot names none)'}",
            f"no encoder that fits is {lot.mode}",
        )
    ):
        fit = [machine for machine in fit if _fits(lot, machine)[index]]
        if not fit:
            return reason
    if any(machine.state is EncoderState.OPEN for machine in fit):
        return None
    return f"all encoders that fit are held: {', '.join(sorted(machine.encoder for machine in fit))}"


def pool(machine: Machine) -> Pool:
    """Return the name of the pool of *machine*: encoders that take the same lots; letters, digits, dots and hyphens."""
    told = (machine.product, *sorted(machine.stocks), machine.mode)
    whole = (*told, machine.environment, machine.version, *sorted(machine.profiles))
    mark = sha256("\0".join(f"{len(part)}:{part}" for part in whole).encode()).hexdigest()[:8]
    return Pool(".".join(("pool", *(re.sub(r"[^A-Za-z0-9-]+", "-", part)[:40] for part in told), mark)))


def _interpreter_reason(lot: OpenLot) -> str:
    interpreter = lot.environment.interpreter
    if interpreter is None:
        return ""
    return f"waits for an interpreter: {f'{interpreter.type} {interpreter.version}'.strip() or 'any kind'}"
