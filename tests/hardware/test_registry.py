"""What a card holds, as its answers to GET STATUS say."""

import pytest

from hardware.errors import CardError, ProtocolError
from hardware.gp import commands, registry
from hardware.gp.registry import Entry
from hardware.iso7816 import AID, Command, Response, run
from tests.hardware.replay import replay

ISD = AID(bytes.fromhex("A000000151000000"))
FIRST, SECOND = AID(bytes.fromhex("A0000000041010")), AID(bytes.fromhex("A0000000041020"))
ASK_APPLICATIONS, ASK_MORE = "80F24002024F0000", "80F24003024F0000"
APPLICATION = "E314 4F07A0000000041010 9F70010F C503000000 C400".replace(" ", "")
ANOTHER = "E30D 4F07A0000000041020 9F700107".replace(" ", "")
DOMAIN = "E30E 4F08A000000151000000 9F700107".replace(" ", "")


def test_entries_are_read() -> None:
    """What the card gives is there, the rest is empty."""
    card = replay([(ASK_APPLICATIONS, APPLICATION + ANOTHER + "9000")])
    assert run(registry.read(commands.APPLICATIONS), card) == (
        Entry(aid=FIRST, state=0x0F, privileges=bytes(3)), Entry(aid=SECOND, state=0x07),
    )  # fmt: skip


def test_more_data_is_asked_for() -> None:
    """6310 is followed by GET STATUS [next] until 9000."""
    card = replay([(ASK_APPLICATIONS, APPLICATION + "6310"), (ASK_MORE, ANOTHER + "9000")])
    assert [entry.aid for entry in run(registry.read(commands.APPLICATIONS), card)] == [FIRST, SECOND]
    assert card.finished


def test_nothing_found_is_no_entry() -> None:
    """6A88 answers an empty card."""
    assert run(registry.read(commands.APPLICATIONS), replay([(ASK_APPLICATIONS, "6A88")])) == ()


def test_one_application_can_be_asked_for() -> None:
    """Its AID is the search criterion."""
    card = replay([("80F24002094F07A000000004101000", ANOTHER + "9000")])
    assert run(registry.read(commands.APPLICATIONS, FIRST), card) == (Entry(aid=SECOND, state=0x07),)


def test_all_of_a_card_takes_three_commands() -> None:
    """Security domain, applications, load files without their modules."""
    script = [
        ("80F28002024F0000", DOMAIN + "9000"),
        (ASK_APPLICATIONS, ANOTHER + "9000"),
        ("80F22002024F0000", "E30C4F06A000000004019F700101" + "9000"),
    ]
    card = replay(script)
    found = run(registry.read_all(), card)
    assert found.isd == Entry(aid=ISD, state=0x07)
    assert found.applications == (Entry(aid=SECOND, state=0x07),)
    assert found.load_files == (Entry(aid=AID(bytes.fromhex("A00000000401")), state=0x01),)
    assert card.finished


@pytest.mark.parametrize("domains", ["6A88", DOMAIN + DOMAIN + "9000"])
def test_a_card_has_one_issuer_security_domain(domains: str) -> None:
    """None or two is out of specification, and nothing more is asked."""
    with pytest.raises(ProtocolError, match="Issuer Security Domains"):
        run(registry.read_all(), replay([("80F28002024F0000", domains)]))


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("E4024F00", "tag E4 where E3 belongs"),
        ("E309" + "4F07A0000000041010", "lacks its AID or life cycle"),
        ("E304" + "9F700107", "lacks its AID or life cycle"),
        ("E30A" + "4F04A0000000" + "9F700107", "an AID has 5 to 16 bytes"),
        ("E30C" + "4F07A0000000041010" + "9F7000", "lacks its AID or life cycle"),
        ("E3204F07A0000000041010", "are left"),
        ("E3", "length is missing"),
    ],
)
def test_malformed_answer_is_named(answer: str, fault: str) -> None:
    """It ends the dialogue as ProtocolError, whatever is wrong with it."""
    with pytest.raises(ProtocolError, match=f"GET STATUS: the card's answer is malformed: .*{fault}"):
        run(registry.read(commands.APPLICATIONS), replay([(ASK_APPLICATIONS, answer + "9000")]))


@pytest.mark.parametrize("answer", ["6982", "6A80", APPLICATION + "6283"])
def test_refusal_is_an_error(answer: str) -> None:
    """A status word other than 9000, 6310 and 6A88 says that nothing is known of the card."""
    with pytest.raises(CardError, match="GET STATUS"):
        run(registry.read(commands.APPLICATIONS), replay([(ASK_APPLICATIONS, answer)]))


def test_card_that_never_ends_is_stopped() -> None:
    """A card that answers 6310 for ever doesn't hold its encoder for ever."""
    asked = []

    def card(command: Command) -> Response:
        asked.append(command)
        return Response(b"", 0x6310)

    with pytest.raises(ProtocolError, match="256 answers"):
        run(registry.read(commands.APPLICATIONS), card)
    assert len(asked) == 256


def test_card_without_the_tlv_form_is_asked_in_the_deprecated_one() -> None:
    """6A86 leads to P2 00, and to 01 for the next answer; rows give AID, state and privileges (GPCS 2.1.1, 9.4.3.1)."""
    script = [
        (ASK_APPLICATIONS, "6A86"),
        ("80F24000024F0000", "07A00000000410100F10" + "6310"),
        ("80F24001024F0000", "07A00000000410200700" + "9000"),
    ]
    card = replay(script)
    assert run(registry.read(commands.APPLICATIONS), card) == (
        Entry(aid=FIRST, state=0x0F, privileges=b"\x10"), Entry(aid=SECOND, state=0x07, privileges=b"\0"),
    )  # fmt: skip
    assert card.finished


def test_deprecated_form_lists_modules_too() -> None:
    """Behind state and an empty byte stand the number of modules and each with its length."""
    script = [("80F21002024F0000", "6A86"), ("80F21000024F0000", "05A000000004" + "0100" + "01" + "06A00000000401" + "9000")]
    (found,) = run(registry.read(commands.MODULES), replay(script))
    assert (found.aid, found.state, found.privileges) == (AID(bytes.fromhex("A000000004")), 0x01, b"")
    assert found.modules == (AID(bytes.fromhex("A00000000401")),)


@pytest.mark.parametrize("rows", ["07A0000000041010", "07A00000000410100F", "04A00000000F10", "00"])
def test_malformed_rows_are_named(rows: str) -> None:
    """A row that is cut short, or whose AID is none."""
    script = [(ASK_APPLICATIONS, "6A86"), ("80F24000024F0000", rows + "9000")]
    with pytest.raises(ProtocolError, match="GET STATUS: the card's answer is malformed"):
        run(registry.read(commands.APPLICATIONS), replay(script))


def test_all_that_a_template_holds_is_read() -> None:
    """Load file, security domain, implicit selection of an application; version and modules of a load file."""
    fields = "4F07A0000000041010 9F700107 C503800000 CF0101 CF0102 C406A00000000401 CC08A000000151000000".replace(" ", "")
    card = replay([(ASK_APPLICATIONS, f"E3{len(fields) // 2:02X}{fields}9000")])
    (found,) = run(registry.read(commands.APPLICATIONS), card)
    assert found == Entry(
        aid=FIRST, state=0x07, privileges=b"\x80\0\0", load_file=AID(bytes.fromhex("A00000000401")), domain=ISD,
        implicit=(1, 2),
    )  # fmt: skip
    fields = "4F06A00000000401 9F700101 CE020102 8407A0000000041010 8407A0000000041020".replace(" ", "")
    (code,) = run(registry.read(commands.MODULES), replay([("80F21002024F0000", f"E3{len(fields) // 2:02X}{fields}9000")]))
    assert (code.version, code.modules) == (b"\1\2", (FIRST, SECOND))
