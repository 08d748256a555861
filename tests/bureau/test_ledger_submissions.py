"""A file's way in: unseen until it is whole, gone without trace if it isn't."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger import auditing, reissues, schema, submissions, views
from bureau.ledger.ledger import Ledger
from bureau.models import CardState, JobId, JobState, ProfilePin
from hardware.keystores import Mode
from tests.bureau.ledgers import (
    NOW,
    PROFILE,
    SIM1,
    authenticate,
    batch,
    begin,
    job,
    lot,
    open_encoder,
    opened,
    pin,
    put,
    records,
    submit,
    submitted,
    take,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with opened(tmp_path / "ledger.db") as ledger:
        yield ledger
        assert auditing.verify(ledger, authenticate) is None


def _counts(ledger: Ledger) -> dict[str, int]:
    tables = (schema.files, schema.batches, schema.jobs, schema.lots, schema.cards, schema.job_profiles)
    with ledger.read() as connection:
        return {each.name: connection.execute(select(func.count()).select_from(each)).scalar_one() for each in tables}


def _jobs(ledger: Ledger) -> list[views.JobView]:
    with ledger.read() as connection:
        return views.list_jobs(connection)


def test_an_incoming_file_is_unseen_and_one_commit_makes_it_held(ledger: Ledger) -> None:
    """No listing shows it, nothing finds or releases it, until finish()."""
    whole = batch("A", job("1", lot(2)), job("2", lot(1), lot(1)))
    incoming = begin(ledger, whole)
    submissions.add_cards(ledger, incoming, records(whole), NOW)
    assert _jobs(ledger) == []
    for number in incoming.jobs.values():
        with pytest.raises(NotFoundError):
            submissions.release(ledger, number, "operator", NOW)
        with ledger.read() as connection, pytest.raises(NotFoundError):
            views.find_jobs(connection, str(number))
    assert submissions.jobs_of_file(ledger, _sha(ledger)) is None
    numbers = submissions.finish(ledger, incoming, NOW)
    assert [(each.number, each.state, each.records) for each in _jobs(ledger)] == [
        (numbers[0], JobState.HELD, 2),
        (numbers[1], JobState.HELD, 2),
    ]
    assert submissions.jobs_of_file(ledger, _sha(ledger))


def _sha(ledger: Ledger) -> str:
    with ledger.read() as connection:
        return str(connection.execute(select(schema.files.c.sha256)).scalar_one())


@pytest.mark.parametrize(("says", "brings"), [(3, 2), (2, 3), (1, 0)])
def test_a_lot_must_hold_what_it_says(ledger: Ledger, says: int, brings: int) -> None:
    """The control total is checked against the rows, and the file stays unseen."""
    whole = batch("A", job("1", lot(says)))
    incoming = begin(ledger, whole)
    submissions.add_cards(ledger, incoming, records(batch("A", job("1", lot(brings)))), NOW)
    with pytest.raises(NotAllowedError, match=f"says {says} records and has {brings}"):
        submissions.finish(ledger, incoming, NOW)
    assert _jobs(ledger) == []


def test_the_same_file_isnt_taken_twice(ledger: Ledger) -> None:
    """By its hash, whether accepted or on its way."""
    whole = batch("A", job("1", lot(1)))
    incoming = begin(ledger, whole)
    with pytest.raises(NotAllowedError, match="on its way in"):
        begin(ledger, whole)
    submissions.add_cards(ledger, incoming, records(whole), NOW)
    submissions.finish(ledger, incoming, NOW)
    with pytest.raises(NotAllowedError, match="submitted before"):
        begin(ledger, whole)


def test_at_most_a_thousand_records_go_into_a_transaction(ledger: Ledger) -> None:
    """SQLite has one writer, and every encoder waits for it."""
    whole = batch("A", job("1", lot(1001)))
    incoming = begin(ledger, whole)
    some = records(whole)
    with pytest.raises(ValueError, match="1001"):
        submissions.add_cards(ledger, incoming, some, NOW)
    submissions.add_cards(ledger, incoming, some[:1000], NOW)
    submissions.add_cards(ledger, incoming, some[1000:], NOW)
    submissions.add_cards(ledger, incoming, [], NOW)
    submissions.finish(ledger, incoming, NOW)
    assert _jobs(ledger)[0].counts[CardState.READY] == 1001


def _used(ledger: Ledger, issuer: str, *crns: str) -> dict[str, JobId]:
    with ledger.read() as connection:
        return {crn: each.job for crn, each in reissues.earlier(connection, issuer, crns).items()}


def test_a_crn_is_used_once_by_its_issuer(ledger: Ledger) -> None:
    """Unless the earlier record was withdrawn."""
    submit(ledger, "A", job("1", lot(2)))
    assert _used(ledger, "BANK", "410000", "410001", "410002") == dict.fromkeys(["410000", "410001"], JobId(1))
    assert _used(ledger, "OTHER", "410000") == {}
    whole = batch("B", job("1", lot(2)))
    incoming = begin(ledger, whole)
    with pytest.raises(NotAllowedError, match="CRN"):
        submissions.add_cards(ledger, incoming, records(whole, crn="41"), NOW)
    with ledger.read() as connection:
        old = views.list_cards(connection, JobId(1))
    for card in old:
        put(ledger, card.card, CardState.WITHDRAWN)
    assert _used(ledger, "BANK", "410000", "410001") == {}
    submissions.add_cards(ledger, incoming, records(whole, crn="41"), NOW)
    submissions.finish(ledger, incoming, NOW)


def test_crns_are_looked_up_in_any_number(ledger: Ledger) -> None:
    """More than a statement takes parameters."""
    submit(ledger, "A", job("1", lot(1)))
    many = [f"{number:08X}" for number in range(40_000)]
    assert _used(ledger, "BANK", *many, "410000") == {"410000": JobId(1)}


def test_leftovers_go_entirely_and_their_file_may_come_again(ledger: Ledger) -> None:
    """Only the audit log remembers; accepted files stay."""
    submit(ledger, "A", job("1", lot(2)))
    before = _counts(ledger)
    whole = batch("B", job("1", lot(1500), lot(1)), job("2", lot(1)))
    incoming = begin(ledger, whole)
    some = records(whole)
    submissions.add_cards(ledger, incoming, some[:1000], NOW)
    submissions.add_cards(ledger, incoming, some[1000:], NOW)
    assert submissions.discard_leftovers(ledger, "start", NOW) == 1
    assert _counts(ledger) == before
    assert submissions.discard_leftovers(ledger, "start", NOW) == 0
    with pytest.raises(NotFoundError):
        submissions.add_cards(ledger, incoming, some[:1], NOW)
    with pytest.raises(NotFoundError):
        submissions.finish(ledger, incoming, NOW)
    submit(ledger, "B", job("1", lot(1)))


def test_a_file_that_is_still_being_written_is_no_leftover(ledger: Ledger) -> None:
    """Another process may be submitting it right now."""
    whole = batch("B", job("1", lot(1)))
    incoming = begin(ledger, whole)
    submissions.add_cards(ledger, incoming, records(whole), NOW + timedelta(seconds=50))
    idle = timedelta(seconds=30)
    assert submissions.discard_leftovers(ledger, "start", NOW + timedelta(seconds=60), idle=idle) == 0
    assert submissions.discard_leftovers(ledger, "start", NOW + timedelta(seconds=81), idle=idle) == 1


def test_a_job_number_isnt_given_twice(ledger: Ledger) -> None:
    """Not even that of a leftover: the audit log still speaks of it."""
    whole = batch("B", job("1", lot(1)))
    first = begin(ledger, whole)
    submissions.discard_leftovers(ledger, "start", NOW)
    second = begin(ledger, whole)
    assert set(first.jobs.values()).isdisjoint(second.jobs.values())


def test_a_refused_file_leaves_an_audit_entry_only(ledger: Ledger) -> None:
    """Who, when, which hash, how many errors."""
    submissions.refused(ledger, "bad.xml", "ab" * 32, 17, "ann", NOW)
    assert not any(_counts(ledger).values())
    assert submissions.jobs_of_file(ledger, "ab" * 32) is None
    with ledger.read() as connection:
        (entry,) = auditing.entries(connection)
    assert (entry.actor, entry.at, entry.action, entry.subject) == ("ann", NOW, "refuse", "file bad.xml")
    assert entry.details == '{"errors":17,"sha256":"' + "ab" * 32 + '"}'


def test_a_job_pins_registered_profiles_only(ledger: Ledger) -> None:
    """An unknown one undoes the whole file."""
    unknown = ProfilePin(kind="CardProfile", unique_id=PROFILE, version="9", digest="00" * 32)
    request = submitted(batch("A", job("1", lot(1))), unknown)
    with pytest.raises(NotFoundError, match="isn't registered"):
        submissions.begin(ledger, "a.xml", "00", [request], "ann", NOW)
    assert not any(_counts(ledger).values())


def test_a_file_may_hold_several_batches(ledger: Ledger) -> None:
    """Records find their lot by their positions in the file."""
    pinned = pin(ledger)
    requests = [
        submitted(batch("A", job("1", lot(1))), pinned),
        submitted(batch("B", job("1", lot(2))), pinned, mode=Mode.TEST),
    ]
    incoming = submissions.begin(ledger, "both.xml", "00", requests, "ann", NOW)
    rows = [
        submissions.SealedRecord(
            batch=number, job=0, lot=0, position=position, crn=f"{position:02X}", container="ABB"[position], sealed=b"s"
        )
        for position, number in enumerate((0, 1, 1))
    ]
    submissions.add_cards(ledger, incoming, rows, NOW)
    submissions.finish(ledger, incoming, NOW)
    assert [(each.batch_id, each.records) for each in _jobs(ledger)] == [("A", 1), ("B", 2)]


def test_a_job_is_released_once(ledger: Ledger) -> None:
    """And only one that exists."""
    (number,) = submit(ledger, "A", job("1", lot(1)))
    with pytest.raises(NotAllowedError, match="is released already"):
        submissions.release(ledger, number, "operator", NOW)
    with pytest.raises(NotFoundError):
        submissions.release(ledger, JobId(99), "operator", NOW)


def test_records_and_keys_dont_print(ledger: Ledger) -> None:
    """Not in a repr, and not in a database error's text."""
    whole = batch("A", job("1", lot(1)))
    (record,) = records(whole)
    assert "sealed" not in repr(record)
    assert "wrapped" not in repr(submitted(whole))
    incoming = begin(ledger, whole)
    submissions.add_cards(ledger, incoming, [record], NOW)
    with pytest.raises(NotAllowedError) as refusal:
        submissions.add_cards(ledger, incoming, [record], NOW)
    assert "<sealed" not in f"{refusal.value!r} {refusal.value.__cause__}"


def test_cards_of_a_new_file_are_claimed_in_order(ledger: Ledger) -> None:
    """File order within a lot."""
    submit(ledger, "A", job("1", lot(3)))
    open_encoder(ledger, SIM1)
    assert [take(ledger).position for _ in range(3)] == [0, 1, 2]
