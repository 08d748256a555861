"""Whether jobs are closed, and if not exactly what is missing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from bureau import reasons
from bureau.ledger import closing, standing, vault, views
from bureau.ledger.closing import Balance
from bureau.ledger.vault import Holding
from bureau.ledger.views import JobView
from bureau.models import BatchId, JobId
from bureau.reasons import Standing
from bureau.service.plant import Plant
from bureau.wording import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """One lot of a job, by its number from 1, and what keeps it from being closed; nothing where it is."""

    job: JobView
    number: int
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """How jobs end: their lots, what doesn't balance in the book of their stocks, the batches of theirs that are whole."""

    lots: tuple[Lot, ...]
    book: tuple[str, ...]
    whole: tuple[BatchId, ...]


def close(plant: Plant, jobs: Sequence[JobId], actor: str) -> Closing:
    """Close the lots of *jobs* that are done, and say what each of the others is missing.

    Lots close by themselves with their last card; only a fault can have left one open that balances.
    """
    with plant.ledger.write(actor, plant.clock()) as tx:
        for number in jobs:
            for lot in views.list_lots(tx.connection, number):
                closing.close_lot(tx, lot.lot)
    now, zone = plant.clock(), plant.settings.plant
    with plant.ledger.read() as connection:
        stocks, lots = set[str](), list[Lot]()
        found = views.list_jobs(connection, jobs)
        for job in found:
            explained = standing.explain(connection, job.number, now, zone)
            for view, each in zip(views.list_lots(connection, job.number), explained, strict=True):
                stocks.add(view.stock)
                missing = () if view.closed_at else tuple(_missing(each.standing, view.balance, zone))
                lots.append(Lot(job=job, number=view.position + 1, missing=missing))
        book = [_miscounted(each) for each in vault.holdings(connection) if each.stock in stocks and not each.balances]
        batches = [batch for batch in dict.fromkeys(job.batch for job in found) if closing.is_whole(connection, batch)]
    return Closing(lots=tuple(lots), book=tuple(book), whole=tuple(batches))


def _missing(at: Standing, balance: Balance, zone: tzinfo) -> Iterator[str]:
    """Say in numbers what a lot that isn't closed waits for, and what of it doesn't balance."""
    yield from reasons.holds(at, zone)
    if at.ready:
        yield f"{counted(at.ready, 'card')} to be made: see `bureau why {at.lot.job}`"
    if at.at_work:
        yield f"{counted(len(at.at_work), 'card')} in hand on {', '.join(dict.fromkeys(at.at_work))}"
    yield from reasons.undecided(at)
    known = balance.good + balance.scrapped + balance.withdrawn + balance.open
    if known != balance.records_in:
        yield f"{counted(balance.records_in, 'record')} came in and {known} are there"
    if balance.good != balance.good_plastics:
        yield f"{counted(balance.good, 'record')} good on {counted(balance.good_plastics, 'good card')}"
    if balance.in_hand != len(at.at_work):
        yield f"{counted(balance.in_hand, 'blank')} drawn without an end, {counted(len(at.at_work), 'card')} in hand"


def _miscounted(holding: Holding) -> str:
    place = holding.encoder or "the vault"
    sums = f"{holding.came} came, but {holding.went} went + {holding.drawn} drawn + {holding.left} left"
    return f"the book of {holding.stock} on {place} doesn't balance: {sums}"
