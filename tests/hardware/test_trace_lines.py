"""A trace is written and read back whole; masked, it holds nothing that may be secret."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import MuteCard
from hardware.iso7816 import Command, Response, run
from hardware.perso.layout import layout, store
from hardware.perso.order import Instructions
from hardware.trace import Trace
from hardware.trace.lines import dump, load
from hardware.trace.recorder import Recorder
from tests.hardware.storing import AHEAD, item, translate

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SELECT = Command("SELECT", 0x00, 0xA4, 0x04, 0x00, bytes.fromhex("A000000151000000"), ne=256, secret=())
UNKNOWN = Command("VERIFY", 0x00, 0x20, 0x00, 0x80, bytes.fromhex("24123456FFFFFFFF"))


def answering(*answers: Response | Exception) -> Recorder:
    """Return a recorder before a card that gives these answers; each command takes 10 ms, and 1 ms goes by before it."""
    left, ticks = iter(answers), iter(range(10_000))

    def transmit(_command: Command) -> Response:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Recorder(transmit, lambda: (tick := next(ticks)) // 2 * 0.011 + tick % 2 * 0.010, lambda: BEGAN)


def traced(recorder: Recorder) -> Trace:
    return recorder.trace(product="payment", encoder="sim1", atr=bytes.fromhex("3B00"), protocol="T=1")


def a_trace() -> Trace:
    """A selection, a command that nobody has called public, and one that wasn't answered."""
    recorder = answering(Response(b"\x6f\x00", 0x9000), Response(b"answer", 0x63C2), MuteCard("VERIFY: no answer"))
    recorder.enter("identify")
    recorder(SELECT)
    recorder.enter("write")
    recorder(UNKNOWN)
    with pytest.raises(MuteCard):
        recorder(UNKNOWN)
    return traced(recorder)


def test_a_trace_comes_back_as_it_was_written() -> None:
    """Commands with their data, answers, phases, times, and what is secret."""
    trace = a_trace()
    assert load(dump(trace, masked=False)) == trace
    back = load(dump(trace, masked=False)).exchanges
    assert [each.command.secret for each in back] == [(), None, None]
    assert [(each.phase, each.command.data) for each in back] == [
        ("identify", SELECT.data),
        ("write", UNKNOWN.data),
        ("write", UNKNOWN.data),
    ]
    assert [round(each.start, 6) for each in back] == [0, 0.011, 0.022]
    assert {round(each.seconds, 6) for each in back} == {0.010}
    assert [each.response and each.response.sw for each in back] == [0x9000, 0x63C2, None]
    assert back[2].fault == "MuteCard: VERIFY: no answer"


def test_masked_nothing_is_left_of_what_nobody_called_public() -> None:
    """Neither data, nor answer, nor a digest to try guesses against; header, lengths and status word stay."""
    first, second, *_ = [json.loads(line) for line in dump(a_trace(), masked=True)][1:]
    assert (first["data"], first["answer"]) == ("A000000151000000", "6F00")
    assert (second["header"], second["data"], second["answer"], second["sw"]) == (
        "00200080",
        "XX" * 8,
        "XX" * 6,
        "63C2",
    )
    assert (first["digest"], second["digest"]) == ("", "")


def test_values_of_a_record_are_known_when_their_command_is_made() -> None:
    """Tag and length of each DGI stay, also where a value goes on in the next command; nothing else does."""
    long, short = item("0101", "AB" * 30), item("8000", "CD" * 8, secret=True)
    card = answering(*[Response(b"", 0x9000)] * 9)
    run(store(layout([long, short], Instructions(), room=20, packing=True), translate, AHEAD, final=True), card)
    _install, *shown = [json.loads(line)["data"] for line in list(dump(traced(card), masked=True))[1:]]
    assert shown == ["01011E" + "XX" * 17, "XX" * 13, "800008" + "XX" * 8]


@pytest.mark.parametrize(
    ("line", "change", "said"),
    [
        (1, {"trace": 2}, "format 2"),
        (1, {"began": "yesterday"}, "begins no trace"),
        (2, {"header": "00A404"}, "line 2 is no exchange"),
        (2, {"secret": [[0, 9]]}, "outside of its data"),
        (2, {"secret": [[3, 2]]}, "outside of its data"),
        (3, {"data": "0G"}, "line 3 is no exchange"),
        (3, {"name": None}, "name is no text"),
        (3, {"sw": "900000"}, "a status word of 3 bytes"),
        (4, {"accept": 1}, "line 4 is no exchange"),
    ],
)
def test_a_spoiled_line_is_named(line: int, change: dict[str, object], said: str) -> None:
    """With its number."""
    lines = list(dump(a_trace(), masked=False))
    lines[line - 1] = json.dumps(json.loads(lines[line - 1]) | change)
    with pytest.raises(ValueError, match=said):
        load(lines)


@pytest.mark.parametrize("lines", [[], ["{"], ["[]"], ["{}"], ['{"trace":1}']])
def test_what_begins_no_trace_is_refused(lines: list[str]) -> None:
    """An empty file, no JSON, JSON of another kind."""
    with pytest.raises(ValueError, match=r"line 1 "):
        load(lines)


@given(
    data=st.binary(min_size=1, max_size=40),
    cut=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    answer=st.binary(max_size=20),
)
def test_masked_and_whole_differ_in_nothing_but_the_hidden_bytes(data: bytes, cut: tuple[int, int], answer: bytes) -> None:
    """Whatever the data and wherever they are secret."""
    start, end = sorted(min(each, len(data)) for each in cut)
    card = answering(Response(answer, 0x9000))
    card(Command("STORE DATA", 0x80, 0xE2, 0x80, 0x00, data, secret=((start, end),)))
    (_, masked), (_, whole) = (map(json.loads, dump(traced(card), masked=each)) for each in (True, False))
    assert masked["data"] == data[:start].hex().upper() + "XX" * (end - start) + data[end:].hex().upper()
    assert masked["answer"] == "XX" * len(answer)
    kept = set(masked) - {"data", "answer", "digest"}
    assert {key: masked[key] for key in kept} == {key: whole[key] for key in kept}
    assert whole["data"] == data.hex().upper()
