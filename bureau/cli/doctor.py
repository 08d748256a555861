"""The doctor command: whether this machine can work, part by part, and how to mend what can't."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import click

from bureau.cli import session
from bureau.cli.output import Row, as_json, listing
from bureau.errors import BureauError
from bureau.ledger import auditing
from bureau.ledger.ledger import Ledger
from bureau.service.plant import Plant
from bureau.service.stint import LEAST_FREE
from config import settings
from hardware.encoders.pcsc import Pcsc
from hardware.encoders.pcsc.reader import readers
from hardware.errors import HardwareError


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found of one part; *mend* says what to do where it isn't *well*."""

    part: str
    well: bool
    found: str
    mend: str = ""


@click.command("doctor")
@as_json
@click.pass_context
def doctor_command(ctx: click.Context, json_: bool) -> None:
    """Check this machine, and say how to mend what is wrong.

    Exit status 1 where something is. Nothing is changed.
    """
    plant = Plant(settings.current())
    found = [finding for check in CHECKS for finding in _examined(check, plant)]
    rows: list[Row] = [
        {"part": each.part, "": "ok" if each.well else "WRONG", "found": each.found, "mend": "" if each.well else each.mend}
        for each in found
    ]
    listing(rows, json_=json_, zone=plant.settings.plant, empty="")
    if not all(each.well for each in found):
        ctx.exit(1)


def _examined(check: Callable[[Plant], Iterator[Finding]], plant: Plant) -> Iterator[Finding]:
    """Yield what a check finds; one that can't be made is a finding itself."""
    try:
        yield from check(plant)
    except BureauError as fault:
        yield Finding(part=check.__name__.strip("_").replace("_", " "), well=False, found=str(fault), mend=fault.remedy)
    except (HardwareError, OSError, ValueError) as fault:
        yield Finding(part=check.__name__.strip("_").replace("_", " "), well=False, found=str(fault))


def _home(plant: Plant) -> Iterator[Finding]:
    home = plant.settings.home
    if not home.exists():
        yield Finding(part="home", well=False, found=f"there is no {home}", mend="bureau migrate")
        return
    mode = home.stat().st_mode & 0o777
    yield Finding(part="home", well=not mode & 0o077, found=f"{home}, mode {mode:04o}", mend=f"chmod 700 {home}")


def _disk(plant: Plant) -> Iterator[Finding]:
    home = plant.settings.home
    free = shutil.disk_usage(home if home.exists() else home.parent).free
    wants = f"under {LEAST_FREE >> 20} MB nothing is claimed: make room"
    yield Finding(part="disk", well=free >= LEAST_FREE, found=f"{free >> 20} MB free", mend=wants)


def _key_store(plant: Plant) -> Iterator[Finding]:
    keys = len(plant.keystore.keys())
    yield Finding(part="key store", well=keys > 0, found=f"{keys} keys", mend="bureau keys import")


def _ledger(plant: Plant) -> Iterator[Finding]:
    migrated = Ledger(plant.settings.database_url).is_migrated()
    found = "up to date" if migrated else "not that of this version"
    yield Finding(part="ledger", well=migrated, found=found, mend="bureau migrate")


def _clock(plant: Plant) -> Iterator[Finding]:
    """Compare with the newest audit entry, which can't lie in the future."""
    now = datetime.now(UTC)
    ledger = Ledger(plant.settings.database_url)
    with ledger.read() as connection:
        newest = list(auditing.entries(connection, after=auditing.head(connection).number - 1))
    behind = max(((each.at - now).total_seconds() for each in newest), default=0.0)
    found = f"{now.astimezone(plant.settings.plant):%Y-%m-%d %H:%M:%S %Z}"
    if behind > 0:
        found += f", {behind:.0f} s behind the ledger's newest entry"
    yield Finding(part="clock", well=behind <= 0, found=found, mend="set the clock, and keep it by NTP")


def _broker(plant: Plant) -> Iterator[Finding]:
    url = plant.settings.broker_url
    if url is None:
        yield Finding(part="broker", well=True, found="none runs; `bureau up` starts its own")
        return
    answers = session.broker_answers(plant.settings)
    yield Finding(
        part="broker", well=answers, found="answers" if answers else "doesn't answer", mend="start it, or `bureau up`"
    )


def _encoders(plant: Plant) -> Iterator[Finding]:
    encoders = plant.encoders
    found = ", ".join(encoders) or "none"
    mend = f"name some in {plant.settings.stations_file}; config/demo/stations.toml shows how"
    yield Finding(part="encoders", well=bool(encoders), found=found, mend=mend)
    wanted = [config for config in encoders.values() if config.kind == Pcsc.KEY]
    for socket in dict.fromkeys(str(config.options.get("socket", "")) for config in wanted):
        seen = {each.name for each in readers(socket) if each.is_there}
        for config in wanted:
            if str(config.options.get("socket", "")) == socket:
                reader = str(config.options.get("reader"))
                well = reader in seen
                found = f"{reader} is {'there' if well else 'missing'}"
                yield Finding(
                    part=f"reader of {config.machine.encoder}", well=well, found=found, mend="plug it in: bureau readers"
                )


CHECKS: Final = (_home, _disk, _key_store, _ledger, _clock, _broker, _encoders)
