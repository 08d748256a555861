"""Two-person actions as people type them: asked, approved, declined, too late."""

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from bureau.service.plant import Plant, now
from tests.cli.conftest import DEMO, Bureau, By
from tests.cli.staff import STAFF, log

PAYMENT = str(DEMO / "payment-batch.xml")


def test_one_asks_and_another_approves(by: By, bureau: Bureau, home: Path) -> None:
    """Nothing is done before; the batch that closes by it is answered at once."""
    by("carl", "submit", PAYMENT)
    asked = by("carl", "withdraw", "--job", "B2026-001", "--reason", "the issuer cancelled it")
    assert asked.out.startswith("request 1: withdraw job 1 (8 ready), job 2 (2 ready)\nsomebody else approves it until ")
    assert {each["state"] for each in json.loads(bureau("cards", "1", "--json").out)} == {"ready"}
    done = by("anna", "approve", "1")
    assert done.status == 0
    assert {each["state"] for each in json.loads(bureau("cards", "1", "--json").out)} == {"withdrawn"}
    assert [each["state"] for each in json.loads(bureau("jobs", "--json").out)] == ["reported", "reported"]
    (trail,) = (home / "trails" / "batch-1").glob("*.xml")
    assert str(trail.parent) in done.out
    assert trail.read_bytes().count(b"withdrawn") >= 10
    (request,) = json.loads(bureau("requests", "--json").out)
    assert (request["state"], request["asked_by"], request["decided_by"]) == ("done", "carl", "anna")
    assert request["reason"] == "the issuer cancelled it"
    assert bureau("audit", "verify").status == 0


def test_nobody_approves_their_own(by: By, bureau: Bureau) -> None:
    """Not even a supervisor; another one may, though it is the same OS user."""
    by("carl", "submit", PAYMENT)
    by("anna", "withdraw", "1", "--reason", "wrong address")
    said = by("anna", "approve", "1")
    assert said.status == 1
    assert "anna asked for request 1" in said.err
    assert json.loads(bureau("requests", "--json").out)[0]["state"] == "open"
    assert by("berta", "approve", "1").status == 0
    assert "done already" in by("berta", "approve", "1").err
    assert "done already" in by("anna", "decline", "1", "--reason", "too late").err


@pytest.mark.parametrize("name", ["carl", "dora", "emil"])
def test_approving_and_declining_are_a_supervisors(by: By, bureau: Bureau, name: str) -> None:
    """Another role is told so, and the request stays open."""
    by("carl", "submit", PAYMENT)
    by("anna", "withdraw", "1", "--reason", "wrong address")
    for words in (("approve", "1"), ("decline", "1", "--reason", "no")):
        said = by(name, *words)
        assert said.status == 1
        assert f"isn't for the role {STAFF[name]}" in said.err
    assert json.loads(bureau("requests", "--json").out)[0]["state"] == "open"


def test_a_declined_request_isnt_done(by: By, bureau: Bureau) -> None:
    """By a supervisor, or taken back by who asked."""
    by("carl", "submit", PAYMENT)
    for name in ("anna", "carl"):
        number = len(json.loads(bureau("requests", "--json").out)) + 1
        by("carl", "withdraw", "1", "--reason", "wrong address")
        assert "declined" in by(name, "decline", str(number), "--reason", "they called again").out
        assert by("berta", "approve", str(number)).status == 1
    assert json.loads(bureau("cards", "1", "--json").out)[0]["state"] == "ready"


def test_a_request_expires(by: By, bureau: Bureau, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After BUREAU_APPROVAL_HOURS, as they were when it was made; the log says when it was noticed."""
    by("carl", "submit", PAYMENT)
    monkeypatch.setenv("BUREAU_APPROVAL_HOURS", "2")
    by("carl", "withdraw", "1", "--reason", "wrong address")
    clock = now
    later = lambda: clock() + timedelta(hours=2)  # noqa: E731
    monkeypatch.setattr("bureau.cli.session.Plant", lambda found: Plant(found, later))
    assert json.loads(bureau("requests", "--json").out)[0]["state"] == "expired"
    said = by("anna", "approve", "1")
    assert said.status == 1
    assert "expired" in said.err
    assert json.loads(bureau("cards", "1", "--json").out)[0]["state"] == "ready"
    assert log(home)[-1] == ("expiry", "expire", "request 1")


@pytest.mark.parametrize("hours", ["0", "-1", "soon"])
def test_a_time_in_which_nobody_can_approve_is_refused(founded: Bureau, monkeypatch: pytest.MonkeyPatch, hours: str) -> None:
    """Exit status 2, and the variable is named."""
    monkeypatch.setenv("BUREAU_APPROVAL_HOURS", hours)
    said = founded("jobs")
    assert said.status == 2
    assert "BUREAU_APPROVAL_HOURS" in said.err


def test_records_that_were_made_meanwhile_are_refused_as_a_whole(by: By, bureau: Bureau, home: Path) -> None:
    """One of two is good by now; the reason names it, and the other stays ready."""
    by("carl", "submit", PAYMENT)
    by("carl", "withdraw", "1", "2", "--reason", "wrong address")
    with closing(sqlite3.connect(home / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE cards SET state = 'good' WHERE id = 1")
    said = by("anna", "approve", "1")
    assert said.status == 1
    assert "card 1 is good now and was ready" in said.err
    assert [each["state"] for each in json.loads(bureau("cards", "1", "--json").out)][:2] == ["good", "ready"]


@pytest.mark.parametrize("name", ["withdraw", "requeue", "scrap"])
def test_a_decision_needs_a_reason_and_a_card_that_exists(by: By, name: str) -> None:
    """Blanks are no reason; status 2 for nothing of that name and for wrong words."""
    by("carl", "submit", PAYMENT)
    assert by("anna", name, "1").status == 2
    assert by("anna", name, "--reason", "x").status == 2
    assert by("anna", name, "99", "--reason", "x").status == 2
    said = by("anna", "withdraw", "1", "--reason", "  ")
    assert said.status == 1
    assert "reason" in said.err


def test_a_card_is_named_by_number_or_crn(by: By, bureau: Bureau) -> None:
    """Named both ways it is one card."""
    by("carl", "submit", PAYMENT)
    said = by("carl", "withdraw", "1", "2B0601040181FD59638768", "--reason", "wrong address")
    assert said.out.startswith("request 1: withdraw card 1\n")
