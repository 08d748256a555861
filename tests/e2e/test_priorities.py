"""Which card is next: what matters most, asked afresh for each card."""

from pathlib import Path

from hardware.encoders.simulator import Simulator
from tests.e2e import expected
from tests.e2e.batches import luhn, standard_job
from tests.e2e.bureaus import BLUE, GOLD, Bureau, Station
from tests.e2e.expected import PAYMENT, Expected

URGENT = [card for card in expected.cards(PAYMENT) if card.job == "URGENT"]


def test_urgent_records_come_first(bureau: Bureau) -> None:
    """With both jobs released, the first two chips that one encoder touches are the urgent records, in file order."""
    bureau.equip(Station(name="sim1", seed=1, blanks={BLUE: 20, GOLD: 5}))
    bureau.take(PAYMENT)
    assert bureau.run() == 10
    cards = expected.cards(PAYMENT)
    order = [next(card for card in cards if card.is_on(plastic.contents)) for plastic in bureau.touched()]
    assert order[:2] == URGENT
    assert [card.job for card in order[2:]] == ["STANDARD"] * 8


def test_urgent_work_waits_for_one_card_at_most(bureau: Bureau, tmp_path: Path) -> None:
    """An urgent job that is released in the middle of a card of a 50-card job gets the next chips."""
    batch = standard_job(tmp_path / "fifty.xml", 50)
    fifty = expected.cards(batch)
    bureau.equip(Station(name="sim1", seed=1, blanks={BLUE: 60, GOLD: 5}))
    bureau.take(batch)
    bureau.submit(PAYMENT)
    urgent = bureau.job("URGENT")
    released: list[int] = []

    def release(moment: str) -> None:
        if not released and moment == "after" and len(bureau.touched()) == 7:
            bureau.release([urgent])
            released.append(7)

    bureau.start("sim1", Simulator.start, probe=release)
    assert bureau.run() == 52
    touched = bureau.touched()
    assert released == [7]
    assert [card for plastic in touched[7:9] for card in URGENT if card.is_on(plastic.contents)] == URGENT
    assert _made(fifty, [plastic.contents for plastic in touched[:7] + touched[9:]]) == fifty


def test_generated_cards_differ_in_crn_and_pan(tmp_path: Path) -> None:
    """The batch that these tests make has fresh CRNs, and PANs with true check digits that no sample has."""
    batch = standard_job(tmp_path / "batch.xml", 5)
    pans = {secret.value.decode() for secret in expected.secrets(batch) if secret.kind == "PAN"}
    assert len(pans) == 5
    assert all(luhn(pan[:-1]) == pan for pan in pans)
    assert not pans & {secret.value.decode() for secret in expected.secrets(PAYMENT) if secret.kind == "PAN"}
    assert len({card.crn for card in expected.cards(batch) + expected.cards(PAYMENT)}) == 15


def _made(cards: list[Expected], contents: list[dict[str, str]]) -> list[Expected]:
    """Return the cards in the order in which they were made."""
    return [next(card for card in cards if card.contents == found) for found in contents]
