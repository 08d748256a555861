"""What an encoder's worker does in its parent process: listen where its line says, and stop when told to.

The parent receives messages and the child encodes; one byte of memory that both share tells the child to take no new card.
"""

import mmap
from typing import Any

from celery import signals
from celery.worker.consumer import Consumer
from celery.worker.request import Request

from workers.app import POOL

_stop = mmap.mmap(-1, 1)


def stopping() -> bool:
    """Return whether this worker is shutting down."""
    return bool(_stop[0])


@signals.worker_shutting_down.connect
def stop(**_signal: Any) -> None:
    """Let the child finish the card in hand and take no other."""
    _stop[0] = 1


@signals.task_received.connect
def listen(sender: Consumer, request: Request, **_signal: Any) -> None:
    """Make the worker's pool queues those that a line message names: an open line's pools, none for a held one."""
    if request.name != "workers.tasks.line":
        return
    wanted = {POOL + pool for pool in request.args[1]}
    consuming = {queue.name for queue in sender.task_consumer.queues if queue.name.startswith(POOL)}
    for queue in wanted - consuming:
        sender.add_task_queue(queue)
    for queue in consuming - wanted:
        sender.cancel_task_queue(queue)
