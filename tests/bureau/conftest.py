"""The databases that a ledger can be in: whoever has a ledger in its arguments runs on each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bureau.ledger.ledger import Ledger
from tests.bureau import ledgers
from tests.servers import Cluster


def pytest_configure(config: pytest.Config) -> None:
    """Know the marks of the tests here."""
    config.addinivalue_line("markers", "sqlite: about SQLite's own ways")
    config.addinivalue_line("markers", "databases: runs on each database, though no ledger is among its arguments")
    config.addinivalue_line("markers", "postgresql: about PostgreSQL's own ways")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on the databases that it is about."""
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    if marks & {"sqlite", "postgresql"}:
        metafunc.parametrize("database", sorted(marks & {"sqlite", "postgresql"}), indirect=True)
    elif "databases" in marks or "ledger" in metafunc.fixturenames:
        metafunc.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(scope="session")
def migrated(cluster: Cluster) -> Cluster:
    """The cluster, with a migrated ledger in it that others are copied from."""
    cluster.run("CREATE DATABASE migrated")
    ledgers.migrate(cluster.url("migrated"))
    return cluster


@pytest.fixture(autouse=True)
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The kind of database that ledgers are in meanwhile."""
    kind = str(getattr(request, "param", "sqlite"))
    if kind == "postgresql":
        with ledgers.on(request.getfixturevalue("migrated")):
            yield kind
    else:
        yield kind


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger that can be written; a file whose tests need more of one says so itself."""
    with ledgers.opened(tmp_path / "ledger.db") as made:
        yield made
