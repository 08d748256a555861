"""One process at a time drives a machine."""

import fcntl
import os
from pathlib import Path

from hardware.errors import EncoderBusy


def locked(file: Path, name: str) -> int:
    """Return the descriptor of *file*, locked as long as it is open; raises EncoderBusy."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as taken:
        os.close(lock)
        raise EncoderBusy(f"encoder {name} is driven by another process") from taken
    return lock
