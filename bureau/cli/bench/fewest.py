"""How many commands a card gets beside the fewest that it could be made with, reckoned without the plan.

The samples' cards are made on simulated chips, which refuse what a chip would; what was sent is counted in their traces.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lxml import etree

from bureau.cli import demo
from bureau.cli.bench.measures import Measure
from bureau.ledger import encoders, traces, views
from bureau.models import JobId
from bureau.service import operate, stint
from bureau.service.plant import Plant, no_wake
from bureau.service.press import SAMPLE
from bureau.service.register import SHIPPED
from bureau.service.replay import recorded
from hardware.gp import loadfile

PART: Final = "commands per card"
ROOM: Final = 239
"""Bytes of data that a short command holds at level 03: 255, less 8 of C-MAC, in whole blocks with some padding
(GPCS E.4.6, Amendment D 6.2.6)."""
FIXED: Final[Mapping[str, int]] = {
    "SELECT": 1,
    "INITIALIZE UPDATE": 1,
    "EXTERNAL AUTHENTICATE": 1,
    "GET DATA 9F7F": 1,
    "GET STATUS": 4,
    "INSTALL [for load]": 1,
    "INSTALL [for install]": 1,
    "INSTALL [for personalization]": 1,
}
"""What no card can do without, whatever it gets: a channel to its security domain; who it is, committed before it is
written; what it holds, in three registries of which none tells of another, and once more as proof that it is done; code, an
instance, and whose the data are."""
PROFILES: Final = SHIPPED / "profiles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The commands that made one card, by name, and the fewest; what a sample is asked afterwards depends on its job."""

    sample: str
    sent: Mapping[str, int]
    fewest: Mapping[str, int]

    @property
    def more(self) -> dict[str, int]:
        """Which commands it got beyond the fewest."""
        names = {**self.fewest, **self.sent}
        return {name: over for name in names if (over := self.sent.get(name, 0) - self.fewest.get(name, 0))}


def store_data(lengths: Mapping[str, int], alone: frozenset[str]) -> int:
    """Return the fewest STORE DATA for elements of such *lengths*, with tag and length, those *alone* not sharing one."""
    shared = sum(size for name, size in lengths.items() if name not in alone)
    return -(-shared // ROOM) + sum(-(-lengths[name] // ROOM) for name in alone & set(lengths))


def load(code: int) -> int:
    """Return the fewest LOAD for a load file data block of so many bytes, with its tag C4 and length (GPCS 11.6.2.3)."""
    head = 2 if code < 0x80 else 3 if code < 0x100 else 4
    return -(-(code + head) // ROOM)


def count(plant: Plant) -> list[Counted]:
    """Make the cards of the samples, from a bureau with encoders for them, and count their commands."""
    jobs: list[tuple[str, JobId]] = []
    for sample in demo.SAMPLES:
        made, _ = demo.submit_sample(plant, sample)
        jobs += ((sample, job) for job in made)
    operate.release(plant, [job for _, job in jobs], plant.settings.user, no_wake)
    for name, config in plant.encoders.items():
        encoders.start(plant.ledger, config.machine, plant.clock())
        encoders.open_line(plant.ledger, name, plant.settings.user, plant.clock())
        machine = stint.start(plant, name)
        while stint.stint(plant, machine, name):
            pass
        machine.close()
    fewest = {crn: each for sample in demo.SAMPLES for crn, each in _fewest(sample)}
    with plant.ledger.read() as connection:
        found = [
            (sample, card, traces.kept(connection, card.card))
            for sample, job in jobs
            for card in views.list_cards(connection, job)
        ]
    return [Counted(sample=sample, sent=_sent(plant, kept), fewest=fewest[card.crn]) for sample, card, kept in found]


def _sent(plant: Plant, kept: traces.Kept) -> dict[str, int]:
    made = (exchange for exchange in recorded(plant, kept).exchanges if exchange.phase != SAMPLE)
    names = [exchange.command.name for exchange in made]
    return {name: names.count(name) for name in dict.fromkeys(names)}


def _fewest(sample: str) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield each CRN of a sample with the fewest commands for its card, from nothing but the file and the profiles' tags."""
    code = len(loadfile.parse((SHIPPED / "perso.cap").read_bytes()).block)
    tags = {name: tag for file in PROFILES.iterdir() for name, tag in _tags(file.read_bytes())}
    file = etree.fromstring((demo.DEMO / sample).read_bytes())
    for crn, application in zip(file.iter("{*}CRN"), file.iter("{*}ApplicationData"), strict=True):
        values = [
            (each.get("DataElement", ""), each.get("Value", "")) for each in application.iterfind("{*}ICCData//{*}Data")
        ]
        lengths = {name: _length(tags[name], value) for name, value in values if name in tags}
        said = {each.get("DataElement"): each.get("Value", "") for each in application.iter("{*}Data")}
        alone = frozenset(said.get("VERCNTL", "").split())
        yield crn.get("Number", ""), {**FIXED, "LOAD": load(code), "STORE DATA": store_data(lengths, alone)}


def _tags(profile: bytes) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Yield the elements that a profile writes to a card: name, then tag, structure and encoding."""
    for element in etree.fromstring(profile).iter("{*}DataElement"):
        if tag := element.get("Tag"):
            yield element.get("Name", ""), (tag, element.get("TagEncoding", ""), element.get("Encoding", ""))


def _length(element: tuple[str, str, str], value: str) -> int:
    """Return the bytes of tag, length and value: a DGI's length has three from 255 on, a BER-TLV's two from 128 on."""
    tag, structure, encoding = element
    size = len(value) if encoding == "ASCII" else -(-len(value) // 2)
    if structure == "DGI":
        return 2 + (1 if size < 0xFF else 3) + size
    return len(tag) // 2 + (1 if size < 0x80 else 2) + size


def measures(cards: list[Counted]) -> list[Measure]:
    """Return for each sample what its cards got at most, beside the fewest of that card."""
    rows = []
    for sample in dict.fromkeys(card.sample for card in cards):
        worst = max((card for card in cards if card.sample == sample), key=lambda card: sum(card.sent.values()))
        over = ", ".join(f"{count} {name}" for name, count in worst.more.items())
        rows.append(
            Measure(
                part=PART,
                what=sample,
                value=sum(worst.sent.values()),
                unit="",
                remark=f"fewest {sum(worst.fewest.values())}" + (f"; more: {over}" if over else ""),
            )
        )
    return rows
