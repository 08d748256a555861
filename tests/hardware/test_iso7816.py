from collections.abc import Generator

import pytest

from hardware.errors import CardError, ProtocolError
from hardware.iso7816 import AID, Burst, Command, Dialogue, Response, run
from tests.hardware.replay import replay


@pytest.mark.parametrize(
    ("data", "ne", "apdu"),
    [
        ("", None, "80F22002"),
        ("", 256, "80F2200200"),
        ("", 16, "80F2200210"),
        ("4F00", None, "80F22002024F00"),
        ("4F00", 256, "80F22002024F0000"),
        ("", 65536, "80F22002000000"),
        ("00" * 256, None, "80F22002000100" + "00" * 256),
        ("00" * 256, 65536, "80F22002000100" + "00" * 256 + "0000"),
        ("AA", 512, "80F22002000001AA0200"),
    ],
)
def test_a_command_is_coded_in_its_case(data: str, ne: int | None, apdu: str) -> None:
    """Cases 1 to 4, short where they fit and else extended (ISO/IEC 7816-4 section 5.2)."""
    assert bytes(Command("GET STATUS", 0x80, 0xF2, 0x20, 0x02, bytes.fromhex(data), ne)).hex().upper() == apdu


def test_too_much_data_is_no_command() -> None:
    """65,536 bytes don't fit an extended Lc."""
    with pytest.raises(ValueError, match="don't fit"):
        bytes(Command("LOAD", 0x80, 0xE8, 0, 0, bytes(65536)))


def test_data_of_commands_and_responses_do_not_print() -> None:
    """A cardholder's value stays out of logs."""
    assert "SECRET" not in repr(Command("STORE DATA", 0x80, 0xE2, 0, 0, b"SECRET"))
    assert "SECRET" not in repr(Response(b"SECRET", 0x9000))


@pytest.mark.parametrize(
    ("ins", "changes"),
    [(0xA4, False), (0xCA, False), (0xF2, False), (0x50, False), (0x82, False), (0xE2, True), (0xE8, True)],
)
def test_only_reading_and_opening_leave_a_card_as_it_was(ins: int, changes: bool) -> None:
    """An INS that isn't known to read is taken to write."""
    assert Command("any", 0x80, ins, 0, 0).changes_card is changes


@pytest.mark.parametrize("size", [4, 17])
def test_an_aid_has_five_to_sixteen_bytes(size: int) -> None:
    """Another length is refused."""
    with pytest.raises(ValueError, match=f"not {size}"):
        AID(bytes(size))
    assert str(AID(bytes.fromhex("A000000003"))) == "A000000003"


@pytest.mark.parametrize("answer", [b"", b"\x90"])
def test_an_answer_without_status_word_is_no_answer(answer: bytes) -> None:
    """Fewer than two bytes break the protocol."""
    with pytest.raises(ProtocolError, match="no status word"):
        Response.parse(answer)


def _ask(*commands: Command | Burst) -> Dialogue[list[int]]:
    seen = []
    for command in commands:
        try:
            seen.append((yield command).sw)
        except CardError as refusal:
            seen.append(-refusal.sw)
    return seen


SELECT, DELETE = Command("SELECT", 0, 0xA4, 4, 0), Command("DELETE", 0x80, 0xE4, 0, 0, accept=(0x9000, 0x6A88))


def test_a_refusal_is_thrown_into_the_dialogue() -> None:
    """An accepted status word is sent, any other is thrown, and the dialogue may go on."""
    card = replay([("00A40400", "6A82"), ("80E40000", "6A88"), ("00A40400", "9000")])
    assert run(_ask(SELECT, DELETE, SELECT), card) == [-0x6A82, 0x6A88, 0x9000]


def test_the_first_refusal_ends_a_burst() -> None:
    """What follows a refused command of a run is never sent."""
    card = replay([("80E40000", "9000"), ("00A40400", "6A82")])
    assert run(_ask((DELETE, SELECT, DELETE)), card) == [-0x6A82]
    assert card.finished


def test_a_refusal_nobody_catches_says_what_was_refused() -> None:
    """It names the command, the status word and its meaning."""

    def dialogue() -> Generator[Command | Burst, Response, None]:
        yield SELECT

    with pytest.raises(CardError, match=r"^SELECT: 6A82 application or file not found$"):
        run(dialogue(), replay([("00A40400", "6A82")]))


@pytest.mark.parametrize("span", [(-1, 2), (0, 6), (4, 3), (6, 6)])
def test_secrets_outside_of_the_data_are_refused(span: tuple[int, int]) -> None:
    """A wrong place would show what stands in the right one."""
    with pytest.raises(ValueError, match="outside of its data"):
        Command("STORE DATA", 0x80, 0xE2, 0, 0, bytes(5), secret=(span,))


def test_a_command_that_says_nothing_hides_everything() -> None:
    """Its answer too; a public one hides nothing."""
    silent = Command("VERIFY", 0x00, 0x20, 0, 0, bytes(8))
    public = Command("SELECT", 0x00, 0xA4, 4, 0, bytes(8), secret=())
    assert (silent.hidden, silent.is_public) == (((0, 8),), False)
    assert (public.hidden, public.is_public) == ((), True)
