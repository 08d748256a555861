"""The times of an attempt, against sums made by hand."""

from dataclasses import replace

import pytest

from hardware.iso7816 import Command, Response
from hardware.trace import Trace
from hardware.trace.speed import average, speed
from tests.hardware.test_trace_lines import answering, traced

DATA = Command("STORE DATA", 0x80, 0xE2, 0x80, 0x00, bytes(95), secret=())


def trace(protocol: str, atr: str) -> Trace:
    """Two commands of 100 bytes, 2 bytes of answer each, 10 ms each, and 1 ms between."""
    card = answering(Response(b"", 0x9000), Response(b"", 0x9000))
    card(DATA)
    card(DATA)
    return replace(traced(card), protocol=protocol, atr=bytes.fromhex(atr))


def test_t0_has_a_procedure_byte_for_data() -> None:
    """Without TA1 a bit takes 372 clocks, at 4 MHz; 12 bits a byte; 100 bytes and 1 there, 2 back, twice."""
    found = speed(trace("T=0", "3B00"))
    assert (found.bit_rate, found.octets) == (10_752, 206)
    assert found.least == round(206 * 12 * 1e6 / 10_752)


@pytest.mark.parametrize(
    ("data", "ne", "answer", "octets"),
    [
        ("", None, "", 5 + 2),
        ("", 256, "AABB", 5 + 1 + 2 + 2),
        ("AABBCC", None, "", 5 + 1 + 3 + 2),
        ("AABBCC", 256, "", 5 + 1 + 3 + 2),
        ("AABBCC", 256, "AABB", 5 + 1 + 3 + 2 + 5 + 1 + 2 + 2),
    ],
    ids=["nothing", "answer", "data", "no answer after all", "data and answer"],
)
def test_t0_fetches_answers_to_data(data: str, ne: int | None, answer: str, octets: int) -> None:
    """With GET RESPONSE, announced by 61xx; Le isn't sent where there are data (ISO/IEC 7816-3 section 12)."""
    card = answering(Response(bytes.fromhex(answer), 0x9000))
    card(Command("X", 0x80, 0xCA, 0, 0, bytes.fromhex(data), ne))
    assert speed(replace(traced(card), protocol="T=0", atr=bytes.fromhex("3B00"))).octets == octets


def test_t1_has_blocks_with_four_bytes_of_their_own() -> None:
    """TA1 = 96: 512 clocks for 32 bits, 250 kbit/s; 11 bits a byte; one block there and one back for each command."""
    found = speed(trace("T=1", "3B90968101" + "86"))
    assert found.bit_rate == 250_000
    assert found.least == round(2 * (100 + 2 + 8) * 11 * 1e6 / 250_000)


def test_card_and_software_are_told_apart() -> None:
    """20 ms of exchanges, 1 ms between them; 204 bytes in four blocks of T=1."""
    found = speed(trace("T=1", "3B9096810186"))
    assert (found.octets, found.card, found.host) == (220, 20_000, 1_000)
    assert found.milliseconds_per_byte == pytest.approx(20 / 220)
    assert found.achieved == pytest.approx(9_680 / 20_000)
    assert str(found) == (
        "card 20.0 ms for 220 bytes (0.091 ms a byte; T=1, 250 kbit/s offered: 48% of possible), software 1.0 ms"
    )


@pytest.mark.parametrize(("protocol", "atr", "octets"), [("", "3B00", 204), ("T=1", "3B", 220), ("T=1", "", 220)])
def test_without_a_line_or_a_readable_rate_nothing_is_possible(protocol: str, atr: str, octets: int) -> None:
    """A simulated encoder has no line; an ATR that breaks off offers nothing."""
    found = speed(trace(protocol, atr))
    assert (found.bit_rate, found.least, found.achieved, found.octets) == (0, 0, 0, octets)
    assert str(found) == f"card 20.0 ms for {octets} bytes ({20 / octets:.3f} ms a byte), software 1.0 ms"


def test_nothing_said_takes_no_time() -> None:
    """A blank that didn't answer to reset."""
    found = speed(traced(answering()))
    assert (found.octets, found.card, found.host, found.milliseconds_per_byte) == (0, 0, 0, 0)


def test_an_average_is_a_mean() -> None:
    """Of none there is none."""
    one = speed(trace("T=1", "3B9096810186"))
    mean = average([one, replace(one, card=40_000, octets=100)])
    assert average([]) is None
    assert mean is not None
    assert (mean.card, mean.octets, mean.protocol) == (30_000, 160, "T=1")


def test_a_virtual_reader_has_no_real_line() -> None:
    """Two commands in 20 ms, where 10 kbit/s take 220: no reader clocks a card eleven times too fast."""
    assert "T=0, 10 kbit/s offered: no real line" in str(speed(trace("T=0", "3B00")))
