"""The process that all workers are forked from: it imports everything once, for itself and for each of them.

Nothing is opened here: no ledger, no key store, no machine, no connection to the broker.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
import warnings

import billiard.pool
import celery.apps.beat
import celery.apps.worker
import celery.concurrency.prefork
import celery.worker.consumer  # noqa: F401 - what a worker would import by itself, here once for all
import kombu.transport.redis  # noqa: F401
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning

from config import logging, settings
from workers import lines, process, tasks  # noqa: F401
from workers.app import app
from workers.queues import BEAT, LINE


def main() -> None:
    """Fork a process for each queue that the supervisor names on the socket given as argument."""
    billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = 3  # tenths of a second at shutdown; a result matters to nobody
    app.loader.import_default_modules()
    app.finalize()
    for known in (SecurityWarning, CPendingDeprecationWarning):  # pickle, which is refused; late acks, which are off
        warnings.filterwarnings("ignore", category=known)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as supervisor:
        queue = serve(supervisor)
    if queue is not None:
        work(queue)


def serve(supervisor: socket.socket) -> str | None:
    """Fork for each queue that *supervisor* names, and tell it how each process ended.

    Returns the queue in the process that was forked for it. Once the supervisor stops sending, or is dead, every process is
    asked to end; returns None after the last.
    """
    running: dict[int, tuple[int, str]] = {}
    template, sends = os.getpid(), True
    while sends or running:
        readable, _, _ = select.select([*running, *([supervisor.fileno()] if sends else [])], [], [])
        for descriptor in readable:
            if descriptor != supervisor.fileno():
                pid, queue = running.pop(descriptor)
                os.close(descriptor)
                _tell(supervisor, queue, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            elif request := supervisor.recv(1024):
                pid = os.fork()
                if not pid:
                    _leave(template, running)
                    return request.decode()
                running[os.pidfd_open(pid)] = pid, request.decode()
            else:
                sends = False
                for each in running:
                    signal.pidfd_send_signal(each, signal.SIGTERM)
    return None


def work(queue: str) -> None:
    """Be the worker of *queue*, or beat, until asked to end."""
    name = queue.removeprefix(LINE)
    settings.work_for(name if queue.startswith(LINE) else None)
    _log_to(name)
    if queue == BEAT:
        app.Beat(quiet=True, loglevel="WARNING").run()
        return
    lines.share()
    worker = app.Worker(
        hostname=f"{name}@bureau",
        queues=[queue],
        pool="prefork",
        concurrency=1,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="WARNING",
        quiet=True,
    )
    worker.start()
    sys.exit(worker.exitcode)


def _leave(template: int, siblings: dict[int, tuple[int, str]]) -> None:
    """Leave the template: a session of its own, where no signal for others arrives, and SIGTERM should the template die."""
    os.setsid()
    process.end_with(template)
    for descriptor in siblings:
        os.close(descriptor)


def _log_to(name: str) -> None:
    """Send what is logged to the log of *name*, and what Celery prints nowhere."""
    process.be_called(name)
    log = os.open(settings.current().logs / f"{name}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor, file in ((0, nowhere), (1, nowhere), (2, log)):
        os.dup2(file, descriptor)
    os.close(log)
    os.close(nowhere)
    logging.configure()
    logging.route()


def _tell(supervisor: socket.socket, queue: str, code: int) -> None:
    try:
        supervisor.send(json.dumps({"queue": queue, "exit_code": code}).encode())
    except OSError:  # it is dead: nobody needs to know
        return


if __name__ == "__main__":
    main()
