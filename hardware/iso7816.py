"""Commands, responses and the one loop that sends them (ISO/IEC 7816-4 section 5)."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias, TypeVar

from hardware.errors import CardError, ProtocolError

T = TypeVar("T")
Span: TypeAlias = tuple[int, int]
"""Bytes from a first one to before a second one."""

READING: Final = frozenset({0xA4, 0xB0, 0xB2, 0xC0, 0xCA, 0xCB, 0xF2})
"""INS of SELECT, READ BINARY, READ RECORD, GET RESPONSE, GET DATA (two forms) and GET STATUS."""
IN_ANSWER: Final[tuple[Span, ...]] = ((0, 0),)
"""Command.secret of a command whose data may be shown, and whose answer may not."""
OPENING: Final = frozenset({0x50, 0x82, 0x7A, 0x78, 0x2A, 0x88})
"""INS of INITIALIZE UPDATE, EXTERNAL (or MUTUAL) AUTHENTICATE, BEGIN and END R-MAC SESSION, PERFORM SECURITY OPERATION,
INTERNAL AUTHENTICATE."""


class AID(bytes):
    """An application identifier: 5 to 16 bytes (ISO/IEC 7816-4 section 12.2.3)."""

    def __new__(cls, value: bytes) -> "AID":
        """Raise ValueError for another length."""
        if not 5 <= len(value) <= 16:
            raise ValueError(f"an AID has 5 to 16 bytes, not {len(value)}")
        return super().__new__(cls, value)

    def __str__(self) -> str:
        return self.hex().upper()


@dataclass(frozen=True, slots=True)
class Command:
    """One command APDU; *ne* None means no response data, 256 and 65536 mean all there is.

    Its data may be secret or confidential and so isn't printed. *secret* says where such values stand in it; None: nobody
    has said, so all of it is taken for one. *plain* is the command that a secure channel protected in this one; *unwrap*
    takes the channel's protection off the answer, where it has any, and raises AuthenticationError where that is wrong.
    """

    name: str
    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = field(default=b"", repr=False)
    ne: int | None = None
    accept: tuple[int, ...] = (0x9000,)
    secret: tuple[Span, ...] | None = field(default=None, compare=False)
    plain: "Command | None" = field(default=None, repr=False, compare=False)
    unwrap: "Callable[[Response], Response] | None" = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if any(not 0 <= start <= end <= len(self.data) for start, end in self.secret or ()):
            raise ValueError(f"{self.name}: what is said to be secret lies outside of its data")

    @property
    def is_public(self) -> bool:
        """Whether neither its data nor its answer hold anything secret or confidential."""
        return self.secret == ()

    @property
    def hidden(self) -> tuple[Span, ...]:
        """Where its data must not be shown."""
        return ((0, len(self.data)),) if self.secret is None else self.secret

    @property
    def changes_card(self) -> bool:
        """Whether the card may differ afterwards; opening a channel moves counters only."""
        return self.ins not in READING and self.ins not in OPENING

    def opened(self, response: "Response") -> "Response":
        """Return *response* in plain; one that has been opened already stays as it is: who notes it down comes first."""
        if self.unwrap is None or response.opened:
            return response
        return replace(self.unwrap(response), opened=True)

    def __bytes__(self) -> bytes:
        """Encode as short or extended APDU; raises ValueError beyond 65,535 bytes."""
        header = bytes((self.cla, self.ins, self.p1, self.p2))
        lc, ne = len(self.data), self.ne
        if lc > 65535:
            raise ValueError(f"{self.name}: {lc} bytes don't fit a command")
        if lc <= 255 and (ne is None or ne <= 256):
            body = bytes((lc,)) + self.data if lc else b""
            return header + body + (b"" if ne is None else bytes((ne & 0xFF,)))
        body = lc.to_bytes(2, "big") + self.data if lc else b""
        return header + b"\0" + body + (b"" if ne is None else (ne & 0xFFFF).to_bytes(2, "big"))


@dataclass(frozen=True, slots=True)
class Response:
    """One response APDU: *data* (not printed) and the status word *sw*; *opened*: a secure channel's protection is off."""

    data: bytes = field(repr=False)
    sw: int
    opened: bool = field(default=False, repr=False, compare=False)

    @classmethod
    def parse(cls, answer: bytes) -> "Response":
        """Split off the status word; raises ProtocolError for an answer without one."""
        if len(answer) < 2:
            raise ProtocolError(f"the card answered {len(answer)} bytes, which hold no status word")
        return cls(answer[:-2], int.from_bytes(answer[-2:], "big"))


Burst: TypeAlias = tuple[Command, ...]
"""Commands that don't wait for each other's answers."""
Dialogue: TypeAlias = Generator[Command | Burst, Response, T]
"""A protocol step: yields a Command, or a Burst, and is sent the (last) Response."""
Transmit: TypeAlias = Callable[[Command], Response]


def run(dialogue: Dialogue[T], transmit: Transmit) -> T:
    """Carry out *dialogue* over *transmit* and return its result.

    A status word that its command doesn't accept is thrown into the dialogue as CardError and ends a Burst. An answer that
    isn't what its secure channel says raises AuthenticationError: nothing more is sent.
    """
    try:
        wanted = next(dialogue)
        while True:
            commands = (wanted,) if isinstance(wanted, Command) else wanted
            try:
                response = _send(commands, transmit)
            except CardError as refusal:
                wanted = dialogue.throw(refusal)
            else:
                wanted = dialogue.send(response)
    except StopIteration as end:
        result: T = end.value
        return result


def _send(commands: Burst, transmit: Transmit) -> Response:
    for command in commands:
        response = command.opened(transmit(command))
        if response.sw not in command.accept:
            raise CardError(command.name, response.sw)
    return response
