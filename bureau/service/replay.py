"""One record once more, on a test reader with a test card: nothing of it is counted, and nothing of it may be production."""

import time
from collections.abc import Callable

from bureau.errors import NotAllowedError
from bureau.ledger import claims, traces
from bureau.ledger.traces import Kept
from bureau.models import SealedCard
from bureau.service import readers
from bureau.service.encode import prepare
from bureau.service.plant import Plant
from bureau.service.press import Press
from bureau.service.seal import unseal_trace
from hardware.encoders import Tray
from hardware.encoders.pcsc.desk import Desk
from hardware.gp.identity import Identity
from hardware.iso7816 import Command, Response
from hardware.keystores import Mode
from hardware.perso.plan import Plan
from hardware.trace import Exchange, Trace
from hardware.trace.recorder import Recorder


def recorded(plant: Plant, kept: Kept) -> Trace:
    """Return the trace of an attempt; raises BureauError, KeyStoreError."""
    return unseal_trace(kept.trace, plant.keystore.unwrap(kept.record.wrapped_data_key), kept.attempt.attempt)


def refuse(plant: Plant, record: SealedCard, reader: str) -> None:
    """Raise NotAllowedError for a production record, and for a reader that production uses or whose encoder may take it."""
    if record.mode is Mode.PRODUCTION:
        raise NotAllowedError(f"card {record.card} is a production card", "Only test jobs are replayed.")
    readers.check_reader(plant, reader, Mode.TEST)


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
        self.product = readers.product(plant, desk, then.product, Mode.TEST)
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
        """Write and verify the card, and sample it if the recorded one was; raises HardwareError.

        The audit log knows before the first command that changes the card.
        """
        self._press.write(self._tell)
        self._press.verify()
        if self._kept.attempt.sampled:
            self._press.sample()

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
        readers.leave(plant, reader, Tray.REJECT)


def _hex(identity: Identity) -> str:
    return identity.value.hex().upper()
