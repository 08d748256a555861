"""An issuer's file into the ledger: checked whole, then sealed record by record; a refused one leaves an audit entry."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, islice
from pathlib import Path

from bureau.containers import Defaults, RefusedError, Submission
from bureau.containers.submission import examine, records
from bureau.costing import Estimate, Past, estimate
from bureau.errors import BureauError, UnavailableError
from bureau.ledger import costs, encoders, reissues, submissions
from bureau.ledger.closing import CHUNK
from bureau.ledger.ledger import Transaction
from bureau.ledger.reissues import Earlier
from bureau.ledger.submissions import SealedRecord, SubmittedBatch, SubmittedJob
from bureau.models import JobHeader, JobId
from bureau.service import decisions
from bureau.service.catalog import Shelf
from bureau.service.people import Action, Person
from bureau.service.plant import Plant
from bureau.service.seal import seal
from bureau.wording import counted
from hardware.errors import KeyStoreError
from hardware.keystores import DataKey, KeyId, KeyInfo, Mode
from hardware.perso.order import UniqueID
from hardware.perso.product import Product
from hardware.perso.profiles import ApplicationProfile, CardProfile

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is, and how much there is."""
ABANDONED = timedelta(hours=1)
"""A file on its way in that nobody has touched for so long was cut by a crash."""


class _Known:
    """Answers what a file's checks ask, from the ledger, the key store and the card products."""

    def __init__(self, plant: Plant, shelf: Shelf, *, reissue: bool) -> None:
        self._plant, self._shelf, self._reissue = plant, shelf, reissue
        self.made_before = 0

    def application(self, id: UniqueID) -> ApplicationProfile | None:  # noqa: A002
        return self._shelf.applications.get(id)

    def card(self, id: UniqueID) -> CardProfile | None:  # noqa: A002
        return self._shelf.cards.get(id)

    def product(self, card_profile: UniqueID) -> Product | None:
        return next((each for each in self._plant.products.values() if card_profile in each.profiles), None)

    def card_profiles_naming(self, application: UniqueID) -> tuple[CardProfile, ...]:
        return tuple(
            card for card in self._shelf.cards.values() if any(each.profile == application for each in card.applications)
        )

    def key(self, id: UniqueID) -> KeyInfo | None:  # noqa: A002
        try:
            return self._plant.keystore.info(KeyId(id))
        except KeyStoreError:
            return None

    def crns_refused(self, issuer: str, crns: Sequence[str]) -> Mapping[str, str]:
        with self._plant.ledger.read() as connection:
            found = reissues.earlier(connection, issuer, crns)
        self.made_before += len(found)
        taken = {crn: before for crn, before in found.items() if not (self._reissue and before.is_made)}
        return {crn: _in_use(issuer, before) for crn, before in taken.items()}

    def file_known(self, sha256: str) -> str | None:
        jobs = submissions.jobs_of_file(self._plant.ledger, sha256)
        return None if jobs is None else "job " + ", ".join(map(str, jobs))


def _in_use(issuer: str, before: Earlier) -> str:
    used = f"is already in use for issuer {issuer}, in job {before.job}"
    if not before.is_made:
        return f"{used}, whose card {before.card} is still being made: leave the card out or give it a CRN of its own"
    return f"{used}: leave the card out, give it a CRN of its own, or have it made again (--reissue)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Who wants records made a second time, and why."""

    person: Person
    reason: str


def submit(
    plant: Plant,
    file: Path,
    *,
    issuer: str | None,
    production: bool,
    actor: str,
    progress: Progress,
    again: Again | None = None,
) -> tuple[tuple[JobId, ...], Submission]:
    """Take *file* in; its jobs are held until released. Raises RefusedError, BureauError, and nothing is kept then.

    production: the mode of jobs that name no key; again: takes records that were made before, too, and asks for somebody
    else's approval.
    """
    if again is not None:
        again.person.allow(Action.REISSUE)
        decisions.said(again.reason)
    submissions.discard_leftovers(plant.ledger, actor, plant.clock(), idle=ABANDONED)
    shelf = Shelf.latest(plant.ledger)
    defaults = Defaults(issuer=(issuer or "").strip() or None, plant=plant.settings.plant)
    known = _Known(plant, shelf, reissue=again is not None)
    try:
        found = examine(file, known, defaults, lambda read, size: progress("checking", read, size))
    except RefusedError as refusal:
        errors = sum(not problem.warning for problem in refusal.problems)
        submissions.refused(plant.ledger, file.name, refusal.sha256, errors, actor, plant.clock())
        raise
    try:
        if again is not None and not known.made_before:
            raise BureauError(f"no card of {file.name} was made before", "Submit it without --reissue.")
        jobs = _take(plant, shelf, file, found, production=production, actor=actor, progress=progress, again=again)
    except UnavailableError:
        raise  # no refusal: the ledger takes no entry now
    except (BureauError, KeyStoreError):
        submissions.refused(plant.ledger, file.name, found.sha256, 1, actor, plant.clock())
        raise
    return jobs, found


def _take(
    plant: Plant,
    shelf: Shelf,
    file: Path,
    found: Submission,
    *,
    production: bool,
    actor: str,
    progress: Progress,
    again: Again | None,
) -> tuple[JobId, ...]:
    """Write a file that was found right into the ledger."""
    requests, keys = _requests(plant, shelf, found, production=production)
    name, reissue = file.name, again is not None
    incoming = submissions.begin(plant.ledger, name, found.sha256, requests, actor, plant.clock(), reissue=reissue)
    written = 0
    sealed = _sealed(file, found, keys)
    try:
        while rows := tuple(islice(sealed, CHUNK)):
            submissions.add_cards(plant.ledger, incoming, rows, plant.clock())
            written += len(rows)
            progress("writing", written, found.records)
        ask = None if again is None else _asking(plant, again)
        return submissions.finish(plant.ledger, incoming, plant.clock(), ask)
    except BaseException:  # refused after all, or Ctrl-C: nothing of it stays
        with suppress(UnavailableError):
            submissions.discard(plant.ledger, incoming, plant.clock())
        raise


def _requests(
    plant: Plant, shelf: Shelf, found: Submission, *, production: bool
) -> tuple[list[SubmittedBatch], dict[tuple[int, int], DataKey]]:
    """Return what the bureau makes of a file's requests, and the data key of each job."""
    keys: dict[tuple[int, int], DataKey] = {}
    requests, tell = [], _Estimates(plant)
    for place, batch in enumerate(found.batches):
        jobs = []
        for at, job in enumerate(batch.jobs):
            keys[place, at], wrapped = plant.keystore.new_data_key()
            mode = _mode(plant, job, found.keys.get((place, at), frozenset()), production=production)
            jobs.append(_job(shelf, job, found, wrapped, mode, tell.of(job)))
        requests.append(SubmittedBatch(batch=batch, jobs=tuple(jobs)))
    return requests, keys


def _asking(plant: Plant, again: Again) -> Callable[[Transaction, Sequence[JobId]], object]:
    def ask(tx: Transaction, jobs: Sequence[JobId]) -> None:
        subject = reissues.to_reissue(tx.connection, jobs, tx.at)
        action = decisions.TWO_PEOPLE[Action.REISSUE]
        decisions.ask_in(tx, plant, action, subject, again.reason.strip(), again.person)

    return ask


def _mode(plant: Plant, job: JobHeader, transports: frozenset[UniqueID], *, production: bool) -> Mode:
    """Return the mode of a job's keys, those that its records name and its products' own."""
    cards = {card for lot in job.lots for card in lot.profiles}
    masters = {key for each in plant.products.values() if not cards.isdisjoint(each.profiles) for key in each.masters()}
    modes = {plant.keystore.info(key).mode for key in (*masters, *map(KeyId, transports))}
    if len(modes) > 1:
        raise BureauError(f"job {job.job_id} mixes TEST and PRODUCTION keys", "Use keys of one mode.")
    return modes.pop() if modes else Mode.PRODUCTION if production else Mode.TEST


class _Estimates:
    """Tells what jobs of one file will cost."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._pasts: dict[tuple[UniqueID, ...], Past] = {}
        with plant.ledger.read() as connection:
            self._lines = encoders.lines(connection)

    def of(self, job: JobHeader) -> Estimate:
        lots = [(lot.record_count, self._past(lot.profiles)) for lot in job.lots]
        return estimate(lots, [lot.stock for lot in job.lots], self._lines)

    def _past(self, profiles: tuple[UniqueID, ...]) -> Past:
        if profiles not in self._pasts:
            with self._plant.ledger.read() as connection:
                self._pasts[profiles] = costs.past(connection, profiles)
        return self._pasts[profiles]


def _job(shelf: Shelf, job: JobHeader, found: Submission, wrapped: bytes, mode: Mode, expected: Estimate) -> SubmittedJob:
    cards = dict.fromkeys(card for lot in job.lots for card in lot.profiles)
    pins = dict.fromkeys(pin for card in cards for pin in shelf.needed(card))
    remarks = tuple(f"{name}: not done here ({counted(cards, 'card')})" for name, cards in found.not_done.items())
    return SubmittedJob(mode=mode, wrapped_data_key=wrapped, profiles=tuple(pins), remarks=remarks, estimate=expected)


def _sealed(file: Path, found: Submission, keys: dict[tuple[int, int], DataKey]) -> Iterator[SealedRecord]:
    for position, record in zip(count(), records(file, found), strict=False):
        issuer = found.batches[record.batch].issuer
        yield SealedRecord(
            batch=record.batch,
            job=record.job,
            lot=record.lot,
            position=position,
            crn=record.crn,
            container=record.container,
            sealed=seal(record.xml, keys[record.batch, record.job], issuer, record.crn),
        )
