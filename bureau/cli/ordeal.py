"""A bureau under faults, the people who look after it meanwhile, and what is left when it has come to rest."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Final

from bureau.cli import founding, session, specimens, up
from bureau.cli.up import Bureau
from bureau.errors import BureauError
from bureau.ledger import auditing, book, floor, stops, vault, views
from bureau.ledger.views import CardView
from bureau.models import FINAL, CardState, EncoderState, JobState, Role
from bureau.service import agreement, decisions, operate, people, report
from bureau.service.agreement import Fate
from bureau.service.people import Person
from bureau.service.plant import Plant, Wake, no_wake
from bureau.service.submit import submit
from hardware.sim.plastics import plastics
from workers.chaos import Fault, Hand

TEMPLATE = "workers.stepping"
"""What the workers of a chaos run are forked from."""
START_SECONDS: Final = 60.0
REST_SECONDS: Final = 120.0
"""How long everything may take to come to rest after the last fault; what takes longer is stuck."""
LOOK_SECONDS: Final = 0.5
"""How often people look after the floor."""
DECIDED: Final = 0.1
"""The share of failed records that somebody decides about at a look, as long as things go wrong."""
SCRAPPED: Final = 0.3
"""The share of decisions that give a record up; the others let it be made again."""


@dataclass(slots=True)
class Staff:
    """Two supervisors, who open lines that are held and decide about records that failed; *chance* draws what."""

    plant: Plant
    chance: Random
    tell: operate.Tell
    wake: Wake
    asks: Person
    approves: Person

    def look(self, share: float) -> None:
        """Let go on what is held, and decide about a *share* of what failed; what doesn't work is tried at the next look."""
        with suppress(BureauError):
            with self.plant.ledger.read() as connection:
                views_ = floor.list_encoders(connection)
                failed = [card for card in _cards(self.plant) if _waits_for_a_person(card)]
                held = [(job.number, number) for job in views.list_jobs(connection) for number in job.stops]
                lots = [stops.find(connection, job, number) for job, number in held]
            for view in views_:
                if view.machine.state is EncoderState.HELD:
                    operate.open_line(self.plant, view.machine.encoder, self.asks.actor, self.tell)
            for lot in lots:
                operate.release_lot(self.plant, lot, self.asks.actor, self.wake)
            for card in failed:
                if self.chance.random() < share:
                    self._decide(card)

    def _decide(self, card: CardView) -> None:
        if card.state is not CardState.READY and self.chance.random() < SCRAPPED:
            decisions.scrap(self.plant, [card.card], "chaos", self.asks.actor)
            return
        request = decisions.ask_to_requeue(self.plant, [card.card], "chaos", self.asks)
        decisions.approve(self.plant, request.number, self.approves)


@dataclass(slots=True)
class Ordeal:
    """One bureau with so many *cards* to make on so many *blanks* of each encoder."""

    plant: Plant
    cards: int
    blanks: int
    chance: Random
    rested: bool = False
    """Whether everything came to rest in time."""
    took: float = 0.0
    """Seconds from the first fault until then."""

    def run(self, faults: Sequence[Fault], seconds: float, server: Path | None) -> Hand:
        """Make the cards under *faults* for so many *seconds*, then let all come to rest; return who did the harm."""
        asks, approves = self._prepare()
        with up.running(self.plant, template=TEMPLATE, server=server) as bureau:
            bureau.start(list(self.plant.encoders), opener=None)
            _until(bureau, self._has_started, START_SECONDS)
            self._load()
            now = bureau.supervisor.settings
            staff = Staff(self.plant, self.chance, session.tell(now), session.wake(now), asks, approves)
            _until(bureau, self._listens, START_SECONDS, lambda: staff.look(0))
            hand = Hand(self.plant.settings.home, lambda: _template(bureau), lambda: _broker(bureau))
            started = time.monotonic()
            with _meanwhile(hand, faults):
                _until(bureau, lambda: False, seconds, lambda: staff.look(DECIDED))
            self.rested = _until(bureau, lambda: self._is_made() and self._listens(), REST_SECONDS, lambda: staff.look(1))
            self.took = time.monotonic() - started
        return hand

    def findings(self) -> list[str]:
        """Return what differs between worlds and ledger, or isn't as it must be at the end."""
        found = [] if self.rested else [f"not everything came to rest within {REST_SECONDS:.0f} s"]
        found += [f"the office failed: {fault}" for fault in report.finish_due(self.plant)]
        if broken := auditing.verify(self.plant.ledger, self.plant.keystore.authenticate):
            found.append(f"the audit log is broken: {broken}")
        with self.plant.ledger.read() as connection:
            jobs, encoders = views.list_jobs(connection), floor.list_encoders(connection)
            known = {card.crn: card for job in jobs for card in views.list_cards(connection, job.number)}
            lasting = {crn: views.list_attempts(connection, card.card) for crn, card in known.items()}
            left = book.left(connection)
        numbers = {specimens.crn(number): specimens.pan(number) for number in range(self.cards)}
        found += [f"record {crn} isn't in the ledger" for crn in numbers if crn not in known]
        found += [f"job {job.number} is {job.state} and not answered" for job in jobs if job.state is not JobState.PURGED]
        found += [f"{view.machine.encoder} still holds a card" for view in encoders if view.in_hand]
        fates = [Fate(crn=crn, mark=numbers[crn], state=known[crn].state, attempts=lasting[crn]) for crn in known]
        spent = {encoder: self.blanks - sum(stocks.values()) for encoder, stocks in left.items()}
        return found + agreement.differences(plastics(self.plant.settings.worlds), fates, spent)

    def states(self) -> Counter[CardState]:
        """Return how many records are in each state."""
        return Counter(card.state for card in _cards(self.plant))

    def _prepare(self) -> tuple[Person, Person]:
        founding.found(self.plant)
        user, home = self.plant.settings.user, self.plant.settings.home
        for file in specimens.files(home, self.cards):
            jobs, _ = submit(self.plant, file, issuer="TESTBANK", production=False, actor=user, progress=lambda *_: None)
            operate.release(self.plant, jobs, user, no_wake)
        passphrase = (home / "passphrase").read_bytes()
        decisions.add_account(self.plant, "anna", Role.SUPERVISOR, passphrase, None)
        anna = people.identify(self.plant, "anna", passphrase)
        decisions.add_account(self.plant, "bert", Role.SUPERVISOR, passphrase, anna)
        return anna, people.identify(self.plant, "bert", passphrase)

    def _load(self) -> None:
        """Put every blank into the stock book: each that is gone must be some record's."""
        user, encoders = self.plant.settings.user, list(self.plant.encoders)
        vault.receive(self.plant.ledger, specimens.STOCK, self.blanks * len(encoders), user, self.plant.clock())
        for encoder in encoders:
            vault.load(self.plant.ledger, encoder, specimens.STOCK, self.blanks, user, self.plant.clock())

    def _has_started(self) -> bool:
        return len(self._lines()) == len(self.plant.encoders)

    def _listens(self) -> bool:
        lines = self._lines()
        return all(view.machine.state is EncoderState.OPEN and view.listening and not view.in_hand for view in lines)

    def _lines(self) -> list[floor.EncoderView]:
        with self.plant.ledger.read() as connection:
            return floor.list_encoders(connection)

    def _is_made(self) -> bool:
        return all(card.state in FINAL for card in _cards(self.plant))


def _cards(plant: Plant) -> list[CardView]:
    with plant.ledger.read() as connection:
        return [card for job in views.list_jobs(connection) for card in views.list_cards(connection, job.number)]


def _waits_for_a_person(card: CardView) -> bool:
    return card.state in {CardState.REJECTED, CardState.SUSPECT} or card.held is not None


def _until(bureau: Bureau, done: Callable[[], bool], seconds: float, look: Callable[[], None] = lambda: None) -> bool:
    """Keep *bureau* running, and *look* after it now and then; return whether *done* came true in time, and no signal."""
    deadline, looked = time.monotonic() + seconds, 0.0
    while not bureau.caught and time.monotonic() < deadline:
        bureau.tick()
        if time.monotonic() - looked > LOOK_SECONDS:
            look()
            looked = time.monotonic()
            with suppress(BureauError):
                if done():
                    return True
    return False


@contextmanager
def _meanwhile(hand: Hand, faults: Sequence[Fault]) -> Iterator[None]:
    stop = Event()
    thread = Thread(target=hand.work, args=(faults, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _template(bureau: Bureau) -> int | None:
    return bureau.supervisor.template.pid if bureau.supervisor.template else None


def _broker(bureau: Bureau) -> int | None:
    return bureau.broker.server.pid if bureau.broker and bureau.broker.server else None
