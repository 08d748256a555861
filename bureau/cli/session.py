"""What every command begins with: the plant, and how its workers are woken."""

from functools import cache
from types import ModuleType

from bureau.cli.output import note
from bureau.errors import BureauError
from bureau.ledger.ledger import Ledger
from bureau.service.operate import Tell
from bureau.service.plant import Plant, Wake, no_wake
from config import settings
from config.settings import Settings


def plant() -> Plant:
    """Return the plant of this environment; raises BureauError where there is none."""
    found = Plant(settings.current())
    if not found.settings.home.exists():
        raise BureauError(
            f"there is no bureau in {found.settings.home}", "Make one with `bureau migrate`, or see `bureau demo`."
        )
    return found


def reading() -> Ledger:
    """Return the ledger for a listing, which needs no key store; raises BureauError."""
    return Ledger(plant().settings.database_url)


def tell(now: Settings) -> Tell:
    """Return what tells a line where to listen.

    Without a broker that answers nobody is told, and nobody need be: the office asks the ledger as soon as it runs.
    """
    sender = _sender(now.broker_url)
    return sender.line if sender else lambda _encoder, _pools: None


def wake(now: Settings) -> Wake:
    """Return what wakes a pool; without a broker that answers, as for tell(), nobody."""
    sender = _sender(now.broker_url)
    return sender.pool if sender else no_wake


def broker_answers(now: Settings) -> bool:
    """Return whether the configured broker, or the one that `bureau up` left the address of, answers."""
    return _sender(now.broker_url) is not None


@cache
def _sender(broker_url: str | None) -> ModuleType | None:
    if not broker_url:
        return None
    from workers import wake  # noqa: PLC0415 - Celery costs every command a third of a second
    from workers.app import app  # noqa: PLC0415

    app.conf.broker_url = broker_url
    if wake.answers():
        return wake
    note("no broker answers; `bureau up` will find the work by itself")
    return None
