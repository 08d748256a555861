"""What was said to one piece of plastic: every command as it was before its secure channel, the answers, and the times."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from hardware.iso7816 import Command, Response

DIGEST: Final = 8
"""Bytes of the SHA-256 over a command as it was sent; enough to tell whether another one is the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One command and its answer.

    command: in plain; of the handshake, which has no other form, as it was sent. octets, digest: length of the APDU as it
    was sent and a DIGEST over it, empty in a masked trace. response None: none came, and *fault* says why: the error's name
    and message. start: seconds after the trace's beginning; seconds: until the answer; both to the microsecond.
    """

    phase: str
    command: Command
    octets: int
    digest: bytes = field(repr=False)
    response: Response | None
    fault: str
    start: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One attempt, from the answer to reset on; *protocol* is "T=0", "T=1", or empty where there was no line."""

    product: str
    encoder: str
    atr: bytes
    protocol: str
    began: datetime
    exchanges: tuple[Exchange, ...]
