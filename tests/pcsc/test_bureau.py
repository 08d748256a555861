"""Cards made through pyscard and pcscd by the whole bureau, whoever feeds them and whatever has to be waited for."""

from contextlib import closing
from pathlib import Path

from hardware.encoders import Tray
from tests.e2e import expected
from tests.e2e.batches import standard_job
from tests.e2e.bureaus import BLUE, Station
from tests.pcsc.scene import Scene, until

WHERE = "(reader Virtual 1 00 00)"


def test_two_readers_make_a_batch(scene: Scene, tmp_path: Path) -> None:
    """Each record is on exactly one card, to the byte, and both readers made some."""
    scene.equip(Station(name="sim1", seed=1), Station(name="sim2", seed=2))
    bureau, file = scene.bureau, standard_job(tmp_path / "batch.xml", 6)
    (job,) = bureau.take(file)
    bureau.run_all()
    assert {card.state for card in bureau.cards(job)} == {"good"}
    for wanted in expected.cards(file):
        (mine,) = [plastic for plastic in bureau.touched() if wanted.is_on(plastic.contents)]
        assert (mine.contents, mine.tray) == (wanted.contents, "good")
    assert {plastic.encoder for plastic in bureau.touched()} == {"sim1", "sim2"}


def test_a_card_swapped_while_it_is_written_is_never_good(scene: Scene) -> None:
    """PC/SC may not notice a swap between two polls; the new chip has no channel and takes nothing."""
    scene.equip()
    scene.at("STORE DATA", Scene.pull)
    scene.at("STORE DATA", Scene.push)
    job = scene.take(1)
    scene.work().join()
    assert (scene.states(job), scene.plastics(job)) in [(["suspect"], [(1, "unknown")]), (["rejected"], [(1, "spoiled")])]
    scene.assert_balanced(job)


def test_while_a_card_is_made_no_other_program_gets_in(scene: Scene) -> None:
    """So none can reset it or hold a transaction: whatever share it asks for, it is refused, and the card is good."""
    scene.equip()
    codes = list[str]()

    def try_all(scene: Scene) -> None:
        codes.extend(scene.intrude(share) for share in ("EXCLUSIVE", "SHARED", "DIRECT"))

    scene.at("SELECT", try_all)
    scene.at("STORE DATA", try_all)
    job = scene.take(1)
    scene.work().join()
    assert codes == ["8010000B"] * 6
    assert scene.plastics(job) == [(1, "good")]


def test_a_pcscd_that_is_not_running_yet_is_waited_for(scene: Scene) -> None:
    """The encoder starts without it, draws nothing, and goes on by itself."""
    scene.daemon.kill()
    scene.equip()
    job = scene.take(1)
    working = scene.work()
    waits = scene.waits("start pcscd again")
    assert waits is not None
    assert waits.endswith(f"(1 left of job {job})")
    assert scene.trays() == {}
    scene.daemon.start()
    working.join()
    assert scene.plastics(job) == [(1, "good")]
    assert scene.reason() is None


def test_a_person_is_told_what_to_insert_and_how_many_are_left(scene: Scene) -> None:
    """The encoder claims nothing while it waits; each card in is made, and has to come out before the next."""
    scene.equip()
    scene.hand_feed(BLUE)
    job = scene.take(2)
    working = scene.work()
    with closing(scene.hand()) as person:
        told = [scene.waits("insert")]
        assert scene.states(job) == ["ready", "ready"]
        person.feed(BLUE)
        assert until(lambda: scene.states(job) == ["good", "ready"] or None)
        told.append(scene.waits("take out"))
        person.eject(Tray.GOOD)
        told.append(scene.waits("insert"))
        person.feed(BLUE)
        working.join()
    assert told == [
        f"insert a PLASTIC-BLUE blank {WHERE} (2 left of job {job})",
        f"take out the card, it is good {WHERE} (1 left of job {job})",
        f"insert a PLASTIC-BLUE blank {WHERE} (1 left of job {job})",
    ]
    assert scene.states(job) == ["good", "good"]


def test_a_card_that_was_made_here_is_refused(scene: Scene) -> None:
    """A hand-fed good card that comes back isn't written again."""
    scene.equip()
    scene.hand_feed(BLUE)
    job = scene.take(2)
    with closing(scene.hand()) as person:
        person.feed(BLUE)
        working = scene.work()
        assert until(lambda: scene.states(job) == ["good", "ready"] or None)
        person.meddle(card=False)
        assert scene.waits("insert")
        person.meddle(card=True)
        assert scene.waits("as it came")
        (attempt,) = scene.bureau.attempts(scene.bureau.cards(job)[1])
        assert (attempt.outcome, attempt.position) == ("returned", 2)
        assert "already carries the card of record" in str(attempt.cause)
        person.eject(Tray.REJECT)
        assert scene.waits("insert")
        person.feed(BLUE)
        working.join()
    assert scene.states(job) == ["good", "good"]


def test_another_program_on_a_card_that_a_person_inserted_is_waited_for(scene: Scene) -> None:
    """Nothing is claimed meanwhile, and the same card is made when that program ends."""
    scene.equip()
    scene.hand_feed(BLUE)
    job = scene.take(1)
    with closing(scene.hand()) as person:
        person.feed(BLUE)
        scene.noticed(card=True)
        assert scene.intrude("SHARED", "transaction") == "00000000"
        working = scene.work()
        waits = scene.waits("another program")
        assert waits == f"another program holds reader Virtual 1 00 00: end that program (1 left of job {job})"
        assert (scene.states(job), scene.plastics(job)) == (["ready"], [])
        scene.leave()
        working.join()
    assert scene.plastics(job) == [(1, "good")]
