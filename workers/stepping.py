"""The template of a chaos run: its workers' clocks step, and the broker soon delivers again what nobody acknowledged."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final

from bureau.service.plant import now
from config import settings
from workers import template
from workers.app import app
from workers.queues import OFFICE

VISIBILITY_SECONDS: Final = 2


@dataclass(frozen=True)
class SteppingClock:
    """A clock that is wrong by as many seconds as the file of its process in *folder* says at this moment."""

    folder: Path

    def __call__(self) -> datetime:
        """Return the wrong time."""
        try:
            return now() + timedelta(seconds=float(self._file.read_text()))
        except FileNotFoundError:
            return now()

    @cached_property
    def _file(self) -> Path:
        return self.folder / (settings.current().encoder or OFFICE)


def clocks(home: Path) -> Path:
    """Return the folder where a chaos run says how wrong each clock is."""
    return home / "clocks"


def step(home: Path, process: str, seconds: float) -> None:
    """Make the clock of *process* wrong by *seconds* from now on."""
    clocks(home).mkdir(exist_ok=True)
    whole = clocks(home) / f".{process}"
    whole.write_text(str(seconds))
    whole.rename(clocks(home) / process)


def main() -> None:
    """Do what a template does, with such clocks and such a broker."""
    app.conf.broker_transport_options |= {"visibility_timeout": VISIBILITY_SECONDS}
    app.conf.plant_clock = SteppingClock(clocks(settings.current().home))
    template.main()


if __name__ == "__main__":
    main()
