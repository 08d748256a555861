"""Captures, read by a parser of this file's own: the pcap format, IPv4 (RFC 791), UDP (RFC 768), gsmtap.h."""

import struct
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.iso7816 import Command
from hardware.trace import Exchange, Trace
from hardware.trace.capture import capture
from tests.hardware.traces import BEGAN, FCI, PAN, PIN, altered, apdu, card, exchange, exchanges, hidden, trace


@dataclass(frozen=True)
class Packet:
    """One packet: when, in microseconds since 1970, the GSMTAP type, and what follows that header."""

    microseconds: int
    kind: int
    payload: bytes


def packets(file: bytes) -> list[Packet]:
    """Read a capture file; asserts all that is the same in each packet."""
    assert struct.unpack_from("<IHHiI", file) == (0xA1B2C3D4, 2, 4, 0, 0)
    snap, link = struct.unpack_from("<II", file, 16)
    assert link == 101
    found, at = [], 24
    while at < len(file):
        seconds, microseconds, size, original = struct.unpack_from("<IIII", file, at)
        assert size == original <= snap
        assert microseconds < 1_000_000
        kind, payload = gsmtap(file[at + 16 : at + 16 + size])
        found.append(Packet(seconds * 1_000_000 + microseconds, kind, payload))
        at += 16 + size
    assert at == len(file)
    return found


def gsmtap(packet: bytes) -> tuple[int, bytes]:
    """Take off IP, UDP and GSMTAP."""
    assert packet[0] == 0x45
    assert int.from_bytes(packet[2:4], "big") == len(packet)
    assert packet[9] == 17
    assert packet[12:20] == bytes((127, 0, 0, 1, 127, 0, 0, 1))
    assert sum(struct.unpack("!10H", packet[:20])) % 0xFFFF == 0
    _, destination, size, checksum = struct.unpack_from("!HHHH", packet, 20)
    assert (destination, size, checksum) == (4729, len(packet) - 20, 0)
    version, words, kind = packet[28:31]
    assert (version, words, packet[40]) == (2, 4, 0)
    return kind, packet[44:]


def payloads(*given: Exchange) -> list[str]:
    """Return what follows the GSMTAP headers, in hex."""
    return [each.payload.hex().upper() for each in packets(capture(trace(*given)))]


@pytest.mark.parametrize("kind", ["payment-scp02", "export-scp03"])
def test_whole_card_is_one_packet_for_each_exchange(tmp_path: Path, kind: str) -> None:
    """All of type SIM, in order of time, and with the status word at the end."""
    made = card(tmp_path, kind)
    found = packets(capture(made))
    assert len(found) == len(made.exchanges) == 19
    assert {each.kind for each in found} == {4}
    assert found[0].payload.hex().upper() == (
        "00A4040008A00000015100000000" + "6F108408A000000151000000A5049F6501FF" + "9000"
    )
    assert [each.microseconds for each in found] == sorted(each.microseconds for each in found)
    whole = capture(made).hex().upper()
    for value in (PAN, PIN, FCI):
        assert not any(value[at : at + 8] in whole for at in range(0, len(value) - 7, 2))


def test_plain_command_is_followed_by_its_answer() -> None:
    """With Lc and Le where the command has them."""
    assert payloads(
        exchange(apdu("80CA0066", ne=256), "66009000"),
        exchange(apdu("80E40000" + "4F00"), "6A88"),
        exchange(apdu("80780000"), "6D00"),
        exchange(apdu("80E80000" + "AB" * 256, ne=256), "009000"),
    ) == [
        "80CA006600" + "6600" + "9000",
        "80E4000002" + "4F00" + "6A88",
        "80780000" + "6D00",
        "80E80000" + "000100" + "AB" * 256 + "0100" + "00" + "9000",
    ]  # fmt: skip


def test_masked_bytes_are_asterisks() -> None:
    """Of the command those of its spans, of the answer all unless the command is public."""
    partly = apdu("80E28800" + "0101031122330201" + "00", secret=((3, 6),), ne=256)
    unsaid = apdu("80E28800" + "010103112233", secret=None)
    assert payloads(exchange(partly, "44559000"), exchange(unsaid, "9000")) == [
        "80E28800" + "09" + "010103" + "2A2A2A" + "020100" + "00" + "2A2A" + "9000",
        "80E28800" + "06" + "2A2A2A2A2A2A" + "9000",
    ]


def test_time_is_that_of_the_command() -> None:
    """To the microsecond, also where it passes a full second or the clock shows another zone."""
    each = [exchange(apdu("80780000"), start=start) for start in (0.0, 0.000_25, 0.999_999, 1.5, 3600.000_001)]
    zone = replace(trace(*each), began=(BEGAN + timedelta(microseconds=1)).astimezone())
    start = 1_795_402_800_000_000  # date -u -d '2026-11-23 03:00' +%s
    for began, offset in ((trace(*each), 0), (zone, 1)):
        assert [packet.microseconds - start - offset for packet in packets(capture(began))] == [
            0, 250, 999_999, 1_500_000, 3_600_000_001,
        ]  # fmt: skip


def test_unanswered_command_is_a_line_of_a_log() -> None:
    """As a SIM packet its own last two bytes would pass for a status word."""
    command = apdu("80E28800" + "010103112233", name="STORE DATA", secret=((3, 6),))
    mute = exchange(command, None, fault="MuteCard: STORE DATA: the card doesn't answer", start=0.5)
    (packet,) = packets(capture(trace(mute)))
    assert packet.kind == 0x10
    seconds, microseconds, process, number, level, part, source, line = struct.unpack_from(
        "!II16sIB3x16s32sI", packet.payload
    )
    assert seconds * 1_000_000 + microseconds == packet.microseconds
    assert (process.rstrip(b"\0"), number, level, part.rstrip(b"\0"), source.strip(b"\0"), line) == (
        b"bureau",
        0,
        7,
        b"card",
        b"",
        0,
    )
    assert packet.payload[84:] == (
        b"STORE DATA 80E28800060101032A2A2A: no answer: MuteCard: STORE DATA: the card doesn't answer"
    )


@pytest.mark.parametrize("lc", [0, 65000, 65535])
def test_what_no_packet_holds_loses_the_end_of_its_data(lc: int) -> None:
    """The status word stays, and the lengths of the headers are true."""
    long = Command("X", 0x80, 0xE2, 0x88, 0, b"\xab" * lc, 65536, secret=())
    answered = exchange(long, "CD" * 65536 + "6A84")
    mute = exchange(long, None, fault="f" * 70000)
    whole, log = packets(capture(trace(answered, mute)))
    assert len(whole.payload) == len(log.payload) == 65535 - 44
    assert whole.payload.endswith(b"\x6a\x84")
    assert whole.payload[:4] == bytes.fromhex("80E28800")


def test_trace_without_exchanges_is_a_file_without_packets() -> None:
    """Which Wireshark opens."""
    assert packets(capture(trace())) == []


def test_command_longer_than_any_apdu_is_refused() -> None:
    """Nobody can have sent it."""
    each = replace(exchange(apdu("80E28800")), command=Command("X", 0x80, 0xE2, 0, 0, bytes(65536)))
    with pytest.raises(ValueError, match="65536 bytes"):
        capture(trace(each))


@given(st.lists(exchanges(), max_size=4))
def test_output_does_not_depend_on_hidden_bytes(given: list[Exchange]) -> None:
    """Invert every one: not a bit changes; and each packet is well made."""
    file = capture(trace(*given))
    assert file == capture(trace(*map(altered, given)))
    assert len(packets(file)) == len(given)


@given(exchanges())
def test_public_bytes_and_lengths_stay(each: Exchange) -> None:
    """Whatever isn't hidden is where it was."""
    (packet,) = packets(capture(trace(each)))
    if each.response is None:
        return
    command, places = each.command, set(hidden(each))
    data = bytes(0x2A if at in places else byte for at, byte in enumerate(command.data))
    said = each.response.data if command.secret == () else b"*" * len(each.response.data)
    expected = bytes(replace(command, data=data)) + said + each.response.sw.to_bytes(2, "big")
    assert packet.payload == expected


@pytest.mark.parametrize("byte", ["11", "2A", "00"])
def test_each_public_byte_counts(byte: str) -> None:
    """The counterpart: traces that differ in one give files that do."""
    one, other = (exchange(apdu("80E40000" + each), f"{each}9000") for each in ("AA", byte))
    assert capture(trace(one)) != capture(trace(other)) != capture(trace(replace(other, response=one.response)))


def test_trace_is_left_as_it_was() -> None:
    """A capture is a view."""
    each = exchange(apdu("80E28800" + "0101031122", secret=((3, 5),)))
    before: Trace = trace(each)
    capture(before)
    assert before.exchanges[0].command.data.hex() == "0101031122"
