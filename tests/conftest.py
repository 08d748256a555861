"""What every test run says at its end."""

from itertools import groupby

import pytest

from tests.hardware.vectors import Combination, combination, not_reproduced, simulator_only, without_handshake

pytest_plugins = ("tests.e2e.counting",)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what rests on the simulated card alone, so that no one takes it for proven against others' values."""
    terminalreporter.section("published vectors")
    for line in _lines(simulator_only()):
        terminalreporter.write_line(f"no published vector, simulator only: {line}")
    for line in _lines(without_handshake()):
        terminalreporter.write_line(f"published wrapping, handshake simulator only: {line}")
    for vector in not_reproduced():
        terminalreporter.write_line(f"not covered by wrap yet: {vector['id']} (level {combination(vector)[3]:02X})")


def _lines(found: list[Combination]) -> list[str]:
    lines = []
    for (protocol, i, bits), group in groupby(found, key=lambda each: each[:3]):
        cipher = "3DES" if protocol == "SCP02" else f"AES-{bits}"
        lines.append(f"{protocol} i={i:02X} {cipher} level {', '.join(f'{each[3]:02X}' for each in group)}")
    return lines
