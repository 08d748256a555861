"""Worlds with one powered card of each kind."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hardware.sim.blank import Blank, shipped
from hardware.sim.world import Defect, World
from tests.hardware.sim.host import Host

KINDS = ("payment-scp02", "export-scp03")
MakeHost = Callable[..., Host]


def fixed(size: int) -> bytes:
    """Serve as entropy."""
    return bytes(range(size))


@pytest.fixture(params=KINDS)
def blank(request: pytest.FixtureRequest) -> Blank:
    return shipped(str(request.param))


@pytest.fixture
def make(tmp_path: Path) -> MakeHost:
    """Return a function that powers a new card of a given blank and returns a host before it."""

    def power(blank: Blank, defect: Defect | None = None) -> Host:
        world = World.open(
            tmp_path / "journal",
            blank=blank,
            hoppers={"BLUE": 1},
            seed=1,
            entropy=fixed,
            defects={1: defect} if defect else {},
        )
        world.feed("BLUE")
        assert world.power_on() == blank.atr
        return Host(transmit=world.transmit, blank=blank)

    return power


@pytest.fixture
def host(blank: Blank, make: MakeHost) -> Host:
    """Return a host before a blank card of either kind."""
    return make(blank)


@pytest.fixture
def opened(host: Host) -> Host:
    """Return a host with an open session at level 03."""
    host.open()
    return host


@pytest.fixture
def prepared(opened: Host) -> Host:
    """Return a host in a session with an installed, selectable application."""
    opened.prepare()
    return opened
