from operator import itemgetter

import pytest

from hardware.diversification import Recipe, RecipeMethod, diversify, load, recipe, recipes
from hardware.errors import PlanError
from hardware.keys import Algorithm, Base, kcv
from tests.hardware.vectors import Vector, vectors

MASTER = bytes(range(0x40, 0x50))
KDD = bytes.fromhex("00010203040506070809")


@pytest.mark.parametrize("v", vectors("key_diversification"), ids=itemgetter("id"))
def test_recipe_gives_the_published_keys(v: Vector) -> None:
    """Each key, or where only they are published each key check value, matches its vector."""
    rule = recipe(v["scheme"].lower())
    made = {base.value: diversify(rule, base, bytes.fromhex(v["master"]), bytes.fromhex(v["kdd"])) for base in Base}
    for base, key in (v.get("keys", {}) | v.get("keys_recomputed_by_reference", {})).items():
        assert made[base].hex().upper() == key
    assert rule.algorithm is not None
    for base, value in v.get("kcv", {}).items():
        assert kcv(rule.algorithm, made[base]).hex().upper() == value


def test_visa_puts_d0_to_d3_and_d8_d9() -> None:
    """Recipe visa, which has no published vector, differs from emv by its six bytes only: proved by making them equal."""
    kdd = bytes.fromhex("0A0B0C0D") + bytes.fromhex("0A0B0C0D0E0F")
    same = bytes.fromhex("0A0B0C0D") + bytes(4) + bytes.fromhex("0E0F")
    assert diversify(recipe("visa"), Base.MAC, MASTER, same) == diversify(recipe("emv"), Base.MAC, MASTER, kdd)


@pytest.mark.parametrize("base", Base)
def test_none_is_the_master_itself(base: Base) -> None:
    """Test cards share one key."""
    assert diversify(recipe("none"), base, MASTER, KDD) == MASTER
    assert recipe("none").algorithm is None


def test_five_recipes_are_delivered() -> None:
    """The names that products may use, each with the cipher of its master."""
    assert {name: rule.algorithm for name, rule in recipes().items()} == {
        "emv": Algorithm.DES3,
        "visa2": Algorithm.DES3,
        "visa": Algorithm.DES3,
        "kdf3": Algorithm.AES,
        "none": None,
    }


def test_an_unknown_recipe_names_the_known_ones() -> None:
    """A misspelt name is refused."""
    with pytest.raises(PlanError, match=r"'emv2'.*emv, kdf3, none, visa, visa2"):
        recipe("emv2")


@pytest.mark.parametrize("size", [0, 9, 11, 16])
@pytest.mark.parametrize("name", ["emv", "kdf3", "none"])
def test_kdd_of_another_length_is_refused(name: str, size: int) -> None:
    """Diversification data has ten bytes, whatever the recipe takes of them."""
    with pytest.raises(ValueError, match=f"10 bytes, not {size}"):
        diversify(recipe(name), Base.ENC, MASTER, bytes(size))


@pytest.mark.parametrize(("name", "size"), [("emv", 24), ("emv", 8), ("kdf3", 8)])
def test_a_master_of_another_length_is_refused(name: str, size: int) -> None:
    """3des-ecb takes a two-key master, cmac-kdf an AES key."""
    with pytest.raises(ValueError, match=r"(?i)key"):
        diversify(recipe(name), Base.ENC, bytes(range(size)), KDD)


EMV = "d4 d5 d6 d7 d8 d9 F0 nn d4 d5 d6 d7 d8 d9 0F nn"


@pytest.mark.parametrize(
    ("toml", "fault"),
    [
        (f'[a]\nmethod = "3des-ecb"\ntemplate = "{EMV} 00"', "recipe a: .*17 items"),
        (f'[a]\nmethod = "3des-ecb"\ntemplate = "{EMV[3:]}"', "recipe a: .*15 items"),
        (f'[a]\nmethod = "3des-ecb"\ntemplate = "{EMV.replace("0F", "i")}"', "recipe a: .*no i"),
        (f'[a]\nmethod = "3des-ecb"\ntemplate = "{EMV.replace("nn", "01")}"', "recipe a: without nn"),
        (f'[a]\nmethod = "3des-ecb"\ntemplate = "{EMV.replace("0F", "0f")}"', "recipe a: '0f'"),
        (f'[a]\nmethod = "3des-ecb"\ntemplate = "{EMV.replace("d4", "dA")}"', "recipe a: 'dA'"),
        (f'[a]\nmethod = "3des-ecb"\ntemplate = "{EMV.replace("d4", "D42")}"', "recipe a: 'D42'"),
        ('[a]\nmethod = "3des-ecb"\ntemplate = "' + "nn " * 16 + '"', "recipe a: without d0"),
        ('[a]\nmethod = "cmac-kdf"\ntemplate = "nn 00 d0"', "recipe a: .*one i"),
        ('[a]\nmethod = "cmac-kdf"\ntemplate = "i nn d0 i"', "recipe a: .*one i"),
        ('[a]\nmethod = "cmac-kdf"', "recipe a: without nn"),
        ('[a]\nmethod = "none"\ntemplate = "nn"', "recipe a: .*no template"),
        ('[a]\nmethod = "aes-ecb"\ntemplate = "nn"', "recipe a: method is one of"),
        ('[a]\nmethod = 3\ntemplate = "nn"', "recipe a: method is one of"),
        ('[a]\nmethod = "none"\niv = "00"', "recipe a: .*nothing else"),
        ('[a]\ntemplate = "nn"', "recipe a: it has a method"),
        ("a = 1", "recipe a: it has a method"),
        ("[a", "can't be read"),
    ],
)
def test_a_bad_recipe_is_refused_when_it_is_read(toml: str, fault: str) -> None:
    """What is wrong is said at load, with the recipe's name, never at the first card."""
    with pytest.raises(PlanError, match=fault):
        load(toml)


def test_a_recipe_of_ones_own_is_read() -> None:
    """A template with the counter in its middle is carried out as written."""
    own = load('[own]\nmethod = "cmac-kdf"\ntemplate = "00 nn i d9 d0"')["own"]
    assert own == Recipe(name="own", method=RecipeMethod.CMAC_KDF, template="00 nn i d9 d0")
    assert len(diversify(own, Base.DEK, bytes(range(32)), KDD)) == 32
