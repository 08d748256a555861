"""Load files: how they come in, and which are refused."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from hardware.sim.apdu import RefusedError
from hardware.sim.blank import shipped
from hardware.sim.loadfile import check_hash, inspect
from tests.hardware.sim import caps
from tests.hardware.sim.conftest import MakeHost
from tests.hardware.sim.host import Host, lvs

Parts = dict[int, bytes]


def test_accepted_load_file_shows_its_modules(opened: Host) -> None:
    """GET STATUS 10 lists the load file with its version and modules (E3 4F 9F70 CE 84 CC)."""
    assert opened.install_for_load() == 0x9000
    assert opened.load(caps.load_file(caps.CAP), size=100) == 0x9000
    isd = opened.blank.isd_aid.hex()
    fields = f"4F06A000000004019F700101CE0201008407A0000000040101CC08{isd}"
    expected = bytes.fromhex(f"E3{len(fields) // 2:02X}{fields}9000")
    assert opened.secured("80F21002", b"\x4f\x00") == expected


@pytest.mark.parametrize("name", ["sha1", "sha256", "sha384", "sha512"])
def test_hash_over_the_value_is_verified(name: str, opened: Host) -> None:
    """The right hash passes, another one is 6A80 at the last block."""
    right = hashlib.new(name, caps.CAP).digest()
    assert opened.install_for_load(digest=right[::-1]) == 0x9000
    assert opened.load(caps.load_file(caps.CAP)) == 0x6A80
    assert opened.install_for_load(digest=right) == 0x9000
    assert opened.load(caps.load_file(caps.CAP)) == 0x9000


def test_hash_includes_neither_tag_nor_length() -> None:
    """A hash over the whole C4 object is wrong."""
    with pytest.raises(RefusedError, match="6A80"):
        check_hash(caps.CAP, hashlib.sha256(caps.load_file(caps.CAP)).digest())


@pytest.mark.parametrize(
    ("data", "sw"),
    [
        (lvs(caps.PACKAGE, b"", bytes(7), b"", b""), 0x6A80),
        (lvs(caps.PACKAGE, b"", b"", b"", b"token"), 0x6A80),
        (lvs(caps.PACKAGE, b"", b"", b""), 0x6A80),
        (lvs(caps.PACKAGE, b"", b"", b"", b"") + b"\0", 0x6A80),
        (lvs(b"1234", b"", b"", b"", b""), 0x6A80),
        (lvs(caps.PACKAGE, bytes(8), b"", b"", b""), 0x6A88),
        (lvs(caps.PACKAGE, b"", b"", bytes.fromhex("EF04C602FFFF"), b""), 0x9000),
        (lvs(caps.PACKAGE, b"", b"", bytes.fromhex("EF06C60400010001"), b""), 0x6A84),
        (lvs(caps.PACKAGE, b"", b"", bytes.fromhex("EF03C601FF"), b""), 0x6A80),
        (lvs(caps.PACKAGE, b"", b"", bytes.fromhex("EF05C6"), b""), 0x6A80),
    ],
)
def test_install_for_load_fields(data: bytes, sw: int, opened: Host) -> None:
    """Lengths, Security Domain, hash, memory quota and token are checked."""
    assert opened.sw("80E60200", data) == sw


def test_block_numbers_run_from_zero_without_gaps(opened: Host) -> None:
    """A skipped or repeated block is 6A86 and ends the load process (then 6985)."""
    whole = caps.load_file(caps.CAP)
    for wrong in (0, 2):
        opened.install_for_load()
        assert opened.sw("80E80000", whole[:50]) == 0x9000
        assert opened.sw(f"80E800{wrong:02X}", whole[50:100]) == 0x6A86
        assert opened.sw("80E80001", whole[50:100]) == 0x6985


def test_load_without_install_is_6985(opened: Host) -> None:
    """So is a LOAD after another management command, or another session, interrupted the load process."""
    assert opened.load(caps.load_file(caps.CAP)) == 0x6985
    opened.install_for_load()
    opened.sw("80E40000", b"\x4f\x06" + bytes(6))
    assert opened.load(caps.load_file(caps.CAP)) == 0x6985
    opened.install_for_load()
    opened.open()
    assert opened.load(caps.load_file(caps.CAP)) == 0x6985


@pytest.mark.parametrize(
    "whole",
    [
        b"\xe2\x03\x4f\x01\x00" + caps.load_file(caps.CAP),
        caps.CAP,
        caps.load_file(caps.CAP)[:-1],
        caps.load_file(caps.CAP) + b"\0",
        b"\xd4" + caps.load_file(caps.CAP)[1:],
        b"\xc4\x84\0\0\0\1\0",
    ],
)
def test_block_under_a_wrong_tag_or_length_is_6a80(whole: bytes, opened: Host) -> None:
    """DAP blocks, no C4, too few bytes, too many, a ciphered file, a length of four bytes."""
    opened.install_for_load()
    assert opened.load(whole) == 0x6A80


def test_last_block_too_early_is_6a80(opened: Host) -> None:
    """P1.b8 before all stated bytes have come."""
    opened.install_for_load()
    assert opened.sw("80E88000", caps.load_file(caps.CAP)[:80]) == 0x6A80


def test_package_aid_must_be_the_announced_one(opened: Host) -> None:
    """The Header component's AID against INSTALL [for load]."""
    assert opened.install_for_load(package=caps.MODULE) == 0x9000
    assert opened.load(caps.load_file(caps.CAP)) == 0x6A80


def test_known_aid_is_6985(prepared: Host) -> None:
    """Neither a load file nor an application is replaced by loading."""
    assert prepared.install_for_load() == 0x6985
    assert prepared.install_for_load(package=caps.INSTANCE) == 0x6985


def test_memory_runs_out(make: MakeHost) -> None:
    """A load file or an instance that doesn't fit is 6A84, and deleting gives the memory back."""
    host = make(replace(shipped("payment-scp02"), memory=len(caps.CAP) + 300))
    host.open()
    big = caps.join(caps.components(code=1000))
    host.install_for_load()
    assert host.sw("80E80000", caps.load_file(big)[:50]) == 0x6A84  # the first block states the size
    host.prepare()
    assert host.install(aid=bytes(8)) == 0x6A84
    assert host.sw("80E40000", b"\x4f\x07" + caps.INSTANCE) == 0x9000
    assert host.install(aid=bytes(8), params="C900EF04C8020400") == 0x6A84
    assert host.install(aid=bytes(8)) == 0x9000


def without(*tags: int) -> Callable[[Parts], bytes]:
    return lambda parts: caps.join({tag: parts[tag] for tag in parts if tag not in tags})


def changed(tag: int, change: Callable[[bytes], bytes]) -> Callable[[Parts], bytes]:
    return lambda parts: caps.join(parts | {tag: change(parts[tag])})


@pytest.mark.parametrize(
    "build",
    [
        without(1), without(2), without(9), without(3),
        lambda parts: caps.join(parts, (1, 2, 3, 4, 6, 7, 8, 5, 9)),
        lambda parts: caps.join(parts, (2, 1, 4, 3, 6, 7, 8, 5, 9)),
        lambda parts: caps.join(parts) + b"\x0c\0\0",
        lambda parts: caps.join(parts) + caps.join({9: parts[9]}),
        lambda parts: caps.join(parts)[:-1],
        lambda parts: caps.join(parts) + b"\x0b\0",
        lambda parts: b"",
        lambda parts: b"PK\x03\x04" + bytes(40),
        changed(1, lambda header: b"\xde\xca\xff\xee" + header[4:]),
        changed(1, lambda header: header[:4] + b"\x09\x09" + header[6:]),
        changed(1, lambda header: header[:6] + b"\x00" + header[7:]),
        changed(1, lambda header: header[:6] + b"\x06" + header[7:]),
        changed(2, lambda table: b"\0\1" + table[2:]),
        changed(2, lambda table: table[:-2] + b"\x02\x00"),
        changed(2, lambda table: table + b"\0"),
        changed(2, lambda table: table[:-1] + b"\x01\x80\0\4"),
        changed(3, lambda applets: b"\x02" + applets[1:]),
        changed(3, lambda applets: applets + b"\0"),
        changed(4, lambda imports: imports[:-1]),
        changed(7, lambda code: code + b"\0"),
    ],
)  # fmt: skip
def test_load_file_with_a_defect_is_refused(build: Callable[[Parts], bytes]) -> None:
    """Missing, misplaced, doubled, cut or contradictory components."""
    with pytest.raises(RefusedError, match="6A80"):
        inspect(build(caps.components()), caps.PACKAGE)


def test_directory_may_list_a_debug_component_that_isnt_loaded() -> None:
    """CAP format 2.2 has twelve entries, and loading leaves Debug out."""
    parts = caps.components()
    parts[1] = parts[1][:4] + b"\x02" + parts[1][5:]
    parts[2] = caps.directory({tag: part for tag, part in parts.items() if tag != 2}, 1, debug=500)
    assert inspect(caps.join(parts), caps.PACKAGE).modules == (caps.MODULE,)


def test_directory_may_list_custom_components() -> None:
    """Their tags, sizes and AIDs are read over; the components themselves are never loaded."""
    parts = caps.components()
    table = parts[2][:-1] + b"\x01\x80\0\4\x05" + bytes(5)
    own = len(table).to_bytes(2, "big")
    parts[2] = table[:2] + own + table[4:]
    assert inspect(caps.join(parts), caps.PACKAGE).modules == (caps.MODULE,)
