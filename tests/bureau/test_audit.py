"""The audit chain: nobody changes, removes, moves or cuts off an entry unseen."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest

from bureau import audit
from bureau.audit import EMPTY, Entry, Head
from tests.bureau.ledgers import authenticate

AT = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)


def _log(count: int = 5) -> tuple[list[Entry], Head]:
    head, entries = EMPTY, list[Entry]()
    for number in range(count):
        details: dict[str, audit.Detail] = {"crn": f"{number:02X}", "fence": number}
        entry, head = audit.append(
            head, authenticate, at=AT, actor="ann", action="claim", subject=f"card {number}", details=details
        )
        entries.append(entry)
    return entries, head


def test_an_untouched_log_verifies() -> None:
    """Every entry follows from the one before and the head is authentic."""
    assert audit.verify(*_log(), authenticate) is None


def test_an_empty_log_verifies() -> None:
    """A ledger that nothing happened to has no head to authenticate."""
    assert audit.verify([], EMPTY, authenticate) is None


def test_an_entrys_digest_is_sha256_over_the_previous_digest_and_its_fields() -> None:
    """The bytes that are hashed are these, so that another program can check them."""
    fields = b'[1,"2026-03-01T12:00:00.000005+00:00","ann","claim","card 0","{\\"crn\\":\\"00\\",\\"fence\\":0}"]'
    assert _log(1)[0][0].digest == sha256(b"bureau audit entry 1\0" + bytes(32) + fields).digest()


def test_the_same_moment_hashes_the_same_in_any_zone() -> None:
    """A database may give a moment back in another zone."""
    entries, head = _log()
    entries[2] = replace(entries[2], at=AT.astimezone(timezone(timedelta(hours=5))))
    assert audit.verify(entries, head, authenticate) is None


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "bob"},
        {"action": "release"},
        {"subject": "card 7"},
        {"details": '{"crn":"FF","fence":2}'},
        {"at": AT + timedelta(microseconds=1)},
        {"digest": bytes(32)},
    ],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.parametrize("index", [0, 2, 4])
def test_an_altered_entry_is_named(index: int, change: dict[str, object]) -> None:
    """Whatever field changed, in the first, a middle or the last entry."""
    entries, head = _log()
    entries[index] = replace(entries[index], **change)  # type: ignore[arg-type]
    found = audit.verify(entries, head, authenticate)
    assert found is not None
    assert (found.number, found.reason) == (index + 1, "altered")


@pytest.mark.parametrize("index", [0, 2, 4])
def test_a_removed_entry_is_named(index: int) -> None:
    """Also the last one: the head knows how many there were."""
    entries, head = _log()
    del entries[index]
    found = audit.verify(entries, head, authenticate)
    assert found is not None
    assert found.number == index + 1
    assert "missing" in str(found)


def test_a_removed_entry_is_found_after_the_others_were_renumbered() -> None:
    """The number is hashed too."""
    entries, head = _log()
    del entries[1]
    entries = [replace(entry, number=number) for number, entry in enumerate(entries, 1)]
    found = audit.verify(entries, head, authenticate)
    assert found is not None
    assert found.number == 2


def test_reordered_entries_are_found() -> None:
    """Two entries that changed places, with or without their numbers."""
    entries, head = _log()
    entries[1], entries[2] = entries[2], entries[1]
    assert audit.verify(entries, head, authenticate) is not None
    entries[1], entries[2] = replace(entries[1], number=2), replace(entries[2], number=3)
    found = audit.verify(entries, head, authenticate)
    assert found is not None
    assert found.number == 2


def test_a_log_cut_at_the_end_with_its_head_moved_back_is_found() -> None:
    """An intruder has the older digest, but not its MAC."""
    entries, head = _log()
    cut = Head(number=3, digest=entries[2].digest, mac=head.mac)
    found = audit.verify(entries[:3], cut, authenticate)
    assert found is not None
    assert (found.number, found.reason) == (3, "the head isn't authentic")


def test_a_chain_recomputed_by_an_intruder_is_found_at_the_head() -> None:
    """Hashing needs no key, the head does."""
    head, entries = EMPTY, list[Entry]()
    for _ in range(5):
        entry, head = audit.append(head, lambda _: bytes(16), at=AT, actor="x", action="y", subject="z", details={})
        entries.append(entry)
    found = audit.verify(entries, head, authenticate)
    assert found is not None
    assert found.number == 5


def test_a_log_with_the_head_of_another_is_found() -> None:
    """A head is bound to its entry's digest as well as to its number."""
    entries, _ = _log()
    _, other = audit.append(EMPTY, authenticate, at=AT, actor="x", action="y", subject="z", details={})
    found = audit.verify(entries[:1], other, authenticate)
    assert found is not None
    assert found.reason == "not the one that the head names"


def test_an_entry_that_the_head_doesnt_know_is_found() -> None:
    """Appended by someone without the key store."""
    entries, head = _log()
    extra, _ = audit.append(head, authenticate, at=AT, actor="x", action="y", subject="z", details={})
    found = audit.verify([*entries, extra], head, authenticate)
    assert found is not None
    assert found.number == 6


def test_a_log_emptied_with_its_head_left_is_found() -> None:
    """The first entry is the first missing one."""
    found = audit.verify([], _log()[1], authenticate)
    assert found is not None
    assert found.number == 1


def test_details_that_json_cant_say_are_refused() -> None:
    """NaN has no canonical form."""
    with pytest.raises(ValueError, match="JSON"):
        audit.canonical({"x": float("nan")})  # type: ignore[dict-item]
