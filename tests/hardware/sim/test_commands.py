"""What the chip makes of bytes before any command runs, and what SELECT and GET DATA say."""

from dataclasses import replace

import pytest

from hardware import crypto
from hardware.sim.apdu import RefusedError, parse
from hardware.sim.blank import shipped
from hardware.sim.card import Card
from hardware.sim.eeprom import Eeprom
from hardware.tlv import find
from tests.hardware.sim import caps
from tests.hardware.sim.conftest import MakeHost
from tests.hardware.sim.host import Host, apdu, lvs


@pytest.mark.parametrize(
    ("raw", "data", "ne"),
    [
        ("00A40400", "", None),
        ("80CA006600", "", 256),
        ("80CA006605", "", 5),
        ("00A4040002AABB", "AABB", None),
        ("00A4040002AABB00", "AABB", 256),
    ],
)
def test_short_cases(raw: str, data: str, ne: int | None) -> None:
    """Cases 1 to 4 of ISO/IEC 7816-3."""
    found = parse(bytes.fromhex(raw), extended=False)
    assert (found.data.hex().upper(), found.ne) == (data, ne)


@pytest.mark.parametrize(
    ("raw", "size", "ne"),
    [("80CA0066000000", 0, 0x10000), ("80E20000000102" + 258 * "AA", 258, None), ("80E20000000001AA0010", 1, 16)],
)
def test_extended_cases(raw: str, size: int, ne: int | None) -> None:
    """Extended lengths, on a chip that takes them."""
    found = parse(bytes.fromhex(raw), extended=True)
    assert (len(found.data), found.ne, found.extended) == (size, ne, True)
    with pytest.raises(RefusedError, match="6700"):
        parse(bytes.fromhex(raw), extended=False)


@pytest.mark.parametrize(
    "raw", ["", "00A404", "00A4040002AA", "00A4040002AABBCCDD", "00A404000000", "80E2000000000200", "80E20000000000"]
)
def test_malformed_command_is_6700(raw: str, host: Host) -> None:
    """A length that doesn't match the bytes is refused before anything else."""
    assert host.status(bytes.fromhex(raw)) == 0x6700


@pytest.mark.parametrize(
    ("raw", "sw"),
    [
        ("80FE0000", 0x6D00), ("A0A4040000", 0x6E00), ("80A4040000", 0x6E00), ("10A4040000", 0x6E00),
        ("01A4040000", 0x6881), ("81CA006600", 0x6881), ("84A4040000", 0x6E00), ("0070000001", 0x6D00),
        ("00E4000000", 0x6E00), ("80CA0066", 0x6700), ("00A4000000", 0x6A86), ("00A4040100", 0x6A86),
    ],
)  # fmt: skip
def test_class_instruction_and_parameters_are_checked(raw: str, sw: int, host: Host) -> None:
    """Wrong CLA, unknown INS, another logical channel, a missing Le, wrong P1 P2."""
    assert host.status(bytes.fromhex(raw)) == sw


def test_empty_and_partial_select_find_the_security_domain(host: Host) -> None:
    """SELECT without an AID, with its beginning or with all of it."""
    isd = host.blank.isd_aid
    for aid in (b"", isd[:5], isd):
        answer = host.select(aid)
        assert find(answer[:-2], 0x6F, 0x84) == isd
        assert find(answer[:-2], 0x6F, 0xA5) is not None


def test_unknown_aid_is_6a82(host: Host) -> None:
    """And so is a next occurrence after the last."""
    assert host.select(bytes(7)) == b"\x6a\x82"
    assert host.status(apdu("00A40402", host.blank.isd_aid)) == 0x6A82


def test_installed_but_not_selectable_application_is_6a82(opened: Host) -> None:
    """An application becomes selectable by INSTALL [for make selectable] only."""
    opened.install_for_load()
    opened.load(caps.load_file(caps.CAP))
    assert opened.install(p1=0x04) == 0x9000
    state = bytes.fromhex("4F07") + caps.INSTANCE
    assert bytes.fromhex("9F700103") in opened.secured("80F24002", state)
    assert opened.status(apdu("00A40400", caps.INSTANCE)) == 0x6A82
    assert opened.sw("80E60800", lvs(b"", b"", caps.INSTANCE, b"\0", b"", b"")) == 0x9000
    assert opened.status(apdu("00A40400", caps.INSTANCE)) == 0x9000


def test_select_ends_the_session(opened: Host) -> None:
    """After SELECT the old session's commands are refused."""
    opened.select()
    assert opened.sw("80F28002", b"\x4f\x00") == 0x6982


def test_failed_select_keeps_selection_and_session(opened: Host) -> None:
    """A SELECT that finds nothing changes nothing."""
    assert opened.status(apdu("00A40400", bytes(7))) == 0x6A82
    assert opened.sw("80F28002", b"\x4f\x00") == 0x9000


def test_card_reset_application_is_selected_at_power_on() -> None:
    """Privilege 04, given to one application only, makes it the default; GET DATA 66 is then not the ISD's."""
    card = Card(shipped("payment-scp02"), Eeprom({"isd/state": "01"}), bytes)
    opened = Host(transmit=lambda raw: card.transmit(raw)[0], blank=shipped("payment-scp02"))
    opened.open()
    opened.install_for_load()
    opened.load(caps.load_file(caps.CAP))
    assert opened.install(privileges="04") == 0x9000
    assert opened.install(aid=bytes(6), privileges="04") == 0x6985
    assert opened.sw("80CA0066") == 0x9000
    card.reset()
    assert opened.status(apdu("80CA0066")) == 0x6985
    assert opened.select()[-2:] == b"\x90\0"


def test_cplc_comes_in_its_tag(host: Host) -> None:
    """GET DATA 9F7F returns 42 bytes under 9F7F 2A."""
    answer = host.raw(apdu("80CA9F7F"))
    assert answer[:3] == bytes.fromhex("9F7F2A")
    assert len(answer) == 3 + 42 + 2


def test_recognition_data_names_the_protocol(host: Host) -> None:
    """Tag 66/73/64 holds the OID ending in SCP and i (GPCS H.2)."""
    answer = host.raw(apdu("80CA0066"))[:-2]
    expected = {2: "060B2A864886FC6B040255", 3: "060B2A864886FC6B040310"}[host.blank.scp]
    assert find(answer, 0x66, 0x73, 0x64) == bytes.fromhex(expected.replace("060B", "0609"))


def test_key_information_lists_three_keys(host: Host) -> None:
    """Tag E0 holds C0 04 with KID, KVN, type and length."""
    expected = {2: "C00401208010C00402208010C00403208010", 3: "C00401308810C00402308810C00403308810"}
    assert find(host.raw(apdu("80CA00E0"))[:-2], 0xE0) == bytes.fromhex(expected[host.blank.scp])


@pytest.mark.parametrize("tag", ["0042", "0045", "2F00", "00D0", "9F7E"])
def test_absent_data_is_6a88(tag: str, host: Host) -> None:
    """IIN and CIN are absent on a blank."""
    assert host.status(apdu(f"80CA{tag}")) == 0x6A88


def test_short_le_is_answered_with_the_right_length(host: Host) -> None:
    """6Cxx and no data."""
    assert host.raw(apdu("80CA9F7F", le="01")) == b"\x6c\x2d"


def test_store_data_gives_the_card_its_numbers(opened: Host) -> None:
    """IIN, CIN and the bureau's part of CPLC; unknown objects are 6A88, wrong lengths 6A80."""
    before = opened.secured("80CA9F7F")
    assert opened.store(0x90, 0, bytes.fromhex("42034761734503AABBCC9F67081122334455667788")) == 0x9000
    assert opened.secured("80CA0042")[:-2] == bytes.fromhex("4203476173")
    after = opened.secured("80CA9F7F")
    assert after == before[:37] + bytes.fromhex("1122334455667788") + before[-2:]
    assert opened.store(0x90, 0, bytes.fromhex("5F500101")) == 0x6A88
    assert opened.store(0x90, 0, bytes.fromhex("9F660101")) == 0x6A80
    assert opened.store(0x80, 0, b"x") == 0x6A80
    assert opened.store(0x88, 0, bytes.fromhex("0070054503010203")) == 0x9000
    assert opened.store(0x88, 0, bytes.fromhex("010100")) == 0x6A88


@pytest.mark.parametrize("level", [1, 3])
def test_a_chip_with_extended_lengths_takes_them(make: MakeHost, level: int) -> None:
    """Of any length, also one that a short command has; a DGI of 300 bytes comes in one and is read in one."""
    host = make(replace(shipped("export-scp03"), extended_length=True))
    assert host.raw(bytes.fromhex("80CA9F7F000000"))[-2:] == b"\x90\0"
    host.open(level)
    assert host.install_for_load() == 0x9000
    assert host.status(host.extended("80E80000", caps.load_file(caps.CAP)[:10])) == 0x9000
    assert host.status(host.extended("80E88001", caps.load_file(caps.CAP)[10:])) == 0x9000
    assert host.install() == 0x9000
    assert host.target() == 0x9000
    data = bytes.fromhex("0101FF012C") + bytes(300)
    assert host.status(host.extended("80E28800", data)) == 0x9000
    assert host.raw(apdu("00A40400", caps.INSTANCE))[-2:] == b"\x90\0"
    assert host.raw(bytes.fromhex("00B2010C0000 00")) == bytes(300) + b"\x90\0"


def test_a_chip_without_extended_lengths_refuses_them(opened: Host) -> None:
    """With 6700, before it looks at the MAC; the session goes on with short ones."""
    assert opened.install_for_load() == 0x9000
    for long in ("80CA9F7F000000", "84E80000 0000A0" + 160 * "00", "84E80000 000208" + 520 * "00"):
        assert opened.raw(bytes.fromhex(long)) == b"\x67\0"
    assert opened.load(caps.load_file(caps.CAP)) == 0x9000


@pytest.mark.parametrize("lc", [b"\x34", b"\x01\x34", b"\0\x01\x2c"], ids=["one byte", "two bytes", "without the MAC"])
def test_the_c_mac_of_an_extended_command_covers_all_of_its_lc(make: MakeHost, lc: bytes) -> None:
    """Over any other coding of the length it is 6988, and the session is over."""
    host = make(replace(shipped("export-scp03"), extended_length=True))
    host.open(1)
    header, data = bytes.fromhex("84E28800"), bytes(300)
    mac = crypto.cmac(host.mac, host.chain + header + lc + data)[:8]
    assert host.raw(header + b"\0\x01\x34" + data + mac) == b"\x69\x88"
    assert host.sw("80F28002", b"\x4f\0") == 0x6982
