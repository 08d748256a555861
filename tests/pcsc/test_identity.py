"""Which chip it is that was written: whatever a hand does at the reader, ledger and world name the same one."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import TypeVar

import pytest

from bureau.ledger import encoders
from bureau.ledger import floor as machines
from bureau.ledger.views import AttemptView
from bureau.models import EncoderId, JobId
from hardware.encoders import Tray
from hardware.encoders.pcsc import Pcsc
from hardware.encoders.pcsc.daemon import Daemon, port
from hardware.encoders.pcsc.feeder import Simulated
from hardware.iso7816 import Command, Response
from tests.e2e import expected
from tests.e2e.batches import standard_job
from tests.e2e.bureaus import ACTOR, BLUE, Bureau
from tests.e2e.expected import SINGLE
from tests.e2e.worlds import Plastic

T = TypeVar("T")
SIM1 = EncoderId("sim1")
RECORD = expected.cards(SINGLE)[0]
PORT = str(port(1))
STATION = """[encoder.sim1]
kind = "pcsc"
product = "payment-scp02"
stocks = ["PLASTIC-BLUE"]
options = {{ reader = "{reader}", socket = "{socket}", stock = "PLASTIC-BLUE" }}
"""


class Watched(Pcsc):
    """A PC/SC encoder that tells of each command before it is sent, by its name and how often there was one."""

    before: Callable[[str, int], None] = staticmethod(lambda _name, _time: None)
    sent: list[str]

    def transmit(self, command: Command) -> Response:
        """Tell, then exchange."""
        self.sent.append(command.name)
        self.before(command.name, self.sent.count(command.name))
        return super().transmit(command)

    def eject(self, tray: Tray) -> None:
        """Tell ("eject"), then let the card go."""
        self.before("eject", 1)
        super().eject(tray)


class Person(Simulated):
    """Feeds blanks by hand, and meddles."""

    def swap(self) -> None:
        """Take the card out and put the next blank in before the reader has looked."""
        self._ask(swap=BLUE)


class Desk:
    """One hand-fed reader in a bureau."""

    def __init__(self, bureau: Bureau, machine: Watched, person: Person) -> None:
        self.bureau, self.machine, self.person = bureau, machine, person

    def swap_at(self, command: str, occurrence: int = 1) -> None:
        """Swap the card once, before a command reaches it."""

        def act(name: str, count: int) -> None:
            if (name, count) == (command, occurrence):
                self.machine.before = lambda _name, _count: None
                self.person.swap()

        self.machine.before = act

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let the encoder work meanwhile, until it finds nothing more to do."""
        thread = Thread(target=self.bureau.run)
        thread.start()
        try:
            yield
        finally:
            thread.join(20)
            assert not thread.is_alive()

    def told(self) -> str:
        """Return what the encoder tells its operator."""
        with self.bureau.plant.ledger.read() as connection:
            return machines.list_encoders(connection)[0].reason or ""

    def next(self, tray: Tray) -> None:
        """Do as told: take the card out, and put in a blank."""
        assert until(lambda: self.told().startswith("take out") or None)
        self.person.eject(tray)
        assert until(lambda: self.told().startswith("insert") or None)
        self.person.feed(BLUE)

    def attempts(self, job: JobId, record: int = 0) -> list[AttemptView]:
        """Return the plastics that a record drew."""
        return self.bureau.attempts(self.bureau.cards(job)[record])

    def ended(self, job: JobId, record: int = 0) -> tuple[str, list[tuple[int | None, str]]]:
        """Return a record's state, and position and outcome of each of its plastics."""
        attempts = self.attempts(job, record)
        return self.bureau.cards(job)[record].state, [(each.position, each.outcome) for each in attempts]


@pytest.fixture
def desk(bureau: Bureau, daemon: Daemon) -> Iterator[Desk]:
    """A desk whose line is open; its reader is empty."""
    worlds, path = bureau.worlds, Path(daemon.socket).with_name("swaps.feeder")
    options = {"blank": "payment-scp02", "blanks": {BLUE: 5}, "seed": 1}
    daemon.run("tests.pcsc.swaps", str(path), PORT, "sim1", str(worlds), json.dumps(options))
    assert until(lambda: path.exists() or None)
    station = STATION.format(reader=daemon.reader(1), socket=daemon.socket)
    bureau.plant.settings.stations_file.write_text(station)
    config = bureau.plant.encoder(SIM1)
    encoders.start(bureau.plant.ledger, config.machine, bureau.plant.clock())
    encoders.open_line(bureau.plant.ledger, SIM1, ACTOR, bureau.plant.clock())
    machine = Watched.start(SIM1, config.options, worlds)
    machine.sent = []
    bureau.machines[SIM1] = machine
    with closing(Person(str(path))) as person:
        yield Desk(bureau, machine, person)


def until(found: Callable[[], T | None]) -> T | None:
    """Return what is found within ten seconds."""
    deadline = time.monotonic() + 10
    while (what := found()) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return what


def identity(plastic: Plastic) -> str:
    """Return what tells this chip from all others: fabricator, type, batch and serial of its CPLC."""
    cplc = bytes.fromhex(str(plastic.memory["identity"]))
    return (cplc[:4] + cplc[16:18] + cplc[12:16]).hex().upper()


def assert_names_the_chip_that_holds(desk: Desk, job: JobId) -> None:
    """Assert that a good record is whole on one chip, that the ledger names this one, and that no other holds any of it."""
    (good,) = (each for each in desk.attempts(job) if each.outcome == "good")
    (holding,) = (plastic for plastic in desk.bureau.plastics() if plastic.contents)
    assert holding.contents == RECORD.contents
    assert (good.identity_type, good.identity) == ("CPLC", identity(holding))


def assert_balanced(desk: Desk, job: JobId) -> None:
    """Assert that every record and every plastic that the encoder drew is counted."""
    (balance,) = desk.bureau.balances(job)
    assert balance.records_in == balance.good + balance.open
    assert balance.stock_balances


def test_the_chips_of_a_swap_are_two(desk: Desk) -> None:
    """What the tests below rest on: one handle, two chips, and neither pcscd nor the encoder notices."""
    desk.person.feed(BLUE)
    assert desk.machine.awaits(5) is None
    desk.machine.feed(BLUE)
    cplc = Command("GET DATA 9F7F", 0x80, 0xCA, 0x9F, 0x7F, ne=256)
    first = desk.machine.transmit(cplc)
    desk.person.swap()
    second = desk.machine.transmit(cplc)
    time.sleep(1)
    assert desk.machine.transmit(cplc) == second
    assert (first.sw, second.sw) == (0x9000, 0x9000)
    assert [each.data.hex().upper()[6:] for each in (first, second)] == [
        plastic.memory["identity"] for plastic in desk.bureau.plastics()
    ]


@pytest.mark.parametrize(
    "command",
    [
        "SELECT",
        "GET DATA 9F7F",
        "INITIALIZE UPDATE",
        "GET STATUS",
    ],
)
def test_a_swap_before_anything_is_written_never_names_the_wrong_chip(desk: Desk, command: str) -> None:
    """The chip that comes in is the one that is made and named; or nothing is written, and the next takes the record."""
    desk.swap_at(command)
    (job,) = desk.bureau.take(SINGLE)
    desk.person.feed(BLUE)
    with desk.at_work():
        assert until(lambda: desk.ended(job)[0] == "good" or desk.told().startswith("take out") or None)
        if desk.ended(job)[0] != "good":
            assert not desk.bureau.touched()
            desk.next(Tray.RETURNED)
    assert_names_the_chip_that_holds(desk, job)
    assert_balanced(desk, job)


def test_a_swap_inside_the_handshake_opens_nothing(desk: Desk) -> None:
    """The chip that comes in knows of no challenge and refuses; that looks like a wrong key, and so the line is held."""
    desk.swap_at("EXTERNAL AUTHENTICATE")
    (job,) = desk.bureau.take(SINGLE)
    desk.person.feed(BLUE)
    desk.bureau.run()
    assert desk.ended(job) == ("ready", [(1, "returned")])
    assert "EXTERNAL AUTHENTICATE: 6985" in desk.told()
    assert not desk.bureau.touched()
    assert [plastic.memory["scp/failures"] for plastic in desk.bureau.plastics()] == [0, 0]
    assert_balanced(desk, job)


@pytest.mark.parametrize(
    ("command", "occurrence", "holding"),
    [
        ("INSTALL [for load]", 1, [False, False]),
        ("LOAD", 1, [False, False]),
        ("INSTALL [for install]", 1, [False, False]),
        ("INSTALL [for personalization]", 1, [False, False]),
        ("STORE DATA", 1, [False, False]),
        ("STORE DATA", 2, [True, False]),
        ("GET STATUS", 4, [True, False]),
    ],
)
def test_a_swap_while_it_is_written_spoils_the_card(desk: Desk, command: str, occurrence: int, holding: list[bool]) -> None:
    """The new chip refuses what was meant for the old one's channel: it stays blank, and no half-made chip is called good.

    The ledger names the chip that had been begun, and a person decides about the record.
    """
    desk.swap_at(command, occurrence)
    (job,) = desk.bureau.take(SINGLE)
    desk.person.feed(BLUE)
    desk.bureau.run()
    begun, other = desk.bureau.plastics()
    assert desk.ended(job) == ("rejected", [(1, "spoiled")])
    (attempt,) = desk.attempts(job)
    assert attempt.identity == identity(begun)
    assert f"{command}: 6982" in str(attempt.cause)
    assert [bool(plastic.contents) for plastic in (begun, other)] == holding
    assert not other.touched
    assert begun.touched == (command != "INSTALL [for load]")
    assert_balanced(desk, job)


def test_a_swap_behind_the_last_command_is_beyond_anyones_sight(desk: Desk) -> None:
    """The chip that was made is the one that the ledger calls good; the one that is taken out isn't looked at any more."""
    desk.swap_at("eject")
    (job,) = desk.bureau.take(SINGLE)
    desk.person.feed(BLUE)
    desk.bureau.run()
    assert_names_the_chip_that_holds(desk, job)
    assert not desk.bureau.plastics()[1].touched
    assert_balanced(desk, job)


def made_and_put_back(desk: Desk, job: JobId) -> Plastic:
    """Make the job's first card, put it in again and wait for the second record to come back; return the card as it was."""
    desk.person.feed(BLUE)
    assert until(lambda: desk.ended(job)[0] == "good" or None)
    assert until(lambda: desk.told().startswith("take out the card, it is good") or None)
    (made,) = desk.bureau.plastics()
    desk.person.meddle(card=False)
    assert until(lambda: desk.told().startswith("insert") or None)
    desk.person.meddle(card=True)
    assert until(lambda: desk.ended(job, 1) == ("ready", [(2, "returned")]) or None)
    assert until(lambda: desk.told().startswith("take out") or None)
    return made


def allow(desk: Desk, monkeypatch: pytest.MonkeyPatch, *, replaceable: bool) -> None:
    """Let the products say whether what is on a card may be made anew."""
    products = {name: replace(each, replace=replaceable) for name, each in desk.bureau.plant.products.items()}
    monkeypatch.setitem(vars(desk.bureau.plant), "products", products)


def but_for_counters(plastic: Plastic) -> dict[str, object]:
    """Return all that a chip holds but what opening a channel moves."""
    return {key: value for key, value in plastic.memory.items() if key != "scp/sequence"}


@pytest.mark.parametrize("replaceable", [False, True], ids=["fixed", "replaceable"])
def test_a_card_that_was_made_here_is_neither_written_nor_counted_again(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaceable: bool
) -> None:
    """Put back by hand it is refused, also where the product may be made anew; a fresh blank takes the record."""
    allow(desk, monkeypatch, replaceable=replaceable)
    file = standard_job(tmp_path / "two.xml", 2)
    (job,) = desk.bureau.take(file)
    with desk.at_work():
        made = made_and_put_back(desk, job)
        (again,) = desk.bureau.plastics()
        assert but_for_counters(again) == but_for_counters(made)
        assert "DELETE" not in desk.machine.sent
        desk.next(Tray.GOOD)
    assert [desk.ended(job, record) for record in (0, 1)] == [
        ("good", [(1, "good")]),
        ("good", [(2, "returned"), (3, "good")]),
    ]
    good = [attempt.identity for record in (0, 1) for attempt in desk.attempts(job, record) if attempt.outcome == "good"]
    assert good == [identity(plastic) for plastic in desk.bureau.plastics()]
    (balance,) = desk.bureau.balances(job)
    assert (balance.good_plastics, balance.returned, balance.drawn) == (2, 1, 3)
    assert balance.stock_balances
    for wanted, plastic in zip(expected.cards(file), desk.bureau.plastics(), strict=True):
        assert plastic.contents == wanted.contents


@pytest.mark.parametrize(
    "replaceable",
    [False, True],
    ids=["fixed", "replaceable"],
)
def test_the_refusal_of_a_card_that_was_made_here_says_whose_it_is(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaceable: bool
) -> None:
    """Its record's CRN, as the ledger knows it by the chip."""
    allow(desk, monkeypatch, replaceable=replaceable)
    file = standard_job(tmp_path / "two.xml", 2)
    (job,) = desk.bureau.take(file)
    with desk.at_work():
        made_and_put_back(desk, job)
        desk.next(Tray.GOOD)
    assert f"already carries the card of record {expected.cards(file)[0].crn}" in str(desk.attempts(job, 1)[0].cause)


def test_the_operator_is_not_told_that_a_made_card_is_blank(desk: Desk, tmp_path: Path) -> None:
    """Or it would go back to the blanks."""
    (job,) = desk.bureau.take(standard_job(tmp_path / "two.xml", 2))
    with desk.at_work():
        made_and_put_back(desk, job)
        told = desk.told()
        desk.next(Tray.GOOD)
    assert "blank" not in told
