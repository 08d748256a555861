"""Hosts: each runs encoders of its own and gives signs of life for them; those of a host that falls silent are lost."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from bureau.errors import NotAllowedError
from bureau.ledger import encoders
from bureau.models import EncoderId, EncoderState
from bureau.scheduling import Line
from bureau.service.plant import Plant
from bureau.service.report import OFFICE


def check(plant: Plant, names: Collection[EncoderId]) -> None:
    """Raise NotAllowedError where another host that is alive runs one of *names*: blanks and trays are counted by name."""
    with plant.ledger.read() as connection:
        found = [line for line in encoders.lines(connection) if line.machine.encoder in names]
    for line in found:
        if is_elsewhere(plant, line) and plant.clock() - line.seen_at < plant.settings.silence:
            name = line.machine.encoder
            raise NotAllowedError(
                f"encoder {name} runs on host {line.host}",
                f"Give this one another name in {plant.settings.stations_file}, or stop `bureau up` there first.",
            )


def is_elsewhere(plant: Plant, line: Line) -> bool:
    """Return whether another host than this one runs the encoder of *line*, or ran it last and didn't stop it."""
    return line.host not in {"", plant.settings.host}


def sign(plant: Plant, names: Collection[EncoderId]) -> None:
    """Give a sign of life of this host's encoders *names*; raises UnavailableError."""
    encoders.seen(plant.ledger, names, plant.settings.host, plant.clock())


@dataclass(slots=True)
class Watch:
    """Notices lines that fall silent, by this process's own watch: the clocks of two hosts are never compared."""

    monotonic: Callable[[], float] = time.monotonic
    heard: dict[EncoderId, tuple[datetime, float]] = field(default_factory=dict)
    """The last sign of life of each, and when it was first seen here."""

    def look(self, plant: Plant) -> tuple[EncoderId, ...]:
        """Write down which open lines are lost, and return them; each is told of once until there is a sign of it again."""
        with plant.ledger.read() as connection:
            lines = [line for line in encoders.lines(connection) if line.host and line.machine.state is EncoderState.OPEN]
        now, known = self.monotonic(), self.heard
        self.heard = {}
        for line in lines:
            name = line.machine.encoder
            same = name in known and known[name][0] == line.seen_at
            self.heard[name] = known[name] if same else (line.seen_at, now)
        over = plant.settings.silence.total_seconds()
        silent = {name: sign for name, (sign, since) in self.heard.items() if now - since >= over}
        return encoders.lose(plant.ledger, silent, OFFICE, plant.clock()) if silent else ()
