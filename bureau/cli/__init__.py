"""The bureau command: what a person types, and where errors become one clear line."""

import sys
from importlib import import_module
from typing import Final

import click

from bureau.cli.output import note
from bureau.containers import RefusedError
from bureau.errors import BureauError, NotFoundError
from config import logging
from config.settings import SettingsError
from hardware.errors import HardwareError

COMMANDS: Final = {
    "demo": "bureau.cli.demo",
    "chaos": "bureau.cli.chaos",
    "up": "bureau.cli.up",
    "submit": "bureau.cli.jobs",
    "release": "bureau.cli.jobs",
    "reissue": "bureau.cli.reissues",
    "priority": "bureau.cli.jobs",
    "jobs": "bureau.cli.jobs",
    "job": "bureau.cli.jobs",
    "why": "bureau.cli.why",
    "cards": "bureau.cli.jobs",
    "close": "bureau.cli.endings",
    "report": "bureau.cli.jobs",
    "rejects": "bureau.cli.endings",
    "suspects": "bureau.cli.endings",
    "withdraw": "bureau.cli.decisions",
    "requeue": "bureau.cli.decisions",
    "scrap": "bureau.cli.decisions",
    "resolve": "bureau.cli.decisions",
    "requests": "bureau.cli.people",
    "approve": "bureau.cli.people",
    "decline": "bureau.cli.people",
    "accounts": "bureau.cli.people",
    "encoders": "bureau.cli.floor",
    "open": "bureau.cli.floor",
    "hold": "bureau.cli.floor",
    "watch": "bureau.cli.floor",
    "stock": "bureau.cli.stock",
    "destroy": "bureau.cli.destroy",
    "doctor": "bureau.cli.doctor",
    "trace": "bureau.cli.traces",
    "replay": "bureau.cli.traces",
    "readers": "bureau.cli.readers",
    "simulate": "bureau.cli.virtual",
    "profiles": "bureau.cli.stores",
    "keys": "bureau.cli.stores",
    "audit": "bureau.cli.stores",
    "migrate": "bureau.cli.stores",
    "backup": "bureau.cli.stores",
    "bench": "bureau.cli.bench",
}
"""Where each command stands; it is imported when it is asked for."""


class _Commands(click.Group):
    """Finds commands by name, so that a quick one doesn't load what a slow one needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = COMMANDS.get(cmd_name)
        found = getattr(import_module(module), cmd_name + "_command", None) if module else None
        return found if isinstance(found, click.Command) else None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="bureau")
def cli() -> None:
    """Personalize smart cards: an issuer's file goes in, cards come out of many encoders, an audit trail goes back.

    \b
    A day on the floor:
      bureau up                  start broker, workers and office (leave it running)
      bureau submit FILE         check an issuer's file and take it in; its jobs are held
      bureau release JOB         let encoders take its cards
      bureau open ENCODER        let an encoder work
      bureau watch               see it happen
      bureau report JOB          where the answer to the issuer is

    Everything lives under BUREAU_HOME. `bureau demo` shows it all in a folder of its own.
    """
    logging.configure()


def main() -> None:
    """Run a command; every error that was foreseen is one line that says what to do, with exit status 1."""
    try:
        status = cli.main(standalone_mode=False)
        if isinstance(status, int) and status:  # what ctx.exit() was given
            sys.exit(status)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(wrong.exit_code)
    except RefusedError as refused:
        for problem in refused.problems:
            where = f"line {problem.line}"
            where += f", record {problem.record}" if problem.record else ""
            where += f" (CRN {problem.crn})" if problem.crn else ""
            note(f"{'warning' if problem.warning else 'error'}: {where}: {problem.element}: {problem.message}")
        _fail(str(refused), refused.remedy)
    except (BureauError, HardwareError, SettingsError, OSError) as wrong:
        remedy = wrong.remedy if isinstance(wrong, BureauError) else ""
        _fail(str(wrong), remedy, status=2 if isinstance(wrong, SettingsError | NotFoundError) else 1)


def _fail(message: str, remedy: str, *, status: int = 1) -> None:
    note(f"bureau: {message}")
    if remedy:
        note(f"  {remedy}")
    sys.exit(status)
