"""Who may speak to the Security Domain: opening, using and losing its secure channel (GPCS 10.2, 11.4, 11.5)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hmac import compare_digest
from typing import Final, NoReturn, Protocol, TypeAlias

from hardware.sim import scp01, scp02, scp03, scp11
from hardware.sim.apdu import Answer, Apdu, RefusedError
from hardware.sim.blank import Blank
from hardware.sim.eeprom import Eeprom, data_key
from hardware.tlv import lv

Handshake: TypeAlias = scp01.Handshake | scp02.Handshake | scp03.Handshake
SEQUENCE: Final = "scp/sequence"
BEGIN_R_MAC, END_R_MAC = 0x7A, 0x78
C_MAC: Final = 0x01
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


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """ENC, MAC and DEK of one number, with the counters that guard them."""

    kvn: int
    keys: tuple[bytes, bytes, bytes] = field(repr=False)
    counters: Eeprom = field(repr=False)


class Session:
    """Keep the current secure channel to one security domain, that *blank* names as its ISD, and its keys' counters."""

    def __init__(
        self,
        blank: Blank,
        eeprom: Eeprom,
        key_set: Callable[[int], KeySet],
        entropy: Callable[[int], bytes],
        ended: Callable[[], None],
    ) -> None:
        """*key_set* returns the one of a number, for 0 the first; it refuses with 6A88."""
        self._blank, self._eeprom, self._key_set, self._entropy, self._ended = blank, eeprom, key_set, entropy, ended
        kinds: dict[int, Callable[..., Handshake]] = {1: scp01.Handshake, 2: scp02.Handshake}
        self._kind = kinds.get(blank.scp, partial(scp03.Handshake, pads_empty=blank.pads_empty))
        self._is_implicit = blank.scp == 2 and not blank.i & scp02.IS_EXPLICIT
        self._used: KeySet | None = None
        self._handshake: Handshake | None = None
        self._channel: Channel | None = None
        self._agreement = scp11.Agreement(blank.ecka, self._identifiers, entropy) if blank.ecka else None

    def end(self) -> None:
        """End the session, and whatever depends on it."""
        self._handshake = self._channel = None
        if self._agreement:
            self._agreement.reset()
        self._ended()

    def interrupt(self) -> None:
        """Forget a handshake that EXTERNAL AUTHENTICATE didn't complete at once (GPCS 11.4.1)."""
        self._handshake = None

    def channel(self) -> Channel:
        """Return the authenticated channel; refuses with 6982 where there is none, or SCP11b's, whose host nobody knows."""
        if self._channel is None or (isinstance(self._channel, scp11.Channel) and not self._channel.authenticated):
            raise RefusedError(0x6982)
        return self._channel

    @property
    def agrees(self) -> bool:
        """Tell whether this chip has SCP11."""
        return self._agreement is not None

    @property
    def is_open(self) -> bool:
        """Tell whether there is a session, of whatever kind."""
        return self._channel is not None

    def perform(self, apdu: Apdu) -> Answer:
        """Take a block of an off-card entity's certificate; a former session is over (Amendment F 7.5)."""
        if self._channel:
            self.end()
        return self._agreed(apdu).perform(apdu)

    def agree(self, apdu: Apdu, *, mutual: bool) -> Answer:
        """Open a channel by key agreement; a former session is over, even if this command is refused (Amendment F 7.6)."""
        try:
            if apdu.ne is None:
                raise RefusedError(0x6700)
            answer, channel = self._agreed(apdu).authenticate(apdu, mutual=mutual)
        finally:
            self.end()
        self._channel = channel
        return answer

    def _agreed(self, apdu: Apdu) -> scp11.Agreement:
        if self._agreement is None:
            raise RefusedError(0x6D00)
        if apdu.secured:
            raise RefusedError(0x6E00)
        return self._agreement

    def _identifiers(self) -> bytes | None:
        """Return SIN and SDIN behind their lengths, or None where one isn't there."""
        found = [self._eeprom.text(data_key(tag)) for tag in (0x42, 0x45)]
        return b"".join(lv(bytes.fromhex(each or "")) for each in found) if all(found) else None

    def initialize_update(self, apdu: Apdu) -> Answer:
        """Start a handshake; a former session is over, even if this command is refused (GPCS 11.5)."""
        self.end()
        if apdu.secured:
            raise RefusedError(0x6E00)
        if apdu.p2:
            raise RefusedError(0x6A86)
        if apdu.ne is None:
            raise RefusedError(0x6700)
        used = self._used = self._key_set(apdu.p1)
        self._check_blocked(used)
        if self._is_implicit:
            raise RefusedError(0x6D00)
        blank, sequence = self._blank, used.counters.number(SEQUENCE)
        handshake = self._kind(used.keys, blank.i, blank.isd_aid, sequence, apdu.data, self._entropy)
        used.counters.count(SEQUENCE, handshake.counter_now)
        self._handshake = handshake
        return Answer(data=blank.kdd + bytes((used.kvn,)) + handshake.answer)

    def external_authenticate(self, apdu: Apdu) -> Answer:
        """Open the channel at the level in P1; a wrong cryptogram or C-MAC spends a try (GPCS 11.4, annex E)."""
        handshake, used = self._handshake, self._used
        self.end()
        if used:
            self._check_blocked(used)
        if not apdu.secured:
            raise RefusedError(0x6E00)
        if handshake is None or used is None:
            raise RefusedError(0x6985)
        if len(apdu.data) != 2 * handshake.size:
            raise RefusedError(0x6700)
        if apdu.p2 or apdu.p1 not in handshake.levels:
            raise RefusedError(0x6A86)
        if not compare_digest(apdu.data[: handshake.size], handshake.host_cryptogram):
            self._fail(used, 0x6300)
        channel = handshake.channel(apdu.p1)
        try:
            channel.unwrap(apdu, 0x01)
        except RefusedError as wrong:
            self._fail(used, wrong.sw)
        used.counters.count(FAILURES, 0)
        used.counters.count(SEQUENCE, handshake.counter_after)
        self._channel = channel
        return Answer()

    @staticmethod
    def _fail(used: KeySet, sw: int) -> NoReturn:
        used.counters.count(FAILURES, used.counters.number(FAILURES) + 1)
        raise RefusedError(sw)

    def _check_blocked(self, used: KeySet) -> None:
        if used.counters.number(FAILURES) >= self._blank.retries:
            raise RefusedError(0x6983)

    def unwrap(self, apdu: Apdu) -> Apdu:
        """Return the command without secure messaging; one that lacks it or fails ends the session (GPCS 10.2.3)."""
        if self._channel is None:
            return self._first(apdu) if apdu.secured else apdu
        level = self._channel.level
        if apdu.secured is not bool(level & C_MAC):
            self.end()
            raise RefusedError(0x6982)
        try:
            plain = self._channel.unwrap(apdu, level)
        except RefusedError:
            self.end()
            raise
        if isinstance(self._channel, scp11.Channel):
            self._channel.check(plain)
        return plain

    def _first(self, apdu: Apdu) -> Apdu:
        """Open the channel with its first secured command, where initiation is implicit; a wrong C-MAC spends a try."""
        if not self._is_implicit:
            raise RefusedError(0x6982)
        used = self._key_set(0)
        self._check_blocked(used)
        sequence = used.counters.number(SEQUENCE)
        channel = scp02.implicit(used.keys, self._blank.i, self._blank.isd_aid, sequence)
        try:
            plain = channel.unwrap(apdu, C_MAC)
        except RefusedError as wrong:
            self._fail(used, wrong.sw)
        used.counters.count(FAILURES, 0)
        used.counters.count(SEQUENCE, sequence + 1)
        self._channel = channel
        return plain

    def r_mac(self, apdu: Apdu) -> Answer:
        """Begin or end an R-MAC session (GPCS E.5.3, E.5.4); refuses with 6D00 where the protocol has none."""
        channel = self.channel()
        if not isinstance(channel, scp02.Channel):
            raise RefusedError(0x6D00)
        return channel.begin_r_mac(apdu) if apdu.ins == BEGIN_R_MAC else channel.end_r_mac(apdu)

    def protect(self, answer: Answer) -> Answer:
        """Return *answer* as the session's level says, if there still is one."""
        return self._channel.protect(answer) if self._channel else answer
