"""Lots that hold themselves on simulated encoders, and what the issuer is told of rejects; compared with the world."""

import csv
import os
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from lxml import etree

from bureau.ledger import auditing, stops, views
from bureau.models import CardState, JobId, LotId, Role
from bureau.service import decisions, operate
from bureau.service.plant import Plant, no_wake
from tests.e2e import bureaus
from tests.e2e.batches import standard_job
from tests.e2e.bureaus import ACTOR, BLUE, Bureau, Station
from tests.typed import Typed

REFUSING, SILENT = "memory = 10", "mute_at = 20"
JOB, LOT = JobId(1), LotId(1)


@pytest.fixture
def bureau(home: Path, log: StringIO) -> Iterator[Bureau]:
    """A bureau whose lots hold themselves above five percent."""
    settings = replace(bureaus.settings(home), most_rejects=5)
    with bureaus.opened(Plant(settings)) as opened:
        yield opened
        assert auditing.verify(opened.plant.ledger, opened.plant.keystore.authenticate) is None


def _assert_balanced(bureau: Bureau) -> None:
    """Assert that the ledger counts each plastic that the world has drawn."""
    (balance,) = bureau.balances(JOB)
    known = balance.good_plastics + balance.spoiled + balance.mute + balance.unknown + balance.returned + balance.in_hand
    assert balance.drawn == known == len(bureau.plastics())
    assert balance.records_in == balance.good + balance.scrapped + balance.withdrawn + balance.open


def test_three_encoders_make_one_first_article(bureau: Bureau, tmp_path: Path) -> None:
    """The world has one plastic touched until a person has approved it, then one for each record."""
    bureau.equip(*(Station(name=f"sim{number}", seed=number) for number in (1, 2, 3)))
    jobs = bureau.submit(standard_job(tmp_path / "job.xml", 8))
    operate.release(bureau.plant, jobs, ACTOR, no_wake, first_article=True)
    for _ in range(2):
        bureau.run_all()
        (first,) = bureau.touched()
        assert first.tray == "good"
        _assert_balanced(bureau)
    operate.release_lot(bureau.plant, LOT, ACTOR, no_wake)
    bureau.run_all()
    assert [plastic.tray for plastic in bureau.touched()] == ["good"] * 8
    _assert_balanced(bureau)


def test_a_first_article_that_fails_is_made_on_the_next_blank(bureau: Bureau, tmp_path: Path) -> None:
    """One after the other, until one is good."""
    bureau.equip(Station(name="sim1", seed=1, defects={1: REFUSING, 2: "dead = true"}))
    jobs = bureau.submit(standard_job(tmp_path / "job.xml", 5))
    operate.release(bureau.plant, jobs, ACTOR, no_wake, first_article=True)
    bureau.run()
    assert {plastic.position: plastic.tray for plastic in bureau.plastics()} == {1: "reject", 2: "reject", 3: "good"}
    _assert_balanced(bureau)


def test_a_lot_stops_at_its_share_of_rejects(bureau: Bureau, tmp_path: Path) -> None:
    """After the third reject nothing more is drawn, though the encoder is open; a person lets it go on."""
    defects = {1: REFUSING, 3: SILENT, 5: REFUSING}
    bureau.equip(Station(name="sim1", seed=1, defects=defects), Station(name="sim2", seed=2))
    bureau.take(standard_job(tmp_path / "job.xml", 8))
    bureau.run("sim1")
    bureau.run("sim2")
    assert [plastic.tray for plastic in bureau.plastics()] == ["reject", "good", "reject", "good", "reject"]
    with bureau.plant.ledger.read() as connection:
        hold = views.list_jobs(connection, [JOB])[0].stops[1]
    assert (hold.by, hold.reason) == ("sim1", "3 of 5 cards went wrong (60.0 %, more than 5 %)")
    _assert_balanced(bureau)
    stops.release(bureau.plant.ledger, LOT, ACTOR, bureau.plant.clock())
    bureau.run("sim2")
    assert [plastic.tray for plastic in bureau.plastics()].count("good") == 5
    _assert_balanced(bureau)


def test_the_issuer_is_told_the_cause_of_each_reject(bureau: Bureau, typed: Typed, tmp_path: Path) -> None:
    """In the reject file and in the trail alike: whose fault each was, what it cost, and what was decided about it."""
    bureau.equip(Station(name="sim1", seed=1, blanks={BLUE: 9}, defects={1: REFUSING, 2: SILENT}))
    bureau.take(standard_job(tmp_path / "job.xml", 4))
    bureau.run()
    states = {card.crn: card.state for card in bureau.cards(JOB)}
    rejected, suspect = (
        next(crn for crn in states if states[crn] is state) for state in (CardState.REJECTED, CardState.SUSPECT)
    )
    decisions.add_account(bureau.plant, "anna", Role.SUPERVISOR, b"passphrase of anna", None)
    read, write = os.pipe()
    os.write(write, b"passphrase of anna")
    os.close(write)
    assert typed("scrap", "1", "2", "--reason", "x", "--as", "anna", "--passphrase-fd", str(read))[0] == 0
    folder = bureau.plant.settings.trails / "batch-1"
    (file,), (trail,) = folder.glob("*.rejects.csv"), folder.glob("*.xml")
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["crn"], row["outcome"], row["cause_code"], row["plastics"]) for row in rows] == [
        (rejected, "scrapped", "card", "1"),
        (suspect, "scrapped", "card", "1"),
    ]
    told = {
        str(log.find("{*}CRN").get("Number")): log.find("{*}Error").get("ErrorCategory")  # type: ignore[union-attr]
        for log in etree.parse(trail).iterfind(".//{*}CardConfigurationLog")
        if log.find("{*}Error") is not None
    }
    assert told == {rejected: "CARD", suspect: "CARD"}
    assert len([plastic for plastic in bureau.plastics() if plastic.tray == "reject"]) == 2
