"""What one process of the bureau works with: ledger, key store, card products, encoders, settings, clock."""

import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from bureau.errors import BureauError, NotFoundError
from bureau.ledger.ledger import Ledger
from bureau.models import EncoderId, Pool
from bureau.scheduling import Machine
from config.settings import Settings
from hardware.cards import products
from hardware.keystores import KeyStore, Mode
from hardware.keystores.soft import SoftKeyStore
from hardware.perso.product import Product
from hardware.trace.speed import T0, T1

Wake = Callable[[Pool, int], None]
"""Tells a pool with so many open encoders that there is work; losing or doubling it is harmless."""
V = TypeVar("V")


def no_wake(pool: Pool, encoders: int) -> None:
    """Wake nobody: the brokerless mode, where encoders ask by themselves."""


def now() -> datetime:
    """Return this moment, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """One encoder of stations.toml: how the ledger sees the machine, what drives it, and that driver's own options."""

    machine: Machine
    kind: str
    options: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True)
class Plant:
    """Opens each part when it is first needed; a Plant survives no fork, so each process makes its own."""

    settings: Settings
    clock: Callable[[], datetime] = now

    @cached_property
    def keystore(self) -> KeyStore:
        """The key store; raises BureauError, KeyStoreError."""
        return SoftKeyStore.open(self.settings.keystore, passphrase(self.settings))

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, ready to be written; raises BureauError, KeyStoreError."""
        return Ledger(self.settings.database_url, self.keystore.authenticate, most_rejects=self.settings.most_rejects)

    @cached_property
    def products(self) -> Mapping[str, Product]:
        """The card products by name."""
        return {product.name: product for product in products.shipped()}

    @cached_property
    def encoders(self) -> Mapping[EncoderId, EncoderConfig]:
        """The encoders of this plant by name; raises BureauError."""
        return read_stations(self.settings.stations_file, self.products)

    def encoder(self, name: EncoderId) -> EncoderConfig:
        """Return one encoder's configuration; raises NotFoundError."""
        if name not in self.encoders:
            raise NotFoundError(f"{self.settings.stations_file} names no encoder {name}", "See `bureau encoders`.")
        return self.encoders[name]


def passphrase(settings: Settings) -> bytes:
    """Read the key store's passphrase; raises BureauError where the file is missing, empty or open to others."""
    file = settings.passphrase_file
    if file is None:
        raise BureauError(
            "the key store needs its passphrase",
            "Write it into a file of mode 0600 and name that in BUREAU_PASSPHRASE_FILE.",
        )
    try:
        mode, text = stat.S_IMODE(file.stat().st_mode), file.read_bytes().strip()
    except OSError as unreadable:
        raise BureauError(f"BUREAU_PASSPHRASE_FILE: {unreadable}") from unreadable
    if mode & 0o077:
        raise BureauError(f"BUREAU_PASSPHRASE_FILE: {file} is open to others (mode {mode:04o})", f"chmod 600 {file}")
    if not text:
        raise BureauError(f"BUREAU_PASSPHRASE_FILE: {file} is empty")
    return text


def read_stations(file: Path, known: Mapping[str, Product]) -> Mapping[EncoderId, EncoderConfig]:
    """Read stations.toml: a table [encoder.NAME] for each machine, with kind, product, stocks, and options."""
    try:
        table = tomllib.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError) as wrong:
        raise BureauError(f"{file}: {wrong}") from wrong
    return {
        EncoderId(name): _encoder(file, EncoderId(name), entry, known) for name, entry in table.get("encoder", {}).items()
    }


def _encoder(file: Path, name: EncoderId, entry: Mapping[str, Any], known: Mapping[str, Product]) -> EncoderConfig:
    def text(key: str, default: str | None = None) -> str:
        value = entry.get(key, default)
        if not isinstance(value, str):
            raise BureauError(f"{file}: encoder {name} needs a text for {key!r}")
        return value

    if not name.isascii() or not all(character.isalnum() or character in "-_" for character in name):
        raise BureauError(f"{file}: {name!r} is no name for an encoder: letters, digits, - and _ are")
    wrong = set(entry) - {
        "kind",
        "product",
        "environment",
        "version",
        "stocks",
        "mode",
        "protocols",
        "interpreters",
        "options",
    }
    if wrong:
        raise BureauError(f"{file}: encoder {name}: nothing is known of {', '.join(sorted(wrong))}")
    product = known.get(text("product"))
    if product is None:
        raise BureauError(f"{file}: encoder {name}: no card product is called {text('product')}", "See config/products.")
    mode = text("mode", Mode.TEST)
    if mode not in (Mode.TEST, Mode.PRODUCTION):
        raise BureauError(f"{file}: encoder {name}: mode is TEST or PRODUCTION")
    if mode == Mode.PRODUCTION and (text("kind") in ("simulator", "bench") or "feeder" in entry.get("options", {})):
        raise BureauError(f"{file}: encoder {name}: a simulator makes no production cards", "Leave its mode TEST.")
    machine = Machine(
        encoder=name,
        product=product.name,
        profiles=product.profiles,
        stocks=_stocks(file, name, entry),
        protocols=_protocols(file, name, entry),
        interpreters=_interpreters(file, name, entry),
        mode=Mode(mode),
        environment=text("environment", product.environment),
        version=text("version", product.environment_version),
    )
    return EncoderConfig(machine=machine, kind=text("kind"), options=entry.get("options", {}))


def _stocks(file: Path, name: EncoderId, entry: Mapping[str, Any]) -> tuple[str, ...]:
    stocks = entry.get("stocks")
    if not isinstance(stocks, list) or not stocks or not all(isinstance(stock, str) for stock in stocks):
        raise BureauError(f"{file}: encoder {name} needs its stocks, a list of at least one plastic stock")
    return tuple(stocks)


def _protocols(file: Path, name: EncoderId, entry: Mapping[str, Any]) -> tuple[str, ...]:
    protocols = entry.get("protocols", [T0, T1])
    if not isinstance(protocols, list) or not protocols or any(each not in (T0, T1) for each in protocols):
        raise BureauError(f'{file}: encoder {name}: protocols is a list of "T=0", "T=1" or both')
    return tuple(dict.fromkeys(protocols))


def _interpreters(file: Path, name: EncoderId, entry: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    interpreters = entry.get("interpreters", [])
    if not isinstance(interpreters, list) or not all(
        isinstance(each, dict) and set(each) == {"type", "version"} and all(isinstance(part, str) for part in each.values())
        for each in interpreters
    ):
        raise BureauError(f'{file}: encoder {name}: interpreters is a list of {{ type = "...", version = "..." }}')
    return tuple((each["type"], each["version"]) for each in interpreters)
