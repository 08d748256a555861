"""What the child of a worker works with: its plant, and its encoder's machine. Nothing here is opened before the fork."""

from functools import cache

import structlog
from celery import signals

from bureau.errors import BureauError
from bureau.ledger import encoders
from bureau.models import EncoderId
from bureau.service import hosts, operate
from bureau.service import stint as stints
from bureau.service.plant import Plant
from config import settings
from hardware.encoders import Encoder
from hardware.errors import HardwareError
from workers import lines, wake
from workers.app import app

log = structlog.get_logger(__name__)


@cache
def plant() -> Plant:
    """Return this process's own Plant."""
    return Plant(settings.current(), app.conf.plant_clock)


@cache
def machine(name: EncoderId) -> Encoder:
    """Return this process's machine, started once; raises BureauError, HardwareError, ValueError, OSError.

    The first child of a worker logs that it started, which holds its line. It is the child's to do, for the parent must not
    open the ledger before it forks.
    """
    own = plant()
    hosts.check(own, [name])
    if not lines.started():
        encoders.start(own.ledger, own.encoder(name).machine, own.clock(), own.settings.host)
        lines.note_start()
        log.info("worker_started")
    return stints.start(own, name, lines.stopping)


@signals.worker_process_init.connect
def warm_up(**_signal: object) -> None:
    """Open the key store and the machine before there is a card to make; one that doesn't start holds its line."""
    own = plant()
    structlog.contextvars.bind_contextvars(encoder=own.settings.encoder)
    _ = own.ledger
    if own.settings.encoder is None:
        return
    name, again = EncoderId(own.settings.encoder), lines.started()
    try:
        machine(name)
    except (BureauError, HardwareError, ValueError, OSError) as fault:
        log.error("machine_not_started", cause=str(fault))
        if lines.started() and not lines.stopping():
            encoders.hold(own.ledger, name, f"the machine doesn't start: {fault}", name, own.clock())
        return
    if again:
        log.warning("child_respawned")
        operate.wake_pools(own, wake.pool)
