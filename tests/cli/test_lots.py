"""Lots on hold as people type them: held, released, their first article approved."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bureau.ledger import claims, encoders
from bureau.models import AttemptOutcome, CardState, EncoderId
from bureau.service.plant import Plant
from config import settings
from tests.cli.conftest import Bureau, By
from tests.cli.staff import log, os_user
from tests.cli.test_commands import PAYMENT

SIM1 = EncoderId("sim1")
Make = Callable[..., int]


@pytest.fixture
def make() -> Make:
    """Let sim1 end the next card, as the ledger sees it, and return its number."""

    def ended(outcome: AttemptOutcome = AttemptOutcome.GOOD, *, chip: str = "AA", cause: str | None = None) -> int:
        plant = Plant(settings.current())
        now = plant.clock()
        encoders.start(plant.ledger, plant.encoders[SIM1].machine, now)
        encoders.open_line(plant.ledger, SIM1, "anna", now)
        claim = claims.claim(plant.ledger, SIM1, now, plant.settings.lease)
        assert claim is not None
        claims.begin_writing(plant.ledger, claim, "CPLC", chip, 1, now, plant.settings.lease)
        if outcome is AttemptOutcome.GOOD:
            claims.verifying(plant.ledger, claim, now, plant.settings.lease)
        state = {AttemptOutcome.GOOD: CardState.GOOD, AttemptOutcome.SPOILED: CardState.REJECTED}
        claims.settle(plant.ledger, claim, state.get(outcome, CardState.SUSPECT), outcome, plant.clock(), cause=cause)
        plant.ledger.close()
        return claim.card

    return ended


def _waits(bureau: Bureau) -> list[str]:
    return list(json.loads(bureau("jobs", "--json").out)[0]["waits"])


def test_a_first_article_waits_for_a_supervisor(by: By, bureau: Bureau, home: Path, make: Make) -> None:
    """An operator asks for it with the release; every listing says what it waits for; the log says who approved it."""
    by("carl", "submit", PAYMENT)
    assert by("carl", "release", "1", "--first-article").status == 0
    assert make() == 1
    article = "first article: card 1 waits for approval"
    (waits,) = _waits(bureau)
    assert re.fullmatch(rf"lot 1 held by sim1 since [-0-9: ]{{16}}: {article}", waits)
    for words in ("why 1", "job 1"):
        assert article in bureau(*words.split()).out
    assert "waits for" in bureau("watch", "--once").out
    refused = by("carl", "release", "1", "--lot", "1")
    assert (refused.status, "carl is no supervisor" in refused.err) == (1, True)
    said = by("anna", "release", "1", "--lot", "1")
    assert (said.status, said.out) == (0, "lot 1 of job 1 is released; its first article, card 1, is approved\n")
    assert _waits(bureau) == []
    assert log(home)[-2:] == [
        (f"anna (os: {os_user()})", "approve article", "card 1"),
        (f"anna (os: {os_user()})", "release", "lot 1"),
    ]
    assert make(chip="BB") == 2


def test_too_many_rejects_hold_a_lot(founded: Bureau, make: Make) -> None:
    """By the plant's own share; releasing its job again says how to release the lot."""
    founded("submit", PAYMENT)
    founded("release", "1")
    for chip in ("A1", "A2", "A3"):
        assert "went wrong" not in "".join(_waits(founded))
        make(AttemptOutcome.SPOILED, chip=chip)
    assert "3 of 3 cards went wrong (100.0 %, more than 5 %)" in _waits(founded)[0]
    again = founded("release", "1")
    assert (again.status, "bureau release 1 --lot 1" in again.err) == (1, True)
    assert founded("release", "1", "--lot", "1").out == "lot 1 of job 1 is released\n"


@pytest.mark.parametrize("percent", ["-1", "101", "few"])
def test_a_share_that_is_no_percentage_is_refused(founded: Bureau, monkeypatch: pytest.MonkeyPatch, percent: str) -> None:
    """Exit status 2, and the variable is named."""
    monkeypatch.setenv("BUREAU_REJECT_PERCENT", percent)
    said = founded("jobs")
    assert (said.status, "BUREAU_REJECT_PERCENT" in said.err) == (2, True)


def test_a_lot_is_held_by_hand(founded: Bureau) -> None:
    """Its job isn't, and a lot that goes on isn't released twice."""
    founded("submit", PAYMENT)
    founded("release", "1")
    said = founded("hold", "1", "--lot", "1", "--reason", "wrong artwork")
    assert said.out == "lot 1 of job 1 is held; cards in hand are finished. Next: bureau release 1 --lot 1\n"
    (job,) = json.loads(founded("job", "1", "--json").out)
    assert job["state"] == "released"
    assert re.fullmatch(r"held by anna since [-0-9: ]{16}: wrong artwork", job["lots"][0]["held"])
    assert founded("release", "1", "--lot", "1").status == 0
    again = founded("release", "1", "--lot", "1")
    assert (again.status, "isn't held" in again.err) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ("release", "1", "--lot", "2"),
        ("release", "9", "--lot", "1"),
        ("release", "1", "--lot", "0"),
        ("release", "1", "2", "--lot", "1"),
        ("release", "B2026-001", "--lot", "1"),
        ("release", "1", "--lot", "1", "--first-article"),
        ("hold", "1", "--lot", "2"),
        ("hold", "1", "2", "--lot", "1"),
        ("hold", "sim1", "--lot", "1"),
    ],
    ids=" ".join,
)
def test_a_lot_needs_its_one_job_and_its_number(founded: Bureau, home: Path, words: tuple[str, ...]) -> None:
    """Status 2, and nothing is done."""
    founded("submit", PAYMENT)
    founded("release", "1", "2")
    before = log(home)
    assert founded(*words).status == 2
    assert log(home) == before


def test_who_holds_an_encoder_is_shown(founded: Bureau, make: Make) -> None:
    """Since when, too; an open one is held by nobody."""
    founded("submit", PAYMENT)
    founded("release", "1")
    make()
    (shown, *_) = json.loads(founded("encoders", "--json").out)
    assert (shown["state"], shown["held_by"], shown["since"]) == ("open", None, None)
    founded("hold", "sim1", "--reason", "lunch")
    (shown, *_) = json.loads(founded("encoders", "--json").out)
    assert (shown["why"], shown["held_by"], shown["since"][:2]) == ("lunch", "anna", "20")
    assert "sim1 is held by anna since " in founded("why", "1").out
    assert "held by anna since " in " ".join(founded("watch", "--once").out.split())
