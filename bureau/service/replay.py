"""One record once more, on a test reader with a test card: nothing of it is counted, and nothing of it may be production."""

import time
from collections.abc import Callable

from bureau.errors import NotAllowedError
from bureau.ledger import claims, encoders, traces
from bureau.ledger.traces import Kept
from bureau.models import EncoderId, EncoderState, SealedCard
from bureau.service.encode import prepare
from bureau.service.plant import EncoderConfig, Plant
from bureau.service.press import Press
from bureau.service.seal import unseal_trace
from hardware.encoders import Tray
from hardware.encoders.pcsc import Pcsc
from hardware.encoders.pcsc.desk import Desk
from hardware.encoders.pcsc.feeder import Hand
from hardware.errors import PlanError
from hardware.gp.identity import Identity
from hardware.iso7816 import Command, Response
from hardware.keystores import Mode
from hardware.perso.plan import Plan
from hardware.perso.product import Product
from hardware.trace import Exchange, Trace
from hardware.trace.recorder import Recorder


def recorded(plant: Plant, kept: Kept) -> Trace:
    """Return the trace of an attempt; raises BureauError, KeyStoreError."""
    return unseal_trace(kept.trace, plant.keystore.unwrap(kept.record.wrapped_data_key), kept.attempt.attempt)


def refuse(plant: Plant, record: SealedCard, reader: str) -> None:
    """Raise NotAllowedError for a production record, and for a reader that production uses or whose encoder may take it.

    A reader is known by its name alone: one pcscd goes by many, and two readers of a name are taken for the same.
    """
    if record.mode is Mode.PRODUCTION:
        raise NotAllowedError(f"card {record.card} is a production card", "Only test jobs are replayed.")
    with plant.ledger.read() as connection:
        at_work = {each.encoder for each in encoders.machines(connection) if each.state is EncoderState.OPEN}
    for name, config in _bound(plant, reader):
        if config.machine.mode is Mode.PRODUCTION:
            raise NotAllowedError(f"reader {reader} is production encoder {name}'s", "Replay on a test reader.")
        if name in at_work:
            raise NotAllowedError(f"encoder {name} is open and works with reader {reader}", f"`bureau hold {name}` first.")


def _bound(plant: Plant, reader: str) -> list[tuple[EncoderId, EncoderConfig]]:
    """Return the encoders that stations.toml puts on *reader*."""
    found = plant.encoders.items()
    return [(name, config) for name, config in found if config.kind == Pcsc.KEY and config.options.get("reader") == reader]


class Replay:
    """Makes one record for *actor* on the card at a desk; *step* is called before each command and may end it by raising.

    *seen* is called with each exchange.
    """

    def __init__(
        self,
        plant: Plant,
        kept: Kept,
        desk: Desk,
        then: Trace,
        actor: str,
        *,
        step: Callable[[Command], None],
        seen: Callable[[Exchange], None],
    ) -> None:
        """Find the card's product and its keys; raises BureauError, HardwareError."""
        self._plant, self._kept, self._desk, self._actor = plant, kept, desk, actor
        self._step, self._seen = step, seen
        self.product = _product(plant, desk, then.product)
        self._recorder = Recorder(desk.transmit, time.perf_counter, plant.clock)
        self._press = Press(prepare(plant, self.product, kept.record), plant.keystore, self._transmit, self._recorder.enter)
        self.begun = False
        """Whether the test card may have been changed."""

    def plan(self) -> Plan:
        """Open the channel and return what will be done, from what the card holds; changes nothing. Raises HardwareError.

        Raises NotAllowedError for a card that a job has used, or may have used: one without identity that isn't blank.
        """
        identity = self._press.open()
        with self._plant.ledger.read() as connection:
            said = claims.used(connection, identity.kind, _hex(identity))
        self._press.look()
        held = self._press.held
        if not identity.value and (held.applications or held.load_files):
            said = "this chip has no identity and isn't blank, so nobody knows whose card it is"
        if said:
            raise NotAllowedError(said, "A replay takes a test card that no job has used.")
        return self._press.plan

    def make(self) -> None:
        """Write and verify the card; the audit log knows before the first command that changes it. Raises HardwareError."""
        self._press.write(self._tell)
        self._press.verify()

    def trace(self) -> Trace:
        """Return what has been said so far."""
        desk = self._desk
        return self._recorder.trace(product=self.product.name, encoder=desk.reader, atr=desk.atr, protocol=desk.protocol)

    def _transmit(self, command: Command) -> Response:
        self._step(command)
        try:
            return self._recorder(command)
        finally:
            if self._recorder.last is not None:
                self._seen(self._recorder.last)

    def _tell(self) -> None:
        plant, kept, reader = self._plant, self._kept, self._desk.reader
        chip = _hex(self._press.results.identity)
        traces.replayed(plant.ledger, kept.record.card, kept.number, reader, chip, self._actor, plant.clock())
        self.begun = True
        for name, config in _bound(plant, reader):
            if stock := config.options.get("stock"):  # else it would take the test card for the one it made last
                Hand(str(stock), plant.settings.worlds / f"{name}.fed").eject(Tray.REJECT)


def _hex(identity: Identity) -> str:
    return identity.value.hex().upper()


def _product(plant: Plant, desk: Desk, recorded: str) -> Product:
    """Return the card product of the card, the recorded one if it may be; raises PlanError, NotAllowedError for its key."""
    known = sorted(plant.products.values(), key=lambda each: each.name != recorded)
    fits = [each for each in known if each.unfit(desk.atr, desk.protocol) is None]
    if not fits:
        unfit = plant.products[recorded].unfit(desk.atr, desk.protocol) if recorded in plant.products else None
        raise PlanError(unfit or f"the card's ATR {desk.atr.hex().upper()} is of no product; {recorded} was recorded")
    if fits[0].master is not None and plant.keystore.info(fits[0].master).mode is Mode.PRODUCTION:
        raise NotAllowedError(f"the master key of {fits[0].name} is a production key", "A replay takes test keys.")
    return fits[0]
