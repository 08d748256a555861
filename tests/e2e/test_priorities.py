"""Which card is next: what matters most, asked afresh for each card."""

import json
from collections.abc import Callable
from pathlib import Path

from bureau.ledger import floor, vault, views
from bureau.models import CardState, EncoderId
from bureau.service import operate
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


def test_a_job_held_in_mid_card_ends_with_that_card(bureau: Bureau, tmp_path: Path) -> None:
    """The card in hand is finished and good, no other chip of the job is touched, and released again the job is finished."""
    batch = standard_job(tmp_path / "five.xml", 5)
    bureau.equip(Station(name="sim1", seed=1))
    (job,) = bureau.take(batch)

    def hold(moment: str) -> None:
        if moment == "before" and len(bureau.touched()) == 2:
            operate.hold_job(bureau.plant, job, "wrong artwork", "anna")

    bureau.start("sim1", Simulator.start, probe=hold)
    assert bureau.run() == 2
    assert [card.state for card in bureau.cards(job)] == [CardState.GOOD] * 2 + [CardState.READY] * 3
    assert _made(expected.cards(batch)[:2], [plastic.contents for plastic in bureau.touched()]) == expected.cards(batch)[:2]
    bureau.machines.pop(EncoderId("sim1")).close()
    bureau.release([job])
    assert bureau.run() == 3
    assert _made(expected.cards(batch), [plastic.contents for plastic in bureau.touched()]) == expected.cards(batch)


def test_an_encoder_with_two_stocks_changes_once(bureau: Bureau, tmp_path: Path) -> None:
    """Two equal jobs on two stocks, the one that arrived first released last: all of the other, then all of it."""
    blue = standard_job(tmp_path / "three.xml", 3)
    gold = tmp_path / "gold.xml"
    gold.write_text(standard_job(tmp_path / "four.xml", 4).read_text().replace(BLUE, GOLD).replace("FD5963E", "FD5963A"))
    bureau.equip(Station(name="sim1", seed=1, blanks={BLUE: 20, GOLD: 5}))
    first, second = [bureau.submit(file)[0] for file in (blue, gold)]
    bureau.release([second])
    bureau.start("sim1", Simulator.start, probe=_once(lambda: bureau.release([first])))
    assert bureau.run() == 7
    journal = [json.loads(line) for line in (bureau.worlds / "sim1.journal").read_text().splitlines()]
    assert [entry["set"]["stock"] for entry in journal if entry.get("event") == "fed"] == [GOLD] * 4 + [BLUE] * 3
    with bureau.plant.ledger.read() as connection:
        assert [view.stock_changes for view in floor.list_encoders(connection)] == [1]
        assert [views.list_jobs(connection, [job])[0].stock_changes for job in (first, second)] == [1, 0]


def test_an_encoder_draws_no_more_than_was_loaded(bureau: Bureau, tmp_path: Path) -> None:
    """Though twenty lie in its hopper: three by the book, one of them mute, are two good cards; then more are loaded."""
    bureau.equip(Station(name="sim1", seed=1, defects={2: "mute_at = 1"}))
    (job,) = bureau.take(standard_job(tmp_path / "five.xml", 5))
    plant, sim1 = bureau.plant, EncoderId("sim1")
    vault.receive(plant.ledger, BLUE, 100, "anna", plant.clock())
    vault.load(plant.ledger, sim1, BLUE, 3, "anna", plant.clock())
    assert bureau.run() == 3
    assert (len(bureau.plastics()), len(bureau.touched())) == (3, 2)
    vault.load(plant.ledger, sim1, BLUE, 50, "anna", plant.clock())
    assert bureau.run() == 3
    assert vault.unload(plant.ledger, sim1, BLUE, None, "anna", plant.clock()) == 53 - len(bureau.plastics())
    assert [card.state for card in bureau.cards(job)] == [CardState.GOOD] * 5


def _once(act: Callable[[], None]) -> Callable[[str], None]:
    todo = [act]
    return lambda _moment: todo.pop()() if todo else None


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
