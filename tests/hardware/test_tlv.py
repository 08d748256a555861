import pytest

from hardware import tlv


@pytest.mark.parametrize(
    ("size", "coded"), [(0, "00"), (0x7F, "7F"), (0x80, "8180"), (0xFF, "81FF"), (0x100, "820100"), (0xFFFF, "82FFFF")]
)
def test_ber_lengths(size: int, coded: str) -> None:
    """One, two and three bytes, each at its edges."""
    assert tlv.length(size).hex().upper() == coded


@pytest.mark.parametrize("size", [-1, 0x10000])
def test_lengths_out_of_range_are_refused(size: int) -> None:
    """Nothing on a card is longer than 65,535 bytes."""
    with pytest.raises(ValueError, match="no BER length"):
        tlv.length(size)


@pytest.mark.parametrize(
    ("tag", "value", "coded"),
    [
        (0x4F, "A000000003", "4F05A000000003"),
        (0x9F70, "07", "9F700107"),
        (0xBF0C, "", "BF0C00"),
        (0xC4, "00" * 128, "C48180" + "00" * 128),
    ],
)
def test_tlv_is_written_and_read(tag: int, value: str, coded: str) -> None:
    """Tags of one and two bytes come back."""
    assert tlv.tlv(tag, bytes.fromhex(value)).hex().upper() == coded
    assert list(tlv.parse(bytes.fromhex(coded))) == [(tag, bytes.fromhex(value))]


def test_lv_has_a_ber_length() -> None:
    """LV is length and value."""
    assert tlv.lv(b"") == b"\0"
    assert tlv.lv(bytes(200)) == b"\x81\xc8" + bytes(200)


def test_find_walks_from_outer_to_inner() -> None:
    """A template's inner value is found, and what isn't there is None."""
    data = bytes.fromhex("E306" + "4F01AA" + "C501BB" + "DF7F00")
    assert tlv.find(data, 0xE3, 0xC5) == b"\xbb"
    assert tlv.find(data, 0xDF7F) == b""
    assert tlv.find(data, 0xE3, 0xC6) is None
    assert tlv.find(data, 0x6F, 0xC6) is None


@pytest.mark.parametrize(
    "data", ["4F", "4F02AA", "9F", "9F70", "4F80", "4F83000001AA", "4F81", "4F8201", "1F8181817F00", "4F01AA5F"]
)
def test_cut_or_foreign_coding_is_an_error(data: str) -> None:
    """A missing length, a short value, an indefinite length and a four-byte tag are told, not skipped."""
    with pytest.raises(ValueError, match=r"bytes|missing|cut short"):
        list(tlv.parse(bytes.fromhex(data)))


@pytest.mark.parametrize(("size", "head"), [(0, "010100"), (0xFE, "0101FE"), (0xFF, "0101FF00FF"), (0x100, "0101FF0100")])
def test_dgi_lengths_are_not_ber(size: int, head: str) -> None:
    """00..FE in one byte, then FF and two."""
    assert tlv.dgi(0x0101, bytes(size)).hex().upper() == head + "00" * size
