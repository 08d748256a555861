"""Workers on several hosts, each with a name, a home and encoders of its own, on one PostgreSQL and one Redis."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from bureau.cli import specimens
from bureau.ledger import auditing
from bureau.ledger.views import AttemptView
from bureau.models import AttemptOutcome, CardState, EncoderId, EncoderState
from bureau.service import agreement, register, stint
from bureau.service.agreement import Fate
from bureau.service.decisions import scrap
from bureau.service.plant import Plant
from config import logging
from tests import servers
from tests.servers import Cluster
from tests.workers import cable, floor
from tests.workers.cable import Cable
from tests.workers.floor import Floor, Up, eventually, station

CARDS = 24
PACE = 50
"""Milliseconds for each command: a card takes two seconds, long enough to be hit in the middle."""
LEASE = "8"
"""Seconds: a host signs every second, and its lines are lost after three without a sign."""
LOST = ("killed", "stopped", "cut")
"""The three hosts that vanish, each with an encoder of that name, and how."""


@contextmanager
def hosts(home: Path, cluster: Cluster) -> Iterator[tuple[dict[str, Floor], Sequence[Cable]]]:
    """Open four bureaus on the same servers; the last one reaches them through cables."""
    with ExitStack() as stack:
        redis = Path(stack.enter_context(servers.redis()).removeprefix("redis+socket://"))
        short = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bureau-")))
        postgres = cluster.folder / ".s.PGSQL.5432"
        cables = [stack.enter_context(cable.laid(short / far.name, far)) for far in (redis, postgres)]
        found = {}
        for seed, name in enumerate(("stays", *LOST), start=1):
            direct = name != "cut"
            stations = [station(name, seed, pace=PACE)] + [station("other", 9, pace=PACE)] * (name == "stays")
            found[name] = stack.enter_context(
                floor.opened(
                    Path(shutil.copytree(home, home.parent / name)),
                    *stations,
                    broker_url=f"redis+socket://{redis if direct else short / redis.name}",
                    database_url=f"postgresql://bureau@/hosts?host={cluster.folder if direct else short}",
                )
            )
        yield found, cables


def start(host: Floor, name: str) -> Up:
    """Start `bureau up` on the host of a name."""
    return floor.up(host, "--open", BUREAU_LEASE_SECONDS=LEASE, BUREAU_HOST=f"host-{name}")


def send(running: Up, number: int) -> None:
    """Send a signal to all processes of a host at once."""
    everyone = [running.process.pid, *floor.descendants(running.process.pid)]
    for process in everyone:
        if floor.runs(process):
            os.kill(process, number)


def fates(here: Floor) -> list[Fate]:
    """Return what the ledger says of each record."""
    marks = {specimens.crn(number): specimens.pan(number) for number in range(CARDS)}
    attempts: dict[str, list[AttemptView]] = {crn: [] for crn in marks}
    for card, attempt in here.attempts():
        attempts[card.crn].append(attempt)
    return [Fate(crn=card.crn, mark=marks[card.crn], state=card.state, attempts=attempts[card.crn]) for card in here.cards()]


def test_a_host_that_vanishes_leaves_suspects_and_no_doubles(home: Path, cluster: Cluster) -> None:
    """Killed, asleep or cut off inside a card, its line is lost and the card suspect; back again, it does no harm."""
    (home / "ledger.sqlite").unlink()
    cluster.run("CREATE DATABASE hosts")
    with hosts(home, cluster) as (found, cables):
        here = found["stays"]
        here.plant.ledger.migrate()
        register.add_shipped(here.plant, "tester")
        for file in specimens.files(home.parent, CARDS):
            here.submit(file)
        running = {name: start(host, name) for name, host in found.items()}
        for name in LOST:
            eventually(f"a card on {name}", partial(begun, found[name], name))
            if name == "cut":
                for each in cables:
                    each.cut()
            else:
                send(running[name], signal.SIGKILL if name == "killed" else signal.SIGSTOP)
        eventually("lost lines", lambda: states(here, LOST) == {EncoderState.LOST})
        eventually("three suspects", lambda: here.count(CardState.SUSPECT) == 3)
        eventually("the host that stays", lambda: states(here, ("stays", "other")) == {EncoderState.OPEN})
        shown = {each["encoder"]: each for each in json.loads(here.command("encoders", "--json").stdout)}
        assert {shown[name]["state"] for name in LOST} == {"lost"}
        assert shown["cut"]["why"].startswith("host host-cut hasn't been heard of since ")
        assert {("lost", f"encoder {name}") for name in LOST} <= set(here.audit())

        send(running["stopped"], signal.SIGCONT)
        for each in cables:
            each.mend()
        eventually("lines as they were", lambda: states(here, ("stopped", "cut")) == {EncoderState.OPEN})
        assert states(here, ("killed",)) == {EncoderState.LOST}
        eventually("all others", lambda: here.count(CardState.GOOD) == CARDS - 3)
        left = [running[name] for name in ("stays", "stopped", "cut")]
        for up in left:
            up.signal(signal.SIGTERM)
        assert [up.wait()[0] for up in left] == [0, 0, 0]
        for name in LOST:
            clear(found[name], name)

        suspects = [card.card for card in here.cards() if card.state is CardState.SUSPECT]
        scrap(here.plant, suspects, "their host vanished", "tester")
        world = [plastic for host in found.values() for plastic in host.plastics()]
        assert agreement.differences(world, fates(here), {}) == []
        unknown = [attempt.encoder for _, attempt in here.attempts() if attempt.outcome is AttemptOutcome.UNKNOWN]
        assert sorted(unknown) == sorted(LOST)
        assert sorted(plastic.encoder for plastic in world if plastic.tray == "reject") == sorted(LOST)
        assert auditing.verify(here.plant.ledger, here.plant.keystore.authenticate) is None
    cluster.drop("hosts")


def clear(host: Floor, name: str) -> None:
    """Clear the station of what was left there, as the next `bureau up` on the host does first of all."""
    logging.configure()
    plant = Plant(replace(host.plant.settings, host=f"host-{name}"))
    stint.start(plant, EncoderId(name)).close()
    plant.ledger.close()


def begun(host: Floor, name: str) -> bool:
    """Return whether the card in the station is being written."""
    return host.commands(name) >= 3


def states(here: Floor, names: Sequence[str]) -> set[EncoderState]:
    """Return how the lines of *names* stand."""
    views = here.encoders()
    return {views[name].machine.state for name in names}
