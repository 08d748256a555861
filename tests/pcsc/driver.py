"""The driver of virtual readers that can be made to fail, built from ifd.c, and what tells it so."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from hardware.encoders.pcsc.daemon import LIBRARY, Daemon

SOURCE: Final = Path(__file__).with_name("ifd.c")


def built(folder: Path) -> Path:
    """Return the driver, compiled into *folder*; skips the test that asks where compiler or headers are missing."""
    if lack := [each for each in ("gcc", "pkg-config") if not shutil.which(each)]:
        pytest.skip(f"a reader that fails needs a driver of its own: apt-get install {' '.join(lack)}")
    flags = subprocess.run(["pkg-config", "--cflags", "libpcsclite"], capture_output=True, text=True, check=False)
    if flags.returncode:
        pytest.skip("a reader that fails needs a driver of its own: apt-get install libpcsclite-dev")
    driver = folder / "ifd.so"
    strict = ["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f'-DVPCD="{LIBRARY}"', *flags.stdout.split()]
    subprocess.run(["gcc", *strict, str(SOURCE), "-o", str(driver), "-ldl"], check=True)
    return driver


def ail(daemon: Daemon, word: str) -> None:
    """Let the first two readers ail as ifd.c has it for *word*."""
    fault = _fault(daemon)
    fault.with_suffix(".new").write_text(word)
    fault.with_suffix(".new").replace(fault)


def mend(daemon: Daemon) -> None:
    """Let the readers be well again."""
    _fault(daemon).unlink(missing_ok=True)


def _fault(daemon: Daemon) -> Path:
    return daemon.library(1).with_suffix(".so.fault")
