"""One record once more, on a test reader with a test card: nothing of it is counted, and nothing of it may be production."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bureau.errors import NotAllowedError
from bureau.ledger import claims, encoders, traces
from bureau.ledger.traces import Kept
from bureau.models import AttemptId, CardId, EncoderState, SealedCard
from bureau.service.encode import prepare
from bureau.service.plant import Plant
from bureau.service.press import Press
from bureau.service.seal import unseal_trace
from hardware.encoders.pcsc import Pcsc
from hardware.encoders.pcsc.desk import Desk
from hardware.errors import HardwareError, PlanError
from hardware.gp.identity import Identity
from hardware.iso7816 import Command, Response
from hardware.keystores import Mode
from hardware.perso.plan import Plan
from hardware.perso.product import Product
from hardware.trace import Trace
from hardware.trace.recorder import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What happened now; *fault* says why it ended early, if it did."""

    trace: Trace
    fault: str


def recorded(plant: Plant, kept: Kept) -> Trace:
    """Return the trace of an attempt; raises BureauError, KeyStoreError."""
    return unseal_trace(kept.trace, plant.keystore.unwrap(kept.record.wrapped_data_key), kept.attempt.attempt)


def refuse(plant: Plant, record: SealedCard, reader: str, pcscd: str) -> None:
    """Raise NotAllowedError for a production record, and for a reader that production uses or whose encoder may take it."""
    if record.mode is Mode.PRODUCTION:
        raise NotAllowedError(f"card {record.card} is a production card", "Only test jobs are replayed.")
    with plant.ledger.read() as connection:
        at_work = {each.encoder for each in encoders.machines(connection) if each.state is EncoderState.OPEN}
    for name, config in plant.encoders.items():
        options = config.options
        if config.kind != Pcsc.KEY or (options.get("reader"), options.get("socket", "")) != (reader, pcscd):
            continue
        if config.machine.mode is Mode.PRODUCTION:
            raise NotAllowedError(f"reader {reader} is production encoder {name}'s", "Replay on a test reader.")
        if name in at_work:
            raise NotAllowedError(f"encoder {name} is open and works with reader {reader}", f"`bureau hold {name}` first.")


class Replay:
    """Makes one record on the card at a desk; *step* is called before each command, and may end it all by raising."""

    def __init__(self, plant: Plant, kept: Kept, desk: Desk, then: Trace, step: Callable[[Command], None]) -> None:
        """Find the card's product and its keys; raises BureauError, HardwareError."""
        self._plant, self._kept, self._desk, self._step = plant, kept, desk, step
        self.product = _product(plant, desk.atr, then.product)
        self._recorder = Recorder(desk.transmit, time.perf_counter)
        self._began = plant.clock()
        work = prepare(plant, self.product, kept.record)
        self._press = Press(work, plant.keystore, self._transmit, self._recorder.enter)

    def plan(self) -> Plan:
        """Open the channel and return what will be done, from what the card holds; changes nothing. Raises HardwareError.

        Raises NotAllowedError for a card that carries a counted record.
        """
        identity = self._press.open()
        with self._plant.ledger.read() as connection:
            said = claims.carried(connection, identity.kind, _hex(identity))
        if said:
            raise NotAllowedError(said, "A replay takes a test card that no job has used.")
        self._press.look()
        return self._press.plan

    def make(self) -> Replayed:
        """Write and verify the card; the audit log knows before the first command that changes it."""
        fault = ""
        try:
            self._press.write(self._tell)
            self._press.verify()
        except HardwareError as failed:
            fault = str(failed)
        return Replayed(trace=self.trace(), fault=fault)

    def trace(self) -> Trace:
        """Return what has been said so far."""
        return self._recorder.trace(
            product=self.product.name,
            encoder=self._desk.reader,
            atr=self._desk.atr,
            protocol=self._desk.protocol,
            began=self._began,
        )

    def _transmit(self, command: Command) -> Response:
        self._step(command)
        return self._recorder(command)

    def _tell(self) -> None:
        chip, plant = self._press.results.identity, self._plant
        card, attempt = CardId(self._kept.record.card), AttemptId(self._kept.attempt.attempt)
        traces.replayed(plant.ledger, card, attempt, self._desk.reader, _hex(chip), plant.settings.user, plant.clock())


def _hex(identity: Identity) -> str:
    return identity.value.hex().upper()


def _product(plant: Plant, atr: bytes, recorded: str) -> Product:
    """Return the card product that *atr* is of, the recorded one if it may be; raises HardwareError for a production key."""
    fits = sorted((each for each in plant.products.values() if each.matches(atr)), key=lambda each: each.name != recorded)
    if not fits:
        raise PlanError(f"the card's ATR {atr.hex().upper()} is of no product; {recorded} was recorded")
    if fits[0].master is not None and plant.keystore.info(fits[0].master).mode is Mode.PRODUCTION:
        raise NotAllowedError(f"the master key of {fits[0].name} is a production key", "A replay takes test keys.")
    return fits[0]
