"""What all tests share: a database server, and what a run says at its end."""

from collections.abc import Iterator

import pytest

from tests import servers
from tests.hardware.vectors import matrix

pytest_plugins = ("tests.e2e.counting",)


@pytest.fixture(scope="session")
def cluster() -> Iterator[servers.Cluster]:
    """A PostgreSQL cluster for as long as the tests run."""
    with servers.cluster() as made:
        yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which published vectors prove each channel, and what rests on the simulated card alone."""
    terminalreporter.section("secure channels and the published vectors that prove them")
    for line in matrix():
        terminalreporter.write_line(line)
