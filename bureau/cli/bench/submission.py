"""How fast a large file is taken in, with what memory, and how long an encoder waits for a claim meanwhile."""

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bureau.cli.bench import ground
from bureau.cli.bench.measures import Measure
from bureau.cli.bench.stopwatch import Stopwatch
from bureau.cli.demo import DEMO
from bureau.errors import BureauError
from bureau.ledger import claims, encoders
from bureau.models import EncoderId
from bureau.service import operate, stint
from bureau.service.plant import Plant, no_wake
from config.settings import environment

PART: Final = "submission"
CARDS_A_SECOND, MEGABYTES, STALL = 2000.0, 200.0, 0.3
"""The goals."""
SECONDS: Final = 0.1
"""What the cards of the encoder take that claims meanwhile: it asks some times a second."""
SUBMIT: Final = """\
import sys
from bureau.cli import cli
try:
    cli.main(sys.argv[1:], standalone_mode=False)
finally:
    with open("/proc/self/status") as status:
        print(next(line for line in status if line.startswith("VmHWM")))
"""
"""A process can say by itself how much memory it ever had; its parent would hear of its own memory too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How a file was taken in: seconds in all, megabytes at the most, and the longest claim in seconds of *claims*."""

    records: int
    seconds: float
    megabytes: float
    stall: float
    claims: int


def large_file(file: Path, records: int) -> None:
    """Write a batch of so many records: the sample's over and over, each under a CRN of its own."""
    sample = (DEMO / "payment-batch.xml").read_text("utf-8")
    container = re.compile(r"<DataContainer>.*?</DataContainer>", re.DOTALL)
    made = [re.sub(r'CRN Number="\w+"', 'CRN Number="{}"', record) for record in container.findall(sample)]
    head = re.sub(
        r'CardRecordCount="\d+"', f'CardRecordCount="{records}"', sample[: sample.index("<DataContainer>")], count=1
    )
    with file.open("w", encoding="ascii") as out:
        out.write(head)
        out.writelines(made[number % 8].format(f"BE{number:08X}") for number in range(records))
        out.write(ground.TAIL)


def take(plant: Plant, name: EncoderId, records: int) -> Taken:
    """Submit a file of so many *records* in a process of its own while encoder *name* claims and makes other cards."""
    file = plant.settings.home / "large.xml"
    large_file(file, records)
    job = ground.reference_cards(plant, "MEANWHILE", max(50, records // 100))
    encoders.start(plant.ledger, plant.encoder(name).machine, plant.clock())
    encoders.open_line(plant.ledger, name, plant.settings.user, plant.clock())
    operate.release(plant, [job], plant.settings.user, no_wake)
    machine, made = stint.start(plant, name), 0
    with Stopwatch() as watch:
        watch.calls(claims, "claim", "claim")
        began = time.monotonic()
        with subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", SUBMIT, "submit", str(file)],
            env=environment(plant.settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as child:
            while child.poll() is None and (
                claimed := stint.stint(plant, machine, name, stopping=lambda: child.poll() is not None)
            ):
                made += claimed
            said, _ = child.communicate()
        seconds = time.monotonic() - began
    encoders.hold(plant.ledger, name, "measured", plant.settings.user, plant.clock())
    file.unlink()
    if child.returncode or not (peak := re.search(r"VmHWM:\s+(\d+) kB", said)):
        raise BureauError(f"the file of {records} cards wasn't taken in", said[-500:])
    return Taken(
        records=records, seconds=seconds, megabytes=int(peak[1]) / 1024, stall=watch.longest.get("claim", 0.0), claims=made
    )


def measures(taken: Taken) -> list[Measure]:
    """Return what was measured against the goals."""
    return [
        Measure(
            part=PART,
            what=f"cards a second, file of {taken.records}",
            value=taken.records / taken.seconds,
            unit="1/s",
            goal=CARDS_A_SECOND,
            more=True,
        ),
        Measure(part=PART, what="memory at the most", value=taken.megabytes, unit="MB", goal=MEGABYTES),
        Measure(
            part=PART,
            what="longest claim meanwhile",
            value=taken.stall,
            unit="s",
            goal=STALL,
            remark=f"of {taken.claims}",
        ),
    ]
