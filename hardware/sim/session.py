"""Who may speak to the Security Domain: opening, using and losing its secure channel (GPCS 10.2, 11.4, 11.5)."""

from collections.abc import Callable
from functools import partial
from hmac import compare_digest
from typing import Final, Protocol

from hardware.sim import scp02, scp03
from hardware.sim.apdu import Answer, Apdu, RefusedError
from hardware.sim.blank import Blank
from hardware.sim.eeprom import Eeprom

SEQUENCE: Final = "scp/sequence"
FAILURES: Final = "scp/failures"


class Channel(Protocol):
    """An authenticated session of either protocol."""

    level: int

    def unwrap(self, apdu: Apdu, level: int) -> Apdu:
        """Return the plain command."""

    def protect(self, answer: Answer) -> Answer:
        """Return the answer as it goes out."""

    def decrypt(self, data: bytes) -> bytes:
        """Return sensitive data in clear."""


class Session:
    """Keep the current secure channel and the counters that guard its keys."""

    def __init__(self, blank: Blank, eeprom: Eeprom, entropy: Callable[[int], bytes], ended: Callable[[], None]) -> None:
        self._blank, self._eeprom, self._entropy, self._ended = blank, eeprom, entropy, ended
        self._handshake: scp02.Handshake | scp03.Handshake | None = None
        self._channel: Channel | None = None

    def end(self) -> None:
        """End the session, and whatever depends on it."""
        self._handshake = self._channel = None
        self._ended()

    def interrupt(self) -> None:
        """Forget a handshake that EXTERNAL AUTHENTICATE didn't complete at once (GPCS 11.4.1)."""
        self._handshake = None

    def channel(self) -> Channel:
        """Return the authenticated channel; refuses with 6982 where there is none."""
        if self._channel is None:
            raise RefusedError(0x6982)
        return self._channel

    def initialize_update(self, apdu: Apdu) -> Answer:
        """Start a handshake; a former session is over, even if this command is refused (GPCS 11.5)."""
        self.end()
        self._check_blocked()
        if apdu.secured:
            raise RefusedError(0x6E00)
        if apdu.p2:
            raise RefusedError(0x6A86)
        if apdu.ne is None:
            raise RefusedError(0x6700)
        blank = self._blank
        if apdu.p1 not in (0, blank.kvn):
            raise RefusedError(0x6A88)
        kind = scp02.Handshake if blank.scp == 2 else partial(scp03.Handshake, pads_empty=blank.pads_empty)
        self._handshake = kind(
            (blank.enc, blank.mac, blank.dek),
            blank.i,
            blank.isd_aid,
            self._eeprom.number(SEQUENCE),
            apdu.data,
            self._entropy,
        )
        self._eeprom.count(SEQUENCE, self._handshake.counter_now)
        return Answer(data=blank.kdd + bytes((blank.kvn,)) + self._handshake.answer)

    def external_authenticate(self, apdu: Apdu) -> Answer:
        """Open the channel at the level in P1; a wrong cryptogram or C-MAC spends a try (GPCS 11.4, annex E)."""
        handshake = self._handshake
        self.end()
        self._check_blocked()
        if not apdu.secured:
            raise RefusedError(0x6E00)
        if handshake is None:
            raise RefusedError(0x6985)
        if len(apdu.data) != 2 * handshake.size:
            raise RefusedError(0x6700)
        if apdu.p2 or apdu.p1 not in handshake.levels:
            raise RefusedError(0x6A86)
        if not compare_digest(apdu.data[: handshake.size], handshake.host_cryptogram):
            self._fail(0x6300)
        channel = handshake.channel(apdu.p1)
        try:
            channel.unwrap(apdu, 0x01)
        except RefusedError as wrong:
            self._fail(wrong.sw)
        self._eeprom.count(FAILURES, 0)
        self._eeprom.count(SEQUENCE, handshake.counter_after)
        self._channel = channel
        return Answer()

    def _fail(self, sw: int) -> None:
        self._eeprom.count(FAILURES, self._eeprom.number(FAILURES) + 1)
        raise RefusedError(sw)

    def _check_blocked(self) -> None:
        if self._eeprom.number(FAILURES) >= self._blank.retries:
            raise RefusedError(0x6983)

    def unwrap(self, apdu: Apdu) -> Apdu:
        """Return the command without secure messaging; one that lacks it or fails ends the session (GPCS 10.2.3)."""
        level = self._channel.level if self._channel else 0
        if self._channel is None or not level:
            if apdu.secured:
                raise RefusedError(0x6982)
            return apdu
        if not apdu.secured:
            self.end()
            raise RefusedError(0x6982)
        try:
            return self._channel.unwrap(apdu, level)
        except RefusedError:
            self.end()
            raise

    def protect(self, answer: Answer) -> Answer:
        """Return *answer* as the session's level says, if there still is one."""
        return self._channel.protect(answer) if self._channel else answer
