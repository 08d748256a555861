"""Commands about what the bureau keeps: profiles, keys, the audit log, migration, backup."""

import json
import os
import shutil
from pathlib import Path

import click

from bureau.cli import acting, session
from bureau.cli.output import as_json, listing, note, say
from bureau.errors import BureauError
from bureau.ledger import auditing, backup, profiles
from bureau.service import register
from bureau.service.people import Action
from bureau.service.plant import Plant, passphrase
from config import settings
from hardware.keystores import Algorithm, KeyId, KeyInfo, Mode, Purpose
from hardware.keystores.soft import SoftKeyStore


@click.group("profiles", invoke_without_command=True)
@as_json
@click.pass_context
def profiles_command(ctx: click.Context, json_: bool) -> None:
    """List the registered profiles, or add some."""
    if ctx.invoked_subcommand is None:
        rows = [
            {
                "kind": each.pin.kind,
                "unique_id": each.pin.unique_id,
                "version": each.pin.version,
                "code": "yes" if each.has_code else "",
                "hash": each.pin.digest[:16],
                "added_by": each.added_by,
                "added": each.added_at,
            }
            for each in profiles.registered(session.reading())
        ]
        empty = "No profile is registered. Add one with `bureau profiles add FILE`."
        listing(rows, json_=json_, zone=session.plant().settings.plant, empty=empty)


@profiles_command.command("add")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--code", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The load file profile's CAP file."
)
@click.option("--shipped", is_flag=True, help="Add the profiles that come with the engine, which the sample files name.")
@acting.acting
def add(file: Path | None, code: Path | None, shipped: bool) -> None:
    """Register the profiles of FILE (systems-profiles XML).

    A version never changes; jobs pin the content that they were submitted with.
    """
    if file is None and not shipped:
        raise click.UsageError("name a FILE, or --shipped")
    plant = session.plant()
    actor = acting.actor(plant, Action.PROFILES)
    if shipped:
        register.add_shipped(plant, actor)
        say("the shipped profiles are registered")
    if file is not None:
        for pin in register.add_profiles(plant, file.read_bytes(), code.read_bytes() if code else None, actor):
            say(f"{pin.kind} {pin.unique_id} version {pin.version} is registered, hash {pin.digest[:16]}")


@click.group("keys", invoke_without_command=True)
@as_json
@click.pass_context
def keys_command(ctx: click.Context, json_: bool) -> None:
    """List keys with their check values, or import some.

    A key itself is never shown.
    """
    if ctx.invoked_subcommand is None:
        registered = session.plant().keystore.keys()
        rows = [
            {
                "id": key.id,
                "name": key.name,
                "purpose": key.purpose,
                "algorithm": key.kind,
                "mode": key.mode,
                "kcv": key.kcv,
            }
            for key in registered
        ]
        listing(
            rows, json_=json_, zone=session.plant().settings.plant, empty="The key store is empty: `bureau keys import`."
        )


@keys_command.command("import")
@click.argument("key_id")
@click.option("--name", required=True, help="What people call the key.")
@click.option("--purpose", required=True, type=click.Choice([each.value for each in Purpose]))
@click.option("--algorithm", required=True, type=click.Choice([each.value for each in Algorithm]))
@click.option("--mode", required=True, type=click.Choice([each.value for each in Mode]))
@click.option("--fd", type=int, help="Read the key in hex from this file descriptor instead of the terminal.")
@click.option(
    "--certificate",
    "certificates",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A certificate of an agreement key, X.509 (DER) or GlobalPlatform; repeat it for a chain, the key's own last.",
)
@acting.acting
def import_(
    key_id: str, name: str, purpose: str, algorithm: str, mode: str, fd: int | None, certificates: tuple[Path, ...]
) -> None:
    """Import the key of UniqueID KEY_ID (hex) and show its check value, to be compared with the one on paper."""
    plant = session.plant()
    actor = acting.actor(plant, Action.KEYS)
    try:
        value = bytes.fromhex(_typed() if fd is None else _handed(fd))
    except ValueError:  # a key in binary is no text at all
        raise BureauError("the key isn't hex", "Type it without prefix; blanks between bytes are allowed.") from None
    entry = register.Key(
        id=KeyId(key_id.upper()),
        value=value,
        name=name,
        purpose=Purpose(purpose),
        algorithm=Algorithm(algorithm),
        mode=Mode(mode),
        certificates=tuple(each.read_bytes() for each in certificates),
    )
    _tell(register.import_key(plant, entry, actor))


def _typed() -> str:
    return str(click.prompt("key in hex", hide_input=True, err=True))


def _handed(fd: int) -> str:
    with os.fdopen(fd, encoding="ascii") as handed:
        return handed.read()


@keys_command.command("import-test")
@acting.acting
def import_test() -> None:
    """Import the public test keys that the sample files use."""
    plant = session.plant()
    for info in register.import_test_keys(plant, acting.actor(plant, Action.KEYS)):
        _tell(info)


def _tell(info: KeyInfo) -> None:
    say(f"{info.purpose} key {info.name} {info.id} ({info.kind}, {info.mode}): KCV {info.kcv}")


@click.group("audit", invoke_without_command=True)
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="How many entries.")
@as_json
@click.pass_context
def audit_command(ctx: click.Context, last: int, json_: bool) -> None:
    """List the newest entries of the audit log, or check it.

    The list says what the ledger holds; whether nobody tampered with it, `bureau audit verify` says.
    """
    if ctx.invoked_subcommand is None:
        with session.reading().read() as connection:
            rows = [
                {
                    "number": each.number,
                    "at": each.at,
                    "actor": each.actor,
                    "action": each.action,
                    "subject": each.subject,
                    "details": json.loads(each.details) if json_ else each.details,
                }
                for each in auditing.newest(connection, last)
            ]
        listing(rows, json_=json_, zone=session.plant().settings.plant, empty="The audit log is empty.")


@audit_command.command("verify")
def verify() -> None:
    """Check that nobody tampered with the audit log.

    One changed byte, a removed entry, the last one too, and a chain that was computed anew are found. Exit status 1 then.
    """
    plant = session.plant()
    broken = auditing.verify(plant.ledger, plant.keystore.authenticate)
    if broken is not None:
        raise BureauError(
            f"the audit log was tampered with: {broken}", "Keep a copy of the ledger and call your security officer."
        )
    with plant.ledger.read() as connection:
        say(f"the audit log is whole: {auditing.head(connection).number} entries")


@click.command("migrate")
def migrate_command() -> None:
    """Make BUREAU_HOME, or bring its ledger up to date.

    Done again it does no harm. The key store is made under the passphrase in BUREAU_PASSPHRASE_FILE.
    """
    now = settings.current()
    now.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    plant = Plant(now)
    secret = passphrase(plant.settings)
    if not now.keystore.exists():
        SoftKeyStore.create(now.keystore, secret)
        note(f"made the key store {now.keystore}")
    plant.ledger.migrate()
    say(f"the ledger of {now.home} is up to date")


@click.command("backup")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@acting.acting
def backup_command(directory: Path) -> None:
    """Copy ledger, key store and trails into DIRECTORY.

    Everything may go on meanwhile. A ledger on PostgreSQL is left to pg_dump.

    The passphrase isn't copied: without it no record and no key in the copy can be read.
    """
    plant = session.plant()
    actor, now = acting.actor(plant, Action.BACKUP), plant.settings
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    has_ledger = backup.copy(now.database_url, directory / "ledger.sqlite")
    for file in (now.keystore, now.stations_file):
        if file.exists():
            shutil.copy2(file, directory / file.name)
    if now.trails.exists():
        shutil.copytree(now.trails, directory / now.trails.name, dirs_exist_ok=True)
    with plant.ledger.write(actor, plant.clock()) as change:
        change.record("back up", f"directory {directory}")
    say(f"copied to {directory}; the passphrase isn't among it: keep it elsewhere")
    if not has_ledger:
        note("the ledger isn't among it either: copy its database too, such as with pg_dump")
