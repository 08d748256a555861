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


ECDSA = {
    crypto.Curve.P256: (
        "0460FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB67903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F51"
        "77A3C294D4462299",
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064D"
        "C4AB2F843ACDA8",
    ),
    crypto.Curve.P384: (
        "04EC3A4E415B4E19A4568618029F427FA5DA9A8BC4AE92E02E06AAE5286B300C64DEF8F0EA9055866064A254515480BC138015D9B72D7D5724"
        "4EA8EF9AC0C621896708A59367F9DFB9F54CA84B3F1C9DB1288B231C3AE0D4FE7344FD2533264720",
        "94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE4699EF4AEB15F178CEA1"
        "FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8",
    ),
}


@pytest.mark.parametrize("curve", ECDSA)
def test_ecdsa_signatures_of_rfc_6979_verify(curve: crypto.Curve) -> None:
    """RFC 6979 A.2.5 and A.2.6, message "sample", each under the hash of its size; a changed one doesn't."""
    point, signature = (bytes.fromhex(each) for each in ECDSA[curve])
    assert crypto.ecdsa_verify(curve, point, b"sample", signature)
    assert not crypto.ecdsa_verify(curve, point, b"Sample", signature)
    assert not crypto.ecdsa_verify(curve, point, b"sample", signature[:-1] + b"\0")
    assert not crypto.ecdsa_verify(curve, point, b"sample", b"")


@pytest.mark.parametrize("curve", crypto.Curve)
def test_own_signatures_verify(curve: crypto.Curve) -> None:
    """They are r and s, each as long as a coordinate."""
    private = crypto.ec_private(curve, bytes(range(1, curve.size + 9)))
    signature = crypto.ecdsa_sign(curve, private, b"message")
    assert len(signature) == 2 * curve.size
    assert crypto.ecdsa_verify(curve, crypto.ec_public(curve, private), b"message", signature)
    assert not crypto.ecdsa_verify(curve, crypto.ec_public(curve, private), b"other", signature)


def test_x963_kdf_is_that_of_nist() -> None:
    """NIST CAVP, ANS X9.63-2001 with SHA-256, 192-bit secret, no shared info, 128 bits."""
    secret = bytes.fromhex("96C05619D56C328AB95FE84B18264B08725B85E33FD34F08")
    assert crypto.x963_kdf(secret, b"", 16).hex().upper() == "443024C3DAE66B95E6F5670601558F71"


def test_private_keys_are_the_first_scalars_of_their_seeds() -> None:
    """FIPS 186-5 A.2.1: a seed modulo n - 1, plus 1; 1 and n - 1 are the ends, and 1 gives the base point."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for seed, scalar in ((0, 1), (order - 2, order - 1), (order - 1, 1)):
        assert int.from_bytes(crypto.ec_private(crypto.Curve.P256, seed.to_bytes(40, "big")), "big") == scalar
    base = crypto.ec_public(crypto.Curve.P256, bytes(31) + b"\1").hex().upper()
    assert base.startswith("046B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296")


@pytest.mark.parametrize("curve", crypto.Curve)
def test_points_must_be_on_the_curve(curve: crypto.Curve) -> None:
    """Neither one beside it, nor the point at infinity, nor a compressed or cut one is agreed with."""
    private = crypto.ec_private(curve, bytes(curve.size + 8))
    point = crypto.ec_public(curve, private)
    beside = point[:-1] + bytes((point[-1] ^ 1,))
    for wrong in (beside, b"\0", b"\4" + bytes(2 * curve.size), b"\2" + point[1 : curve.size + 1], point[:-1], b""):
        with pytest.raises(ValueError, match=r"."):
            crypto.ecdh(curve, private, wrong)
        with pytest.raises(ValueError, match=r"."):
            crypto.ec_check(curve, wrong)


@pytest.mark.parametrize("curve", crypto.Curve)
def test_private_keys_must_be_scalars(curve: crypto.Curve) -> None:
    """Zero, what is beyond the order, and another length aren't."""
    for wrong in (bytes(curve.size), b"\xff" * curve.size, bytes(curve.size - 1) + b"\1\0", b""):
        with pytest.raises(ValueError, match=r"."):
            crypto.ec_public(curve, wrong)
    with pytest.raises(ValueError, match="random bytes"):
        crypto.ec_private(curve, bytes(curve.size))
