"""What Linux lets a process say about its parent's death, and its name."""

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_PDEATHSIG: Final = 1
_NAME: Final = 15


def be_called(name: str) -> None:
    """Show *name*, its first 15 bytes, where processes are listed; children inherit it."""
    ctypes.CDLL(None).prctl(_NAME, name.encode()[:15])


def end_with(parent: int) -> None:
    """Get SIGTERM when *parent* dies; ends this process where it is dead already."""
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(0)


@contextmanager
def outliving(parent: int) -> Iterator[None]:
    """Don't die with *parent* meanwhile, as Celery has its children do; afterwards end at once if it is dead."""
    ctypes.CDLL(None).prctl(_PDEATHSIG, 0)
    try:
        yield
    finally:
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)
