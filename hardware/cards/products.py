"""Card products from TOML: every key but the optional ones must be there, no other may be, and each has one type.

Optional are extended, unread, the table [keys], and in [channel] scp, i (the card says them then), pad_empty and tries.
A card that isn't GlobalPlatform has no table [channel]: isd_aid, scp, i and master are None, and what else belongs to a
channel means nothing.
"""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Final, Protocol, TypeVar

from hardware import diversification, scp
from hardware.certificates import Authority
from hardware.crypto import Curve, ec_check
from hardware.errors import PlanError
from hardware.iso7816 import AID
from hardware.keystores import KeyId
from hardware.perso.order import UniqueID
from hardware.perso.product import KeySet, Product
from hardware.scp import Terms
from hardware.scp.initiation import SHORT

T = TypeVar("T")

KINDS: Final[dict[type, str]] = {
    str: "a string", int: "a whole number", bool: "true or false", list: "a list", dict: "a table",
}  # fmt: skip


class TomlFile(Protocol):
    """A path, or a resource of a package."""

    @property
    def name(self) -> str:
        """The file's name; without its ending it is the product's."""

    def read_text(self, encoding: str) -> str:
        """Return the file's content."""


def load(path: TomlFile) -> Product:
    """Read one product; raises ValueError that names the file and the key at fault."""
    try:
        return _product(path.name.removesuffix(".toml"), tomllib.loads(path.read_text("utf-8")))
    except ValueError as wrong:
        raise ValueError(f"{path.name}: {wrong}") from wrong


@cache
def shipped() -> tuple[Product, ...]:
    """Return the products of config/products by name; raises ValueError like load."""
    folder = resources.files("config").joinpath("products")
    files = (file for file in folder.iterdir() if file.name.endswith(".toml"))
    return tuple(load(file) for file in sorted(files, key=lambda file: file.name))


def _product(name: str, table: dict[str, object]) -> Product:
    card, channel = _Keys(table, ""), None
    if "channel" in table:
        channel = _Keys(card.take("channel", dict), "channel.")
    product = Product(
        name=name,
        atr=card.hexadecimal("atr"),
        atr_mask=card.hexadecimal("atr_mask"),
        environment=card.text("environment"),
        environment_version=card.text("environment_version"),
        isd_aid=channel.aid("isd_aid") if channel else None,
        scp=channel.known("scp", scp.channel) if channel and "scp" in channel else None,
        i=channel.number("i", 0, 0xFF) if channel and "i" in channel else None,
        level=channel.number("level", 0, 0x33) if channel else 0,
        kvn=channel.number("kvn", 0, 0x7F) if channel else 0,
        master=KeyId(channel.hexadecimal("master").hex().upper()) if channel else None,
        recipe=channel.known("recipe", diversification.recipe) if channel else "none",
        block=card.number("block", 1, 0xFFFF),
        extended=card.flag("extended"),
        pad_empty=channel is not None and channel.flag("pad_empty"),
        tries=channel.number("tries", 1, 0xFF) if channel and "tries" in channel else None,
        packing=card.take("packing", bool),
        replace=card.take("replace", bool),
        unread=card.tags("unread"),
        profiles=tuple(UniqueID(profile.hex().upper()) for profile in card.hexadecimals("profiles")),
        terms=_terms(channel) if channel and "agreement" in channel else None,
    )
    if own := table.pop("keys", None):
        product = replace(product, keys=_key_set(own, product))
    for keys in filter(None, (channel, card)):
        keys.end()
    _check(product)
    return product


def _check(product: Product) -> None:
    if len(product.atr) != len(product.atr_mask):
        raise ValueError(f"atr_mask: {len(product.atr_mask)} bytes for an ATR of {len(product.atr)}")
    _check_channel(product)
    _check_block(product)


def _terms(channel: "_Keys") -> Terms:
    """Read what both ends of a key agreement know before; the card's CA must be stated, or nothing could be trusted."""
    keys = _Keys(channel.take("agreement", dict), "channel.agreement.")
    ca = _Keys(keys.take("authority", dict), "channel.agreement.authority.")
    authority = Authority(identifier=ca.hexadecimal("identifier"), curve=ca.curve("curve"), point=ca.hexadecimal("point"))
    terms = Terms(
        curve=keys.curve("curve"),
        key_size=keys.number("key_size", 16, 32),
        ca_kvn=keys.number("ca_kvn", 0, 0x7F),
        ca_kid=keys.number("ca_kid", 0, 0x7F),
        host_id=keys.hexadecimal("host_id") if "host_id" in keys else b"",
        card_group=keys.hexadecimal("card_group") if "card_group" in keys else b"",
        authorities=(authority,),
    )
    for each in (ca, keys):
        each.end()
    if terms.key_size not in (16, 24, 32):
        raise ValueError(f"channel.agreement.key_size: must be 16, 24 or 32, not {terms.key_size}")
    try:
        ec_check(authority.curve, authority.point)
    except ValueError as wrong:
        raise ValueError(f"channel.agreement.authority.point: {wrong}") from wrong
    return terms


def _check_channel(product: Product) -> None:
    """Raise ValueError for an option that its channel hasn't, or a level that the option hasn't."""
    kind = scp.channel(product.scp) if product.scp else None
    agrees = kind is not None and kind.AGREES
    if agrees is not (product.terms is not None):
        raise ValueError(f"channel.agreement: {product.scp} {'needs this table' if agrees else 'has no such table'}")
    if agrees and product.i is None:
        raise ValueError(f"channel.i: {product.scp} needs it stated")
    if product.i is None:
        return
    if kind is None:
        raise ValueError("channel.i: means nothing without scp")
    options = kind.OPTIONS
    if product.i not in options:
        raise ValueError(f"channel.i: {product.scp} has no option {product.i:02X}")
    if product.level not in options[product.i]:
        said = ", ".join(f"{level:02X}" for level in sorted(options[product.i]))
        raise ValueError(f"channel.level: {product.scp} i={product.i:02X} has the levels {said}, not {product.level:02X}")


def _key_set(table: object, product: Product) -> KeySet:
    """Read the card's own keys; raises ValueError where the transport keys can't be told from them, or aren't there."""
    if not isinstance(table, dict) or product.isd_aid is None:
        raise ValueError("keys: must be a table, of a card that has a table [channel]")
    if product.terms:
        raise ValueError(f"keys: {product.scp} agrees on its keys, and has no transport keys that they could replace")
    own = _Keys(table, "keys.")
    keys = KeySet(
        kvn=own.number("kvn", 1, 0x7F),
        master=KeyId(own.hexadecimal("master").hex().upper()),
        recipe=own.known("recipe", diversification.recipe),
    )
    own.end()
    if product.kvn in (0, keys.kvn):
        raise ValueError("keys.kvn: the transport keys need a number of their own in channel.kvn, to be deleted by")
    return keys


def _check_block(product: Product) -> None:
    """Raise ValueError for a block that no command of *product* holds once protected, at whatever level."""
    if product.isd_aid is None:
        if product.extended:
            raise ValueError("extended: a card without [channel] has no commands of extended length")
        most, of = SHORT, "this card"
    elif product.scp is None:
        if product.extended:
            raise ValueError("extended: only a card whose scp is stated has commands of extended length")
        most, of = scp.channel("SCP03").room(None, extended=False), "a card that itself says its channel"
    else:
        try:
            most, of = scp.channel(product.scp).room(product.i, extended=product.extended), product.scp
        except PlanError as unknown:
            raise ValueError(f"extended: {unknown}") from unknown
    if product.block > most:
        kind = "an extended" if product.extended else "a short"
        raise ValueError(f"block: {kind} command of {of} holds at most {most} bytes of data, not {product.block}")


class _Keys:
    """Takes keys out of a TOML table, each with its type; what is left at the end isn't known."""

    def __init__(self, table: dict[str, object], prefix: str) -> None:
        self._table, self._prefix = table, prefix

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def take(self, key: str, kind: type[T]) -> T:
        if key not in self._table:
            raise ValueError(f"{self._prefix}{key}: is missing")
        value = self._table.pop(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"{self._prefix}{key}: must be {KINDS[kind]}")
        return value

    def text(self, key: str) -> str:
        if not (value := self.take(key, str)):
            raise ValueError(f"{self._prefix}{key}: is empty")
        return value

    def known(self, key: str, find: Callable[[str], object]) -> str:
        """Take the name of something that *find* finds."""
        name = self.text(key)
        try:
            find(name)
        except PlanError as unknown:
            raise ValueError(f"{self._prefix}{key}: {unknown}") from unknown
        return name

    def curve(self, key: str) -> Curve:
        name = self.text(key)
        if name not in list(Curve):
            raise ValueError(f"{self._prefix}{key}: no curve {name!r} is built in")
        return Curve(name)

    def flag(self, key: str) -> bool:
        """Take true or false; false where nothing is said."""
        return key in self and self.take(key, bool)

    def number(self, key: str, least: int, most: int) -> int:
        if not least <= (value := self.take(key, int)) <= most:
            raise ValueError(f"{self._prefix}{key}: must be {least} to {most}")
        return value

    def hexadecimal(self, key: str) -> bytes:
        return self._bytes(key, self.text(key))

    def aid(self, key: str) -> AID:
        value = self.hexadecimal(key)
        try:
            return AID(value)
        except ValueError as wrong:
            raise ValueError(f"{self._prefix}{key}: {wrong}") from wrong

    def hexadecimals(self, key: str) -> list[bytes]:
        if not (values := self.take(key, list)) or len(set(map(str, values))) != len(values):
            raise ValueError(f"{self._prefix}{key}: is empty or names one twice")
        return [self._bytes(key, value) for value in values]

    def tags(self, key: str) -> frozenset[int]:
        """Take DGIs and tags; none where nothing is said."""
        named = self.hexadecimals(key) if key in self._table else ()
        return frozenset(int.from_bytes(each, "big") for each in named)

    def _bytes(self, key: str, text: object) -> bytes:
        try:
            value = bytes.fromhex(text) if isinstance(text, str) else b""
        except ValueError:
            value = b""
        if not value:
            raise ValueError(f"{self._prefix}{key}: {text!r} is no hex string")
        return value

    def end(self) -> None:
        if self._table:
            raise ValueError(f"{self._prefix}{min(self._table)}: no product has such a key")
