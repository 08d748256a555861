"""Nobody watches a screen at three in the morning: a command of the plant's choice is told."""

import json
import stat
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from bureau.ledger import encoders
from bureau.models import EncoderId
from bureau.service import alerts
from bureau.service.alerts import alert
from bureau.service.plant import Plant
from tests.e2e.batches import standard_job
from tests.e2e.bureaus import BLUE, Bureau, Station

SIM1 = EncoderId("sim1")


@pytest.fixture
def pager(tmp_path: Path) -> Path:
    """A command that writes down what it is told, beside itself; it fails while a file "broken" stands there."""
    script = tmp_path / "pager"
    script.write_text(f'#!/bin/sh\ntest ! -e {tmp_path}/broken || exit 1\n{{ echo "$@"; cat; echo; }} >> {tmp_path}/told\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


@pytest.fixture
def plant(bureau: Bureau, pager: Path) -> Plant:
    """The plant of a bureau with one encoder, whose pager has been plugged in."""
    bureau.equip(Station(name="sim1", seed=1, blanks={BLUE: 3}, defects={1: "mute_at = 12"}))
    found = Plant(replace(bureau.plant.settings, alert=f"{pager} night shift"))
    assert alert(found) == 0
    return found


def told(pager: Path) -> list[str]:
    """Return the lines that the pager has written."""
    file = pager.with_name("told")
    return file.read_text().splitlines() if file.exists() else []


def test_a_held_encoder_is_told_once(bureau: Bureau, plant: Plant, pager: Path) -> None:
    """Its words stand behind the command's own, the whole entry on standard input."""
    encoders.hold(bureau.plant.ledger, SIM1, "the hoppers are empty", "anna", bureau.plant.clock())
    assert alert(plant) == 1
    assert alert(plant) == 0
    words, entry = told(pager)
    assert words == "night shift hold encoder sim1"
    whole = json.loads(entry)
    assert (whole["actor"], whole["details"]) == ("anna", {"reason": "the hoppers are empty"})


def test_a_suspect_card_is_told_and_a_good_one_isnt(bureau: Bureau, plant: Plant, pager: Path, tmp_path: Path) -> None:
    """One record's answer was lost, the other was made."""
    bureau.take(standard_job(tmp_path / "job.xml", 2))
    bureau.run()
    assert sorted(card.state for card in bureau.cards(bureau.job("STANDARD"))) == ["good", "suspect"]
    assert alert(plant) >= 1
    assert [line for line in told(pager) if " settle " in line] == ["night shift settle card 1"]


def test_what_was_before_is_history(bureau: Bureau, pager: Path) -> None:
    """Who plugs a pager in isn't told of last year."""
    bureau.equip(Station(name="sim1", seed=1))
    encoders.hold(bureau.plant.ledger, SIM1, "long ago", "anna", bureau.plant.clock())
    assert alert(Plant(replace(bureau.plant.settings, alert=str(pager)))) == 0
    assert told(pager) == []


def test_nothing_is_lost_while_the_command_fails(bureau: Bureau, plant: Plant, pager: Path, log: StringIO) -> None:
    """It is said in the log, and told later, in order."""
    pager.with_name("broken").touch()
    for reason in ("first", "second"):
        encoders.hold(bureau.plant.ledger, SIM1, reason, "anna", bureau.plant.clock())
    assert alert(plant) == 0
    assert "alert_failed" in log.getvalue()
    pager.with_name("broken").unlink()
    assert alert(plant) == 2
    assert [json.loads(line)["details"]["reason"] for line in told(pager) if line.startswith("{")] == ["first", "second"]


@pytest.mark.parametrize("command", ["/nowhere/pager", "'unbalanced"])
def test_a_command_that_cannot_run_is_said(bureau: Bureau, plant: Plant, log: StringIO, command: str) -> None:
    """And ends nothing."""
    encoders.hold(bureau.plant.ledger, SIM1, "x", "anna", bureau.plant.clock())
    assert alert(Plant(replace(plant.settings, alert=command))) == 0
    assert "alert_failed" in log.getvalue()


def test_without_a_command_nobody_is_told(bureau: Bureau) -> None:
    """And nothing is written down."""
    bureau.equip(Station(name="sim1", seed=1))
    encoders.hold(bureau.plant.ledger, SIM1, "x", "anna", bureau.plant.clock())
    assert alert(bureau.plant) == 0


def test_a_slow_command_lets_the_office_go_on(
    bureau: Bureau, plant: Plant, pager: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its time is up the rest waits, and is told at the next round."""
    monkeypatch.setattr(alerts, "SECONDS", 0.0)
    for reason in ("empty", "lunch"):
        encoders.hold(bureau.plant.ledger, SIM1, reason, "anna", bureau.plant.clock())
    assert alert(plant) == 0
    monkeypatch.setattr(alerts, "SECONDS", 30.0)
    assert alert(plant) == 2
    assert [json.loads(entry)["details"]["reason"] for entry in told(pager)[1::2]] == ["empty", "lunch"]
