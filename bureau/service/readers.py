"""A card in a reader that a person, and no encoder, works with: which reader may be used, and what card it is."""

from typing import Final

from bureau.errors import NotAllowedError
from bureau.ledger import encoders
from bureau.models import EncoderId, EncoderState
from bureau.service.plant import EncoderConfig, Plant
from hardware.encoders import Tray
from hardware.encoders.pcsc import Pcsc
from hardware.encoders.pcsc.desk import Desk
from hardware.encoders.pcsc.feeder import Hand
from hardware.errors import PlanError
from hardware.keystores import Mode
from hardware.perso.product import Product

_OWN: Final = Mode.TEST
"""The mode of a reader that no encoder is on."""


def check_reader(plant: Plant, reader: str, mode: Mode) -> None:
    """Raise NotAllowedError for a reader of the other mode, and for one whose encoder may take the card.

    A reader is known by its name alone: one pcscd goes by many, and two readers of a name are taken for the same.
    """
    with plant.ledger.read() as connection:
        at_work = {each.encoder for each in encoders.machines(connection) if each.state is EncoderState.OPEN}
    bound = _bound(plant, reader)
    for name, config in bound:
        if config.machine.mode is not mode:
            raise NotAllowedError(
                f"reader {reader} is {config.machine.mode.lower()} encoder {name}'s", f"Take a {mode.lower()} reader."
            )
        if name in at_work:
            raise NotAllowedError(f"encoder {name} is open and works with reader {reader}", f"`bureau hold {name}` first.")
    if not bound and mode is not _OWN:
        raise NotAllowedError(f"reader {reader} is no {mode.lower()} encoder's", "Production cards take production readers.")


def product(plant: Plant, desk: Desk, expected: str, mode: Mode) -> Product:
    """Return the card product of the card, the *expected* one if it may be.

    Raises PlanError where there is none, NotAllowedError for one whose key isn't of *mode*.
    """
    known = sorted(plant.products.values(), key=lambda each: each.name != expected)
    fits = [each for each in known if each.unfit(desk.atr, desk.protocol) is None]
    if not fits:
        unfit = plant.products[expected].unfit(desk.atr, desk.protocol) if expected in plant.products else None
        raise PlanError(unfit or f"the card's ATR {desk.atr.hex().upper()} is of no product; {expected} was recorded")
    for of in {plant.keystore.info(key).mode for key in fits[0].masters()} - {mode}:
        raise NotAllowedError(
            f"the master key of {fits[0].name} is a {of.lower()} key", f"This takes {mode.lower()} keys: see `bureau keys`."
        )
    return fits[0]


def leave(plant: Plant, reader: str, tray: Tray) -> None:
    """Let the hand-fed encoders on *reader* ask for its card to be taken out, as what *tray* says.

    Else they would take it for a blank, or for the card that they made last.
    """
    for name, config in _bound(plant, reader):
        if stock := config.options.get("stock"):
            Hand(str(stock), plant.settings.worlds / f"{name}.fed").eject(tray)


def _bound(plant: Plant, reader: str) -> list[tuple[EncoderId, EncoderConfig]]:
    """Return the encoders that stations.toml puts on *reader*."""
    found = plant.encoders.items()
    return [(name, config) for name, config in found if config.kind == Pcsc.KEY and config.options.get("reader") == reader]
