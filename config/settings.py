"""Settings from the environment: the only place that reads it."""

import getpass
import os
import pwd
import re
import socket
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class SettingsError(ValueError):
    """A setting that can't be used; the message names the variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where things are and how long they take; each from the variable named beside it."""

    home: Path
    """BUREAU_HOME, default ~/.local/share/bureau: ledger, key store, worlds, audit trails, logs."""
    database_url: str = field(repr=False)
    """BUREAU_DATABASE_URL, default SQLite in the home."""
    broker_url: str | None = field(repr=False)
    """BUREAU_BROKER_URL; without it `bureau up` starts a broker of its own and leaves its address in the home."""
    passphrase_file: Path | None
    """BUREAU_PASSPHRASE_FILE, mode 0600: opens the key store."""
    stations_file: Path
    """BUREAU_STATIONS, default stations.toml in the home."""
    plant: ZoneInfo
    """BUREAU_PLANT_TZ, default UTC: the time zone of due dates."""
    lease: timedelta
    """BUREAU_LEASE_SECONDS, default 120: how long a silent encoder keeps its card."""
    stint: timedelta
    """BUREAU_STINT_SECONDS, default 60: after this long an encoder ends its task and is woken anew."""
    retention: timedelta
    """BUREAU_RETENTION_HOURS, default 72: how long after its audit trail a job's records and traces are kept."""
    encoder: str | None
    """BUREAU_ENCODER, set for each encoder's worker: which machine is its own."""
    alert: str
    """BUREAU_ALERT, default none: a command to run when something is held, failed or late: see bureau.service.alerts."""
    approval: timedelta
    """BUREAU_APPROVAL_HOURS, default 24: how long a request waits for the second person."""
    host: str
    """BUREAU_HOST, default this machine's name: which host the encoders of this bureau are on."""
    most_rejects: float
    """BUREAU_REJECT_PERCENT, default 5: the share of cards gone wrong above which a lot holds itself; 100 is never."""
    user: str
    """BUREAU_USER, default the login name: who the audit log says it was, as long as there are no accounts."""
    os_user: str
    """Whose process this is, whatever the environment says: recorded beside the account that acts."""
    account: str | None
    """BUREAU_ACCOUNT: the account that acts where a command names none."""

    @property
    def keystore(self) -> Path:
        """The soft key store's file."""
        return self.home / "keystore.json"

    @property
    def worlds(self) -> Path:
        """The journals of simulated encoders."""
        return self.home / "world"

    @property
    def trails(self) -> Path:
        """Where audit trails are written."""
        return self.home / "trails"

    @property
    def broker_address(self) -> Path:
        """Where `bureau up` writes the address of the broker that it started, while that runs."""
        return self.home / "broker.url"

    @property
    def has_own_broker(self) -> bool:
        """Whether the broker's address is the one that `bureau up` left, perhaps before it was killed."""
        return self.broker_url is not None and self.broker_url == _own_broker(self.home)

    @property
    def lock(self) -> Path:
        """What `bureau up` locks while it runs."""
        return self.home / "up.lock"

    @property
    def sign(self) -> timedelta:
        """How often a host gives a sign of life of its encoders."""
        return self.lease / 8

    @property
    def silence(self) -> timedelta:
        """After how long without a sign the open lines of a host are lost."""
        return 3 * self.sign

    @property
    def logs(self) -> Path:
        """Where `bureau up` keeps its processes' logs."""
        return self.home / "log"


def current() -> Settings:
    """Read the environment; raises SettingsError."""
    home = Path(os.environ.get("BUREAU_HOME") or Path.home() / ".local/share/bureau").absolute()
    passphrase = os.environ.get("BUREAU_PASSPHRASE_FILE")
    zone = os.environ.get("BUREAU_PLANT_TZ") or "UTC"
    try:
        plant = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as unknown:
        raise SettingsError(f"BUREAU_PLANT_TZ: {zone!r} is no time zone; write one such as Europe/Berlin") from unknown
    return Settings(
        home=home,
        database_url=os.environ.get("BUREAU_DATABASE_URL") or f"sqlite:///{home / 'ledger.sqlite'}",
        broker_url=os.environ.get("BUREAU_BROKER_URL") or _own_broker(home),
        passphrase_file=Path(passphrase) if passphrase else None,
        stations_file=Path(os.environ.get("BUREAU_STATIONS") or home / "stations.toml"),
        plant=plant,
        lease=_seconds("BUREAU_LEASE_SECONDS", 120),
        stint=_seconds("BUREAU_STINT_SECONDS", 60),
        retention=_hours("BUREAU_RETENTION_HOURS", 72),
        encoder=os.environ.get("BUREAU_ENCODER") or None,
        alert=os.environ.get("BUREAU_ALERT") or "",
        approval=_approval("BUREAU_APPROVAL_HOURS", 24),
        host=_host("BUREAU_HOST"),
        most_rejects=_percent("BUREAU_REJECT_PERCENT", 5),
        user=_user("BUREAU_USER"),
        os_user=_os_user(),
        account=os.environ.get("BUREAU_ACCOUNT") or None,
    )


def environment(settings: Settings) -> dict[str, str]:
    """Return this process's environment with *settings* written into it, for child processes."""
    written = {
        "BUREAU_HOME": str(settings.home),
        "BUREAU_DATABASE_URL": settings.database_url,
        "BUREAU_BROKER_URL": settings.broker_url or "",
        "BUREAU_PASSPHRASE_FILE": str(settings.passphrase_file or ""),
        "BUREAU_STATIONS": str(settings.stations_file),
        "BUREAU_PLANT_TZ": settings.plant.key,
        "BUREAU_LEASE_SECONDS": str(settings.lease.total_seconds()),
        "BUREAU_STINT_SECONDS": str(settings.stint.total_seconds()),
        "BUREAU_RETENTION_HOURS": str(settings.retention / timedelta(hours=1)),
        "BUREAU_ENCODER": settings.encoder or "",
        "BUREAU_ALERT": settings.alert,
        "BUREAU_APPROVAL_HOURS": str(settings.approval / timedelta(hours=1)),
        "BUREAU_HOST": settings.host,
        "BUREAU_REJECT_PERCENT": str(settings.most_rejects),
        "BUREAU_USER": settings.user,
    }
    return os.environ | written


def work_for(encoder: str | None) -> None:
    """Write into this process's environment which encoder is its own."""
    os.environ["BUREAU_ENCODER"] = encoder or ""


def _own_broker(home: Path) -> str | None:
    address = home / "broker.url"
    return address.read_text() if address.exists() else None


def _seconds(name: str, default: float) -> timedelta:
    seconds = _number(name, default)
    if not 0 < seconds < 86_400:
        raise SettingsError(f"{name}: {seconds:g} is no number of seconds between 0 and 86400")
    return timedelta(seconds=seconds)


def _hours(name: str, default: float) -> timedelta:
    hours = _number(name, default)
    if not 0 <= hours <= 24 * 366:
        raise SettingsError(f"{name}: {hours:g} is no number of hours from 0 to a year's")
    return timedelta(hours=hours)


def _approval(name: str, default: float) -> timedelta:
    wait = _hours(name, default)
    if not wait:
        raise SettingsError(f"{name}: nobody can approve anything within no time")
    return wait


def _percent(name: str, default: float) -> float:
    percent = _number(name, default)
    if not 0 <= percent <= 100:
        raise SettingsError(f"{name}: {percent:g} is no percentage from 0 to 100")
    return percent


def _user(name: str) -> str:
    user = os.environ.get(name) or getpass.getuser()
    if not re.fullmatch(r"[^\x00-\x1f()]{1,64}", user):  # an account's entries say "anna (os: root)"
        raise SettingsError(f"{name}: {user!r} is no name; take up to 64 characters and no brackets")
    return user


def _host(name: str) -> str:
    host = os.environ.get(name) or socket.gethostname()
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", host):
        raise SettingsError(f"{name}: {host!r} is no host's name; take up to 64 letters, digits, dots and dashes")
    return host


def _os_user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's process may have a number only
        return str(os.getuid())


def _number(name: str, default: float) -> float:
    text = os.environ.get(name) or str(default)
    try:
        return float(text)
    except ValueError as wrong:
        raise SettingsError(f"{name}: {text!r} is no number") from wrong
