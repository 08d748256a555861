"""A stint: one encoder makes card after card while it finds any."""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from bureau.errors import BureauError, FenceError, UnavailableError
from bureau.ledger import claims, encoders, floor, reaping
from bureau.models import AttemptOutcome, BatchId, Cause, EncoderId
from bureau.service import encode, hosts
from bureau.service.plant import EncoderConfig, Plant
from hardware.encoders import Encoder, Tray, encoder
from hardware.errors import EncoderBusy, HardwareError, KeyStoreError

log = structlog.get_logger(__name__)

BUSY_SECONDS: Final = 0.1
"""How long to wait before asking again for a machine that another process drives."""
AWAIT_SECONDS: Final = 1.0
"""How long a machine is left to wait for a reader or a person before anything else is looked at."""
LEAST_FREE: Final = 1 << 30
"""Bytes of disk under which nothing new is claimed."""


def start(plant: Plant, name: EncoderId, stopping: Callable[[], bool] = lambda: False) -> Encoder:
    """Start the machine of encoder *name* and clear its station of what a crash left there.

    A process that still drives it has as long as a lease to finish its card, unless *stopping*. Whoever drives the machine
    drives it alone, so a lease that its last process held is dead, whatever its end. Raises BureauError, ValueError,
    HardwareError.
    """
    machine = _alone(plant, name, stopping)
    reaping.reap(plant.ledger, plant.clock(), encoder=name)
    _clear(plant, machine, name)
    return machine


def _alone(plant: Plant, name: EncoderId, stopping: Callable[[], bool]) -> Encoder:
    config = plant.encoder(name)
    kind, until = encoder(config.kind), time.monotonic() + plant.settings.lease.total_seconds()
    while True:
        try:
            return kind.start(name, config.options, plant.settings.worlds)
        except EncoderBusy:
            if stopping() or time.monotonic() > until:
                raise
            time.sleep(BUSY_SECONDS)


def _tray(plant: Plant, name: EncoderId, position: int) -> Tray:
    with plant.ledger.read() as connection:
        outcome = encoders.plastic(connection, name, position)
    if outcome is AttemptOutcome.GOOD:
        return Tray.GOOD
    return Tray.REJECT if outcome else Tray.RETURNED


def stint(
    plant: Plant,
    machine: Encoder,
    name: EncoderId,
    *,
    stopping: Callable[[], bool] = lambda: False,
    closed: Callable[[BatchId], None] = lambda _batch: None,
) -> int:
    """Encode cards on *machine* until it finds none, its time is up or *stopping* says so; returns how many were claimed.

    Called twice, no card is made twice: the ledger gives each to one encoder. A ledger that doesn't answer ends it. *closed*
    is told of a batch whose last lot has closed: its audit trail is due.
    """
    config, claimed = plant.encoder(name), 0
    until = time.monotonic() + plant.settings.stint.total_seconds()
    try:
        while _is_ready(plant, machine, name, lambda: stopping() or time.monotonic() > until):
            loaded = [stock for stock, blanks in machine.blanks().items() if blanks]
            claim = claims.claim(
                plant.ledger, name, plant.clock(), plant.settings.lease, stocks=loaded, host=plant.settings.host
            )
            if claim is None:
                break
            claimed += 1
            batch = _one(plant, config, machine, claim)
            if batch is not None:
                closed(batch)
    except UnavailableError as fault:
        log.error("ledger_unavailable", encoder=name, cause=str(fault))
    except HardwareError as fault:
        log.error("machine_failed", encoder=name, cause=str(fault))
        encoders.strike(plant.ledger, name, str(fault), plant.clock())
    return claimed


def _clear(plant: Plant, machine: Encoder, name: EncoderId) -> None:
    """Send a card that was left in the station, because the ledger didn't answer, where the ledger says by now."""
    if (position := machine.station()) is not None:
        with plant.ledger.read() as connection:
            mine = not hosts.is_elsewhere(plant, encoders.line(connection, name))
        if mine:
            reaping.reap(plant.ledger, plant.clock(), encoder=name)
        machine.eject(_tray(plant, name, position) if mine else Tray.REJECT)
        log.warning("station_cleared", encoder=name, position=position)


def _is_ready(plant: Plant, machine: Encoder, name: EncoderId, over: Callable[[], bool]) -> bool:
    """Return whether a card may be claimed now; while there is work, wait for what the machine waits for."""
    while not over() and _may_claim(plant, machine, name):
        if (reason := machine.awaits(0)) is None:
            encoders.awaits(plant.ledger, name, None, plant.clock())
            return _has_blanks(plant, machine, name)
        with plant.ledger.read() as connection:
            work = floor.next_work(connection, name, plant.clock())
        told = f"{reason} ({work.left} left of job {work.job})" if work else None
        if encoders.awaits(plant.ledger, name, told, plant.clock()) and told:
            log.info("machine_waits", encoder=name, cause=told)
        if work is None:
            break
        machine.awaits(AWAIT_SECONDS)
    return False


def _may_claim(plant: Plant, machine: Encoder, name: EncoderId) -> bool:
    free = shutil.disk_usage(plant.settings.home).free
    if free < LEAST_FREE:
        log.error("disk_full", encoder=name, cause=f"{free >> 20} MB are free under BUREAU_HOME and 1024 are needed")
        return False
    _clear(plant, machine, name)
    return True


def _has_blanks(plant: Plant, machine: Encoder, name: EncoderId) -> bool:
    if not any(machine.blanks().values()):
        with plant.ledger.read() as connection:
            is_open = encoders.is_open(connection, name)
        if is_open:
            encoders.hold(plant.ledger, name, "the hoppers are empty", name, plant.clock())
        return False
    return True


def _one(plant: Plant, config: EncoderConfig, machine: Encoder, claim: claims.Claim) -> BatchId | None:
    """Make one claimed card; a record that can't be prepared draws no plastic, a key store that fails holds the encoder."""
    try:
        work = encode.prepare(plant, plant.products[config.machine.product], claim)
    except UnavailableError:
        with suppress(BureauError):
            claims.unclaim(plant.ledger, claim, plant.clock())
        raise
    except (BureauError, HardwareError, ValueError) as fault:
        log.error("record_not_prepared", card=claim.card, cause=str(fault))
        code = Cause.KEY if isinstance(fault, KeyStoreError) else Cause.DATA
        with suppress(FenceError):
            claims.unclaim(plant.ledger, claim, plant.clock(), fault=str(fault), code=code)
        if isinstance(fault, KeyStoreError):
            encoders.hold(plant.ledger, claim.encoder, str(fault), claim.encoder, plant.clock())
        return None
    return encode.encode(plant, machine, claim, work).closed
