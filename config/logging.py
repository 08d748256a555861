"""Structured logs: one JSON object a line, and only fields that are known to be harmless."""

import logging
import sys
import traceback
from collections.abc import Mapping
from types import TracebackType
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
        "where",
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


def route(*, level: int = logging.WARNING) -> None:
    """Send what libraries log, warnings, and the exception that ends this process, the same way."""
    handler = logging.Handler()
    handler.emit = _emit  # type: ignore[method-assign]
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(True)
    sys.excepthook = _ended


def places(trace: TracebackType | None) -> list[str]:
    """Return where an exception passed, oldest first: neither values nor its message, which may hold what a record holds."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]


def _emit(record: logging.LogRecord) -> None:
    fields: dict[str, object] = {"logger": record.name}
    if record.exc_info and record.exc_info[0]:
        fields |= {"error": record.exc_info[0].__name__, "where": places(record.exc_info[2])}
    structlog.get_logger().log(record.levelno, _text(record), **fields)


def _text(record: logging.LogRecord) -> str:
    """Return a library's message, an exception in it by its type alone; that of a failed task not at all."""
    message = str(record.msg)
    if not record.args or isinstance(record.args, Mapping):
        return message
    try:
        return message % tuple(type(value).__name__ if isinstance(value, BaseException) else value for value in record.args)
    except (TypeError, ValueError):
        return message


def _ended(kind: type[BaseException], _error: BaseException, trace: TracebackType | None) -> None:
    structlog.get_logger().critical("process_failed", error=kind.__name__, where=places(trace))
