"""What a fault of PC/SC looks like and what the ledger says of it, row by row and made to happen to a real pcscd.

Before anything that changes the card was sent its record goes back, and is made on the next blank; afterwards it is suspect,
a person decides, and the encoder makes the next record.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

import pytest

from bureau.models import EncoderState
from hardware.encoders.pcsc.daemon import Daemon, missing, private
from tests.e2e.bureaus import BLUE, Station
from tests.pcsc import driver
from tests.pcsc.faults import (
    ALONE,
    BLIND,
    CUT,
    DEAD,
    DYING,
    FOREIGN,
    GONE,
    KILLED,
    NONSENSE,
    REMOVED,
    REMOVED_AT_LAST,
    SILENT,
    STOPPED,
    SWAPPED,
    TRANSACTION,
    UNPLUGGED,
    Fault,
    known,
    standing_in,
)
from tests.pcsc.scene import Scene
from tests.pcsc.standin import LEFT

RETURNED: Final = ("good", "returned", "returned")
"""What becomes of the record, the plastic, and its tray: good on the next blank, untouched, with the returned."""
MUTE: Final = ("good", "mute", "reject")
SUSPECT: Final = ("suspect", "unknown", "reject")

RESET: Final = "reset"
CONNECT: Final = "connect"
BEFORE: Final = "INITIALIZE UPDATE"
AFTER: Final = "STORE DATA"
PLACES: Final = {BEFORE: 3, AFTER: 15}
"""Which of a card's commands each is, counted from 1."""

OUT: Final = "the card was taken out"
REFUSED: Final = "another program holds the reader: end that program (8010000B)"
UNREADABLE: Final = "its answer to reset is nonsense (8010000F)"
UNAVAILABLE: Final = "the reader was unplugged: plug it in"
SILENCE: Final = "the card didn't answer within 0.3 s"
PLUG: Final = "plug in reader Virtual 1 00 00 again"
START: Final = "start pcscd again"
HANGS: Final = "hangs: take the card out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A *fault* just before *when*; what becomes of the card; the cause that is *told*.

    waits: what the encoder says that it waits for until the cause has gone; without it, the cause goes away with the card.
    """

    fault: Fault
    when: str
    ends: tuple[str, str, str]
    told: str
    waits: str

    def __str__(self) -> str:
        return f"{self.fault.words} at {self.when}"


def row(fault: Fault, when: str, ends: tuple[str, str, str], told: str, waits: str = "") -> Row:
    """Return a row of the table."""
    return Row(fault=fault, when=when, ends=ends, told=told, waits=waits)


TABLE: Final = [
    row(DEAD, RESET, MUTE, "the blank doesn't answer to reset"),
    row(NONSENSE, RESET, RETURNED, UNREADABLE),
    row(FOREIGN, RESET, RETURNED, UNREADABLE),
    row(known(REMOVED), CONNECT, RETURNED, "no card is in the reader (8010000C)"),
    row(known(BLIND), CONNECT, RETURNED, "(80100017)", PLUG),
    row(STOPPED, CONNECT, RETURNED, HANGS, HANGS),
    row(ALONE, CONNECT, RETURNED, REFUSED),
    row(TRANSACTION, CONNECT, RETURNED, REFUSED),
    row(REMOVED, BEFORE, RETURNED, OUT),
    row(REMOVED, "GET STATUS", RETURNED, OUT),
    row(REMOVED, AFTER, SUSPECT, OUT),
    row(REMOVED_AT_LAST, AFTER, SUSPECT, OUT),
    row(known(REMOVED), BEFORE, RETURNED, "the card was taken out (80100069)"),
    row(known(REMOVED), AFTER, SUSPECT, "the card was taken out (80100069)"),
    row(SWAPPED, "GET STATUS", RETURNED, "GET STATUS"),
    row(DYING, BEFORE, RETURNED, "died, inside the command"),
    row(DYING, AFTER, SUSPECT, "died, inside the command"),
    row(SILENT, BEFORE, MUTE, SILENCE),
    row(SILENT, AFTER, SUSPECT, SILENCE),
    row(CUT, BEFORE, RETURNED, "the exchange with it was cut (80100016)"),
    row(CUT, AFTER, SUSPECT, "the exchange with it was cut (80100016)"),
    row(known(BLIND), AFTER, SUSPECT, "(80100017)", PLUG),
    row(UNPLUGGED, BEFORE, RETURNED, UNAVAILABLE, PLUG),
    row(UNPLUGGED, AFTER, SUSPECT, UNAVAILABLE, PLUG),
    row(GONE, BEFORE, RETURNED, START, "there is no such reader: plug it in"),
    row(GONE, AFTER, SUSPECT, START, "there is no such reader: plug it in"),
    row(KILLED, BEFORE, RETURNED, START, START),
    row(KILLED, AFTER, SUSPECT, START, START),
    row(STOPPED, BEFORE, MUTE, SILENCE, HANGS),
    row(STOPPED, AFTER, SUSPECT, SILENCE, HANGS),
]
CODES: Final = [
    row(standing_in(0x80100066, "C"), RESET, MUTE, "the blank doesn't answer to reset"),
    row(standing_in(0x80100009, "C"), RESET, RETURNED, "(80100009)"),
    row(standing_in(0x80100068, "T50"), BEFORE, RETURNED, "another program has reset the card (80100068)"),
    row(standing_in(0x80100068, "TE2"), AFTER, SUSPECT, "another program has reset the card (80100068)"),
    row(standing_in(0x80100009, "TE2"), AFTER, SUSPECT, "(80100009)"),
    row(standing_in(0x80100001, "TE2"), AFTER, SUSPECT, "see the PC/SC codes (80100001)"),
]
"""What can't be had from a pcscd whose card is ours alone, or by a hair's breadth only: told by a stand-in."""


@pytest.fixture(scope="session")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A driver whose readers can be made to fail."""
    if lack := missing():
        pytest.skip(lack)
    return driver.built(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def daemon(failing: Path) -> Iterator[Daemon]:
    """A private pcscd with two such readers."""
    with private(2, failing) as running:
        yield running


def assert_comes_true(scene: Scene, row: Row) -> None:
    """Let the fault happen to the first card, and assert that all in *row* comes true and the next card is good."""
    records = 2 if row.ends is SUSPECT else 1
    job = scene.take(records)
    if not row.waits:
        scene.at("eject", row.fault.end)
    working = scene.work()
    if row.waits:
        assert scene.waits(row.waits)
        assert len(scene.trays()) == 1  # nothing is drawn meanwhile
        row.fault.end(scene)
    working.join(30)
    record, plastic, tray = row.ends
    assert scene.states(job) == [record, "good"][:records]
    assert scene.plastics(job) == [(1, plastic), (2, "good")]
    assert scene.trays() == {1: tray, 2: "good"}
    assert row.told in scene.cause(job)
    assert scene.reason() is None
    scene.assert_balanced(job)


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_a_fault_costs_what_it_must_and_the_encoder_goes_on(scene: Scene, row: Row) -> None:
    """By itself, once the cause has gone; what it waits for stands in the ledger."""
    defect = row.fault.defect.format(at=PLACES.get(row.when))
    scene.equip(Station(name="sim1", seed=1, defects={1: defect} if defect else {}))
    if row.when == RESET:
        row.fault.begin(scene)
    scene.at(row.when, row.fault.begin)
    assert_comes_true(scene, row)


@pytest.mark.parametrize("row", CODES, ids=str)
def test_a_code_costs_what_it_must_and_its_buffer_is_never_read(scene: Scene, row: Row, log: StringIO) -> None:
    """What another card may have left there stands nowhere afterwards."""
    scene.equip()
    row.fault.begin(scene)
    assert_comes_true(scene, row)
    home = scene.bureau.plant.settings.home
    written = [log.getvalue().encode(), *(file.read_bytes() for file in home.rglob("*") if file.is_file())]
    for form in (LEFT, LEFT.hex().encode(), LEFT.hex().upper().encode()):
        assert not any(form in each for each in written)


def test_a_reader_unplugged_while_a_person_is_awaited_is_waited_for(scene: Scene) -> None:
    """Plugged in again, it waits for the person again."""
    scene.equip()
    scene.hand_feed(BLUE)
    job = scene.take(1)
    working = scene.work()
    assert scene.waits("insert a PLASTIC-BLUE blank")
    UNPLUGGED.begin(scene)
    assert scene.waits(PLUG) == f"{PLUG} (1 left of job {job})"
    UNPLUGGED.end(scene)
    assert scene.waits("insert a PLASTIC-BLUE blank")
    with closing(scene.hand()) as person:
        person.feed(BLUE)
        working.join(30)
    assert scene.plastics(job) == [(1, "good")]


@pytest.mark.parametrize(
    ("fault", "when", "told"),
    [(NONSENSE, RESET, UNREADABLE), (ALONE, CONNECT, REFUSED), (CUT, BEFORE, "(80100016)")],
    ids=["ATR breaks off", "another program", "communication error"],
)
def test_the_third_fault_in_a_row_holds_the_encoder(scene: Scene, fault: Fault, when: str, told: str) -> None:
    """Each blank is returned and counted, the record isn't lost, and a person is told why."""
    scene.equip()
    if when == RESET:
        fault.begin(scene)
    else:
        scene.at(when, fault.begin, once=False)
        scene.at("eject", fault.end, once=False)
    job = scene.take(1)
    scene.work().join(30)
    assert scene.states(job) == ["ready"]
    assert scene.plastics(job) == [(1, "returned"), (2, "returned"), (3, "returned")]
    assert scene.view().machine.state is EncoderState.HELD
    assert told in str(scene.reason())
    scene.assert_balanced(job)
