"""The machine that something is measured on: whoever compares two numbers has to know it."""

import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

from bureau.cli.bench.measures import Measure
from bureau.ledger import sqlite

SYNCS: Final = 50
BUSY: Final = 0.5
"""Processes that want to run, for each core, from which on a machine is too busy to be measured on."""


def facts(home: Path) -> dict[str, str]:
    """Return what the machine is, with the file system of *home*."""
    return {
        "processor": _after("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite.version(),
        "file system": _file_system(home),
        "load average": f"{os.getloadavg()[0]:.1f}",
    }


def is_busy() -> bool:
    """Return whether others want this machine too."""
    return os.getloadavg()[0] > BUSY * (os.cpu_count() or 1)


def fsync(home: Path) -> tuple[Measure, Measure]:
    """Return what a commit's one wait for the disk takes: the middle and the worst of some small writes in *home*."""
    took = []
    with tempfile.NamedTemporaryFile(dir=home) as file:
        for _ in range(SYNCS):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(1000 * (time.perf_counter() - began))
    return (
        Measure(part="machine", what=f"fsync, median of {SYNCS}", value=statistics.median(took), unit="ms"),
        Measure(part="machine", what=f"fsync, worst of {SYNCS}", value=max(took), unit="ms"),
    )


def _after(file: str, name: str) -> str:
    lines = Path(file).read_text("utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _file_system(home: Path) -> str:
    mounts = [line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    around = [mount for mount in mounts if home.is_relative_to(mount[1])]
    return max(around, key=lambda mount: len(mount[1]))[2] if around else "unknown"
