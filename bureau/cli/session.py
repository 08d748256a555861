"""What every command begins with: the plant, and how its workers are woken."""

from types import ModuleType

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
    return Ledger(plant().settings.ledger_url)


def tell(now: Settings) -> Tell:
    """Return what tells a line where to listen.

    Without a broker nobody is told, and nobody need be: the office asks the ledger as soon as it runs.
    """
    return _messages(now).line if now.broker_url else lambda _encoder, _pools: None


def wake(now: Settings) -> Wake:
    """Return what wakes a pool; without a broker, as for tell(), nobody."""
    return _messages(now).pool if now.broker_url else no_wake


def _messages(now: Settings) -> ModuleType:
    from workers import wake as messages  # noqa: PLC0415 - Celery costs every command a third of a second
    from workers.app import app  # noqa: PLC0415

    app.conf.broker_url = now.broker_url
    return messages
