"""What people decide on the floor: hold, release and rank jobs, open and hold lines; and the wake-ups that follow."""

from collections.abc import Callable, Sequence

from bureau.ledger import encoders, floor, stops, submissions
from bureau.ledger.stops import Released
from bureau.models import EncoderId, EncoderState, JobId, LotId, Pool
from bureau.scheduling import pool
from bureau.service.plant import Plant, Wake

Tell = Callable[[EncoderId, Sequence[Pool]], None]
"""Tells an encoder's worker which pools to listen to; repeated until the ledger shows that it does."""


def release(plant: Plant, jobs: Sequence[JobId], actor: str, wake: Wake, *, first_article: bool = False) -> None:
    """Let encoders take the cards of held *jobs*; raises NotFoundError, NotAllowedError.

    first_article: whether a person must approve the first good card of each lot before another is made.
    """
    for job in jobs:
        submissions.release(plant.ledger, job, actor, plant.clock(), first_article=first_article)
    wake_pools(plant, wake)


def release_lot(plant: Plant, lot: LotId, actor: str, wake: Wake) -> Released:
    """Let a lot go on that is held by itself, and approve its first article if it waits for that; raises NotAllowedError."""
    released = stops.release(plant.ledger, lot, actor, plant.clock())
    wake_pools(plant, wake)
    return released


def open_line(plant: Plant, name: EncoderId, actor: str, tell: Tell) -> None:
    """Let an encoder take cards; raises NotFoundError."""
    encoders.open_line(plant.ledger, name, actor, plant.clock())
    tell_lines(plant, tell)


def hold_line(plant: Plant, name: EncoderId, reason: str, actor: str, tell: Tell) -> None:
    """Let an encoder take no more cards; the one in hand is finished. Raises NotFoundError."""
    encoders.hold(plant.ledger, name, reason, actor, plant.clock())
    tell_lines(plant, tell)


def hold_job(plant: Plant, job: JobId, reason: str, actor: str) -> None:
    """Let encoders take no more cards of *job*; those in hand are finished. Raises NotFoundError, NotAllowedError."""
    submissions.hold(plant.ledger, job, reason, actor, plant.clock())


def hold_lot(plant: Plant, lot: LotId, reason: str, actor: str) -> None:
    """Let encoders take no more cards of *lot*; those in hand are finished. Raises NotAllowedError."""
    stops.hold(plant.ledger, lot, reason, actor, plant.clock())


def set_priority(plant: Plant, job: JobId, level: int, reason: str, actor: str) -> None:
    """Make *job* as urgent as *level* says, 1 the most; raises NotFoundError, NotAllowedError."""
    submissions.set_priority(plant.ledger, job, level, reason, actor, plant.clock())


def tell_lines(plant: Plant, tell: Tell) -> None:
    """Tell each encoder that doesn't listen where the ledger wants it to; one that is lost isn't there to be told."""
    with plant.ledger.read() as connection:
        views = floor.list_encoders(connection)
    for view in views:
        wanted = wanted_pools(view)
        if wanted != view.listening and view.machine.state is not EncoderState.LOST:
            tell(view.machine.encoder, wanted)


def wanted_pools(view: floor.EncoderView) -> tuple[Pool, ...]:
    """Return the pools that an encoder is to listen to: its own while its line is open."""
    return (pool(view.machine),) if view.machine.state is EncoderState.OPEN else ()


def wake_pools(plant: Plant, wake: Wake) -> None:
    """Wake each pool that has a card to make."""
    with plant.ledger.read() as connection:
        work = floor.open_work(connection)
    for name, encoders_open in work.items():
        wake(name, encoders_open)
