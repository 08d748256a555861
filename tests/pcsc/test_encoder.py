"""The PC/SC encoder on real pcscd: what a card, a reader and another program can do to it."""

import json
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from threading import Timer

import pytest

from hardware.encoders import Tray, encoder
from hardware.encoders.pcsc import Pcsc, daemon, reader
from hardware.encoders.pcsc.daemon import missing, private
from hardware.encoders.pcsc.reader import readers
from hardware.errors import EncoderBusy, LostCard, MuteCard, ReaderError
from hardware.iso7816 import Command
from tests.pcsc import t0chip
from tests.pcsc.floor import ATR, BLUE, CPLC, Floor

MOST_MILLISECONDS = 5.0
"""A command takes 0.15 on an idle machine; without TCP_QUICKACK it takes 44."""


def test_cards_are_fed_read_and_ejected_one_after_another(floor: Floor) -> None:
    """Each answers for itself: its number stands in its CPLC."""
    floor.cards(1, blanks=2)
    machine = floor.encoder(1)
    for number in (1, 2):
        assert machine.feed(BLUE) == (number, ATR)
        assert machine.transmit(CPLC).data[15:21].hex() == f"01{number:06x}0000"
        machine.eject(Tray.GOOD)
    assert machine.feed(BLUE) is None
    assert machine.blanks() == {BLUE: 0}


def test_two_readers_work_at_once_and_fast(floor: Floor) -> None:
    """The way through pyscard, pcscd and vpcd costs less than a card's fastest command."""
    floor.cards(1)
    floor.cards(2)
    machines = [floor.encoder(1), floor.encoder(2)]
    for machine in machines:
        machine.feed(BLUE)
    start = time.monotonic()
    for _ in range(250):
        for machine in machines:
            assert machine.transmit(CPLC).sw == 0x9000
    assert (time.monotonic() - start) * 1000 / 500 < MOST_MILLISECONDS


def test_a_mute_card_is_given_up_at_the_deadline_and_hangs_nobody_else(floor: Floor) -> None:
    """Its reader's process is killed; once the card is out, the same encoder takes the next."""
    floor.cards(1, p1={"mute_at": 2})
    floor.cards(2)
    mute, other = floor.encoder(1, deadline=0.5), floor.encoder(2)
    for machine in (mute, other):
        machine.feed(BLUE)
        machine.transmit(CPLC)
    took: list[float] = []

    def meanwhile() -> None:
        start = time.monotonic()
        other.transmit(CPLC)
        took.append(time.monotonic() - start)

    timer = Timer(0.2, meanwhile)
    timer.start()
    start = time.monotonic()
    with pytest.raises(MuteCard, match=r"GET DATA 9F7F: the card didn't answer within 0\.5 s"):
        mute.transmit(CPLC)
    assert 0.5 <= time.monotonic() - start < 0.8
    timer.join()
    assert took[0] < 0.1
    with pytest.raises(LostCard, match="the connection to the card was lost before"):
        mute.transmit(CPLC)
    mute.eject(Tray.REJECT)
    assert mute.feed(BLUE) == (2, ATR)
    assert mute.transmit(CPLC).sw == 0x9000


def test_a_card_that_does_not_answer_to_reset_has_no_atr(floor: Floor) -> None:
    """And the next one is taken."""
    floor.cards(1, p1={"dead": True})
    machine = floor.encoder(1)
    assert machine.feed(BLUE) == (1, b"")
    machine.eject(Tray.REJECT)
    assert machine.feed(BLUE) == (2, ATR)


@pytest.mark.parametrize("seconds", [0.0, 1.0], ids=["before the poll", "after the poll"])
def test_a_card_taken_out_is_lost(floor: Floor, seconds: float) -> None:
    """Whether pcscd has noticed yet or not."""
    floor.cards(1)
    machine = floor.encoder(1)
    machine.feed(BLUE)
    floor.hand(1).meddle(card=False)
    time.sleep(seconds)
    with pytest.raises(LostCard, match="the card was taken out"):
        machine.transmit(CPLC)
    machine.eject(Tray.REJECT)
    assert machine.feed(BLUE) == (2, ATR)


def test_a_card_that_dies_inside_a_command_is_lost(floor: Floor) -> None:
    """PC/SC calls that a success, with no answer."""
    floor.cards(1, p1={"mute_at": 1})
    machine, hand = floor.encoder(1), floor.hand(1)
    machine.feed(BLUE)
    timer = Timer(0.2, lambda: hand.meddle(card=False))
    timer.start()
    with pytest.raises(LostCard, match="taken out, or died, inside the command"):
        machine.transmit(CPLC)
    timer.join()


def test_another_program_is_waited_for(floor: Floor) -> None:
    """As long as it holds the reader exclusively; nothing is fed meanwhile."""
    floor.cards(1)
    machine, hand, other = floor.encoder(1), floor.hand(1), floor.reader(1)
    hand.feed(BLUE)
    other.wait(card=True, seconds=5)
    assert other.connect()[1] == ATR
    assert machine.awaits(0) == "another program holds reader Virtual 1 00 00: end that program"
    with pytest.raises(ReaderError, match="another program holds reader"):
        machine.feed(BLUE)
    other.close()
    hand.eject(Tray.RETURNED)
    until = time.monotonic() + 5  # pcscd takes its time to notice that the other program has ended
    while machine.awaits(0.1) and time.monotonic() < until:
        pass
    assert machine.awaits(0) is None


def test_from_feed_to_eject_no_other_program_gets_in(floor: Floor) -> None:
    """The reader is held exclusively."""
    floor.cards(1)
    machine, other = floor.encoder(1), floor.reader(1)
    machine.feed(BLUE)
    with pytest.raises(ReaderError, match="another program holds the reader"):
        other.connect()
    machine.eject(Tray.RETURNED)
    machine.feed(BLUE)
    assert machine.transmit(CPLC).sw == 0x9000


def test_a_killed_pcscd_is_waited_for(floor: Floor) -> None:
    """What was under way is lost; after the restart the same encoder goes on by itself."""
    floor.cards(1)
    machine = floor.encoder(1)
    machine.feed(BLUE)
    floor.daemon.kill()
    with pytest.raises(LostCard, match="start pcscd again"):
        machine.transmit(CPLC)
    machine.eject(Tray.REJECT)
    assert "pcscd isn't running: start pcscd again" in str(machine.awaits(0))
    with pytest.raises(ReaderError):
        machine.feed(BLUE)
    floor.daemon.start()
    assert machine.awaits(0) is None
    assert machine.feed(BLUE) == (2, ATR)
    assert machine.transmit(CPLC).sw == 0x9000


def test_a_reader_that_is_not_there_is_waited_for(floor: Floor) -> None:
    """With what to do; no name of another reader is taken for it."""
    floor.cards(1)
    options = {"reader": "Virtual 9", "socket": floor.daemon.socket, "feeder": floor.cards(2)}
    machine = Pcsc.start("sim9", options, floor.worlds)
    assert "there is no such reader: plug it in" in str(machine.awaits(0))
    machine.close()


def test_one_process_drives_a_reader(floor: Floor) -> None:
    """Another is told so."""
    floor.cards(1)
    floor.encoder(1)
    with pytest.raises(EncoderBusy):
        floor.encoder(1)


def test_a_person_feeds_and_is_told_what_to_do(floor: Floor) -> None:
    """A blank goes in, is made, and has to come out before the next; numbers and places outlive the process."""
    floor.cards(1)
    person = floor.hand(1)
    machine = floor.encoder(1, stock=BLUE)
    assert machine.awaits(0) == "insert a PLASTIC-BLUE blank (reader Virtual 1 00 00)"
    person.feed(BLUE)
    assert machine.awaits(2) is None
    assert machine.feed("PLASTIC-GOLD") is None
    assert machine.feed(BLUE) == (1, ATR)
    assert machine.transmit(CPLC).sw == 0x9000
    assert machine.station() == 1
    machine.close()
    machine = floor.encoder(1, stock=BLUE)
    assert machine.station() == 1
    machine.eject(Tray.GOOD)
    assert machine.awaits(0) == "take out the card, it is good (reader Virtual 1 00 00)"
    person.eject(Tray.GOOD)
    assert machine.awaits(2) == "insert a PLASTIC-BLUE blank (reader Virtual 1 00 00)"
    person.feed(BLUE)
    assert machine.awaits(2) is None
    assert machine.feed(BLUE) == (2, ATR)


def test_more_readers_than_a_pcscd_can_serve_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listing them and starting an encoder on one say what to do."""
    if lack := missing():
        pytest.skip(lack)
    with pytest.raises(ReaderError, match="start another for the rest"), private(15):
        pass
    monkeypatch.setattr(daemon, "MOST", 16)
    with pytest.raises(ReaderError, match=r"has 16 readers.*at most 15 into one machine"), private(16) as crowd:
        readers(crowd.socket)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "which reader"),
        ({"reader": "A"}, "either the stock"),
        ({"reader": "A", "stock": "B", "feeder": "C"}, "either the stock"),
        ({"reader": 7}, "reader must be a text"),
        ({"reader": "A", "stock": "B", "deadline_seconds": 0}, "deadline_seconds"),
        ({"reader": "A", "stock": "B", "deadline_seconds": "long"}, "deadline_seconds"),
        ({"reader": "A", "stock": "B", "speed": 9}, "no option speed"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, options: dict[str, object], match: str) -> None:
    """Before anything is opened."""
    with pytest.raises(ValueError, match=match):
        encoder("pcsc").start("enc", options, tmp_path)


def test_a_t0_card_is_spoken_to_as_t0_wants_it(floor: Floor, tmp_path: Path) -> None:
    """Through pcscd too: GET RESPONSE at 61xx, the right length at 6Cxx."""
    floor.daemon.run("tests.pcsc.t0chip", str(tmp_path / "t0"), str(daemon.port(1)))
    machine = floor.encoder(1, stock=BLUE)
    assert machine.awaits(5) is None
    assert machine.feed(BLUE) == (1, t0chip.ATR)
    select = Command("SELECT", 0x00, 0xA4, 4, 0, bytes.fromhex("A000000003"), ne=256)
    assert machine.transmit(select).data == t0chip.FCI
    assert machine.transmit(CPLC).data == t0chip.CPLC


def test_a_stopped_pcscd_is_given_up_and_waited_for(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything hangs then, except the engine."""
    monkeypatch.setattr(reader, "GRACE", 0.3)
    floor.cards(1)
    machine = floor.encoder(1, deadline=0.3)
    machine.feed(BLUE)
    floor.daemon.signal(SIGSTOP)
    with pytest.raises(MuteCard):
        machine.transmit(CPLC)
    machine.eject(Tray.REJECT)
    assert "hangs: take the card out" in str(machine.awaits(0))
    floor.daemon.signal(SIGCONT)
    monkeypatch.undo()
    assert machine.feed(BLUE) == (2, ATR)


KILLED = """
import json, os, sys
from pathlib import Path
from hardware.encoders.pcsc import Pcsc
from tests.pcsc.floor import BLUE, CPLC
machine = Pcsc.start("sim1", json.loads(sys.argv[1]), Path(sys.argv[2]))
machine.feed(BLUE)
machine.transmit(CPLC)
os.kill(os.getpid(), 9)
"""


def test_a_killed_process_leaves_its_card_and_frees_its_reader(floor: Floor) -> None:
    """The next process finds the card in the station; the process that owned the reader has died with its parent."""
    options = {"reader": floor.daemon.reader(1), "socket": floor.daemon.socket, "feeder": floor.cards(1)}
    arguments = [sys.executable, "-c", KILLED, json.dumps(options), str(floor.worlds)]
    assert subprocess.run(arguments, cwd=Path(__file__).parents[2], check=False).returncode == -9
    machine = floor.encoder(1)
    assert machine.station() == 1
    machine.eject(Tray.REJECT)
    assert machine.feed(BLUE) == (2, ATR)
    assert machine.transmit(CPLC).sw == 0x9000
