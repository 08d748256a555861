"""INSTALL, DELETE, GET STATUS and SET STATUS over the registry."""

from dataclasses import replace

import pytest

from hardware.sim.blank import shipped
from hardware.tlv import find, parse
from tests.hardware.sim import caps
from tests.hardware.sim.conftest import MakeHost
from tests.hardware.sim.host import Host, apdu, lvs

ANY = b"\x4f\x00"


def state(host: Host, aid: bytes = caps.INSTANCE) -> int:
    answer = host.secured("80F24002", b"\x4f" + bytes((len(aid),)) + aid)
    return (find(answer[:-2], 0xE3, 0x9F70) or b"\0")[0]


@pytest.mark.parametrize("kind", ["20", "10", "40"])
def test_nothing_found_is_6a88(kind: str, opened: Host) -> None:
    """A blank has no load files and no applications."""
    assert opened.sw(f"80F2{kind}02", ANY) == 0x6A88


def test_status_of_the_issuer_security_domain(opened: Host) -> None:
    """Its AID, the card's life cycle and three privilege bytes."""
    answer = opened.secured("80F28002", ANY)[:-2]
    assert find(answer, 0xE3, 0x4F) == opened.blank.isd_aid
    assert find(answer, 0xE3, 0x9F70) == b"\x01"
    assert len(find(answer, 0xE3, 0xC5) or b"") == 3


def test_status_of_an_application(prepared: Host) -> None:
    """E3 holds 4F, 9F70, C5, C4 (load file) and CC (Security Domain)."""
    answer = prepared.secured("80F24002", ANY)
    isd = prepared.blank.isd_aid.hex()
    fields = f"4F07A00000000410109F700107C503000000C406A00000000401CC08{isd}"
    assert answer == bytes.fromhex(f"E3{len(fields) // 2:02X}{fields}9000")


def test_tag_list_limits_the_answer(prepared: Host) -> None:
    """5C names the tags wanted."""
    answer = prepared.secured("80F24002", bytes.fromhex("4F005C034F9F70"))
    assert answer == bytes.fromhex("E30D4F07A00000000410109F7001079000")


def test_search_by_the_beginning_of_an_aid(prepared: Host) -> None:
    """4F is a prefix; another prefix finds nothing."""
    assert prepared.sw("80F24002", bytes.fromhex("4F05A000000004")) == 0x9000
    assert prepared.sw("80F24002", bytes.fromhex("4F05A000000005")) == 0x6A88


@pytest.mark.parametrize(
    ("header", "data", "sw"),
    [
        ("80F24004", ANY, 0x6A86), ("80F24001", ANY, 0x6985), ("80F2C002", ANY, 0x6A86), ("80F20002", ANY, 0x6A86),
        ("80F28002", b"", 0x6A80), ("80F28002", b"\x5c\x01\x4f", 0x6A80), ("80F28002", b"\x4f\x05\xa0", 0x6A80),
        ("80F28002", ANY + b"\x84\x00", 0x6A80), ("80F28003", ANY, 0x6985),
    ],
)  # fmt: skip
def test_get_status_parameters(header: str, data: bytes, sw: int, opened: Host) -> None:
    """Unknown bits of P2, combined kinds, a missing or cut 4F, next without first."""
    assert opened.sw(header, data) == sw


def test_long_status_comes_in_parts(make: MakeHost) -> None:
    """6310 while templates are left; each answer holds whole E3 templates."""
    host = make(replace(shipped("export-scp03"), response_limit=128))
    host.open()
    host.prepare()
    for n in range(1, 6):
        assert host.install(aid=caps.INSTANCE[:-1] + bytes((n,))) == 0x9000
    answer = host.secured("80F24002", ANY)
    found = b""
    while answer[-2:] == b"\x63\x10":
        found += answer[:-2]
        answer = host.secured("80F24003", ANY)
    assert answer[-2:] == b"\x90\0"
    assert len([*parse(found + answer[:-2])]) == 6
    assert host.sw("80F24003", ANY) == 0x6985


@pytest.mark.parametrize(
    ("fields", "sw"),
    [
        ((caps.MODULE, caps.MODULE, b"", b"\0", b"\xc9\0", b""), 0x6A88),
        ((caps.PACKAGE, caps.PACKAGE, b"", b"\0", b"\xc9\0", b""), 0x6A88),
        ((caps.PACKAGE, caps.MODULE, b"", b"\0", b"", b""), 0x6A80),
        ((caps.PACKAGE, caps.MODULE, b"", b"\0", b"\xc9\x05", b""), 0x6A80),
        ((caps.PACKAGE, caps.MODULE, b"", b"", b"\xc9\0", b""), 0x6A80),
        ((caps.PACKAGE, caps.MODULE, b"", b"\0\0", b"\xc9\0", b""), 0x6A80),
        ((caps.PACKAGE, caps.MODULE, b"", b"\x80", b"\xc9\0", b""), 0x6A80),
        ((caps.PACKAGE, caps.MODULE, b"", b"\0", b"\xc9\0", b"token"), 0x6A80),
        ((caps.PACKAGE, caps.MODULE, b"1234", b"\0", b"\xc9\0", b""), 0x6A80),
        ((caps.PACKAGE, caps.MODULE, b"", b"\0", b"\xc9\0"), 0x6A80),
        ((caps.PACKAGE, caps.MODULE, caps.INSTANCE, b"\0", b"\xc9\0", b""), 0x6985),
        ((caps.PACKAGE, caps.MODULE, caps.PACKAGE, b"\0", b"\xc9\0", b""), 0x6985),
        ((caps.PACKAGE, caps.MODULE, b"", b"\0", b"\xc9\0", b""), 0x9000),
        ((caps.PACKAGE, caps.MODULE, b"", b"\0\0\0", b"\xc9\x01\xaa", b""), 0x9000),
    ],
)
def test_install_fields(fields: tuple[bytes, ...], sw: int, prepared: Host) -> None:
    """Load file and module exist, C9 is there, privileges have 1 or 3 bytes, the AID is free."""
    assert prepared.sw("80E60C00", lvs(*fields)) == sw


@pytest.mark.parametrize("header", ["80E68200", "80E60201", "80E60000", "80E61800", "80E60E00", "80E60E02"])
def test_other_installs_are_6a86(header: str, opened: Host) -> None:
    """No segments, no parts of a combined load and install but its first and its last, and nothing that isn't defined."""
    assert opened.sw(header, lvs(caps.PACKAGE, b"", b"", b"", b"")) == 0x6A86


def test_make_selectable_happens_once(prepared: Host) -> None:
    """A selectable application is 6985, an unknown one 6A88."""
    assert prepared.sw("80E60800", lvs(b"", b"", caps.INSTANCE, b"\0", b"", b"")) == 0x6985
    assert prepared.sw("80E60800", lvs(b"", b"", bytes(6), b"\0", b"", b"")) == 0x6A88


def test_load_file_with_instances_is_kept(prepared: Host) -> None:
    """6985 unless P2 asks for the related objects too."""
    package = b"\x4f\x06" + caps.PACKAGE
    assert prepared.sw("80E40000", package) == 0x6985
    assert prepared.secured("80E40080", package) == b"\0\x90\0"
    assert prepared.sw("80F24002", ANY) == 0x6A88
    assert prepared.sw("80F22002", ANY) == 0x6A88


@pytest.mark.parametrize(
    ("header", "data", "sw"),
    [
        ("80E40000", b"\x4f\x07" + bytes(7), 0x6A88), ("80E40000", b"\x4f\x07" + caps.MODULE, 0x6A88),
        ("80E40000", b"\xd2\x02\x20\x20", 0x6A80), ("80E40000", b"\x4f\x07\xa0", 0x6A80),
        ("80E40040", b"\x4f\x07" + caps.INSTANCE, 0x6A86), ("80E40000", b"\x4f\x07" + caps.INSTANCE, 0x9000),
    ],
)  # fmt: skip
def test_delete(header: str, data: bytes, sw: int, prepared: Host) -> None:
    """Unknown objects, modules, keys, malformed data."""
    assert prepared.sw(header, data) == sw


def test_security_domain_is_not_deleted(opened: Host) -> None:
    """6985 for the ISD itself."""
    assert opened.sw("80E40000", b"\x4f\x08" + opened.blank.isd_aid) == 0x6985


def test_domain_locks_and_unlocks_but_personalizes_nobody(prepared: Host) -> None:
    """LOCKED keeps the state below; P2 0F for another application is 6985."""
    assert prepared.sw("80F0400F", caps.INSTANCE) == 0x6985
    assert prepared.sw("80F04080", caps.INSTANCE) == 0x9000
    assert state(prepared) == 0x87
    assert prepared.sw("80F04080", caps.INSTANCE) == 0x6985
    assert prepared.target() == 0x6985
    assert prepared.status(apdu("00A40400", caps.INSTANCE)) == 0x6A82
    assert prepared.sw("80F04000", caps.INSTANCE) == 0x9000
    assert state(prepared) == 0x07
    assert prepared.sw("80F04080", bytes(7)) == 0x6A88
    assert prepared.sw("80F06080", caps.INSTANCE) == 0x6A88
    assert prepared.sw("80F02080", caps.INSTANCE) == 0x6A86


def test_card_life_cycle_runs_forward(opened: Host) -> None:
    """OP_READY, INITIALIZED, SECURED; no step back, none skipped, no unknown coding."""
    isd = opened.blank.isd_aid
    for wanted, sw in ((0x0F, 0x6985), (0x07, 0x9000), (0x01, 0x6985), (0x0F, 0x9000), (0x33, 0x6A80)):
        assert opened.sw(f"80F080{wanted:02X}", isd) == sw
    assert b"\x9f\x70\x01\x0f" in opened.secured("80F28002", ANY)


def test_locked_card_selects_only_its_domain(prepared: Host) -> None:
    """CARD_LOCKED: the ISD answers SELECT with 6283, applications are not found, content stays as it is."""
    for wanted in ("07", "0F", "7F"):
        assert prepared.sw(f"80F080{wanted}", prepared.blank.isd_aid) == 0x9000
    assert prepared.sw("80E40000", b"\x4f\x07" + caps.INSTANCE) == 0x6985
    assert prepared.select()[-2:] == b"\x62\x83"
    assert prepared.status(apdu("00A40400", caps.INSTANCE)) == 0x6A82
    prepared.open()
    assert prepared.sw("80F0800F", prepared.blank.isd_aid) == 0x9000
    assert prepared.select(caps.INSTANCE)[-2:] == b"\x90\0"


def test_terminated_card_answers_get_data_only(opened: Host) -> None:
    """TERMINATED is the end."""
    assert opened.sw("80F080FF", opened.blank.isd_aid) == 0x9000
    assert opened.status(apdu("00A40400")) == 0x6985
    assert opened.status(apdu("80500000", bytes(8))) == 0x6985
    assert opened.sw("80CA9F7F") == 0x9000
