"""What cards of every dialect refuse: wrong order, wrong length, replay, wrong key, spent counter."""

from dataclasses import replace

import pytest

from hardware import crypto
from hardware.errors import AuthenticationError, CardError
from hardware.iso7816 import Command, Dialogue, Response, run
from hardware.scp import secured
from hardware.scp.scp01 import Scp01
from hardware.scp.scp02 import Scp02
from hardware.sim.apdu import parse
from hardware.sim.blank import shipped
from tests.hardware.test_channels import GET, STATUS, STORED, WITH_R_MAC, Station, scp01, scp02, scp03

BEGIN = Command("BEGIN R-MAC SESSION", 0x80, 0x7A, 0x10, 0x01)
END = Command("END R-MAC SESSION", 0x80, 0x78, 0x00, 0x03, ne=256)
EXPLICIT = [("SCP01", scp01(0x15)), ("SCP02", scp02(0x05)), ("SCP02", scp02(0x75)), ("SCP03", scp03(0x71, 24))]
IDS = ["SCP01", "SCP02 one key", "SCP02 R-MAC", "SCP03 S16"]
each_explicit = pytest.mark.parametrize(("key", "card"), EXPLICIT, ids=IDS)


def fresh(station: Station) -> Station:
    return Station(station.blank)


def one(command: Command) -> Dialogue[Response]:
    return (yield command)


def sw(at: Station, raw: bytes) -> int:
    return int.from_bytes(at.card.transmit(raw)[0][-2:], "big")


@each_explicit
def test_a_replayed_command_is_refused(key: str, card: Station) -> None:
    """The C-MAC chain has moved on, and the session is over."""
    at = fresh(card)
    opened = at.open(key, 0x01)
    run(secured(one(STATUS), opened), at)
    assert sw(at, at.sent[-1]) == 0x6988
    assert sw(at, bytes(opened.wrap(STATUS))) == 0x6982


@each_explicit
def test_commands_out_of_their_order_are_refused(key: str, card: Station) -> None:
    """The second of a burst before the first."""
    at = fresh(card)
    opened = at.open(key, 0x01)
    _first, second = opened.wrap(STATUS), opened.wrap(STATUS)
    assert sw(at, bytes(second)) == 0x6988


@each_explicit
def test_a_handshake_of_another_session_is_refused(key: str, card: Station) -> None:
    """EXTERNAL AUTHENTICATE of an earlier session spends a try and opens nothing."""
    at = fresh(card)
    at.open(key, 0x01)
    begin, old = at.sent[-2:]
    at.card.transmit(begin[:5] + begin[5:-1][::-1] + begin[-1:])
    assert sw(at, old) == 0x6300
    assert sw(at, bytes(STATUS)) == 0x6982


@each_explicit
def test_a_handshake_of_the_wrong_length_is_refused(key: str, card: Station) -> None:
    """Challenge and cryptogram have the length of the mode, and no other."""
    at = fresh(card)
    at.open(key, 0x01)
    begin, old = at.sent[-2:]
    size = 16 if key == "SCP03" else 8
    assert begin[4] == size
    for wrong in {7, 8, 9, 15, 16, 17} - {size}:
        assert sw(at, begin[:4] + bytes((wrong,)) + bytes(wrong) + b"\0") == 0x6700
    at.card.transmit(begin)
    assert sw(at, old[:4] + bytes((old[4] - 1,)) + old[5:-1]) == 0x6700


@each_explicit
def test_wrong_keys_are_found_by_the_host(key: str, card: Station) -> None:
    """Any of the keys that the handshake uses; nothing is sent after INITIALIZE UPDATE."""
    at = fresh(card)
    at.blank = replace(at.blank, enc=at.blank.enc[::-1], mac=at.blank.mac[::-1])
    with pytest.raises(AuthenticationError, match="card cryptogram does not verify with key set"):
        at.open(key, 0x01)
    assert len(at.sent) == 1


@pytest.mark.parametrize(("i", "last"), [(0x15, 0xFFFE), (0x1B, 0xFFFE)])
def test_a_spent_counter_opens_nothing(i: int, last: int) -> None:
    """SCP02 has 65,535 sessions in it, explicit or implicit."""
    at = Station(scp02(i).blank, last)
    run(secured(one(STATUS), at.open("SCP02", 0x01)), at)
    at.card.reset()
    with pytest.raises((CardError, AuthenticationError), match="6985"):
        at.open("SCP02", 0x01)


def test_a_spent_counter_of_scp03_opens_nothing() -> None:
    """Only where the challenge is computed from it."""
    for i, refused in ((0x11, True), (0x01, False)):
        at = Station(scp03(i, 16).blank, 0xFFFFFF)
        if refused:
            with pytest.raises(CardError, match="INITIALIZE UPDATE: 6985"):
                at.open("SCP03", 0x01)
        else:
            at.open("SCP03", 0x01)


@pytest.mark.parametrize(
    "wrong", [b"\x00" * 8, b"\x08" + bytes(7), b"\x03ABC\x80\0\0\1", b"\x03ABC\0\0\0\0", b"\x09" + bytes(7)]
)
def test_scp01_takes_no_other_padding_than_its_own(wrong: bytes) -> None:
    """A length of nothing, one beyond the data, or what isn't 80 and zeros behind them."""
    at = scp01(0x05)
    opened = at.open("SCP01", 0x03)
    assert isinstance(opened, Scp01)
    body = crypto.des3_cbc_encrypt(opened.enc, wrong)
    assert sw(at, bytes.fromhex("84F2800210") + body + bytes(8)) == 0x6988
    assert sw(at, bytes(opened.wrap(STATUS))) == 0x6982


@pytest.mark.parametrize("i", WITH_R_MAC)
@pytest.mark.parametrize(
    ("command", "status"),
    [
        (replace(BEGIN, p1=0x01), 0x6A86),
        (replace(BEGIN, p1=0x30), 0x6A86),
        (replace(BEGIN, p2=0x00), 0x6A86),
        (replace(BEGIN, data=b"\x02A"), 0x6A80),
        (replace(BEGIN, data=b"\x01AB"), 0x6A80),
        (END, 0x6985),
    ],
)
def test_an_ill_made_begin_of_an_r_mac_session_is_refused(i: int, command: Command, status: int) -> None:
    """And an end of none; the session goes on as it was."""
    at = scp02(i)
    opened = at.open("SCP02", 0x01)
    with pytest.raises(CardError, match=f"{status:04X}"):
        run(secured(one(command), opened), at)
    assert run(secured(one(STATUS), opened), at).sw == 0x9000


@pytest.mark.parametrize("i", WITH_R_MAC)
def test_an_r_mac_session_is_begun_once_and_ended_as_specified(i: int) -> None:
    """A second begin, and an end with other parameters or with data, are refused."""
    at = scp02(i)
    opened = at.open("SCP02", 0x01)
    assert isinstance(opened, Scp02)
    run(opened.begin_r_mac(each=True), at)
    for wrong, status in (
        (BEGIN, 0x6985),
        (replace(END, p2=1), 0x6A86),
        (replace(END, p1=1), 0x6A86),
        (replace(END, data=b"A"), 0x6A80),
    ):
        with pytest.raises(CardError, match=f"{status:04X}"):
            run(secured(one(wrong), opened), at)
    run(opened.end_r_mac(), at)


@pytest.mark.parametrize("i", [0x24, 0x35, 0x65])
def test_what_the_level_began_only_the_session_ends(i: int) -> None:
    """END R-MAC SESSION doesn't take back what EXTERNAL AUTHENTICATE asked for."""
    at = scp02(i)
    opened = at.open("SCP02", 0x11)
    with pytest.raises(CardError, match="END R-MAC SESSION: 6985"):
        run(secured(one(END), opened), at)
    with pytest.raises(CardError, match="BEGIN R-MAC SESSION: 6985"):
        run(secured(one(BEGIN), opened), at)


@pytest.mark.parametrize("card", [scp01(0x05), scp03(0x60, 16)], ids=["SCP01", "SCP03"])
def test_other_protocols_have_no_r_mac_sessions(card: Station) -> None:
    """6D00 in a session; without one no card of any protocol has them."""
    at = fresh(card)
    assert sw(at, bytes(BEGIN)) == 0x6982
    opened = at.open(f"SCP{at.blank.scp:02}", 0x01)
    with pytest.raises(CardError, match="6D00"):
        run(secured(one(BEGIN), opened), at)


@pytest.mark.parametrize("i", [0x0A, 0x1B, 0x2A, 0x3B])
def test_a_card_with_implicit_initiation_has_no_handshake(i: int) -> None:
    """INITIALIZE UPDATE is unknown to it, a plain command needs no session to be refused, a replay opens none."""
    at = scp02(i)
    assert sw(at, bytes.fromhex("8050000008") + bytes(8) + b"\0") == 0x6D00
    assert sw(at, bytes(STATUS)) == 0x6982
    opened = at.open("SCP02", 0x01)
    run(secured(one(STATUS), opened), at)
    first = at.sent[-1]
    at.card.reset()
    assert sw(at, first) == 0x6988


def test_wrong_implicit_commands_block_the_keys() -> None:
    """Each wrong C-MAC spends a try; after the last nothing opens any more."""
    at = scp02(0x1B)
    for _ in range(at.blank.retries):
        assert sw(at, bytes.fromhex("84F280020A4F00") + bytes(8) + b"\0") == 0x6988
    with pytest.raises(AuthenticationError, match="GET DATA: 6983"):
        at.open("SCP02", 0x01)


@pytest.mark.parametrize(
    ("key", "card", "level", "most"),
    [("SCP02", scp02(0x75), 0x11, 248), ("SCP03", scp03(0x60, 16), 0x11, 248), ("SCP03", scp03(0x60, 16), 0x33, 239),
     ("SCP03", scp03(0x61, 16), 0x11, 240), ("SCP03", scp03(0x61, 16), 0x33, 239)],
)  # fmt: skip
def test_answers_leave_room_for_their_r_mac(key: str, card: Station, level: int, most: int) -> None:
    """A GET STATUS of more than fits comes in parts, none longer than an answer with its R-MAC and padding may be."""
    at = fresh(card)
    opened = at.open(key, level)
    wrapped = opened.wrap(replace(STATUS, ne=256))
    plain = at.card._session.unwrap(parse(bytes(wrapped), extended=False))
    assert plain.ne == most


def test_a_refused_command_stores_nothing() -> None:
    """A wrong C-MAC in the middle of a burst leaves what was stored before, and that isn't there."""
    at = scp03(0x60, 16)
    opened = at.open("SCP03", 0x33)
    burst = [opened.wrap(command) for command in STORED]
    assert sw(at, bytes(burst[0])) == 0x9000
    assert sw(at, bytes(burst[2])) == 0x6988
    assert run(secured(one(GET), at.open("SCP03", 0x33)), at).data.hex() == "42030102aa"
    with pytest.raises(CardError, match="6A88"):
        run(secured(one(replace(GET, p2=0x45)), at.open("SCP03", 0x33)), at)


def test_blanks_of_other_dialects_must_be_possible() -> None:
    """An option that no specification has, or a key that the protocol hasn't, is no chip."""
    blank = shipped("payment-scp02")
    for wrong in ({"i": 0x1C}, {"scp": 1}, {"scp": 3}, {"scp": 4, "i": 0x15}, {"enc": bytes(24), "mac": bytes(24)}):
        with pytest.raises(ValueError, match="payment-scp02"):
            replace(blank, **wrong)
