"""A whole plant with its ledger in PostgreSQL."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from bureau.ledger import auditing, views
from bureau.models import AttemptOutcome, JobState
from bureau.service import register
from bureau.service.plant import Plant
from tests.e2e import bureaus, expected
from tests.e2e.batches import standard_job
from tests.e2e.bureaus import ACTOR, FOUR, Bureau
from tests.servers import Cluster

CARDS = 16


@pytest.fixture
def bureau(home: Path, log: StringIO, cluster: Cluster) -> Iterator[Bureau]:
    """A new bureau whose home has a key store and no ledger."""
    (home / "ledger.sqlite").unlink()
    cluster.run("CREATE DATABASE plant")
    plant = Plant(replace(bureaus.settings(home), database_url=cluster.url("plant")))
    plant.ledger.migrate()
    register.add_shipped(plant, ACTOR)
    with bureaus.opened(plant) as opened:
        yield opened
    cluster.drop("plant")


def test_four_encoders_at_once_make_each_record_once(bureau: Bureau, tmp_path: Path) -> None:
    """World and ledger agree on every plastic, the batch is answered, and nothing lies in the home instead."""
    file = standard_job(tmp_path / "batch.xml", CARDS)
    bureau.equip(*(replace(station, product="payment-scp02") for station in FOUR))
    (number,) = bureau.take(file)
    bureau.run_all()
    cards = bureau.cards(number)
    attempts = [attempt for card in cards for attempt in bureau.attempts(card)]
    assert Counter(attempt.outcome for attempt in attempts) == {AttemptOutcome.GOOD: CARDS}
    made = {(plastic.encoder, plastic.position): plastic for plastic in bureau.touched()}
    assert set(made) == {(attempt.encoder, attempt.position) for attempt in attempts}
    assert {plastic.tray for plastic in made.values()} == {"good"}
    wanted = expected.cards(file)
    assert [sum(card.is_on(plastic.contents) for plastic in made.values()) for card in wanted] == [1] * CARDS
    assert len({encoder for encoder, _ in made}) > 1
    assert auditing.verify(bureau.plant.ledger, bureau.plant.keystore.authenticate) is None
    with bureau.plant.ledger.read() as connection:
        assert [job.state for job in views.list_jobs(connection)] == [JobState.PURGED]
    assert not list(bureau.plant.settings.home.glob("ledger*"))
    assert list(bureau.plant.settings.trails.iterdir())
