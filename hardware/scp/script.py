"""Off-line scripts: commands prepared ahead, run where there is no key, and their answers verified afterwards.

That takes a card that has no choice in the handshake: SCP11c, or a computed card challenge in SCP02 and SCP03.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from hardware.errors import AuthenticationError, CardError, HardwareError, ProtocolError
from hardware.iso7816 import Command, Response, Transmit, run
from hardware.scp import DeriveKeys, Foreseen, Opening, SecureChannel

HANDSHAKES: Final = frozenset({(0x80, 0x50), (0x80, 0x82)})
"""CLA and INS of INITIALIZE UPDATE and MUTUAL AUTHENTICATE, which the card answers with data of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One command as it is sent, and of the handshake the answer that it must get (None: any)."""

    command: Command
    answer: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """All that an encoder needs; there is no key in it, and nothing secret that its channel hasn't encrypted."""

    lines: tuple[Line, ...]

    def __str__(self) -> str:
        return json.dumps([_table(line) for line in self.lines], indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> "Script":
        """Read what str gives; raises ValueError for anything else."""
        try:
            return cls(lines=tuple(_line(table) for table in json.loads(text)))
        except (KeyError, TypeError, AttributeError) as wrong:
            raise ValueError(f"no script: {wrong!r}") from wrong


@dataclass(slots=True)
class Preparation:
    """A script that is being made, and what its answers will be verified with."""

    channel: SecureChannel
    opening: tuple[Line, ...]
    wrapped: list[Command] = field(default_factory=list)

    def add(self, *commands: Command) -> None:
        """Protect *commands* and append them; raises PlanError like the channel's wrap."""
        self.wrapped += [self.channel.wrap(command) for command in commands]

    @property
    def script(self) -> Script:
        """What has been prepared so far."""
        return Script(lines=(*self.opening, *(Line(command=_bare(command)) for command in self.wrapped)))

    def verified(self, answers: Iterable[Response]) -> tuple[Response, ...]:
        """Return the plain answers to what was added, as far as the script was run.

        A level without R-MAC verifies nothing but the handshake, and answers of SCP11c don't tell one card of a group, or
        one run, from another. Raises AuthenticationError for an answer that isn't what the card must give or its channel
        protects, ProtocolError for more answers than there are commands.
        """
        given = tuple(answers)
        if len(given) > len(self.opening) + len(self.wrapped):
            raise ProtocolError(f"{len(given)} answers to {len(self.opening) + len(self.wrapped)} commands")
        for line, answer in zip(self.opening, given, strict=False):
            if stopped := _stopped(line, answer):
                raise AuthenticationError(f"the channel wasn't opened: {stopped}")
        behind = given[len(self.opening) :]
        return tuple(command.opened(answer) for command, answer in zip(self.wrapped, behind, strict=False))


def prepare(kind: type[SecureChannel], opening: Opening, derive: DeriveKeys, card: Foreseen) -> Preparation:
    """Begin a script that opens a channel of *kind* to *card*; raises PlanError where the card has a choice in that.

    The same opening gives the same script again: answers can be verified by whoever prepares it anew.
    """
    foreseen, lines = kind.foresee(opening, derive, card), list[Line]()

    def transmit(command: Command) -> Response:
        answer = foreseen if (command.cla, command.ins) in HANDSHAKES else b""
        lines.append(Line(command=_bare(command), answer=answer))
        return Response(answer, 0x9000)

    return Preparation(run(kind.open(opening, derive), transmit), tuple(lines))


def play(script: Script, transmit: Transmit) -> tuple[tuple[Response, ...], HardwareError | None]:
    """Send *script* and return the answers with what stopped it, None at its end; no key takes part.

    It stops at a status word that its command doesn't accept, and at an answer of the handshake that isn't the foreseen one:
    that is a false card, or one whose counter has moved, and nothing more is sent to it.
    """
    answers = list[Response]()
    for line in script.lines:
        answers.append(transmit(line.command))
        if stopped := _stopped(line, answers[-1]):
            return tuple(answers), stopped
    return tuple(answers), None


def _stopped(line: Line, answer: Response) -> HardwareError | None:
    if answer.sw not in line.command.accept:
        return CardError(line.command.name, answer.sw)
    if line.answer is not None and answer.data != line.answer:
        return AuthenticationError(f"{line.command.name}: the answer isn't that of the card that the script is for")
    return None


def _bare(command: Command) -> Command:
    """Return *command* as it is sent, without what its channel knows of it."""
    return replace(command, plain=None, unwrap=None, secret=None)


def _table(line: Line) -> Mapping[str, object]:
    command = line.command
    return {
        "name": command.name,
        "header": bytes((command.cla, command.ins, command.p1, command.p2)).hex().upper(),
        "data": command.data.hex().upper(),
        "ne": command.ne,
        "accept": [f"{sw:04X}" for sw in command.accept],
        "answer": None if line.answer is None else line.answer.hex().upper(),
    }


def _line(table: Mapping[str, str]) -> Line:
    cla, ins, p1, p2 = bytes.fromhex(table["header"])
    ne = None if table["ne"] is None else int(table["ne"])
    accept = tuple(int(sw, 16) for sw in table["accept"])
    answer = None if table["answer"] is None else bytes.fromhex(table["answer"])
    return Line(
        command=Command(str(table["name"]), cla, ins, p1, p2, bytes.fromhex(table["data"]), ne, accept), answer=answer
    )
