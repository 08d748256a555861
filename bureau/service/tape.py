"""What is recorded while a card is made, for the ledger to keep."""

import time

import structlog

from bureau.ledger.claims import Claim
from bureau.models import Recording
from bureau.service.plant import Plant
from bureau.service.press import Work
from bureau.service.seal import seal_trace
from hardware.encoders import Encoder
from hardware.trace.recorder import Recorder
from hardware.trace.speed import speed

log = structlog.get_logger(__name__)


class Tape:
    """Records one attempt; *atr* is the answer to reset of its card."""

    def __init__(self, plant: Plant, machine: Encoder, claim: Claim, work: Work) -> None:
        self._plant, self._machine, self._claim, self._work = plant, machine, claim, work
        self.atr = b""
        self.recorder = Recorder(machine.transmit, time.perf_counter, plant.clock)

    @property
    def protocol(self) -> str:
        """How the card in the station talks."""
        return self._machine.protocol

    def recording(self) -> Recording | None:
        """Return what the ledger keeps; None, told to the log, where that can't be made: a card's fate never hangs on it."""
        claim = self._claim
        try:
            trace = self.recorder.trace(
                product=self._work.product.name,
                encoder=claim.encoder,
                atr=self.atr,
                protocol=self._machine.protocol,
            )
            key = self._plant.keystore.unwrap(claim.wrapped_data_key)
            return Recording(speed=speed(trace), sealed=seal_trace(trace, key, claim.attempt))
        except Exception as fault:
            log.error("trace_lost", card=claim.card, attempt=claim.attempt, error=type(fault).__name__)
            return None
