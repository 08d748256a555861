"""What lies in the simulated worlds: each plastic's memory, folded from the journals' lines and from nothing else.

It shares nothing with the World that wrote them, so whoever counts with it doesn't believe what he wants to prove.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Plastic:
    """One piece of plastic; *memory* is the chip's flat dictionary."""

    encoder: str
    position: int
    memory: Mapping[str, object] = field(repr=False)

    @property
    def touched(self) -> bool:
        """Whether a command changed it."""
        return bool(self.memory.get("touched"))

    @property
    def tray(self) -> object:
        """Where it was dropped; None while it is in the station."""
        return self.memory.get("tray")

    @property
    def identity(self) -> str:
        """Its production data (CPLC), 42 bytes in upper-case hex."""
        return str(self.memory["identity"])

    @property
    def contents(self) -> dict[str, str]:
        """Everything stored in its applications: "AID dgi/8000" or "AID tag/5A" to hex."""
        found = {}
        for key, value in self.memory.items():
            room, *rest = key.split("/")
            if room == "app" and rest[1] in {"dgi", "tag", "raw"}:
                found[f"{rest[0]} {'/'.join(rest[1:])}"] = str(value)
        return found

    @property
    def states(self) -> dict[str, object]:
        """The life cycle state of each application, by AID."""
        return {
            key.split("/")[1]: value for key, value in self.memory.items() if key.endswith("/state") and key[:4] == "app/"
        }


def plastics(folder: Path) -> list[Plastic]:
    """Return all plastic that the encoders of *folder* ever fed, by encoder and position."""
    return [plastic for journal in sorted(folder.glob("*.journal")) for plastic in _read(journal)]


def _read(journal: Path) -> list[Plastic]:
    memories: dict[int, dict[str, object]] = {}
    for line in journal.read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "world":
            continue
        memory = memories.setdefault(event["position"], {})
        for key, value in event["set"].items():
            if value is None:
                memory.pop(key, None)
            else:
                memory[key] = value
    return [Plastic(encoder=journal.stem, position=position, memory=memory) for position, memory in sorted(memories.items())]
