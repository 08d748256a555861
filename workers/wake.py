"""Messages to the workers, sent by name so that a command need not load what they do.

A broker that doesn't answer is no error: the ledger knows what there is to do, and feed looks there again and again.
"""

from collections.abc import Callable, Sequence
from typing import Final

import structlog
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from bureau.models import BatchId, EncoderId, Pool
from workers.app import FIRST, WORK, app
from workers.queues import LINE, OFFICE

log = structlog.get_logger(__name__)

ENOUGH: Final = 2
"""Wake-ups for each encoder that may wait in a queue: more would tell nobody anything."""


def pool(name: Pool, encoders: int) -> None:
    """Tell a pool of so many open encoders that it has work, as far as its queue doesn't say so already."""

    def wake(connection: Connection) -> None:
        for _ in range(_waiting(connection, name), ENOUGH * encoders):
            _send(connection, "stint", (name,), name, WORK)

    _try(wake)


def line(encoder: EncoderId, pools: Sequence[Pool]) -> None:
    """Tell an encoder's worker which pools to listen to."""
    queue = LINE + encoder

    def tell(connection: Connection) -> None:
        if _waiting(connection, queue) < ENOUGH:
            _send(connection, "line", (encoder, list(pools)), queue, FIRST)

    _try(tell)


def closed(batch: BatchId) -> None:
    """Tell the office that a batch has closed: its audit trail is due."""
    log.info("batch_closed", batch=batch)
    _try(lambda connection: _send(connection, "purge", (), OFFICE, WORK))


def answers() -> bool:
    """Return whether there is a broker that answers."""
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=2)
            connection.default_channel.client.ping()
    except (OperationalError, *app.connection_for_write().connection_errors):
        return False
    return True


def _try(send: Callable[[Connection], None]) -> None:
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=2)
            send(connection)
    except (OperationalError, *app.connection_for_write().connection_errors) as silent:
        log.warning("broker_silent", cause=type(silent).__name__)


def _send(connection: Connection, task: str, args: Sequence[object], queue: str, priority: int) -> None:
    app.send_task(f"workers.tasks.{task}", args=args, queue=queue, priority=priority, connection=connection, retry=False)


def _waiting(connection: Connection, queue: str) -> int:
    bound = app.amqp.queues[queue].bind(connection.default_channel)
    count: int = bound.queue_declare().message_count
    return count
