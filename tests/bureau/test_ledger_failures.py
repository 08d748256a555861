"""Records that weren't made good: what the listings and the reject file know of each."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from bureau.ledger import claims, failures
from bureau.ledger.failures import REJECTS, SUSPECTS, Failure
from bureau.ledger.ledger import Ledger
from bureau.models import AttemptOutcome, BatchId, CardId, CardState, Cause, JobId
from bureau.service import rejects
from tests.bureau.deciding import approve, come_back, requeue, scrap, staffed, withdraw
from tests.bureau.ledgers import NOW, SIM1, batch, begin, job, lot, make, open_encoder, records, submit, take, write


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with staffed(tmp_path / "ledger.db") as ledger:
        yield ledger


def _fail(ledger: Ledger, state: CardState, chip: str, code: Cause = Cause.CARD) -> CardId:
    claim = take(ledger)
    write(ledger, claim, chip)
    outcome = AttemptOutcome.SPOILED if state is CardState.REJECTED else AttemptOutcome.UNKNOWN
    claims.settle(ledger, claim, state, outcome, NOW, cause="INSTALL: 6A84 not enough memory", code=code)
    open_encoder(ledger, SIM1)
    return claim.card


def _unprepared(ledger: Ledger) -> CardId:
    for _ in range(3):
        claim = take(ledger)
        claims.unclaim(ledger, claim, NOW, fault="DGI 0101 is too long", code=Cause.DATA)
    return claim.card


def _waiting(ledger: Ledger, which: failures.Which, *jobs: JobId) -> list[Failure]:
    with ledger.read() as connection:
        return failures.waiting(connection, which, jobs or None)


def _not_made(ledger: Ledger, number: int = 1) -> list[Failure]:
    with ledger.read() as connection:
        return list(failures.not_made(connection, BatchId(number)))


def test_a_rejected_card_is_listed_with_all_that_is_known_of_it(ledger: Ledger) -> None:
    """The last plastic's; an earlier one that came back counts as tried, not as spent."""
    (number,) = submit(ledger, "A", job("JOB", lot(1), lot(1)))
    make(ledger, "AA")
    claims.give_back(ledger, take(ledger), "wrong card", 1, NOW)
    card = _fail(ledger, CardState.REJECTED, "BB")
    assert _waiting(ledger, REJECTS) == [
        Failure(
            card=card,
            job=number,
            job_id="JOB",
            lot=2,
            container="A",
            crn="410001",
            state=CardState.REJECTED,
            encoder=SIM1,
            chip="BB",
            code=Cause.CARD,
            cause="INSTALL: 6A84 not enough memory",
            since=NOW,
            tried=2,
            spent=1,
        )
    ]
    assert _waiting(ledger, SUSPECTS) == []


def test_rejects_and_suspects_are_told_apart_and_by_job(ledger: Ledger) -> None:
    """A record that comes back for ever is a reject too; what is decided waits for nobody."""
    first, second = submit(ledger, "A", job("1", lot(5)), job("2", lot(1)))
    rejected, suspect = _fail(ledger, CardState.REJECTED, "A1"), _fail(ledger, CardState.SUSPECT, "A2", Cause.READER)
    stuck = come_back(ledger).card
    given_up = _fail(ledger, CardState.REJECTED, "A4")
    scrap(ledger, given_up)
    assert [(each.card, each.outcome) for each in _waiting(ledger, REJECTS)] == [
        (rejected, "rejected"),
        (stuck, "unwritten"),
    ]
    assert [(each.card, each.code) for each in _waiting(ledger, SUSPECTS)] == [(suspect, Cause.READER)]
    assert _waiting(ledger, REJECTS, second) == _waiting(ledger, SUSPECTS, second) == []
    assert len(_waiting(ledger, REJECTS, first, second)) == 2


def test_a_record_that_cant_be_prepared_says_why(ledger: Ledger) -> None:
    """No plastic was drawn for it, so its fault is kept with the record until it is claimed again."""
    submit(ledger, "A", job("1", lot(1)))
    card = _unprepared(ledger)
    (found,) = _waiting(ledger, REJECTS)
    assert (found.cause, found.code, found.tried, found.encoder) == ("DGI 0101 is too long", Cause.DATA, 0, None)
    approve(ledger, requeue(ledger, card))
    claims.give_back(ledger, take(ledger), "wrong card", 1, NOW, code=Cause.OPERATOR)
    approve(ledger, withdraw(ledger, card))
    (found,) = _not_made(ledger)
    assert (found.cause, found.code) == ("wrong card", Cause.OPERATOR)


def test_the_reject_file_has_every_record_that_isnt_good_or_still_to_be_made(ledger: Ledger) -> None:
    """Of its own batch, job by job."""
    first, _ = submit(ledger, "A", job("1", lot(5)), job("2", lot(1)))
    make(ledger, "AA")
    rejected, suspect = _fail(ledger, CardState.REJECTED, "A1"), _fail(ledger, CardState.SUSPECT, "A2")
    scrapped = _fail(ledger, CardState.SUSPECT, "A3")
    scrap(ledger, scrapped)
    approve(ledger, withdraw(ledger, CardId(6)))
    submit(ledger, "B", job("1", lot(1)))
    assert [(each.card, each.outcome) for each in _not_made(ledger)] == [
        (rejected, "rejected"),
        (suspect, "suspect"),
        (scrapped, "scrapped"),
        (6, "withdrawn"),
    ]
    assert _not_made(ledger, 2) == []
    assert {each.job for each in _not_made(ledger)} == {first, JobId(2)}


def test_a_file_on_its_way_in_has_no_failures(ledger: Ledger) -> None:
    """It isn't there yet."""
    whole = batch("A", job("1", lot(1)))
    incoming = begin(ledger, whole)
    claimed = records(whole)
    assert incoming.issuers
    assert claimed
    assert _not_made(ledger) == _waiting(ledger, REJECTS) == []


# The file

FAILURE = Failure(
    card=CardId(7),
    job=JobId(1),
    job_id="JOB",
    lot=1,
    container="B1",
    crn="2B06",
    state=CardState.SCRAPPED,
    encoder=SIM1,
    chip="AA",
    code=Cause.CARD,
    cause="INSTALL: 6A84 not enough memory",
    since=NOW,
    tried=2,
    spent=2,
)
HEADER = "batch_id,job_id,crn,outcome,cause_code,cause,plastics\r\n"


def _file(*found: Failure) -> str:
    out = BytesIO()
    rejects.write(out, found)
    assert not out.closed
    return out.getvalue().decode()


def test_the_reject_file_has_a_line_for_each_record() -> None:
    """RFC 4180: a header, commas, CRLF."""
    assert _file(FAILURE) == HEADER + "B1,JOB,2B06,scrapped,card,INSTALL: 6A84 not enough memory,2\r\n"


def test_a_reject_file_without_rejects_has_its_header() -> None:
    """So that an issuer's program always finds its columns."""
    assert _file() == HEADER


@pytest.mark.parametrize("state", [CardState.WITHDRAWN, CardState.SCRAPPED])
def test_every_record_has_a_cause_code(state: CardState) -> None:
    """Where nothing went wrong it is what a person decided."""
    (row,) = csv.DictReader(_file(replace(FAILURE, state=state, code=None, cause=None, spent=0)).splitlines())
    assert (row["outcome"], row["cause_code"], row["cause"], row["plastics"]) == (state, state, "", "0")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" =1", "' =1"),
        ("\t=1", "' =1"),
        ("a,b", "a,b"),
        ('say "no"', 'say "no"'),
        ("two\r\nlines\x1b", "two  lines "),
        ("6A84", "6A84"),
    ],
)
def test_what_cards_and_issuers_say_stays_text(text: str, kept: str) -> None:
    """Read back it is one cell on one line, and no spreadsheet computes it; each text column alike."""
    said = _file(replace(FAILURE, cause=text, job_id=text, container=text))
    (row,) = csv.DictReader(said.splitlines())
    assert (row["cause"], row["job_id"], row["batch_id"]) == (kept,) * 3
    assert said.count("\r\n") == 2
