"""The bureau command as a person types it, in a home of its own."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bureau.cli import main
from bureau.ledger import accounts
from bureau.models import Role
from bureau.service import people
from bureau.service.plant import Plant
from config import settings
from tests.cli.staff import STAFF, handed, secret
from tests.typed import Said, Typed, in_process

DEMO = Path(__file__).parents[2] / "config" / "demo"


Bureau = Typed


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment that names a home which doesn't exist yet, and a passphrase."""
    _environment(tmp_path, monkeypatch)
    return tmp_path / "home"


def _environment(folder: Path, patch: pytest.MonkeyPatch) -> None:
    passphrase = folder / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text("correct horse battery staple\n")
    for name, value in {
        "BUREAU_HOME": str(folder / "home"),
        "BUREAU_PASSPHRASE_FILE": str(passphrase),
        "BUREAU_USER": "anna",
        "BUREAU_DATABASE_URL": "",
        "BUREAU_BROKER_URL": "",
        "BUREAU_STATIONS": "",
        "BUREAU_PLANT_TZ": "Europe/Berlin",
    }.items():
        patch.setenv(name, value)


@pytest.fixture
def bureau(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bureau:
    """Type a command; the exit status is what a shell would see."""
    return in_process(monkeypatch, capsys)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the shipped profiles, the test keys and the demo's encoders, made once and copied for each test."""
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patch:
        _environment(folder, patch)
        for words in (("migrate",), ("keys", "import-test"), ("profiles", "add", "--shipped")):
            patch.setattr(sys, "argv", ["bureau", *words])
            main()
    (folder / "home" / "stations.toml").write_text((DEMO / "stations.toml").read_text())
    return folder / "home"


@pytest.fixture
def founded(bureau: Bureau, home: Path, model: Path) -> Bureau:
    """The same, in a home where everything is registered."""
    shutil.copytree(model, home)
    return bureau


@pytest.fixture(scope="session")
def staff(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with an account for each of STAFF, made once."""
    folder = tmp_path_factory.mktemp("staff") / "home"
    shutil.copytree(model, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BUREAU_HOME", str(folder))
        patch.setenv("BUREAU_DATABASE_URL", "")
        patch.setenv("BUREAU_PASSPHRASE_FILE", str(model.parent / "passphrase"))
        plant = Plant(settings.current())
    with plant.ledger.write("root") as tx:
        for name, role in STAFF.items():
            accounts.add(tx, name, Role(role), *people.stretched(secret(name).encode()))
    plant.ledger.checkpoint()
    plant.ledger.close()
    return folder


By = Callable[..., Said]


@pytest.fixture
def by(bureau: Bureau, home: Path, staff: Path) -> By:
    """Type a command as somebody of STAFF."""
    shutil.copytree(staff, home)

    def typed(name: str, *words: str, passphrase: str | None = None) -> Said:
        return bureau(*words, "--as", name, "--passphrase-fd", handed(passphrase or secret(name)))

    return typed
