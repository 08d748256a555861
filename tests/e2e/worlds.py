"""What lies in the simulated worlds, and what was said to it."""

import json
from pathlib import Path

from hardware.sim.plastics import Plastic, plastics

__all__ = ["Plastic", "headers", "plastics"]


def headers(folder: Path, encoder: str, position: int) -> list[str]:
    """Return the headers of the commands that changed anything on one plastic, counters included."""
    events = map(json.loads, (folder / f"{encoder}.journal").read_text().splitlines())
    return [event["header"] for event in events if event.get("position") == position and event["event"] == "command"]
