"""Commands for engineers: what was said to a card, and the same once more on a test reader."""

from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import click

from bureau.cli import acting, reissues, session
from bureau.cli.output import as_json, listing, note, say
from bureau.errors import BureauError
from bureau.ledger import traces, views
from bureau.ledger.traces import Kept
from bureau.service import replay
from bureau.service.people import Action
from bureau.service.plant import Plant
from bureau.service.replay import Replay
from bureau.wording import counted
from hardware.encoders.pcsc.desk import called, desk
from hardware.errors import HardwareError
from hardware.iso7816 import Command
from hardware.trace import Exchange, Trace, words
from hardware.trace.capture import capture
from hardware.trace.compare import Pair, compare
from hardware.trace.lines import dump
from hardware.trace.speed import speed
from hardware.trace.storing import NOTHING, after

_attempt = click.option(
    "--attempt", type=click.IntRange(1), help="Which of the card's plastics, from 1; the last otherwise."
)


@click.command("trace")
@click.argument("card")
@_attempt
@click.option(
    "--export", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write FILE instead: .jsonl or .pcap, masked."
)
def trace_command(card: str, attempt: int | None, file: Path | None) -> None:
    """Show every command that a CARD was sent, in words.

    CARD is its number (see `bureau cards`) or its CRN. The record's values are masked everywhere; headers, lengths, tags and
    status words are not. --export writes JSON lines, or a capture that Wireshark opens (GSMTAP).
    """
    plant = session.plant()
    kept = _kept(plant, card, attempt)
    found = replay.recorded(plant, kept)
    if file is not None:
        _export(found, file)
        note(f"{file}: {len(found.exchanges)} commands of card {kept.record.card}, attempt {kept.number}, masked")
        return
    record, plastic = kept.record, kept.attempt
    said = f"{plastic.outcome}" + (f": {plastic.cause}" if plastic.cause else "")
    with plant.ledger.read() as connection:
        linked = reissues.link(views.one_card(connection, record.card))
    named = f"card {record.card} ({', '.join(filter(None, (f'CRN {record.crn}', linked)))})"
    say(f"{named}, attempt {kept.number} on {plastic.encoder}#{plastic.position}, {said}")
    for line in words.lines(found):
        click.echo(line)
    say(f"in all: {speed(found)}")


def _export(found: Trace, file: Path) -> None:
    if file.suffix.lower() == ".jsonl":
        file.write_text("".join(line + "\n" for line in dump(found, masked=True)), "utf-8")
    elif file.suffix.lower() == ".pcap":
        file.write_bytes(capture(found))
    else:
        raise click.BadParameter(f"{file.name} must end in .jsonl or .pcap", param_hint="--export")


@click.command("replay")
@click.argument("card")
@_attempt
@click.option("--reader", required=True, help="The test reader: its name, or a part of it that no other has.")
@click.option("--socket", default="", help="The PCSCLITE_CSOCK_NAME of its pcscd, if not the system's.")
@click.option("--dry-run", is_flag=True, help="Open the channel, show the plan and stop; the card isn't changed.")
@click.option("--step", is_flag=True, help="Show each command before it is sent, and ask.")
@as_json
@acting.acting
def replay_command(card: str, attempt: int | None, reader: str, socket: str, dry_run: bool, step: bool, json_: bool) -> None:
    """Make a CARD once more, on a test card, and compare.

    The plan is shown first; then commands, status words and times stand beside those of the recorded attempt. Nothing of it
    is counted, but the audit log tells of it. Only test jobs, test keys and test readers are for this, and cards that no job
    has used.
    """
    plant = session.plant()
    actor = acting.actor(plant, Action.REPLAY)
    kept = _kept(plant, card, attempt)
    then = replay.recorded(plant, kept)
    name = called(reader, socket)
    replay.refuse(plant, kept.record, name)
    with desk(name, socket) as test_card:
        again = Replay(plant, kept, test_card, then, actor, **_stepping(asks=step))
        note(f"a test card of {again.product.name} is in reader {name}")
        early = _early(again, dry_run=dry_run)
    if dry_run and not early:
        return
    now = again.trace()
    rows = [_row(number, pair) for number, pair in enumerate(compare(then, now), start=1)]
    listing(rows, json_=json_, zone=plant.settings.plant, empty="Nothing was sent.")
    note(f"then: {speed(then)}")
    note(f"now:  {speed(now)}{', your answers included' if step else ''}")
    if early:
        half = "; the test card may be half written" if again.begun else ""
        raise BureauError(f"the replay ended early: {early}{half}")
    differing = sum(bool(row["differs"]) for row in rows)
    note(
        f"{differing} of {len(rows)} commands differ" if differing else "every command and status word is the recorded one's"
    )


def _early(again: Replay, *, dry_run: bool) -> str:
    """Show the plan and carry it out; return why that ended early, if it did."""
    try:
        plan = again.plan()
        note(f"the plan ({counted(len(plan.steps), 'step')}):")
        for planned in plan.steps or ("nothing is to be done",):
            note(f"  {planned}")
        if not dry_run:
            again.make()
    except HardwareError as fault:
        return str(fault)
    except (click.Abort, KeyboardInterrupt):
        return "stopped by hand"
    return ""


def _kept(plant: Plant, card: str, attempt: int | None) -> Kept:
    with plant.ledger.read() as connection:
        return traces.kept(connection, views.find_card(connection, card), attempt)


class _Stepping(TypedDict):
    step: Callable[[Command], None]
    seen: Callable[[Exchange], None]


def _stepping(*, asks: bool) -> _Stepping:
    """Return what shows each command and asks whether to send it, and what shows each answer; both silent unless *asks*."""
    if not asks:
        return {"step": lambda _command: None, "seen": lambda _exchange: None}
    begun = NOTHING

    def step(command: Command) -> None:
        nonlocal asks, begun
        for line in words.command_lines(command, begun):
            note(line)
        begun = after(begun, command)
        asks = asks and not _all_that_follow()

    def seen(exchange: Exchange) -> None:
        for line in words.answer_lines(exchange):
            note(line)

    return {"step": step, "seen": seen}


def _all_that_follow() -> bool:
    """Ask whether to send a command, and return whether to ask no more; raises click.Abort for no."""
    while True:
        answer = click.prompt("send it (Enter), all that follow (a), or stop (q)?", default="", show_default=False, err=True)
        match answer.strip().lower():
            case "":
                return False
            case "a":
                return True
            case "q":
                raise click.Abort
            case _:
                note("Enter, a or q; nothing is sent for anything else")


def _row(number: int, pair: Pair) -> dict[str, object]:
    either = pair.now or pair.recorded
    return {
        "#": number,
        "command": either.command.name if either else "",
        "then": _answer(pair.recorded),
        "now": _answer(pair.now),
        "ms_then": _milliseconds(pair.recorded),
        "ms_now": _milliseconds(pair.now),
        "differs": pair.differs,
    }


def _answer(exchange: Exchange | None) -> str:
    if exchange is None:
        return "-"
    return f"{exchange.response.sw:04X}" if exchange.response else exchange.fault


def _milliseconds(exchange: Exchange | None) -> str:
    return f"{exchange.seconds * 1000:.1f}" if exchange else ""
