"""Why a lot runs or waits, in words and encoder by encoder."""

from dataclasses import replace
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from bureau.models import CardState, EncoderId, EncoderState, Environment, Hold, JobId, JobState, LotId, Preference
from bureau.reasons import Standing, why
from bureau.scheduling import Last, Line, OpenLot
from hardware.keystores import Mode
from tests.bureau.ledgers import NOW, PROFILE, SIM1, SIM2, SIM3, machine

LOT = OpenLot(
    job=JobId(5),
    lot=LotId(5),
    priority=3,
    due=None,
    environment=Environment(name="SIM", version="1", preference=Preference.MANDATORY),
    stock="PLASTIC",
    profiles=(PROFILE,),
    mode=Mode.TEST,
    records=4,
)
FIRST = replace(LOT, article=True)
URGENT = replace(LOT, job=JobId(17), lot=LotId(17), priority=1)
STANDING = Standing(
    lot=LOT,
    position=0,
    state=JobState.RELEASED,
    hold=None,
    stop=None,
    counts={CardState.READY: 4},
    ready=4,
    unwritten=0,
    at_work=(),
)
HOLD = Hold(by="anna", at=NOW, reason="wrong artwork")
NOTHING = replace(STANDING, ready=0, counts={CardState.GOOD: 4})


def _line(
    name: EncoderId = SIM1, *, stock: str = "PLASTIC", held: str | None = None, last: Last | None = None, says: str = ""
) -> Line:
    state = EncoderState.OPEN if held is None else EncoderState.HELD
    return Line(
        machine=replace(machine(name, stock=stock), state=state),
        reason=held or says or None,
        last=last,
        pace=None,
        host="plant1",
        seen_at=NOW,
    )


@pytest.mark.parametrize(
    ("standing", "lines", "rivals", "says", "of_sim1"),
    [
        (STANDING, [_line()], [LOT], ("next on sim1",), "takes its next card"),
        (STANDING, [_line(says="insert a card")], [LOT], ("next on sim1",), "takes its next card, and waits: insert a card"),
        (STANDING, [_line()], [LOT, URGENT], ("behind job 17: priority 1 before 3",), "behind job 17: priority 1 before 3"),
        (
            STANDING,
            [_line(last=Last(LotId(6), "PLASTIC"))],
            [LOT, replace(LOT, lot=LotId(6))],
            ("behind another lot of this job: under way here",),
            "behind another lot of this job: under way here",
        ),
        (STANDING, [_line(stock="GOLD")], [LOT], ("stock PLASTIC not loaded anywhere",), "holds GOLD, not PLASTIC"),
        (STANDING, [_line(held="lunch")], [LOT], ("all encoders that fit are held: sim1",), "is held: lunch"),
        (
            replace(STANDING, hold=HOLD, state=JobState.HELD),
            [_line()],
            [],
            ("held by anna since 2026-03-01 12:00: wrong artwork",),
            "could make it",
        ),
        (
            replace(STANDING, stop=replace(HOLD, by="sim2", reason="3 of 9 cards went wrong"), position=1),
            [_line()],
            [],
            ("the lot is held by sim2 since 2026-03-01 12:00: 3 of 9 cards went wrong: `bureau release 5 --lot 2`",),
            "could make it",
        ),
        (
            replace(STANDING, lot=FIRST),
            [_line()],
            [FIRST],
            ("makes one card at a time until its first article is approved", "next on sim1"),
            "takes its next card",
        ),
        (
            replace(STANDING, lot=FIRST, ready=3, at_work=(SIM2,)),
            [_line()],
            [],
            ("makes one card at a time until its first article is approved", "runs on sim2 now"),
            "could make it",
        ),
        (NOTHING, [_line()], [], ("nothing left to make",), "could make it"),
        (
            replace(NOTHING, at_work=(SIM1,)),
            [_line()],
            [],
            ("runs on sim1 now", "nothing left to make but what runs"),
            "makes a card of it now",
        ),
        (
            replace(STANDING, at_work=(SIM1,)),
            [_line(last=Last(LOT.lot, LOT.stock))],
            [LOT],
            ("runs on sim1 now", "next on sim1"),
            "makes a card of it now",
        ),
        (
            replace(NOTHING, unwritten=1),
            [_line()],
            [],
            ("nothing left to make", "1 card came back unwritten too often: see `bureau rejects 5`"),
            "could make it",
        ),
        (
            replace(NOTHING, counts={CardState.GOOD: 1, CardState.REJECTED: 1, CardState.SUSPECT: 2}),
            [_line()],
            [],
            (
                "nothing left to make",
                "1 rejected card for a person to decide: see `bureau rejects 5`",
                "2 suspect cards for a person to decide: see `bureau suspects 5`",
            ),
            "could make it",
        ),
        (
            replace(STANDING, lot=replace(LOT, late=True)),
            [_line()],
            [replace(LOT, late=True)],
            ("next on sim1", "late: its work doesn't fit before its date"),
            "takes its next card",
        ),
    ],
)
def test_a_lot_says_why_it_runs_or_waits(
    standing: Standing, lines: list[Line], rivals: list[OpenLot], says: tuple[str, ...], of_sim1: str
) -> None:
    """As a whole, and what the encoder has to do with it."""
    found = why(standing, lines, rivals, UTC)
    assert (found.says, dict(found.encoders)) == (says, {SIM1: of_sim1})


def test_an_encoder_says_who_holds_it() -> None:
    """By name, since when and why."""
    line = replace(_line(held="lunch"), hold=replace(HOLD, by="anna (os: root)", reason="lunch"))
    assert why(STANDING, [line], [LOT], UTC).encoders == {
        SIM1: "is held by anna (os: root) since 2026-03-01 12:00: lunch",
    }


def test_without_encoders_a_lot_says_so() -> None:
    """There is nobody to say anything of."""
    assert why(STANDING, [], [LOT], UTC).says == ("there is no encoder",)


def test_each_encoder_has_its_own_reason() -> None:
    """The lot is next where one of them takes it, and everything that is wrong with one is said at once."""
    lines = [_line(SIM1), _line(SIM2, stock="GOLD"), _line(SIM3, stock="GOLD")]
    lines[2] = replace(lines[2], machine=replace(lines[2].machine, version="2", mode=Mode.PRODUCTION))
    found = why(STANDING, lines, [LOT, replace(URGENT, stock="GOLD")], UTC)
    assert found.says == ("next on sim1",)
    assert dict(found.encoders) == {
        SIM1: "takes its next card",
        SIM2: "holds GOLD, not PLASTIC",
        SIM3: "holds GOLD, not PLASTIC; is SIM 2, not SIM 1; is PRODUCTION, the job TEST",
    }


def test_since_when_a_job_is_held_is_said_in_the_plants_time() -> None:
    """Noon in UTC is one o'clock in Berlin's winter."""
    found = why(replace(STANDING, hold=HOLD), [], [], ZoneInfo("Europe/Berlin"))
    assert found.says[0] == "held by anna since 2026-03-01 13:00: wrong artwork"
