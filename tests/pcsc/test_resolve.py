"""A suspect card back in a reader: good after all where its own chip holds its whole record, and else as it was."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import pytest
from sqlalchemy import update

from bureau.ledger import auditing, encoders
from bureau.ledger.schema import jobs
from bureau.models import JobId
from hardware.encoders import Tray
from hardware.encoders.pcsc.daemon import Daemon
from hardware.encoders.pcsc.exchange import exchange
from hardware.encoders.pcsc.feeder import Hand, Simulated
from hardware.errors import LostCard
from hardware.iso7816 import Command, Response
from tests.e2e import expected
from tests.e2e.bureaus import ACTOR, BLUE, Station
from tests.e2e.conftest import typed
from tests.pcsc.scene import SIM1, Scene
from tests.typed import Typed

__all__ = ["typed"]

READER: Final = "Virtual 1 00 00"
LAST: Final = ("STORE DATA", 9)
"""The last command that a sample's payment card is written with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A job whose first card is suspect, its encoder held, and a person with its plastic in hand."""

    scene: Scene
    job: JobId
    person: Simulated
    typed: Typed

    def resolve(self, *words: str) -> tuple[int, str]:
        """Type the command; returns its status and all it said."""
        status, out, err = self.typed("resolve", "1", "--reader", READER, "--socket", self.scene.daemon.socket, *words)
        return status, out + err

    def insert(self) -> None:
        """Put the card into the reader."""
        self.person.meddle(card=True)
        self.scene.noticed(card=True)

    def assert_unchanged(self) -> None:
        """Assert that the card is suspect as before, and that nothing was written to its plastic."""
        assert self.scene.states(self.job)[0] == "suspect"
        assert dict(self.scene.plastics(self.job))[1] == "unknown"
        assert self.told("resolve") == []

    def told(self, action: str) -> list[tuple[str, str]]:
        """Return who did what by the audit log."""
        with self.scene.bureau.plant.ledger.read() as connection:
            return [(each.actor, each.subject) for each in auditing.entries(connection) if each.action == action]


@pytest.fixture
def suspect(scene: Scene, typed: Typed) -> Iterator[Callable[..., Bench]]:
    """Make a first card of so many whose answer to the *nth* command of a name is lost, though the card gave it."""

    people: list[Simulated] = []

    def make(lost: tuple[str, int] = LAST, records: int = 1, **defects: str) -> Bench:
        scene.equip(Station(name="sim1", seed=1, defects={int(name[1:]): defect for name, defect in defects.items()}))
        scene.hand_feed(BLUE)
        job, transmit, seen = scene.take(records), scene.machine.transmit, list[str]()

        def losing(command: Command) -> Response:
            response = transmit(command)
            seen.append(command.name)
            if command.name == lost[0] and seen.count(command.name) == lost[1]:
                raise LostCard(f"{command.name}: the card was taken out")
            return response

        scene.patch.setattr(scene.machine, "transmit", losing)
        people.append(person := scene.hand())
        person.feed(BLUE)
        working = scene.work()
        while scene.states(job)[0] != "suspect" and working.is_alive():
            working.join(0.1)
        encoders.hold(scene.bureau.plant.ledger, SIM1, "a suspect card", ACTOR, scene.bureau.plant.clock())
        person.meddle(card=False)
        working.join(10)
        scene.noticed(card=False)
        scene.machine.awaits(0)  # it sees the empty reader, whenever its work ended
        scene.machine.close()
        assert scene.states(job)[0] == "suspect"
        return Bench(scene=scene, job=job, person=person, typed=typed)

    yield make
    for person in people:
        person.close()


def memory(scene: Scene, position: int = 1) -> dict[str, object]:
    """Return what a plastic's chip holds, but for the counters that opening a channel moves."""
    (plastic,) = [plastic for plastic in scene.bureau.plastics() if plastic.position == position]
    return {key: value for key, value in plastic.memory.items() if not key.startswith("scp/")}


@pytest.mark.parametrize("lost", [LAST, ("GET STATUS", 4), ("READ RECORD", 2)], ids=str)
def test_a_card_is_good_after_all_when_only_an_answer_was_lost(suspect: Callable[..., Bench], lost: tuple[str, int]) -> None:
    """The chip holds the whole record; ledger, balance and audit log say so, and the lot closes by it."""
    at = suspect(lost)
    (record,) = expected.cards(at.scene.file)
    before = memory(at.scene)
    at.insert()
    status, said = at.resolve()
    assert status == 0, said
    assert "card 1 is good after all" in said
    assert "batch 1 is closed" in said
    assert memory(at.scene) == before
    (plastic,) = at.scene.bureau.plastics()
    assert plastic.contents == record.contents
    assert at.scene.states(at.job) == ["good"]
    assert at.scene.plastics(at.job) == [(1, "good")]
    (balance,) = at.scene.bureau.balances(at.job)
    assert (balance.good, balance.good_plastics, balance.unknown) == (1, 1, 0)
    assert balance.records_balance
    assert balance.stock_balances
    assert at.told("resolve") == at.told("read back") == [("engineer", "card 1")]
    assert 'TargeState="PERSONALIZED" ReachedState="PERSONALIZED"' in trail(at.scene)


def trail(scene: Scene) -> str:
    """Return the only audit trail."""
    (file,) = (file for file in scene.bureau.plant.settings.trails.rglob("*.xml"))
    return file.read_text()


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (("LOAD", 1), "application A0000000041010 is absent and must be in state 0F"),
        (("STORE DATA", 3), "application A0000000041010 is in state 07 and must be in state 0F"),
        (("STORE DATA", 8), "application A0000000041010 is in state 07 and must be in state 0F"),
    ],
)
def test_a_card_that_was_torn_midway_is_not(suspect: Callable[..., Bench], lost: tuple[str, int], said: str) -> None:
    """What is missing is said, and what else can be done; nothing changes, on the chip neither."""
    at = suspect(lost)
    before = memory(at.scene)
    at.insert()
    status, told = at.resolve()
    assert status == 1
    assert f"card 1 isn't proved good: read back: {said}" in told
    assert "`bureau scrap 1 --reason ...`" in told
    assert "`bureau requeue 1 --reason ...`" in told
    at.assert_unchanged()
    assert memory(at.scene) == before


def test_a_card_that_lies_is_not(suspect: Callable[..., Bench]) -> None:
    """Every command was carried out, and one bit of a record is another."""
    at = suspect(p1="worn_dgis = [0x0201]")
    at.insert()
    status, said = at.resolve()
    assert status == 1
    assert "record 1 of SFI 2 of application A0000000041010 differs from what was written" in said
    at.assert_unchanged()


def other(at: Bench) -> None:
    """Put the next plastic into the reader instead."""
    at.person.eject(Tray.REJECT)
    at.person.feed(BLUE)
    at.scene.noticed(card=True)


def test_another_chip_proves_nothing(suspect: Callable[..., Bench]) -> None:
    """Known through its own channel; neither it nor the record changes."""
    at = suspect()
    other(at)
    status, said = at.resolve()
    assert status == 1
    assert "this is another chip: 47905041000001000002, and card 1 is on 47905041000001000001" in said
    at.assert_unchanged()
    assert "touched" not in memory(at.scene, 2)


def test_a_chip_that_is_swapped_while_it_is_read_proves_nothing(
    suspect: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chip is asked once more who it is when all has been read; PC/SC may or may not notice."""
    at = suspect()

    def swapping(command: Command, protocol: int, transmit: Callable[[bytes], bytes]) -> Response:
        response = exchange(command, protocol, transmit)
        if command.name == "GET DATA 9104":
            at.person.eject(Tray.REJECT)
            at.person.feed(BLUE)
        return response

    at.insert()
    monkeypatch.setattr("hardware.encoders.pcsc.desk.exchange", swapping)
    status, said = at.resolve()
    assert status == 1
    assert "this is another chip" in said or "(80100016)" in said
    at.assert_unchanged()


def test_a_chip_with_other_keys_is_not_asked_to_authenticate(suspect: Callable[..., Bench]) -> None:
    """So it keeps all its tries."""
    at = suspect(p2="wrong_keys = true")
    other(at)
    status, said = at.resolve()
    assert status == 1
    assert "card cryptogram does not verify" in said
    at.assert_unchanged()
    (plastic,) = (plastic for plastic in at.scene.bureau.plastics() if plastic.position == 2)
    assert plastic.memory["scp/failures"] == 0


def test_without_a_card_in_the_reader_nothing_changes(suspect: Callable[..., Bench]) -> None:
    """And it may be put in then."""
    at = suspect()
    status, said = at.resolve()
    assert status == 1
    assert f"no card is in reader {READER}" in said
    at.assert_unchanged()
    at.insert()
    assert at.resolve()[0] == 0


def test_a_reader_at_work_is_refused(suspect: Callable[..., Bench]) -> None:
    """Its encoder would take the card."""
    at = suspect()
    at.insert()
    encoders.open_line(at.scene.bureau.plant.ledger, SIM1, ACTOR, at.scene.bureau.plant.clock())
    status, said = at.resolve()
    assert status == 1
    assert "`bureau hold sim1` first" in said
    at.assert_unchanged()


def test_a_production_card_takes_a_production_reader_and_key(suspect: Callable[..., Bench], daemon: Daemon) -> None:
    """A reader that is a test encoder's, or nobody's, is refused before it is touched."""
    at = suspect()
    with at.scene.bureau.plant.ledger.write("test", at.scene.bureau.plant.clock()) as tx:
        tx.connection.execute(update(jobs).values(mode="PRODUCTION"))
    status, said = at.resolve()
    assert status == 1
    assert f"reader {READER} is test encoder sim1's" in said
    status, _out, said = at.typed("resolve", "1", "--reader", daemon.reader(2), "--socket", daemon.socket)
    assert status == 1
    assert f"reader {daemon.reader(2)} is no production encoder's" in said
    stations = at.scene.bureau.plant.settings.stations_file
    text = stations.read_text().replace("feeder", "stock")
    stations.write_text(text.replace('kind = "pcsc"', 'kind = "pcsc"\nmode = "PRODUCTION"'))
    at.insert()
    status, said = at.resolve()
    assert status == 1
    assert "the master key of payment-scp02 is a test key" in said
    at.assert_unchanged()


def test_a_hand_fed_encoder_knows_afterwards_where_the_card_belongs(suspect: Callable[..., Bench]) -> None:
    """It asks for a good card to be taken out, and doesn't take it for a blank."""
    at = suspect(records=2)
    file = at.scene.bureau.plant.settings.worlds / "sim1.fed"
    assert Hand(BLUE, file).asks(card=True) is None  # the card in the reader would be a blank
    stations = at.scene.bureau.plant.settings.stations_file
    lines = [line for line in stations.read_text().splitlines() if not line.startswith("options")]
    socket = at.scene.daemon.socket
    lines.append(f'options = {{ reader = "{READER}", socket = "{socket}", stock = "{BLUE}" }}')
    stations.write_text("\n".join(lines))
    at.insert()
    assert at.resolve()[0] == 0
    assert Hand(BLUE, file).asks(card=True) == "take out the card, it is good"


def test_only_a_suspect_card_is_resolved(suspect: Callable[..., Bench]) -> None:
    """Once is enough."""
    at = suspect()
    at.insert()
    assert at.resolve()[0] == 0
    status, said = at.resolve()
    assert status == 1
    assert "card 1 is good, and only a suspect one can be resolved" in said
