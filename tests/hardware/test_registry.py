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
    """AID and life cycle state count; privileges and load file are passed over."""
    card = replay([(ASK_APPLICATIONS, APPLICATION + ANOTHER + "9000")])
    assert run(registry.read(commands.APPLICATIONS), card) == (Entry(aid=FIRST, state=0x0F), Entry(aid=SECOND, state=0x07))


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
    card = replay([("80F24002094F07A000000004101000", APPLICATION + "9000")])
    assert run(registry.read(commands.APPLICATIONS, FIRST), card) == (Entry(aid=FIRST, state=0x0F),)


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


@pytest.mark.parametrize("answer", ["6982", "6A86", APPLICATION + "6283"])
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
