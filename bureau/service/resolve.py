"""A suspect card back in a reader: good after all, if that very chip proves it, and otherwise as it was."""

from dataclasses import replace

from bureau.errors import NotAllowedError
from bureau.ledger import encoders, suspects
from bureau.ledger.suspects import Suspect
from bureau.models import BatchId
from bureau.service import readers
from bureau.service.encode import prepare, reached
from bureau.service.plant import Plant
from bureau.service.press import SEED, Press, Work
from hardware.crypto import random_bytes
from hardware.encoders import Tray
from hardware.encoders.pcsc.desk import Desk
from hardware.encoders.simulator import Simulator
from hardware.errors import CardError, PlanError, ReadBackError


def check_place(plant: Plant, found: Suspect) -> None:
    """Raise NotAllowedError for a card that no reader gets."""
    config = plant.encoders.get(found.encoder)
    if config is not None and config.kind == Simulator.KEY:
        card = found.record.card
        raise NotAllowedError(
            f"card {card} lies in the world of simulated encoder {found.encoder}, where no reader gets it",
            suspects.scrap(card),
        )


def resolve(plant: Plant, found: Suspect, desk: Desk, actor: str) -> BatchId | None:
    """Read back the chip at *desk* and let the card be good if it is all that its order demands; writes nothing to it.

    Its identity is read through a channel that its own keys open. Returns the batch that closed by it: its trail is due.
    Raises NotAllowedError for another chip and for one that proves nothing, and HardwareError; then nothing has changed.
    Wrong keys cost the chip no try.
    """
    work = _work(plant, found, desk)
    press = _opened(plant, work, found, desk)
    readers.leave(plant, desk.reader, Tray.REJECT)
    try:
        press.prove()
    except (ReadBackError, CardError, PlanError) as missing:
        card = found.record.card
        raise NotAllowedError(f"card {card} isn't proved good: {missing}", suspects.scrap(card)) from missing
    _opened(plant, work, found, desk)  # what was read in clear came from the same chip
    results = press.results
    with plant.ledger.write(actor, plant.clock()) as tx:
        closed = suspects.good(tx, found, reached(work.order, results), results.card_state, desk.reader)
    readers.leave(plant, desk.reader, Tray.GOOD)
    return closed


def _opened(plant: Plant, work: Work, found: Suspect, desk: Desk) -> Press:
    """Open a channel to the chip; raises NotAllowedError where it isn't the one that the suspect card is on."""
    fresh = replace(work, host_challenge=random_bytes(16), seed=random_bytes(SEED))
    press = Press(fresh, plant.keystore, desk.transmit, lambda _phase: None)
    identity = press.open()
    value = identity.value.hex().upper()
    if (identity.kind, value) != (found.identity_type, found.identity):
        raise NotAllowedError(
            f"this is another chip: {value or 'it has no identity'}, and card {found.record.card} is on {found.identity}",
            "Nothing was written to it. Put the right one into the reader.",
        )
    return press


def _work(plant: Plant, found: Suspect, desk: Desk) -> Work:
    with plant.ledger.read() as connection:
        made_as = encoders.machine(connection, found.encoder).product
    return prepare(plant, readers.product(plant, desk, made_as, found.record.mode).finished(), found.record)
