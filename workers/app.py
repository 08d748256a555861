"""The Celery application. Each setting was measured: see "Celery wakes encoders" in the README's decisions."""

from typing import Final

from celery import Celery

from config import settings

OFFICE: Final = "office"
"""The queue of feed, reap and purge."""
LINE: Final = "line."
"""Prefix of an encoder's own queue."""
POOL: Final = "pool."
"""Prefix of the queue that all open encoders of a pool listen to."""

app = Celery("bureau", broker=settings.current().broker_url, include=["workers.tasks", "workers.lines"])
app.conf.update(
    broker_connection_retry_on_startup=True,
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
    task_default_priority=5,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    beat_scheduler="celery.beat:Scheduler",
    beat_schedule={
        "feed": {"task": "workers.tasks.feed", "schedule": 15.0},
        "reap": {"task": "workers.tasks.reap", "schedule": 5.0},
        "purge": {"task": "workers.tasks.purge", "schedule": 60.0},
    },
)
