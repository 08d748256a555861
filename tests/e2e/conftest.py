"""Bureaus for the tests of this folder, each in a directory of its own."""

import shutil
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from bureau.service.plant import Plant
from config import logging
from tests.e2e import bureaus
from tests.e2e.bureaus import Bureau


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


@pytest.fixture
def log() -> StringIO:
    """All that is logged while the test runs."""
    stream = StringIO()
    logging.configure(stream, level=10)
    return stream


@pytest.fixture
def bureau(home: Path, log: StringIO) -> Iterator[Bureau]:
    """A new bureau, without encoders yet."""
    with bureaus.opened(Plant(bureaus.settings(home))) as opened:
        yield opened


def pytest_configure(config: pytest.Config) -> None:
    """Count the points also where nobody else asked for it."""
    config.pluginmanager.import_plugin("tests.e2e.counting")
