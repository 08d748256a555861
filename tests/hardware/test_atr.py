"""Answers to reset in words."""

import pytest

from hardware.atr import parse


@pytest.mark.parametrize(
    ("atr", "protocols", "f", "d", "historical"),
    [
        ("3B878131FE45504552534F3032D5", (1,), 372, 1, b"PERSO02"),
        ("3B00", (0,), 372, 1, b""),
        ("3B02 1450", (0,), 372, 1, bytes.fromhex("1450")),
        ("3F6525083304 6C9000", (0,), 372, 1, bytes.fromhex("33046C9000")),
        ("3B6500002063CB6800", (0,), 372, 1, bytes.fromhex("2063CB6800")),
        ("3BD518FF8191FE1FC38073C821100A", (1,), 372, 12, bytes.fromhex("8073C82110")),
        ("3BF81300008131FE15597562696B657934D4", (1,), 372, 4, b"Yubikey4"),
    ],
)  # fmt: skip
def test_known_answers_are_read(atr: str, protocols: tuple[int, ...], f: int, d: int, historical: bytes) -> None:
    """Protocols, the rate that TA1 offers, historical bytes."""
    found = parse(bytes.fromhex(atr))
    assert (found.protocols, found.f, found.d) == (protocols, f, d)
    assert found.historical == historical


def test_words_say_what_an_engineer_asks_first() -> None:
    """Historical bytes are text where they are text."""
    answer = bytes.fromhex("3B878131FE45504552534F3032D5")
    assert str(parse(answer)) == "direct, T=1, up to 10 kbit/s, historical bytes PERSO02"


@pytest.mark.parametrize(
    ("atr", "match"),
    [
        ("", "breaks off"),
        ("3B", "breaks off"),
        ("3B8781", "breaks off"),
        ("0002", "breaks off"),
        ("0000", "begins with 3B or 3F"),
        ("3B878131FE45504552534F3032D6", "check byte"),
        ("3B878131FE45504552534F3032", "check byte"),
        ("3B0011", "check byte"),
    ],
)
def test_nonsense_is_called_so(atr: str, match: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=match):
        parse(bytes.fromhex(atr))
