"""What the doctor finds, and how it says to mend it."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Bureau


def findings(bureau: Bureau) -> dict[str, dict[str, str]]:
    """Return the doctor's rows by part."""
    return {row["part"]: row for row in json.loads(bureau("doctor", "--json").out)}


def test_a_founded_bureau_is_well(founded: Bureau) -> None:
    """Home, disk, key store, ledger, clock, broker and encoders, with exit status 0."""
    said = founded("doctor")
    assert said.status == 0
    assert "WRONG" not in said.out
    assert list(findings(founded)) == ["home", "disk", "key store", "ledger", "clock", "broker", "encoders"]


def test_a_machine_without_a_bureau_is_told_each_step(bureau: Bureau, home: Path) -> None:
    """Exit status 1; nothing is made on the way."""
    said = bureau("doctor")
    assert said.status == 1
    assert "bureau migrate" in said.out
    assert not home.exists()


def test_what_is_open_to_others_is_found(founded: Bureau, home: Path, tmp_path: Path) -> None:
    """The home's mode, and the passphrase's."""
    home.chmod(0o755)
    (tmp_path / "passphrase").chmod(0o644)
    found = findings(founded)
    assert found["home"]["mend"] == f"chmod 700 {home}"
    assert found["key store"]["mend"] == f"chmod 600 {tmp_path / 'passphrase'}"


def test_a_clock_behind_the_ledger_is_found(founded: Bureau, home: Path) -> None:
    """The newest entry of the audit log lies in the future."""
    import sqlite3  # noqa: PLC0415 - to do what nobody may

    with sqlite3.connect(home / "ledger.sqlite") as ledger:
        for (trigger,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            ledger.execute(f"DROP TRIGGER {trigger}")
        ledger.execute("UPDATE audit SET at = '2126-01-01 00:00:00.000000' WHERE number = (SELECT max(number) FROM audit)")
    ledger.close()
    assert "behind the ledger" in findings(founded)["clock"]["found"]


def test_a_broker_that_is_gone_is_found(founded: Bureau, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its address is there, and nobody answers."""
    monkeypatch.setenv("BUREAU_BROKER_URL", f"redis+socket://{tmp_path / 'gone'}")
    assert findings(founded)["broker"]["found"] == "doesn't answer"


def test_a_reader_that_is_missing_is_found(founded: Bureau, home: Path) -> None:
    """An encoder names a reader of a pcscd that doesn't run."""
    (home / "stations.toml").write_text(
        '[encoder.desk1]\nkind = "pcsc"\nproduct = "payment-scp02"\nstocks = ["PLASTIC-BLUE"]\n'
        'options = { reader = "No Reader", stock = "PLASTIC-BLUE", socket = "/nowhere/pcscd.comm" }\n'
    )
    found = json.loads(founded("doctor", "--json").out)
    assert founded("doctor").status == 1
    assert [row for row in found if row[""] == "WRONG"]
