"""A card that knows one script."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from hardware.iso7816 import Command, Response


@dataclass
class Replay:
    """A transmit that takes exactly the scripted commands (hex) and gives their answers (hex, with status word)."""

    script: list[tuple[str, str]]
    sent: list[str] = field(default_factory=list)

    def __call__(self, command: Command) -> Response:
        apdu = bytes(command).hex().upper()
        assert len(self.sent) < len(self.script), f"{command.name} wasn't to be sent: {apdu}"
        expected, answer = self.script[len(self.sent)]
        assert apdu == expected
        self.sent.append(apdu)
        return Response.parse(bytes.fromhex(answer))

    @property
    def finished(self) -> bool:
        """Whether all of the script has been sent."""
        return len(self.sent) == len(self.script)


def replay(script: Iterable[tuple[str, str]]) -> Replay:
    """Return a transmit that asserts each command and answers it."""
    return Replay(list(script))
