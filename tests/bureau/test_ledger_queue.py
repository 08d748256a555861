"""Jobs held and ranked by people, late lots, encoders that stay with their lot."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger import claims, encoders, floor, results, standing, submissions, views
from bureau.ledger.ledger import Ledger
from bureau.ledger.schema import audit
from bureau.models import (
    AttemptOutcome,
    BatchId,
    CardState,
    EncoderId,
    Hold,
    JobId,
    JobState,
    Recording,
)
from hardware.trace.speed import Speed
from tests.bureau.ledgers import (
    LEASE,
    NOW,
    SIM1,
    SIM2,
    finish,
    job,
    lot,
    machine,
    make,
    open_encoder,
    submit,
    take,
    write,
)


def _claim(ledger: Ledger, now: datetime = NOW) -> claims.Claim | None:
    return claims.claim(ledger, SIM1, now, LEASE)


def _job(ledger: Ledger, number: JobId, now: datetime | None = None) -> views.JobView:
    with ledger.read() as connection:
        return views.list_jobs(connection, [number], now=now)[0]


def _said(ledger: Ledger, action: str) -> list[tuple[str, str, str]]:
    with ledger.read() as connection:
        wanted = select(audit.c.actor, audit.c.subject, audit.c.details).where(audit.c.action == action)
        return [(row.actor, row.subject, row.details) for row in connection.execute(wanted.order_by(audit.c.number))]


def _paced(ledger: Ledger, chip: str, seconds: float, encoder: EncoderId = SIM1) -> None:
    """Make a good card that took so long in the card and as long again in the software."""
    half = round(seconds * 500_000)
    speed = Speed(protocol="T=1", bit_rate=10_000, octets=100, card=half, host=half, least=0)
    claim = take(ledger, encoder)
    write(ledger, claim, chip)
    claims.verifying(ledger, claim, NOW, LEASE)
    recording = Recording(speed=speed, sealed=b"sealed")
    claims.settle(ledger, claim, CardState.GOOD, AttemptOutcome.GOOD, NOW, recording=recording)


def test_a_submitted_job_is_held_by_who_submitted_it(ledger: Ledger) -> None:
    """Until someone releases it."""
    (number,) = submit(ledger, "A", job("1", lot(1)), release=False)
    assert _job(ledger, number).hold == Hold(by="ann", at=NOW, reason="not released yet")
    submissions.release(ledger, number, "bob", NOW)
    assert _job(ledger, number).hold is None


def test_a_held_jobs_card_in_hand_is_finished_and_nothing_else_of_it_is_claimed(ledger: Ledger) -> None:
    """Until it is released again; who held it, when and why is kept and audited."""
    open_encoder(ledger, SIM1, SIM2)
    (number,) = submit(ledger, "A", job("1", lot(2)))
    claim = take(ledger)
    submissions.hold(ledger, number, "wrong artwork", "bob", NOW + LEASE)
    shown = _job(ledger, number)
    assert (shown.state, shown.hold) == (JobState.HELD, Hold(by="bob", at=NOW + LEASE, reason="wrong artwork"))
    write(ledger, claim, "AA")
    finish(ledger, claim)
    assert _claim(ledger) is None
    assert ("bob", f"job {number}", '{"reason":"wrong artwork"}') in _said(ledger, "hold")
    submissions.release(ledger, number, "ann", NOW)
    assert _claim(ledger) is not None


def test_a_held_job_closes_when_its_last_card_is_finished(ledger: Ledger) -> None:
    """And then nobody holds it any more."""
    open_encoder(ledger, SIM1)
    (number,) = submit(ledger, "A", job("1", lot(1)))
    claim = take(ledger)
    submissions.hold(ledger, number, "wait", "bob", NOW)
    write(ledger, claim, "AA")
    assert finish(ledger, claim) == BatchId(1)
    shown = _job(ledger, number)
    assert (shown.state, shown.hold) == (JobState.CLOSED, None)


def test_only_a_job_with_something_left_is_held_or_ranked(ledger: Ledger) -> None:
    """A closed one isn't, nor one that doesn't exist, nor to a level that doesn't."""
    open_encoder(ledger, SIM1)
    (number,) = submit(ledger, "A", job("1", lot(1)))
    with pytest.raises(NotAllowedError, match="4 is no priority"):
        submissions.set_priority(ledger, number, 4, "x", "bob", NOW)
    make(ledger, "AA")
    with pytest.raises(NotAllowedError, match="job 1 is closed"):
        submissions.hold(ledger, number, "x", "bob", NOW)
    with pytest.raises(NotAllowedError, match="job 1 is closed"):
        submissions.set_priority(ledger, number, 1, "x", "bob", NOW)
    with pytest.raises(NotFoundError):
        submissions.hold(ledger, JobId(9), "x", "bob", NOW)
    with pytest.raises(NotFoundError):
        submissions.set_priority(ledger, JobId(9), 1, "x", "bob", NOW)


def test_a_set_priority_decides_the_next_claim(ledger: Ledger) -> None:
    """In both directions, and the audit log says from what to what."""
    open_encoder(ledger, SIM1)
    first, second = submit(ledger, "A", job("1", lot(2), priority=2), job("2", lot(2), priority=2))
    assert take(ledger).job == first
    submissions.set_priority(ledger, second, 1, "phone call", "bob", NOW)
    assert take(ledger).job == second
    submissions.set_priority(ledger, second, 3, "mistake", "ann", NOW)
    assert take(ledger).job == first
    assert [_job(ledger, number).priority for number in (first, second)] == [2, 3]
    assert _said(ledger, "priority") == [
        ("bob", f"job {second}", '{"now":1,"reason":"phone call","was":2}'),
        ("ann", f"job {second}", '{"now":3,"reason":"mistake","was":1}'),
    ]


def test_the_priority_that_the_issuer_asked_for_is_kept_for_the_answer(ledger: Ledger) -> None:
    """What a person set beside it is the bureau's own business."""
    (number,) = submit(ledger, "A", job("1", lot(1), priority=3))
    submissions.set_priority(ledger, number, 1, "phone call", "bob", NOW)
    assert (_job(ledger, number).asked, _job(ledger, number).priority) == (3, 1)
    with ledger.read() as connection:
        assert results.frame(connection, BatchId(1)).batch.jobs[0].priority == 3


def test_an_encoders_pace_is_the_running_mean_of_its_good_cards(ledger: Ledger) -> None:
    """The first counts whole, each later one a twentieth; a card without times counts nothing."""
    open_encoder(ledger, SIM1)
    submit(ledger, "A", job("1", lot(4)))
    make(ledger, "AA")

    def pace() -> timedelta | None:
        with ledger.read() as connection:
            return encoders.line(connection, SIM1).pace

    assert pace() is None
    _paced(ledger, "AB", 4)
    assert pace() == timedelta(seconds=4)
    _paced(ledger, "AC", 24)
    assert pace() == timedelta(seconds=5)


def test_a_lot_whose_work_no_longer_fits_moves_up_and_is_marked_late(ledger: Ledger) -> None:
    """Ten cards of a minute each don't fit into nine minutes: they go before what is due earlier and fits."""
    open_encoder(ledger, SIM1)
    (paced,) = submit(ledger, "P", job("1", lot(1)))
    _paced(ledger, "AA", 60)
    (small,) = submit(ledger, "A", job("1", lot(1, due=NOW + timedelta(minutes=8))))
    (big,) = submit(ledger, "B", job("1", lot(10, due=NOW + timedelta(minutes=9))))
    assert [_job(ledger, number, NOW).late for number in (paced, small, big)] == [False, False, True]
    assert not _job(ledger, big).late
    assert take(ledger).job == big
    assert _job(ledger, big).late
    assert _said(ledger, "late") == [(SIM1, "lot 3", f'{{"job":{big}}}')]


def test_a_lot_whose_work_just_fits_is_not_late(ledger: Ledger) -> None:
    """Ten cards of a minute each fit into ten minutes; the earlier due date decides."""
    open_encoder(ledger, SIM1)
    submit(ledger, "P", job("1", lot(1)))
    _paced(ledger, "AA", 60)
    (small,) = submit(ledger, "A", job("1", lot(1, due=NOW + timedelta(minutes=8))))
    (big,) = submit(ledger, "B", job("1", lot(10, due=NOW + timedelta(minutes=10))))
    assert not _job(ledger, big, NOW).late
    assert take(ledger).job == small


def test_a_late_lot_never_passes_a_more_urgent_one(ledger: Ledger) -> None:
    """However long its date is past."""
    open_encoder(ledger, SIM1)
    (late,) = submit(ledger, "A", job("1", lot(1, due=NOW - timedelta(days=9)), priority=2))
    (urgent,) = submit(ledger, "B", job("1", lot(1), priority=1))
    assert take(ledger).job == urgent
    assert take(ledger).job == late


def test_a_late_lot_that_fits_again_is_in_time_again(ledger: Ledger) -> None:
    """More encoders give it the room, and the earlier due date decides as before."""
    open_encoder(ledger, SIM1)
    due = NOW + timedelta(seconds=95)
    (small,) = submit(ledger, "A", job("1", lot(1, due=due - timedelta(seconds=5))))
    (big,) = submit(ledger, "B", job("1", lot(10, due=due)))
    assert take(ledger).job == big
    open_encoder(ledger, SIM2)
    assert take(ledger).job == small
    assert [entry[1] for entry in _said(ledger, "in time")] == ["lot 2"]
    assert not _job(ledger, big).late


def test_what_is_late_is_counted_among_ready_cards_only(ledger: Ledger) -> None:
    """Cards that are made or in hand aren't work any more."""
    open_encoder(ledger, SIM1)
    due = NOW + timedelta(seconds=30)
    (number,) = submit(ledger, "A", job("1", lot(5, due=due)))
    assert _job(ledger, number, NOW).late
    make(ledger, "AA")
    take(ledger)
    assert not _job(ledger, number, NOW).late


def test_an_encoder_keeps_its_stock_while_equals_wait(ledger: Ledger) -> None:
    """Two jobs of two stocks, equal but for their number: one change in all, and it is counted for encoder and job."""
    encoders.start(ledger, replace(machine(SIM1), stocks=("PLASTIC", "GOLD")), NOW)
    encoders.open_line(ledger, SIM1, "operator", NOW)
    first, second, third = submit(
        ledger, "A", job("1", lot(2, stock="GOLD")), job("2", lot(2)), job("3", lot(2, stock="GOLD"))
    )
    assert [take(ledger).job for _ in range(6)] == [first, first, third, third, second, second]
    assert [_job(ledger, number).stock_changes for number in (first, second, third)] == [0, 1, 0]
    with ledger.read() as connection:
        assert floor.list_encoders(connection)[0].stock_changes == 1


def test_an_urgent_job_costs_two_stock_changes(ledger: Ledger) -> None:
    """There and back: the second is the other job's."""
    encoders.start(ledger, replace(machine(SIM1), stocks=("PLASTIC", "GOLD")), NOW)
    encoders.open_line(ledger, SIM1, "operator", NOW)
    (plain,) = submit(ledger, "A", job("1", lot(2)))
    assert take(ledger).job == plain
    (urgent,) = submit(ledger, "B", job("1", lot(1, stock="GOLD"), priority=1))
    assert [take(ledger).job for _ in range(2)] == [urgent, plain]
    assert [_job(ledger, number).stock_changes for number in (plain, urgent)] == [1, 1]


def test_what_an_encoder_did_last_outlives_its_restart(ledger: Ledger) -> None:
    """The plastic is still in its hopper."""
    both = replace(machine(SIM1), stocks=("PLASTIC", "GOLD"))
    encoders.start(ledger, both, NOW)
    encoders.open_line(ledger, SIM1, "operator", NOW)
    submit(ledger, "A", job("1", lot(1, stock="GOLD")), job("2", lot(1)), job("3", lot(1, stock="GOLD")))
    assert take(ledger).stock == "GOLD"
    encoders.start(ledger, both, NOW)
    encoders.open_line(ledger, SIM1, "operator", NOW)
    assert take(ledger).stock == "GOLD"


def test_what_an_encoder_can_comes_back_as_it_was_started(ledger: Ledger) -> None:
    """Its protocols, and its interpreters by type and version; what a lot talks comes from its file."""
    told = replace(machine(SIM1), protocols=("T=0",), interpreters=(("GP Scripting", "1,1"),))
    encoders.start(ledger, told, NOW)
    encoders.open_line(ledger, SIM1, "operator", NOW)
    submit(ledger, "A", job("1", replace(lot(1), protocols=("T=1",))))
    with ledger.read() as connection:
        assert encoders.machine(connection, SIM1).interpreters == (("GP Scripting", "1,1"),)
        assert results.frame(connection, BatchId(1)).batch.jobs[0].lots[0].protocols == ("T=1",)
    assert _claim(ledger) is None
    assert _job(ledger, JobId(1)).waits == ("no open encoder can T=1",)


def test_each_lot_of_a_job_is_explained(ledger: Ledger) -> None:
    """With what every encoder has to do with it, in the plant's own words."""
    open_encoder(ledger, SIM1)
    encoders.start(ledger, machine(SIM2, stock="GOLD"), NOW)
    (urgent,) = submit(ledger, "U", job("1", lot(1), priority=1))
    (number,) = submit(ledger, "A", job("1", lot(3), lot(2, stock="GOLD")))
    with ledger.read() as connection:
        plain, gold = standing.explain(connection, number, NOW, UTC)
    assert plain.why.says == (f"behind job {urgent}: priority 1 before 2",)
    assert dict(plain.why.encoders) == {SIM1: plain.why.says[0], SIM2: "holds GOLD, not PLASTIC"}
    assert gold.why.says == ("all encoders that fit are held: sim2",)
    assert (gold.standing.position, gold.standing.ready) == (1, 2)
    take(ledger)
    take(ledger)
    submissions.hold(ledger, number, "wrong artwork", "bob", NOW)
    with ledger.read() as connection:
        plain, gold = standing.explain(connection, number, NOW, UTC)
    held = "held by bob since 2026-03-01 12:00: wrong artwork"
    assert plain.why.says == (held, "runs on sim1 now")
    assert (plain.standing.ready, plain.standing.counts) == (2, {CardState.READY: 2, CardState.LEASED: 1})
    assert gold.why.says[0] == held


def test_cards_that_came_back_too_often_are_explained(ledger: Ledger) -> None:
    """They aren't among those that could be made."""
    open_encoder(ledger, SIM1)
    (number,) = submit(ledger, "A", job("1", lot(1)))
    for position in range(3):
        claims.give_back(ledger, take(ledger), "wrong card", position, NOW)
    with ledger.read() as connection:
        (only,) = standing.explain(connection, number, NOW, UTC)
    assert (only.standing.ready, only.standing.unwritten) == (0, 1)
    assert only.why.says == ("nothing left to make", f"1 card came back unwritten too often: see `bureau rejects {number}`")
