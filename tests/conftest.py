"""What all tests share: a database server, and what a run says at its end."""

from collections.abc import Iterator
from itertools import groupby

import pytest

from tests import servers
from tests.hardware.vectors import Combination, combination, not_reproduced, simulator_only, without_handshake

pytest_plugins = ("tests.e2e.counting",)


@pytest.fixture(scope="session")
def cluster() -> Iterator[servers.Cluster]:
    """A PostgreSQL cluster for as long as the tests run."""
    with servers.cluster() as made:
        yield made


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
