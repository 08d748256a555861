"""Commands about people: their accounts, and what takes two of them."""

from collections.abc import Sequence

import click

from bureau.cli import acting, session
from bureau.cli.output import as_json, listing, note, say
from bureau.errors import BureauError
from bureau.ledger import accounts, reissues, requests
from bureau.ledger.accounts import Account
from bureau.ledger.requests import Request
from bureau.models import BatchId, JobId, RequestId, Role
from bureau.service import decisions, operate, people, report
from bureau.service.people import Action
from bureau.service.plant import Plant
from hardware.errors import HardwareError

_new = click.option(
    "--new-fd", type=click.IntRange(0), metavar="N", help="Read the new passphrase from this descriptor, not the terminal."
)


@click.group("accounts", invoke_without_command=True)
@as_json
@click.pass_context
def accounts_command(ctx: click.Context, json_: bool) -> None:
    """List who may act, or add, retire and unlock them.

    From the first account on, nobody acts without one. What each role may do stands in the README.
    """
    if ctx.invoked_subcommand is not None:
        return
    plant = session.plant()
    with session.reading().read() as connection:
        rows = [
            {
                "account": each.name,
                "role": each.role,
                "state": _state(each, plant),
                "failures": each.failures,
                "added_by": each.added_by,
                "added": each.added_at,
                "retired": each.retired_at,
            }
            for each in accounts.list_accounts(connection)
        ]
    empty = "There are no accounts: whoever may run this program acts. `bureau accounts add NAME --role supervisor`."
    listing(rows, json_=json_, zone=plant.settings.plant, empty=empty)


@accounts_command.command("add")
@click.argument("name")
@click.option("--role", required=True, type=click.Choice([each.value for each in Role]))
@_new
@acting.acting
def add(name: str, role: str, new_fd: int | None) -> None:
    """Add an account; its person types the passphrase.

    A supervisor adds it. The first one, a supervisor's, adds whoever may run this program. From the second supervisor on it
    takes two: another supervisor, a custodian or an auditor approves it.
    """
    plant = session.plant()
    person = acting.account(plant, Action.ACCOUNTS)
    secret = acting.passphrase(f"new passphrase of {name}", new_fd, "--new-fd", twice=True)
    asked = decisions.add_account(plant, name, Role(role), secret, person)
    if asked is None:
        say(f"{name} is {_article(role)}")
    else:
        tell(plant, asked)


@accounts_command.command("retire")
@click.argument("name")
@acting.acting
def retire(name: str) -> None:
    """Let an account act no more, for good."""
    plant = session.plant()
    accounts.retire(plant.ledger, name, acting.actor(plant, Action.ACCOUNTS), plant.clock())
    say(f"{name} is retired")


@accounts_command.command("unlock")
@click.argument("name")
@acting.acting
def unlock(name: str) -> None:
    """Let an account act again that wrong passphrases have locked.

    Where there is a second supervisor somebody else approves it; by itself it opens after half an hour.
    """
    plant = session.plant()
    person = acting.person(plant)
    person.allow(Action.ACCOUNTS)
    asked = decisions.unlock_account(plant, name, person)
    if asked is None:
        say(f"{name} may act again")
    else:
        tell(plant, asked)


@accounts_command.command("passphrase")
@_new
@acting.acting
def passphrase(new_fd: int | None) -> None:
    """Change one's own passphrase."""
    plant = session.plant()
    person = acting.person(plant)
    people.renew(plant, person, acting.passphrase(f"new passphrase of {person.name}", new_fd, "--new-fd", twice=True))
    say(f"{person.name} has a new passphrase")


@click.command("requests")
@as_json
def requests_command(json_: bool) -> None:
    """List what takes two people, and who decided it."""
    plant = session.plant()
    with session.reading().read() as connection:
        rows = [
            {
                "request": each.number,
                "action": each.action,
                "about": decisions.about(each),
                "reason": each.reason,
                "state": each.state,
                "asked_by": each.asked_by,
                "asked": each.asked_at,
                "expires": each.expires_at,
                "decided_by": each.decided_by,
                "decided": each.decided_at,
            }
            for each in requests.list_requests(connection, plant.clock())
        ]
    listing(
        rows, json_=json_, zone=plant.settings.plant, empty="Nothing was asked for. See `bureau withdraw`, `bureau requeue`."
    )


@click.command("approve")
@click.argument("request", type=click.IntRange(1))
@acting.acting
def approve_command(request: int) -> None:
    """Do what somebody else asked for in REQUEST.

    All of it or, where anything of it has changed since, nothing.
    """
    plant = session.plant()
    found, closed = decisions.approve(plant, RequestId(request), acting.person(plant))
    say(f"request {found.number} is done: {found.action} {decisions.about(found)}")
    answer(plant, closed)
    operate.wake_pools(plant, session.wake(plant.settings))


@click.command("decline")
@click.argument("request", type=click.IntRange(1))
@click.option("--reason", required=True, help="Why not; the audit log keeps it.")
@acting.acting
def decline_command(request: int, reason: str) -> None:
    """Close REQUEST without doing it; also one's own."""
    plant = session.plant()
    found = decisions.decline(plant, RequestId(request), reason, acting.person(plant))
    say(f"request {found.number} is declined: {found.action} {decisions.about(found)}")


def tell(plant: Plant, request: Request) -> None:
    """Say what was asked for and what has to follow."""
    until = f"{request.expires_at.astimezone(plant.settings.plant):%Y-%m-%d %H:%M}"
    say(f"request {request.number}: {request.action} {decisions.about(request)}")
    say(f"somebody else approves it until {until}: bureau approve {request.number}")


def tell_reissue(plant: Plant, jobs: Sequence[JobId]) -> None:
    """Say which request has to be approved before *jobs* are released, if any."""
    with plant.ledger.read() as connection:
        numbers = {number for job in jobs if (number := reissues.request(connection, job, plant.clock()))}
        for number in numbers:
            tell(plant, requests.find(connection, number, plant.clock()))


def answer(plant: Plant, closed: tuple[BatchId, ...]) -> None:
    """Write the audit trails of batches that closed by a decision; what goes wrong, the office does a minute later."""
    for batch in closed:
        try:
            report.finish(plant, batch)
            say(f"batch {batch} is closed; its audit trail is in {plant.settings.trails / f'batch-{batch}'}")
        except (BureauError, HardwareError, OSError) as fault:
            note(f"batch {batch} is closed, and its audit trail waits for the office of `bureau up`: {fault}")


def _state(account: Account, plant: Plant) -> str:
    if account.retired_at:
        return "retired"
    if account.waiting:
        return "waiting"
    return "locked" if account.opens(plant.clock()) else "active"


def _article(role: str) -> str:
    return f"an {role}" if role[0] in "ao" else f"a {role}"
