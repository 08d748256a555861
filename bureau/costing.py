"""What a job costs: plastic, encoder time and changes of stock, and beforehand what cards like its own have cost."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bureau.scheduling import Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a job has taken so far; *busy_time* is how long encoders had its cards in hand, in microseconds.

    drawn = good + spent + returned + in_hand, where spent is spoiled, mute or of unknown fate; of the spent some are
    destroyed, and some are *to_destroy*: not those whose record is suspect, until a person has decided.
    """

    busy_time: int
    drawn: int
    good: int
    spent: int
    to_destroy: int
    destroyed: int
    returned: int
    in_hand: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What the newest good *records* of one kind took in all: microseconds, and plastics that didn't come back untouched."""

    records: int
    busy_time: int
    plastics: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a job was expected to cost when it was submitted, told from *like* good records of each kind, or more.

    *busy_time* (microseconds) and *plastics* are None where no card like some of its own had been made.
    """

    like: int
    busy_time: int | None
    plastics: int | None
    stock_changes: int


def estimate(lots: Sequence[tuple[int, Past]], stocks: Collection[str], lines: Sequence[Line]) -> Estimate:
    """Return what a job will cost whose *lots* have so many records each, of a kind with that past; plastics rounded up."""
    changes = sum(not _is_at_hand(stock, lines) for stock in set(stocks))
    like = min((past.records for _, past in lots), default=0)
    if not like:
        return Estimate(like=0, busy_time=None, plastics=None, stock_changes=changes)
    return Estimate(
        like=like,
        busy_time=sum(records * past.busy_time // past.records for records, past in lots),
        plastics=sum(-(-records * past.plastics // past.records) for records, past in lots),
        stock_changes=changes,
    )


def _is_at_hand(stock: str, lines: Sequence[Line]) -> bool:
    """Return whether some encoder takes *stock* without a change: it is its last one, or the first it will ever take."""
    able = [line for line in lines if stock in line.machine.stocks]
    return any(line.last is None or line.last.stock == stock for line in able)
