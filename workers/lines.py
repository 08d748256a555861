"""What an encoder's worker does in its parent process: listen where its line says, and stop when told to.

The parent receives messages and the child encodes. A page of memory that both share outlives the child: one byte tells it
to take no new card, one that the worker's start is in the ledger, and the rest which pools the parent listens to.
"""

import mmap
import os
from typing import Any, Final

from celery import signals
from celery.worker.consumer import Consumer
from celery.worker.request import Request

from bureau.models import Pool
from workers.queues import POOL

_STOP: Final = 0
_STARTED: Final = 1
_POOLS: Final = 2


class _Page:
    """The memory of one worker, and which process is its parent."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, mmap.PAGESIZE)
        self.parent = os.getpid()


_page = _Page()


def share() -> None:
    """Take a page of this worker's own; call it in the worker's parent before there is a child."""
    global _page  # noqa: PLW0603 - what is shared with a child can only be the process's
    _page = _Page()


def parent() -> int:
    """Return the process that receives this worker's messages."""
    return _page.parent


def stopping() -> bool:
    """Return whether this worker is shutting down, or its parent is dead."""
    return bool(_page.memory[_STOP]) or _page.parent not in (os.getppid(), os.getpid())


def started() -> bool:
    """Return whether this worker's start is in the ledger; a respawned child is no start."""
    return bool(_page.memory[_STARTED])


def note_start() -> None:
    """Remember that this worker's start is in the ledger."""
    _page.memory[_STARTED] = 1


def listening() -> tuple[Pool, ...]:
    """Return the pools that the parent listens to."""
    return tuple(map(Pool, bytes(_page.memory[_POOLS:]).rstrip(b"\0").decode().split()))


@signals.worker_shutting_down.connect
def stop(**_signal: Any) -> None:
    """Let the child finish the card in hand and take no other."""
    _page.memory[_STOP] = 1


@signals.task_received.connect
def listen(sender: Consumer, request: Request, **_signal: Any) -> None:
    """Make the worker's pool queues those that a line message names: an open line's pools, none for a held one."""
    if request.name != "workers.tasks.line":
        return
    wanted = set(request.args[1])
    for queue in wanted - _consuming(sender):
        sender.add_task_queue(queue)
    for queue in _consuming(sender) - wanted:
        sender.cancel_task_queue(queue)
    names = " ".join(sorted(_consuming(sender))).encode()
    _page.memory[_POOLS:] = names.ljust(mmap.PAGESIZE - _POOLS, b"\0")


def _consuming(consumer: Consumer) -> set[str]:
    return {queue.name for queue in consumer.task_consumer.queues if queue.name.startswith(POOL)}
