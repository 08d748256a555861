"""Structured logs: one JSON object a line, and only fields that are known to be harmless."""

import logging
import sys
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

ALLOWED: Final = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "encoder",
        "job",
        "lot",
        "card",
        "attempt",
        "batch",
        "pool",
        "state",
        "outcome",
        "cause",
        "command",
        "sw",
        "cards",
        "jobs",
        "count",
        "seconds",
        "milliseconds",
        "errors",
        "version",
        "pid",
        "path",
        "reason",
        "position",
        "process",
        "exit_code",
        "logger",
        "error",
        "blanks",
    }
)
"""Field names that may be logged; whatever carries another name is dropped, and the line says so."""


def allow(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drop every field that isn't on the list, naming it (never its value) in *dropped*."""
    dropped = sorted(set(event) - ALLOWED)
    kept = {name: value for name, value in event.items() if name in ALLOWED}
    return kept | {"dropped": dropped} if dropped else kept


def configure(stream: TextIO | None = None, *, level: int = logging.INFO) -> None:
    """Send structlog's lines as JSON to *stream*, standard error by default."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            allow,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
