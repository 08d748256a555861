"""What a chaos run works on: encoders whose blanks tear at random commands, and an issuer's files of specimen cards."""

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from random import Random
from typing import Final

STOCK: Final = "PLASTIC-BLUE"
COMMANDS: Final = 45
"""What a card takes, more or less."""
TORN: Final = 0.06
"""The share of blanks that tear, before or after the card has carried a command out."""
BATCH: Final = 25
"""Cards of one file, so that batches close while things go wrong."""


def stations(chance: Random, encoders: int, blanks: int, milliseconds: float) -> str:
    """Return stations.toml of so many simulated *encoders* with so many *blanks* each."""
    texts = []
    for number in range(1, encoders + 1):
        defects = [
            f"{position} = {{ {chance.choice(('mute_at', 'mute_after'))} = {chance.randint(1, COMMANDS)} }}"
            for position in range(1, blanks + 1)
            if chance.random() < TORN
        ]
        texts.append(
            f'[encoder.sim{number}]\nkind = "simulator"\nproduct = "payment-scp02"\nstocks = ["{STOCK}"]\n'
            f'options = {{ blank = "payment-scp02", blanks = {{ {STOCK} = {blanks} }}, seed = {number}, '
            f"milliseconds_per_command = {milliseconds:.1f}, defects = {{ {', '.join(defects)} }} }}\n"
        )
    return "\n".join(texts)


def files(folder: Path, cards: int) -> Iterator[Path]:
    """Write an issuer's files of so many *cards* into *folder*, those of the sample under other names and numbers."""
    sample = (resources.files("config") / "demo" / "payment-batch.xml").read_text("utf-8")
    head = sample[: sample.index("<DataContainer>")]
    record = re.findall(r"<DataContainer>.*?</DataContainer>", sample, re.DOTALL)[0]
    old = re.findall(r"541333\d{10}", record)[0]
    tail = "</DataContainerHeader></JobContainer></EnvironmentContainer></BatchCardCustomization></GPBody></GPMessage>"
    for start in range(0, cards, BATCH):
        numbers = range(start, min(start + BATCH, cards))
        name = f"CHAOS-{start // BATCH + 1}"
        own = head.replace("B2026-001", name).replace('CardRecordCount="8"', f'CardRecordCount="{len(numbers)}"')
        records = [
            re.sub(r'CRN Number="\w+"', f'CRN Number="{crn(number)}"', record.replace(old, pan(number)))
            for number in numbers
        ]
        file = folder / f"{name}.xml"
        file.write_text(own + "".join(records) + tail, "utf-8")
        yield file


def crn(number: int) -> str:
    """Return the CRN of a specimen, counted from 0."""
    return f"2B0601040181FD5963C{number:05X}"


def pan(number: int) -> str:
    """Return the test PAN of a specimen, with its check digit (ISO/IEC 7812-1 annex B); no other card holds it."""
    digits = f"541333{700_000_000 + number}"
    doubled = [int(digit) * (2 - at % 2) for at, digit in enumerate(reversed(digits))]
    return digits + str(-sum(value - 9 * (value > 9) for value in doubled) % 10)
