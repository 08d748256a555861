"""What people are shown of records that failed, and whether jobs are closed or what is missing."""

import csv
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bureau.ledger import encoders, vault
from bureau.ledger.ledger import Ledger
from bureau.models import AttemptOutcome
from bureau.service.plant import Plant
from config import settings
from tests.cli.conftest import Bureau, By
from tests.cli.test_commands import PAYMENT, SINGLE
from tests.cli.test_lots import SIM1, Make, make

__all__ = ["make"]
SAID = "INSTALL [for load]: 6A84 not enough memory"


def _rows(bureau: Bureau, *words: str) -> list[dict[str, object]]:
    return list(json.loads(bureau(*words, "--json").out))


@pytest.fixture
def failed(founded: Bureau, make: Make) -> Bureau:
    """The payment batch released, its first card rejected, its second suspect."""
    founded("submit", PAYMENT)
    founded("release", "1")
    make(AttemptOutcome.SPOILED, chip="A1", cause=SAID)
    make(AttemptOutcome.UNKNOWN, chip="A2", cause="the card fell silent")
    return founded


def test_rejects_and_suspects_say_what_can_be_done_next(failed: Bureau) -> None:
    """With chip, encoder and what the card said; all jobs', or one's."""
    (reject,), (suspect,) = _rows(failed, "rejects"), _rows(failed, "suspects")
    since = reject.pop("since")
    assert re.match(r"20\d\d-", str(since))
    assert reject == {
        "card": 1,
        "job": 1,
        "lot": 1,
        "crn": "2B0601040181FD59638768",
        "state": "rejected",
        "encoder": "sim1",
        "chip": "A1",
        "cause": None,
        "said": SAID,
        "attempts": 1,
        "next": "bureau requeue 1, bureau scrap 1",
    }
    assert (suspect["card"], suspect["said"], suspect["chip"]) == (2, "the card fell silent", "A2")
    assert _rows(failed, "rejects", "2") == _rows(failed, "suspects", "2") == []
    assert len(_rows(failed, "rejects", "B2026-001")) == 1
    assert "6A84" in failed("rejects", "1").out


def test_where_nothing_waits_it_is_said(founded: Bureau) -> None:
    """And a job that doesn't exist is status 2."""
    founded("submit", PAYMENT)
    assert (founded("rejects").err, founded("suspects", "1").err) == ("No card is rejected.\n", "No card is suspect.\n")
    assert founded("rejects", "9").status == 2


# The reject file


def test_the_reject_file_stands_beside_the_interim_trail(failed: Bureau, home: Path) -> None:
    """A line for each record that isn't good, with its cause; none for those that are still to be made."""
    refused = failed("report", "1", "--rejects")
    assert (refused.status, "bureau close" in refused.err) == (1, True)
    said = failed("report", "1", "--rejects", "--interim")
    file = Path(said.out.strip())
    assert file == home / "trails" / "batch-1" / "B2026-001.rejects.interim.csv"
    assert file.stat().st_mode & 0o077 == 0
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["crn"], row["outcome"], row["cause"]) for row in rows] == [
        ("2B0601040181FD59638768", "rejected", SAID),
        ("2B0601040181FD59638769", "suspect", "the card fell silent"),
    ]
    trail = Path(failed("report", "1", "--interim").out.strip())
    assert (trail.parent, trail.suffix) == (file.parent, ".xml")


def test_a_batch_without_rejects_has_a_reject_file_of_a_header(founded: Bureau, make: Make) -> None:
    """It can be had again after the batch was answered."""
    founded("submit", SINGLE, "--issuer", "TESTCLUB")
    founded("release", "1")
    make()
    founded("close", "1")
    file = Path(founded("report", "1", "--rejects").out.strip())
    assert file.name.endswith(".rejects.csv")
    assert file.read_bytes().count(b"\r\n") == 1
    file.unlink()
    assert Path(founded("report", "1", "--rejects").out.strip()).read_bytes().startswith(b"batch_id,")


# Closing


def test_close_says_exactly_what_is_missing(failed: Bureau) -> None:
    """In numbers, with what to do about each; status 1."""
    said = failed("close", "B2026-001")
    assert said.status == 1
    assert re.sub(r"since [-0-9: ]{16}", "since then", said.out).splitlines() == [
        "job 1 B2026-001/STANDARD, lot 1 isn't closed:",
        "  6 cards to be made: see `bureau why 1`",
        "  1 rejected card for a person to decide: see `bureau rejects 1`",
        "  1 suspect card for a person to decide: see `bureau suspects 1`",
        "job 2 B2026-001/URGENT, lot 1 isn't closed:",
        "  held by anna since then: not released yet",
        "  2 cards to be made: see `bureau why 2`",
    ]
    failed("hold", "1", "--lot", "1", "--reason", "wrong artwork")
    assert "wrong artwork: `bureau release 1 --lot 1`" in failed("close", "1").out


def test_close_of_a_job_that_closed_by_itself_says_where_the_answer_is(founded: Bureau, make: Make, home: Path) -> None:
    """And writes it where nobody has yet; again it says the same."""
    founded("submit", SINGLE, "--issuer", "TESTCLUB")
    founded("release", "1")
    make()
    said = founded("close", "1")
    assert said.status == 0
    assert "lot 1 is closed" in said.out
    assert str(home / "trails" / "batch-1") in said.out
    assert [path.suffix for path in sorted((home / "trails" / "batch-1").iterdir())] == [".csv", ".xml"]
    again = founded("close", "1")
    assert (again.status, str(home / "trails" / "batch-1") in again.out) == (0, True)
    assert founded("jobs", "--json").out.count('"reported"') == 1


def test_close_closes_what_a_fault_left_open(founded: Bureau, make: Make, home: Path) -> None:
    """All balances, and only the last step is missing."""
    founded("submit", SINGLE, "--issuer", "TESTCLUB")
    founded("release", "1")
    make()
    with closing(sqlite3.connect(home / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE lots SET closed_at = NULL")
        ledger.execute("UPDATE jobs SET state = 'released', closed_at = NULL")
    assert founded("close", "1").status == 0
    assert _rows(founded, "jobs")[0]["state"] == "reported"


def test_one_job_of_two_closed_has_no_answer_yet(founded: Bureau, make: Make, home: Path) -> None:
    """The answer is the batch's."""
    founded("submit", PAYMENT)
    founded("release", "1")
    for number in range(8):
        make(chip=f"A{number}")
    said = founded("close", "1")
    assert (said.status, "trail" in said.out) == (0, False)
    assert not (home / "trails").exists()


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ("DELETE FROM cards WHERE id = 3", "8 records came in and 7 are there"),
        ("UPDATE cards SET state = 'good' WHERE id = 3", "1 record good on 0 good cards"),
        (
            "INSERT INTO attempts (card_id, encoder, fence, outcome, started_at, result)"
            " VALUES (3, 'sim1', 9, 'open', '2026-01-01', '{}')",
            "1 blank drawn without an end, 0 cards in hand",
        ),
    ],
    ids=["a record is gone", "a good card without plastic", "plastic without an end"],
)
def test_close_finds_what_was_changed_behind_its_back(failed: Bureau, home: Path, change: str, missing: str) -> None:
    """Records and plastic don't balance then, and it is said in numbers."""
    with closing(sqlite3.connect(home / "ledger.sqlite")) as ledger, ledger:
        ledger.execute(change)
    said = failed("close", "1")
    assert (said.status, f"  {missing}" in said.out.splitlines()) == (1, True)


def test_close_checks_the_stock_book_too(founded: Bureau, make: Make, home: Path) -> None:
    """What was loaded, drawn and is left; a blank that nobody drew is missed although the lot is closed."""
    founded("submit", SINGLE, "--issuer", "TESTCLUB")
    founded("release", "1")
    plant = Plant(settings.current())
    encoders.start(plant.ledger, plant.encoders[SIM1].machine, plant.clock())
    _load(plant.ledger)
    plant.ledger.close()
    make()
    assert founded("close", "1").status == 0
    with closing(sqlite3.connect(home / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE encoder_stocks SET blanks = blanks - 1")
    said = founded("close", "1")
    assert said.status == 1
    assert "the book of PLASTIC-BLUE on sim1 doesn't balance: 10 came, but 0 went + 1 drawn + 8 left\n" in said.out


def _load(ledger: Ledger) -> None:
    now = Plant(settings.current()).clock()
    vault.receive(ledger, "PLASTIC-BLUE", 10, "anna", now)
    vault.load(ledger, SIM1, "PLASTIC-BLUE", 10, "anna", now)


def test_an_auditor_doesnt_close(by: By) -> None:
    """It may write a batch's answer."""
    by("carl", "submit", PAYMENT)
    assert by("dora", "close", "1").status == 1
    assert by("carl", "close", "9").status == 2


# The audit log


def test_the_audit_log_lists_its_newest_entries(founded: Bureau) -> None:
    """The newest last, as many as asked for."""
    founded("submit", PAYMENT)
    founded("release", "1", "--first-article")
    newest = _rows(founded, "audit", "--last", "2")
    assert [each["action"] for each in newest] == ["accept", "release"]
    assert (newest[1]["actor"], newest[1]["subject"], newest[1]["details"]) == ("anna", "job 1", {"first_article": True})
    assert "release" in founded("audit").out
