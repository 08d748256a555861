"""Suspect cards that no reader gets, and those that can't be proved."""

from bureau.models import JobId
from tests.e2e.batches import standard_job
from tests.e2e.bureaus import BLUE, Bureau, Station
from tests.typed import Typed


def test_the_card_of_a_simulated_encoder_cannot_be_resolved(bureau: Bureau, typed: Typed) -> None:
    """It is said where it lies, before any reader is looked for, and what can be done."""
    file = bureau.plant.settings.home / "job.xml"
    bureau.equip(Station(name="sim1", seed=1, blanks={BLUE: 1}, defects={1: "mute_after = 20"}))
    bureau.take(standard_job(file, 1))
    bureau.run()
    assert [card.state for card in bureau.cards(JobId(1))] == ["suspect"]
    status, out, said = typed("resolve", "1", "--reader", "any")
    assert (status, out) == (1, "")
    assert "card 1 lies in the world of simulated encoder sim1, where no reader gets it" in said
    assert "bureau scrap 1" in said
    assert typed("resolve", "9", "--reader", "any")[0] == 2
