"""What becomes of a card that failed: made again on another blank, or given up; compared with what lies in the world."""

import os
from collections.abc import Callable

import pytest

from bureau.ledger import accounts, auditing, views
from bureau.models import CardState, JobId, JobState, Role
from bureau.service import people
from tests.e2e import expected
from tests.e2e.bureaus import Bureau, Station
from tests.e2e.expected import SINGLE
from tests.e2e.worlds import Plastic
from tests.typed import Typed

RECORD = expected.cards(SINGLE)[0]
REFUSING, SILENT = "memory = 10", "mute_at = 20"
STAFF = {"anna": Role.SUPERVISOR, "berta": Role.SUPERVISOR, "carl": Role.OPERATOR}
JOB = JobId(1)
By = Callable[..., tuple[int, str, str]]


@pytest.fixture
def by(bureau: Bureau, typed: Typed) -> By:
    """Type a command as one of three people, whose passphrase is handed over."""
    with bureau.plant.ledger.write("root") as tx:
        for name, role in STAFF.items():
            accounts.add(tx, name, role, *people.stretched(f"passphrase of {name}".encode()))

    def type_(name: str, *words: str) -> tuple[int, str, str]:
        read, write = os.pipe()
        os.write(write, f"passphrase of {name}".encode())
        os.close(write)
        return typed(*words, "--as", name, "--passphrase-fd", str(read))

    return type_


def spoiled(bureau: Bureau, defect: str) -> None:
    """Make the single card on an encoder whose first plastic has this defect."""
    bureau.equip(Station(name="sim1", seed=1, defects={1: defect}))
    bureau.take(SINGLE)
    bureau.run()


def in_tray(bureau: Bureau, tray: str) -> list[Plastic]:
    return [plastic for plastic in bureau.plastics() if plastic.tray == tray]


def stands(bureau: Bureau) -> tuple[CardState, list[str]]:
    """Return the state of the only record and what became of each of its plastics."""
    (card,) = bureau.cards(JOB)
    return card.state, [each.outcome for each in bureau.attempts(card)]


@pytest.mark.parametrize(
    ("defect", "failed", "outcome"),
    [(REFUSING, "rejected", "spoiled"), (SILENT, "suspect", "unknown")],
    ids=["rejected", "suspect"],
)
def test_a_spoiled_card_is_asked_for_again_by_one_and_approved_by_another(
    bureau: Bureau, by: By, defect: str, failed: str, outcome: str
) -> None:
    """The world then has one good card and one reject, and the ledger says the same: one record in, two plastics drawn."""
    spoiled(bureau, defect)
    assert stands(bureau) == (failed, [outcome])
    assert by("carl", "requeue", "1", "--reason", "make it again")[0] == 0
    assert bureau.run() == 0
    assert by("carl", "approve", "1")[0] == 1
    assert by("anna", "approve", "1")[0] == 0
    assert bureau.run() == 1
    assert stands(bureau) == ("good", [outcome, "good"])
    (good,), (reject,) = in_tray(bureau, "good"), in_tray(bureau, "reject")
    assert good.contents == RECORD.contents
    assert (good.position, reject.position, len(bureau.plastics())) == (2, 1, 2)
    assert reject.contents != RECORD.contents
    (balance,) = bureau.balances(JOB)
    assert (balance.records_in, balance.good, balance.open) == (1, 1, 0)
    assert (balance.drawn, balance.good_plastics, getattr(balance, outcome)) == (2, 1, 1)
    assert balance.records_balance
    assert balance.stock_balances
    with bureau.plant.ledger.read() as connection:
        said = [(each.actor.split()[0], each.action) for each in auditing.entries(connection)]
    assert [each for each in said if each[1] in {"request", "approve", "requeue"}] == [
        ("carl", "request"),
        ("anna", "approve"),
        ("anna", "requeue"),
    ]
    assert auditing.verify(bureau.plant.ledger, bureau.plant.keystore.authenticate) is None
    trail = next((bureau.plant.settings.trails / "batch-1").glob("*.xml")).read_text()
    assert RECORD.crn in trail


def test_a_scrapped_card_closes_the_batch_and_its_issuer_is_answered(bureau: Bureau, by: By) -> None:
    """By the command itself: the trail says that the card was scrapped, and no other plastic is drawn."""
    spoiled(bureau, REFUSING)
    assert by("carl", "scrap", "1", "--reason", "the issuer wants none")[0] == 1
    status, said, _ = by("anna", "scrap", "1", "--reason", "the issuer wants none")
    assert status == 0
    assert bureau.run() == 0
    assert stands(bureau) == ("scrapped", ["spoiled"])
    assert len(bureau.plastics()) == 1
    (balance,) = bureau.balances(JOB)
    assert (balance.scrapped, balance.spoiled, balance.drawn) == (1, 1, 1)
    (trail,) = (bureau.plant.settings.trails / "batch-1").glob("*.xml")
    assert str(trail.parent) in said
    assert "scrapped" in trail.read_text()
    with bureau.plant.ledger.read() as connection:
        assert views.list_jobs(connection, [JOB])[0].state is JobState.REPORTED


def test_the_chip_of_a_suspect_never_becomes_another_card(bureau: Bureau, by: By) -> None:
    """The same chip in another encoder is refused untouched; the record is made on the next blank there."""
    bureau.equip(Station(name="sim1", seed=1, defects={1: SILENT}), Station(name="sim2", seed=1))  # one seed, the same chips
    bureau.take(SINGLE)
    bureau.run("sim1")
    by("carl", "requeue", "1", "--reason", "make it again")
    by("anna", "approve", "1")
    bureau.run("sim2")
    assert stands(bureau) == ("good", ["unknown", "returned", "good"])
    (card,) = bureau.cards(JOB)
    assert "may carry" in (bureau.attempts(card)[1].cause or "")
    (back,), (good,) = in_tray(bureau, "returned"), in_tray(bureau, "good")
    assert not back.touched
    assert (back.position, good.position) == (1, 2)
    assert good.contents == RECORD.contents
