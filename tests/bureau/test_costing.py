"""What a job will cost, told from what cards like its own took: hand-computed sums."""

from dataclasses import replace

import pytest

from bureau.costing import Estimate, Past, estimate
from bureau.models import LotId
from bureau.scheduling import Last, Line
from tests.bureau.ledgers import NOW, machine

PAST = Past(records=4, busy_time=10_000_000, plastics=5)
"""2.5 s and 1.25 plastics a record."""
NONE = Past(records=0, busy_time=0, plastics=0)


def line(*stocks: str, last: str | None = None) -> Line:
    made = replace(machine(), stocks=stocks)
    return Line(machine=made, reason=None, last=Last(LotId(1), last) if last else None, pace=None, host="", seen_at=NOW)


def test_records_cost_what_records_like_them_took() -> None:
    """Six take 15 s and 7.5 plastics, which are eight."""
    found = estimate([(6, PAST)], ["BLUE"], [line("BLUE")])
    assert found == Estimate(like=4, busy_time=15_000_000, plastics=8, stock_changes=0)


def test_lots_of_several_kinds_add_up() -> None:
    """Two at 2.5 s and 1.25 plastics, and three at 1 s and one: 8 s, and 3 + 3 plastics; the shorter past is named."""
    other = Past(records=2, busy_time=2_000_000, plastics=2)
    found = estimate([(2, PAST), (3, other)], ["BLUE"], [line("BLUE")])
    assert found == Estimate(like=2, busy_time=8_000_000, plastics=6, stock_changes=0)


def test_without_a_past_nothing_is_guessed() -> None:
    """Not even where it is one lot of two that nobody knows."""
    found = estimate([(2, PAST), (3, NONE)], ["BLUE"], [line("BLUE")])
    assert found == Estimate(like=0, busy_time=None, plastics=None, stock_changes=0)


@pytest.mark.parametrize(
    ("stocks", "lines", "changes"),
    [
        (["BLUE"], [line("BLUE", last="BLUE")], 0),
        (["BLUE"], [line("BLUE", "GOLD", last="GOLD")], 1),
        (["BLUE"], [line("BLUE", "GOLD", last="GOLD"), line("BLUE", last="BLUE")], 0),
        (["BLUE", "GOLD"], [line("BLUE", "GOLD", last="GOLD")], 1),
        (["BLUE", "GOLD", "BLUE"], [line("BLUE", "GOLD", last="RED")], 2),
        (["BLUE"], [line("BLUE")], 0),
        (["BLUE"], [line("GOLD")], 1),
        (["BLUE"], [], 1),
    ],
    ids=["under way", "another", "on one of two", "one of two", "each once", "its first", "not there", "no encoder"],
)
def test_each_stock_that_no_encoder_has_under_way_is_a_change(stocks: list[str], lines: list[Line], changes: int) -> None:
    """As a claim counts it: an encoder's first stock is none."""
    assert estimate([(1, PAST)], stocks, lines).stock_changes == changes
