"""What messages make happen: stints on encoders; feed, reap and purge in the office.

A message carries ids only and means "look at the ledger": losing or doubling one is harmless.
"""

import os
from collections.abc import Sequence
from functools import cache

import structlog
from celery import signals

from bureau.ledger import encoders, reaping
from bureau.models import EncoderId
from bureau.service import alerts, hosts, operate, report
from bureau.service import stint as stints
from config import logging
from workers import lines, process, wake
from workers.app import app
from workers.station import machine, plant

log = structlog.get_logger(__name__)


@signals.setup_logging.connect
def set_up_logging(**_signal: object) -> None:
    """Log through structlog, whose fields are on an allow-list, instead of in Celery's own format."""
    logging.configure()
    logging.route()


@cache
def watch() -> hosts.Watch:
    """Return this process's own watch over the other hosts."""
    return hosts.Watch()


@app.task
def stint(pool: str) -> None:
    """Encode cards on this worker's encoder until it finds none or its time is up; delivered twice, none is made twice."""
    name = EncoderId(plant().settings.encoder or "")
    with process.outliving(lines.parent()):
        claimed = stints.stint(plant(), machine(name), name, stopping=lines.stopping, closed=wake.closed)
    if claimed:
        log.info("stint_ended", pool=pool, cards=claimed)
    if claimed and not lines.stopping():
        operate.wake_pools(plant(), wake.pool)


@signals.task_failure.connect(sender=stint)
def hold(exception: BaseException, **_signal: object) -> None:
    """Hold an encoder whose stint failed in a way that nobody foresaw: the next card would fare no better.

    Celery tells of a child that died in the parent, which must not open the ledger; it says nothing about the software.
    """
    name = plant().settings.encoder
    if name is not None and lines.started() and os.getpid() != lines.parent():
        reason = f"the software failed: {type(exception).__name__}; see log/{name}.log"
        encoders.hold(plant().ledger, EncoderId(name), reason, name, plant().clock())


@app.task
def line(encoder: str, pools: Sequence[str]) -> None:  # noqa: ARG001 - the parent reads the pools as the message arrives
    """Confirm in the ledger which pools this worker's parent listens to: it changed over on receiving this message."""
    encoders.listens(plant().ledger, EncoderId(encoder), lines.listening(), plant().clock())


@app.task
def feed() -> None:
    """Tell lines where to listen and wake pools that have work: beat repairs whatever a lost message left undone."""
    operate.tell_lines(plant(), wake.line)
    operate.wake_pools(plant(), wake.pool)


@app.task
def reap() -> None:
    """Take back dead leases, and notice lines whose host has fallen silent."""
    for reaped in reaping.reap(plant().ledger, plant().clock()):
        log.warning("lease_reaped", card=reaped.card, encoder=reaped.encoder, state=reaped.now)
    for name in watch().look(plant()):
        log.error("encoder_lost", encoder=name)
    operate.tell_lines(plant(), wake.line)


@app.task
def alert() -> None:
    """Run the plant's command for what was held, failed or is late since the last time."""
    with plant().ledger.sole("alert") as mine:
        if mine:
            alerts.alert(plant())


@app.task
def purge() -> None:
    """Write the audit trails that are due and forget cardholders whose trail is written."""
    with plant().ledger.sole("purge") as mine:
        for failed in report.finish_due(plant()) if mine else ():
            log.error("trail_not_written", cause=str(failed))
