"""Long, hostile and broken files: bounded memory, true line numbers, and never anything but a refusal."""

import re
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bureau.containers import RefusedError
from bureau.containers.orders import order
from bureau.containers.reader import LIMIT, Reader
from bureau.containers.submission import examine, records
from tests.bureau.containers.known import EXPORT, ISSUER, NATIVE, PAYMENT, SINGLE, Bureau, check, refused, spoiled

SAMPLES = [PAYMENT, NATIVE, SINGLE, EXPORT]


def long_file(path: Path, cards: int, *, lines: bool = False) -> Path:
    """Write a batch of the native sample's first card, *cards* times; with *lines*, each tag on a line of its own."""
    text = NATIVE.read_text(encoding="utf-8")
    container = re.search(r"<DataContainer>.*?</DataContainer>", text, re.DOTALL)
    assert container is not None
    one = container[0].replace(">", ">\n") if lines else container[0]
    with path.open("w", encoding="utf-8") as file:
        file.write(text[: container.start()].replace('CardRecordCount="5"', f'CardRecordCount="{cards}"'))
        for place in range(cards):
            file.write(one.replace("2B0601040181FD59639738", f"2B0601040181FD5964{place:06X}"))
        file.write(text[text.index("</DataContainerHeader>") :])
    return path


def test_a_long_file_is_read_in_bounded_memory(tmp_path: Path) -> None:
    """Ten times the cards take hardly more memory: what grows is one reference a card."""

    def peak(cards: int) -> int:
        path = long_file(tmp_path / "long.xml", cards)
        tracemalloc.start()
        found = check(path)
        assert sum(1 for _ in records(path, found)) == cards
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    check(NATIVE)
    small, large = peak(400), peak(4000)
    assert large - small < 3600 * 400


def test_lines_beyond_65535_are_told(tmp_path: Path) -> None:
    """The last card of a file of 150,000 lines is named by its true line."""
    path = long_file(tmp_path / "long.xml", 6000, lines=True)
    text = path.read_text(encoding="utf-8")
    at = text.rindex('Requirement="01"')
    path.write_text(f'{text[:at]}Requirement="09"{text[at + 16 :]}', encoding="utf-8")
    [problem] = refused(path)
    line = text[:at].count("\n") + 1
    assert line > 2 * 65535
    assert (problem.line, problem.record, problem.element) == (line, 6000, "ProcessingStep/@Requirement")


def test_references_are_asked_about_by_the_five_hundred(tmp_path: Path) -> None:
    """A long file asks the ledger in portions."""
    known = Bureau()
    check(long_file(tmp_path / "long.xml", 1200), known)
    assert known.asked == [500, 500, 200]


def test_a_record_without_end_is_refused(tmp_path: Path) -> None:
    """A tag or record beyond the limit ends the reading before memory does."""
    tag, record = f'<a b="{"x" * (LIMIT + (1 << 17))}"/>', SINGLE.read_text(encoding="utf-8")
    for text in (tag, record.replace("</", " " * LIMIT + "</", 1)):
        path = tmp_path / "file.xml"
        path.write_text(text, encoding="utf-8")
        assert any("8 MB" in problem.message for problem in refused(path))


def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """Whatever the place where a transfer broke off, the file is refused with at least one error."""
    whole = SINGLE.read_bytes().rstrip()
    path = tmp_path / "file.xml"
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        assert refused(path)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_the_size_of_the_portions_read_changes_nothing(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boundaries of portions fall anywhere; the records come out the same."""
    found = check(sample)
    whole = list(records(sample, found))
    for size in (1, 7, 1000):
        monkeypatch.setattr("bureau.containers.reader.CHUNK", size)
        assert list(records(sample, found)) == whole


def test_comments_and_instructions_are_no_content(tmp_path: Path) -> None:
    """A comment between or inside records changes no order."""
    path = spoiled(
        tmp_path,
        PAYMENT,
        ("<ICCData>", "<!-- <DOCTYPE> > --><?php no ?><ICCData>"),
        ("<DataContainer>", "<!-- a --><DataContainer>"),
        ("2B0601040181FD596320</A", "2B06010401<!-- split -->81FD596320</A"),
    )
    found, plain = check(path), check(PAYMENT)
    assert [order(each.xml) for each in records(path, found)] == [order(each.xml) for each in records(PAYMENT, plain)]


def test_a_reader_hashes_what_it_reads() -> None:
    """The hash of the first reading and of the second are one."""
    reader = Reader(SINGLE)
    assert list(reader.events())
    assert (reader.sha256, reader.size) == (check(SINGLE).sha256, SINGLE.stat().st_size)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that every example overwrites."""
    return tmp_path_factory.mktemp("fuzz") / "file.xml"


def only_refused(path: Path) -> None:
    """Examine *path*: it is accepted and can be read again, or it is refused with an error."""
    errors = 1
    try:
        found = examine(path, Bureau(), ISSUER)
    except RefusedError as refusal:
        errors = sum(not problem.warning for problem in refusal.problems)
    else:
        assert len([order(each.xml) for each in records(path, found)]) == found.records
    assert errors


@settings(max_examples=300, deadline=None)
@given(sample=st.sampled_from(SAMPLES), at=st.floats(0, 1), gone=st.integers(0, 40), put=st.binary(max_size=12))
def test_any_spoiled_file_is_accepted_or_refused(place: Path, sample: Path, at: float, gone: int, put: bytes) -> None:
    """Bytes cut out and put in anywhere never lead to anything but an acceptance or a refusal."""
    whole = sample.read_bytes()
    start = int(at * len(whole))
    place.write_bytes(whole[:start] + put + whole[start + gone :])
    only_refused(place)


ATTRIBUTES = [
    *("Number", "AID", "Order", "TargeState", "Action", "Requirement", "DataSet", "DataElement", "Value", "Name", "ID"),
    *("CollatorStatus", "Identifier", "Algorithm", "CardRecordCount", "Preference", "RequiredProcessingDate", "BatchID"),
]
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@settings(max_examples=300, deadline=None)
@given(
    sample=st.sampled_from(SAMPLES),
    attribute=st.sampled_from(ATTRIBUTES),
    which=st.integers(0, 30),
    value=TEXT | st.text("0123456789ABCDEFabcdef ", max_size=40),
)
def test_any_value_of_an_attribute_is_accepted_or_refused(
    place: Path, sample: Path, attribute: str, which: int, value: str
) -> None:
    """However an attribute is filled, the file is accepted or refused."""
    text = sample.read_text(encoding="utf-8")
    found = list(re.finditer(rf'\b{attribute}="([^"]*)"', text))
    if found:
        hit = found[which % len(found)]
        escaped = value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
        text = text[: hit.start(1)] + escaped + text[hit.end(1) :]
    place.write_text(text, encoding="utf-8")
    only_refused(place)


@settings(max_examples=100, deadline=None)
@given(sample=st.sampled_from(SAMPLES), which=st.integers(0, 200), twice=st.booleans())
def test_any_element_taken_out_or_doubled_is_accepted_or_refused(place: Path, sample: Path, which: int, twice: bool) -> None:
    """A file that lacks an element, or holds one twice, is accepted or refused."""
    text = sample.read_text(encoding="utf-8")
    found = list(re.finditer(r"<[^<>?]+/>|<(\w+(?::\w+)?)[^<>/]*>[^<>]*</\1>", text))
    hit = found[which % len(found)]
    place.write_text(text[: hit.start()] + hit[0] * 2 * twice + text[hit.end() :], encoding="utf-8")
    only_refused(place)


def test_warnings_are_counted_beyond_a_thousand(tmp_path: Path) -> None:
    """A warning on every card of a long file is listed a thousand times and then counted."""
    text = SINGLE.read_text(encoding="utf-8").partition("?>")[2].replace('Value="8000 8010', 'Value="8099 8000 8010')
    cards = (text.replace("2B0601040181FD59639F20", f"2B0601040181FD5965{place:06X}") for place in range(1005))
    path = tmp_path / "file.xml"
    path.write_text(f"<All>{''.join(cards)}</All>", encoding="utf-8")
    warnings = check(path).warnings
    assert (len(warnings), warnings[-1].message) == (1001, "and 5 more, not listed")
    assert warnings[-1] == replace(warnings[-2], record=None, crn=None, element="file", message=warnings[-1].message)


@pytest.mark.parametrize(
    ("before", "one"),
    [
        ('<ICCData><DataSet Name="PERSO">', '<Data DataElement="{:04X}" Value="0"/>'),
        ("</CardConfiguration>", '<AID AID="A000{:06X}" Order="1"/>'),
    ],
)
def test_a_record_with_very_many_parts_is_read_in_time(tmp_path: Path, before: str, one: str) -> None:
    """What is wrong with each part is found without looking through all others: 20,000 took minutes."""
    many = "".join(one.format(number) for number in range(20_000))
    new = many + before if before.startswith("</") else before + many
    path = spoiled(tmp_path, SINGLE, (before, new))
    began = monotonic()
    with suppress(RefusedError):
        check(path)
    assert monotonic() - began < 4


@pytest.mark.parametrize("encoding", ["shift_jis", "utf-7", "gb18030"])
def test_an_encoding_that_cannot_be_read_is_refused(tmp_path: Path, encoding: str) -> None:
    """Codes of several bytes a letter, other than UTF-8 and UTF-16, are more than the parser knows."""
    path = spoiled(tmp_path, SINGLE, ('encoding="UTF-8"', f'encoding="{encoding}"'))
    [problem] = refused(path)
    assert (problem.line, problem.message) == (1, "the file's encoding can't be read: use UTF-8 or UTF-16")
