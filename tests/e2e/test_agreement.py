"""The last word of a chaos run: does it find what it is there to find."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bureau.cli import specimens
from bureau.models import AttemptOutcome, CardState, EncoderId
from bureau.service import decisions
from bureau.service.agreement import Fate, differences
from hardware.sim.plastics import Plastic
from tests.e2e.bureaus import Bureau, Station

SIM1 = EncoderId("sim1")


@dataclass(slots=True)
class Count:
    """What lies in the trays, what the ledger says, and how many blanks are gone by the stock book."""

    plastics: list[Plastic]
    fates: list[Fate]
    spent: int = 3

    def found(self) -> list[str]:
        """Return all that differs."""
        return differences(self.plastics, self.fates, {SIM1: self.spent})

    def attempt(self, record: int, **values: object) -> None:
        """Say something else of a record's plastic."""
        *others, last = self.fates[record].attempts
        self.fates[record] = replace(self.fates[record], attempts=[*others, replace(last, **values)])  # type: ignore[arg-type]

    def lies(self, place: int, **values: object) -> None:
        """Let something else lie at a place, counted from 1."""
        plastic = self.plastics[place - 1]
        self.plastics[place - 1] = replace(plastic, memory={**plastic.memory, **values})


@pytest.fixture
def count(bureau: Bureau, tmp_path: Path) -> Count:
    """Three records: one came back once because a blank had wrong keys, one tore its card and was given up."""
    bureau.equip(Station(name="sim1", seed=1, defects={1: "wrong_keys = true", 4: "mute_at = 20"}))
    (job,) = bureau.take(*specimens.files(tmp_path, 3))
    bureau.run()
    decisions.scrap(bureau.plant, [bureau.cards(job)[2].card], "torn", "tester")
    fates = [
        Fate(crn=card.crn, mark=specimens.pan(card.position), state=card.state, attempts=bureau.attempts(card))
        for card in bureau.cards(job)
    ]
    return Count(bureau.plastics(), fates)


def test_a_bureau_that_did_its_work_agrees_with_its_world(count: Count) -> None:
    """One blank returned, two cards good, one torn: nothing differs, and every kind of plastic was there."""
    assert count.found() == []
    assert [plastic.tray for plastic in count.plastics] == ["returned", "good", "good", "reject"]
    assert [fate.state for fate in count.fates] == [CardState.GOOD, CardState.GOOD, CardState.SCRAPPED]


def _twice(count: Count) -> None:
    count.plastics.append(replace(count.plastics[1], position=5))


def _forgotten(count: Count) -> None:
    count.fates[2] = replace(count.fates[2], attempts=[])


def _invented(count: Count) -> None:
    count.plastics.pop()


def _two_records(count: Count) -> None:
    other = next(value for value in count.plastics[2].contents.values() if count.fates[1].mark in value)
    count.lies(2, **{"app/A0/dgi/0201": other})


def _lost_record(count: Count) -> None:
    count.fates[1] = replace(count.fates[1], state=CardState.READY)


def _book(count: Count) -> None:
    count.spent = 2


@pytest.mark.parametrize(
    ("doctor", "finding"),
    [
        (_twice, "is on 2 good cards: sim1/2, sim1/5"),
        (_forgotten, "sim1/4 was touched and nobody counts it"),
        (_invented, "sim1/4 is in the ledger and was never drawn"),
        (_two_records, "sim1/2 holds two records"),
        (_lost_record, "is ready and not done with"),
        (_book, "sim1 spent 3 blanks, its attempts 3, and the stock book says 2"),
        (lambda count: count.attempt(2, outcome=AttemptOutcome.RETURNED), "sim1/4 was touched and is called returned"),
        (lambda count: count.attempt(2, outcome=AttemptOutcome.MUTE), "sim1/4 was touched and is called mute"),
        (lambda count: count.attempt(2, outcome=AttemptOutcome.OPEN), "has a plastic in nobody's hand that is still open"),
        (lambda count: count.attempt(1, position=2), "sim1/2 is counted 2 times"),
        (lambda count: count.attempt(1, identity="00" * 10), "and the ledger says another"),
        (lambda count: count.attempt(1, outcome=AttemptOutcome.UNKNOWN), "sim1/3 lies in tray good and is called unknown"),
        (lambda count: count.lies(3, tray="reject"), "sim1/3 lies in tray reject and is called good"),
        (lambda count: count.lies(1, tray="good"), "sim1/1 lies in tray good and is called returned"),
        (lambda count: count.lies(1, tray="reject"), "sim1/1 lies in tray reject and is called returned"),
        (lambda count: count.lies(2, tray=None), "sim1/2 is still in the station"),
        (lambda count: count.lies(3, touched=False), "sim1/3 is blank and is called good"),
        (lambda count: count.lies(3, **{"app/A0000000041010/state": "07"}), "is on a good card that isn't personalized"),
    ],
)
def test_whatever_is_wrong_is_found(count: Count, doctor: Callable[[Count], None], finding: str) -> None:
    """A ledger or a world that was doctored anywhere differs, and the finding says where."""
    doctor(count)
    assert finding in "\n".join(count.found())
