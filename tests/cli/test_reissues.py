"""Cards made a second time, as people type it: submitted again, approved by somebody else, linked."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import DEMO, Bureau, By
from tests.cli.staff import log

PAYMENT = DEMO / "payment-batch.xml"
FIRST = "2B0601040181FD59638768"
AGAIN = ("--reissue", "--reason", "lost in the mail")


@pytest.fixture
def same(tmp_path: Path) -> str:
    """The payment batch as another file."""
    file = tmp_path / "again.xml"
    file.write_text(PAYMENT.read_text().replace("B2026-001", "B2026-091"))
    return str(file)


@pytest.fixture
def made(by: By, home: Path) -> By:
    """All ten cards of the payment batch are good."""
    by("carl", "submit", str(PAYMENT))
    _make(home)
    return by


def _make(home: Path) -> None:
    with closing(sqlite3.connect(home / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE cards SET state = 'good'")


def test_the_refusal_names_the_word(made: By, same: str) -> None:
    """Each card that was made is listed with its job."""
    said = made("carl", "submit", same)
    assert said.status == 1
    assert said.err.count("or have it made again (--reissue)") == 10
    assert f"CRN {FIRST}" in said.err
    assert "in job 1" in said.err


def test_one_submits_again_and_another_approves(made: By, bureau: Bureau, same: str) -> None:
    """Until then both jobs are held; listings then show both ends of the link."""
    said = made("carl", "submit", same, *AGAIN)
    assert said.status == 0
    assert "request 1: reissue job 3 (8 made before), job 4 (2 made before)" in said.out
    refused = made("carl", "release", "3")
    assert refused.status == 1
    assert "job 3 makes 8 of its cards a second time" in refused.err
    assert "bureau approve 1" in refused.err
    assert made("carl", "approve", "1").status == 1
    assert made("anna", "approve", "1").status == 0
    assert made("carl", "release", "3", "4").status == 0
    (shown,) = json.loads(bureau("job", "3", "--json").out)
    assert (shown["reissue"], shown["made_before"], shown["made_again"]) == ("approved", [{"job": 1, "cards": 8}], [])
    (shown,) = json.loads(bureau("job", "1", "--json").out)
    assert (shown["reissue"], shown["made_again"]) == (None, [{"job": 3, "cards": 8}])
    assert "8 cards in job 1; approved" in bureau("job", "3").out
    assert [each["remade_as"] for each in json.loads(bureau("cards", "1", "--json").out)] == list(range(11, 19))
    assert [each["reissue_of"] for each in json.loads(bureau("cards", "3", "--json").out)] == list(range(1, 9))


def test_what_was_declined_is_asked_for_anew(made: By, same: str, home: Path) -> None:
    """The job waits meanwhile; nobody asks twice at once."""
    made("carl", "submit", same, *AGAIN)
    assert "request 1 about job 3 is open" in made("carl", "reissue", "3", "--reason", "please").err
    made("anna", "decline", "1", "--reason", "are they?")
    assert "bureau reissue 3 --reason" in made("carl", "release", "3").err
    said = made("carl", "reissue", "B2026-091", "--reason", "they are")
    assert said.out.startswith("request 2: reissue job 3 (8 made before), job 4 (2 made before)\n")
    made("berta", "approve", "2")
    assert made("carl", "release", "3").status == 0
    assert [each[1:] for each in log(home) if "reissue" in each[1]] == [
        ("approve reissue", "job 3"),
        ("approve reissue", "job 4"),
    ]


def test_nothing_is_made_again_that_isnt_made(by: By, same: str) -> None:
    """The cards that are still being made are named; and what was never made needs no such word."""
    said = by("carl", "submit", str(PAYMENT), *AGAIN)
    assert said.status == 1
    assert "no card of payment-batch.xml was made before" in said.err
    assert "without --reissue" in said.err
    by("carl", "submit", str(PAYMENT))
    said = by("carl", "submit", same, *AGAIN)
    assert said.status == 1
    assert "in job 1, whose card 1 is still being made" in said.err


def test_two_words_go_together(made: By, same: str) -> None:
    """A reissue needs its reason, a reason is for a reissue."""
    assert made("carl", "submit", same, "--reissue").status == 2
    assert made("carl", "submit", same, "--reason", "x").status == 2
    said = made("carl", "submit", same, "--reissue", "--reason", " ")
    assert said.status == 1
    assert "a decision needs its reason" in said.err
    said = made("dora", "submit", same, *AGAIN)
    assert said.status == 1
    assert "isn't for the role auditor" in said.err


def test_without_accounts_nothing_is_made_again(founded: Bureau, home: Path, same: str) -> None:
    """It takes two people, so it takes accounts."""
    founded("submit", str(PAYMENT))
    _make(home)
    said = founded("submit", same, *AGAIN)
    assert said.status == 1
    assert "no accounts yet" in said.err


def test_a_crn_that_was_made_twice_wants_a_number(made: By, bureau: Bureau, same: str) -> None:
    """Both are named."""
    made("carl", "submit", same, *AGAIN)
    said = made("carl", "withdraw", FIRST, "--reason", "x")
    assert said.status == 2
    assert "1 (TESTBANK, good), 11 (TESTBANK, ready, reissue of 1)" in said.err
