"""The machines: found by name, and the simulated one over its world."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardware.encoders import Tray, encoder
from hardware.encoders.simulator import Simulator
from hardware.errors import MuteCard
from hardware.iso7816 import Command

OPTIONS: dict[str, object] = {"blank": "payment-scp02", "blanks": {"BLUE": 2, "GOLD": 1}, "seed": 7}
ATR = bytes.fromhex("3B878131FE45504552534F3032D5")
CPLC = Command("GET DATA 9F7F", 0x80, 0xCA, 0x9F, 0x7F, ne=256)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Simulator]:
    """Return a machine with two blue blanks and a golden one."""
    simulator = Simulator.start("sim1", OPTIONS, tmp_path / "worlds")
    yield simulator
    simulator.close()


def started(folder: Path, **options: object) -> Simulator:
    return Simulator.start("sim1", {**OPTIONS, **options}, folder)


def test_machine_is_found_by_its_key() -> None:
    """One file for each kind."""
    assert encoder("simulator") is Simulator


@pytest.mark.parametrize("key", ["", "nobody", "os.path", "../simulator", "Simulator", "lock"])
def test_unknown_machine_is_named(key: str) -> None:
    """Nothing else is imported in its place."""
    with pytest.raises(ValueError, match="no kind of encoder is called"):
        encoder(key)


def test_blanks_are_fed_by_stock_and_numbered(machine: Simulator) -> None:
    """A number is never used twice on one machine, whatever the stock."""
    assert machine.blanks() == {"BLUE": 2, "GOLD": 1}
    fed = []
    for stock in ("BLUE", "GOLD", "BLUE"):
        fed.append(machine.feed(stock))
        machine.eject(Tray.GOOD)
    assert fed == [(1, ATR), (2, ATR), (3, ATR)]
    assert machine.blanks() == {"BLUE": 0, "GOLD": 0}


@pytest.mark.parametrize("stock", ["BLUE", "GREEN", ""])
def test_empty_or_unknown_stock_feeds_nothing(stock: str, tmp_path: Path) -> None:
    """And the station stays free."""
    machine = started(tmp_path, blanks={"BLUE": 0})
    assert machine.feed(stock) is None
    assert machine.station() is None
    machine.close()


def test_each_chip_tells_who_it_is(machine: Simulator) -> None:
    """Seed and number stand in batch and serial number of the CPLC: no two chips of a bureau are the same."""
    cplc = []
    for _ in range(2):
        machine.feed("BLUE")
        cplc.append(machine.transmit(CPLC).data.hex().upper())
        machine.eject(Tray.GOOD)
    assert [each[6:][24:36] for each in cplc] == ["07000001" + "0000", "07000002" + "0000"]


@pytest.mark.parametrize(("tray", "text"), [(Tray.GOOD, "good"), (Tray.REJECT, "reject"), (Tray.RETURNED, "returned")])
def test_tray_is_kept_in_the_world(machine: Simulator, tmp_path: Path, tray: Tray, text: str) -> None:
    """Where each plastic went can be read from the journal."""
    machine.feed("BLUE")
    machine.eject(tray)
    last = json.loads((tmp_path / "worlds" / "sim1.journal").read_text(encoding="utf-8").splitlines()[-1])
    assert last == {"position": 1, "event": "ejected", "set": {"tray": text}}
    assert machine.station() is None


def test_machine_is_rebuilt_after_a_crash(tmp_path: Path) -> None:
    """The card in the station is still there, the used blanks aren't; more blanks in the settings don't fill the hopper."""
    first = started(tmp_path)
    first.feed("BLUE")
    first.close()
    second = started(tmp_path, blanks={"BLUE": 50})
    assert second.station() == 1
    assert second.blanks() == {"BLUE": 1, "GOLD": 1}
    second.eject(Tray.REJECT)
    assert second.feed("BLUE") == (2, ATR)
    second.close()


def test_dead_blank_answers_no_reset(tmp_path: Path) -> None:
    """Its ATR is empty, and commands find it mute."""
    machine = started(tmp_path, defects={"1": {"dead": True}})
    assert machine.feed("BLUE") == (1, b"")
    with pytest.raises(MuteCard, match="GET DATA 9F7F: the card doesn't answer"):
        machine.transmit(CPLC)
    machine.close()


def test_card_that_falls_silent_is_mute(tmp_path: Path) -> None:
    """From the command on where its defect says so."""
    machine = started(tmp_path, defects={"1": {"mute_at": 2}})
    machine.feed("BLUE")
    assert machine.transmit(CPLC).sw == 0x9000
    for _ in range(2):
        with pytest.raises(MuteCard):
            machine.transmit(CPLC)
    machine.close()


@pytest.mark.parametrize(
    "options",
    [
        {"speed": 9},
        {"blank": "no-such-card"},
        {"blank": 7},
        {"blanks": 5},
        {"blanks": ["BLUE"]},
        {"seed": "one"},
        {"seed": 1 << 24},
        {"milliseconds_per_command": "fast"},
        {"defects": {"first": {"dead": True}}},
        {"defects": {"1": {"broken": True}}},
        {"defects": ["dead"]},
    ],
    ids=str,
)
def test_wrong_option_is_refused(tmp_path: Path, options: dict[str, object]) -> None:
    """As ValueError, whatever is wrong with it."""
    with pytest.raises(ValueError, match=r"."):
        started(tmp_path, **options)


@pytest.mark.parametrize("missing", OPTIONS)
def test_missing_option_is_named(tmp_path: Path, missing: str) -> None:
    """With the encoder whose options they are."""
    with pytest.raises(ValueError, match=f"encoder sim1: its options are wrong: '{missing}'"):
        Simulator.start("sim1", {key: value for key, value in OPTIONS.items() if key != missing}, tmp_path)


@pytest.mark.parametrize("options", [{"seed": 8}, {"blank": "export-scp03"}])
def test_world_belongs_to_its_blank_and_seed(tmp_path: Path, options: dict[str, object]) -> None:
    """Else chips would change who they are."""
    started(tmp_path).close()
    with pytest.raises(ValueError, match="belongs to blank payment-scp02, seed 7"):
        started(tmp_path, **options)
