"""Hopper, station, trays and the journal; crashes, and plastics with a defect."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hardware.sim.blank import Blank, load_blank, shipped
from hardware.sim.journal import Event, Journal
from hardware.sim.world import Defect, Pace, World
from hardware.tlv import dgi
from tests.hardware.sim import caps
from tests.hardware.sim.conftest import fixed
from tests.hardware.sim.host import CHALLENGE, Host, apdu

PAYMENT = shipped("payment-scp02")
CPLC = apdu("80CA9F7F")


def fold(journal: Path) -> dict[int, dict[str, Any]]:
    """Read a journal with nothing but the standard library."""
    chips: dict[int, dict[str, Any]] = {}
    for event in map(json.loads, journal.read_text().splitlines()):
        if "position" in event:
            chip = chips.setdefault(event["position"], {})
            chip.update(event["set"])
            for key in [key for key, value in chip.items() if value is None]:
                del chip[key]
    return chips


def world(path: Path, hopper: int = 3, *, seed: int = 1, blank: Blank = PAYMENT, **options: Any) -> World:
    return World.open(path, blank=blank, hoppers={"BLUE": hopper}, seed=seed, entropy=fixed, **options)


def host(world: World) -> Host:
    world.power_on()
    return Host(transmit=world.transmit, blank=PAYMENT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "world.jsonl"


def test_new_journal_begins_with_the_world(path: Path) -> None:
    """Its first line says which blanks, how many, and the seed."""
    world(path, 3, seed=9)
    first = {"event": "world", "format": 1, "blank": "payment-scp02", "hoppers": {"BLUE": 3}, "seed": 9}
    assert [json.loads(line) for line in path.read_text().splitlines()] == [first]


def test_blanks_are_numbered_and_run_out(path: Path) -> None:
    """Positions count from 1, whatever tray a card goes to; an empty hopper feeds None."""
    w = world(path, 2)
    assert (w.hoppers["BLUE"], w.position) == (2, None)
    assert (w.feed("BLUE"), w.hoppers["BLUE"], w.position) == (1, 1, 1)
    w.eject("reject")
    assert (w.feed("BLUE"), w.hoppers["BLUE"], w.position) == (2, 0, 2)
    w.eject("good")
    assert (w.feed("BLUE"), w.position) == (None, None)
    assert {position: chip["tray"] for position, chip in fold(path).items()} == {1: "reject", 2: "good"}


def test_machine_refuses_what_it_cannot_do(path: Path) -> None:
    """Feeding onto a card, ejecting or powering nothing, an unknown tray, talking to an unpowered card."""
    w = world(path)
    with pytest.raises(RuntimeError):
        w.power_on()
    with pytest.raises(RuntimeError):
        w.eject("good")
    w.feed("BLUE")
    with pytest.raises(RuntimeError):
        w.feed("BLUE")
    with pytest.raises(RuntimeError):
        w.transmit(CPLC)
    with pytest.raises(ValueError, match="tray"):
        w.eject("floor")
    with pytest.raises(ValueError, match="pace"):
        world(path, pace=Pace())


def test_every_plastic_has_its_own_identity(tmp_path: Path) -> None:
    """IC batch and serial differ between plastics and between encoders; type and fabricator don't."""
    seen = set()
    for seed in (0, 1, 0x10000, 0xFFFFFF):
        w = world(tmp_path / f"{seed}", seed=seed)
        while w.feed("BLUE"):
            cplc = host(w).raw(CPLC)[3:-2]
            assert cplc.hex().upper() == fold(tmp_path / f"{seed}")[w.position or 0]["identity"]
            assert cplc[:12] == bytes.fromhex("479050414791500101005100")
            seen.add(cplc[12:18])
            w.eject("returned")
    assert len(seen) == 12


def test_reading_and_refused_commands_leave_no_line(path: Path) -> None:
    """Only what changes the card is journaled."""
    w = world(path)
    w.feed("BLUE")
    h, before = host(w), path.read_bytes()
    h.select()
    h.raw(CPLC)
    h.raw(apdu("80E60200", b"x"))
    h.raw(apdu("80500000", CHALLENGE))
    assert path.read_bytes() == before


def test_counters_do_not_touch_a_blank(path: Path) -> None:
    """Opening a channel, failing to, reading the registry and refused commands leave the plastic returnable."""
    w = world(path)
    w.feed("BLUE")
    h = host(w)
    h.level = 1
    h.begin()
    assert h.status(h.wrap(apdu("80820100", bytes(8), le=""))) == 0x6300
    assert fold(path)[1]["scp/failures"] == 1
    h.open()
    h.sw("80F28002", b"\x4f\x00")
    assert h.target() == 0x6A88
    chip = fold(path)[1]
    assert (chip["scp/failures"], chip["scp/sequence"], "touched" in chip) == (0, 1, False)
    assert h.install_for_load() == 0x9000
    assert fold(path)[1]["touched"] is True


def test_journal_holds_the_personalized_chip(path: Path) -> None:
    """Load file, application, its state, and DGIs in clear."""
    w = world(path)
    w.feed("BLUE")
    h = host(w)
    h.open()
    h.prepare()
    h.target()
    value = bytes(range(16))
    assert h.store(0xA8, 0, dgi(0x8010, h.encrypted(value)) + dgi(0x0101, b"\x70\0")) == 0x9000
    chip, app = fold(path)[1], f"app/{caps.INSTANCE.hex().upper()}"
    assert chip[f"elf/{caps.PACKAGE.hex().upper()}"]["modules"] == [caps.MODULE.hex().upper()]
    assert (chip[f"{app}/state"], chip[f"{app}/module"]) == ("0F", caps.MODULE.hex().upper())
    assert (chip[f"{app}/dgi/8010"], chip[f"{app}/dgi/0101"]) == (value.hex().upper(), "7000")


def test_deleted_objects_leave_the_fold(path: Path) -> None:
    """Null removes a key."""
    w = world(path)
    w.feed("BLUE")
    h = host(w)
    h.open()
    h.prepare()
    assert h.sw("80E40080", b"\x4f\x06" + caps.PACKAGE) == 0x9000
    assert [key for key in fold(path)[1] if key.startswith(("app/", "elf/"))] == []


def test_reopened_world_is_the_same_world(path: Path) -> None:
    """Hopper, station and everything on the chip; the card has lost its power and its session."""
    w = world(path, 3)
    w.feed("BLUE")
    w.eject("returned")
    w.feed("BLUE")
    h = host(w)
    h.open()
    h.prepare()
    before = path.read_bytes()
    again = world(path, 99)
    assert (again.hoppers["BLUE"], again.position) == (1, 2)
    with pytest.raises(RuntimeError):
        again.transmit(CPLC)
    fresh = host(again)
    assert h.level == 3
    fresh.open()
    assert fresh.raw(fresh.wrap(apdu("80F24002", b"\x4f\x00"))) == h.secured("80F24002", b"\x4f\x00")
    assert fold(path)[2]["scp/sequence"] == 2
    assert path.read_bytes().startswith(before)
    again.eject("good")
    assert again.feed("BLUE") == 3


def test_interrupted_load_leaves_nothing(path: Path) -> None:
    """Blocks received before a loss of power are gone, the touch remains."""
    w = world(path)
    w.feed("BLUE")
    h = host(w)
    h.open()
    h.install_for_load()
    assert h.sw("80E80000", caps.load_file(caps.CAP)[:50]) == 0x9000
    h = host(world(path))
    h.open()
    assert h.sw("80E80001", caps.load_file(caps.CAP)[50:]) == 0x6985
    assert [key for key in fold(path)[1] if key.startswith("elf/")] == []
    assert fold(path)[1]["touched"] is True
    h.prepare()


def test_torn_last_line_is_dropped(path: Path) -> None:
    """A line that a crash cut short never happened."""
    w = world(path, 2)
    w.feed("BLUE")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"position":1,"event":"ejec')
    assert world(path, 2).position == 1
    assert path.read_bytes() == whole


def test_event_that_the_disk_took_in_part_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows a half-written line would be lost with it, and the journal couldn't be read again."""
    w = world(path, 2)
    w.feed("BLUE")
    whole, write = path.read_bytes(), os.write
    with monkeypatch.context() as patch:
        patch.setattr("os.write", lambda file, line: write(file, line[:9]))
        with pytest.raises(OSError, match="only a part"):
            w.eject("good")
    assert path.read_bytes() == whole
    w.eject("reject")
    assert world(path, 2).position is None
    assert fold(path)[1]["tray"] == "reject"


def test_what_the_journal_did_not_take_never_happened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chip loses its power with the command, and has forgotten it when it is switched on again."""
    w = world(path)
    w.feed("BLUE")
    h = host(w)
    h.open()

    def full(_journal: Journal, _event: Event) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", full)
        with pytest.raises(OSError, match="no space"):
            h.install_for_load()
    with pytest.raises(RuntimeError, match="no powered card"):
        w.transmit(CPLC)
    assert "touched" not in fold(path)[1]
    h = host(w)
    h.open()
    h.prepare()


def test_journal_of_another_world_is_refused(path: Path) -> None:
    """The blank and the seed are part of every identity."""
    world(path)
    with pytest.raises(ValueError, match="belongs to blank payment-scp02, seed 1"):
        world(path, seed=2)
    with pytest.raises(ValueError, match="belongs to"):
        world(path, blank=shipped("export-scp03"))
    with pytest.raises(ValueError, match="24 bits"):
        world(path.with_name("other"), seed=1 << 24)


def test_probe_sees_the_journal_before_and_after(path: Path) -> None:
    """Before the command nothing is written; after it the line is there and the answer isn't out yet."""
    sizes: list[tuple[str, int]] = []
    w = world(path, probe=lambda moment: sizes.append((moment, len(path.read_bytes()))))
    w.feed("BLUE")
    h = host(w)
    h.level = 1
    cryptogram = h.begin()
    sizes.clear()
    before = len(path.read_bytes())
    h.raw(h.wrap(apdu("80820100", cryptogram, le="")))
    assert sizes == [("before", before), ("after", len(path.read_bytes()))]
    assert sizes[0][1] < sizes[1][1]


def test_process_killed_after_a_command_finds_it_done(path: Path) -> None:
    """A killed process leaves the executed command in the journal, and a killed one before it doesn't."""
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom tests.hardware.sim.test_world import *\n"
        "moment, at = sys.argv[2], int(sys.argv[3])\ncalls = []\n"
        "def probe(now):\n    calls.append(now)\n"
        "    if calls.count(now) == at and now == moment: os.kill(os.getpid(), 9)\n"
        "w = world(Path(sys.argv[1]), probe=probe)\nw.feed('BLUE')\nh = host(w)\nh.open()\nh.install_for_load()\n"
    )
    for moment, touched in (("before", False), ("after", True)):
        file = path.with_name(moment)
        command = [sys.executable, "-c", script, str(file), moment, "3"]
        run = subprocess.run(command, check=False, cwd=Path(__file__).parents[3])
        assert run.returncode == -9
        assert fold(file)[1].get("touched", False) is touched
        assert world(file).position == 1


@pytest.mark.parametrize(("defect", "executed"), [(Defect(mute_at=3), False), (Defect(mute_after=3), True)])
def test_mute_card_stays_mute(defect: Defect, executed: bool, path: Path) -> None:
    """The third command isn't executed, or isn't answered; after that not even an ATR comes, nor in a new process."""
    w = world(path, defects={1: defect})
    w.feed("BLUE")
    h = host(w)
    h.open()
    assert w.transmit(h.wrap(apdu("80E60200", b"\x06" + caps.PACKAGE + bytes(4)))) is None
    assert fold(path)[1].get("touched", False) is executed
    assert w.transmit(CPLC) is None
    assert w.power_on() == b""
    again = world(path)
    assert again.power_on() == b""
    assert again.transmit(CPLC) is None
    again.eject("reject")
    again.feed("BLUE")
    assert again.power_on() == PAYMENT.atr


def test_dead_card_gives_no_atr(path: Path) -> None:
    """Only this position is affected."""
    w = world(path, defects={1: Defect(dead=True)})
    w.feed("BLUE")
    assert (w.power_on(), w.transmit(CPLC)) == (b"", None)
    w.eject("reject")
    w.feed("BLUE")
    assert w.power_on() == PAYMENT.atr


def test_small_memory_is_a_property_of_one_plastic(path: Path) -> None:
    """6A84 on the first card, none on the second."""
    w = world(path, defects={1: Defect(memory=100)})
    for expected in (0x6A84, 0x9000):
        w.feed("BLUE")
        h = host(w)
        h.open()
        h.install_for_load()
        assert h.load(caps.load_file(caps.CAP)) == expected
        w.eject("reject")


def test_reset_ends_the_session(path: Path) -> None:
    """power_on is a reset."""
    w = world(path)
    w.feed("BLUE")
    h = host(w)
    h.open()
    w.power_on()
    assert h.sw("80F28002", b"\x4f\x00") == 0x6982


def test_pace_takes_time(path: Path) -> None:
    """Seconds for each command and for each byte both ways."""
    slept: list[float] = []
    w = world(path, sleep=slept.append, pace=Pace(command=1.0, byte=0.5))
    w.feed("BLUE")
    assert len(host(w).raw(CPLC)) == 47
    assert slept == [1.0 + 0.5 * (5 + 47)]


def test_no_pace_takes_none(path: Path) -> None:
    """A sleep of no seconds still costs each command a tenth of a millisecond."""
    slept: list[float] = []
    w = world(path, sleep=slept.append, pace=Pace())
    w.feed("BLUE")
    host(w).raw(CPLC)
    assert slept == []


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("scp = 2", "scp = 1"), ("i = 0x55", "i = 0x1C"), ("kvn = 0x20", "kvn = 0"), ("F3032D5", "F3032D6"),
        ('dek = "AC', 'dek = "'), ("retries = 10", ""), ("retries = 10", "retries = 10\ncolour = 1"),
        ('ic_type = "5041"', ""), ('ic_type = "5041"', 'ic_type = "50"'), ("life_cycle = 0x01", "life_cycle = 0x02"),
    ],
)  # fmt: skip
def test_impossible_blank_is_refused(line: str, instead: str, tmp_path: Path) -> None:
    """A blank is checked when it is read."""
    text = (Path(sys.modules["hardware.sim.blank"].__file__ or "").parent / "blanks/payment-scp02.toml").read_text()
    assert line in text
    file = tmp_path / "wrong.toml"
    file.write_text(text.replace(line, instead))
    with pytest.raises(ValueError, match=r"wrong\.toml|payment-scp02"):
        load_blank(file)


def test_blank_does_not_print_its_keys() -> None:
    """Keys stay out of a repr."""
    assert PAYMENT.enc.hex() not in repr(PAYMENT)
    assert repr(PAYMENT.enc) not in repr(PAYMENT)
