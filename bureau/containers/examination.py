"""Puts every check of a file together and draws up its requests."""

from collections import Counter
from dataclasses import replace

from lxml import etree

from bureau.containers import Defaults, Known, Problem, Submission
from bureau.containers.batches import Lot, batch
from bureau.containers.frame import BatchDraft, Card, Frame, Part
from bureau.containers.inspection import Inspector, Job
from bureau.containers.lines import Place, source_line
from bureau.containers.merging import complete
from bureau.containers.orders import Builder
from bureau.containers.problems import Problems
from bureau.containers.references import References
from bureau.containers.refusals import refusals
from bureau.containers.schemas import findings
from bureau.models import Form
from hardware.perso.order import Order, UniqueID


class Examination:
    """What is known of a file while its pieces come by."""

    def __init__(self, known: Known, defaults: Defaults, problems: Problems, frame: Frame) -> None:
        self._defaults, self._problems, self._frame = defaults, problems, frame
        self._inspector = Inspector(known)
        self._references = References(known, problems)
        self._lots: dict[tuple[int, int, int], Lot] = {}
        self._placed: dict[tuple[int, tuple[UniqueID, ...]], int] = {}
        self._jobs: dict[tuple[int, UniqueID], int] = {}
        self._not_done: Counter[str] = Counter()
        self._said: set[tuple[int, str]] = set()

    def part(self, part: Part) -> None:
        """Check a header or common data."""
        for finding in findings(part.root, "request", part.dialect):
            self._say(part.line + finding.line - 1, finding.element, finding.message)
        for element, name, message in refusals(part.root):
            self._say(part.line + source_line(element) - 1, name, message)

    def card(self, card: Card) -> None:
        """Check one card record."""
        draft, place = self._frame.batches[card.batch], Place(card, self._problems)
        for finding in findings(card.root, "request", draft.dialect):
            place.found(finding)
        for element, name, message in refusals(card.root):
            place.wrong(element, name, message)
        place.added = complete(card)
        order = Builder(card.root, place.read).order()
        issuer = self._issuer(draft, card.line)
        if place.crn is not None:
            self._references.take(issuer, place.crn, card.number, card.line)
        self._count(card.root)
        job: Job = (card.batch, card.job)
        at: tuple[int, int] | None = (card.job, card.lot)
        if draft.form is Form.NOTIFICATION:
            profile = self._inspector.naming(order, card.root, place)
            job, at = (card.batch, profile or -1), None
            if profile is not None:
                order, at = replace(order, card_profiles=(profile,)), (self._place(card.batch, order, profile), 0)
        self._inspector.inspect(order, card.root, place, job)
        if at is not None:
            lot = self._lots.setdefault((card.batch, *at), Lot(line=card.line, crn=order.crn))
            scripted = any(step.script is not None for application in order.applications for step in application.steps)
            lot.take(order.card_profiles, scripted=scripted)

    def finish(self) -> None:
        """Check what can be said at the end only."""
        self._references.finish()
        for (place, job, lot), found in self._lots.items():
            if not found.profiles and found.named:
                draft = self._frame.batches[place]
                line = draft.jobs[job].lots[lot].line if draft.jobs else found.line
                self._say(line, "ValidCardProfileID", "no card profile will do for all records of the lot")

    def submission(self, sha256: str, size: int, warnings: tuple[Problem, ...]) -> Submission:
        """Return what the file holds; to be called when nothing was wrong."""
        lots: dict[int, dict[tuple[int, int], Lot]] = {}
        for (place, job, lot), found in self._lots.items():
            lots.setdefault(place, {})[job, lot] = found
        batches = tuple(
            batch(draft, lots[place], self._defaults, self._inspector) for place, draft in enumerate(self._frame.batches)
        )
        return Submission(
            batches=batches, records=self._frame.cards, sha256=sha256, size=size, warnings=warnings,
            keys=self._keys(), not_done=dict(self._not_done), placed=dict(self._placed),
        )  # fmt: skip

    def _keys(self) -> dict[tuple[int, int], frozenset[UniqueID]]:
        """Return the transport keys of each job; a notification's is known by its card profile so far."""
        found: dict[tuple[int, int], frozenset[UniqueID]] = {}
        for (place, job), keys in self._inspector.keys.items():
            found[place, job if isinstance(job, int) else self._jobs[place, job]] = frozenset(keys)
        return found

    def _issuer(self, draft: BatchDraft, line: int) -> str:
        if draft.form is Form.BATCH:
            return draft.attributes.get("IssuingEntity", "")
        if self._defaults.issuer is None:
            key = (id(draft), "issuer")
            if key not in self._said:
                self._said.add(key)
                self._say(line, draft.form, "names no issuer; say which it is with --issuer")
        return self._defaults.issuer or ""

    def _place(self, batch: int, order: Order, profile: UniqueID) -> int:
        """Return the job of a notification's card: one for each card profile."""
        jobs = sum(at == batch for at, _ in self._jobs)
        job = self._jobs.setdefault((batch, profile), jobs)
        named = tuple(each.profile for each in order.applications if each.profile is not None)
        self._placed[batch, named] = job
        return job

    def _count(self, record: etree._Element) -> None:
        """Count what is kept and not done here."""
        names = {f"GenericModule {each.get('ModuleName')}" for each in record.iterchildren("{*}GenericModule", "{*}Module")}
        if record.find("{*}DeliveryModule") is not None:
            names.add("DeliveryModule")
        self._not_done.update(names)

    def _say(self, line: int, element: str, message: str) -> None:
        self._problems.add(Problem(line=line, element=element, message=message))
