"""The demo command: the main job from nothing, in a folder of its own."""

import sys
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from importlib import resources
from pathlib import Path
from typing import Final

import click
from rich.live import Live

from bureau.cli import founding, up, virtual
from bureau.cli.floor import picture
from bureau.cli.jobs import jobs_rows
from bureau.cli.output import err, listing, note, say
from bureau.ledger import floor, views
from bureau.ledger.views import JobView
from bureau.models import CardState, JobId, JobState
from bureau.service import operate
from bureau.service.plant import Plant, no_wake
from bureau.service.submit import submit
from bureau.wording import counted

SAMPLES: Final = ("payment-batch.xml", "single-card-1.1.xml", "cms-export-1.0.xml")
DEMO: Final = resources.files("config") / "demo"


@click.command("demo")
@click.option("--pcsc", is_flag=True, help="Put the cards behind virtual PC/SC readers of a pcscd of the demo's own (root).")
def demo_command(pcsc: bool) -> None:
    """Make the cards of three sample files, from nothing.

    Four simulated encoders make them. Everything that the demo makes is in a new directory .bureau/demo-N, which it prints;
    nothing else is touched.
    """
    with virtual.daemon(len(_stations())) if pcsc else nullcontext() as daemon:
        home = _new_home()
        note(f"the demo's bureau is {home}")
        plant = Plant(founding.settings_of(home, (DEMO / "stations.toml").read_text("utf-8")))
        if daemon:
            names = virtual.move(daemon, plant.settings.stations_file, plant.settings.worlds)
            note(f"the cards are in {', '.join(names)} of a pcscd of the demo's own")
        _make(plant)


def _stations() -> Mapping[str, object]:
    encoders: Mapping[str, object] = tomllib.loads((DEMO / "stations.toml").read_text("utf-8"))["encoder"]
    return encoders


def _make(plant: Plant) -> None:
    with up.running(plant) as bureau:
        _take_in(plant)
        bureau.start(list(plant.encoders), opener=plant.settings.user)
        with Live(picture(plant, plant.ledger), console=err, transient=True, auto_refresh=False) as live:
            told = 0

            def done() -> bool:
                nonlocal told
                live.update(picture(plant, plant.ledger), refresh=True)
                jobs = _jobs(plant)
                if not err.is_terminal and _good(jobs) > told:
                    told = _good(jobs)
                    note(f"{told} of {sum(job.records for job in jobs)} cards good")
                return _is_done(jobs)

            bureau.keep(done=done)
        _tell(plant)


def _take_in(plant: Plant) -> None:
    founding.found(plant)
    for sample in SAMPLES:
        jobs, found = submit_sample(plant, sample)
        operate.release(plant, jobs, plant.settings.user, no_wake)
        note(f"{sample}: {counted(found, 'card')}, released as job {', '.join(map(str, jobs))}")


def _tell(plant: Plant) -> None:
    jobs = _jobs(plant)
    listing(jobs_rows(jobs, plant.settings.plant), json_=False, zone=plant.settings.plant, empty="")
    good, records = _good(jobs), sum(job.records for job in jobs)
    with plant.ledger.read() as connection:
        made = ", ".join(f"{view.machine.encoder} {view.made}" for view in floor.list_encoders(connection))
    say(f"{good} of {records} cards good (made by {made})")
    say(f"audit trails for the issuers: {plant.settings.trails}")
    for trail in sorted(plant.settings.trails.rglob("*.xml")):
        say(f"  {trail.relative_to(plant.settings.trails)}")
    now = plant.settings
    say(f"look around: export BUREAU_HOME={now.home} BUREAU_PASSPHRASE_FILE={now.passphrase_file}")
    say(f"             {Path(sys.executable).with_name('bureau')} cards 1    (job, encoders, report ...: see --help)")
    if good != records:
        raise click.exceptions.Exit(1)


def _good(jobs: Sequence[JobView]) -> int:
    return sum(job.counts[CardState.GOOD] for job in jobs)


def _jobs(plant: Plant) -> Sequence[JobView]:
    with plant.ledger.read() as connection:
        return views.list_jobs(connection)


def _is_done(jobs: Sequence[JobView]) -> bool:
    """Return whether nothing more will happen by itself: every trail is written, or a person must decide."""
    stuck = {job.batch for job in jobs if _waits_for_a_person(job)}
    answered = (JobState.REPORTED, JobState.PURGED)
    return all(job.state in answered or (job.batch in stuck and not _is_under_way(job)) for job in jobs)


def _waits_for_a_person(job: JobView) -> bool:
    return bool(job.counts[CardState.REJECTED] or job.counts[CardState.SUSPECT] or job.waits or job.stops)


def _is_under_way(job: JobView) -> bool:
    in_hand = sum(job.counts[state] for state in (CardState.LEASED, CardState.WRITING, CardState.VERIFYING))
    return bool(in_hand or (job.counts[CardState.READY] and not job.waits and not job.stops))


def submit_sample(plant: Plant, sample: str) -> tuple[Sequence[JobId], int]:
    """Take in one of SAMPLES; returns its jobs, which are held, and how many cards they have."""
    with resources.as_file(DEMO / sample) as file:
        jobs, found = submit(
            plant, file, issuer="TESTCLUB", production=False, actor=plant.settings.user, progress=lambda *_shown: None
        )
    return jobs, found.records


def _new_home() -> Path:
    root = Path(".bureau").absolute()
    root.mkdir(exist_ok=True)
    number = 1 + max((int(path.name[5:]) for path in root.glob("demo-*") if path.name[5:].isdigit()), default=0)
    home = root / f"demo-{number}"
    home.mkdir(mode=0o700)
    return home
