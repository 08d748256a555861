"""One append-only file of JSON lines, each written whole before the card answers."""

import json
import os
from pathlib import Path

from hardware.sim.eeprom import Json

Event = dict[str, Json]


class Journal:
    """Append events to a file; a line that a crash tore is cut off when it is opened again."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        text = path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if whole != text:
            os.ftruncate(self._descriptor, len(whole))
        self.events: list[Event] = [json.loads(line) for line in whole.splitlines()]

    def append(self, event: Event) -> None:
        """Write one event with a single system call; raises OSError where it isn't whole, and nothing of it stays."""
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        size = os.fstat(self._descriptor).st_size
        if os.write(self._descriptor, line) != len(line):
            os.ftruncate(self._descriptor, size)
            raise OSError("the journal took only a part of an event")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
