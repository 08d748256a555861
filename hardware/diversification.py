"""How a card's static keys come from a master key: recipes are data (config/recipes.toml), this carries them out."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Final

from hardware.crypto import des3_ecb_encrypt, kbkdf_cmac
from hardware.errors import PlanError
from hardware.keys import Algorithm, Base

TOKEN: Final = re.compile(r"[0-9A-F]{2}|d[0-9]|nn|i")
KDD: Final = 10
"""Bytes of a card's key diversification data."""


class RecipeMethod(StrEnum):
    """What is done with the filled-in template."""

    DES3_ECB = "3des-ecb"
    """Encrypted under a two-key master, it is the key."""
    CMAC_KDF = "cmac-kdf"
    """SP 800-108 in counter mode with AES-CMAC; the key is as long as the master."""
    NONE = "none"
    """No template: the master itself is every key of every card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way of diversification; raises ValueError where *template* doesn't suit *method*.

    template: upper-case hex bytes, d0..d9 for the diversification data, nn for 01, 02, 03 (ENC, MAC, DEK), i for the
    counter of cmac-kdf, separated by blanks.
    """

    name: str
    method: RecipeMethod
    template: str = ""

    def __post_init__(self) -> None:
        for fault in self._faults():
            raise ValueError(f"recipe {self.name}: {fault}")

    @property
    def algorithm(self) -> Algorithm | None:
        """The cipher that the master must belong to; None: either."""
        return {"3des-ecb": Algorithm.DES3, "cmac-kdf": Algorithm.AES}.get(self.method)

    def _faults(self) -> Iterator[str]:
        tokens = self.template.split()
        for token in tokens:
            if not TOKEN.fullmatch(token):
                yield f"{token!r} is neither an upper-case hex byte nor d0 to d9, nn or i"
        if self.method is RecipeMethod.NONE:
            if tokens:
                yield "method none takes no template"
            return
        if "nn" not in tokens:
            yield "without nn in its template all three keys would be the same"
        if not any(token[0] == "d" for token in tokens):
            yield "without d0 to d9 in its template all cards would have the same keys"
        if self.method is RecipeMethod.DES3_ECB and ("i" in tokens or len(tokens) != 16):
            yield f"a 3des-ecb template has 16 bytes and no i; this one has {len(tokens)} items"
        if self.method is RecipeMethod.CMAC_KDF and tokens.count("i") != 1:
            yield "a cmac-kdf template has one i, the counter"


def diversify(recipe: Recipe, base: Base, master: bytes, kdd: bytes) -> bytes:
    """Return the static key *base* of the card whose ten bytes of diversification data are *kdd*.

    Raises ValueError for other lengths.
    """
    if len(kdd) != KDD:
        raise ValueError(f"key diversification data has {KDD} bytes, not {len(kdd)}")
    if recipe.method is RecipeMethod.NONE:
        return master
    before, _, after = recipe.template.partition("i")
    if recipe.method is RecipeMethod.CMAC_KDF:
        return kbkdf_cmac(master, _fill(before, base, kdd), _fill(after, base, kdd), 8 * len(master))
    if len(master) != 16:
        raise ValueError(f"recipe {recipe.name} takes a master key of 16 bytes, not {len(master)}")
    return des3_ecb_encrypt(master, _fill(before, base, kdd))


def _fill(template: str, base: Base, kdd: bytes) -> bytes:
    def byte(item: str) -> int:
        if item == "nn":
            return base.number
        return kdd[int(item[1])] if item[0] == "d" else int(item, 16)

    return bytes(byte(item) for item in template.split())


def load(text: str) -> dict[str, Recipe]:
    """Read recipes from TOML, one table each; raises PlanError that names the recipe at fault."""
    try:
        return {name: _recipe(name, table) for name, table in tomllib.loads(text).items()}
    except ValueError as wrong:
        raise PlanError(f"recipes can't be read: {wrong}") from wrong


def _recipe(name: str, table: object) -> Recipe:
    if not isinstance(table, dict) or not {"method"} <= table.keys() <= {"method", "template"}:
        raise ValueError(f"recipe {name}: it has a method and, but for none, a template; nothing else")
    if table["method"] not in list(RecipeMethod):
        raise ValueError(f"recipe {name}: method is one of {', '.join(RecipeMethod)}")
    return Recipe(name=name, method=RecipeMethod(table["method"]), template=str(table.get("template", "")))


@cache
def recipes() -> dict[str, Recipe]:
    """Return the recipes of config/recipes.toml by name."""
    return load(resources.files("config").joinpath("recipes.toml").read_text(encoding="utf-8"))


def recipe(name: str) -> Recipe:
    """Return one recipe; raises PlanError where there is none of that name."""
    try:
        return recipes()[name]
    except KeyError as missing:
        raise PlanError(f"no recipe {name!r}; config/recipes.toml has {', '.join(sorted(recipes()))}") from missing
