"""A pcscd of each test's own, with two virtual readers; without root or the packages these tests skip and say why."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bureau.service import stint
from hardware.encoders.pcsc.daemon import Daemon, missing, private
from tests.e2e.bureaus import Bureau
from tests.e2e.conftest import bureau, founded, home, log
from tests.pcsc.floor import Floor
from tests.pcsc.scene import Scene

__all__ = ["bureau", "founded", "home", "log"]


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A private pcscd with two readers and no card."""
    if lack := missing():
        pytest.skip(lack)
    with private(2) as running:
        yield running


@pytest.fixture
def floor(daemon: Daemon, tmp_path: Path) -> Iterator[Floor]:
    """Readers to put cards and encoders on."""
    prepared = Floor(daemon, tmp_path / "worlds")
    yield prepared
    prepared.close()


@pytest.fixture
def scene(bureau: Bureau, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A bureau on these readers, whose encoders look again soon."""
    monkeypatch.setattr(stint, "AWAIT_SECONDS", 0.2)
    prepared = Scene(bureau, daemon, monkeypatch)
    yield prepared
    prepared.leave()
