"""What is left of one record when the dust has settled: the ledger beside the world, read past all code under test."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.e2e import worlds
from tests.e2e.expected import Expected
from tests.e2e.worlds import Plastic


@dataclass(frozen=True, slots=True)
class Attempt:
    """One piece of plastic as the ledger has it."""

    encoder: str
    fence: int
    position: int | None
    outcome: str


@dataclass(frozen=True, slots=True)
class Row:
    """Where the record stands in the ledger, and its plastic, the oldest first."""

    state: str
    fence: int
    attempts: tuple[Attempt, ...]

    def of(self, plastic: Plastic) -> list[Attempt]:
        """Return the attempts that speak of one plastic of the world."""
        place = (plastic.encoder, plastic.position)
        return [attempt for attempt in self.attempts if (attempt.encoder, attempt.position) == place]


def read_ledger(home: Path) -> Row:
    """Read the one record and its attempts."""
    with closing(sqlite3.connect(home / "ledger.sqlite")) as raw:
        state, fence = raw.execute("SELECT state, fence FROM cards").fetchone() or ("absent", 0)
        found = raw.execute("SELECT encoder, fence, position, outcome FROM attempts ORDER BY id").fetchall()
    return Row(state, fence, tuple(Attempt(*each) for each in found))


def touched(home: Path, encoder: str | None = None) -> list[Plastic]:
    """Return the plastic that the world calls touched, all or that of one encoder."""
    found = worlds.plastics(home / "world")
    return [plastic for plastic in found if plastic.touched and encoder in {None, plastic.encoder}]


def check(home: Path, record: Expected, wanted: str) -> Iterator[str]:
    """Yield all in which ledger and world differ from what must be; *wanted* is the record's state."""
    row, written = read_ledger(home), touched(home)
    if row.state != wanted:
        yield f"the record is {row.state} and must be {wanted}"
    if any(attempt.outcome == "open" for attempt in row.attempts):
        yield "a plastic is in nobody's hand and still open"
    for plastic in worlds.plastics(home / "world"):
        yield from _written(plastic, row) if plastic.touched else _untouched(plastic, row)
    yield from _good(row, [plastic for plastic in written if plastic.contents == record.contents], wanted)


def _written(plastic: Plastic, row: Row) -> Iterator[str]:
    outcomes = [attempt.outcome for attempt in row.of(plastic)]
    if len(outcomes) != 1:
        yield f"{plastic} was touched and has {len(outcomes)} attempts"
    elif outcomes[0] not in {"good", "unknown"}:
        yield f"{plastic} was touched and is called {outcomes[0]}"
    elif outcomes == ["unknown"] and row.state != "suspect":
        yield f"{plastic} is broken and its record is {row.state}"
    if (plastic.tray == "good") != (outcomes == ["good"]):
        yield f"{plastic} lies in tray {plastic.tray} and is called {outcomes}"


def _untouched(plastic: Plastic, row: Row) -> Iterator[str]:
    if plastic.tray == "good":
        yield f"{plastic} is blank and lies in tray good"
    if plastic.tray == "reject" and not row.of(plastic):
        yield f"{plastic} is blank, lies in tray reject, and nobody knows"


def _good(row: Row, complete: list[Plastic], wanted: str) -> Iterator[str]:
    good = [attempt for attempt in row.attempts if attempt.outcome == "good"]
    if len(complete) > 1 or len(good) > 1:
        yield f"the record is on {len(complete)} complete plastics and {len(good)} good cards"
    if len(good) != (wanted == "good"):
        yield f"the record must be {wanted} and has {len(good)} good cards"
    if good and not any(plastic.states == {"A0000000041010": "0F"} and row.of(plastic) == good for plastic in complete):
        yield "the card called good doesn't hold its record"
