"""A bureau made from nothing in a directory of its own, whatever bureau the environment names."""

import secrets
from dataclasses import replace
from pathlib import Path

from bureau.cli.output import note
from bureau.service import register
from bureau.service.plant import Plant
from config import settings
from config.settings import Settings
from hardware.keystores.soft import SoftKeyStore


def settings_of(home: Path, stations: str) -> Settings:
    """Write *stations* and a passphrase into the empty *home*; return the settings of a bureau there, for test keys."""
    (home / "stations.toml").write_text(stations, "utf-8")
    passphrase = home / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text(secrets.token_urlsafe(24))
    return replace(
        settings.current(),
        home=home,
        database_url=f"sqlite:///{home / 'ledger.sqlite'}",
        broker_url=None,
        passphrase_file=passphrase,
        stations_file=home / "stations.toml",
        encoder=None,
        alert="",
    )


def found(plant: Plant) -> None:
    """Make the key store and the ledger, and register the public test keys and the shipped profiles."""
    if plant.settings.passphrase_file is not None:
        SoftKeyStore.create(plant.settings.keystore, plant.settings.passphrase_file.read_bytes())
    plant.ledger.migrate()
    keys = register.import_test_keys(plant, plant.settings.user)
    register.add_shipped(plant, plant.settings.user)
    note(f"registered {len(keys)} public test keys and the shipped profiles")
