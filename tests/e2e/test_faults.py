"""What becomes of a record, its plastic and the encoder when a blank or a card isn't as it should be."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bureau.ledger import encoders, floor, reaping
from bureau.models import AttemptOutcome, CardState, EncoderId, EncoderState, JobId
from bureau.service.plant import now
from hardware.encoders.simulator import Simulator
from hardware.errors import PlanError
from hardware.iso7816 import Command, Response
from hardware.perso.plan import plan
from tests.e2e import expected, worlds
from tests.e2e.batches import standard_job
from tests.e2e.bureaus import Bureau, Station
from tests.e2e.expected import SINGLE

RECORD = expected.cards(SINGLE)[0]
SOUND = Station(name="sim1", seed=1)
GOOD = ("good", "good")
WRONG_KEYS = "card cryptogram does not verify with key set 20, recipe emv; no try was spent, how many are left is unknown"


class Recording(Simulator):
    """A simulator that notes the commands it is given."""

    sent: list[str]

    def transmit(self, command: Command) -> Response:
        """Exchange one command."""
        self.sent.append(command.name)
        return super().transmit(command)


def ended(bureau: Bureau, job: JobId) -> tuple[CardState, list[tuple[int | None, AttemptOutcome]]]:
    """Return the state of the job's only record and the position and outcome of each of its plastics."""
    (card,) = bureau.cards(job)
    return card.state, [(attempt.position, attempt.outcome) for attempt in bureau.attempts(card)]


def codes(bureau: Bureau, job: JobId) -> list[str | None]:
    """Return who is to blame for each plastic of the job's only record."""
    (card,) = bureau.cards(job)
    return [attempt.code for attempt in bureau.attempts(card)]


def causes(bureau: Bureau, job: JobId) -> list[str]:
    """Return why each plastic of the job's only record ended as it did."""
    (card,) = bureau.cards(job)
    return [attempt.cause or "" for attempt in bureau.attempts(card)]


def trays(bureau: Bureau) -> dict[int, object]:
    """Return where each plastic lies."""
    return {plastic.position: plastic.tray for plastic in bureau.plastics()}


def line(bureau: Bureau) -> EncoderState:
    """Return whether the only encoder may take cards."""
    with bureau.plant.ledger.read() as connection:
        return encoders.machine(connection, EncoderId("sim1")).state


def assert_counted(bureau: Bureau, job: JobId, **wanted: int) -> None:
    """Assert both balances: every record and every plastic that the world fed is counted, and *wanted* are all there are."""
    (balance,) = bureau.balances(job)
    counted = {"good_plastics", "spoiled", "mute", "unknown", "returned"}
    assert {name: getattr(balance, name) for name in counted} == dict.fromkeys(counted, 0) | wanted
    assert balance.records_in == balance.good + balance.scrapped + balance.withdrawn + balance.open
    assert balance.stock_balances
    assert balance.drawn == len(bureau.plastics())


def faulty(bureau: Bureau, defects: dict[int, str], station: Station = SOUND) -> JobId:
    """Release the single card to one encoder whose plastics have these defects, and let it work."""
    bureau.equip(replace(station, defects=defects))
    (job,) = bureau.take(SINGLE)
    bureau.run()
    return job


def test_a_dead_blank_is_mute_and_the_record_goes_to_the_next(bureau: Bureau) -> None:
    """A blank that doesn't answer to reset is counted as mute and rejected; the record isn't harmed."""
    job = faulty(bureau, {1: "dead = true"})
    assert ended(bureau, job) == ("good", [(1, "mute"), (2, "good")])
    assert trays(bureau) == {1: "reject", 2: "good"}
    assert_counted(bureau, job, mute=1, good_plastics=1)


def test_a_blank_with_foreign_keys_is_returned_with_its_retry_counter_whole(bureau: Bureau) -> None:
    """Where the card cryptogram doesn't verify, EXTERNAL AUTHENTICATE is never sent, and the next blank is taken."""
    bureau.equip(replace(SOUND, defects={1: "wrong_keys = true"}))
    (job,) = bureau.take(SINGLE)
    machine = bureau.start("sim1", Recording.start)
    assert isinstance(machine, Recording)
    machine.sent = []
    bureau.run()
    assert ended(bureau, job) == ("good", [(1, "returned"), (2, "good")])
    assert (codes(bureau, job), causes(bureau, job)) == (["key", None], [WRONG_KEYS, ""])
    assert trays(bureau) == {1: "returned", 2: "good"}
    assert machine.sent.count("INITIALIZE UPDATE") == 2
    assert machine.sent.count("EXTERNAL AUTHENTICATE") == 1
    assert not bureau.plastics()[0].touched
    assert bureau.plastics()[0].memory["scp/failures"] == 0
    assert worlds.headers(bureau.worlds, "sim1", 1) == []
    assert_counted(bureau, job, returned=1, good_plastics=1)


def test_three_foreign_blanks_in_a_row_hold_the_encoder(bureau: Bureau) -> None:
    """The third wrong key in a row holds the line, and a fourth blank is never fed."""
    job = faulty(bureau, dict.fromkeys((1, 2, 3, 4), "wrong_keys = true"))
    assert line(bureau) is EncoderState.HELD
    assert ended(bureau, job) == ("ready", [(1, "returned"), (2, "returned"), (3, "returned")])
    assert trays(bureau) == dict.fromkeys((1, 2, 3), "returned")
    assert not bureau.touched()
    assert_counted(bureau, job, returned=3)


@pytest.mark.parametrize("defect", ["dead = true", "mute_at = 1"], ids=["dead", "mute"])
def test_three_mute_blanks_in_a_row_hold_the_encoder(bureau: Bureau, defect: str) -> None:
    """Something is wrong with the machine or its stock: it isn't left to go through the hopper."""
    job = faulty(bureau, dict.fromkeys((1, 2, 3, 4), defect))
    assert line(bureau) is EncoderState.HELD
    assert ended(bureau, job) == ("ready", [(1, "mute"), (2, "mute"), (3, "mute")])
    assert_counted(bureau, job, mute=3)


@pytest.mark.parametrize(
    ("defect", "code"),
    [
        ("dead = true", "card"),
        ("mute_at = 2", "card"),
        ("mute_at = 12", "card"),
        ("memory = 10", "card"),
        ("wrong_keys = true", "key"),
    ],
)
def test_each_fault_has_somebody_to_blame(bureau: Bureau, defect: str, code: str) -> None:
    """Beside what the card said."""
    job = faulty(bureau, {1: defect})
    assert codes(bureau, job)[0] == code
    assert causes(bureau, job)[0]


def test_a_wrong_card_is_the_operators_doing(bureau: Bureau) -> None:
    """Nothing was sent to it."""
    job = faulty(bureau, {}, replace(SOUND, blank="export-scp03"))
    assert set(codes(bureau, job)) == {"operator"}
    assert "wrong card: its ATR" in causes(bureau, job)[0]


class Refusing(Simulator):
    """A simulator whose cards refuse the host."""

    def transmit(self, command: Command) -> Response:
        """Exchange one command."""
        answer = super().transmit(command)
        return Response(b"", 0x6300) if command.name == "EXTERNAL AUTHENTICATE" else answer


def test_one_refused_external_authenticate_holds_the_encoder(bureau: Bureau) -> None:
    """It has spent a try of the chip's retry counter: the blank goes back, and no other is fed."""
    bureau.equip(SOUND)
    (job,) = bureau.take(SINGLE)
    bureau.start("sim1", Refusing.start)
    bureau.run()
    assert line(bureau) is EncoderState.HELD
    assert ended(bureau, job) == ("ready", [(1, "returned")])
    assert "6300" in causes(bureau, job)[0]
    assert trays(bureau) == {1: "returned"}


def test_a_card_that_takes_long_keeps_its_lease_while_it_answers(bureau: Bureau) -> None:
    """Each command takes half a lease and the reaper comes after each, yet the card is good."""
    passed = timedelta()

    class Slow(Simulator):
        """A simulator that takes its time."""

        def transmit(self, command: Command) -> Response:
            nonlocal passed
            answer = super().transmit(command)
            passed += bureau.plant.settings.lease / 2
            assert not reaping.reap(bureau.plant.ledger, bureau.plant.clock())
            return answer

    bureau.equip(SOUND)
    (job,) = bureau.take(SINGLE)
    bureau.plant = replace(bureau.plant, clock=lambda: now() + passed)
    bureau.start("sim1", Slow.start)
    bureau.run()
    assert ended(bureau, job) == ("good", [(1, "good")])


def test_a_lease_that_its_own_clock_ended_is_given_back(bureau: Bureau) -> None:
    """By all others it would go on for long after a clock was set; the record is made on the next blank instead."""
    passed = timedelta()

    class Jumping(Simulator):
        """A simulator beside which the clock is set once, before anything was written."""

        def transmit(self, command: Command) -> Response:
            nonlocal passed
            passed = timedelta(minutes=10)
            return super().transmit(command)

    bureau.equip(SOUND)
    (job,) = bureau.take(SINGLE)
    settings = replace(bureau.plant.settings, lease=timedelta(minutes=4))
    bureau.plant = replace(bureau.plant, settings=settings, clock=lambda: now() + passed)
    bureau.start("sim1", Jumping.start)
    bureau.run()
    assert ended(bureau, job) == ("good", [(1, "returned"), (2, "good")])
    assert "the lease 1 on card 1 is over" in causes(bureau, job)[0]
    assert trays(bureau) == {1: "returned", 2: "good"}


def test_a_card_that_opens_forgives_the_strikes_before(bureau: Bureau) -> None:
    """Two foreign blanks, a good card, two more: never three in a row, so the line stays open."""
    bureau.equip(replace(SOUND, defects=dict.fromkeys((1, 2, 4, 5), "wrong_keys = true")))
    bureau.take(SINGLE, expected.PAYMENT)
    assert bureau.run() > 8
    assert line(bureau) is EncoderState.OPEN
    assert {position for position, tray in trays(bureau).items() if tray == "returned"} == {1, 2, 4, 5}


def test_a_card_that_opens_but_suits_no_plan_forgives_too(bureau: Bureau, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys were right, so the foreign ones around it don't follow each other."""
    bureau.equip(replace(SOUND, defects=dict.fromkeys((1, 2, 4), "wrong_keys = true")))
    bureau.take(expected.PAYMENT)
    planned: list[object] = []

    def unsuited(*about: object) -> object:
        planned.append(about)
        if len(planned) == 1:
            raise PlanError("this card is full")
        return plan(*about)  # type: ignore[arg-type]

    monkeypatch.setattr("bureau.service.press.plan", unsuited)
    bureau.run()
    assert line(bureau) is EncoderState.OPEN
    assert {position for position, tray in trays(bureau).items() if tray == "returned"} == {1, 2, 3, 4}


@pytest.mark.parametrize("defect", ["mute_at = 20", "mute_after = 20"], ids=["before executing", "after executing"])
def test_a_card_that_falls_silent_while_written_is_suspect(bureau: Bureau, defect: str) -> None:
    """A lost answer leaves the record suspect and its plastic unknown; nothing is tried again."""
    job = faulty(bureau, {1: defect})
    assert ended(bureau, job) == ("suspect", [(1, "unknown")])
    assert trays(bureau) == {1: "reject"}
    assert "doesn't answer" in causes(bureau, job)[0]
    assert_counted(bureau, job, unknown=1)


@pytest.mark.parametrize(
    ("defect", "state", "cause"),
    [("mute_at = 20", "suspect", "doesn't answer"), ("memory = 10", "rejected", "6A84")],
    ids=["suspect", "rejected"],
)
def test_three_cards_in_a_row_that_went_wrong_hold_the_encoder(
    bureau: Bureau, tmp_path: Path, defect: str, state: str, cause: str
) -> None:
    """Two, a good one and two more don't; the third in a row does, and the fourth is never fed."""
    wrong = dict.fromkeys((1, 2, 4, 5, 6, 7), defect)
    bureau.equip(replace(SOUND, defects=wrong))
    (job,) = bureau.take(standard_job(tmp_path / "job.xml", 8))
    bureau.run()
    assert line(bureau) is EncoderState.HELD
    assert [card.state for card in bureau.cards(job)] == [state, state, "good", state, state, state, "ready", "ready"]
    with bureau.plant.ledger.read() as connection:
        (view,) = floor.list_encoders(connection)
    assert "3 cards in a row" in str(view.reason)
    assert cause in str(view.reason)


class Unnamed(Simulator):
    """A simulator whose chips refuse to say who they are."""

    def transmit(self, command: Command) -> Response:
        """Exchange one command."""
        answer = super().transmit(command)
        return Response(b"", 0x6985) if command.name == "GET DATA 9F7F" else answer


def test_cards_that_open_and_then_refuse_hold_the_encoder_too(bureau: Bureau, tmp_path: Path) -> None:
    """One unsuitable kind of chip doesn't run through a whole job."""
    bureau.equip(SOUND)
    bureau.take(standard_job(tmp_path / "job.xml", 6))
    bureau.start("sim1", Unnamed.start)
    bureau.run()
    assert line(bureau) is EncoderState.HELD
    assert len(bureau.plastics()) == 3
    assert not bureau.touched()


class Garbling(Simulator):
    """A simulator that loses half of the status word of every STORE DATA."""

    def transmit(self, command: Command) -> Response:
        """Exchange one command."""
        answer = super().transmit(command)
        return Response.parse(b"\x90") if command.name == "STORE DATA" else answer


def test_an_answer_without_status_word_is_a_lost_answer(bureau: Bureau) -> None:
    """The card may have done what it was told, so the record is suspect and not rejected."""
    bureau.equip(SOUND)
    (job,) = bureau.take(SINGLE)
    bureau.start("sim1", Garbling.start)
    bureau.run()
    assert ended(bureau, job) == ("suspect", [(1, "unknown")])
    assert "no status word" in causes(bureau, job)[0]
    assert_counted(bureau, job, unknown=1)


@pytest.mark.parametrize("command", [1, 2, 3, 4])
def test_a_card_that_falls_silent_before_it_is_written_is_mute(bureau: Bureau, command: int) -> None:
    """Until the first command that changes the card, silence costs a blank and no record."""
    job = faulty(bureau, {1: f"mute_at = {command}"})
    assert ended(bureau, job) == ("good", [(1, "mute"), (2, "good")])
    assert not bureau.plastics()[0].touched
    assert trays(bureau) == {1: "reject", 2: "good"}
    assert_counted(bureau, job, mute=1, good_plastics=1)


def test_a_card_without_memory_is_rejected_with_its_cause(bureau: Bureau) -> None:
    """A refusal by status word while writing rejects the record and spoils the plastic."""
    job = faulty(bureau, {1: "memory = 100"})
    assert ended(bureau, job) == ("rejected", [(1, "spoiled")])
    assert "6A84 not enough memory" in causes(bureau, job)[0]
    assert trays(bureau) == {1: "reject"}
    assert_counted(bureau, job, spoiled=1)


def test_a_refused_version_control_dgi_spoils_nothing(bureau: Bureau) -> None:
    """A DGI that VERCNTL names may be refused: the card is good, holds all others and lacks this one."""
    job = faulty(bureau, {1: "refused_dgis = [0x0203]"})
    assert ended(bureau, job) == ("good", [(1, "good")])
    wanted = {name: value for name, value in RECORD.contents.items() if not name.endswith("dgi/0203")}
    assert len(wanted) == len(RECORD.contents) - 1
    assert bureau.plastics()[0].contents == wanted
    assert_counted(bureau, job, good_plastics=1)


def test_any_other_refused_dgi_rejects_the_card(bureau: Bureau) -> None:
    """A DGI that VERCNTL doesn't name must be taken."""
    job = faulty(bureau, {1: "refused_dgis = [0x0201]"})
    assert ended(bureau, job) == ("rejected", [(1, "spoiled")])
    assert "STORE DATA: 6A88" in causes(bureau, job)[0]
    assert trays(bureau) == {1: "reject"}
    assert_counted(bureau, job, spoiled=1)


def test_a_blank_of_another_product_is_returned(bureau: Bureau) -> None:
    """A blank whose ATR isn't the product's is not spoken to; after three of them the record is held back."""
    job = faulty(bureau, {}, Station(name="sim1", seed=1, blank="export-scp03"))
    assert ended(bureau, job) == ("ready", [(1, "returned"), (2, "returned"), (3, "returned")])
    assert all("ATR" in cause for cause in causes(bureau, job))
    assert trays(bureau) == dict.fromkeys((1, 2, 3), "returned")
    assert "came back 3 times" in (bureau.cards(job)[0].held or "")
    assert_counted(bureau, job, returned=3)


def test_an_empty_hopper_holds_the_line_and_keeps_the_record(bureau: Bureau) -> None:
    """Without blanks nothing is claimed, and the operator is told."""
    job = faulty(bureau, {}, replace(SOUND, blanks={"PLASTIC-BLUE": 0}))
    assert line(bureau) is EncoderState.HELD
    assert ended(bureau, job) == ("ready", [])
    assert_counted(bureau, job)
