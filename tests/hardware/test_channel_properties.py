"""Random commands and answers through random channels: what one end protects the other reads, and no change passes."""

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hardware.errors import AuthenticationError, ProtocolError
from hardware.iso7816 import Command, Response
from hardware.scp import SecureChannel, channel
from hardware.sim.apdu import Answer, RefusedError, parse
from tests.hardware.test_channels import Station, scp01, scp02, scp03
from tests.hardware.vectors import Combination, built_in

BUILT_IN = sorted(built_in())
STATIONS = {"SCP01": scp01, "SCP02": scp02}
OPENING = {0x50, 0x82, 0x7A, 0x78}
STATUS = st.sampled_from([0x9000, 0x6200, 0x6283, 0x6310, 0x63C1, 0x6A88, 0x6985])


def opened(combination: Combination) -> tuple[Station, SecureChannel]:
    key, i, bits, level = combination
    at = STATIONS[key](i) if key in STATIONS else scp03(i, bits // 8)
    return at, at.open(key, level)


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[Combination, list[tuple[Command, Answer]]]:
    """A combination, and commands that it has room for, each with what the card would answer in plain."""
    combination = draw(st.sampled_from(BUILT_IN))
    room = channel(combination[0]).room(combination[1], extended=False)
    byte = st.integers(0, 255)
    command = st.builds(
        Command,
        st.just("ANY"),
        st.sampled_from([0x00, 0x80]),
        byte.filter(lambda ins: ins not in OPENING),
        byte,
        byte,
        st.binary(max_size=room) | st.binary(min_size=room, max_size=room),
        st.sampled_from([None, 256]),
    )
    answer = st.builds(
        lambda data, sw: Answer(data=data if sw >> 8 in (0x90, 0x62, 0x63) else b"", sw=sw), st.binary(max_size=223), STATUS
    )
    return combination, draw(st.lists(st.tuples(command, answer), min_size=1, max_size=5))


@settings(deadline=None)
@given(exchanges())
def test_what_is_sent_arrives_and_so_does_the_answer(drawn: tuple[Combination, list[tuple[Command, Answer]]]) -> None:
    """A burst is wrapped whole; the card reads each command as it was, and the host each answer."""
    combination, pairs = drawn
    at, session = opened(combination)
    burst = [session.wrap(command) for command, _ in pairs]
    for wrapped, (command, answer) in zip(burst, pairs, strict=True):
        assert len(bytes(wrapped)) <= 261
        plain = at.card._session.unwrap(parse(bytes(wrapped), extended=False))
        assert (plain.cla, plain.ins, plain.p1, plain.p2, plain.data) == (
            command.cla, command.ins, command.p1, command.p2, command.data,
        )  # fmt: skip
        sent = at.card._session.protect(answer)
        read = wrapped.opened(Response(sent.data, sent.sw))
        assert (read.data, read.sw) == (answer.data, answer.sw)


@settings(deadline=None)
@given(exchanges(), st.data())
def test_a_command_changed_on_its_way_is_refused(
    drawn: tuple[Combination, list[tuple[Command, Answer]]], data: st.DataObject
) -> None:
    """Any bit of header, data or MAC, at every level that has a C-MAC; and the session is over then."""
    combination, pairs = drawn
    assume(combination[3] & 0x01)
    at, session = opened(combination)
    first, second = (session.wrap(pairs[0][0]) for _ in range(2))
    raw = bytearray(bytes(replace(first, ne=None)))
    at_bit = data.draw(st.integers(0, 8 * len(raw) - 1).filter(lambda bit: bit // 8 != 4))
    raw[at_bit // 8] ^= 0x80 >> at_bit % 8
    with pytest.raises(RefusedError, match=r"6988|6982"):
        at.card._session.unwrap(parse(bytes(raw), extended=False))
    with pytest.raises(RefusedError):
        at.card._session.unwrap(parse(bytes(second), extended=False))


@settings(deadline=None)
@given(exchanges(), st.data())
def test_an_answer_changed_on_its_way_is_not_believed(
    drawn: tuple[Combination, list[tuple[Command, Answer]]], data: st.DataObject
) -> None:
    """Any bit of data or MAC, and every other status word that has one, at every level with R-MAC."""
    combination, pairs = drawn
    command, answer = pairs[0]
    assume(combination[3] & 0x10 and answer.sw >> 8 in (0x90, 0x62, 0x63))
    at, session = opened(combination)
    wrapped = session.wrap(command)
    at.card._session.unwrap(parse(bytes(wrapped), extended=False))
    sent = at.card._session.protect(answer)
    raw = bytearray(sent.data)
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 0x80 >> bit % 8
    with pytest.raises((AuthenticationError, ProtocolError)):
        wrapped.opened(Response(bytes(raw), sent.sw))
    with pytest.raises(AuthenticationError):
        wrapped.opened(Response(sent.data, 0x6283 if sent.sw != 0x6283 else 0x9000))
