"""Each command: what it prints, what it changes, and what it says when it can't."""

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from bureau import audit
from bureau.cli import COMMANDS
from hardware.certificates import parse
from tests.cli.conftest import DEMO, Bureau
from tests.hardware.vectors import vectors
from tests.typed import Said

PAYMENT, SINGLE, EXPORT, NATIVE = (
    str(DEMO / name)
    for name in ("payment-batch.xml", "single-card-1.1.xml", "cms-export-1.0.xml", "native-static-batch.xml")
)


def test_every_command_can_be_learned_from_its_help(bureau: Bureau) -> None:
    """The list names each with a whole sentence, and each explains itself."""
    listed = bureau("--help").out
    assert "..." not in listed.split("Commands:")[1]
    for name in COMMANDS:
        said = bureau(name, "--help")
        assert (said.status, said.err) == (0, "")
        assert f"Usage: bureau {name}" in said.out


def test_an_unknown_command_is_a_usage_error(bureau: Bureau) -> None:
    """Exit status 2, and where to look."""
    said = bureau("fly")
    assert said.status == 2
    assert "bureau --help" in said.err


@pytest.mark.parametrize("words", [("jobs",), ("cards", "1"), ("submit", PAYMENT), ("up",), ("encoders",)])
def test_without_a_bureau_a_command_says_how_to_make_one(bureau: Bureau, words: tuple[str, ...]) -> None:
    """Nothing is created on the way."""
    said = bureau(*words)
    assert said.status == 1
    assert "bureau migrate" in said.err


def test_migrate_makes_a_home_that_only_its_owner_may_read(bureau: Bureau, home: Path) -> None:
    """And done again it changes nothing."""
    assert bureau("migrate").status == 0
    before = (home / "keystore.json").read_bytes()
    assert [(path.stat().st_mode & 0o077) for path in (home, home / "keystore.json", home / "ledger.sqlite")] == [0, 0, 0]
    assert bureau("migrate").status == 0
    assert (home / "keystore.json").read_bytes() == before


def test_a_passphrase_that_others_may_read_is_refused(bureau: Bureau, tmp_path: Path) -> None:
    """With the command that mends it."""
    (tmp_path / "passphrase").chmod(0o644)
    said = bureau("migrate")
    assert said.status == 1
    assert "chmod 600" in said.err


def test_another_passphrase_opens_nothing(founded: Bureau, tmp_path: Path) -> None:
    """The key store says that the passphrase is wrong, and shows no key."""
    (tmp_path / "passphrase").write_text("another one")
    said = founded("keys")
    assert said.status == 1
    assert "passphrase" in said.err
    assert "404142" not in said.out + said.err


def test_submit_takes_a_file_in_and_says_what_comes_next(founded: Bureau) -> None:
    """Ten cards in two jobs, held."""
    said = founded("submit", PAYMENT)
    assert said.status == 0
    assert said.out == "payment-batch.xml: 10 cards in job 1, 2, held. Next: bureau release 1 2\n"


def test_a_refused_file_lists_every_error_and_leaves_an_audit_entry_only(founded: Bureau, tmp_path: Path) -> None:
    """Line, record and CRN of each; no job exists afterwards, and the log knows who tried."""
    text = Path(PAYMENT).read_text()
    wrong = tmp_path / "wrong.xml"
    wrong.write_text(text.replace('Action="LOAD"', 'Action="FLY"').replace('CardRecordCount="8"', 'CardRecordCount="9"'))
    said = founded("submit", str(wrong))
    assert said.status == 1
    assert said.err.count("ProcessingStep/@Action") == 10
    assert "line 7, record 1 (CRN 2B0601040181FD59638768)" in said.err
    assert "says 9, but there are 8 cards" in said.err
    assert "wrong.xml is refused: 11 errors" in said.err
    assert json.loads(founded("jobs", "--json").out) == []


def test_the_same_file_is_refused_again(founded: Bureau) -> None:
    """By its hash, with the job that it became."""
    founded("submit", PAYMENT)
    said = founded("submit", PAYMENT)
    assert said.status == 1
    assert "job 1, 2" in said.err


def test_a_bare_form_needs_its_issuer(founded: Bureau) -> None:
    """The file doesn't name one, so the person must."""
    assert "--issuer" in founded("submit", SINGLE).err
    assert "--issuer" in founded("submit", SINGLE, "--issuer", " ").err
    assert founded("submit", SINGLE, "--issuer", "TESTCLUB").status == 0
    assert json.loads(founded("jobs", "--json").out)[0]["issuer"] == "TESTCLUB"


def test_a_native_batch_waits_for_an_interpreter(founded: Bureau) -> None:
    """It is accepted and released, and says what it waits for."""
    assert founded("submit", NATIVE).status == 0
    assert "waits for an interpreter: GP Scripting 1,1" in founded("release", "1").out


def test_a_job_is_found_by_number_and_by_its_names(founded: Bureau) -> None:
    """1, BatchID/JobID, BatchID; a notification's own BatchID too."""
    founded("submit", PAYMENT)
    founded("submit", EXPORT, "--issuer", "TESTCLUB")
    for name, found in (("2", [2]), ("B2026-001/URGENT", [2]), ("B2026-001", [1, 2]), ("X1", [3])):
        assert [job["job"] for job in json.loads(founded("job", name, "--json").out)] == found


def test_a_job_that_does_not_exist_is_status_2(founded: Bureau) -> None:
    """For listing, releasing and reporting alike."""
    for words in (("job", "7"), ("cards", "7"), ("release", "7"), ("report", "7")):
        said = founded(*words)
        assert (said.status, said.out) == (2, "")
        assert "there is no job 7" in said.err


def test_a_released_job_can_not_be_released_again(founded: Bureau) -> None:
    """The second one is told."""
    founded("submit", PAYMENT)
    assert founded("release", "1").status == 0
    said = founded("release", "1")
    assert said.status == 1
    assert "released already" in said.err


def test_due_dates_are_those_of_the_plant(founded: Bureau) -> None:
    """20261210 ends at midnight in Berlin, 23:00 UTC less a second; stored and printed for programs in UTC."""
    founded("submit", PAYMENT)
    assert json.loads(founded("jobs", "--json").out)[0]["due"] == "2026-12-10T22:59:59+00:00"


def test_cards_are_listed_with_their_state(founded: Bureau) -> None:
    """Eight of them ready, none touched."""
    founded("submit", PAYMENT)
    cards = json.loads(founded("cards", "1", "--json").out)
    assert [card["state"] for card in cards] == ["ready"] * 8
    assert cards[0]["crn"] == "2B0601040181FD59638768"


def test_encoders_are_listed_before_they_ever_started(founded: Bureau) -> None:
    """With what to do about it."""
    encoders = json.loads(founded("encoders", "--json").out)
    assert [each["encoder"] for each in encoders] == ["sim1", "sim2", "sim3", "sim4"]
    assert {each["state"] for each in encoders} == {"never started"}


def test_a_line_that_never_started_can_not_be_opened(founded: Bureau) -> None:
    """Status 2: there is nothing of that name on the floor."""
    assert founded("open", "sim1").status == 2
    assert founded("hold", "nosuch").status == 2


def test_an_unclosed_batch_has_an_interim_report_only(founded: Bureau) -> None:
    """The trail says INTERIM and lies beside where the final one will."""
    founded("submit", PAYMENT)
    assert "--interim" in founded("report", "1").err
    path = Path(founded("report", "1", "--interim").out.strip())
    assert path.name == "B2026-001.interim.xml"
    assert b"INTERIM" in path.read_bytes()


def test_a_key_comes_in_through_a_file_descriptor_and_only_its_check_value_goes_out(founded: Bureau) -> None:
    """KCV of 404142..4F for AES as published by OpenJavaCard: 504A77."""
    read, write = os.pipe()
    os.write(write, b"404142434445464748494A4B4C4D4E4F\n")
    os.close(write)
    options = ("--name", "K", "--purpose", "master", "--algorithm", "AES", "--mode", "TEST", "--fd", str(read))
    said = founded("keys", "import", "2b0601040181fd59637f", *options)
    assert said.out == "master key K 2B0601040181FD59637F (AES-128, TEST): KCV 504A77\n"
    assert "404142" not in founded("keys").out


def test_a_private_key_comes_with_its_certificates(founded: Bureau, tmp_path: Path) -> None:
    """Published ones of OpenSCP; without them, or with another key's, it isn't registered."""
    v = vectors("scp11_openscp", id="openscp-scp11a-P384-AES128")[0]
    own, other = tmp_path / "own.der", tmp_path / "other.der"
    own.write_bytes(bytes.fromhex(v["cert_oce"]))
    other.write_bytes(bytes.fromhex(v["cert_sd"]))

    def imported(*certificates: str) -> Said:
        read, write = os.pipe()
        os.write(write, v["sk_oce"].encode())
        os.close(write)
        options = ("--name", "H", "--purpose", "agreement", "--algorithm", "P-384", "--mode", "TEST", "--fd", str(read))
        return founded("keys", "import", "2B0601040181FD59637E", *options, *certificates)

    assert "needs its chain of certificates" in imported().err
    assert "the last certificate is for another key" in imported("--certificate", str(other)).err
    kcv = sha256(parse(own.read_bytes()).point).hexdigest()[:6].upper()
    said = imported("--certificate", str(own))
    assert said.out == f"agreement key H 2B0601040181FD59637E (P-384, TEST): KCV {kcv}\n"
    assert v["sk_oce"] not in founded("keys").out


@pytest.mark.parametrize("typed", ["", "zz", "4041", "404142434445464748494A4B4C4D4E", "\xb8\xff\xfe"])
def test_a_malformed_key_is_refused_without_being_repeated(founded: Bureau, typed: str) -> None:
    """Not hex, binary, or of no length that AES knows."""
    read, write = os.pipe()
    os.write(write, typed.encode("latin-1"))
    os.close(write)
    options = ("--name", "K", "--purpose", "master", "--algorithm", "AES", "--mode", "TEST", "--fd", str(read))
    said = founded("keys", "import", "2B0601040181FD59637F", *options)
    assert said.status == 1
    assert not typed or typed not in said.err


def test_a_profile_version_never_changes(founded: Bureau, tmp_path: Path) -> None:
    """The same content again is no error, other content under the version is."""
    shipped = DEMO.parent / "products" / "profiles" / "application-export.xml"
    assert founded("profiles", "add", str(shipped)).status == 0
    changed = tmp_path / "changed.xml"
    changed.write_text(shipped.read_text().replace("PLSC", "PLSD"))
    said = founded("profiles", "add", str(changed))
    assert said.status == 1
    assert "new version" in said.err


def test_a_card_profile_needs_what_it_names(bureau: Bureau) -> None:
    """Its application and its code must be registered first."""
    bureau("migrate")
    said = bureau("profiles", "add", str(DEMO.parent / "products" / "profiles" / "card-payment.xml"))
    assert said.status == 1
    assert "application profile 2B0601040181FD596320" in said.err
    assert "code of load file profile 2B0601040181FD596330" in said.err


def test_code_must_be_that_of_the_profile(founded: Bureau, tmp_path: Path) -> None:
    """A file that is no CAP file, and one without a load file profile."""
    rubbish = tmp_path / "rubbish.cap"
    rubbish.write_bytes(b"PK\x03\x04rubbish")
    profiles = DEMO.parent / "products" / "profiles"
    assert "CAP file" in founded("profiles", "add", str(profiles / "loadfile-perso.xml"), "--code", str(rubbish)).err
    assert "exactly one" in founded("profiles", "add", str(profiles / "card-payment.xml"), "--code", str(rubbish)).err


def _flip_a_bit(ledger: sqlite3.Connection) -> None:
    (actor,) = ledger.execute("SELECT actor FROM audit WHERE number = 3").fetchone()
    ledger.execute("UPDATE audit SET actor = ? WHERE number = 3", (chr(ord(actor[0]) ^ 1) + actor[1:],))


def _remove_the_last(ledger: sqlite3.Connection) -> None:
    ledger.execute("DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)")


def _remove_the_last_and_mend_the_head(ledger: sqlite3.Connection) -> None:
    _remove_the_last(ledger)
    number, digest = ledger.execute("SELECT number, digest FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    ledger.execute("UPDATE audit_head SET number = ?, digest = ?", (number, digest))


def _compute_anew(ledger: sqlite3.Connection) -> None:
    """Change a name and make the chain fit again, with a key of one's own in the place of the key store's."""
    ledger.execute("UPDATE audit SET actor = 'nobody' WHERE number = 3")
    head = audit.EMPTY
    rows = ledger.execute("SELECT number, at, actor, action, subject, details FROM audit ORDER BY number").fetchall()
    for number, at, actor, action, subject, details in rows:
        moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
        entry, head = audit.append(
            head, lambda _: bytes(16), at=moment, actor=actor, action=action, subject=subject, details=json.loads(details)
        )
        ledger.execute("UPDATE audit SET digest = ? WHERE number = ?", (entry.digest, number))
    ledger.execute("UPDATE audit_head SET number = ?, digest = ?, mac = ?", (head.number, head.digest, head.mac))


@pytest.mark.parametrize("tamper", [_flip_a_bit, _remove_the_last, _remove_the_last_and_mend_the_head, _compute_anew])
def test_the_audit_log_is_whole_until_somebody_touches_it(
    founded: Bureau, home: Path, tamper: Callable[[sqlite3.Connection], None]
) -> None:
    """Whatever is done to it, past the triggers that forbid it."""
    assert founded("audit", "verify").status == 0
    with closing(sqlite3.connect(home / "ledger.sqlite")) as ledger, ledger:
        for (trigger,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            ledger.execute(f"DROP TRIGGER {trigger}")
        tamper(ledger)
    said = founded("audit", "verify")
    assert said.status == 1
    assert "tampered" in said.err


def test_a_backup_can_be_worked_with(founded: Bureau, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copied while in use; with the passphrase, which isn't in it, everything is there."""
    founded("submit", PAYMENT)
    assert founded("backup", str(tmp_path / "copy")).status == 0
    assert not list((tmp_path / "copy").glob("*pass*"))
    monkeypatch.setenv("BUREAU_HOME", str(tmp_path / "copy"))
    assert len(json.loads(founded("jobs", "--json").out)) == 2
    assert founded("audit", "verify").status == 0
    monkeypatch.setenv("BUREAU_HOME", str(home))
    assert founded("backup", str(tmp_path / "copy")).status == 1


def test_watch_shows_jobs_and_encoders_once(founded: Bureau) -> None:
    """The picture names every job."""
    founded("submit", PAYMENT)
    assert "B2026-001/URGENT" in founded("watch", "--once").out


@pytest.mark.parametrize(
    ("name", "value"),
    [("BUREAU_PLANT_TZ", "Mars/Olympus"), ("BUREAU_LEASE_SECONDS", "soon"), ("BUREAU_LEASE_SECONDS", "-1")],
)
def test_a_setting_that_can_not_be_used_is_named(
    founded: Bureau, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Exit status 2, before anything is done."""
    monkeypatch.setenv(name, value)
    said = founded("jobs")
    assert said.status == 2
    assert name in said.err


def test_one_card_is_one_card(founded: Bureau) -> None:
    """Not one cards, neither when it comes in nor when it is released."""
    assert "single-card-1.1.xml: 1 card in job 1, held" in founded("submit", SINGLE, "--issuer", "TESTBANK").out
    released = founded("release", "1").out
    assert " released: 1 card" in released
    assert "1 cards" not in released


def test_lots_are_numbered_within_their_job(founded: Bureau) -> None:
    """The second job's first lot is lot 1."""
    founded("submit", PAYMENT)
    assert "lot 1: records" in founded("job", "2").out
    [job] = json.loads(founded("job", "2", "--json").out)
    assert [lot["lot"] for lot in job["lots"]] == [1]


def test_the_same_file_again_needs_no_correction(founded: Bureau) -> None:
    """The remedy says where it is."""
    founded("submit", PAYMENT)
    said = founded("submit", PAYMENT)
    assert "correct the file" not in said.err
    assert "bureau jobs" in said.err
