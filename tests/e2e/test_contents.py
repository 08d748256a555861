"""The cards that come out hold what the issuer's file says, to the byte, and nothing else."""

import ast
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from hardware.sim import plastics
from tests.e2e import expected, worlds
from tests.e2e.bureaus import FOUR, Bureau
from tests.e2e.expected import EXPORT, PAYMENT, SINGLE, Expected

ALLOWED = {"cryptography", "lxml", *sys.stdlib_module_names}


@pytest.mark.parametrize("module", [expected, plastics, worlds], ids=lambda module: module.__name__)
def test_expectations_come_from_outside_the_code_under_test(module: object) -> None:
    """What is expected, and what is seen, is computed with lxml, cryptography and journals, and nothing else of ours."""
    tree = ast.parse(Path(str(vars(module)["__file__"])).read_text())
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) if node.level == 0}
    assert not any(node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    assert {name.partition(".")[0] for name in imported - {plastics.__name__}} <= ALLOWED
    assert imported


def test_expectations_hold_what_the_samples_say() -> None:
    """Ten, one and three cards are due, and what was encrypted is seen in clear."""
    assert [len(expected.cards(file)) for file in (PAYMENT, SINGLE, EXPORT)] == [10, 1, 3]
    for card in expected.cards(PAYMENT):
        assert len(card.contents) == 15
        assert card.contents[f"{card.aid} dgi/8010"].startswith("24")
    assert set(expected.cards(EXPORT)[0].contents.values()) == {
        "4761730000050008", "444F452F4A414E45", "261101", "01", "4761730000050008D291220100000000000F",
    }  # fmt: skip


def test_every_record_is_on_exactly_one_card_through_four_encoders(bureau: Bureau) -> None:
    """Four encoders at once make 14 of 14 cards: each CRN's data on one plastic, exactly, and no other is touched."""
    bureau.equip(*FOUR)
    jobs = bureau.take(PAYMENT, SINGLE, EXPORT)
    bureau.run_all()
    wanted = [card for file in (PAYMENT, SINGLE, EXPORT) for card in expected.cards(file)]
    touched = bureau.touched()
    for card in wanted:
        mine = [plastic for plastic in touched if card.is_on(plastic.contents)]
        assert len(mine) == 1, f"{card.crn} is on {len(mine)} plastics"
        assert mine[0].contents == card.contents
        assert mine[0].states == {card.aid: "0F"}
        assert mine[0].tray == "good"
    assert len(touched) == len(wanted) == 14
    assert {card.state for job in jobs for card in bureau.cards(job)} == {"good"}
    assert all(balance.records_balance and balance.stock_balances for job in jobs for balance in bureau.balances(job))


def test_plastic_comes_from_the_stock_that_the_lot_names(bureau: Bureau) -> None:
    """The two urgent records lie on gold plastic, all others on blue."""
    bureau.equip(*FOUR)
    bureau.take(PAYMENT)
    bureau.run_all()
    stocks = {
        card.crn: plastic.memory["stock"] for card in expected.cards(PAYMENT) for plastic in bureau.touched()
        if card.is_on(plastic.contents)
    }  # fmt: skip
    assert {stocks[card.crn] for card in _of("URGENT")} == {"PLASTIC-GOLD"}
    assert {stocks[card.crn] for card in _of("STANDARD")} == {"PLASTIC-BLUE"}


def test_cards_are_written_in_file_order_within_a_lot(bureau: Bureau) -> None:
    """One encoder makes a lot's records in the order of the issuer's file."""
    bureau.equip(FOUR[0])
    bureau.take(PAYMENT)
    assert bureau.run() == 8
    found = [next(card.crn for card in _of("STANDARD") if card.is_on(plastic.contents)) for plastic in bureau.touched()]
    assert found == [card.crn for card in _of("STANDARD")]
    assert all(before < after for before, after in pairwise(plastic.position for plastic in bureau.touched()))


def _of(job: str) -> list[Expected]:
    return [card for card in expected.cards(PAYMENT) if card.job == job]
