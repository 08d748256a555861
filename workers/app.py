"""The Celery application. Each setting was measured: see "Celery wakes encoders" in the README's decisions."""

from typing import Final

from celery import Celery

from bureau.service.plant import now
from config import settings
from workers.queues import OFFICE

FIRST: Final = 0
"""The priority of a message that a worker gets before all others: where its line says to listen."""
WORK: Final = 5
"""The priority of all other messages; the ledger ranks the jobs, and a wake-up names none."""

app = Celery("bureau", broker=settings.current().broker_url, include=["workers.tasks", "workers.lines"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "queue_order_strategy": "priority",
        "priority_steps": list(range(10)),
        "visibility_timeout": 3600,
        "health_check_interval": 10,
        "socket_keepalive": True,
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
    },
    task_acks_late=False,
    task_reject_on_worker_lost=False,
    task_ignore_result=True,
    task_default_queue=OFFICE,
    task_default_priority=WORK,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    worker_proc_alive_timeout=settings.current().lease.total_seconds() + 60,  # a child waits for its machine meanwhile
    worker_redirect_stdouts=False,
    worker_send_task_events=False,
    plant_clock=now,
    beat_scheduler="celery.beat:Scheduler",
    beat_schedule={
        name: {"task": f"workers.tasks.{name}", "schedule": seconds, "options": {"expires": seconds}}
        for name, seconds in (("feed", 15.0), ("reap", 5.0), ("purge", 60.0), ("alert", 5.0))
    },
)
