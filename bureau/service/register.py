"""Profiles and keys into the bureau."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable

from bureau.containers import profiles as xml
from bureau.errors import BureauError, NotAllowedError
from bureau.ledger import profiles
from bureau.models import ProfilePin
from bureau.service.catalog import Shelf
from bureau.service.plant import Plant
from hardware.gp import loadfile
from hardware.keystores import Algorithm, KeyId, KeyInfo, Mode, Purpose
from hardware.perso.profiles import CardProfile, LoadFileProfile, Profile

SHIPPED = resources.files("config") / "products"
TEST_KEYS = resources.files("config") / "demo" / "test-keys.toml"


def add_profiles(plant: Plant, content: bytes, code: bytes | None, actor: str) -> tuple[ProfilePin, ...]:
    """Register every profile of an XML file, with the CAP file that its load file profile describes.

    Raises BureauError: malformed, changed under a known version, or naming what isn't registered.
    """
    found = xml.parse(content)
    if code is not None:
        _check_code(found, code)
    shelf = Shelf.latest(plant.ledger)
    for profile in found:
        if isinstance(profile, CardProfile):
            _check_names(profile, found, shelf, code=code is not None)
    return tuple(_add(plant, profile, content, code, actor) for profile in found)


def _add(plant: Plant, profile: Profile, content: bytes, code: bytes | None, actor: str) -> ProfilePin:
    own_code = code if isinstance(profile, LoadFileProfile) else None
    return profiles.add(
        plant.ledger, type(profile).__name__, profile.id, profile.version, content, actor, plant.clock(), code=own_code
    )


def _check_code(found: Sequence[Profile], code: bytes) -> None:
    described = [profile for profile in found if isinstance(profile, LoadFileProfile)]
    if len(described) != 1:
        raise BureauError(f"the file holds {len(described)} load file profiles, and --code belongs to exactly one")
    try:
        load_file = loadfile.parse(code)
    except ValueError as wrong:
        raise BureauError(f"the CAP file can't be used: {wrong}") from wrong
    if load_file.aid != described[0].aid or set(load_file.modules) != set(described[0].modules):
        raise BureauError(
            f"the CAP file holds package {load_file.aid} with modules {', '.join(map(str, load_file.modules))}, "
            f"and load file profile {described[0].id} describes {described[0].aid}"
        )


def _check_names(card: CardProfile, found: Sequence[Profile], shelf: Shelf, *, code: bool) -> None:
    """Raise BureauError for a card profile that names what nobody registered; a masked load file needs no code."""
    masked = {each.profile for each in card.load_files if each.masked}
    applications = {profile.id for profile in found} | set(shelf.applications)
    load_files = set(shelf.load_files) | masked | {each.id for each in found if isinstance(each, LoadFileProfile) and code}
    missing = [f"application profile {each.profile}" for each in card.applications if each.profile not in applications]
    missing += [
        f"code of load file profile {each.load_file}" for each in card.applications if each.load_file not in load_files
    ]
    if missing:
        raise NotAllowedError(
            f"card profile {card.id} names what isn't registered: {'; '.join(dict.fromkeys(missing))}",
            "Register those first; code comes with `bureau profiles add FILE --code FILE.cap`.",
        )


def add_shipped(plant: Plant, actor: str) -> None:
    """Register the profiles that come with the engine: load files, then applications, then cards."""
    files = sorted((SHIPPED / "profiles").iterdir(), key=lambda file: (_rank(file), file.name))
    for file in files:
        content = file.read_bytes()
        code = (SHIPPED / "perso.cap").read_bytes() if _rank(file) == 0 else None
        add_profiles(plant, content, code, actor)


def _rank(file: Traversable) -> int:
    return ("loadfile", "application", "card").index(file.name.partition("-")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key to be imported."""

    id: KeyId
    name: str
    purpose: Purpose
    algorithm: Algorithm
    mode: Mode
    value: bytes = field(repr=False)
    certificates: tuple[bytes, ...] = ()


def import_key(plant: Plant, key: Key, actor: str) -> KeyInfo:
    """Put a key into the key store and say so in the audit log; raises KeyStoreError."""
    info = plant.keystore.import_key(
        key.id,
        key.value,
        name=key.name,
        purpose=key.purpose,
        algorithm=key.algorithm,
        mode=key.mode,
        certificates=key.certificates,
    )
    with plant.ledger.write(actor) as change:
        change.record("import key", f"key {info.id}", purpose=info.purpose, mode=info.mode, kcv=info.kcv)
    return info


def import_test_keys(plant: Plant, actor: str) -> tuple[KeyInfo, ...]:
    """Import the public test keys that the demo and the samples use."""
    table = tomllib.loads(TEST_KEYS.read_text())
    keys = (
        Key(
            id=KeyId(entry["id"]),
            name=name,
            purpose=Purpose(entry["purpose"]),
            algorithm=Algorithm(entry["algorithm"]),
            mode=Mode(entry["mode"]),
            value=bytes.fromhex(entry["value"]),
        )
        for name, entry in table.items()
    )
    return tuple(import_key(plant, key, actor) for key in keys)
