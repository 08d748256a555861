"""Commands for engineers: what was said to a card, and the same once more on a test reader."""

from collections.abc import Callable
from pathlib import Path

import click

from bureau.cli import session
from bureau.cli.output import as_json, listing, note, say
from bureau.errors import BureauError
from bureau.ledger import traces, views
from bureau.ledger.traces import Kept
from bureau.service import replay
from bureau.service.plant import Plant
from bureau.service.replay import Replay
from hardware.encoders.pcsc.desk import called, desk
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
    say(f"card {record.card} (CRN {record.crn}), attempt {kept.number} on {plastic.encoder}#{plastic.position}, {said}")
    for line in words.lines(found):
        say(line)
    say(f"in all: {speed(found)}")


def _export(found: Trace, file: Path) -> None:
    if file.suffix == ".jsonl":
        file.write_text("".join(line + "\n" for line in dump(found, masked=True)), "utf-8")
    elif file.suffix == ".pcap":
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
def replay_command(card: str, attempt: int | None, reader: str, socket: str, dry_run: bool, step: bool, json_: bool) -> None:
    """Make a CARD once more, on a test card, and compare.

    The plan is shown first; then commands, status words and times stand beside those of the recorded attempt. Nothing of it
    is counted, but the audit log tells of it. Only test jobs, test keys and test readers are for this, and cards that no job
    has used.
    """
    plant = session.plant()
    kept = _kept(plant, card, attempt)
    then = replay.recorded(plant, kept)
    name = called(reader, socket)
    replay.refuse(plant, kept.record, name, socket)
    with desk(name, socket) as test_card:
        again = Replay(plant, kept, test_card, then, _asking() if step else lambda _command: None)
        note(f"a test card of {again.product.name} is in reader {name}")
        plan = again.plan()
        note(f"the plan ({len(plan.steps)} steps):")
        for planned in plan.steps or ("nothing is to be done",):
            note(f"  {planned}")
        if dry_run:
            return
        now = again.make()
    rows = [_row(number, pair) for number, pair in enumerate(compare(then, now.trace), start=1)]
    listing(rows, json_=json_, zone=plant.settings.plant, empty="Nothing was sent.")
    note(f"then: {speed(then)}")
    note(f"now:  {speed(now.trace)}")
    if now.fault:
        raise BureauError(f"the replay ended early: {now.fault}")
    differing = sum(bool(row["differs"]) for row in rows)
    note(
        f"{differing} of {len(rows)} commands differ" if differing else "every command and status word is the recorded one's"
    )


def _kept(plant: Plant, card: str, attempt: int | None) -> Kept:
    with plant.ledger.read() as connection:
        return traces.kept(connection, views.find_card(connection, card), attempt)


def _asking() -> Callable[[Command], None]:
    """Return what shows a command and asks whether to send it; raises click.Abort for no."""
    asks, begun = True, NOTHING

    def ask(command: Command) -> None:
        nonlocal asks, begun
        for line in words.command_lines(command, begun):
            note(line)
        begun = after(begun, command)
        if asks:
            answer = click.prompt(
                "send it (Enter), all that follow (a), or stop (q)?", default="", show_default=False, err=True
            )
            if answer == "q":
                raise click.Abort
            asks = answer != "a"

    return ask


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
