from operator import itemgetter

import pytest

from hardware import crypto
from tests.hardware.vectors import Vector, vectors

DES = bytes.fromhex("0123456789ABCDEF")
MAC_KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
TEXT = b"Now is the time for all "
AES = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C")
BLOCKS = bytes.fromhex("6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E51")
GIVEN = bytes.fromhex("000102030405060708090A0B0C0D0E0F")


def test_single_des_is_that_of_fips_81() -> None:
    """FIPS 81 table B1, ECB."""
    encrypted = crypto.des_ecb_encrypt(DES, TEXT)
    assert encrypted.hex().upper() == "3FA40E8A984D48156A271787AB8883F9893D51EC4B563B53"


def test_retail_mac_is_that_of_iso_9797() -> None:
    """ISO/IEC 9797-1 annex, algorithm 3 with padding methods 1 (none needed) and 2."""
    assert crypto.retail_mac(MAC_KEY, TEXT).hex().upper() == "A1C72E74EA3FA9B6"
    assert crypto.retail_mac(MAC_KEY, crypto.pad80(TEXT, 8)).hex().upper() == "E9086230CA3BE796"


def test_retail_mac_of_one_block_starts_from_its_iv() -> None:
    """With nothing ahead of the last block the IV is added to that block."""
    plain = bytes(range(8))
    assert crypto.retail_mac(MAC_KEY, plain, plain) == crypto.retail_mac(MAC_KEY, bytes(8))


def test_cbc_mac_is_the_last_block() -> None:
    """ISO/IEC 9797-1 annex, algorithm 1, which K1 = K2 makes of the triple cipher."""
    assert crypto.des3_cbc_mac(DES * 3, TEXT).hex().upper() == "70A30640CC76DD8B"


@pytest.mark.parametrize(
    ("size", "mac"),
    [(0, "BB1D6929E95937287FA37D129B756746"), (16, "070A16B46B4D4144F79BDD9DD04A287C")],
)
def test_cmac_is_that_of_rfc_4493(size: int, mac: str) -> None:
    """RFC 4493 section 4, examples 1 and 2."""
    assert crypto.cmac(AES, BLOCKS[:size]).hex().upper() == mac


def test_aes_is_that_of_sp_800_38a() -> None:
    """NIST SP 800-38A F.1.1 and F.2.1."""
    ecb = crypto.aes_ecb_encrypt(AES, BLOCKS)
    cbc = crypto.aes_cbc_encrypt(AES, BLOCKS, GIVEN)
    assert ecb.hex().upper() == "3AD77BB40D7A3660A89ECAF32466EF97F5D3D58503B9699DE785895A96FDBAAF"
    assert cbc.hex().upper() == "7649ABAC8119B246CEE98E9B12E9197D5086CB9B507219EE95DB113A917678B2"
    assert crypto.aes_ecb_decrypt(AES, ecb) == BLOCKS
    assert crypto.aes_cbc_decrypt(AES, cbc, GIVEN) == BLOCKS


@pytest.mark.parametrize("size", [16, 24])
def test_3des_decrypts_what_it_encrypted(size: int) -> None:
    """Both key sizes and both modes come back."""
    key = bytes(range(0x40, 0x40 + size))
    assert crypto.des3_ecb_decrypt(key, crypto.des3_ecb_encrypt(key, TEXT)) == TEXT
    assert crypto.des3_cbc_decrypt(key, crypto.des3_cbc_encrypt(key, TEXT, DES), DES) == TEXT


@pytest.mark.parametrize("v", vectors("scp03_kdf"), ids=itemgetter("id"))
def test_kdf_gives_the_published_bytes(v: Vector) -> None:
    """SP 800-108 in counter mode with the layout of SCP03 matches an independent implementation."""
    before = bytes(11) + bytes.fromhex(v["constant"]) + b"\0" + v["L_bits"].to_bytes(2, "big")
    made = crypto.kbkdf_cmac(bytes.fromhex(v["key"]), before, bytes.fromhex(v["context"]), v["L_bits"])
    assert made.hex().upper() == v["output"]


@pytest.mark.parametrize("v", vectors("scp_openjavacard", type="sensitive-data-encryption"), ids=itemgetter("id"))
def test_dek_encryption_is_the_published_one(v: Vector) -> None:
    """Sensitive data go under the DEK as in the vectors; those of SCP03 have a length byte ahead for PUT KEY."""
    plain = bytes.fromhex(v["plain"])
    if v["protocol"] == "SCP02":
        assert crypto.des3_ecb_encrypt(bytes.fromhex(v["dek_session"]), plain).hex().upper() == v["encrypted"]
    else:
        assert "10" + crypto.aes_cbc_encrypt(bytes.fromhex(v["dek"]), plain).hex().upper() == v["encrypted"]


@pytest.mark.parametrize(
    ("data", "block", "padded"),
    [
        ("", 8, "80" + "00" * 7),
        ("01" * 7, 8, "01" * 7 + "80"),
        ("01" * 8, 8, "01" * 8 + "80" + "00" * 7),
        ("0180", 16, "018080" + "00" * 13),
    ],
)
def test_padding_comes_and_goes(data: str, block: int, padded: str) -> None:
    """Method 2 always adds at least one byte, and what it adds is what comes off."""
    assert crypto.pad80(bytes.fromhex(data), block).hex() == padded
    assert crypto.unpad80(bytes.fromhex(padded)).hex() == data


@pytest.mark.parametrize("data", ["", "0000", "01", "8001"])
def test_missing_padding_is_an_error(data: str) -> None:
    """Data that don't end in 80 00... were not padded."""
    with pytest.raises(ValueError, match="no padding"):
        crypto.unpad80(bytes.fromhex(data))


@pytest.mark.parametrize("size", [0, 8, 15, 17, 32])
def test_3des_refuses_other_key_lengths(size: int) -> None:
    """Sixteen or twenty-four bytes; never silently single DES."""
    with pytest.raises(ValueError, match=f"not {size}"):
        crypto.des3_ecb_encrypt(bytes(size), bytes(8))


def test_lengths_are_checked_everywhere() -> None:
    """Half blocks and short keys are errors, not padded."""
    with pytest.raises(ValueError, match="8 bytes"):
        crypto.des_ecb_encrypt(bytes(16), bytes(8))
    for key, data in ((bytes(24), bytes(8)), (bytes(16), b""), (bytes(16), bytes(7))):
        with pytest.raises(ValueError, match="retail MAC"):
            crypto.retail_mac(key, data)
    for encrypt, key in ((crypto.des3_ecb_encrypt, bytes(16)), (crypto.aes_cbc_encrypt, bytes(16))):
        with pytest.raises(ValueError, match="block length"):
            encrypt(key, bytes(15))
    with pytest.raises(ValueError, match="Invalid key size"):
        crypto.aes_ecb_encrypt(bytes(15), bytes(16))


def test_sealed_data_opens_with_the_same_key_and_attributes_only() -> None:
    """Another key, another attribute, a flipped bit and a cut end are all refused, without a byte of the plaintext."""
    key, nonce = bytes(32), bytes(12)
    sealed = crypto.aead_seal(key, nonce, b"secret", b"shown")
    assert crypto.aead_open(key, sealed, b"shown") == b"secret"
    wrong = [(bytes(31) + b"\1", sealed, b"shown"), (key, sealed, b"Shown")]
    wrong += [(key, sealed[:-1], b"shown"), (key, b"", b"shown")]
    wrong += [(key, sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :], b"shown") for at in range(len(sealed))]
    for parts in wrong:
        with pytest.raises(ValueError, match=r"doesn't open|Nonce"):
            crypto.aead_open(*parts)


def test_scrypt_depends_on_salt_and_passphrase() -> None:
    """Stretching gives 32 bytes, the same ones again for the same input alone."""
    one = crypto.scrypt(b"passphrase", b"salt" * 4)
    assert len(one) == 32
    assert one == crypto.scrypt(b"passphrase", b"salt" * 4)
    assert one not in (crypto.scrypt(b"passphrase", b"tlas" * 4), crypto.scrypt(b"Passphrase", b"salt" * 4))


def test_random_bytes_have_the_size_asked_for() -> None:
    """Sixteen drawn bytes don't come twice."""
    assert len(crypto.random_bytes(16)) == 16
    assert crypto.random_bytes(16) != crypto.random_bytes(16)
