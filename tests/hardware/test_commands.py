"""Every builder gives the bytes that the specification's tables spell out."""

import pytest

from hardware.gp import commands
from hardware.gp.parameters import Install
from hardware.iso7816 import AID, Command

PACKAGE = AID(bytes.fromhex("A00000000401"))
MODULE = AID(bytes.fromhex("A0000000040101"))
INSTANCE = AID(bytes.fromhex("A0000000041010"))
ISD = AID(bytes.fromhex("A000000151000000"))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (commands.select(ISD), "00A4040008 A000000151000000 00"),
        (commands.get_data(0x9F7F), "80CA9F7F00"),
        (commands.get_data(0x66), "80CA006600"),
        (commands.get_status(commands.ISD), "80F28002 02 4F00 00"),
        (commands.get_status(commands.APPLICATIONS, INSTANCE), "80F24002 09 4F07A0000000041010 00"),
        (commands.get_status(commands.LOAD_FILES, following=True), "80F22003 02 4F00 00"),
        (
            commands.install_for_load(PACKAGE, ISD),
            "80E60200 13 06A00000000401 08A000000151000000 00 00 00 00",
        ),
        (
            commands.install_for_install(PACKAGE, MODULE, INSTANCE, b"\x10", bytes(Install())),
            "80E60C00 1D 06A00000000401 07A0000000040101 07A0000000041010 0110 02C900 00 00",
        ),
        (
            commands.install_for_install(
                PACKAGE, MODULE, INSTANCE, b"\x80\0\0", bytes(Install(application=b"\xab")), selectable=False
            ),
            "80E60400 20 06A00000000401 07A0000000040101 07A0000000041010 03800000 03C901AB 00 00",
        ),
        (commands.install_for_personalization(INSTANCE), "80E62000 0D 0000 07A0000000041010 000000 00"),
        (commands.select(), "00A4040000"),
        (commands.select(ISD, following=True), "00A4040208 A000000151000000 00"),
        (commands.get_status(commands.APPLICATIONS, deprecated=True), "80F24000 02 4F00 00"),
        (commands.get_status(commands.MODULES, following=True, deprecated=True), "80F21001 02 4F00 00"),
        (
            commands.install_for_load(PACKAGE, ISD, bytes(2), b"\xef\0", combined=True),
            "80E60E01 17 06A00000000401 08A000000151000000 020000 02EF00 00 00",
        ),
        (
            commands.install_for_install(PACKAGE, MODULE, INSTANCE, b"\0", b"\xc9\0", combined=True),
            "80E60E03 1D 06A00000000401 07A0000000040101 07A0000000041010 0100 02C900 00 00",
        ),
        (commands.install_for_make_selectable(INSTANCE), "80E60800 0D 0000 07A0000000041010 00 00 00 00"),
        (commands.install_for_extradition(ISD, INSTANCE), "80E61000 15 08A000000151000000 00 07A0000000041010 00 00 00 00"),
        (
            commands.install_for_registry_update(INSTANCE, privileges=b"\x80\0\0"),
            "80E64000 10 00 00 07A0000000041010 03800000 00 00 00",
        ),
        (commands.set_status(commands.CARD, 0x7F, ISD), "80F0807F 08 A000000151000000"),
        (commands.set_status(commands.APPLICATION, 0x80, INSTANCE), "80F04080 07 A0000000041010"),
        (commands.set_status(commands.DOMAIN_AND_APPLICATIONS, 0x00, INSTANCE), "80F06000 07 A0000000041010"),
        (commands.delete_keys(kvn=0x30), "80E40000 03 D20130 00"),
        (commands.delete_keys(kvn=0x30, kid=2), "80E40000 06 D00102 D20130 00"),
        (commands.put_key(0x20, 1, b"\x30", several=True), "80D82081 01 30 00"),
        (commands.put_key(0x00, 2, b"\x30", several=False), "80D80002 01 30 00"),
        (commands.load(b"\xc4\x01", 0x00, last=False), "80E80000 02 C401 00"),
        (commands.load(b"\x55", 0xFF, last=True), "80E880FF 01 55 00"),
        (commands.delete(INSTANCE), "80E40000 09 4F07A0000000041010 00"),
        (commands.delete(PACKAGE, related=True), "80E40080 08 4F06A00000000401 00"),
        (commands.store_data(b"\x01\x01\0", 0x00, 0x08, last=False), "80E20800 03 010100"),
        (commands.store_data(b"\x80\0\0", 0x2A, 0x68, last=True), "80E2E82A 03 800000"),
    ],
)
def test_command_is_the_specified_one(command: Command, expected: str) -> None:
    """Header, data and Le as GPCS chapter 11 gives them; STORE DATA expects no answer and has no Le."""
    assert bytes(command).hex().upper() == expected.replace(" ", "")


@pytest.mark.parametrize(
    ("command", "accepted"),
    [
        (commands.select(ISD), {0x9000, 0x6283}),
        (commands.get_data(0x9F7F), {0x9000, 0x6A88, 0x6A81, 0x6D00}),
        (commands.get_data(0x9F7F, absent_ok=False), {0x9000}),
        (commands.get_status(commands.ISD), {0x9000, 0x6310, 0x6A88, 0x6A86}),
        (commands.get_status(commands.ISD, deprecated=True), {0x9000, 0x6310, 0x6A88}),
        (commands.load(b"\0", 0, last=True), {0x9000}),
        (commands.delete(INSTANCE), {0x9000}),
        (commands.store_data(b"\0", 0, 0, last=True), {0x9000}),
        (commands.store_data(b"\0", 0, 0, last=False, accept=(0x9000, 0x6A88)), {0x9000, 0x6A88}),
    ],
)
def test_other_status_words_are_errors(command: Command, accepted: set[int]) -> None:
    """Only what a caller can go on with is accepted."""
    assert set(command.accept) == accepted


def test_long_parameters_have_a_ber_length() -> None:
    """Above 127 bytes C9 and its field take 81 and one byte (GPCS 11.1.5)."""
    data = commands.install_for_install(PACKAGE, MODULE, INSTANCE, b"\0", bytes(Install(application=bytes(128)))).data
    assert data.hex().upper().endswith("0100" + "8183C98180" + "00" * 128 + "00")


@pytest.mark.parametrize("number", [-1, 256])
def test_block_numbers_have_one_byte(number: int) -> None:
    """No block number beyond 255 is sent as another one."""
    with pytest.raises(ValueError, match="range"):
        bytes(commands.load(b"\0", number, last=False))
    with pytest.raises(ValueError, match="range"):
        bytes(commands.store_data(b"\0", number, 0, last=False))


def test_data_does_not_print() -> None:
    """STORE DATA carries a cardholder's values."""
    assert "SECRET" not in repr(commands.store_data(b"SECRET", 0, 0x08, last=True))


def test_delete_key_names_something() -> None:
    """Without a key set or an identifier all keys would be meant."""
    with pytest.raises(ValueError, match="names a key set"):
        commands.delete_keys()


def test_keys_are_not_shown() -> None:
    """Nobody says of PUT KEY what is public in it, so nothing is."""
    assert commands.put_key(0, 1, b"\x30", several=True).secret is None
