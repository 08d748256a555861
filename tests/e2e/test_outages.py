"""A ledger that fails, a journal that can't be written, an interruption: the plastic goes where the ledger says."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from sqlite3 import OperationalError as SqliteError
from typing import Final

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from bureau.errors import UnavailableError
from bureau.ledger import encoders, reaping
from bureau.ledger.ledger import Ledger
from bureau.models import EncoderId, EncoderState, JobId
from bureau.service import stint
from hardware.sim.journal import Event, Journal
from tests.e2e import expected
from tests.e2e.bureaus import Bureau, Station
from tests.e2e.expected import SINGLE

SIM1: Final = EncoderId("sim1")
RECORD: Final = expected.cards(SINGLE)[0]
CLAIM, WRITING, VERIFYING, SETTLED = 1, 2, 3, 4
"""The commits of a card."""
TRAYS: Final = {"good": "good", "returned": "returned", "unknown": "reject"}
FAULTS: Final[dict[str, Callable[[], BaseException]]] = {
    "ledger": lambda: OperationalError("", {}, SqliteError("disk I/O error")),
    "ctrl-c": KeyboardInterrupt,
    "memory": MemoryError,
}


@dataclass(slots=True)
class Outage:
    """Fails at the moments number *first* to *last*."""

    fault: Callable[[], BaseException]
    first: int
    last: int
    seen: int = field(default=0, init=False)

    def strike(self) -> None:
        """Raise if it is time."""
        if self.first <= self.seen <= self.last:
            raise self.fault()


def fail_commits(patch: pytest.MonkeyPatch, outage: Outage, *, after: bool = False) -> None:
    """Let commits fail, before or *after* they were made."""
    commit = Ledger._commit

    def failing(ledger: Ledger, connection: Connection) -> None:
        outage.seen += 1
        if not after:
            outage.strike()
        commit(ledger, connection)
        outage.strike()

    patch.setattr(Ledger, "_commit", failing)


def fail_journal(patch: pytest.MonkeyPatch, outage: Outage, event: str) -> None:
    """Let the world's journal take no such event."""
    append = Journal.append

    def failing(journal: Journal, given: Event) -> None:
        if given["event"] == event:
            outage.seen += 1
            outage.strike()
        append(journal, given)

    patch.setattr(Journal, "append", failing)


@pytest.fixture
def job(bureau: Bureau) -> JobId:
    """One record, released to one encoder that has started."""
    bureau.equip(Station(name=SIM1, seed=1))
    (released,) = bureau.take(SINGLE)
    bureau.start(SIM1)
    return released


def work(bureau: Bureau, stints: int = 3) -> None:
    """Let the encoder work, again after whatever was raised, as a worker would."""
    for _ in range(stints):
        with suppress(KeyboardInterrupt, MemoryError, OSError):
            stint.stint(bureau.plant, bureau.machines[SIM1], SIM1)


def ended(bureau: Bureau, job: JobId) -> tuple[str, list[str]]:
    """Return the record's state and its plastics' outcomes, each of which lies where its attempt says; none is lost."""
    reaping.reap(bureau.plant.ledger, bureau.plant.clock() + timedelta(hours=1))
    (card,) = bureau.cards(job)
    attempts = {each.position: str(each.outcome) for each in bureau.attempts(card) if each.position is not None}
    for plastic in bureau.plastics():
        outcome = attempts.get(plastic.position, "returned")  # one that was reaped says no more than that
        assert (plastic.position, plastic.tray) == (plastic.position, TRAYS[outcome])
        assert not (plastic.touched and outcome == "returned")
    good = [plastic.contents for plastic in bureau.plastics() if plastic.tray == "good"]
    assert good == ([RECORD.contents] if card.state == "good" else [])
    return str(card.state), [attempts[position] for position in sorted(attempts)]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize(
    ("commit", "after", "state", "plastics"),
    [
        (CLAIM, False, "good", ["good"]),
        (WRITING, False, "good", ["returned", "good"]),
        (WRITING, True, "suspect", ["unknown"]),
        (VERIFYING, False, "suspect", ["unknown"]),
        (VERIFYING, True, "suspect", ["unknown"]),
        (SETTLED, False, "suspect", ["unknown"]),
        (SETTLED, True, "good", ["good"]),
    ],
)
def test_a_commit_that_fails_sends_the_card_where_the_ledger_says(
    bureau: Bureau,
    job: JobId,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[], BaseException],
    commit: int,
    *,
    after: bool,
    state: str,
    plastics: list[str],
) -> None:
    """Whether it was made or not, ledger and plastic agree, and what was touched is never made again."""
    fail_commits(monkeypatch, Outage(fault, commit, commit), after=after)
    work(bureau)
    assert ended(bureau, job) == (state, plastics)


@pytest.mark.parametrize(
    ("commit", "after", "state", "plastics"),
    [
        (WRITING, False, "good", ["good"]),
        (WRITING, True, "suspect", ["unknown"]),
        (VERIFYING, False, "suspect", ["unknown"]),
        (SETTLED, False, "suspect", ["unknown"]),
        (SETTLED, True, "good", ["good"]),
    ],
)
def test_a_card_waits_in_the_station_while_the_ledger_is_gone(
    bureau: Bureau,
    job: JobId,
    monkeypatch: pytest.MonkeyPatch,
    commit: int,
    *,
    after: bool,
    state: str,
    plastics: list[str],
) -> None:
    """Nothing is ejected unasked and nothing claimed until the ledger answers; the line stays open."""
    with monkeypatch.context() as patch:
        fail_commits(patch, Outage(FAULTS["ledger"], commit, 1000), after=after)
        work(bureau)
        assert len(bureau.plastics()) == 1
    with bureau.plant.ledger.read() as connection:
        assert encoders.machine(connection, SIM1).state is EncoderState.OPEN
    work(bureau)
    found, outcomes = ended(bureau, job)
    assert (found, outcomes[-1:]) == (state, plastics)


@pytest.mark.parametrize(
    ("event", "at", "state", "plastics"),
    [
        ("fed", 1, "good", ["good"]),
        ("command", 1, "good", ["returned", "good"]),
        ("command", 2, "suspect", ["unknown"]),
        ("command", 9, "suspect", ["unknown"]),
        ("ejected", 1, "good", ["good"]),
    ],
)
def test_a_journal_that_takes_nothing_loses_no_plastic(
    bureau: Bureau, job: JobId, monkeypatch: pytest.MonkeyPatch, event: str, at: int, state: str, plastics: list[str]
) -> None:
    """A command whose effect isn't kept has a lost answer; a card that can't be fed or ejected is tried again."""
    fail_journal(monkeypatch, Outage(lambda: OSError("no space left"), at, at), event)
    work(bureau)
    assert ended(bureau, job) == (state, plastics)


def test_a_ledger_that_fails_is_told_in_words(bureau: Bureau, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked learns that the ledger can't be used and why, without statement or parameters."""
    fail_commits(monkeypatch, Outage(FAULTS["ledger"], 1, 1))
    with pytest.raises(UnavailableError, match=r"^the ledger can't be used: disk I/O error$"):
        bureau.equip(Station(name=SIM1, seed=1))
