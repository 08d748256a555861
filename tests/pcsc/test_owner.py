"""What the process that owns a reader tells of an error: its code, and nothing that a buffer may still hold."""

import pytest
from smartcard import scard

from hardware.encoders.pcsc.owner import Owner

LEFT = list(b"LEFT BY ANOTHER CARD\x90\x00")


@pytest.mark.parametrize(
    "code", [0x80100013, 0x80100016, 0x80100017, 0x80100068, 0x80100069], ids=lambda code: f"{code:08X}"
)
def test_an_error_is_a_code_and_nothing_else(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """PC/SC returns memory then that nobody wrote to; pyscard's codes are negative where a long has 32 bits."""
    for told in (code, code - (1 << 32)):
        monkeypatch.setattr(scard, "SCardTransmit", lambda *_, told=told: (told, LEFT))
        mine = Owner("a reader")
        mine._context = mine._card = 1
        assert mine.answer(b"T" + bytes.fromhex("80CA9F7F00")) == code.to_bytes(4, "big")


def test_success_is_followed_by_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is empty where the card died inside the command."""
    for answer in (LEFT, []):
        monkeypatch.setattr(scard, "SCardTransmit", lambda *_, answer=answer: (0, answer))
        mine = Owner("a reader")
        mine._context = mine._card = 1
        assert mine.answer(b"T" + bytes.fromhex("80CA9F7F00")) == bytes(4) + bytes(answer)
