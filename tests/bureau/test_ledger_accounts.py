"""Accounts: who may be added, what wrong passphrases do, and what the audit log says of it."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger import accounts, auditing, requests, schema
from bureau.ledger.accounts import Account
from bureau.ledger.ledger import Ledger
from bureau.models import Role
from tests.bureau.ledgers import NOW, authenticate

SALT, VERIFIER = bytes(range(16)), bytes(range(32))


def add(ledger: Ledger, name: str, role: Role = Role.SUPERVISOR) -> None:
    with ledger.write("root", NOW) as tx:
        accounts.add(tx, name, role, SALT, VERIFIER)


def unlock(ledger: Ledger, name: str, actor: str, now: datetime) -> None:
    with ledger.write(actor, now) as tx:
        accounts.unlock(tx, name)


def seen(ledger: Ledger, name: str = "anna") -> Account:
    with ledger.read() as connection:
        found = accounts.find(connection, name)
    assert found is not None
    return found


def try_(ledger: Ledger, *, right: bool, now: datetime = NOW) -> Account:
    """Try a passphrase on anna's account as it stands."""
    return accounts.tried(ledger, seen(ledger), right=right, actor="os: root", now=now)


def lock(ledger: Ledger) -> None:
    for _ in range(5):
        try_(ledger, right=False)


def log(ledger: Ledger) -> list[tuple[str, str, str, str]]:
    with ledger.read() as connection:
        return [(each.actor, each.action, each.subject, each.details) for each in auditing.entries(connection)]


def test_from_the_first_account_on_there_are_some(ledger: Ledger) -> None:
    """Also when all but one are retired, for nobody falls back to acting without one."""
    with ledger.read() as connection:
        assert not accounts.exist(connection)
    add(ledger, "anna")
    with ledger.read() as connection:
        assert accounts.exist(connection)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.SUPERVISOR])
def test_the_first_account_is_a_supervisors(ledger: Ledger, role: Role) -> None:
    """Any other role couldn't add a second one."""
    with pytest.raises(NotAllowedError, match="supervisor"):
        add(ledger, "anna", role)
    assert log(ledger) == []
    add(ledger, "anna")
    add(ledger, "carl", role)


def test_a_name_is_given_once(ledger: Ledger) -> None:
    """The audit log names a person by it, also after they left."""
    add(ledger, "anna")
    add(ledger, "berta")
    add(ledger, "dora", Role.AUDITOR)
    with pytest.raises(NotAllowedError, match="anna"):
        add(ledger, "anna", Role.OPERATOR)
    accounts.retire(ledger, "berta", "anna", NOW)
    with pytest.raises(NotAllowedError, match="berta"):
        add(ledger, "berta")


def test_what_was_asked_anew_isnt_let_in_by_the_request_before(ledger: Ledger) -> None:
    """Where the second person's clock is behind, both are open, and the first one was for another role."""
    add(ledger, "anna")
    wait = timedelta(hours=24)
    asked = []
    for role, at in ((Role.AUDITOR, NOW), (Role.SUPERVISOR, NOW + wait)):
        with ledger.write("anna", at) as tx:
            accounts.add(tx, "eve", role, SALT, VERIFIER, waiting=True)
            asked.append(requests.ask(tx, accounts.ACTION, {"add": "eve", "role": role}, "x", "anna", wait, about=""))
    for number, waits in zip(asked, (True, False), strict=True):
        with ledger.write("dora", NOW) as tx:
            request = requests.find(tx.connection, number, NOW)
            if waits:
                with pytest.raises(NotAllowedError, match="eve was added anew since"):
                    accounts.approve(tx, request)
            else:
                accounts.approve(tx, request)
        assert seen(ledger, "eve").waiting == waits


def test_an_account_doesnt_show_what_its_passphrase_became(ledger: Ledger) -> None:
    """Neither in a log nor in a traceback."""
    add(ledger, "anna")
    assert repr(SALT) not in repr(seen(ledger))
    assert repr(VERIFIER) not in repr(seen(ledger))
    assert VERIFIER.hex() not in str(log(ledger))


def test_the_fifth_wrong_passphrase_in_a_row_locks(ledger: Ledger) -> None:
    """The fourth doesn't."""
    add(ledger, "anna")
    for _ in range(4):
        assert try_(ledger, right=False).opens(NOW) is None
    assert try_(ledger, right=False).opens(NOW) == NOW + timedelta(minutes=30)


def test_a_right_passphrase_begins_a_new_row(ledger: Ledger) -> None:
    """Four wrong ones, a right one and four wrong ones lock nothing."""
    add(ledger, "anna")
    for right in (False, False, False, False, True, False, False, False, False):
        assert try_(ledger, right=right).opens(NOW) is None
    assert seen(ledger).failures == 4


def test_a_locked_account_isnt_opened_by_the_right_passphrase(ledger: Ledger) -> None:
    """Or whoever goes on guessing would learn which one is right."""
    add(ledger, "anna")
    lock(ledger)
    before = seen(ledger)
    for right in (True, False):
        assert try_(ledger, right=right, now=NOW + timedelta(minutes=29)).opens(NOW + timedelta(minutes=29))
    assert seen(ledger) == before


def test_a_lock_opens_by_itself_after_half_an_hour(ledger: Ledger) -> None:
    """Nobody can shut out the last supervisor for good; and a new row has five again."""
    add(ledger, "anna")
    lock(ledger)
    later = NOW + timedelta(minutes=30)
    assert seen(ledger).opens(later - timedelta(microseconds=1))
    assert seen(ledger).opens(later) is None
    assert try_(ledger, right=False, now=later).failures == 1
    assert try_(ledger, right=True, now=later).failures == 0
    assert seen(ledger).locked_at is None


def test_who_tries_side_by_side_learns_nothing(ledger: Ledger) -> None:
    """A guess counts only if it is the first since the account was looked at, so five guesses are five."""
    add(ledger, "anna")
    stale = seen(ledger)
    try_(ledger, right=False)
    for right in (True, False):
        with pytest.raises(NotAllowedError, match="this very moment"):
            accounts.tried(ledger, stale, right=right, actor="os: root", now=NOW)
    assert seen(ledger).failures == 1


def test_a_passphrase_that_was_changed_meanwhile_is_right_no_more(ledger: Ledger) -> None:
    """What was compared was the old one."""
    add(ledger, "anna")
    stale = seen(ledger)
    accounts.renew(ledger, "anna", SALT[::-1], VERIFIER[::-1], "anna", NOW)
    with pytest.raises(NotAllowedError):
        accounts.tried(ledger, stale, right=True, actor="os: root", now=NOW)
    assert (seen(ledger).salt, seen(ledger).verifier) == (SALT[::-1], VERIFIER[::-1])


def test_each_failure_and_the_lock_are_in_the_audit_log(ledger: Ledger) -> None:
    """Under the OS user, for nobody knows whether it was anna; a right one leaves no entry of its own."""
    add(ledger, "anna")
    try_(ledger, right=True)
    lock(ledger)
    try_(ledger, right=True)
    accounts.tried_nobody(ledger, "os: root", NOW)
    wrong = [f'{{"failures":{number},"why":"wrong"}}' for number in range(1, 6)]
    anna = "account anna"
    assert log(ledger)[1:] == [
        *(("os: root", "refuse passphrase", anna, each) for each in wrong),
        ("os: root", "lock", anna, '{"failures":5}'),
        ("os: root", "refuse passphrase", anna, '{"why":"locked"}'),
        ("os: root", "refuse passphrase", "account unknown", '{"why":"unknown or retired"}'),
    ]
    assert auditing.verify(ledger, authenticate) is None


def test_a_supervisor_unlocks(ledger: Ledger) -> None:
    """At once and with a new row; one that isn't locked needs none."""
    add(ledger, "anna")
    with pytest.raises(NotAllowedError, match="isn't locked"):
        unlock(ledger, "anna", "berta", NOW)
    lock(ledger)
    unlock(ledger, "anna", "berta", NOW)
    assert (seen(ledger).failures, seen(ledger).opens(NOW)) == (0, None)
    assert log(ledger)[-1] == ("berta", "unlock", "account anna", "{}")


def test_the_last_supervisor_stays(ledger: Ledger) -> None:
    """Or nobody could add anybody; another role doesn't help, nor does a supervisor who is retired."""
    add(ledger, "anna")
    add(ledger, "carl", Role.OPERATOR)
    add(ledger, "berta")
    add(ledger, "dora", Role.AUDITOR)
    accounts.retire(ledger, "berta", "anna", NOW)
    with pytest.raises(NotAllowedError, match="last supervisor"):
        accounts.retire(ledger, "anna", "anna", NOW)
    accounts.retire(ledger, "carl", "anna", NOW)
    assert seen(ledger, "carl").retired_at == NOW


def test_who_is_retired_stays_so(ledger: Ledger) -> None:
    """Neither unlocked nor given a passphrase, nor retired twice."""
    add(ledger, "anna")
    add(ledger, "carl", Role.OPERATOR)
    accounts.retire(ledger, "carl", "anna", NOW)
    before = log(ledger)
    with pytest.raises(NotAllowedError, match="retired"):
        unlock(ledger, "carl", "anna", NOW)
    with pytest.raises(NotAllowedError, match="retired"):
        accounts.renew(ledger, "carl", SALT, VERIFIER, "carl", NOW)
    with pytest.raises(NotAllowedError, match="retired"):
        accounts.retire(ledger, "carl", "anna", NOW)
    assert log(ledger) == before


def test_nobody_of_that_name_is_found(ledger: Ledger) -> None:
    """For every change alike."""
    add(ledger, "anna")
    for change in (unlock, accounts.retire):
        with pytest.raises(NotFoundError, match="nobody"):
            change(ledger, "nobody", "anna", NOW)


def test_the_database_knows_the_roles(ledger: Ledger) -> None:
    """Another is refused whoever writes it."""
    add(ledger, "anna")
    row = {"salt": SALT, "verifier": VERIFIER, "added_by": "root", "added_at": NOW}
    for change in (
        insert(schema.accounts).values(name="zoe", role="owner", **row),
        update(schema.accounts).values(role="owner"),
    ):
        with pytest.raises(IntegrityError), ledger.write("test", NOW) as tx:
            tx.connection.execute(change)


def test_a_log_that_lost_everything_isnt_taken_for_a_new_one(ledger: Ledger) -> None:
    """Where there is an account there was a change."""
    add(ledger, "anna")
    with ledger.read() as connection:
        head = auditing.head(connection)
    assert head.number == 1
    with ledger.write("test", NOW) as tx:
        tx.connection.execute(update(schema.audit_head).values(number=0, digest=bytes(32), mac=b""))
    with pytest.raises(NotAllowedError, match="head"):
        add(ledger, "berta")
