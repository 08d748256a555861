from operator import itemgetter

import pytest

from hardware.keys import Algorithm, Base, check, kcv
from tests.hardware.vectors import Vector, vectors


@pytest.mark.parametrize("v", vectors("kcv"), ids=itemgetter("id"))
def test_kcv_is_the_published_one(v: Vector) -> None:
    """Key check values match the vectors of both ciphers."""
    assert kcv(Algorithm(v["alg"]), bytes.fromhex(v["key"])).hex().upper() == v["kcv"]


@pytest.mark.parametrize(
    ("algorithm", "size"), [("3DES", 8), ("3DES", 15), ("3DES", 32), ("AES", 8), ("AES", 17), ("AES", 0)]
)
def test_a_key_of_another_length_is_refused(algorithm: str, size: int) -> None:
    """A key that its cipher doesn't take is refused, with its length and nothing of its value."""
    with pytest.raises(ValueError, match=f"not {size}$"):
        check(Algorithm(algorithm), bytes(range(size)))


@pytest.mark.parametrize("size", [16, 24, 32])
def test_an_aes_key_of_right_length_passes(size: int) -> None:
    """All three AES sizes are keys."""
    check(Algorithm.AES, bytes(range(size)))


@pytest.mark.parametrize("parts", [(0, 0), (0, 0, 1), (0, 1, 1)])
def test_3des_with_equal_neighbours_is_single_des(parts: tuple[int, ...]) -> None:
    """K1=K2 or K2=K3 undoes two of three encryptions, also where only parity bits differ."""
    a, b = bytes(range(0x40, 0x48)), bytes(range(0x80, 0x88))
    with pytest.raises(ValueError, match="single DES"):
        check(Algorithm.DES3, b"".join((a, b)[part] for part in parts))
    with pytest.raises(ValueError, match="single DES"):
        check(Algorithm.DES3, a + bytes(byte ^ 1 for byte in a))


def test_3des_takes_two_and_three_key_values_whatever_their_parity() -> None:
    """40..4F, the public test key, has no odd parity and is a key; so is K1 K2 K1."""
    key = bytes(range(0x40, 0x50))
    check(Algorithm.DES3, key)
    check(Algorithm.DES3, key + key[:8])


def test_key_identifiers_are_those_of_a_key_set() -> None:
    """ENC, MAC, DEK are keys 1, 2, 3."""
    assert [base.number for base in Base] == [1, 2, 3]
    assert [base.value for base in Base] == ["enc", "mac", "dek"]
