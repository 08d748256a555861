"""A CRN that is made a second time ends on two chips, after two people's word; spoiled plastic ends in the shredder."""

import json
from pathlib import Path

import pytest

from bureau.models import CardState, JobId
from tests.e2e import expected
from tests.e2e.bureaus import BLUE, Bureau, Station
from tests.e2e.expected import SINGLE
from tests.e2e.test_decisions import By, by, in_tray
from tests.typed import Typed

__all__ = ["by"]
RECORD = expected.cards(SINGLE)[0]
FIRST, SECOND = JobId(1), JobId(2)
AGAIN = ("--issuer", "TESTBANK", "--reissue", "--reason", "lost in the mail")


@pytest.fixture
def made(bureau: Bureau, tmp_path: Path) -> Path:
    """The single card is good on the second plastic, its batch answered and forgotten; returns it as another file."""
    bureau.equip(Station(name="sim1", seed=1, defects={1: "dead = true", 3: "memory = 10"}))
    bureau.take(SINGLE)
    bureau.run()
    assert [(plastic.position, plastic.tray) for plastic in bureau.plastics()] == [(1, "reject"), (2, "good")]
    file = tmp_path / "again.xml"
    file.write_bytes(SINGLE.read_bytes() + b"\n<!-- once more -->\n")
    return file


def trail(bureau: Bureau) -> bytes:
    (file,) = (bureau.plant.settings.trails / "batch-1").glob("*.xml")
    return file.read_bytes()


def test_a_reissued_card_ends_on_a_second_chip(bureau: Bureau, by: By, typed: Typed, made: Path) -> None:
    """Nothing is fed before the approval; then both chips hold the record, the ledger has both linked, the answer stands."""
    answered, (before,) = trail(bureau), bureau.cards(FIRST)
    assert by("carl", "submit", str(made), *AGAIN)[0] == 0
    assert by("carl", "release", "2")[0] == 1
    assert (bureau.run(), len(bureau.plastics())) == (0, 2)
    assert by("anna", "approve", "1")[0] == 0
    assert by("carl", "release", "2")[0] == 0
    assert bureau.run() == 1
    assert by("anna", "requeue", "2", "--reason", "spoiled")[0] == 0
    assert by("berta", "approve", "2")[0] == 0
    assert bureau.run() == 1
    assert [plastic.position for plastic in in_tray(bureau, "good")] == [2, 4]
    assert [plastic.contents for plastic in in_tray(bureau, "good")] == [RECORD.contents] * 2
    (one,), (other,) = bureau.cards(FIRST), bureau.cards(SECOND)
    assert (one.crn, one.state, one.remade_as) == (RECORD.crn, CardState.GOOD, other.card)
    assert (other.crn, other.state, other.reissue_of) == (RECORD.crn, CardState.GOOD, one.card)
    chips = {attempt.identity for card in (one, other) for attempt in bureau.attempts(card) if attempt.outcome == "good"}
    assert len(chips) == 2
    assert trail(bureau) == answered
    assert before.state == one.state
    (shown,) = json.loads(typed("job", "2", "--json")[1])
    assert (shown["reissue"], shown["made_before"]) == ("approved", [{"job": 1, "cards": 1}])


def test_a_trace_says_what_its_card_came_after(bureau: Bureau, by: By, typed: Typed, made: Path) -> None:
    """By number; by its CRN either might be meant."""
    by("carl", "submit", str(made), *AGAIN)
    by("anna", "approve", "1")
    by("carl", "release", "2")
    bureau.run()
    status, said, _ = typed("trace", "2")
    assert status == 0
    assert said.startswith(f"card 2 (CRN {RECORD.crn}, reissue of card 1), attempt 1 on sim1#3")
    status, _, said = typed("trace", RECORD.crn)
    assert status == 2
    assert "2 (TESTBANK, rejected, reissue of 1)" in said


def test_spent_plastic_is_destroyed_by_two(bureau: Bureau, by: By, typed: Typed, made: Path) -> None:
    """So many as lie in the world's trays; another count records nothing."""
    by("carl", "submit", str(made), *AGAIN)
    by("anna", "approve", "1")
    by("carl", "release", "2")
    bureau.run()
    lying = len(in_tray(bureau, "reject"))
    assert lying == 2
    waste = [{"stock": BLUE, "job": job, "waits": 1, "destroyed": 0} for job in (FIRST, SECOND)]
    assert json.loads(typed("destroy", "--json")[1]) == waste
    status, _, said = by("carl", "destroy", BLUE, "3", "--reason", "shredded")
    assert status == 1
    assert f"2 of {BLUE} wait to be destroyed, and 3 were counted: nothing is recorded" in said
    said = by("carl", "destroy", BLUE, str(lying), "--reason", "shredded")[1]
    assert said.startswith(f"request 2: destroy 2 plastics of {BLUE}\n")
    assert by("carl", "approve", "2")[0] == 1
    assert by("anna", "approve", "2")[0] == 0
    assert json.loads(typed("destroy", "--json")[1]) == [each | {"waits": 0, "destroyed": 1} for each in waste]
    assert "0 to be destroyed, 1 destroyed" in typed("job", "1")[1]
    (shown,) = json.loads(typed("job", "2", "--json")[1])
    assert (shown["cost"]["spent"], shown["cost"]["to_destroy"], shown["cost"]["destroyed"]) == (1, 0, 1)
    assert by("carl", "destroy", BLUE)[0] == 2
    assert by("carl", "destroy", "--job", "1")[0] == 2


def test_the_vault_says_what_waits_for_the_shredder(bureau: Bureau, typed: Typed) -> None:
    """Beside what is left of the stock."""
    bureau.equip(Station(name="sim1", seed=1, defects={1: "dead = true"}))
    typed("stock", "receive", BLUE, "10")
    bureau.take(SINGLE)
    bureau.run()
    (vault,) = json.loads(typed("stock", "--json")[1])
    assert (vault["place"], vault["left"], vault["to_destroy"], vault["destroyed"]) == ("vault", 10, 1, 0)
