"""Accounts as people type them: who may, who is asked for a passphrase, and who isn't let in."""

import hashlib
import json
import os
import pty
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib import import_module
from pathlib import Path

import click
import pytest

from bureau.cli import COMMANDS
from bureau.errors import NotAllowedError
from bureau.ledger import accounts
from bureau.models import RequestId, Role
from bureau.service import decisions, people
from bureau.service.people import Action
from bureau.service.plant import Plant
from config import settings
from hardware.crypto import scrypt
from tests.cli.conftest import DEMO, Bureau, By
from tests.cli.staff import STAFF, handed, log, os_user, secret
from tests.typed import Said

PAYMENT = str(DEMO / "payment-batch.xml")
ACTING = {
    "submit": (PAYMENT,),
    "release": ("1",),
    "priority": ("1", "1", "--reason", "late"),
    "open": ("sim1",),
    "hold": ("sim1",),
    "stock receive": ("PLASTIC-BLUE", "5"),
    "stock load": ("sim1", "PLASTIC-BLUE", "5"),
    "stock unload": ("sim1", "PLASTIC-BLUE"),
    "close": ("1",),
    "report": ("1", "--interim"),
    "withdraw": ("--job", "1", "--reason", "trial"),
    "requeue": ("1", "--reason", "trial"),
    "reissue": ("1", "--reason", "trial"),
    "destroy": ("PLASTIC-BLUE", "1", "--reason", "shredded"),
    "scrap": ("1", "--reason", "trial"),
    "resolve": ("1", "--reader", "x"),
    "approve": ("1",),
    "decline": ("1", "--reason", "trial"),
    "backup": ("copy",),
    "replay": ("1", "--reader", "x"),
    "up": ("--open",),
    "profiles add": ("--shipped",),
    "keys import-test": (),
    "keys import": ("2B06", "--name", "K", "--purpose", "master", "--algorithm", "AES", "--mode", "TEST"),
    "accounts add": ("zoe", "--role", "operator"),
    "accounts retire": ("carl",),
    "accounts unlock": ("carl",),
    "accounts passphrase": (),
}
"""Every command that acts, with words that it understands."""


# Before the first account, and the first


def test_without_accounts_the_os_user_acts(founded: Bureau, home: Path) -> None:
    """As BUREAU_USER says; nobody is asked for anything."""
    assert founded("submit", PAYMENT).status == 0
    assert log(home)[-1][0] == "anna"
    assert "There are no accounts" in founded("accounts").err


def test_without_accounts_nothing_that_takes_two_people_goes(founded: Bureau) -> None:
    """And it is said how to come by them."""
    founded("submit", PAYMENT)
    for name in ("withdraw", "requeue", "approve", "decline"):
        said = founded(name, *ACTING[name])
        assert said.status == 1
        assert "no accounts yet" in said.err
        assert "bureau accounts add NAME --role supervisor" in said.err
    assert "no account anna" in founded("release", "1", "--as", "anna").err


def test_the_first_account_is_a_supervisors(founded: Bureau) -> None:
    """And from then on nobody acts without one, nor adds a second."""
    assert "supervisor" in founded("accounts", "add", "carl", "--role", "operator", "--new-fd", handed(secret("carl"))).err
    said = founded("accounts", "add", "anna", "--role", "supervisor", "--new-fd", handed(secret("anna")))
    assert (said.status, said.out) == (0, "anna is a supervisor\n")
    said = founded("accounts", "add", "carl", "--role", "operator", "--new-fd", handed(secret("carl")))
    assert said.status == 1
    assert "--as NAME" in said.err
    assert [each["account"] for each in json.loads(founded("accounts", "--json").out)] == ["anna"]


@pytest.mark.parametrize("name", ["Anna", "", "anna (os: root)", "1anna", "a" * 33, "ann a", "änna"])
def test_a_name_that_could_be_mistaken_is_refused(founded: Bureau, name: str) -> None:
    """The audit log writes it before the OS user's."""
    said = founded("accounts", "add", "--role", "supervisor", "--new-fd", handed(secret("anna")), "--", name)
    assert said.status == 1
    assert "no name for an account" in said.err


@pytest.mark.parametrize("passphrase", ["", "eleven char", "x" * 1025])
def test_a_passphrase_has_twelve_characters_at_least(founded: Bureau, passphrase: str) -> None:
    """Neither too short nor endless; it isn't repeated."""
    said = founded("accounts", "add", "anna", "--role", "supervisor", "--new-fd", handed(passphrase))
    assert said.status == 1
    assert "12 to 1024 characters" in said.err
    assert not passphrase or passphrase not in said.err
    assert founded("accounts", "add", "anna", "--role", "supervisor", "--new-fd", handed("twelve chars")).status == 0


def test_of_a_passphrase_only_its_scrypt_is_kept(by: By, home: Path) -> None:
    """As hashlib computes it, under a salt of each account's own; the passphrase is nowhere in the ledger."""
    with closing(sqlite3.connect(home / "ledger.sqlite")) as ledger:
        kept = ledger.execute("SELECT name, salt, verifier FROM accounts").fetchall()
    for name, salt, verifier in kept:
        text = secret(name).encode()
        assert verifier == hashlib.scrypt(text, salt=salt, n=2**15, r=8, p=1, maxmem=2**26, dklen=32)
        assert text not in (home / "ledger.sqlite").read_bytes()
    assert len({salt for _name, salt, _verifier in kept}) == len(STAFF)


# Acting


def test_an_account_acts_and_the_os_user_is_recorded_beside_it(by: By, home: Path) -> None:
    """The system's own name for it, whatever BUREAU_USER says."""
    assert by("carl", "submit", PAYMENT).status == 0
    assert by("carl", "release", "1").status == 0
    assert log(home)[-1] == (f"carl (os: {os_user()})", "release", "job 1")


def test_the_account_may_come_from_the_environment(by: By, bureau: Bureau, monkeypatch: pytest.MonkeyPatch) -> None:
    """BUREAU_ACCOUNT names it; the passphrase is asked for all the same."""
    monkeypatch.setenv("BUREAU_ACCOUNT", "carl")
    assert bureau("submit", PAYMENT, "--passphrase-fd", handed(secret("carl") + "\n")).status == 0
    assert bureau("release", "1", "--passphrase-fd", handed(secret("anna"))).status == 1
    assert by("anna", "release", "1").status == 0


@pytest.mark.parametrize("name", ACTING)
def test_every_command_that_acts_wants_an_account(by: By, bureau: Bureau, home: Path, name: str) -> None:
    """And without one changes nothing."""
    before = log(home)
    said = bureau(*name.split(), *ACTING[name])
    assert (said.status, said.out) == (1, "")
    assert "nobody said which account acts" in said.err
    assert log(home) == before


def test_what_only_looks_wants_none(by: By, bureau: Bureau) -> None:
    """Listings are for everybody who may read the ledger."""
    by("carl", "submit", PAYMENT)
    listings = ("jobs", "cards 1", "rejects", "suspects", "encoders", "requests", "accounts", "keys", "profiles", "audit")
    for words in (*listings, "audit verify", "watch --once"):
        assert bureau(*words.split()).status == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("carl", ("scrap", "1", "--reason", "x")),
        ("carl", ("release", "1", "--lot", "1")),
        ("carl", ("keys", "import-test")),
        ("carl", ("profiles", "add", "--shipped")),
        ("carl", ("backup", "copy")),
        ("carl", ("accounts", "add", "zoe", "--role", "operator")),
        ("anna", ("keys", "import-test")),
        ("dora", ("release", "1")),
        ("dora", ("withdraw", "--job", "1", "--reason", "x")),
        ("emil", ("open", "sim1")),
        ("emil", ("report", "1", "--interim")),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_role_may_do_what_it_is_for(by: By, home: Path, name: str, words: tuple[str, ...]) -> None:
    """And nothing else; who may is named."""
    by("carl", "submit", PAYMENT)
    before = log(home)
    said = by(name, *words)
    assert (said.status, said.out) == (1, "")
    assert f"isn't for the role {STAFF[name]}" in said.err
    assert log(home) == before


def test_no_role_has_both_keys_and_cards() -> None:
    """Nor does anyone but a supervisor decide or add people; every action is somebody's."""
    with_keys = {role for role, actions in people.ROLES.items() if Action.KEYS in actions}
    with_cards = {role for role, actions in people.ROLES.items() if actions & {Action.SUBMIT, Action.OPEN, Action.REPLAY}}
    assert with_keys.isdisjoint(with_cards)
    approvals = {action for action in Action if action.value.startswith("approve")} - {Action.APPROVE_ACCOUNTS}
    for action in approvals | {Action.RELEASE_LOT, Action.SCRAP, Action.ACCOUNTS}:
        assert {role for role, actions in people.ROLES.items() if action in actions} == {Role.SUPERVISOR}
    approve = {role for role, actions in people.ROLES.items() if Action.APPROVE_ACCOUNTS in actions}
    assert approve == set(accounts.APPROVERS) == {Role.SUPERVISOR, Role.CUSTODIAN, Role.AUDITOR}
    assert frozenset().union(*people.ROLES.values()) == set(Action)
    assert set(people.ROLES) == set(Role)


def test_an_auditor_may_have_a_report_and_the_log_tells(by: By, home: Path) -> None:
    """For there are cardholders in it."""
    by("carl", "submit", PAYMENT)
    assert by("dora", "report", "1", "--interim").status == 0
    assert log(home)[-1] == (f"dora (os: {os_user()})", "hand out trail", "batch 1")


def test_a_custodian_has_the_keys_and_a_backup(by: By, home: Path, tmp_path: Path) -> None:
    """And the log tells of the copy."""
    assert by("emil", "keys", "import-test").status == 0
    assert by("emil", "backup", str(tmp_path / "copy")).status == 0
    assert log(home)[-1][:2] == (f"emil (os: {os_user()})", "back up")


# Accounts that take two people


def add(by: By, name: str, new: str, role: str = "operator") -> Said:
    return by(name, "accounts", "add", new, "--role", role, "--new-fd", handed(secret(new)))


def states(bureau: Bureau) -> dict[str, str]:
    return {each["account"]: each["state"] for each in json.loads(bureau("accounts", "--json").out)}


def test_up_to_the_second_supervisor_one_adds_accounts_alone(founded: Bureau, home: Path) -> None:
    """There is nobody else yet; the log says that none of them waited."""
    founded("accounts", "add", "anna", "--role", "supervisor", "--new-fd", handed(secret("anna")))

    def by(name: str, *words: str) -> Said:
        return founded(*words, "--as", name, "--passphrase-fd", handed(secret(name)))

    assert add(by, "anna", "dora", "auditor").out == "dora is an auditor\n"
    assert add(by, "anna", "berta", "supervisor").out == "berta is a supervisor\n"
    assert add(by, "anna", "carl").out.startswith("request 1: accounts add carl, operator\n")
    assert [each[1:] for each in log(home)][-5:] == [
        ("add account", "account anna"),
        ("add account", "account dora"),
        ("add account", "account berta"),
        ("add account", "account carl"),
        ("request", "request 1"),
    ]


@pytest.mark.parametrize("second", ["berta", "dora", "emil"])
def test_an_account_waits_until_somebody_else_lets_it_in(by: By, bureau: Bureau, home: Path, second: str) -> None:
    """Another supervisor, a custodian or an auditor; until then its right passphrase opens nothing."""
    add(by, "anna", "zoe", "supervisor")
    assert states(bureau)["zoe"] == "waiting"
    for words in (("submit", PAYMENT), ("approve", "1")):
        said = by("zoe", *words)
        assert said.status == 1
        assert "account zoe isn't let in yet" in said.err
    assert "anna asked for request 1" in by("anna", "approve", "1").err
    assert by("carl", "approve", "1").status == 1
    assert states(bureau)["zoe"] == "waiting"
    assert by(second, "approve", "1").status == 0
    assert by("zoe", "submit", PAYMENT).status == 0
    entries = [each[:2] for each in log(home) if each[2] in {"account zoe", "request 1"}]
    me = os_user()
    assert [entries[0], *entries[-2:]] == [
        (f"anna (os: {me})", "add account"),
        (f"{second} (os: {me})", "approve"),
        (f"{second} (os: {me})", "let in"),
    ]


def test_one_supervisor_is_never_both_people(by: By, bureau: Bureau) -> None:
    """Not by retiring all others first, either: who could approve another account can't all be sent away."""
    for name in ("berta", "dora"):
        assert by("anna", "accounts", "retire", name).status == 0
    said = by("anna", "accounts", "retire", "emil")
    assert said.status == 1
    assert "without emil nobody would be left to approve" in said.err
    assert add(by, "anna", "zoe", "supervisor").out.startswith("request 1")
    assert "last supervisor" in by("anna", "accounts", "retire", "anna").err
    assert by("zoe", "approve", "1").status == 1
    assert by("emil", "approve", "1").status == 0
    assert by("anna", "accounts", "retire", "emil").status == 0
    assert states(bureau)["zoe"] == "active"


def test_who_isnt_let_in_may_be_asked_for_anew(by: By, bureau: Bureau) -> None:
    """With another role; while a request is open its account stays what it was, and a retired one is refused."""
    add(by, "anna", "zoe", "supervisor")
    assert "request 1 about account zoe is open" in add(by, "berta", "zoe").err
    by("berta", "decline", "1", "--reason", "as what?")
    assert add(by, "anna", "zoe").out.startswith("request 2: accounts add zoe, operator\n")
    by("anna", "accounts", "retire", "zoe")
    said = by("berta", "approve", "2")
    assert said.status == 1
    assert "account zoe is retired" in said.err
    assert "there is or was an account zoe" in add(by, "anna", "zoe").err
    assert states(bureau)["zoe"] == "retired"


# Wrong passphrases


def test_a_wrong_name_and_a_wrong_passphrase_are_told_alike(by: By, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same words, same work, also for who is retired; neither is repeated, and the log has each."""
    stretched: list[bytes] = []
    by("anna", "accounts", "retire", "dora")

    def stretch(text: bytes, salt: bytes) -> bytes:
        stretched.append(text)
        return scrypt(text, salt)

    monkeypatch.setattr(people, "scrypt", stretch)
    wrong = "not carl's passphrase"
    tried = (("carl", wrong), ("nobody", wrong), ("dora", secret("dora")))
    said = [by(name, "release", "1", passphrase=text) for name, text in tried]
    assert {(each.status, each.out, each.err) for each in said} == {(1, "", said[0].err)}
    assert "not carl" not in said[0].err
    assert len(stretched) == 3
    assert [each[1:] for each in log(home)[-3:]] == [
        ("refuse passphrase", "account carl"),
        ("refuse passphrase", "account unknown"),
        ("refuse passphrase", "account unknown"),
    ]


def test_five_wrong_passphrases_lock_until_two_people_unlock(by: By, bureau: Bureau, home: Path) -> None:
    """Though each of the commands was refused; the right one doesn't help until then."""
    by("carl", "submit", PAYMENT)
    said = [by("carl", "release", "1", passphrase="a wrong one") for _ in range(5)]
    assert ["locked" in each.err for each in said] == [False] * 4 + [True]
    refused = by("carl", "release", "1")
    assert refused.status == 1
    assert "bureau accounts unlock carl" in refused.err
    assert {each["account"]: each["state"] for each in json.loads(bureau("accounts", "--json").out)}["carl"] == "locked"
    assert by("berta", "accounts", "unlock", "carl").out.startswith("request 1: accounts unlock carl\n")
    assert "request 1 about account carl is open" in by("anna", "accounts", "unlock", "carl").err
    assert by("carl", "release", "1").status == 1
    assert by("berta", "approve", "1").status == 1
    assert by("anna", "approve", "1").status == 0
    assert by("carl", "release", "1").status == 0
    me = f"os: {os_user()}"
    assert [each[:2] for each in log(home) if each[2] == "account carl"][1:] == [
        *[(me, "refuse passphrase")] * 5,
        (me, "lock"),
        *[(me, "refuse passphrase")] * 2,
        (f"anna ({me})", "unlock"),
    ]


def test_a_retired_account_acts_no_more(by: By, bureau: Bureau) -> None:
    """It stays in the list, and the last supervisor in the bureau."""
    assert by("anna", "accounts", "retire", "berta").status == 0
    assert by("berta", "submit", PAYMENT).status == 1
    assert "last supervisor" in by("anna", "accounts", "retire", "anna").err
    assert {each["account"]: each["state"] for each in json.loads(bureau("accounts", "--json").out)}["berta"] == "retired"


def test_who_is_retired_while_a_command_waits_decides_nothing(by: By) -> None:
    """The passphrase was right, but somebody stopped the process, or was long about typing the next one."""
    plant = Plant(settings.current())
    berta = people.identify(plant, "berta", secret("berta").encode())
    assert add(by, "anna", "zoe").status == 0
    assert by("anna", "accounts", "retire", "berta").status == 0
    for decide in (
        lambda: decisions.approve(plant, RequestId(1), berta),
        lambda: decisions.add_account(plant, "zed", Role.OPERATOR, b"a long passphrase", berta),
    ):
        with pytest.raises(NotAllowedError, match="berta is retired"):
            decide()
    assert by("dora", "approve", "1").status == 0
    plant.ledger.close()


def test_one_changes_ones_own_passphrase(by: By) -> None:
    """The old one is wrong from then on, and nobody else is asked."""
    new = "carl prefers short ones"
    assert by("carl", "accounts", "passphrase", "--new-fd", handed("short")).status == 1
    assert by("carl", "accounts", "passphrase", "--new-fd", handed(new)).out == "carl has a new passphrase\n"
    assert by("carl", "submit", PAYMENT).status == 1
    assert by("carl", "submit", PAYMENT, passphrase=new).status == 0


# Terminal and descriptor


def test_without_a_terminal_the_passphrase_has_to_be_handed_over(by: By, bureau: Bureau) -> None:
    """It is never read from standard input by accident, which may be the issuer's file."""
    said = bureau("submit", PAYMENT, "--as", "carl")
    assert said.status == 1
    assert "no terminal" in said.err
    assert "--passphrase-fd" in said.err


def test_a_descriptor_that_isnt_open_is_named(by: By, bureau: Bureau) -> None:
    """With how to open one."""
    said = bureau("submit", PAYMENT, "--as", "carl", "--passphrase-fd", "987")
    assert said.status == 1
    assert "--passphrase-fd 987" in said.err
    assert "3<FILE" in said.err


def test_on_a_terminal_the_passphrase_is_typed_without_echo(by: By, home: Path) -> None:
    """The command asks for it by the account's name, and nothing of it is shown."""
    host, terminal = pty.openpty()
    words = [str(Path(sys.executable).with_name("bureau")), "submit", PAYMENT, "--as", "carl"]
    with subprocess.Popen(
        ["setsid", "--wait", "--ctty", *words], stdin=terminal, stdout=terminal, stderr=terminal, env=os.environ
    ) as command:
        os.close(terminal)
        shown = b""
        while b"passphrase of carl: " not in shown:
            shown += os.read(host, 1000)
        os.write(host, secret("carl").encode() + b"\n")
        try:
            while more := os.read(host, 1000):
                shown += more
        except OSError:  # Linux says so when the last process has closed the terminal
            pass
    os.close(host)
    assert command.returncode == 0
    assert b"10 cards in job 1, 2, held" in shown
    assert b"walks" not in shown
    assert log(home)[-1][0] == f"carl (os: {os_user()})"


def test_a_user_who_looks_like_an_account_is_refused(founded: Bureau, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the audit log could be made to say that anna did it."""
    monkeypatch.setenv("BUREAU_USER", "anna (os: root)")
    said = founded("jobs")
    assert said.status == 2
    assert "BUREAU_USER" in said.err


def test_every_command_that_takes_an_account_is_tested_here() -> None:
    """So that a new one that acts isn't forgotten."""
    found: dict[str, click.Command] = {}
    for name, module in COMMANDS.items():
        command = found[name] = getattr(import_module(module), name + "_command")
        below = command.commands if isinstance(command, click.Group) else {}
        found |= {f"{name} {each}": sub for each, sub in below.items()}
    assert {name for name, each in found.items() if any("--passphrase-fd" in one.opts for one in each.params)} == set(ACTING)
