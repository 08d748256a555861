"""A recorded trace in a card's place takes nothing but what was recorded; compared, two traces show where they part."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from hardware.errors import CardError, LostCard, MuteCard
from hardware.iso7816 import Command, Dialogue, Response, run
from hardware.trace import Trace
from hardware.trace.compare import compare
from hardware.trace.lines import dump, load
from hardware.trace.standin import Diverged, Standin
from tests.hardware.test_trace_lines import answering, traced

PUBLIC = Command("SELECT", 0x00, 0xA4, 0x04, 0x00, bytes(5), ne=256, secret=())
STORED = Command("STORE DATA", 0x80, 0xE2, 0x80, 0x00, bytes.fromhex("0101027000"), secret=((3, 5),))
OTHER_VALUE = replace(STORED, data=bytes.fromhex("010102AAAA"))
OTHER_TAG = replace(STORED, data=bytes.fromhex("0201027000"))
LONGER = replace(STORED, data=bytes.fromhex("01010370001F"))
LAST = replace(STORED, p1=0x00)


def recorded(*last: Response | Exception) -> Trace:
    """A selection that went well, and a STORE DATA."""
    card = answering(Response(b"FCI", 0x9000), *(last or (Response(b"", 0x9000),)))
    card(PUBLIC)
    with suppress(LostCard):
        card(STORED)
    return traced(card)


def masked(trace: Trace) -> Trace:
    return load(dump(trace, masked=True))


def whole(trace: Trace) -> Trace:
    return trace


@pytest.mark.parametrize("form", [whole, masked])
def test_the_recorded_answers_come_again(form: Callable[[Trace], Trace]) -> None:
    """In order, to the end, and then no more."""
    card = Standin(form(recorded(Response(b"", 0x6A84))))
    assert card(PUBLIC).sw == 0x9000
    assert not card.finished
    assert card(STORED).sw == 0x6A84
    assert card.finished
    with pytest.raises(Diverged, match="the recording is over after 2 commands"):
        card(STORED)


def test_a_refusal_reaches_who_asked() -> None:
    """As a card's would."""
    card = Standin(recorded(Response(b"", 0x6A84)))

    def dialogue() -> Dialogue[None]:
        yield PUBLIC
        yield STORED

    with pytest.raises(CardError, match="6A84"):
        run(dialogue(), card)


@pytest.mark.parametrize("fault", [MuteCard("STORE DATA: nothing came"), LostCard("STORE DATA: cut")])
def test_a_fault_happens_again(fault: Exception) -> None:
    """Of the same kind, with the same words."""
    card = Standin(masked(recorded(fault)))
    card(PUBLIC)
    with pytest.raises(type(fault), match=str(fault)):
        card(STORED)


@pytest.mark.parametrize("other", [OTHER_TAG, LONGER, LAST, PUBLIC])
def test_another_command_is_not_answered(other: Command) -> None:
    """By what a masked trace still shows of it."""
    card = Standin(masked(recorded()))
    card(PUBLIC)
    with pytest.raises(Diverged, match="command 2 was STORE DATA"):
        card(other)


def test_only_a_whole_trace_knows_another_value() -> None:
    """A masked one holds nothing to tell it by."""
    knowing, hidden = Standin(recorded()), Standin(masked(recorded()))
    for card in knowing, hidden:
        card(PUBLIC)
    assert hidden(OTHER_VALUE).sw == 0x9000
    with pytest.raises(Diverged):
        knowing(OTHER_VALUE)


def test_equal_traces_stand_side_by_side() -> None:
    """Nothing differs but times."""
    pairs = list(compare(recorded(), recorded()))
    assert [pair.differs for pair in pairs] == ["", ""]


def test_what_one_lacks_and_what_was_answered_otherwise_is_said() -> None:
    """A command more, another status word, a fault."""
    then, refused, lost = recorded(), recorded(Response(b"", 0x6985)), recorded(MuteCard("STORE DATA: nothing came"))
    shorter = replace(then, exchanges=then.exchanges[1:])
    assert [pair.differs for pair in compare(then, refused)] == ["", "other answer"]
    assert [pair.differs for pair in compare(then, lost)] == ["", "other answer"]
    assert [pair.differs for pair in compare(then, shorter)] == ["not sent now", ""]
    assert [pair.differs for pair in compare(shorter, then)] == ["not sent then", ""]


def test_values_and_handshakes_are_not_compared() -> None:
    """A value under the session's DEK differs each time, as challenges do."""
    one, other = answering(*[Response(b"", 0x9000)] * 2), answering(*[Response(b"", 0x9000)] * 2)
    for card, data, challenge in ((one, STORED, bytes(8)), (other, OTHER_VALUE, bytes(range(8)))):
        card(Command("INITIALIZE UPDATE", 0x80, 0x50, 0x20, 0x00, challenge, ne=256, secret=()))
        card(data)
    assert [pair.differs for pair in compare(traced(one), traced(other))] == ["", ""]


def test_another_tag_is_another_command() -> None:
    """Side by side, and said."""
    one, other = answering(Response(b"", 0x9000)), answering(Response(b"", 0x9000))
    one(STORED)
    other(OTHER_TAG)
    assert [pair.differs for pair in compare(traced(one), traced(other))] == ["other command"]
