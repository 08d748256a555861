"""What became of the cards of a file, made up for a test."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bureau.containers import Submission
from bureau.containers.orders import order
from bureau.containers.submission import records
from bureau.models import AttemptOutcome, CardState, PlasticResult, ReachedAid, Record, RecordResult, StepResult

MADE = datetime(2026, 11, 25, 23, 30, 5, tzinfo=UTC)


def plastic(record: Record, outcome: AttemptOutcome = AttemptOutcome.GOOD, cause: str | None = None) -> PlasticResult:
    """Return a piece of plastic on which every step was answered 9000, or the last one 6A84."""
    wanted = order(record.xml)
    good = outcome is AttemptOutcome.GOOD
    steps = tuple(
        StepResult(application=place, step=at, status_words="9000" if good or at + 1 < len(each.steps) else "6a84")
        for place, each in enumerate(wanted.applications)
        for at in range(len(each.steps))
    )
    aids = tuple(
        ReachedAid(aid=each.aid, order=each.order, target=each.state, reached=0x0F if good else 0x07)
        for each in wanted.targets
    )
    return PlasticResult(
        outcome=outcome, identifier_type="CPLC", identifier="47900000000" + record.crn[-5:], card_state=0x0F, aids=aids,
        steps=steps, cause=cause, encoder="sim-1", ended=MADE,
    )  # fmt: skip


def untouched(record: Record, outcome: AttemptOutcome) -> PlasticResult:
    """Return a piece of plastic that was never written."""
    return replace(plastic(record, outcome), identifier_type="", identifier="", aids=(), steps=(), card_state=0)


def good(record: Record) -> RecordResult:
    """Return a record that was made at once."""
    return RecordResult(record=record, state=CardState.GOOD, plastics=(plastic(record),))


def results(
    path: Path, submission: Submission, special: Callable[[int, Record], RecordResult | None] = lambda _at, _record: None
) -> Iterator[RecordResult]:
    """Yield a result for every record: what *special* says of it, else good."""
    for place, record in enumerate(records(path, submission)):
        yield special(place, record) or good(record)
