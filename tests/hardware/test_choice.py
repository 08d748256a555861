"""Which channel a card speaks, from what it says; published recognition data and key information are used as they are."""

import pytest

from hardware.errors import CardError, ProtocolError
from hardware.gp.choice import Choice, choose
from hardware.iso7816 import run
from hardware.tlv import tlv
from tests.hardware.replay import Replay, replay

# OpenJavaCard/openjavacard-tools, globalplatform/src/test/java/org/openjavacard/gp/protocol/GPCardDataTest.java and
# GPKeyInfoTemplateTest.java, commit 22ce3c00e33570aad655721fbcd44c53070cc4f5, LGPL-3.0+
SCP02_15 = (
    "664C734A06072A864886FC6B01600C060A2A864886FC6B02020101630906072A864886FC6B03640B06092A864886FC6B040215"
    "650B06092B8510864864020103660C060A2B060104012A026E0102"
)
DES_FF = "E012C00401FF8010C00402FF8010C00403FF8010"
# martinpaljak/GlobalPlatformPro, library/src/test/java/pro/javacard/gp/TestParseTags.java,
# commit 154ff224bbaf452a84359c20f17bf95c08464b53, LGPL-3.0+: SCP03 i=70, and SCP80
SCP03_70 = (
    "6657735506072A864886FC6B01600B06092A864886FC6B020202630906072A864886FC6B03640B06092A864886FC6B040370"
    "640B06092A864886FC6B048000650A06082A864886FC6B0504660C060A2B060104012A026E0103"
)
ABSENT = "6A88"


def recognition(*protocols: str) -> str:
    """Return card recognition data that name these protocols, as numbers and options in hex."""
    named = b"".join(tlv(0x64, tlv(0x06, bytes.fromhex("2A864886FC6B04" + each))) for each in protocols)
    version = tlv(0x60, tlv(0x06, bytes.fromhex("2A864886FC6B02020301")))
    return tlv(0x66, tlv(0x73, tlv(0x06, bytes.fromhex("2A864886FC6B01")) + version + named)).hex()


def keys(*entries: str) -> str:
    return tlv(0xE0, b"".join(tlv(0xC0, bytes.fromhex(each)) for each in entries)).hex()


def card(first: str, second: str = ABSENT) -> Replay:
    said = (each if each == ABSENT else each + "9000" for each in (first, second))
    return replay(zip(("80CA006600", "80CA00E000"), said, strict=True))


@pytest.mark.parametrize(
    ("first", "second", "kvn", "chosen"),
    [
        (SCP02_15, DES_FF, 0, Choice(scp="SCP02", i=0x15, bits=128)),
        (SCP02_15, ABSENT, 0, Choice(scp="SCP02", i=0x15)),
        (SCP03_70, ABSENT, 0, Choice(scp="SCP03", i=0x70)),
        (SCP03_70, keys("01308820", "02308820", "03308820"), 0x30, Choice(scp="SCP03", i=0x70, bits=256)),
        (SCP03_70, keys("0130FF880018010000", "0230FF880018010000"), 0x30, Choice(scp="SCP03", i=0x70, bits=192)),
        (recognition("0215", "0371"), keys("01208010", "01308810"), 0x30, Choice(scp="SCP03", i=0x71, bits=128)),
        (recognition("0215", "0371"), keys("01208010", "01308810"), 0x20, Choice(scp="SCP02", i=0x15, bits=128)),
        (recognition("0105"), keys("01018010"), 1, Choice(scp="SCP01", i=0x05, bits=128)),
        (recognition("0215", "0215"), ABSENT, 0, Choice(scp="SCP02", i=0x15)),
        (SCP03_70, keys("01308810", "01318820"), 0, Choice(scp="SCP03", i=0x70)),
        (recognition("0215", "0370"), keys("01208010", "01708810"), 0, Choice(scp="SCP02", i=0x15, bits=128)),
    ],
)
def test_the_card_says_which_channel_it_speaks(first: str, second: str, kvn: int, chosen: Choice) -> None:
    """Recognition data name it; where they name several, the key set's type decides. SCP80 is no channel of a bureau's,
    and set 70 is a token's."""
    at = card(first, second)
    assert run(choose(None, None, kvn), at) == chosen
    assert at.finished


def test_what_is_stated_is_not_asked() -> None:
    """A product that states channel and option costs no command; INITIALIZE UPDATE's answer is compared all the same."""
    assert run(choose("SCP02", 0x55, 0x20), replay([])) == Choice(scp="SCP02", i=0x55)


def test_what_is_stated_decides_between_two() -> None:
    """The protocol alone may be stated."""
    assert run(choose("SCP02", None, 0), card(recognition("0255", "0370"))) == Choice(scp="SCP02", i=0x55)


@pytest.mark.parametrize(
    ("first", "second", "scp", "message"),
    [
        (ABSENT, ABSENT, None, "it speaks no channel: that isn't what the product states, or too little"),
        (recognition("8000", "1100"), ABSENT, None, "it speaks no channel"),
        (SCP02_15, ABSENT, "SCP03", "it speaks SCP02 i=15: that isn't what the product states"),
        (recognition("0215", "0255"), ABSENT, None, "SCP02 i=15 and SCP02 i=55: the product must state which one"),
        (recognition("0215", "0370"), keys("01208010", "01308810"), None, "the product must state which one key set 00"),
        (SCP02_15, keys("01308810"), None, "and that key set 00 holds no keys for that"),
    ],
)
def test_too_little_too_much_or_something_else_is_no_choice(first: str, second: str, scp: str | None, message: str) -> None:
    """Nothing is tried: the error says what the card says."""
    at = card(first, second)
    with pytest.raises(ProtocolError, match=f"^the card says that .*{message}"):
        run(choose(scp, None, 0), at)
    assert at.finished


@pytest.mark.parametrize("cut", range(2, len(SCP02_15) // 2, 7))
def test_damaged_recognition_data_are_refused(cut: int) -> None:
    """Cut short anywhere, also where the outer length is right."""
    whole = bytes.fromhex(SCP02_15)
    for wrong in (whole[:cut], tlv(0x66, whole[2:cut])):
        with pytest.raises(ProtocolError):
            run(choose(None, None, 0), card(wrong.hex()))


@pytest.mark.parametrize("entry", ["", "01", "0120", "012080", "0120FF80", "0120FF8000"])
def test_damaged_key_information_is_refused(entry: str) -> None:
    """An entry that doesn't reach its key's length."""
    with pytest.raises(ProtocolError, match="GET DATA 00E0: the card's answer is malformed"):
        run(choose(None, None, 0), card(SCP02_15, keys(entry)))


def test_a_refused_question_is_the_cards_error() -> None:
    """6A88 says that there is none; any other status word isn't taken for that."""
    with pytest.raises(CardError, match="GET DATA 0066: 6985"):
        run(choose(None, None, 0), replay([("80CA006600", "6985")]))
