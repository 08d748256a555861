"""What a job has cost and was expected to, in words and for programs."""

from bureau.costing import Cost, Estimate
from bureau.ledger.views import JobView
from bureau.wording import counted

SECOND = 1_000_000
"""Microseconds."""


def for_programs(view: JobView, cost: Cost) -> dict[str, object]:
    """Return for programs what the job of *view* has cost, and what it was expected to."""
    expected = view.estimate
    return {
        "cost": {
            "encoder_seconds": cost.busy_time / SECOND,
            "drawn": cost.drawn,
            "good": cost.good,
            "spent": cost.spent,
            "to_destroy": cost.to_destroy,
            "destroyed": cost.destroyed,
            "returned": cost.returned,
            "in_hand": cost.in_hand,
            "stock_changes": view.stock_changes,
        },
        "estimate": expected
        and {
            "encoder_seconds": None if expected.busy_time is None else expected.busy_time / SECOND,
            "plastics": expected.plastics,
            "stock_changes": expected.stock_changes,
            "like": expected.like,
        },
    }


def in_words(view: JobView, cost: Cost) -> dict[str, object]:
    """Return the same for people."""
    became = f"{cost.good} good, {cost.spent} spent, {cost.returned} returned, {cost.in_hand} in hand"
    plastics = f"{counted(cost.drawn, 'plastic')} drawn ({became})"
    waste = f"{cost.to_destroy} to be destroyed, {cost.destroyed} destroyed"
    return {
        "cost": f"{_seconds(cost.busy_time)}, {plastics}, {counted(view.stock_changes, 'stock change')}",
        "estimate": view.estimate and _expected(view.estimate),
        "spent": waste if cost.spent else None,
    }


def _expected(told: Estimate) -> str:
    changes = counted(told.stock_changes, "stock change")
    if told.busy_time is None or told.plastics is None:
        return f"no card like these was made here yet; {changes}"
    plastics = counted(told.plastics, "plastic")
    return f"{_seconds(told.busy_time)}, {plastics}, {changes}, as {counted(told.like, 'good card')} like these took"


def _seconds(busy_time: int) -> str:
    return f"{busy_time / SECOND:.1f} encoder seconds"
