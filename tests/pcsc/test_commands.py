"""What a person types about readers."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hardware.encoders.pcsc.daemon import missing
from hardware.encoders.pcsc.reader import readers
from tests.pcsc.floor import ATR, Floor
from tests.typed import Typed, in_process

BUREAU = Path(sys.executable).with_name("bureau")


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Type a command in a home that names no encoder."""
    monkeypatch.setenv("BUREAU_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BUREAU_STATIONS", str(tmp_path / "stations.toml"))
    return in_process(monkeypatch, capsys)


def test_readers_are_listed_with_card_product_and_encoder(floor: Floor, typed: Typed, tmp_path: Path) -> None:
    """Also those whose pcscd only stations.toml names."""
    floor.cards(1)
    floor.hand(1).feed("PLASTIC-BLUE")
    floor.reader(1).wait(card=True, seconds=5)
    (tmp_path / "stations.toml").write_text(
        '[encoder.hand1]\nkind = "pcsc"\nproduct = "payment-scp02"\nstocks = ["PLASTIC-BLUE"]\n'
        f'options = {{ reader = "Virtual 1 00 00", socket = "{floor.daemon.socket}", stock = "PLASTIC-BLUE" }}\n'
    )
    status, out, _err = typed("readers", "--json")
    assert status == 0
    first, second = json.loads(out)
    assert first == {
        "reader": "Virtual 1 00 00",
        "card": "in",
        "atr": ATR.hex().upper(),
        "in_words": "direct, T=1, up to 10 kbit/s, historical bytes PERSO02",
        "product": ["payment-scp02"],
        "encoder": "hand1",
        "pcscd": floor.daemon.socket,
    }
    assert (second["reader"], second["card"], second["product"], second["encoder"]) == ("Virtual 1 00 01", "none", "", "")


def test_a_pcscd_that_is_not_there_is_named(typed: Typed) -> None:
    """With what to do."""
    status, _out, err = typed("readers", "--socket", "/nowhere/pcscd.comm")
    assert status == 1
    assert "pcscd isn't running: start pcscd" in err


def test_simulated_cards_make_no_production_cards(typed: Typed, tmp_path: Path) -> None:
    """Neither do they behind a PC/SC reader."""
    (tmp_path / "stations.toml").write_text(
        '[encoder.virtual1]\nkind = "pcsc"\nproduct = "payment-scp02"\nstocks = ["PLASTIC-BLUE"]\nmode = "PRODUCTION"\n'
        'options = { reader = "Virtual 1 00 00", feeder = "/nowhere/1.feeder" }\n'
    )
    status, _out, err = typed("readers")
    assert status == 1
    assert "a simulator makes no production cards" in err


def test_simulated_blanks_are_there_for_any_client_until_stopped() -> None:
    """The printed line leads to them, and nothing is left behind."""
    if lack := missing():
        pytest.skip(lack)
    with subprocess.Popen([BUREAU, "simulate", "export-scp03", "--readers", "2"], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        socket = run.stdout.readline().strip().removeprefix("export PCSCLITE_CSOCK_NAME=")
        seen = readers(socket)
        run.send_signal(signal.SIGINT)
        assert run.wait(10) == 0
    assert [each.atr.hex().upper() for each in seen] == ["3B878131FE45504552534F3033D4"] * 2
    assert not Path(socket).exists()


def test_simulating_what_is_not_shipped_is_refused(typed: Typed) -> None:
    """Nothing is started."""
    status, _out, err = typed("simulate", "no-such-card")
    assert status == 2
    assert "no simulated blank" in err


def test_the_demo_runs_over_two_readers_and_more(tmp_path: Path) -> None:
    """All of the samples' cards are made through pyscard."""
    if lack := missing():
        pytest.skip(lack)
    run = subprocess.run([BUREAU, "demo", "--pcsc"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert "14 of 14 cards good" in run.stdout


def test_without_root_the_demo_says_so(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    status, _out, err = typed("demo", "--pcsc")
    assert status == 1
    assert "virtual readers need root" in err
    assert not (tmp_path / ".bureau").exists()
