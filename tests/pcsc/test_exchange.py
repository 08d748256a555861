"""T=0 and T=1 as ISO/IEC 7816-3 section 12 has them, played with lists of hex pairs."""

import pytest

from hardware.encoders.pcsc.codes import T0, T1
from hardware.encoders.pcsc.exchange import exchange
from hardware.errors import ProtocolError
from hardware.iso7816 import Command

SELECT = Command("SELECT", 0x00, 0xA4, 4, 0, bytes.fromhex("A000000003"), ne=256)
GET_DATA = Command("GET DATA", 0x80, 0xCA, 0, 0x66, ne=256)
CLOSE = Command("CLOSE", 0x80, 0x10, 0, 0)
WRAPPED = Command("STORE DATA", 0x84, 0xE2, 0, 0, bytes(9), ne=256)
LONG = Command("STORE DATA", 0x80, 0xE2, 0, 0, bytes(300))


def played(command: Command, protocol: int, *script: tuple[str, str]) -> tuple[str, int]:
    """Return data and status word after *script*, whose commands must come exactly so."""
    rest = [(bytes.fromhex(sent), bytes.fromhex(answer)) for sent, answer in script]

    def send(apdu: bytes) -> bytes:
        wanted, answer = rest.pop(0)
        assert apdu == wanted, apdu.hex()
        return answer

    response = exchange(command, protocol, send)
    assert not rest
    return response.data.hex().upper(), response.sw


def test_t1_sends_the_whole_command() -> None:
    """Le stands behind the data (case 4)."""
    assert played(SELECT, T1, ("00A4040005A00000000300", "6F009000")) == ("6F00", 0x9000)


def test_t0_fetches_what_the_card_says_there_is() -> None:
    """Case 4: without Le, then GET RESPONSE with the length of 61xx."""
    script = ("00A4040005A000000003", "6102"), ("00C0000002", "6F009000")
    assert played(SELECT, T0, *script) == ("6F00", 0x9000)


def test_t0_puts_the_parts_of_a_long_answer_together() -> None:
    """As often as the card says 61xx."""
    script = ("00A4040005A000000003", "6100"), ("00C0000000", "AAAA6101"), ("00C0000001", "BB9000")
    assert played(SELECT, T0, *script) == ("AAAABB", 0x9000)


def test_wrong_length_is_asked_again_with_the_right_one() -> None:
    """Case 2: 6Cxx; the card hasn't carried it out."""
    for protocol in (T0, T1):
        assert played(GET_DATA, protocol, ("80CA006600", "6C02"), ("80CA006602", "73009000")) == ("7300", 0x9000)


def test_wrong_length_of_get_response_is_mended() -> None:
    """6Cxx to GET RESPONSE as well."""
    script = ("00A4040005A000000003", "6104"), ("00C0000004", "6C02"), ("00C0000002", "6F009000")
    assert played(SELECT, T0, *script) == ("6F00", 0x9000)


def test_a_changing_command_is_never_sent_twice() -> None:
    """6Cxx to a command with data is an answer, whatever the card means by it."""
    assert played(WRAPPED, T1, ("84E20000 09 000000000000000000 00", "6C10")) == ("", 0x6C10)


def test_t0_has_no_command_of_four_bytes() -> None:
    """Case 1: P3 is 00."""
    assert played(CLOSE, T0, ("8010000000", "9000")) == ("", 0x9000)
    assert played(CLOSE, T1, ("80100000", "9000")) == ("", 0x9000)


def test_get_response_is_of_the_interindustry_class() -> None:
    """Secure messaging and proprietary bits are dropped, the logical channel is kept."""
    assert played(WRAPPED, T0, ("84E2000009000000000000000000", "6101"), ("00C0000001", "009000")) == ("00", 0x9000)


def test_t0_carries_no_extended_lengths() -> None:
    """Nothing is sent then."""
    with pytest.raises(ProtocolError, match="300 bytes need extended lengths"):
        played(LONG, T0)
    assert played(LONG, T1, ("80E20000 00012C" + "00" * 300, "9000")) == ("", 0x9000)


def test_a_status_word_is_never_missing() -> None:
    """Half an answer is none."""
    with pytest.raises(ProtocolError):
        played(GET_DATA, T1, ("80CA006600", "90"))


def test_a_card_that_always_has_more_comes_to_an_end() -> None:
    """After 65,536 bytes."""
    sent: list[bytes] = []

    def send(apdu: bytes) -> bytes:
        sent.append(apdu)
        return bytes(256) + b"\x61\x00"

    assert exchange(SELECT, T0, send).sw == 0x6100
    assert len(sent) == 256
