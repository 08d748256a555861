"""STORE DATA by hand-made examples (GPCS 11.11, CPS)."""

import pytest

from hardware.errors import CardError
from hardware.iso7816 import Response
from hardware.keystores import Transport
from hardware.perso.layout import layout, store
from hardware.perso.order import Instructions
from hardware.perso.profiles import TagEncoding
from hardware.perso.values import Coded
from tests.hardware.storing import AHEAD, Taker, item, stored

A, B, C = item("0101", "7000"), item("0201", "AABB"), item("9102", "A500")
KEYS, PIN = item("8000", "11" * 8, secret=True), item("8010", "22" * 8, secret=True)


def test_neighbours_share_a_command() -> None:
    """Three clear DGIs: one command, P1 last, clear, DGI."""
    assert stored([A, B, C]) == ["80E288000F" + "0101027000" + "020102AABB" + "910202A500"]


def test_command_is_filled_to_the_last_byte() -> None:
    """5 and 5 and 5 bytes share 15, but not 14."""
    assert [len(apdu) for apdu in stored([A, B, C], room=15)] == [10 + 30]
    assert [len(apdu) for apdu in stored([A, B, C], room=14)] == [10 + 20, 10 + 10]


def test_without_packing_each_has_its_own() -> None:
    """Numbered from 00, the last one marked."""
    assert stored([A, B, C], packing=False) == [
        "80E2080005" + "0101027000",
        "80E2080105" + "020102AABB",
        "80E2880205" + "910202A500",
    ]


def test_clear_and_encrypted_never_share() -> None:
    """P1 says clear (00) or all encrypted (11); what follows doesn't join across."""
    assert stored([A, KEYS, PIN, B]) == [
        "80E2080005" + "0101027000",
        "80E2680116" + "800008" + "EE" * 8 + "801008" + "DD" * 8,
        "80E2880205" + "020102AABB",
    ]


def test_group_may_mix_clear_and_encrypted() -> None:
    """P1 says application dependent (01); the group stands where its first member does, its order that of the file."""
    assert stored([A, PIN, B, C], Instructions(groups=(("9102", "8010"),)), packing=False) == [
        "80E2080005" + "0101027000",
        "80E2280110" + "801008" + "DD" * 8 + "910202A500",
        "80E2880205" + "020102AABB",
    ]


def test_two_mixed_groups_stay_apart() -> None:
    """GROUP says which clear and encrypted DGIs share, and so no others do."""
    made = stored([A, PIN, B, KEYS], Instructions(groups=(("0101", "8010"), ("0201", "8000"))))
    assert made == [
        "80E2280010" + "0101027000" + "801008" + "DD" * 8,
        "80E2A80110" + "020102AABB" + "800008" + "EE" * 8,
    ]


def test_group_of_one_kind_is_clear_or_encrypted() -> None:
    """Nothing is application dependent about it."""
    assert stored([A, B], Instructions(groups=(("0101", "0201"),)), packing=False) == ["80E288000A0101027000020102AABB"]
    made = stored([KEYS, PIN], Instructions(groups=(("8000", "8010"),)), packing=False)
    assert made == ["80E2E80016" + "800008" + "EE" * 8 + "801008" + "DD" * 8]


@pytest.mark.parametrize(
    ("kind", "data", "p1"),
    [(TagEncoding.DGI, "005A0155", "88"), (TagEncoding.EMV, "5A0155", "90"), (TagEncoding.L16, "005A000155", "80")],
)
def test_structure_is_in_p1(kind: TagEncoding, data: str, p1: str) -> None:
    """DGI 01, BER-TLV 10, none 00 for L16 (b5b4)."""
    assert stored([item("5A", "55", kind=kind)]) == [f"80E2{p1}00{len(data) // 2:02X}{data}"]


def test_encrypted_ber_tlv_is_said_so() -> None:
    """All encrypted, BER-TLV, last: F0."""
    assert stored([item("5A", "00" * 8, secret=True, kind=TagEncoding.EMV)]) == ["80E2F0000A5A08" + "FF" * 8]


def test_structures_do_not_share() -> None:
    """P1 states one structure for all of a command."""
    made = stored([A, item("5A", "55", kind=TagEncoding.EMV), B])
    assert made == ["80E20800050101027000", "80E21001035A0155", "80E2880205020102AABB"]


def test_order_comes_first_then_the_file() -> None:
    """ORDER isn't sorted, nor is the rest."""
    made = stored([C, B, A, PIN, KEYS], Instructions(order=("8010", "0201")), packing=False)
    assert [apdu[10:14] for apdu in made] == ["8010", "0201", "9102", "0101", "8000"]


def test_long_dgi_is_cut_at_the_room_and_others_follow_its_rest() -> None:
    """Its full length is stated at once; it begins a command of its own."""
    long = item("9104", "CC" * 300)
    made = stored([A, long, B])
    assert made == [
        "80E2080005" + "0101027000",
        "80E20801EF" + "9104FF012C" + "CC" * 234,
        "80E2880247" + "CC" * 66 + "020102AABB",
    ]
    assert stored([A, long, B], packing=False)[2:] == ["80E2080242" + "CC" * 66, "80E2880305020102AABB"]


@pytest.mark.parametrize(("size", "commands"), [(236, 1), (237, 2), (473, 2), (474, 3)])
def test_cut_only_where_needed(size: int, commands: int) -> None:
    """239 bytes hold a DGI of 236; longer than 254 it needs two more bytes for its length."""
    assert len(stored([item("0101", "00" * size)])) == commands


def test_rest_of_an_encrypted_dgi_takes_no_clear_one() -> None:
    """The rest is encrypted as its beginning is."""
    made = stored([item("8201", "00" * 240, secret=True), A])
    assert [apdu[:8] for apdu in made] == ["80E26800", "80E26801", "80E28802"]


def test_version_control_travels_alone() -> None:
    """Neighbours of the same kind share neither before nor behind it."""
    made = stored([A, item("0203", "01"), B, C], Instructions(version_control=frozenset({"0203"})))
    assert made == ["80E20800050101027000", "80E208010402030101", "80E288020A020102AABB910202A500"]


def test_refused_version_control_sets_the_counter_back() -> None:
    """After 6A88 the next block is 00 again; the refused element is gone, the card isn't spoiled."""
    refused = Taker(frozenset({"0203", "0204"}))
    control = Instructions(version_control=frozenset({"0203", "0204"}))
    made = stored([A, B, item("0203"), item("0204"), C, item("9104")], control, packing=False, card=refused)
    assert [(apdu[6:8], apdu[10:14]) for apdu in made] == [
        ("00", "0101"), ("01", "0201"), ("02", "0203"), ("00", "0204"), ("00", "9102"), ("01", "9104"),
    ]  # fmt: skip


def test_any_other_refusal_ends_it() -> None:
    """A refused element that isn't under version control, or another status word than 6A88: nothing more is sent."""
    card = Taker(frozenset({"0201"}))
    with pytest.raises(CardError, match="STORE DATA: 6A88"):
        stored([A, B, C], packing=False, card=card)
    assert len(card.sent) == 3
    with pytest.raises(CardError, match="STORE DATA: 6A80"):
        stored([B, C], Instructions(version_control=frozenset({"0201"})), card=Taker(frozenset({"0201"}), sw=0x6A80))


def test_only_the_final_part_is_marked_last() -> None:
    """Another PERSONALIZE step is to follow: b8 stays clear."""
    assert stored([A], final=False) == ["80E20800050101027000"]


def test_nothing_waits_that_needn_t() -> None:
    """INSTALL and all blocks up to one that may be refused are one run, made ready before the first is sent."""
    control = Instructions(version_control=frozenset({"0203"}))
    plan = layout([KEYS, item("0203"), A, PIN], control, room=239, packing=False)
    translated = []

    def note(value: bytes, transport: Transport) -> bytes:
        translated.append(value)
        return value

    dialogue = store(plan, note, AHEAD, final=True)
    first = next(dialogue)
    assert isinstance(first, tuple)
    assert [command.name for command in first] == ["INSTALL [for personalization]", "STORE DATA", "STORE DATA"]
    assert len(translated) == 2
    second = dialogue.send(Response(b"", 0x9000))
    assert isinstance(second, tuple)
    assert [command.p2 for command in second] == [2, 3]


@pytest.mark.parametrize(
    ("items", "instructions", "message"),
    [
        ([], Instructions(), "nothing to write"),
        ([A, B], Instructions(version_control=frozenset({"0201"})), "can't come last"),
        ([A, B], Instructions(order=("0201", "0101"), version_control=frozenset({"0101"})), "can't come last"),
        (
            [item("0203", "00" * 240), A],
            Instructions(version_control=frozenset({"0203"})),
            "has 243 bytes where .* takes 239",
        ),
        ([item("0101", "00" * 120), item("0201", "00" * 120)], Instructions(groups=(("0101", "0201"),)), "has 246 bytes"),
        ([A, item("5A", kind=TagEncoding.EMV)], Instructions(groups=(("0101", "5A"),)), "mixes DGIs and other structures"),
        ([item("42", "00" * 8, secret=True, kind=TagEncoding.L16)], Instructions(), "L16 element can't travel encrypted"),
        ([A, B, C], Instructions(groups=(("0101", "0201"), ("0201", "9102"))), "GROUP names an element twice"),
        ([item("5A"), B], Instructions(order=("5A", "005A")), "ORDER names an element twice"),
        (
            [A, B, C],
            Instructions(groups=(("0101", "0201"),), version_control=frozenset({"0101"})),
            "VERCNTL and GROUP both name 0101",
        ),
        ([A, B, C], Instructions(order=("0101", "0201", "9102"), groups=(("0101", "9102"),)), "before 0201, which ORDER"),
        ([item("0101", "00" * 239 * 256)], Instructions(), "257 STORE DATA commands are needed where 256"),
    ],
)
def test_what_cannot_be_met_is_refused(items: list[Coded], instructions: Instructions, message: str) -> None:
    """Before anything is sent, and without a value in the message."""
    with pytest.raises(ValueError, match=message):
        layout(items, instructions, room=239, packing=True)


def test_256_commands_can_be_numbered() -> None:
    """00 to FF, no further."""
    made = stored([item("0101", "00" * (239 * 256 - 5))])
    assert [made[0][6:8], made[-1][6:8], len(made)] == ["00", "FF", 256]
