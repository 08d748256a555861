"""One record once more, on a test card in a test reader: compared with what was recorded, and never counted."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from bureau.ledger import auditing, encoders
from bureau.ledger.schema import jobs
from bureau.models import CardId, EncoderId, JobId
from hardware.encoders.pcsc.daemon import Daemon
from hardware.encoders.pcsc.feeder import Hand, Simulated
from hardware.encoders.pcsc.reader import Reader
from tests.e2e import expected, worlds
from tests.e2e.batches import standard_job
from tests.e2e.bureaus import ACTOR, BLUE, Bureau, Station
from tests.e2e.conftest import made, typed
from tests.typed import Typed

__all__ = ["made", "typed"]

READER = "Virtual 1 00 00"


@pytest.fixture
def insert(daemon: Daemon, tmp_path: Path) -> Callable[..., Path]:
    """Put a blank into the first reader; returns the folder of its world."""

    def put(seed: int = 77, product: str = "payment-scp02", **defect: object) -> Path:
        folder = tmp_path / "desk"
        options = {"blank": product, "blanks": {BLUE: 1}, "seed": seed, "defects": {"1": defect}}
        hand = Simulated(daemon.put(1, "desk", folder, options))
        hand.feed(BLUE)
        hand.close()
        reader = Reader(READER, daemon.socket)
        reader.wait(card=True, seconds=5)
        reader.close()
        return folder

    return put


def audited(bureau: Bureau) -> list[tuple[str, str, str]]:
    """Return actor, action and subject of what the audit log says of replays."""
    with bureau.plant.ledger.read() as connection:
        return [(each.actor, each.action, each.subject) for each in auditing.entries(connection) if each.action == "replay"]


def counted(bureau: Bureau) -> tuple[object, ...]:
    """Return all that counts plastic or says where records stand."""
    (card, other) = bureau.cards(JobId(1))
    return card, other, bureau.attempts(card), bureau.attempts(other), bureau.balances(JobId(1))


def test_a_replay_writes_the_same_card_and_counts_nothing(
    bureau: Bureau, daemon: Daemon, made: CardId, typed: Typed, insert: Callable[..., Path], tmp_path: Path
) -> None:
    """Commands and status words are the recorded ones; the test card holds the record to the byte; the audit log knows."""
    folder, before = insert(), counted(bureau)
    status, out, said = typed("replay", str(made), "--reader", "00 00", "--socket", daemon.socket, "--json")
    assert status == 0, said
    rows = json.loads(out)
    assert {row["differs"] for row in rows} == {""}
    assert all(row["then"] == row["now"] == "9000" for row in rows if row["command"] != "GET STATUS")
    assert len(rows) > 20
    assert "every command and status word is the recorded one's" in said
    assert "personalize A0000000041010" in said
    assert counted(bureau) == before
    assert audited(bureau) == [("engineer", "replay", f"card {made}")]
    (plastic,) = worlds.plastics(folder)
    record = expected.cards(tmp_path / "job.xml")[0]
    assert plastic.contents == record.contents


def test_a_dry_run_shows_the_plan_and_changes_nothing(
    bureau: Bureau, daemon: Daemon, made: CardId, typed: Typed, insert: Callable[..., Path]
) -> None:
    """The channel is opened, for the plan depends on what the card holds."""
    folder = insert()
    status, out, said = typed("replay", str(made), "--reader", READER, "--socket", daemon.socket, "--dry-run")
    assert (status, out) == (0, "")
    assert "the plan" in said
    assert "install A0000000041010" in said
    (plastic,) = worlds.plastics(folder)
    assert not plastic.touched
    assert audited(bureau) == []


def test_a_replay_shows_where_another_card_parts_from_the_recorded(
    bureau: Bureau, daemon: Daemon, made: CardId, typed: Typed, insert: Callable[..., Path]
) -> None:
    """A test card with less memory refuses what the recorded one took."""
    insert(memory=10)
    status, out, said = typed("replay", str(made), "--reader", READER, "--socket", daemon.socket, "--json")
    assert status == 1
    different = [row for row in json.loads(out) if row["differs"]]
    assert (different[0]["then"], different[0]["now"], different[0]["differs"]) == ("9000", "6A84", "other answer")
    assert {row["differs"] for row in different[1:]} == {"not sent now"}
    assert "the replay ended early: " in said
    assert "the test card may be half written" in said
    assert "6A84 not enough memory" in said


def test_steps_are_asked_for_and_a_no_sends_nothing(
    daemon: Daemon, made: CardId, typed: Typed, insert: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command is shown in words before and its answer after; anything but Enter and a sends nothing, q ends it."""
    folder = insert()
    answers = iter(["", "n", "stop", "quit", "Q"])
    monkeypatch.setattr("click.prompt", lambda *_text, **_how: next(answers))
    status, _out, said = typed("replay", str(made), "--reader", READER, "--socket", daemon.socket, "--step")
    assert status == 1
    assert "stopped by hand" in said
    assert "half written" not in said
    assert "< 9000 done, 18 bytes" in said
    asked = ("SELECT", "INITIALIZE UPDATE", "EXTERNAL AUTHENTICATE", "GET DATA")
    assert [name for name in asked if name in said] == ["SELECT", "INITIALIZE UPDATE"]
    (plastic,) = worlds.plastics(folder)
    assert not plastic.touched


def test_after_all_that_follow_nothing_is_asked(
    daemon: Daemon, made: CardId, typed: Typed, insert: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands are shown to the end."""
    insert()
    answers = iter(["", "a"])
    monkeypatch.setattr("click.prompt", lambda *_text, **_how: next(answers))
    status, _out, said = typed("replay", str(made), "--reader", READER, "--socket", daemon.socket, "--step")
    assert status == 0
    assert said.count("STORE DATA") > 5


def test_a_card_that_counts_is_never_written(
    bureau: Bureau, daemon: Daemon, made: CardId, typed: Typed, insert: Callable[..., Path]
) -> None:
    """The chip that carries a good card is known by its identity, whatever reader it is in."""
    folder = insert(seed=1)  # the seed of the encoder: the same chip
    status, _out, said = typed("replay", str(made), "--reader", READER, "--socket", daemon.socket)
    assert status == 1
    assert "was used for record" in said
    assert "no job has used" in said
    (plastic,) = worlds.plastics(folder)
    assert not plastic.touched


def test_wrong_keys_are_said_before_anything_is_sent(
    bureau: Bureau, daemon: Daemon, made: CardId, typed: Typed, insert: Callable[..., Path]
) -> None:
    """As on the floor, no EXTERNAL AUTHENTICATE goes out."""
    insert(wrong_keys=True)
    status, out, said = typed("replay", str(made), "--reader", READER, "--socket", daemon.socket, "--json")
    assert status == 1
    assert "card cryptogram does not verify" in said
    rows = json.loads(out)
    assert [row["command"] for row in rows if row["now"] != "-"] == ["SELECT", "INITIALIZE UPDATE"]
    assert {row["differs"] for row in rows[2:]} == {"not sent now"}


@pytest.mark.parametrize("other_name", ["", "/nowhere/another/pcscd.comm"])
@pytest.mark.parametrize(
    ("mode", "opened", "said"),
    [("PRODUCTION", False, "production encoder desk1's"), ("TEST", True, "`bureau hold desk1` first")],
)
def test_a_reader_at_work_is_refused(
    bureau: Bureau,
    daemon: Daemon,
    made: CardId,
    typed: Typed,
    insert: Callable[..., Path],
    mode: str,
    opened: bool,
    said: str,
    other_name: str,
) -> None:
    """One that production uses always, another while its encoder may take the card; by whatever name its pcscd goes."""
    insert()
    with bureau.plant.settings.stations_file.open("a") as stations:
        stations.write(
            f'\n[encoder.desk1]\nkind = "pcsc"\nproduct = "payment-scp02"\nstocks = ["{BLUE}"]\nmode = "{mode}"\n'
            f'options = {{ reader = "{READER}", socket = "{other_name or daemon.socket}", stock = "{BLUE}" }}\n'
        )
    bureau.plant.__dict__.pop("encoders")
    config = bureau.plant.encoder(EncoderId("desk1"))
    encoders.start(bureau.plant.ledger, config.machine, bureau.plant.clock())
    if opened:
        encoders.open_line(bureau.plant.ledger, EncoderId("desk1"), ACTOR, bureau.plant.clock())
    status, _out, err = typed("replay", str(made), "--reader", READER, "--socket", daemon.socket)
    assert status == 1
    assert said in err


def test_a_chip_that_was_spoiled_is_no_test_card(
    bureau: Bureau, daemon: Daemon, typed: Typed, insert: Callable[..., Path], tmp_path: Path
) -> None:
    """Whatever became of it, a job has used it."""
    bureau.equip(Station(name="sim1", seed=1, blanks={BLUE: 1}, defects={1: "memory = 10"}))
    bureau.take(standard_job(tmp_path / "job.xml", 1))
    bureau.run()
    insert(seed=1)
    status, _out, said = typed("replay", "1", "--reader", READER, "--socket", daemon.socket)
    assert status == 1
    assert "was used for record" in said


def test_a_hand_fed_encoder_does_not_take_the_test_card_for_its_last(
    bureau: Bureau, daemon: Daemon, made: CardId, typed: Typed, insert: Callable[..., Path]
) -> None:
    """It asks for a reject to be taken out, and not for the good card that it made before."""
    file = bureau.plant.settings.worlds / "desk1.fed"
    file.write_text('{"number": 4, "place": "good"}')
    with bureau.plant.settings.stations_file.open("a") as stations:
        stations.write(
            f'\n[encoder.desk1]\nkind = "pcsc"\nproduct = "payment-scp02"\nstocks = ["{BLUE}"]\n'
            f'options = {{ reader = "{READER}", socket = "{daemon.socket}", stock = "{BLUE}" }}\n'
        )
    insert()
    assert typed("replay", str(made), "--reader", READER, "--socket", daemon.socket)[0] == 0
    assert Hand(BLUE, file).asks(card=True) == "take out the card, it is a reject"


def test_a_production_card_is_refused(bureau: Bureau, daemon: Daemon, typed: Typed, tmp_path: Path) -> None:
    """Before any reader is touched: there is no card in it."""
    bureau.equip(Station(name="sim1", seed=1, blanks={BLUE: 1}))
    bureau.take(standard_job(tmp_path / "job.xml", 2))
    bureau.run()
    card = next(card.card for card in bureau.cards(JobId(1)) if card.state == "good")
    with bureau.plant.ledger.write("test", bureau.plant.clock()) as tx:
        tx.connection.execute(update(jobs).values(mode="PRODUCTION"))
    status, _out, said = typed("replay", str(card), "--reader", READER, "--socket", daemon.socket)
    assert status == 1
    assert "is a production card" in said
    assert "Only test jobs are replayed" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("replay", "1", "--reader", "No Such"), "0 readers are called 'No Such'; there are: 'Virtual 1 00 00'"),
        (("replay", "1", "--reader", "Virtual"), "2 readers are called 'Virtual'"),
        (("replay", "1", "--reader", READER), "no card is in reader"),
        (("replay", "99", "--reader", READER), "there is no card 99"),
        (("replay", "1", "--reader", READER, "--attempt", "7"), "card 1 has no attempt 7"),
    ],
)
def test_what_is_not_there_is_said(made: CardId, daemon: Daemon, typed: Typed, words: tuple[str, ...], said: str) -> None:
    """With what there is."""
    status, _out, err = typed(*words, "--socket", daemon.socket)
    assert status in (1, 2)
    assert said in err
