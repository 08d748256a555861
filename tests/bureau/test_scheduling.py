"""Which lot an encoder takes next, and why a lot waits."""

import re
from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from bureau.models import EncoderId, EncoderState, Environment, Interpreter, JobId, LotId, Preference
from bureau.scheduling import (
    PACE,
    Last,
    Line,
    Machine,
    OpenLot,
    before,
    fits,
    needs_interpreter,
    obstacles,
    pool,
    ranked,
    room,
    surely_fits,
    waits,
)
from hardware.keystores import Mode
from hardware.perso.order import UniqueID
from tests.bureau.ledgers import NOW, PROFILE, SIM1, SIM2, machine

OPEN = EncoderState.OPEN
HERE = Environment(name="SIM", version="1", preference=Preference.MANDATORY)
LOT = OpenLot(
    job=JobId(1), lot=LotId(1), priority=2, due=None, environment=HERE, stock="PLASTIC", profiles=(PROFILE,), mode=Mode.TEST
)
SOON, LATE = NOW + timedelta(days=1), NOW + timedelta(days=9)


def _lot(number: int, priority: int, days: int | None, job: int = 1) -> OpenLot:
    due = None if days is None else NOW + timedelta(days=days)
    return replace(LOT, lot=LotId(number), job=JobId(job), priority=priority, due=due)


def _preferring(preference: Preference) -> OpenLot:
    return replace(LOT, environment=replace(HERE, preference=preference))


def _interpreted(support: Preference) -> OpenLot:
    interpreter = Interpreter(support=support, type="GP Scripting", version="1,1")
    return replace(LOT, environment=replace(HERE, interpreter=interpreter))


def test_lots_rank_by_priority_then_due_date_then_job_then_lot_number() -> None:
    """In whatever order they are found; no due date comes after every due date."""
    right = [
        _lot(9, 1, None),
        _lot(8, 2, 1),
        _lot(1, 2, 5, job=3),
        _lot(2, 2, 5, job=3),
        _lot(3, 2, 5, job=4),
        _lot(4, 2, None),
    ]
    for lots in permutations(right):
        assert ranked(lots, machine()) == right


def test_priority_one_beats_any_due_date() -> None:
    """An urgent job without a date goes before a late one of priority 2."""
    urgent, late = _lot(2, 1, None), _lot(1, 2, -30)
    assert ranked([late, urgent], machine()) == [urgent, late]


def test_a_late_lot_moves_up_within_its_priority_only() -> None:
    """Before those of its level that aren't late, however early they are due; never before a more urgent level."""
    urgent, soon, late = _lot(1, 1, None), _lot(2, 2, 1), replace(_lot(3, 2, 9), late=True)
    assert ranked([soon, late, urgent], machine()) == [urgent, late, soon]


def test_among_late_lots_the_due_date_decides() -> None:
    """As among the others."""
    first, second = replace(_lot(2, 2, -3), late=True), replace(_lot(1, 2, -1), late=True)
    assert ranked([second, first], machine()) == [first, second]


def test_an_encoder_stays_with_its_lot_then_with_its_stock_while_nothing_better_waits() -> None:
    """Among equals its own lot goes before one of the same stock, that before who arrived first."""
    both = replace(machine(), stocks=("PLASTIC", "GOLD"))
    first, gold, own = replace(_lot(1, 2, 5), stock="GOLD"), _lot(2, 2, 5), _lot(3, 2, 5)
    assert ranked([first, gold, own], both) == [first, gold, own]
    assert ranked([first, gold, own], both, Last(own.lot, own.stock)) == [own, gold, first]
    assert ranked([first, gold, own], both, Last(LotId(9), "GOLD")) == [first, gold, own]


@pytest.mark.parametrize("better", [_lot(2, 1, 5), _lot(2, 2, 4), replace(_lot(2, 2, 5), late=True)])
def test_an_encoder_leaves_its_lot_for_something_better(better: OpenLot) -> None:
    """Of more urgent level, late, or due earlier, whatever its stock."""
    own, other = _lot(3, 2, 5), replace(better, stock="GOLD")
    both = replace(machine(), stocks=("PLASTIC", "GOLD"))
    assert ranked([own, other], both, Last(own.lot, own.stock)) == [other, own]


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (_lot(2, 1, 9), _lot(1, 3, 1), "priority 1 before 3"),
        (replace(_lot(2, 2, 9), late=True), _lot(1, 2, 1), "late"),
        (_lot(2, 2, 1), _lot(1, 2, 2), "due earlier"),
        (_lot(2, 2, 1), _lot(1, 2, None), "due earlier"),
        (_lot(7, 2, 1), _lot(1, 2, 1), "under way here"),
        (_lot(2, 2, 1), replace(_lot(1, 2, 1), stock="GOLD"), "PLASTIC is under way here"),
        (_lot(2, 2, 1, job=1), _lot(1, 2, 1, job=2), "arrived earlier"),
        (_lot(1, 2, 1), _lot(2, 2, 1), "earlier in its job"),
    ],
)
def test_why_one_lot_goes_before_another_is_said_in_words(first: OpenLot, second: OpenLot, reason: str) -> None:
    """The first thing in the order that tells them apart, on an encoder whose last card was PLASTIC of lot 7."""
    last = Last(LotId(7), "PLASTIC")
    assert before(first, second, last) == reason
    assert ranked([second, first], replace(machine(), stocks=("PLASTIC", "GOLD")), last) == [first, second]


def _line(name: EncoderId, seconds: float | None = None, state: EncoderState = OPEN, stock: str = "PLASTIC") -> Line:
    pace = None if seconds is None else timedelta(seconds=seconds)
    return Line(
        machine=replace(machine(name, stock=stock), state=state),
        reason=None,
        last=None,
        pace=pace,
        host="plant1",
        seen_at=NOW,
    )


@pytest.mark.parametrize(
    ("lines", "cards"),
    [
        ([_line(SIM1, 60)], 60),
        ([_line(SIM1, 60), _line(SIM2, 60)], 120),
        ([_line(SIM1, 20), _line(SIM2, 40)], 240),
        ([_line(SIM1, 60), _line(SIM2)], 120),
        ([_line(SIM1, 60), _line(SIM2, 1, EncoderState.HELD)], 60),
        ([_line(SIM1, 60), _line(SIM2, 1, stock="GOLD")], 60),
        ([_line(SIM1)], 360),
        ([], 360),
    ],
)
def test_the_time_left_has_room_for_so_many_cards(lines: list[Line], cards: int) -> None:
    """An hour, by the mean of what a card takes on the open encoders that fit, and their number; 10 s where nobody knows."""
    assert timedelta(seconds=10) == PACE
    assert room(replace(LOT, due=NOW + timedelta(hours=1)), lines, NOW) == cards


def test_a_lot_without_a_date_has_all_the_room() -> None:
    """And one whose date is past has none."""
    assert room(LOT, [_line(SIM1)], NOW) is None
    assert room(replace(LOT, due=NOW - timedelta(days=1)), [_line(SIM1)], NOW) == 0
    assert room(replace(LOT, due=NOW), [_line(SIM1)], NOW) == 0


def test_a_late_lot_needs_some_room_to_spare_before_it_is_in_time_again() -> None:
    """A fifth, so that encoders don't go back and forth between two lots that only just fit."""
    lot = replace(LOT, due=NOW + timedelta(hours=1), late=True)
    assert room(lot, [_line(SIM1, 60)], NOW) == 48


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("minutes", [1, 12, 13, 16, 17, 60])
def test_what_surely_fits_has_the_room(minutes: int, late: bool) -> None:
    """The quick look is never more hopeful than the exact one, however slow the encoders are."""
    lot = replace(LOT, due=NOW + timedelta(minutes=minutes), records=10, late=late)
    for seconds in (5, 60, 100):
        exact = room(lot, [_line(SIM1, seconds)], NOW)
        assert exact is not None
        assert exact >= lot.records or not surely_fits(lot, timedelta(seconds=seconds), NOW)
    assert surely_fits(lot, timedelta(seconds=60), NOW) == (minutes >= 13)


def test_only_what_the_encoder_can_make_is_ranked() -> None:
    """Others' lots don't appear."""
    assert ranked([replace(LOT, stock="OTHER"), LOT], machine()) == [LOT]


@pytest.mark.parametrize(
    ("preference", "environment", "version", "right"),
    [
        (Preference.MANDATORY, "SIM", "1", True),
        (Preference.MANDATORY, "SIM", "2", False),
        (Preference.MANDATORY, "REAL", "1", False),
        (Preference.COMPATIBLE, "SIM", "1", True),
        (Preference.COMPATIBLE, "SIM", "2", True),
        (Preference.COMPATIBLE, "REAL", "1", False),
        (Preference.ANY, "SIM", "1", True),
        (Preference.ANY, "SIM", "2", True),
        (Preference.ANY, "REAL", "9", True),
    ],
)
def test_preference_binds_the_environment(preference: Preference, environment: str, version: str, right: bool) -> None:
    """1 exactly that name and version, 2 that name, 3 any that meets the card profile."""
    assert fits(_preferring(preference), machine(environment=environment, version=version)) == right


@pytest.mark.parametrize("preference", list(Preference))
@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (machine(stock="GOLD"), "holds GOLD, not PLASTIC"),
        (machine(profile=UniqueID("2B99")), "has a card product that meets none of the lot's card profiles"),
        (machine(mode=Mode.PRODUCTION), "is PRODUCTION, the job TEST"),
    ],
    ids=["stock", "profile", "mode"],
)
def test_stock_profile_and_mode_bind_whatever_the_preference(preference: Preference, other: Machine, reason: str) -> None:
    """Not even a job that doesn't care about the environment goes on other plastic, another card or the other mode."""
    assert obstacles(_preferring(preference), other) == (reason,)
    assert not fits(_preferring(preference), other)


def test_a_lot_without_card_profiles_fits_nowhere() -> None:
    """Nothing says which card it could be."""
    assert not fits(replace(LOT, profiles=()), machine())


def test_one_profile_in_common_is_enough() -> None:
    """A lot names the profiles that will do, a card product those that it meets."""
    assert fits(replace(LOT, profiles=(UniqueID("2B01"), PROFILE)), machine())


@pytest.mark.parametrize(
    ("support", "interpreters", "right"),
    [
        (Preference.MANDATORY, (("GP Scripting", "1,1"),), True),
        (Preference.MANDATORY, (("GP Scripting", "1,0"),), False),
        (Preference.MANDATORY, (("Other", "1,1"),), False),
        (Preference.MANDATORY, (("Other", "1,1"), ("GP Scripting", "1,1")), True),
        (Preference.COMPATIBLE, (("GP Scripting", "1,0"),), True),
        (Preference.COMPATIBLE, (("Other", "1,1"),), False),
    ],
)
def test_an_interpreter_binds_like_an_environment(
    support: Preference, interpreters: tuple[tuple[str, str], ...], right: bool
) -> None:
    """1 exactly that type and version, 2 that type in any version."""
    assert fits(_interpreted(support), replace(machine(), interpreters=interpreters)) == right


@pytest.mark.parametrize(
    ("wanted", "spoken", "right"),
    [
        ((), ("T=0",), True),
        (("T=1",), ("T=0", "T=1"), True),
        (("T=1",), ("T=0",), False),
        (("TYPEA", "T=0"), ("T=0",), True),
    ],
)
def test_one_protocol_in_common_is_needed(wanted: tuple[str, ...], spoken: tuple[str, ...], right: bool) -> None:
    """Of those that the lot's card profiles name, and any will do where they name none."""
    lot, one = replace(LOT, protocols=wanted), replace(machine(), protocols=spoken, state=OPEN)
    assert fits(lot, one) == right
    assert obstacles(lot, one) == (() if right else ("can T=0, not T=1",))
    assert waits(lot, [one]) == (None if right else "no open encoder can T=1")


@pytest.mark.parametrize("support", [Preference.MANDATORY, Preference.COMPATIBLE])
def test_a_lot_that_needs_an_interpreter_waits_for_it(support: Preference) -> None:
    """Even with an open encoder that fits otherwise."""
    lot = _interpreted(support)
    assert needs_interpreter(lot)
    assert ranked([lot], machine()) == []
    assert obstacles(lot, machine()) == ("has no interpreter for GP Scripting 1,1",)
    assert waits(lot, [replace(machine(), state=OPEN)]) == "waits for an interpreter: GP Scripting 1,1"


def test_a_lot_that_names_no_kind_of_interpreter_waits_for_any() -> None:
    """Its steps hold scripts, but its environment says nothing of them."""
    interpreter = Interpreter(support=Preference.MANDATORY, type="", version="")
    lot = replace(LOT, environment=replace(HERE, interpreter=interpreter))
    assert waits(lot, [replace(machine(), state=OPEN)]) == "waits for an interpreter: any kind"


def test_a_lot_that_doesnt_care_about_the_interpreter_goes_without() -> None:
    """CommandInterpreterSupport 3."""
    assert fits(_interpreted(Preference.ANY), machine())


@pytest.mark.parametrize(
    ("lot", "machines", "reason"),
    [
        (LOT, [], "there is no encoder"),
        (LOT, [machine(stock="GOLD")], "stock PLASTIC not loaded anywhere"),
        (LOT, [machine(version="2")], "no encoder with PLASTIC is of environment SIM 1"),
        (_preferring(Preference.COMPATIBLE), [machine(environment="X")], "no encoder with PLASTIC is of environment SIM"),
        (LOT, [machine(profile=UniqueID("2B99"))], f"no encoder that fits meets card profile {PROFILE}"),
        (LOT, [machine(mode=Mode.PRODUCTION)], "no encoder that fits is TEST"),
        (LOT, [machine(SIM2), machine(SIM1)], "all encoders that fit are held: sim1, sim2"),
        (LOT, [machine(SIM1), replace(machine(SIM2, stock="GOLD"), state=OPEN)], "all encoders that fit are held: sim1"),
        (LOT, [machine(SIM1), replace(machine(SIM2), state=OPEN)], None),
    ],
)
def test_waits_says_what_is_missing(lot: OpenLot, machines: list[Machine], reason: str | None) -> None:
    """The first of stock, environment, profile and mode that nobody meets, else who is held."""
    assert waits(lot, machines) == reason


def test_waits_agrees_with_fits() -> None:
    """A lot doesn't wait exactly when it fits an open machine."""
    machines = [replace(machine(stock=stock, version=version), state=OPEN) for stock in ("PLASTIC", "X") for version in "12"]
    for preference in Preference:
        for each in machines:
            lot = _preferring(preference)
            assert (waits(lot, [each]) is None) == fits(lot, each)
            assert fits(lot, each) == (not obstacles(lot, each))


def test_encoders_that_take_the_same_lots_are_one_pool() -> None:
    """Neither the name nor an open line matters."""
    assert pool(machine(SIM1)) == pool(replace(machine(SIM2), state=OPEN))


@pytest.mark.parametrize(
    "other",
    [
        machine(stock="GOLD"),
        machine(environment="X"),
        machine(version="2"),
        machine(mode=Mode.PRODUCTION),
        machine(profile=UniqueID("2B99")),
        replace(machine(), product="other"),
        replace(machine(), protocols=("T=1",)),
        replace(machine(), interpreters=(("GP Scripting", "1,1"),)),
    ],
)
def test_encoders_that_differ_are_of_different_pools(other: Machine) -> None:
    """A message for one must not wake the other in vain."""
    assert pool(other) != pool(machine())


def test_stocks_that_read_alike_are_of_different_pools() -> None:
    """What a queue's name can't say stands in its last part."""
    assert pool(machine(stock="A B")) != pool(machine(stock="A_B"))


def test_a_pools_name_is_fit_for_a_queue() -> None:
    """Whatever characters a stock has, and however many."""
    assert re.fullmatch(r"pool(\.[A-Za-z0-9-]+)+", pool(machine(stock="Größe/7 *" * 50)))
    assert len(pool(machine(stock="x" * 500))) < 200
