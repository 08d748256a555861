"""One card: claimed, pressed, settled. Every ending has its place in the ledger and its tray on the machine."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from bureau.containers import orders
from bureau.errors import BureauError, FenceError, NotAllowedError, UnavailableError
from bureau.ledger import claims, traces
from bureau.ledger.claims import Claim
from bureau.models import AttemptOutcome, BatchId, CardState, ReachedAid, SealedCard, StepResult
from bureau.service.blame import blame
from bureau.service.catalog import Shelf
from bureau.service.plant import Plant
from bureau.service.press import SEED, Press, Results, Work
from bureau.service.seal import unseal
from bureau.service.tape import Tape
from hardware.crypto import random_bytes
from hardware.encoders import Encoder, Tray
from hardware.errors import AuthenticationError, HardwareError, LostCard, MuteCard, PlanError, ProtocolError, WrongCard
from hardware.iso7816 import Command, Response
from hardware.perso.order import Order
from hardware.perso.product import Product

log = structlog.get_logger(__name__)


TRAYS: Final = dict.fromkeys(AttemptOutcome, Tray.REJECT) | {
    AttemptOutcome.GOOD: Tray.GOOD,
    AttemptOutcome.RETURNED: Tray.RETURNED,
}
"""Where a piece of plastic goes by what the ledger says has become of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a claim ended: the card's tray (None: no blank was fed), and the batch that it closed."""

    tray: Tray | None
    closed: BatchId | None = None


def prepare(plant: Plant, product: Product, record: SealedCard) -> Work:
    """Unseal a record and find all that its card takes, before a blank is fed; raises BureauError, HardwareError."""
    key = plant.keystore.unwrap(record.wrapped_data_key)
    order = orders.order(unseal(record.sealed, key, record.issuer, record.crn))
    catalog = Shelf.of(plant.ledger, record.profiles).catalog(order, product)
    return Work(
        order=order,
        catalog=catalog,
        product=product,
        host_challenge=random_bytes(16),
        seed=random_bytes(SEED),
        today=plant.clock().date(),
        own_challenge=random_bytes(16),
    )


def encode(plant: Plant, machine: Encoder, claim: Claim, work: Work) -> Ended:
    """Make the claimed card on the next blank of *machine*.

    Whatever else is raised, an interruption too, the card goes where the ledger says; while the ledger doesn't answer, it
    stays in the station.
    """
    tape = Tape(plant, machine, claim, work)
    try:
        ended = _made(plant, machine, claim, work, tape)
    except BaseException as fault:
        _abandon(plant, machine, claim, fault, tape)
        raise
    if ended.tray is not None:
        machine.eject(ended.tray)
    return ended


def _made(plant: Plant, machine: Encoder, claim: Claim, work: Work, tape: Tape) -> Ended:
    fed = machine.feed(claim.stock)
    if fed is None:
        _undrawn(plant, claim)
        return Ended(tray=None)
    position, tape.atr = fed
    making = _Making(plant, claim, work, tape, position=position)
    try:
        return making.make()
    except FenceError as lost:
        log.warning("lease_lost", card=claim.card, attempt=claim.attempt, cause=str(lost))
        if (recording := tape.recording()) is not None:
            traces.keep(plant.ledger, claim, recording, plant.clock())
        if making.begun:
            return Ended(tray=Tray.REJECT)
        now, code = plant.clock(), blame(lost)  # a clock that was set may have ended it: whoever reaps has another one
        return Ended(tray=TRAYS[claims.abandon(plant.ledger, claim, str(lost), position, now, recording, code=code)])


def _undrawn(plant: Plant, claim: Claim) -> None:
    with suppress(FenceError):  # a lease that is over has been taken back already
        claims.unclaim(plant.ledger, claim, plant.clock())


def _abandon(plant: Plant, machine: Encoder, claim: Claim, fault: BaseException, tape: Tape) -> None:
    """End what *fault* left open and let the card go; raises nothing that would hide it."""
    cause = str(fault) if isinstance(fault, BureauError | HardwareError) else f"interrupted: {type(fault).__name__}"
    try:
        position = machine.station()
        if position is None:
            _undrawn(plant, claim)
            return
        now, recording = plant.clock(), tape.recording()
        outcome = claims.abandon(plant.ledger, claim, cause, position, now, recording, code=blame(fault))
        machine.eject(TRAYS[outcome])
        log.error("card_abandoned", card=claim.card, position=position, outcome=outcome, cause=cause)
    except Exception as second:
        log.error("card_left_in_station", card=claim.card, cause=cause, error=type(second).__name__)


class _Making:
    """The steps of one claim; each fault goes where the life of a card says."""

    def __init__(self, plant: Plant, claim: Claim, work: Work, tape: Tape, *, position: int) -> None:
        self._plant, self._claim, self._work, self._position = plant, claim, work, position
        self._tape, self._press = tape, Press(work, plant.keystore, self._transmit, tape.recorder.enter)
        self._renewed = claim.lease_until - plant.settings.lease
        """When the lease last began."""
        self.begun = False
        """Whether the ledger says that the chip is being written."""

    def _transmit(self, command: Command) -> Response:
        """Exchange one command; a card that takes long and answers keeps its lease. Raises FenceError where it is over."""
        now, lease = self._plant.clock(), self._plant.settings.lease
        if now - self._renewed > lease / 3:
            self._renewed = now
            with suppress(UnavailableError):  # the lease has most of its time left
                claims.extend(self._plant.ledger, self._claim, now, lease)
        return self._tape.recorder(command)

    def make(self) -> Ended:
        """Make the card; raises FenceError where someone else decides about it now."""
        try:
            self._suits()
            self._press.open()
            self._press.look()
        except PlanError as fault:
            said = self._carried()
            return self._untouched(NotAllowedError(said) if said else fault)
        except HardwareError as fault:
            return self._untouched(fault)
        return self._write()

    def _suits(self) -> None:
        """Raise MuteCard or WrongCard where nothing need be said to this card."""
        if not self._tape.atr:
            raise MuteCard("the blank doesn't answer to reset")
        if unfit := self._work.product.unfit(self._tape.atr, self._tape.protocol):
            raise WrongCard(unfit)

    def _carried(self) -> str | None:
        """Return whose card the chip is already: that is why the plan finds something in its way."""
        chip = self._press.results.identity
        with self._plant.ledger.read() as connection:
            return claims.carried(connection, chip.kind, chip.value.hex().upper())

    def _write(self) -> Ended:
        """Write and verify; nothing here is tried twice."""

        def begin() -> None:
            identity = self._press.results.identity
            claims.begin_writing(
                self._plant.ledger,
                self._claim,
                identity.kind,
                identity.value.hex().upper(),
                self._position,
                self._plant.clock(),
                self._plant.settings.lease,
            )
            self.begun = True

        try:
            self._press.write(begin)
            sampled = claims.verifying(self._plant.ledger, self._claim, self._plant.clock(), self._plant.settings.lease)
            self._press.verify()
            if sampled:
                self._press.sample()
        except HardwareError as fault:
            if not self.begun:
                return self._untouched(fault)
            if isinstance(fault, LostCard | ProtocolError | AuthenticationError):  # no answer that counts says what it did
                return self._settle(CardState.SUSPECT, AttemptOutcome.UNKNOWN, fault)
            return self._settle(CardState.REJECTED, AttemptOutcome.SPOILED, fault)
        except NotAllowedError as refused:
            return self._untouched(refused)
        return self._settle(CardState.GOOD, AttemptOutcome.GOOD)

    def _untouched(self, fault: HardwareError | NotAllowedError) -> Ended:
        """Put the record back; unless it just doesn't suit this record, the blank is a strike against the encoder."""
        suits = not isinstance(fault, PlanError | NotAllowedError)
        outcome = AttemptOutcome.MUTE if isinstance(fault, MuteCard) else AttemptOutcome.RETURNED
        claims.give_back(
            self._plant.ledger,
            self._claim,
            str(fault),
            self._position,
            self._plant.clock(),
            outcome=outcome,
            code=blame(fault),
            strike=suits,
            hold=isinstance(fault, AuthenticationError) and fault.refused,
            forgive=not suits,
            recording=self._tape.recording(),
        )
        log.warning("blank_returned", card=self._claim.card, position=self._position, outcome=outcome, cause=str(fault))
        return Ended(tray=Tray.RETURNED if outcome is AttemptOutcome.RETURNED else Tray.REJECT)

    def _settle(self, state: CardState, outcome: AttemptOutcome, fault: HardwareError | None = None) -> Ended:
        results, cause = self._press.results, str(fault) if fault else None
        closed = claims.settle(
            self._plant.ledger,
            self._claim,
            state,
            outcome,
            self._plant.clock(),
            cause=cause,
            code=blame(fault) if fault else None,
            aids=reached(self._work.order, results),
            steps=steps(results),
            card_state=results.card_state,
            recording=self._tape.recording(),
        )
        log.info("card_settled", card=self._claim.card, attempt=self._claim.attempt, state=state, cause=cause)
        return Ended(tray=Tray.GOOD if state is CardState.GOOD else Tray.REJECT, closed=closed)


def reached(order: Order, results: Results) -> tuple[ReachedAid, ...]:
    """Return each AID of the record with what was read back; where it names none, those that its card profile supplied."""
    if order.targets:
        return tuple(
            ReachedAid(aid=target.aid, order=target.order, target=target.state, reached=results.reached.get(target.aid))
            for target in order.targets
        )
    named = {each.aid: place for place, each in enumerate(order.applications, start=1) if each.aid is not None}
    return tuple(
        ReachedAid(aid=aid, order=place, target=None, reached=results.reached.get(aid))
        for aid, place in (named or {aid: place for place, aid in enumerate(results.reached, start=1)}).items()
    )


def steps(results: Results) -> tuple[StepResult, ...]:
    """Return the last status word of each processing step that was begun."""
    return tuple(
        StepResult(application=origin.application, step=origin.step, status_words=f"{sw:04X}")
        for origin, sw in sorted(results.steps.items())
    )
