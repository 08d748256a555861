"""Messages to the workers, sent by name so that a command need not load what they do."""

from collections.abc import Sequence
from typing import Final

from kombu.connection import Connection

from bureau.models import EncoderId, Pool
from workers.app import LINE, POOL, app

ENOUGH: Final = 2
"""Wake-ups for each encoder that may wait in a queue: more would tell nobody anything."""


def pool(name: Pool, encoders: int) -> None:
    """Tell a pool of so many open encoders that it has work, as far as its queue doesn't say so already."""
    queue = POOL + name
    with app.connection_for_write() as connection:
        for _ in range(_waiting(connection, queue), ENOUGH * encoders):
            app.send_task("workers.tasks.stint", args=(name,), queue=queue, connection=connection)


def line(encoder: EncoderId, pools: Sequence[Pool]) -> None:
    """Tell an encoder's worker which pools to listen to."""
    queue = LINE + encoder
    with app.connection_for_write() as connection:
        if _waiting(connection, queue) < ENOUGH:
            app.send_task("workers.tasks.line", args=(encoder, list(pools)), queue=queue, connection=connection)


def _waiting(connection: Connection, queue: str) -> int:
    bound = app.amqp.queues[queue].bind(connection.default_channel)
    count: int = bound.queue_declare().message_count
    return count
