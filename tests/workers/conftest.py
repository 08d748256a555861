"""Bureaus for the tests of this folder, each in a directory of its own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.e2e import bureaus


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bureau that nothing was done in yet; tests work on copies."""
    home = tmp_path_factory.mktemp("founded") / "home"
    bureaus.found(home)
    return home


@pytest.fixture
def home(founded: Path, tmp_path: Path) -> Path:
    """A new bureau's directory."""
    return Path(shutil.copytree(founded, tmp_path / "home"))


@pytest.fixture(params=["valkey", "redis"])
def broker_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """What BUREAU_BROKER_URL says: nothing, so that `bureau up` starts its own Valkey, or where a Redis listens."""
    if request.param == "valkey":
        yield None
    else:
        with servers.redis() as address:
            yield address
