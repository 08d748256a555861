"""Commands about jobs: submit, release, priority, jobs, job, cards, report."""

from collections.abc import Sequence
from datetime import tzinfo
from pathlib import Path

import click

from bureau.cli import acting, costs, people, reissues, session
from bureau.cli.output import Row, as_json, details, listing, note, progress, say
from bureau.ledger import stops, views
from bureau.ledger.costs import cost
from bureau.ledger.ledger import Ledger
from bureau.ledger.reissues import links
from bureau.ledger.views import AttemptView, CardView, JobView, LotView
from bureau.models import CardState, JobId, LotId
from bureau.reasons import held
from bureau.service import operate, report
from bureau.service.people import Action
from bureau.service.plant import Plant
from bureau.service.submit import Again, submit
from bureau.wording import counted

lot_option = click.option(
    "--lot", type=click.IntRange(1), metavar="N", help="Only this lot of the job; `bureau job` shows it."
)


@click.command("submit")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--issuer", help="Whose cards these are, where the file doesn't say (a bare CardCustomization, for one).")
@click.option("--production", is_flag=True, help="The mode of jobs that name no key; otherwise the keys decide.")
@click.option("--reissue", is_flag=True, help="Also take cards that were made before; somebody else approves it.")
@click.option("--reason", help="Why they are made again; the audit log keeps it.")
@acting.acting
def submit_command(files: tuple[Path, ...], issuer: str | None, production: bool, reissue: bool, reason: str | None) -> None:
    """Check issuers' FILES and take them in.

    Their jobs are held until released.

    A file with an error is refused whole, with every error it has, and nothing of it is kept.
    """
    if reissue != (reason is not None):
        raise click.UsageError("--reissue and --reason go together")
    plant = session.plant()
    again = None if reason is None else Again(person=acting.person(plant), reason=reason)
    actor = again.person.actor if again else acting.actor(plant, Action.SUBMIT)
    for file in files:
        with progress() as show:
            jobs, found = submit(plant, file, issuer=issuer, production=production, actor=actor, progress=show, again=again)
        for warning in found.warnings:
            note(f"warning: line {warning.line}, record {warning.record}: {warning.element}: {warning.message}")
        for name, cards in found.not_done.items():
            note(f"not done here: {name} ({counted(cards, 'card')}); kept, and answered as such")
        numbers = ", ".join(map(str, jobs))
        taken = f"{file.name}: {counted(found.records, 'card')} in job {numbers}, held"
        say(f"{taken}. Next: bureau release {' '.join(map(str, jobs))}")
        people.tell_reissue(plant, jobs)


@click.command("release")
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
@click.option("--first-article", is_flag=True, help="Of each lot make one good card, then wait until it is approved.")
@lot_option
@acting.acting
def release_command(jobs: tuple[str, ...], first_article: bool, lot: int | None) -> None:
    """Let encoders take the cards of each JOB.

    A JOB is its number, BatchID/JobID, or a BatchID for all jobs of that batch.

    With --lot, let a lot go on that held itself, or was held by itself: a supervisor answers for what held it, and approves
    its first article if it waits for that.
    """
    plant = session.plant()
    if lot is not None:
        if first_article:
            raise click.UsageError("--first-article is for whole jobs")
        _release_lot(plant, jobs, lot, acting.actor(plant, Action.RELEASE_LOT))
        return
    actor = acting.actor(plant, Action.RELEASE)
    with plant.ledger.read() as connection:
        numbers = [number for name in jobs for number in views.find_jobs(connection, name)]
    operate.release(plant, numbers, actor, session.wake(plant.settings), first_article=first_article)
    with plant.ledger.read() as connection:
        for view in views.list_jobs(connection, numbers):
            waits = f"; waits: {'; '.join(view.waits)}" if view.waits else ""
            say(f"job {view.number} {view.batch_id}/{view.job_id} released: {counted(view.records, 'card')}{waits}")


def _release_lot(plant: Plant, jobs: tuple[str, ...], number: int, actor: str) -> None:
    job, lot = named_lot(plant.ledger, jobs, number)
    released = operate.release_lot(plant, lot, actor, session.wake(plant.settings))
    approved = f"; its first article, card {released.article}, is approved" if released.article is not None else ""
    say(f"lot {number} of job {job} is released{approved}")
    if released.closed is not None:
        people.answer(plant, (released.closed,))


def named_lot(ledger: Ledger, jobs: tuple[str, ...], number: int) -> tuple[JobId, LotId]:
    """Return the lot that a person means by a job's name and its number there; raises NotFoundError, UsageError."""
    with ledger.read() as connection:
        found = [job for name in jobs for job in views.find_jobs(connection, name)]
        if len(found) != 1:
            raise click.UsageError("--lot is for one job")
        return found[0], stops.find(connection, found[0], number)


@click.command("priority")
@click.argument("job")
@click.argument("level", type=click.IntRange(1, 3))
@click.option("--reason", required=True, help="What the audit log shall say.")
@acting.acting
def priority_command(job: str, level: int, reason: str) -> None:
    """Make JOB as urgent as LEVEL says, 1 the most, 3 the least.

    The next claim goes by it; the audit trail still says what the issuer asked for.
    """
    plant = session.plant()
    actor = acting.actor(plant, Action.PRIORITY)
    with plant.ledger.read() as connection:
        numbers = views.find_jobs(connection, job)
    for number in numbers:
        operate.set_priority(plant, number, level, reason, actor)
        say(f"job {number} has priority {level}")


@click.command("jobs")
@as_json
def jobs_command(json_: bool) -> None:
    """List all jobs: where their cards stand, why they wait."""
    ledger, plant = session.reading(), session.plant()
    zone = plant.settings.plant
    with ledger.read() as connection:
        rows = jobs_rows(views.list_jobs(connection, now=plant.clock()), zone)
    listing(rows, json_=json_, zone=zone, empty="There are no jobs. Take a file in with `bureau submit FILE`.")


@click.command("job")
@click.argument("job")
@as_json
def job_command(job: str, json_: bool) -> None:
    """Show one JOB and the balances of its lots."""
    ledger, plant = session.reading(), session.plant()
    zone = plant.settings.plant
    with ledger.read() as connection:
        found = views.list_jobs(connection, views.find_jobs(connection, job), now=plant.clock())
        lots = {view.number: [_lot(lot, zone) for lot in views.list_lots(connection, view.number)] for view in found}
        taken = {view.number: cost(connection, view.number) for view in found}
        linked = {view.number: links(connection, view.number) for view in found}
    tell, tie = (costs.for_programs, reissues.for_programs) if json_ else (costs.in_words, reissues.in_words)
    rows = [
        {
            **_row(view, zone),
            "asked_priority": view.asked,
            "stock_changes": view.stock_changes,
            **tell(view, taken[view.number]),
            **tie(view.reissue, *linked[view.number]),
            "user_data": view.user_data,
            "context": view.context if json_ else [f"{name}={value}" for name, value in view.context],
            "form": view.form,
            "file": view.file,
            "mode": view.mode,
            "remarks": view.remarks,
        }
        for view in found
    ]
    if json_:
        whole = [{**row, "lots": lots[view.number]} for row, view in zip(rows, found, strict=True)]
        listing(whole, json_=True, zone=zone, empty="")
        return
    for row, view in zip(rows, found, strict=True):
        details(row, zone=zone)
        for lot in lots[view.number]:
            waits = f"\n  {lot['held']}" if lot["held"] else ""
            say(f"lot {lot['lot']}: {lot['records']}\n  {lot['plastics']}{waits}")


@click.command("cards")
@click.argument("job")
@as_json
def cards_command(job: str, json_: bool) -> None:
    """List the records of JOB and the plastic they took.

    Plastics that are called sampled were read back as a whole; every card's life cycle is.
    """
    ledger = session.reading()
    with ledger.read() as connection:
        rows: list[Row] = [
            _card(card, views.list_attempts(connection, card.card))
            for number in views.find_jobs(connection, job)
            for card in views.list_cards(connection, number)
        ]
    listing(rows, json_=json_, zone=session.plant().settings.plant, empty="The job has no cards.")


@click.command("report")
@click.argument("job")
@click.option("--interim", is_flag=True, help="Write how things stand now, before the batch has closed.")
@click.option("--rejects", is_flag=True, help="Instead of the trail: the records that weren't made good, and why (CSV).")
@acting.acting
def report_command(job: str, interim: bool, rejects: bool) -> None:
    """Write the audit trail of JOB's batch, say where it is.

    Beside it stands the reject file, a line for each record that wasn't made good, with a cause code.
    """
    plant = session.plant()
    actor = acting.actor(plant, Action.REPORT)
    with plant.ledger.read() as connection:
        batches = dict.fromkeys(view.batch for view in views.list_jobs(connection, views.find_jobs(connection, job)))
    for batch in batches:
        if rejects:
            say(str(report.hand_out_rejects(plant, batch, actor, interim=interim)))
            continue
        for path in report.hand_out(plant, batch, actor, interim=interim):
            say(str(path))


def jobs_rows(found: Sequence[JobView], zone: tzinfo) -> list[Row]:
    """Return jobs as the rows of a listing."""
    return [_row(view, zone) for view in found]


def why_waits(view: JobView, zone: tzinfo) -> list[str]:
    """Return why cards of a job aren't made."""
    lots = [f"lot {number} {held(stop, zone)}" for number, stop in view.stops.items()]
    return [*([held(view.hold, zone)] if view.hold else []), *lots, *view.waits]


def _row(view: JobView, zone: tzinfo) -> dict[str, object]:
    states = {state.value: view.counts[state] for state in CardState if view.counts[state]}
    return {
        "job": view.number,
        "name": f"{view.batch_id}/{view.job_id}",
        "issuer": view.issuer,
        "state": view.state,
        "priority": view.priority,
        "due": view.due,
        "late": view.late,
        "records": view.records,
        "cards": [f"{count} {state}" for state, count in states.items()],
        "waits": why_waits(view, zone),
    }


def _card(view: CardView, plastics: Sequence[AttemptView]) -> Row:
    return {
        "card": view.card,
        "crn": view.crn,
        "state": view.state,
        "encoder": view.encoder,
        "plastics": [
            f"{_called(plastic)} {plastic.outcome}"
            + (f" ({f'{plastic.code}: ' if plastic.code else ''}{plastic.cause})" if plastic.cause else "")
            + (f" in {(plastic.speed.card + plastic.speed.host) / 1000:.0f} ms" if plastic.speed else "")
            for plastic in plastics
        ],
        "sampled": [_called(plastic) for plastic in plastics if plastic.sampled],
        "held": view.held,
        "reissue_of": view.reissue_of,
        "remade_as": view.remade_as,
    }


def _called(plastic: AttemptView) -> str:
    return f"{plastic.encoder}#{plastic.position or '?'}"


def _lot(view: LotView, zone: tzinfo) -> dict[str, str | int | None]:
    at = view.balance
    return {
        "lot": view.position + 1,
        "held": held(view.hold, zone) if view.hold else None,
        "records": f"records: {at.records_in} in = {at.good} good + {at.scrapped} scrapped + {at.withdrawn} withdrawn"
        f" + {at.open} open",
        "plastics": f"stock {view.stock}: {at.drawn} drawn = {at.good_plastics} good + {at.spoiled} spoiled + {at.mute} mute"
        f" + {at.unknown} unknown + {at.returned} returned + {at.in_hand} in hand",
    }
