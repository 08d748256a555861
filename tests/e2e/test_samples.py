"""Which cards are read back as a whole, what is asked of them then, and what a card that lies does to its lot."""

import json
from collections import Counter
from pathlib import Path

import pytest
from lxml import etree
from sqlalchemy import select

from bureau.ledger.schema import lots
from bureau.models import JobId
from hardware.encoders.simulator import Simulator
from hardware.errors import LostCard
from hardware.iso7816 import Command, Response
from tests.e2e import expected, secrecy
from tests.e2e.batches import standard_job
from tests.e2e.bureaus import BLUE, GOLD, Bureau, Station
from tests.e2e.expected import EXPORT, PAYMENT, named
from tests.typed import Typed

RECORDS, OBJECTS = 4, ("GET DATA 9000", "GET DATA 9010", "GET DATA 9104")
"""What the sample's payment cards give back; 9102 stands in the answer to SELECT."""
COMMANDS = 24
"""What such a card is sent that is no sample."""


class Counting(Simulator):
    """A simulator that counts what each card is sent, by its position, and loses the answer to *lost* of the first."""

    sent: dict[int, Counter[str]]
    lost: str

    def transmit(self, command: Command) -> Response:
        """Count and exchange."""
        position = self.station() or 0
        self.sent.setdefault(position, Counter())[command.name] += 1
        response = super().transmit(command)
        if (position, command.name) == (1, self.lost):
            raise LostCard(f"{command.name}: the card was taken out")
        return response


def job_of(file: Path, cards: int, risk: int) -> Path:
    """Write a batch of so many cards whose job has this RiskLevel."""
    root = etree.parse(standard_job(file, cards)).getroot()
    for job in named(root, "JobContainer"):
        job.set("RiskLevel", str(risk))
    file.write_bytes(etree.tostring(root))
    return file


def making(bureau: Bureau, file: Path, station: Station, lost: str = "") -> Counting:
    """Release *file* and let one encoder work on it; returns its machine."""
    bureau.equip(station)
    machine = bureau.start("sim1", Counting.start)
    assert isinstance(machine, Counting)
    machine.sent, machine.lost = {}, lost
    bureau.take(file)
    bureau.run()
    return machine


FIRST = JobId(1)


def ends(bureau: Bureau, job: JobId = FIRST) -> list[tuple[str, list[bool]]]:
    """Return the state of each record, and for each of its plastics whether it was a sample."""
    return [(card.state, [each.sampled for each in bureau.attempts(card)]) for card in bureau.cards(job)]


def held(bureau: Bureau) -> list[str | None]:
    """Return why each lot is held, in the ledger's own words."""
    with bureau.plant.ledger.read() as connection:
        return list(connection.execute(select(lots.c.stopped_reason).order_by(lots.c.id)).scalars())


@pytest.mark.parametrize(("risk", "wanted"), [(1, set(range(1, 13))), (2, {1, 11}), (3, {1})])
def test_the_risk_level_says_how_many_cards_are_read_back(
    bureau: Bureau, tmp_path: Path, risk: int, wanted: set[int]
) -> None:
    """Every one, one in ten, one in a hundred, always the first of the lot; all others are sent what they always were."""
    machine = making(bureau, job_of(tmp_path / "job.xml", 12, risk), Station(name="sim1", seed=1))
    read = {position for position, sent in machine.sent.items() if sent["READ RECORD"]}
    assert read == wanted
    for position, sent in machine.sent.items():
        objects = {name: count for name, count in sent.items() if name.startswith("GET DATA 9") and name != "GET DATA 9F7F"}
        sampled = position in wanted
        assert sent["READ RECORD"] == (RECORDS if sampled else 0)
        assert objects == (dict.fromkeys(OBJECTS, 1) if sampled else {})
        assert sent["SELECT"] == (2 if sampled else 1)
        assert sent.total() == COMMANDS + (1 + RECORDS + len(OBJECTS) if sampled else 0)
    assert ends(bureau) == [("good", [position in wanted]) for position in range(1, 13)]


def test_each_lot_begins_with_a_sample(bureau: Bureau) -> None:
    """The payment batch has two: eight cards at level 3, and two urgent ones at level 1."""
    bureau.equip(Station(name="sim1", seed=1, blanks={BLUE: 8, GOLD: 2}))
    bureau.take(PAYMENT)
    bureau.run()
    standard, urgent = bureau.job("STANDARD"), bureau.job("URGENT")
    assert ends(bureau, standard) == [("good", [True])] + 7 * [("good", [False])]
    assert ends(bureau, urgent) == 2 * [("good", [True])]


def test_tags_are_read_back_too(bureau: Bureau) -> None:
    """The export's card over SCP03: each tag by GET DATA, after the channel has ended."""
    station = Station(name="sim1", seed=1, product="export-scp03")
    machine = making(bureau, EXPORT, station)
    asked = {name for name in machine.sent[1] if name.startswith("GET DATA") and name != "GET DATA 9F7F"}
    assert asked == {"GET DATA 005A", "GET DATA 5F20", "GET DATA 5F25", "GET DATA 5F34", "GET DATA 0057"}
    assert ends(bureau)[0] == ("good", [True])


@pytest.mark.parametrize(
    ("defect", "said"),
    [
        ("worn_dgis = [0x0101]", "record 1 of SFI 1 of application A0000000041010 differs from what was written"),
        ("worn_dgis = [0x0202]", "record 2 of SFI 2 of application A0000000041010 differs from what was written"),
        ("worn_dgis = [0x9010]", "DGI 9010 of application A0000000041010 differs from what was written"),
        ("worn_dgis = [0x9102]", "the answer to SELECT of application A0000000041010 differs from what was written"),
        ("lost_dgis = [0x0201]", "record 1 of SFI 2 of application A0000000041010 can't be read: READ RECORD: 6A83"),
        ("lost_dgis = [0x9000]", "DGI 9000 of application A0000000041010 can't be read: GET DATA 9000: 6A88"),
    ],
)
def test_a_card_that_lies_is_found_and_holds_its_lot(bureau: Bureau, tmp_path: Path, defect: str, said: str) -> None:
    """It took every command; what it keeps isn't what it was given. Nothing more of its lot is claimed."""
    making(bureau, job_of(tmp_path / "job.xml", 12, 2), Station(name="sim1", seed=1, defects={11: defect}))
    assert [state for state, _ in ends(bureau)] == 10 * ["good"] + ["rejected", "ready"]
    card = bureau.cards(JobId(1))[10]
    (plastic,) = bureau.attempts(card)
    assert (plastic.outcome, plastic.code, plastic.sampled) == ("spoiled", "card", True)
    assert (plastic.cause or "").startswith(f"read back: {said}")
    assert held(bureau) == [f"sample failed: card {card.card}: {plastic.cause}"]
    assert bureau.run() == 0
    on_chip, wanted = bureau.plastics()[10], expected.cards(tmp_path / "job.xml")[10].contents
    assert on_chip.tray == "reject"
    assert sum(on_chip.contents.get(name) != value for name, value in wanted.items()) == 1
    (balance,) = bureau.balances(JobId(1))
    assert (balance.good_plastics, balance.spoiled, balance.stock_balances) == (10, 1, True)


def test_a_card_that_is_no_sample_is_not_found_out(bureau: Bureau, tmp_path: Path) -> None:
    """That is the price of the level that its issuer chose."""
    station = Station(name="sim1", seed=1, defects={2: "worn_dgis = [0x0101]"})
    making(bureau, job_of(tmp_path / "job.xml", 3, 2), station)
    assert ends(bureau) == [("good", [True]), ("good", [False]), ("good", [False])]
    assert bureau.plastics()[1].contents not in [card.contents for card in expected.cards(tmp_path / "job.xml")]


@pytest.mark.parametrize("lost", ["READ RECORD", "GET DATA 9000"])
def test_a_sample_whose_answer_is_lost_is_suspect_and_holds_nothing(bureau: Bureau, tmp_path: Path, lost: str) -> None:
    """As any other loss; the next card is the lot's sample."""
    making(bureau, job_of(tmp_path / "job.xml", 3, 3), Station(name="sim1", seed=1), lost=lost)
    assert ends(bureau) == [("suspect", [True]), ("good", [True]), ("good", [False])]
    assert held(bureau) == [None]


def test_only_the_lot_of_a_failed_sample_is_held(bureau: Bureau) -> None:
    """The urgent one's first card lies; the other lot is made."""
    defects = {1: "worn_dgis = [0x0201]"}
    bureau.equip(Station(name="sim1", seed=1, blanks={GOLD: 2, BLUE: 8}, defects=defects))
    bureau.take(PAYMENT)
    bureau.run()
    assert [state for state, _ in ends(bureau, bureau.job("URGENT"))] == ["rejected", "ready"]
    assert {state for state, _ in ends(bureau, bureau.job("STANDARD"))} == {"good"}


def test_a_sample_shows_in_listing_and_trace_without_a_value(bureau: Bureau, typed: Typed, tmp_path: Path) -> None:
    """Which plastic it was; the commands of its phase, what was asked for, and masked answers."""
    file = job_of(tmp_path / "job.xml", 3, 3)
    making(bureau, file, Station(name="sim1", seed=1, blanks={BLUE: 2}))
    _, listed, _ = typed("cards", "1", "--json")
    assert [row["sampled"] for row in json.loads(listed)] == [["sim1#1"], [], []]
    status, shown, _ = typed("trace", "1")
    assert status == 0
    phase = shown[shown.index("sample  (8 commands") :]
    for words in ("by name, first or only occurrence", "record 1 of SFI 1", "tag 9000", "bytes (masked)"):
        assert words in phase
    assert "A0000000041010" in phase
    assert "sample  (" not in typed("trace", "2")[1]
    exports = []
    for ending in ("jsonl", "pcap"):
        assert typed("trace", "1", "--export", str(tmp_path / f"card.{ending}"))[0] == 0
        exports.append((tmp_path / f"card.{ending}").read_bytes())
    found = secrecy.found(b"".join([shown.encode(), *exports]), expected.secrets(file))
    assert found == {}
