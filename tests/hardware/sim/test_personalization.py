"""STORE DATA: structures, encryption, order, and what is kept."""

from dataclasses import replace

import pytest

from hardware.sim.blank import shipped
from hardware.sim.world import Defect
from hardware.tlv import dgi
from tests.hardware.sim import caps
from tests.hardware.sim.conftest import MakeHost
from tests.hardware.sim.host import Host, apdu, lvs, vectors

RECORD = dgi(0x0101, bytes.fromhex("70075A055413330089"))
# P1: last 80; all encrypted 60, the application knows 20; DGI 08, BER-TLV 10
DGI, LAST = 0x08, 0x80


@pytest.fixture
def target(prepared: Host) -> Host:
    """Return a host whose STORE DATA go to the application."""
    assert prepared.target() == 0x9000
    return prepared


def key_dgis() -> tuple[bytes, bytes]:
    """Return three published keys and their published check values."""
    (v,) = (v for v in vectors("kcv") if v["id"] == "ojc-kcv-des")
    return 3 * bytes.fromhex(v["key"]), 3 * bytes.fromhex(v["kcv"])


def record(host: Host, number: int = 1, sfi: int = 1) -> bytes:
    return host.raw(apdu(f"00B2{number:02X}{sfi << 3 | 4:02X}"))


def test_last_store_data_personalizes_the_application(target: Host) -> None:
    """GET STATUS shows 0F, and the record can be read."""
    assert target.store(DGI, 0, RECORD) == 0x9000
    assert target.store(DGI | LAST, 1, dgi(0x0201, b"\x70\x00")) == 0x9000
    assert b"\x9f\x70\x01\x0f" in target.secured("80F24002", b"\x4f\x00")
    target.select(caps.INSTANCE)
    assert record(target) == bytes.fromhex("70075A0554133300899000")
    assert record(target, sfi=2) == b"\x70\x00\x90\x00"


def test_personalized_application_takes_nothing_more(target: Host) -> None:
    """A second personalization is 6985."""
    assert target.store(DGI | LAST, 0, RECORD) == 0x9000
    assert target.target() == 0x9000
    assert target.store(DGI | LAST, 0, RECORD) == 0x6985


def test_nothing_is_read_before_personalization_ends(target: Host) -> None:
    """READ RECORD and GET DATA are 6985 while the application is only SELECTABLE."""
    target.store(DGI, 0, RECORD)
    target.select(caps.INSTANCE)
    assert record(target) == b"\x69\x85"
    assert target.status(apdu("80CA9102")) == 0x6985


def test_blocks_are_numbered_from_zero(target: Host) -> None:
    """A gap or a repetition is 6A86, and the count starts again at 00."""
    assert target.store(DGI, 1, RECORD) == 0x6A86
    assert target.store(DGI, 0, RECORD) == 0x9000
    assert target.store(DGI, 0, RECORD) == 0x6A86
    assert target.store(DGI, 1, RECORD) == 0x6A86
    assert target.store(DGI, 0, RECORD) == 0x9000
    assert target.store(DGI | LAST, 1, RECORD) == 0x9000


def test_new_session_starts_the_count_and_forgets_the_target(target: Host) -> None:
    """After a new handshake block 00 of a new INSTALL [for personalization] is expected."""
    assert target.store(DGI, 0, RECORD) == 0x9000
    target.open()
    assert target.store(DGI, 1, RECORD) == 0x6A86
    assert target.store(DGI, 0, RECORD) == 0x6A88  # without a target the data is the Security Domain's
    assert target.target() == 0x9000
    assert target.store(DGI | LAST, 0, RECORD) == 0x9000


@pytest.mark.parametrize("p1", [0x18, 0x48, 0x40, 0x0A, 0x0C, 0x98])
def test_reserved_bits_of_p1_are_6a86(p1: int, target: Host) -> None:
    """Structure 11, encryption 10, b3 and b2."""
    assert target.store(p1, 0, RECORD) == 0x6A86


def test_response_bit_is_accepted(target: Host) -> None:
    """b1 announces a case 4 command; this application answers nothing."""
    assert target.secured(f"80E2{DGI | LAST | 1:02X}00", RECORD) == b"\x90\0"


def test_long_dgi_spans_commands_and_others_follow(target: Host) -> None:
    """Its full length is stated, the rest opens the next STORE DATA."""
    long = bytes(range(256)) + bytes(44)
    whole = dgi(0x0103, long[:200]) + dgi(0x9104, long) + RECORD
    assert target.store(DGI, 0, whole[:220]) == 0x9000
    assert target.store(DGI, 1, whole[220:400]) == 0x9000
    assert target.store(DGI | LAST, 2, whole[400:]) == 0x9000
    target.select(caps.INSTANCE)
    assert record(target, 3) == long[:200] + b"\x90\0"
    assert record(target)[-2:] == b"\x90\0"


@pytest.mark.parametrize("size", [0x00, 0xFE, 0xFF, 0x100])
def test_dgi_lengths(size: int, target: Host) -> None:
    """00 to FE in one byte, more as FF and two bytes."""
    whole = dgi(0x9103, bytes(size))
    assert target.store(DGI, 0, whole[:200]) == 0x9000
    assert target.store(DGI | LAST, 1, whole[200:]) == 0x9000


def test_last_block_of_a_cut_dgi_is_6a86(target: Host) -> None:
    """The announced bytes never came; nothing of the command stays."""
    assert target.store(DGI | LAST, 0, RECORD[:-1]) == 0x6A86
    assert target.store(DGI | LAST, 0, RECORD[:2]) == 0x6A80
    assert target.store(DGI | LAST, 0, RECORD) == 0x9000


def test_rejected_command_drops_the_begun_dgi(target: Host) -> None:
    """After a refusal the rest of a DGI is no longer understood as a rest."""
    assert target.store(DGI, 0, RECORD[:6]) == 0x9000
    assert target.store(DGI, 7, RECORD[6:]) == 0x6A86
    assert target.store(DGI | LAST, 0, RECORD[6:]) != 0x9000


def test_mode_cannot_change_inside_a_dgi(target: Host) -> None:
    """Encryption and structure hold for the whole DGI."""
    assert target.store(DGI, 0, RECORD[:6]) == 0x9000
    assert target.store(DGI | 0x20, 1, RECORD[6:]) == 0x6A80


def test_refused_command_keeps_none_of_its_dgis(make: MakeHost) -> None:
    """A good DGI before an unknown one (6A88) in the same command isn't stored."""
    host = make(shipped("payment-scp02"), Defect(refused_dgis=frozenset({0x0202})))
    host.open()
    host.prepare()
    host.target()
    assert host.store(DGI, 0, RECORD + dgi(0x0202, b"x")) == 0x6A88
    assert host.store(DGI | LAST, 0, dgi(0x0102, b"y")) == 0x9000
    host.select(caps.INSTANCE)
    assert record(host) == b"\x6a\x83"
    assert record(host, 2) == b"y\x90\0"


def test_a_worn_cell_keeps_a_dgi_with_one_bit_flipped_and_a_dead_one_nothing(make: MakeHost) -> None:
    """The chip takes both without a word, and only reading tells."""
    host = make(shipped("payment-scp02"), Defect(worn_dgis=[0x0101], lost_dgis=[0x0102]))
    host.open()
    host.prepare()
    host.target()
    assert host.store(DGI | LAST, 0, RECORD + dgi(0x0102, b"x") + dgi(0x0103, b"y")) == 0x9000
    host.select(caps.INSTANCE)
    assert record(host) == bytes.fromhex("70075A0554133300889000")
    assert record(host, 2) == b"\x6a\x83"
    assert record(host, 3) == b"y\x90\0"


def test_all_encrypted_command(target: Host) -> None:
    """b7b6 = 11: every DGI in it is decrypted, whatever its number."""
    value = bytes(range(32))
    assert target.store(DGI | LAST | 0x60, 0, dgi(0x0101, target.encrypted(value))) == 0x9000
    target.select(caps.INSTANCE)
    assert record(target) == value + b"\x90\0"


def test_application_knows_which_dgis_are_encrypted(target: Host) -> None:
    """b7b6 = 01: 8000 is, 9000 and records are not; the check values prove the decryption."""
    keys, checks = key_dgis()
    data = dgi(0x8000, target.encrypted(keys)) + dgi(0x9000, checks) + RECORD
    assert target.store(DGI | LAST | 0x20, 0, data) == 0x9000
    target.select(caps.INSTANCE)
    assert record(target)[:2] == b"\x70\x07"


@pytest.mark.parametrize("size", [0, 7, 47])
def test_encrypted_length_must_be_whole_blocks(size: int, target: Host) -> None:
    """6A80 otherwise."""
    assert target.store(DGI | 0x60, 0, dgi(0x0101, bytes(size))) == 0x6A80


def test_eight_bytes_fit_3des_only(target: Host) -> None:
    """A PIN block for an AES chip comes padded to 16."""
    assert target.store(DGI | 0x20, 0, dgi(0x8010, bytes(8))) == (0x9000 if target.blank.scp == 2 else 0x6A80)
    assert target.target() == 0x9000
    assert target.store(DGI | 0x20, 0, dgi(0x8010, bytes(16))) == 0x9000


@pytest.mark.parametrize("wrong", [b"\0\0\0", b""])
def test_keys_that_miss_their_check_values_are_6a80(wrong: bytes, target: Host) -> None:
    """The last block compares DGI 8000 with DGI 9000, and the application stays unpersonalized."""
    keys, checks = key_dgis()
    checks = wrong + checks[3:]
    assert target.store(DGI | 0x20, 0, dgi(0x8000, target.encrypted(keys))) == 0x9000
    assert target.store(DGI | LAST, 1, dgi(0x9000, checks)) == 0x6A80
    assert target.target() == 0x9000
    assert target.store(DGI | LAST, 0, dgi(0x9000, key_dgis()[1])) == 0x9000


def test_keys_sent_in_clear_are_noticed(target: Host) -> None:
    """Unencrypted keys where decryption is expected don't match their check values."""
    keys, checks = key_dgis()
    assert target.store(DGI | LAST | 0x20, 0, dgi(0x8000, keys) + dgi(0x9000, checks)) == 0x6A80


@pytest.mark.parametrize(("first", "second"), [(0x9000, 0x8000), (0x8010, 0x9010)])
def test_order_of_dependent_dgis(first: int, second: int, target: Host) -> None:
    """8000 before 9000 and 9010 before 8010; the other way round is 6985, alone each is accepted."""
    assert target.store(DGI, 0, dgi(first, bytes(16))) == 0x9000
    assert target.store(DGI, 1, dgi(second, bytes(16))) == 0x6985


@pytest.mark.parametrize(("first", "second"), [(0x8000, 0x9000), (0x9010, 0x8010)])
def test_right_order_may_be_repeated(first: int, second: int, target: Host) -> None:
    """A new attempt writes both again."""
    assert target.store(DGI, 0, dgi(first, bytes(16)) + dgi(second, bytes(16))) == 0x9000
    assert target.store(DGI, 1, dgi(first, bytes(16)) + dgi(second, bytes(16))) == 0x9000


def test_data_objects_in_tlv_structure(target: Host) -> None:
    """b5b4 = 10: whole objects, which may span commands; GET DATA returns them with their tag."""
    assert target.store(0x10, 0, bytes.fromhex("5A02AABB9F3681")) == 0x6A80  # a length cut in two
    assert target.store(0x10, 0, bytes.fromhex("5A02AABB9F3603AA")) == 0x9000
    assert target.store(0x90, 1, bytes.fromhex("BBCC")) == 0x9000
    target.select(caps.INSTANCE)
    assert target.raw(apdu("80CA005A")) == bytes.fromhex("5A02AABB9000")
    assert target.raw(apdu("00CA9F36")) == bytes.fromhex("9F3603AABBCC9000")
    assert target.status(apdu("80CA9F37")) == 0x6A88


def test_data_without_structure_is_appended(target: Host) -> None:
    """b5b4 = 00."""
    assert target.store(0x00, 0, b"abc") == 0x9000
    assert target.store(0x80, 1, b"def") == 0x9000


def test_secret_dgis_are_never_read(target: Host) -> None:
    """GET DATA gives 9xxx DGIs, and 6A88 for 8xxx ones and for what isn't there."""
    secrets = dgi(0x8101, bytes(16)) + dgi(0x8020, bytes(16))
    data = RECORD + secrets + dgi(0x9103, b"gpo") + dgi(0x9102, bytes.fromhex("50044341524C"))
    assert target.store(DGI | LAST, 0, data) == 0x9000
    assert b"\xa5\x06\x50\x04CARL" in target.select(caps.INSTANCE)
    assert target.raw(apdu("80CA9103")) == b"gpo\x90\0"
    for tag in ("8101", "8020", "9104", "0101"):
        assert target.status(apdu(f"80CA{tag}")) == 0x6A88


@pytest.mark.parametrize(
    ("header", "sw"),
    [("00B2010C", 0x9000), ("00B2020C", 0x6A83), ("00B20114", 0x6A82), ("00B2000C", 0x6A86), ("00B2010D", 0x6A86),
     ("00B20104", 0x6A86), ("00B201FC", 0x6A86)],
)  # fmt: skip
def test_read_record(header: str, sw: int, target: Host) -> None:
    """A record, an absent record, an absent file, wrong parameters."""
    target.store(DGI | LAST, 0, RECORD)
    target.select(caps.INSTANCE)
    assert target.status(apdu("80E60000")) == 0x6D00
    assert target.status(apdu(header)) == sw


def test_application_can_be_personalized_directly(prepared: Host) -> None:
    """SELECT the application, open its domain's channel there, STORE DATA."""
    assert prepared.select(caps.INSTANCE)[-2:] == b"\x90\0"
    assert prepared.status(apdu("80E28800", RECORD)) == 0x6982
    prepared.open()
    assert prepared.store(DGI, 0, RECORD[:5]) == 0x9000
    assert prepared.store(DGI | LAST, 1, RECORD[5:]) == 0x9000
    prepared.select(caps.INSTANCE)
    assert record(prepared)[-2:] == b"\x90\0"


@pytest.mark.parametrize(
    ("data", "sw"),
    [
        (lvs(b"", b"", caps.INSTANCE, b"", b"", b""), 0x9000),
        (lvs(b"", b"", bytes(7), b"", b"", b""), 0x6A88),
        (lvs(b"", b"", caps.INSTANCE, b"", b""), 0x6A80),
        (lvs(b"", b"", caps.INSTANCE, b"\0", b"", b""), 0x6A80),
        (lvs(b"", b"", caps.INSTANCE, b"", b"", b"") + b"\0", 0x6A80),
    ],
)
def test_install_for_personalization_fields(data: bytes, sw: int, prepared: Host) -> None:
    """00 00 LV(AID) 00 00 00 and nothing else (GPCS table 11-47)."""
    assert prepared.sw("80E62000", data) == sw


def test_personalization_data_needs_memory(make: MakeHost) -> None:
    """6A84 once the chip is full."""
    host = make(replace(shipped("payment-scp02"), memory=len(caps.CAP) + 256 + 100))
    host.open()
    host.prepare()
    host.target()
    assert host.store(DGI, 0, dgi(0x0101, bytes(90))) == 0x9000
    assert host.store(DGI, 1, dgi(0x0102, bytes(11))) == 0x6A84
    assert host.store(DGI | LAST, 0, dgi(0x0102, bytes(10))) == 0x9000
