"""A card product is one TOML file, and a mistake in it is named with file and key."""

import tomllib
from functools import reduce
from operator import xor
from pathlib import Path

import pytest

from hardware.cards import products
from hardware.certificates import Authority
from hardware.crypto import Curve
from hardware.keystores import Purpose
from hardware.scp import Terms
from hardware.sim.blank import shipped as blank
from tests.hardware.issuing import Key

ROOT = Path(__file__).parents[2]
GOOD = """
atr = "3B00"
atr_mask = "FFF0"
environment = "CONTACT-GP"
environment_version = "1,0"
block = 239
packing = true
replace = false
profiles = ["2B06"]
[channel]
isd_aid = "A000000151000000"
scp = "SCP02"
i = 0x55
level = 3
kvn = 0x20
master = "2b0601"
recipe = "emv"
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "new-card.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_shipped_products_are_those_of_the_sample_files() -> None:
    """One each for the payment card, the card of the export and the native card."""
    assert {product.name: product.profiles for product in products.shipped()} == {
        "payment-scp02": ("2B0601040181FD596310",),
        "export-scp03": ("2B0601040181FD596312",),
        "club-native": ("2B0601040181FD596311",),
    }


@pytest.mark.parametrize("name", ["payment-scp02", "export-scp03"])
def test_product_fits_the_blank_of_its_name(name: str) -> None:
    """ATR, security domain, option and key version of the simulated chip are those that the host expects."""
    product, chip = next(product for product in products.shipped() if product.name == name), blank(name)
    assert product.matches(chip.atr)
    assert (product.isd_aid, product.i, product.kvn) == (chip.isd_aid, chip.i, chip.kvn)
    assert product.scp == f"SCP{chip.scp:02}"


def test_atrs_end_with_their_check_byte() -> None:
    """TCK makes the exclusive or of T0 and all that follows zero (ISO/IEC 7816-3 section 8.2.5)."""
    for product in products.shipped():
        assert reduce(xor, product.atr[1:]) == 0


def test_no_shipped_atr_is_taken_for_another() -> None:
    """Each product matches its own ATR only."""
    shipped = products.shipped()
    assert all(a.matches(b.atr) is (a is b) for a in shipped for b in shipped)


def test_master_keys_are_keys_of_the_demo() -> None:
    """The shipped products name master keys that the demo registers, all for tests."""
    keys = tomllib.loads((ROOT / "config" / "demo" / "test-keys.toml").read_text(encoding="utf-8"))
    masters = {key["id"]: key["algorithm"] for key in keys.values() if key["purpose"] == "master"}
    assert {product.scp: masters[product.master] for product in products.shipped() if product.master} == {
        "SCP02": "3DES",
        "SCP03": "AES",
    }
    assert {key["mode"] for key in keys.values()} == {"TEST"}


def test_product_is_read(tmp_path: Path) -> None:
    """Its name is the file's, ids are upper-case."""
    product = products.load(write(tmp_path, GOOD))
    assert (product.name, product.master, product.scp, product.i) == ("new-card", "2B0601", "SCP02", 0x55)


def test_what_its_applications_never_give_back_is_read(tmp_path: Path) -> None:
    """DGIs and tags alike; most products have none."""
    assert products.load(write(tmp_path, GOOD)).unread == frozenset()
    assert products.load(write(tmp_path, 'unread = ["9104", "5A"]\n' + GOOD)).unread == {0x9104, 0x5A}


def test_mask_bits_of_zero_are_not_compared(tmp_path: Path) -> None:
    """The ATR must have its length all the same."""
    product = products.load(write(tmp_path, GOOD))
    assert product.matches(bytes.fromhex("3B0F"))
    assert not product.matches(bytes.fromhex("3B1F"))
    assert not product.matches(bytes.fromhex("3B0000"))


def test_card_without_channel_is_not_globalplatform(tmp_path: Path) -> None:
    """A native card has no secure channel and no master, nor anything else that belongs to them."""
    product = products.load(write(tmp_path, GOOD.partition("[channel]")[0]))
    assert (product.scp, product.master, product.i, product.level, product.kvn) == (None, None, None, 0, 0)


SCP03 = GOOD.replace("SCP02", "SCP03").replace('"emv"', '"kdf3"').replace("0x55", "0x10")
S16 = SCP03.replace("0x10", "0x11")
NATIVE = GOOD.partition("[channel]")[0]


@pytest.mark.parametrize(
    ("text", "extended", "block"),
    [
        (GOOD, None, 239), (GOOD, False, 1), (SCP03, None, 239), (SCP03, False, 239), (SCP03, True, 1),
        (SCP03, True, 240), (SCP03, True, 65519), (S16, None, 223), (S16, True, 65503),
        (NATIVE, None, 255), (NATIVE, False, 255),
    ],
)  # fmt: skip
def test_block_may_be_as_long_as_a_command_holds(tmp_path: Path, text: str, extended: bool | None, block: int) -> None:
    """Beside MAC and padding at level 03; what isn't said to be extended is short."""
    said = "" if extended is None else f"\nextended = {str(extended).lower()}"
    product = products.load(write(tmp_path, text.replace("block = 239", f"block = {block}{said}")))
    assert (product.block, product.extended) == (block, bool(extended))


@pytest.mark.parametrize(
    ("text", "extended", "block", "message"),
    [
        (GOOD, False, 240, "block: a short command of SCP02 holds at most 239 bytes of data, not 240"),
        (GOOD, False, 65535, "block: a short command of SCP02 holds at most 239 bytes of data, not 65535"),
        (SCP03, False, 240, "block: a short command of SCP03 holds at most 239 bytes of data, not 240"),
        (SCP03, False, 255, "block: a short command of SCP03 holds at most 239 bytes of data, not 255"),
        (SCP03, True, 65520, "block: an extended command of SCP03 holds at most 65519 bytes of data, not 65520"),
        (S16, False, 224, "block: a short command of SCP03 holds at most 223 bytes of data, not 224"),
        (S16, True, 65504, "block: an extended command of SCP03 holds at most 65503 bytes of data, not 65504"),
        (SCP03, True, 65536, "block: must be 1 to 65535"),
        (NATIVE, False, 256, "block: a short command of this card holds at most 255 bytes of data, not 256"),
        (GOOD, True, 239, "extended: SCP02 with commands of extended length isn't built in"),
        (NATIVE, True, 255, r"extended: a card without \[channel\] has no commands of extended length"),
    ],
)
def test_block_that_no_command_holds_is_refused(tmp_path: Path, text: str, extended: bool, block: int, message: str) -> None:
    """When the product is read, long before a card is in the station; the message says the largest."""
    said = f"block = {block}\nextended = {str(extended).lower()}"
    with pytest.raises(ValueError, match=f"^new-card.toml: {message}$"):
        products.load(write(tmp_path, text.replace("block = 239", said)))


def test_the_card_may_say_its_channel_itself(tmp_path: Path) -> None:
    """Neither scp nor i need be there, or only scp; the block leaves room for the longest MAC and padding of any."""
    text = GOOD.replace("i = 0x55\n", "")
    product = products.load(write(tmp_path, text))
    assert (product.scp, product.i, product.pad_empty, product.tries) == ("SCP02", None, False, None)
    text = text.replace('scp = "SCP02"\n', "pad_empty = true\ntries = 10\n").replace("block = 239", "block = 223")
    product = products.load(write(tmp_path, text))
    assert (product.scp, product.i, product.pad_empty, product.tries) == (None, None, True, 10)
    for wrong, message in (
        (
            text.replace("block = 223", "block = 224"),
            "a short command of a card that itself says its channel holds at most 223",
        ),
        (text.replace("block = 223", "block = 223\nextended = true"), "extended: only a card whose scp is stated"),
        (GOOD.replace('scp = "SCP02"\n', ""), "channel.i: means nothing without scp"),
        (text.replace("tries = 10", "tries = 0"), "channel.tries: must be 1 to 255"),
    ):
        with pytest.raises(ValueError, match=message):
            products.load(write(tmp_path, wrong))


@pytest.mark.parametrize("line", [line for line in GOOD.splitlines() if "=" in line and line[:2] not in ("sc", "i ")])
def test_missing_key_is_named(tmp_path: Path, line: str) -> None:
    """Nothing has a default but what is optional."""
    key = line.partition(" =")[0]
    with pytest.raises(ValueError, match=rf"new-card.toml: (channel\.)?{key}: is missing"):
        products.load(write(tmp_path, GOOD.replace(line, "")))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("packing", "speed = 9\npacking", "speed: no product has such a key"),
        ('recipe = "emv"', 'recipe = "emv"\nmaster_key = 1', r"channel.master_key: no product has such a key"),
        ("true", '"yes"', "packing: must be true or false"),
        ("true", "1", "packing: must be true or false"),
        ("packing", "extended = 1\npacking", "extended: must be true or false"),
        ("packing", "unread = [7]\npacking", "unread: 7 is no hex string"),
        ("packing", "unread = []\npacking", "unread: is empty"),
        ("[channel]", "[channel]\nextended = true", "channel.extended: no product has such a key"),
        ("239", '"239"', "block: must be a whole number"),
        ("239", "true", "block: must be a whole number"),
        ("239", "0", "block: must be 1 to 65535"),
        ("0x20", "0x80", "channel.kvn: must be 0 to 127"),
        ('"3B00"', "59", "atr: must be a string"),
        ('"3B00"', '"3B0"', "atr: '3B0' is no hex string"),
        ('"3B00"', '""', "atr: is empty"),
        ('"FFF0"', '"FF"', "atr_mask: 1 bytes for an ATR of 2"),
        ('["2B06"]', "[]", "profiles: is empty"),
        ('["2B06"]', '["2B06", "2B06"]', "names one twice"),
        ('["2B06"]', "[7]", "profiles: 7 is no hex string"),
        ('["2B06"]', '"2B06"', "profiles: must be a list"),
        ('"A000000151000000"', '"A0"', "channel.isd_aid: an AID has 5 to 16 bytes"),
        ('"SCP02"', '"SCP99"', "channel.scp: no secure channel 'SCP99'"),
        ('"emv"', '"secret"', "channel.recipe: no recipe 'secret'"),
        ("0x55", "0x56", "channel.i: SCP02 has no option 56"),
        ("0x55", "0x00", "channel.i: SCP02 has no option 00"),
        ("level = 3", "level = 0x13", "channel.level: SCP02 i=55 has the levels 00, 01, 03, not 13"),
        ("[channel]", "[[channel]]", "channel: must be a table"),
        ("block = 239", "block = = 239", "new-card.toml: Invalid value"),
    ],
)
def test_wrong_value_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    """File and key stand in the message."""
    with pytest.raises(ValueError, match=f"new-card.toml: .*{message}|{message}"):
        products.load(write(tmp_path, GOOD.replace(old, new, 1)))


AGREEMENT = f"""
[channel.agreement]
curve = "P-384"
key_size = 32
ca_kvn = 0x04
ca_kid = 0x10
host_id = "C0FFEE"
[channel.agreement.authority]
identifier = "0102"
curve = "P-256"
point = "{Key("ca").point.hex()}"
"""


def agreeing(table: str = AGREEMENT) -> str:
    return GOOD.replace("SCP02", "SCP11").replace("i = 0x55", "i = 0x05").replace("level = 3", "level = 0x33") + table


def test_a_product_states_the_terms_of_an_agreement(tmp_path: Path) -> None:
    """Curve, key size, the card's CA, ours, and who we are; its master is the off-card entity's key."""
    path = tmp_path / "agreeing.toml"
    path.write_text(agreeing(), encoding="utf-8")
    product = products.load(path)
    authority = Authority(identifier=b"\1\2", curve=Curve.P256, point=Key("ca").point)
    assert product.terms == Terms(
        curve=Curve.P384, key_size=32, ca_kvn=4, ca_kid=0x10, host_id=b"\xc0\xff\xee", authorities=(authority,)
    )
    assert product.purpose is Purpose.AGREEMENT


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("P-384", "P-521", r"channel.agreement.curve: no curve 'P-521' is built in"),
        ("key_size = 32", "key_size = 17", r"channel.agreement.key_size: must be 16, 24 or 32"),
        ('point = "04', 'point = "02', r"channel.agreement.authority.point"),
        ('identifier = "0102"', "", r"channel.agreement.authority.identifier: is missing"),
        ("ca_kvn = 0x04", "", r"channel.agreement.ca_kvn: is missing"),
        ('host_id = "C0FFEE"', 'hostid = "C0FFEE"', r"channel.agreement.hostid: no product has such a key"),
        (AGREEMENT, "", r"channel.agreement: SCP11 needs this table"),
    ],
)
def test_wrong_terms_are_named(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    """With the key at fault."""
    path = tmp_path / "agreeing.toml"
    path.write_text(agreeing().replace(right, wrong), encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        products.load(path)


def test_only_an_agreement_has_terms(tmp_path: Path) -> None:
    """A channel of shared keys has no such table."""
    path = tmp_path / "shared.toml"
    path.write_text(GOOD + AGREEMENT, encoding="utf-8")
    with pytest.raises(ValueError, match=r"channel.agreement: SCP02 has no such table"):
        products.load(path)


OWN_KEYS = '[keys]\nkvn = 0x30\nmaster = "2b0602"\nrecipe = "none"\n'


def test_card_may_get_keys_of_its_own(tmp_path: Path) -> None:
    """The table [keys] names them; those of the channel are then only what the card is delivered with."""
    product = products.load(write(tmp_path, GOOD + OWN_KEYS))
    assert product.keys is not None
    assert (product.keys.kvn, product.keys.master, product.keys.recipe) == (0x30, "2B0602", "none")
    assert product.masters() == ("2B0601", "2B0602")
    own = product.finished()
    assert (own.kvn, own.master, own.recipe, own.keys) == (0x30, "2B0602", "none", None)
    assert own.finished() == own


@pytest.mark.parametrize(
    ("line", "instead", "fault"),
    [
        ("kvn = 0x30", "kvn = 0x20", "keys.kvn: the transport keys need a number of their own"),
        ("kvn = 0x20", "kvn = 0x00", "keys.kvn: the transport keys need a number of their own"),
        ("kvn = 0x30", "kvn = 0", "keys.kvn: must be 1 to 127"),
        ('recipe = "none"', 'recipe = "nothing"', "keys.recipe: no recipe 'nothing'"),
        ('recipe = "none"', 'recipe = "none"\ncolour = 1', "keys.colour: no product has such a key"),
        ('master = "2b0602"', "", "keys.master: is missing"),
    ],
)
def test_keys_of_its_own_that_cannot_be_put(line: str, instead: str, fault: str, tmp_path: Path) -> None:
    """They need a number that the transport keys don't have, and all that says what they are."""
    text = GOOD + OWN_KEYS
    assert line in text
    with pytest.raises(ValueError, match=fault):
        products.load(write(tmp_path, text.replace(line, instead)))


def test_keys_of_its_own_need_a_channel(tmp_path: Path) -> None:
    """A card without one takes no PUT KEY."""
    with pytest.raises(ValueError, match=r"keys: must be a table, of a card that has a table \[channel\]"):
        products.load(write(tmp_path, GOOD.partition("[channel]")[0] + OWN_KEYS))


def test_who_agrees_on_keys_has_none_to_replace(tmp_path: Path) -> None:
    """An SCP11 product's cards have no transport keys."""
    path = tmp_path / "agreeing.toml"
    path.write_text(agreeing() + OWN_KEYS, encoding="utf-8")
    with pytest.raises(ValueError, match=r"keys: SCP11 agrees on its keys"):
        products.load(path)
