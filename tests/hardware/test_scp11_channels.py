"""SCP11, the engine's end against the simulated card's: every variant, curve, key size, level and form of certificates."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.crypto import Curve, aes_cbc_encrypt
from hardware.errors import AuthenticationError, CardError, PlanError, ProtocolError
from hardware.iso7816 import Command, Dialogue, Response, run
from hardware.scp import secured
from hardware.scp.scp11 import Scp11
from hardware.tlv import tlv
from tests.hardware.agreeing import (
    CARD_CA,
    GROUP,
    HOST_CA,
    HOST_ID,
    LEVELS,
    OPTIONS,
    SDIN,
    SIN,
    Station,
    agreed,
    card_keys,
    changed,
    derive,
    off_card,
    opening,
)
from tests.hardware.issuing import FORMS, TODAY, Key, issue

GET = Command("GET DATA", 0x80, 0xCA, 0, 0x42, ne=256, secret=())
STATUS = Command("GET STATUS", 0x80, 0xF2, 0x80, 0x02, b"\x4f\0", ne=256, secret=())
MATRIX = [
    (variant, curve, size, level)
    for variant, levels in LEVELS.items()
    for curve in Curve
    for size in (16, 24, 32)
    for level in levels
]


def talk() -> Dialogue[tuple[bytes, bytes]]:
    """Read twice, and store once in a burst."""
    before = yield GET
    yield tuple(
        Command("STORE DATA", 0x80, 0xE2, p1, p2, data) for p1, p2, data in ((0x10, 0, b"\x42\x03"), (0x90, 1, b"NEW"))
    )
    after = yield GET
    return before.data, after.data


@pytest.mark.parametrize(("variant", "curve", "size", "level"), MATRIX)
def test_every_channel_carries_commands(variant: str, curve: Curve, size: int, level: int) -> None:
    """Data both ways, alone and in a burst; over SCP11b, whose host nobody knows, only what anyone may read."""
    station = Station(card_keys(curve))
    channel = run(Scp11.open(opening(variant, off_card(curve, size=size), level), derive(curve)), station)
    if variant == "b":
        assert run(secured(read(GET), channel), station).data == tlv(0x42, SIN)
        with pytest.raises(CardError, match="GET STATUS: 6982"):
            run(secured(read(STATUS), channel), station)
    else:
        assert run(secured(talk(), channel), station) == (tlv(0x42, SIN), tlv(0x42, b"NEW"))
    plain = {bytes(each)[5:] for each in station.sent[-2:]}
    assert all(b"NEW" not in each for each in plain) or not level & 0x02


def read(command: Command) -> Dialogue[Response]:
    return (yield command)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("curve", Curve)
@pytest.mark.parametrize("variant", OPTIONS)
@pytest.mark.parametrize("identifiers", [False, True])
def test_both_forms_of_certificates_with_and_without_identifiers(
    variant: str, curve: Curve, form: str, identifiers: bool
) -> None:
    """What identifies the card is read from it, for a script from its certificate or from what is known of its group."""
    station = Station(card_keys(curve, form))
    part = off_card(curve, form, host_id=HOST_ID if identifiers else b"", card_group=GROUP if form == "X.509" else b"")
    channel = run(Scp11.open(opening(variant, part), derive(curve)), station)
    assert run(secured(read(GET), channel), station).data == tlv(0x42, SIN)


def test_the_group_of_x509_cards_must_be_stated() -> None:
    """Their certificates don't say it; nothing is sent but what reads them."""
    station = Station(card_keys(form="X.509"))
    with pytest.raises(PlanError, match="needs its card group stated"):
        run(Scp11.open(opening("c", off_card(form="X.509", host_id=HOST_ID)), derive(Curve.P256)), station)
    assert {each.name for each in station.sent} == {"GET DATA", "GET RESPONSE"}


def test_identifiers_are_part_of_the_keys() -> None:
    """Another HostID, SIN, SDIN or group gives another receipt key; a card without SIN and SDIN is asked in vain."""
    part = off_card(host_id=HOST_ID)
    for variant, wrong in (("a", {0x42: b"SIM"}), ("a", {0x45: b"SDIN-2"})):
        station = Station(card_keys())

        def spoiled(command: Command, station: Station = station, wrong: dict[int, bytes] = wrong) -> Response:
            answer = station(command)
            is_read = command.ins == 0xCA and command.p2 in wrong
            return Response(tlv(command.p2, wrong[command.p2]), answer.sw) if is_read else answer

        with pytest.raises(AuthenticationError, match="receipt does not verify"):
            run(Scp11.open(opening(variant, part), derive(Curve.P256)), spoiled)
    with pytest.raises(AuthenticationError, match="receipt does not verify"):
        run(Scp11.open(opening("c", changed(part, card_group=b"other")), derive(Curve.P256)), Station(card_keys()))
    with pytest.raises(CardError, match="GET DATA: 6A88"):
        run(Scp11.open(opening("a", part), derive(Curve.P256)), Station(card_keys(), identifiers=False))
    assert SDIN not in SIN


def test_x509_certificates_come_in_parts() -> None:
    """A chain that fits no short answer is fetched with GET RESPONSE, one that fits no short command cut into blocks."""
    station = Station(card_keys(form="X.509"))
    run(Scp11.open(opening("a", off_card(form="X.509")), derive(Curve.P256)), station)
    names = [each.name for each in station.sent]
    assert names[:2] == ["GET DATA", "GET RESPONSE"]
    assert names.count("PERFORM SECURITY OPERATION") > 2
    long = Station(card_keys(form="X.509"), extended=True)
    run(Scp11.open(opening("a", off_card(form="X.509"), extended=True), derive(Curve.P256)), long)
    assert [each.name for each in long.sent].count("PERFORM SECURITY OPERATION") == 2


@pytest.mark.parametrize("variant", OPTIONS)
def test_a_false_card_is_told_by_its_receipt(variant: str) -> None:
    """It has the right certificates and another private key, and nothing more is sent to it."""
    station = Station(card_keys().spoiled())
    said = "another static key" if variant == "c" else "receipt does not verify: key set 03"
    with pytest.raises(AuthenticationError, match=said):
        run(Scp11.open(opening(variant, off_card()), derive(Curve.P256)), station)
    assert station.sent[-1].name.endswith("AUTHENTICATE")


@pytest.mark.parametrize("variant", ["a", "c"])
def test_a_false_host_gets_no_further_than_the_receipt(variant: str) -> None:
    """It has the host's certificates and another private key: what it would send isn't taken either."""
    station = Station(card_keys())
    with pytest.raises(AuthenticationError, match="receipt does not verify"):
        run(Scp11.open(opening(variant, off_card()), derive(Curve.P256, Key("thief"))), station)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["stranger", "expired", "usage", "curve"])
def test_a_card_takes_no_wrong_host(form: str, name: str) -> None:
    """Whose certificate another CA signed, has expired, is for signatures, or on another curve."""
    wrong = {
        "stranger": (issue(form, Key("host"), Key("stranger")),),
        "expired": (issue(form, Key("host"), HOST_CA, last=TODAY - timedelta(1)),),
        "usage": (issue(form, Key("host"), HOST_CA, "82"),),
        "curve": (issue(form, Key("host", Curve.BRAINPOOL_P256), HOST_CA),),
    }
    station = Station(card_keys(form=form))
    with pytest.raises(AuthenticationError, match="the card refused"):
        run(Scp11.open(opening("a", off_card(form=form, chain=wrong[name])), derive(Curve.P256)), station)


@pytest.mark.parametrize("form", FORMS)
def test_a_host_takes_no_wrong_card(form: str) -> None:
    """Whose certificate another CA signed."""
    certificates = (issue(form, Key("card"), HOST_CA),)
    station = Station(card_keys(form=form, certificates=certificates))
    with pytest.raises(AuthenticationError, match="signed by no CA that is trusted"):
        run(Scp11.open(opening("b", off_card(form=form)), derive(Curve.P256)), station)
    assert [each.name for each in station.sent if each.name != "GET RESPONSE"] == ["GET DATA"]
    assert CARD_CA.point != HOST_CA.point


@pytest.mark.parametrize(("curve", "size"), [(curve, size) for curve in Curve for size in (16, 24, 32)])
def test_the_dek_is_the_cards(curve: Curve, size: int) -> None:
    """A sensitive value under the agreed DEK is what the card decrypts."""
    station = Station(card_keys(curve))
    channel = run(Scp11.open(opening("a", off_card(curve, size=size)), derive(curve)), station)
    key = agreed(curve, Key("host", curve).private, channel.dek())
    value = bytes(range(32))
    assert station.card._session.channel().decrypt(aes_cbc_encrypt(key, value)) == value


@settings(max_examples=60, deadline=None)
@given(
    which=st.sampled_from(MATRIX).filter(lambda each: each[0] != "b"),
    values=st.lists(st.binary(min_size=1, max_size=16), min_size=1, max_size=6),
    seed=st.binary(min_size=48, max_size=48),
)
def test_whatever_is_stored_is_read_back(which: tuple[str, Curve, int, int], values: list[bytes], seed: bytes) -> None:
    """Random data over random channels, with random ephemeral keys, each value in a command of its own."""
    variant, curve, size, level = which
    station = Station(card_keys(curve))
    part = off_card(curve, size=size, seed=(seed * 2)[: curve.size + 8])
    channel = run(Scp11.open(opening(variant, part, level), derive(curve)), station)

    def dialogue() -> Dialogue[list[bytes]]:
        found = []
        for value in values:
            yield Command("STORE DATA", 0x80, 0xE2, 0x90, 0, tlv(0x42, value))
            found.append((yield GET).data)
        return found

    assert run(secured(dialogue(), channel), station) == [tlv(0x42, value) for value in values]


@settings(max_examples=60, deadline=None)
@given(which=st.sampled_from(MATRIX), at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_changed_bit_of_an_answer_passes(which: tuple[str, Curve, int, int], at: int, bit: int) -> None:
    """Of the handshake, or of a command's where answers are protected."""
    variant, curve, size, level = which
    station = Station(card_keys(curve))

    def spoiled(command: Command) -> Response:
        answer = station(command)
        if command.ins not in (0x82, 0x88):
            return answer
        data = bytearray(answer.data)
        data[at % len(data)] ^= 1 << bit
        return Response(bytes(data), answer.sw)

    part = opening(variant, off_card(curve, size=size), level)
    with pytest.raises((AuthenticationError, ProtocolError), match=r"key|receipt|agreement"):
        run(Scp11.open(part, derive(curve)), spoiled)
