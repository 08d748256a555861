"""Content and key commands byte by byte, with a host that shares nothing with the engine: what a card must not take."""

from dataclasses import replace

import pytest

from hardware import crypto
from hardware.sim.blank import Blank, shipped
from hardware.sim.card import Card
from hardware.sim.eeprom import Eeprom, Json
from tests.hardware.sim import caps
from tests.hardware.sim.conftest import MakeHost, fixed
from tests.hardware.sim.host import Host, apdu, lvs

KEY = bytes.fromhex("0F0E0D0C0B0A09080706050403020100")
DOMAIN = bytes.fromhex("D276000005AA01")
COMMANDS = {
    "PUT KEY": ("80D80081", b"\x31"),
    "INSTALL": ("80E60200", lvs(caps.PACKAGE, b"", b"", b"", b"")),
    "DELETE": ("80E40000", b"\x4f\x07" + caps.INSTANCE),
    "DELETE [key]": ("80E40000", b"\xd2\x01\x31"),
    "SET STATUS": ("80F04080", caps.INSTANCE),
    "GET STATUS": ("80F24002", b"\x4f\x00"),
}


def field(host: Host) -> bytes:
    """Return one key data field: type, block, three bytes of check value."""
    if host.blank.scp == 2:
        return b"\x80\x10" + host.encrypted(KEY) + b"\x03" + crypto.des3_ecb_encrypt(KEY, bytes(8))[:3]
    return b"\x88\x11\x10" + host.encrypted(KEY) + b"\x03" + crypto.aes_ecb_encrypt(KEY, b"\1" * 16)[:3]


def data_of(host: Host, name: str) -> tuple[str, bytes]:
    header, data = COMMANDS[name]
    return header, data + 3 * field(host) if name == "PUT KEY" else data


def test_keys_are_answered_with_their_check_values(opened: Host) -> None:
    """The set's number, then three bytes for each key, without lengths (GPCS 11.8.3.1)."""
    check = field(opened)[-3:]
    assert opened.secured(*data_of(opened, "PUT KEY")) == b"\x31" + 3 * check + b"\x90\0"


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_mac_is_refused_and_ends_the_session(name: str, prepared: Host) -> None:
    """6988, then 6982: nothing follows in that session, and nothing was done."""
    before = prepared.secured("80F24002", b"\x4f\x00")
    wrapped = bytearray(prepared.wrap(apdu(*data_of(prepared, name))))
    wrapped[-2] ^= 1
    assert prepared.status(bytes(wrapped)) == 0x6988
    assert prepared.sw("80F24002", b"\x4f\x00") == 0x6982
    prepared.open()
    assert prepared.secured("80F24002", b"\x4f\x00") == before


@pytest.mark.parametrize("name", COMMANDS)
def test_replayed_command_is_refused(name: str, prepared: Host) -> None:
    """The same bytes once more have another MAC to be."""
    wrapped = prepared.wrap(apdu(*data_of(prepared, name)))
    prepared.raw(wrapped)
    assert prepared.status(wrapped) == 0x6988


@pytest.mark.parametrize("name", COMMANDS)
def test_unprotected_command_is_refused(name: str, prepared: Host) -> None:
    """In a session, and outside of one."""
    command = apdu(*data_of(prepared, name))
    assert prepared.status(command) == 0x6982
    assert prepared.status(command) == 0x6982


@pytest.mark.parametrize("name", COMMANDS)
def test_cut_command_is_refused(name: str, prepared: Host) -> None:
    """Its length says more than there is."""
    wrapped = prepared.wrap(apdu(*data_of(prepared, name)))
    assert prepared.status(wrapped[:-4]) == 0x6700


@pytest.mark.parametrize("name", ["PUT KEY", "DELETE", "DELETE [key]", "INSTALL"])
def test_locked_card_takes_no_content_and_no_keys(name: str, prepared: Host) -> None:
    """CARD_LOCKED: 6985 for all but SET STATUS and GET STATUS."""
    for state in ("07", "0F", "7F"):
        assert prepared.sw(f"80F080{state}", prepared.blank.isd_aid) == 0x9000
    assert prepared.sw(*data_of(prepared, name)) == 0x6985


def test_key_under_another_dek_is_refused(opened: Host) -> None:
    """9485: a host that lost the session's key puts nothing."""
    opened.dek = bytes(reversed(opened.dek))
    before = opened.secured("80CA00E0")
    assert opened.sw(*data_of(opened, "PUT KEY")) == 0x9485
    opened.open()
    assert opened.secured("80CA00E0") == before


def test_last_of_three_keys_wrong_keeps_none(opened: Host) -> None:
    """A command is carried out whole or not at all."""
    header, data = data_of(opened, "PUT KEY")
    before = opened.secured("80CA00E0")
    assert opened.sw(header, data[:-1] + bytes((data[-1] ^ 1,))) == 0x9485
    assert opened.secured("80CA00E0") == before


def test_aes_key_without_its_length_is_refused(make: MakeHost) -> None:
    """Under an AES key the length in clear stands ahead of each block (Amendment D 7.2)."""
    host = make(shipped("export-scp03"))
    host.open()
    block = host.encrypted(KEY)
    check = crypto.aes_ecb_encrypt(KEY, b"\1" * 16)[:3]
    assert host.sw("80D80001", b"\x31\x88\x10" + block + b"\x03" + check) == 0x6A80
    assert host.sw("80D80001", b"\x31\x88\x11\x11" + block + b"\x03" + check) == 0x6A80
    assert host.sw("80D80001", b"\x31\x88\x11\x10" + block + b"\x03" + check) == 0x9000


def test_check_value_may_be_left_out(opened: Host) -> None:
    """Its length is 00 then, and the answer has none."""
    whole = field(opened)
    assert opened.secured("80D80001", b"\x31" + whole[:-4] + b"\0") == b"\x31\x90\0"


def test_domain_is_found_by_select_and_forgets_its_session(prepared: Host) -> None:
    """A supplementary security domain is selected like an application, and answers as a domain does."""
    fields = (bytes.fromhex("A0000001515350"), bytes.fromhex("A000000151535041"), DOMAIN, b"\x80", b"\xc9\0", b"")
    assert prepared.sw("80E60C00", lvs(*fields)) == 0x9000
    assert DOMAIN in prepared.select(DOMAIN)
    assert prepared.sw("80F24002", b"\x4f\x00") == 0x6982
    assert prepared.raw(apdu("80CA00E0"))[-2:] == b"\x6a\x88"


def test_each_domain_counts_for_itself(make: MakeHost) -> None:
    """Keys of one domain open nothing in another, and its counter isn't theirs."""
    host = make(replace(shipped("payment-scp02"), i=0x15))
    host.open()
    host.prepare()
    assert host.sw(*data_of(host, "PUT KEY")) == 0x9000
    other = replace(host.blank, enc=KEY, mac=KEY, dek=KEY)
    host.blank = other
    host.open(kvn=0x31)
    assert host.sw("80E40000", b"\xd2\x01\x20") == 0x9000
    assert host.status(apdu("80502000", bytes(8))) == 0x6A88


@pytest.mark.parametrize(
    ("kind", "spent", "sw"),
    [
        ("payment-scp02", {"scp/sequence": 0xFFFF}, 0x6985), ("export-scp03", {"scp/sequence": 0xFFFFFF}, 0x6985),
        ("payment-scp02", {"scp/failures": 10}, 0x6983), ("export-scp03", {"scp/failures": 10}, 0x6983),
    ],
)  # fmt: skip
def test_spent_key_set_opens_nothing_another_does(kind: str, spent: dict[str, Json], sw: int) -> None:
    """An exhausted sequence counter, or no tries left, is the end of one key set; its keys can still be replaced."""
    blank = shipped(kind)
    chip = Card(blank, Eeprom(spent), fixed)
    other = Card(blank, Eeprom({**spent, **_second_set(blank)}), fixed)
    first, second = (f"8050{kvn:02X}00" for kvn in (blank.kvn, 0x31))
    assert chip.transmit(apdu(first, bytes(8)))[0] == sw.to_bytes(2, "big")
    assert chip.transmit(apdu(second, bytes(8)))[0] == b"\x6a\x88"
    assert other.transmit(apdu(second, bytes(8)))[0][-2:] == b"\x90\0"
    assert other.transmit(apdu(first, bytes(8)))[0] == sw.to_bytes(2, "big")


def _second_set(blank: Blank) -> dict[str, Json]:
    kind = {2: "80", 3: "88"}[blank.scp]
    part: Json = {"parts": [kind + KEY.hex().upper()], "extended": False, "usage": "", "access": ""}
    names = (f"key/{blank.isd_aid.hex().upper()}/{kvn:02X}/0{kid}" for kvn in (blank.kvn, 0x31) for kid in (1, 2, 3))
    return {"isd/keyed": True, **dict.fromkeys(names, part)}
