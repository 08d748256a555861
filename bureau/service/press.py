"""One card on one encoder, from the blank to the read-back: what the chip says, free of any ledger.

The order of things is the point here: nothing that changes the card passes the Gate before *begin* has returned.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from hardware.diversification import recipe
from hardware.errors import AuthenticationError, CardError, LostCard, PlanError, ReadBackError
from hardware.gp import commands, identity, registry
from hardware.gp.choice import choose
from hardware.gp.identity import Identity
from hardware.gp.registry import Registry
from hardware.iso7816 import AID, Command, Dialogue, Response, T, Transmit, run
from hardware.keystores import Agreement, Base, CardKeys, Dek, Derivation, KeyId, KeyStore, Static
from hardware.perso.order import Order
from hardware.perso.plan import Catalog, Plan, blank, plan, security_level
from hardware.perso.product import Product
from hardware.perso.readback import check_provable, read_back
from hardware.perso.rotation import Rotation
from hardware.perso.steps import Origin
from hardware.scp import OffCard, Opening, SecureChannel, channel, secured

SAMPLE: Final = "sample"
"""The phase in which all is read back; what it asks isn't part of making the card."""
SEED: Final = 56
"""Bytes that an ephemeral key on the longest curve comes from."""


class StateError(ReadBackError):
    """An application didn't reach the life cycle state that it must have."""


class Gate:
    """Lets no command through that changes the card before *begin* has returned."""

    def __init__(self, transmit: Transmit, begin: Callable[[], None]) -> None:
        self._transmit, self._begin, self.passed = transmit, begin, False

    def __call__(self, command: Command) -> Response:
        """Exchange one command, first calling *begin* if it is the first that changes the card."""
        if command.changes_card:
            self.open()
        return self._transmit(command)

    def open(self) -> None:
        """Call *begin* unless that was done."""
        if not self.passed:
            self._begin()
            self.passed = True


@dataclass(slots=True)
class Results:
    """What is known so far of the card under way; *steps* maps each processing step to its last status word."""

    identity: Identity = identity.ANONYMOUS
    card_state: int | None = None
    steps: dict[Origin, int] = field(default_factory=dict)
    reached: dict[AID, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Everything about one card that can be made ready before there is a blank.

    seed: SEED drawn bytes, for an ephemeral key where keys are agreed on; certificates are judged by *today*.
    own_challenge: the host challenge of the channel that proves the card's own keys, where it gets some.
    """

    order: Order
    catalog: Catalog
    product: Product
    host_challenge: bytes
    seed: bytes = field(default=b"", repr=False)
    today: date = date.max
    own_challenge: bytes = b""


class Press:
    """Makes one card: open, look, write, verify, and sample where it is one, in this order.

    Or proves that one is made: open, prove.
    """

    def __init__(self, work: Work, keystore: KeyStore, transmit: Transmit, enter: Callable[[str], None]) -> None:
        """Talk to the card through *transmit*; *enter* is told what begins, in words."""
        self._work, self._keystore, self._transmit, self._enter = work, keystore, transmit, enter
        self.results = Results()
        self.opened = False
        """Whether the card's keys have proved right."""

    def open(self) -> Identity:
        """Open the secure channel, and read through it who the chip is; raises HardwareError, and nothing was written then.

        Ahead of the channel it could be another chip that says who it is: a swap inside one poll goes unnoticed by PC/SC.
        """
        product = self._work.product
        if product.isd_aid is None:
            raise PlanError(f"{product.name} is no GlobalPlatform card, and this engine has no interpreter for it yet")
        self._enter("open the channel")
        opening = Opening(
            i=product.i,
            level=security_level(self._work.order, product),
            kvn=product.kvn,
            host_challenge=self._work.host_challenge,
            sd_aid=product.isd_aid,
            extended=product.extended,
            pad_empty=product.pad_empty,
            off_card=self._off_card(),
        )
        try:
            self._channel: SecureChannel = run(self._opened(opening), self._transmit)
        except AuthenticationError as wrong:
            said = f"{wrong}, recipe {product.recipe}; {tries(wrong, product.tries)}"
            raise AuthenticationError(said, refused=wrong.refused) from wrong
        self.opened = True
        self._enter("identify")
        self.results.identity = run(self._secured(identity.read()), self._transmit)
        return self.results.identity

    def look(self) -> None:
        """Read what the card holds, and plan it; raises HardwareError, and nothing has been written then."""
        self._read()
        self.plan: Plan = plan(self._work.order, self._work.catalog, self._work.product, self.held)

    def write(self, begin: Callable[[], None]) -> None:
        """Carry out the plan; *begin* is called before the first command that changes the card.

        Raises HardwareError; the status word of each step, the failed one too, is in *results*.
        """
        gate = Gate(self._transmit, begin)
        if self.plan.rotation:
            self._rotate(self.plan.rotation, gate)
        dek = self._dek()
        for step in self.plan.steps:
            self._enter(str(step))
            try:
                run(self._secured(step.dialogue(lambda value, key: self._keystore.translate(value, key, dek))), gate)
            except CardError as refusal:
                self._note(step.origin, refusal.sw)
                raise
            self._note(step.origin, 0x9000)
        gate.open()

    def _rotate(self, rotation: Rotation, gate: Gate) -> None:
        """Give the card its own keys; the transport keys go once a channel with the new ones has proved them."""
        self._enter(str(rotation))
        product, chip = self._work.product.finished(), self.results.identity
        card = self._card_keys(self._channel.kdd, product)
        wrapped = [self._keystore.wrap(Static(card=card, base=base), self._dek()) for base in Base]
        run(self._secured(rotation.put(wrapped, self._channel.WRAP)), gate)
        self._work = replace(self._work, product=product, host_challenge=self._work.own_challenge)
        if self.open() != chip:
            raise LostCard("another chip answers with the new keys than the one that took them")
        self._enter(f"delete transport key set {rotation.transport:02X}")
        run(self._secured(rotation.retire()), gate)

    def _dek(self) -> Dek:
        return Dek(card=self._card_keys(self._channel.kdd), derivation=self._channel.dek(), wrap=self._channel.WRAP)

    def verify(self) -> None:
        """Read back the state of each application; raises HardwareError, StateError where one isn't what it must be."""
        states = self.plan.states
        if not states:
            return
        self._enter("verify")
        criterion = next(iter(states)) if len(states) == 1 else b""
        entries = run(self._secured(registry.read(commands.APPLICATIONS, criterion)), self._transmit)
        self.results.reached = {entry.aid: entry.state for entry in entries if entry.aid in states}
        for aid, wanted in states.items():
            found = self.results.reached.get(aid)
            if found != wanted:
                is_now = "absent" if found is None else f"in state {found:02X}"
                raise StateError(f"read back: application {aid} is {is_now} and must be in state {wanted:02X}")

    def sample(self) -> None:
        """Read back all that the card gives back of what was written, which ends the channel; raises HardwareError.

        ReadBackError where it isn't what was written.
        """
        self._enter(SAMPLE)
        run(read_back(self.plan, self._work.product), self._transmit)

    def prove(self) -> None:
        """Compare the card with what its order makes of a blank; writes nothing.

        Raises HardwareError: ReadBackError where the card isn't all that, PlanError where reading can't prove it.
        """
        work = self._work
        self._read()
        self.plan = plan(work.order, work.catalog, work.product, blank(work.catalog, self.held.isd.aid))
        check_provable(self.plan, work.product)
        self.verify()
        self.sample()

    def _read(self) -> None:
        self._enter("read what the card holds")
        self.held: Registry = run(self._secured(registry.read_all()), self._transmit)
        self.results.card_state = self.held.isd.state

    def _note(self, origin: Origin | None, sw: int) -> None:
        if origin is not None:
            self.results.steps[origin] = sw

    def _opened(self, opening: Opening) -> Dialogue[SecureChannel]:
        """Select the security domain and open the channel that product and card say; raises PlanError for other keys."""
        product = self._work.product
        yield commands.select(opening.sd_aid)
        choice = yield from choose(product.scp, product.i, opening.kvn)
        master = _master(product)
        if choice.bits not in (None, size := self._keystore.info(master).size):
            raise PlanError(f"the card says that its keys have {choice.bits} bits; master key {master} has {size}")
        return (yield from channel(choice.scp).open(replace(opening, i=choice.i), self._session_keys))

    def _secured(self, dialogue: Dialogue[T]) -> Dialogue[T]:
        return secured(dialogue, self._channel)

    def _session_keys(self, kdd: bytes, wanted: Mapping[str, Derivation | Agreement]) -> dict[str, bytes]:
        return self._keystore.session_keys(self._card_keys(kdd), wanted)

    def _off_card(self) -> OffCard | None:
        product = self._work.product
        if product.terms is None or product.master is None:
            return None
        seed = self._work.seed[: product.terms.curve.size + 8]
        chain = self._keystore.certificates(product.master)
        return OffCard(terms=product.terms, seed=seed, today=self._work.today, chain=chain)

    def _card_keys(self, kdd: bytes, product: Product | None = None) -> CardKeys:
        product = product or self._work.product
        return CardKeys(master=_master(product), recipe=recipe(product.recipe), kdd=kdd)


def _master(product: Product) -> KeyId:
    if product.master is None:
        raise PlanError(f"{product.name} names no master key")
    return product.master


def tries(wrong: AuthenticationError, limit: int | None) -> str:
    """Return whether a wrong authentication spent a try of the card's, and how many are known to be left.

    *limit*: how many the product says there are, before the first is spent. A status word 63Cx says how many are left.
    """
    spent = "a try was spent" if wrong.refused else "no try was spent"
    refusal = wrong.__cause__
    if isinstance(refusal, CardError) and refusal.sw & 0xFFF0 == 0x63C0:
        return f"{spent}, the card says that {refusal.sw & 0x0F} are left"
    if limit is None:
        return f"{spent}, how many are left is unknown"
    return f"{spent} of at most {limit}, how many were spent before is unknown"
