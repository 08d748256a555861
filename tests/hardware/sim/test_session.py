"""Opening, using and losing the secure channel."""

from dataclasses import replace

import pytest

from hardware.sim.blank import shipped
from hardware.sim.world import Defect
from tests.hardware.sim.conftest import KINDS, MakeHost
from tests.hardware.sim.host import CHALLENGE, Host, apdu, kdf

STATUS = apdu("80F28002", b"\x4f\x00")


@pytest.mark.parametrize("level", [1, 3])
def test_secured_commands_are_accepted_one_after_another(level: int, host: Host) -> None:
    """The MAC chain runs on over commands with and without data."""
    host.open(level)
    for header, data in (("80F28002", b"\x4f\x00"), ("80CA0066", b""), ("80CA9F7F", b""), ("80F28002", b"\x4f\x00")):
        assert host.sw(header, data) == 0x9000


def test_level_00_of_scp02_needs_no_secure_messaging(make: MakeHost) -> None:
    """The session is authenticated, its commands are plain, and secured ones are refused."""
    host = make(shipped("payment-scp02"))
    host.open(0)
    assert host.status(STATUS) == 0x9000
    host.level = 1
    assert host.status(host.wrap(STATUS)) == 0x6982


@pytest.mark.parametrize(("kind", "level"), [(KINDS[0], 0x13), (KINDS[0], 0x02), (KINDS[1], 0x33), (KINDS[1], 0x11)])
def test_other_levels_are_6a86(kind: str, level: int, make: MakeHost) -> None:
    """This chip has no R-MAC, and C-DECRYPTION never comes alone."""
    host = make(shipped(kind))
    host.level = 1
    cryptogram = host.begin()
    assert host.status(host.wrap(apdu(f"8082{level:02X}00", cryptogram, le=""))) == 0x6A86


@pytest.mark.parametrize(("kind", "i"), [(KINDS[0], 0x15), (KINDS[0], 0x55), (KINDS[1], 0x00), (KINDS[1], 0x10)])
def test_every_implementation_opens(kind: str, i: int, make: MakeHost) -> None:
    """Random and pseudo-random challenges."""
    host = make(replace(shipped(kind), i=i))
    host.open(3)
    assert host.sw("80F28002", b"\x4f\x00") == 0x9000


@pytest.mark.parametrize("size", [24, 32])
def test_longer_aes_keys_open(size: int, make: MakeHost) -> None:
    """AES-192 and AES-256."""
    host = make(replace(shipped("export-scp03"), enc=bytes(range(size)), mac=bytes(size), dek=bytes(size)))
    host.open(3)
    assert host.sw("80CA0066") == 0x9000


def test_scp02_counter_counts_opened_sessions(make: MakeHost) -> None:
    """INITIALIZE UPDATE alone leaves it; the pseudo-random challenge then repeats."""
    host = make(shipped("payment-scp02"))
    update = apdu("80500000", CHALLENGE)
    first, second = host.raw(update), host.raw(update)
    assert first == second
    assert first[12:14] == b"\0\0"
    host.open()
    assert host.raw(update)[12:14] == b"\0\1"


def test_scp03_counter_moves_at_every_initialize_update(make: MakeHost) -> None:
    """And the challenge is its derivation under K-ENC."""
    host = make(shipped("export-scp03"))
    for counter in (b"\0\0\1", b"\0\0\2"):
        answer = host.raw(apdu("80500000", CHALLENGE))
        assert answer[29:32] == counter
        assert answer[13:21] == kdf(host.blank.enc, 2, counter + host.blank.isd_aid, 64)


def test_key_version(host: Host) -> None:
    """00 and the real KVN open; another one is 6A88, a key identifier 6A86."""
    host.open(1, kvn=host.blank.kvn)
    host.open(1, kvn=0)
    assert host.status(apdu("80507700", CHALLENGE)) == 0x6A88
    assert host.status(apdu("80500001", CHALLENGE)) == 0x6A86


@pytest.mark.parametrize(("size", "le"), [(7, "00"), (16, "00"), (8, "")])
def test_malformed_initialize_update_is_6700(size: int, le: str, host: Host) -> None:
    """A host challenge has 8 bytes, and the answer needs an Le."""
    assert host.status(apdu("80500000", bytes(size), le)) == 0x6700


def test_external_authenticate_must_follow_at_once(host: Host) -> None:
    """Without a handshake, or with a command in between, it is 6985 and spends no try."""
    assert host.status(bytes.fromhex("8482010010") + bytes(16)) == 0x6985
    host.level = 1
    cryptogram = host.begin()
    assert host.status(apdu("80CA0066")) == 0x9000
    assert host.status(host.wrap(apdu("80820100", cryptogram, le=""))) == 0x6985
    host.open()


def test_wrong_cryptograms_block_the_keys(host: Host) -> None:
    """Ten failures in a row, even with sessions begun in between; then 6983 for good."""
    host.level = 1
    for _ in range(10):
        host.begin()
        assert host.status(host.wrap(apdu("80820100", bytes(8), le=""))) == 0x6300
    assert host.status(apdu("80500000", CHALLENGE)) == 0x6983
    assert host.status(bytes.fromhex("8482010010") + bytes(16)) == 0x6983


def test_success_gives_all_tries_back(host: Host) -> None:
    """Nine failures, a success, nine failures: still open."""
    for _ in range(2):
        for _ in range(9):
            host.level = 1
            host.begin()
            assert host.status(host.wrap(apdu("80820100", bytes(8), le=""))) == 0x6300
        host.open()


def test_wrong_mac_on_external_authenticate_is_6988(host: Host) -> None:
    """A right cryptogram under a wrong C-MAC opens nothing."""
    host.level = 1
    command = bytearray(host.wrap(apdu("80820100", host.begin(), le="")))
    command[-1] ^= 1
    assert host.status(bytes(command)) == 0x6988
    assert host.sw("80F28002", b"\x4f\x00") == 0x6982


@pytest.mark.parametrize("at", [2, 5, -2])
def test_tampered_command_is_6988_and_ends_the_session(at: int, opened: Host) -> None:
    """A changed header, data or MAC byte; afterwards even a right command is refused."""
    command = bytearray(opened.wrap(STATUS))
    command[at] ^= 1
    assert opened.status(bytes(command)) == 0x6988
    assert opened.sw("80F28002", b"\x4f\x00") == 0x6982


def test_replayed_command_is_6988(opened: Host) -> None:
    """The MAC chain has moved on."""
    command = opened.wrap(STATUS)
    assert opened.status(command) == 0x9000
    assert opened.status(command) == 0x6988


def test_unsecured_command_in_a_session_ends_it(opened: Host) -> None:
    """6982, and the session is over."""
    assert opened.status(STATUS) == 0x6982
    assert opened.sw("80F28002", b"\x4f\x00") == 0x6982


def test_command_shorter_than_its_mac_is_6988(opened: Host) -> None:
    """Four bytes cannot hold a C-MAC."""
    assert opened.status(apdu("84F28002", bytes(4))) == 0x6988


@pytest.mark.parametrize("header", ["80E60200", "80E88000", "80E40000", "80F28002", "80F0800F", "80E28000"])
def test_management_without_a_session_is_6982(header: str, host: Host) -> None:
    """Every command of the Security Domain but GET DATA needs a session."""
    assert host.status(apdu(header, b"\x4f\x00")) == 0x6982


def test_wrong_keys_show_in_the_card_cryptogram(make: MakeHost) -> None:
    """A plastic with other keys answers, but its cryptogram doesn't verify."""
    host = make(shipped("payment-scp02"), Defect(wrong_keys=True))
    with pytest.raises(AssertionError):
        host.begin()
