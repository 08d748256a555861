"""No command that changes a card goes out before the ledger has said that it may."""

from collections.abc import Callable

import pytest

from bureau.service.press import Gate
from hardware.iso7816 import Command, Response


def sent_through(gate_begin: Callable[[], None], *commands: Command) -> list[str]:
    """Pass commands through a Gate until one fails; returns what went through."""
    sent: list[str] = []

    def transmit(command: Command) -> Response:
        sent.append(command.name)
        return Response(b"", 0x9000)

    def begin() -> None:
        sent.append("begin")
        gate_begin()

    gate = Gate(transmit, begin)
    for command in commands:
        try:
            gate(command)
        except RuntimeError:
            sent.append("refused")
    return sent


READ, CHANGE = Command("GET DATA", 0x80, 0xCA, 0, 0x66), Command("DELETE", 0x80, 0xE4, 0, 0)
UNKNOWN = Command("UNKNOWN", 0x80, 0x12, 0, 0)


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ((READ, READ), ["GET DATA", "GET DATA"]),
        ((READ, CHANGE, CHANGE, READ), ["GET DATA", "begin", "DELETE", "DELETE", "GET DATA"]),
        ((UNKNOWN, CHANGE), ["begin", "UNKNOWN", "DELETE"]),
    ],
)
def test_gate_opens_once_before_the_first_change(commands: tuple[Command, ...], expected: list[str]) -> None:
    """A command that isn't known to read counts as a change."""
    assert sent_through(lambda: None, *commands) == expected


def test_gate_stays_shut_while_begin_fails() -> None:
    """Each changing command asks again, none is sent, reading goes on."""

    def refuse() -> None:
        raise RuntimeError

    assert sent_through(refuse, CHANGE, READ, CHANGE) == ["begin", "refused", "GET DATA", "begin", "refused"]
