"""Who types: the account that a command acts as, its passphrase from the terminal or a descriptor."""

import os
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from bureau.errors import BureauError, NotAllowedError
from bureau.ledger import accounts
from bureau.service import people
from bureau.service.people import Action, Person
from bureau.service.plant import Plant

F = TypeVar("F", bound=Callable[..., Any])
_NAME: Final = "bureau.as"
_FD: Final = "bureau.passphrase_fd"
_FIRST: Final = "The first is a supervisor's: `bureau accounts add NAME --role supervisor`."


def _keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
    ctx.meta[f"bureau.{param.name}"] = value


def acting(command: F) -> F:
    """Let *command* say which account acts, and from where its passphrase comes; actor() and person() find both."""
    name = click.option(
        "--as", metavar="NAME", expose_value=False, callback=_keep, help="The account that acts; default BUREAU_ACCOUNT."
    )
    descriptor = click.option(
        "--passphrase-fd",
        type=click.IntRange(0),
        metavar="N",
        expose_value=False,
        callback=_keep,
        help="Read its passphrase from this file descriptor instead of the terminal.",
    )
    return name(descriptor(command))


def actor(plant: Plant, action: Action) -> str:
    """Return who the audit log says it was: a person whose role allows *action*, or the OS user where nobody has an account.

    Raises BureauError.
    """
    found = account(plant, action)
    return plant.settings.user if found is None else found.actor


def account(plant: Plant, action: Action) -> Person | None:
    """Return a person whose role allows *action*; None where nobody has an account. Raises BureauError."""
    found = _person(plant)
    if found is not None:
        found.allow(action)
    return found


def person(plant: Plant) -> Person:
    """Return who acts, for what an account alone can do; raises BureauError, also where nobody has an account."""
    found = _person(plant)
    if found is None:
        raise NotAllowedError("this bureau has no accounts yet, and this takes some", _FIRST)
    return found


def passphrase(prompt: str, descriptor: int | None, option: str, *, twice: bool = False) -> bytes:
    """Return a passphrase from *descriptor*, or typed without echo; raises BureauError where there is neither."""
    if descriptor is not None:
        try:
            with os.fdopen(descriptor, "rb") as handed:
                return handed.read().rstrip(b"\r\n")
        except OSError as wrong:
            raise BureauError(f"{option} {descriptor}: {wrong.strerror}", f"Open it: `{option} 3 3<FILE`.") from wrong
    if not sys.stdin.isatty():
        raise BureauError(f"there is no terminal to ask for the {prompt}", f"Hand it over: `{option} 3 3<FILE`.")
    typed: str = click.prompt(prompt, hide_input=True, err=True, confirmation_prompt=twice)
    return typed.encode(errors="surrogateescape")


def _person(plant: Plant) -> Person | None:
    meta = click.get_current_context().meta
    named: str | None = meta.get(_NAME)
    with plant.ledger.read() as connection:
        there_are_some = accounts.exist(connection)
    if not there_are_some:
        if named:
            raise NotAllowedError(f"there is no account {named}: this bureau has none yet", _FIRST)
        return None
    name = named or plant.settings.account
    if not name:
        raise NotAllowedError("nobody said which account acts", "Say --as NAME, or set BUREAU_ACCOUNT.")
    return people.identify(plant, name, passphrase(f"passphrase of {name}", meta.get(_FD), "--passphrase-fd"))
