"""What messages make happen: stints on encoders; feed, reap and purge in the office.

A message carries ids only and means "look at the ledger": losing or doubling one is harmless.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import structlog
from celery import signals

from bureau.ledger import encoders, reaping
from bureau.models import EncoderId, Pool
from bureau.service import operate, report
from bureau.service import stint as stints
from bureau.service.plant import Plant
from config import logging, settings
from hardware.encoders import Encoder
from workers import lines, wake
from workers.app import app

log = structlog.get_logger(__name__)


@cache
def plant() -> Plant:
    """Return this process's own Plant; made after the fork."""
    return Plant(settings.current())


@cache
def machine(name: EncoderId) -> Encoder:
    """Return this process's machine, started once; raises BureauError, HardwareError, ValueError."""
    return stints.start(plant(), name)


@signals.setup_logging.connect
def set_up_logging(**_signal: Any) -> None:
    """Log through structlog, whose fields are on an allow-list, instead of Celery's own format."""
    logging.configure()


@signals.worker_init.connect
def log_start(**_signal: Any) -> None:
    """Write down in the parent, before it forks, that an encoder's worker started: its line is held from now on."""
    now = settings.current()
    if now.encoder is None:
        return
    own = Plant(now)
    encoders.start(own.ledger, own.encoder(EncoderId(now.encoder)).machine, own.clock())
    own.ledger.close()


@signals.worker_process_init.connect
def warm_up(**_signal: Any) -> None:
    """Open the key store and the machine before there is a card to make."""
    structlog.contextvars.bind_contextvars(encoder=settings.current().encoder)
    _ = plant().ledger
    if (name := plant().settings.encoder) is not None:
        machine(EncoderId(name))


@app.task
def stint(pool: str) -> None:
    """Encode cards on this worker's encoder until it finds none or its time is up; delivered twice, none is made twice."""
    name = EncoderId(plant().settings.encoder or "")
    log.info("stint_started", pool=pool)
    claimed = stints.stint(plant(), machine(name), name, stopping=lines.stopping, closed=lambda _batch: purge.delay())
    log.info("stint_ended", pool=pool, cards=claimed)
    if claimed and not lines.stopping():
        operate.wake_pools(plant(), wake.pool)


@signals.task_failure.connect(sender=stint)
def hold(exception: BaseException, **_signal: Any) -> None:
    """Hold an encoder whose stint failed in a way that nobody foresaw: the next card would fare no better."""
    name = plant().settings.encoder
    if name is not None:
        reason = f"the software failed: {type(exception).__name__}; see log/{name}.log"
        encoders.hold(plant().ledger, EncoderId(name), reason, "office", plant().clock())


@app.task
def line(encoder: str, pools: Sequence[str]) -> None:
    """Confirm in the ledger that this worker's parent listens to *pools*: it changed over on receiving this message."""
    encoders.listens(plant().ledger, EncoderId(encoder), tuple(map(Pool, pools)), plant().clock())


@app.task
def feed() -> None:
    """Tell lines where to listen and wake pools that have work: beat repairs whatever a lost message left undone."""
    operate.tell_lines(plant(), wake.line)
    operate.wake_pools(plant(), wake.pool)


@app.task
def reap() -> None:
    """Take back dead leases."""
    for reaped in reaping.reap(plant().ledger, plant().clock()):
        log.warning("lease_reaped", card=reaped.card, encoder=reaped.encoder, state=reaped.now)
    operate.tell_lines(plant(), wake.line)


@app.task
def purge() -> None:
    """Write the audit trails that are due and forget cardholders whose trail is written."""
    for failed in report.finish_due(plant()):
        log.error("trail_not_written", cause=str(failed))
