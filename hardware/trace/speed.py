"""How fast a card was made: what the card and its line took, what the engine took, and the least that the line allows."""

from collections.abc import Sequence
from dataclasses import dataclass

from hardware import atr
from hardware.trace import Exchange, Trace

T0, T1 = "T=0", "T=1"
ETU = {T0: 12, T1: 11}
"""Elementary time units of one byte with its guard time (ISO/IEC 7816-3 sections 7.2, 10.2, 11.2)."""
HEADER = 5
"""Bytes of CLA, INS, P1, P2 and P3."""
BLOCK = 254
"""Most bytes that a T=1 block carries, beside the four of its prologue and epilogue (11.3)."""
REAL = 2.0
"""Readers clock a card faster than the usual, but not by this; a virtual one isn't bound by any line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """The times of one attempt, in microseconds.

    protocol: "T=0", "T=1" or empty; bit_rate: what the ATR offers, bits a second, 0 without a line; octets: on the line,
    or without one those of all APDUs; card: from commands to their answers; host: between an answer and the next command;
    least: what the line takes for these octets at that rate, 0 without a line.
    """

    protocol: str
    bit_rate: int
    octets: int
    card: int
    host: int
    least: int

    @property
    def milliseconds_per_byte(self) -> float:
        """What each byte took on the way to the card, in it and back."""
        return self.card / 1000 / self.octets if self.octets else 0.0

    @property
    def achieved(self) -> float:
        """The least time possible as a share of what the card took: small where the card thinks or the reader dawdles."""
        return self.least / self.card if self.card else 0.0

    @property
    def of_possible(self) -> str:
        """What was achieved, in words; empty without a line."""
        if not self.least:
            return ""
        return f"{self.achieved:.0%} of possible" if self.achieved <= REAL else "no real line"

    def __str__(self) -> str:
        line = f"; {self.protocol}, {self.bit_rate // 1000} kbit/s offered: {self.of_possible}" if self.least else ""
        per_byte = f"{self.milliseconds_per_byte:.3f} ms a byte{line}"
        return f"card {self.card / 1000:.1f} ms for {self.octets} bytes ({per_byte}), software {self.host / 1000:.1f} ms"


def speed(trace: Trace) -> Speed:
    """Return the times of *trace*; a rate that its ATR doesn't say readably counts as none."""
    done = trace.exchanges
    took = sum(each.seconds for each in done)
    span = done[-1].start + done[-1].seconds - done[0].start if done else 0.0
    rate = _rate(trace)
    line = sum(_line(each, trace.protocol) for each in done)
    return Speed(
        protocol=trace.protocol,
        bit_rate=rate,
        octets=line,
        card=round(took * 1e6),
        host=round((span - took) * 1e6),
        least=round(line * ETU[trace.protocol] * 1e6 / rate) if rate else 0,
    )


def average(all_of: Sequence[Speed]) -> Speed | None:
    """Return the mean of the times of several attempts, at the rate of the first; None where there are none."""
    count = len(all_of)
    if not count:
        return None
    return Speed(
        protocol=all_of[0].protocol,
        bit_rate=all_of[0].bit_rate,
        octets=sum(each.octets for each in all_of) // count,
        card=sum(each.card for each in all_of) // count,
        host=sum(each.host for each in all_of) // count,
        least=sum(each.least for each in all_of) // count,
    )


def _rate(trace: Trace) -> int:
    if trace.protocol not in ETU:
        return 0
    try:
        return atr.parse(trace.atr).rate
    except ValueError:
        return 0


def _answered(each: Exchange) -> int:
    return len(each.response.data) + 2 if each.response else 0


def _line(each: Exchange, protocol: str) -> int:
    """Return the bytes of an exchange on the line, without a line those of its two APDUs."""
    sent, answered = each.octets, _answered(each)
    if protocol == T0:
        return _t0(each, answered)
    if protocol == T1:
        return sent + answered + 4 * (-(-sent // BLOCK) + -(-answered // BLOCK))
    return sent + answered


def _t0(each: Exchange, answered: int) -> int:
    """Return the bytes of a command under T=0: a procedure byte goes ahead of data, either way (10.3.3).

    An answer to a command with data is announced with 61xx and fetched by GET RESPONSE.
    """
    sent = each.octets - (each.octets > HEADER and each.command.ne is not None)
    if each.octets <= HEADER:
        return HEADER + answered + (answered > 2)
    return sent + 1 + answered + (HEADER + 1 + 2 if answered > 2 else 0)
