"""What commands print: tables for people, JSON for programs, progress on standard error, errors with what to do next."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

Row = Mapping[str, object]

out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False, soft_wrap=True)

as_json = click.option("--json", "json_", is_flag=True, help="Print JSON for programs instead of a table.")


def listing(rows: Sequence[Row], *, json_: bool, zone: ZoneInfo, empty: str) -> None:
    """Print *rows*, whose keys are the columns; *empty* says what to do where there are none."""
    if json_:
        click.echo(json.dumps(rows, default=_plain, indent=2))
        return
    if not rows:
        err.print(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, value in rows[0].items():
        table.add_column(name.replace("_", " "), justify="right" if isinstance(value, int) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell(_cell(value, zone)) for value in row.values()))
    out.print(table)


def details(row: Row, *, zone: ZoneInfo) -> None:
    """Print one thing, a line for each field that says something."""
    width = max(map(len, row))
    for name, value in row.items():
        if value is not False and value not in (None, "", (), []):
            say(f"{name.replace('_', ' '):{width}}  {_cell(value, zone)}")


def say(text: str) -> None:
    """Print one line of result."""
    out.print(_printable(text), markup=False)


def note(text: str) -> None:
    """Print one line about what is going on, on standard error."""
    err.print(_printable(text), markup=False)


def cell(text: str) -> Text:
    """Return *text* for a table, in which brackets are brackets."""
    return Text(_printable(text))


def _printable(text: str) -> str:
    """Return *text* without what would move a terminal's cursor: cards and readers say what they like."""
    return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that shows how much of something is done; silent where nobody watches."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show


def _cell(value: object, zone: ZoneInfo) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return "yes"
    if isinstance(value, datetime):
        return value.astimezone(zone).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, list | tuple):
        return ", ".join(_cell(each, zone) for each in value)
    return str(value)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    return str(value)
