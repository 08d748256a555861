"""Simulated cards behind virtual PC/SC readers: for the demo, and by the simulate command for any other PC/SC client."""

import json
import signal
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, Final

import click

from bureau.cli.output import note, say
from bureau.errors import NotFoundError
from hardware.encoders.pcsc.daemon import MOST, START_SECONDS, Daemon, private
from hardware.encoders.pcsc.feeder import Simulated
from hardware.encoders.pcsc.reader import Reader
from hardware.sim import blank

STOCK: Final = "BLANK"
SEED: Final = 7000
"""Far from the seeds that encoders are given, for a chip of the same seed is the same chip."""
_ENDS: Final = (signal.SIGINT, signal.SIGTERM)


def daemon(readers: int) -> AbstractContextManager[Daemon]:
    """Return a private pcscd with so many virtual readers; raises ReaderError when entered."""
    return private(readers)


def move(daemon: Daemon, stations: Path, worlds: Path) -> list[str]:
    """Put the simulated encoders of the file *stations* behind readers of *daemon*, and rewrite it; return the readers."""
    encoders = tomllib.loads(stations.read_text("utf-8"))["encoder"]
    names = {name: daemon.reader(number) for number, name in enumerate(encoders, start=1)}
    written = []
    for number, (name, entry) in enumerate(encoders.items(), start=1):
        feeder = daemon.put(number, name, worlds, entry["options"])
        options = {"reader": names[name], "socket": daemon.socket, "feeder": feeder}
        written.append(f"[encoder.{name}]\n" + _toml({**entry, "kind": "pcsc", "options": options}))
    stations.write_text("\n".join(written), "utf-8")
    return list(names.values())


def _toml(entry: Mapping[str, Any]) -> str:
    """Write texts, lists of texts and tables of texts, which TOML and JSON write alike but for the tables."""
    lines = []
    for key, value in entry.items():
        table = isinstance(value, dict)
        text = ", ".join(f"{name} = {json.dumps(each)}" for name, each in value.items()) if table else json.dumps(value)
        lines.append(f"{key} = {{ {text} }}\n" if table else f"{key} = {text}\n")
    return "".join(lines)


@click.command("simulate")
@click.argument("product")
@click.option(
    "--readers", "count", default=1, show_default=True, type=click.IntRange(1, MOST), help="How many, a blank in each."
)
def simulate_command(product: str, count: int) -> None:
    """Put blanks of a card PRODUCT behind virtual PC/SC readers.

    They are simulated, and there until Ctrl-C. Any PC/SC client can talk to them: opensc-tool, gp, gpshell. Their pcscd is
    one of their own and needs root; the printed PCSCLITE_CSOCK_NAME leads to it. What is written to them is forgotten at the
    end.
    """
    try:
        blank.shipped(product)
    except (OSError, ValueError) as unknown:
        raise NotFoundError(f"there is no simulated blank of {product!r}", "payment-scp02 is one.") from unknown
    with daemon(count) as cards, tempfile.TemporaryDirectory() as worlds:
        for number in range(1, count + 1):
            options = {"blank": product, "blanks": {STOCK: 1}, "seed": SEED + number}
            feeder = Simulated(cards.put(number, f"reader{number}", Path(worlds), options))
            feeder.feed(STOCK)
            feeder.close()
            with closing(Reader(cards.reader(number), cards.socket)) as reader:
                reader.wait(card=True, seconds=START_SECONDS)
            note(f"a blank of {product} is in reader {cards.reader(number)!r}")
        say(f"export PCSCLITE_CSOCK_NAME={cards.socket}")
        note("Ctrl-C takes the blanks out and ends")
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        signal.sigwait(_ENDS)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
