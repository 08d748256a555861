"""Bureaus for the tests of this folder, each in a directory of its own."""

import shutil
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from bureau.models import CardId, JobId
from bureau.service.plant import Plant
from config import logging
from tests.e2e import bureaus
from tests.e2e.batches import standard_job
from tests.e2e.bureaus import BLUE, Bureau, Station
from tests.typed import Typed, in_process


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


@pytest.fixture
def typed(bureau: Bureau, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Type a command in the home of *bureau*."""
    monkeypatch.setenv("BUREAU_HOME", str(bureau.plant.settings.home))
    monkeypatch.setenv("BUREAU_PASSPHRASE_FILE", str(bureau.plant.settings.passphrase_file))
    monkeypatch.setenv("BUREAU_USER", "engineer")
    return in_process(monkeypatch, capsys)


@pytest.fixture
def made(bureau: Bureau, tmp_path: Path) -> CardId:
    """A good card of a job that stays open, made on a simulated encoder."""
    bureau.equip(Station(name="sim1", seed=1, blanks={BLUE: 1}))
    bureau.take(standard_job(tmp_path / "job.xml", 2))
    bureau.run()
    return next(card.card for card in bureau.cards(JobId(1)) if card.state == "good")


def pytest_configure(config: pytest.Config) -> None:
    """Count the points also where nobody else asked for it."""
    config.pluginmanager.import_plugin("tests.e2e.counting")
