"""Which lot an encoder takes next, and why a lot waits."""

import re
from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from bureau.models import EncoderState, Environment, Interpreter, JobId, LotId, Preference
from bureau.scheduling import Machine, OpenLot, eligible, needs_interpreter, pool, ranked, waits
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


def test_only_what_the_encoder_can_make_is_ranked() -> None:
    """Others' lots don't appear."""
    assert ranked([replace(LOT, stock="OTHER"), LOT], machine()) == [LOT]


@pytest.mark.parametrize(
    ("preference", "environment", "version", "fits"),
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
def test_preference_binds_the_environment(preference: Preference, environment: str, version: str, fits: bool) -> None:
    """1 exactly that name and version, 2 that name, 3 any that meets the card profile."""
    reason = eligible(_preferring(preference), machine(environment=environment, version=version))
    assert (reason is None) == fits


@pytest.mark.parametrize("preference", list(Preference))
@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (machine(stock="GOLD"), "sim1 holds GOLD, not PLASTIC"),
        (machine(profile=UniqueID("2B99")), "sim1's card product meets none of the lot's card profiles"),
        (machine(mode=Mode.PRODUCTION), "sim1 is PRODUCTION, the job TEST"),
    ],
    ids=["stock", "profile", "mode"],
)
def test_stock_profile_and_mode_bind_whatever_the_preference(preference: Preference, other: Machine, reason: str) -> None:
    """Not even a job that doesn't care about the environment goes on other plastic, another card or the other mode."""
    assert eligible(_preferring(preference), other) == reason


def test_a_lot_without_card_profiles_fits_nowhere() -> None:
    """Nothing says which card it could be."""
    assert eligible(replace(LOT, profiles=()), machine()) is not None


def test_one_profile_in_common_is_enough() -> None:
    """A lot names the profiles that will do, a card product those that it meets."""
    assert eligible(replace(LOT, profiles=(UniqueID("2B01"), PROFILE)), machine()) is None


@pytest.mark.parametrize("support", [Preference.MANDATORY, Preference.COMPATIBLE])
def test_a_lot_that_needs_an_interpreter_waits_for_it(support: Preference) -> None:
    """Even with an open encoder that fits otherwise."""
    lot = _interpreted(support)
    assert needs_interpreter(lot)
    assert ranked([lot], machine()) == []
    assert eligible(lot, machine()) == "waits for an interpreter: GP Scripting 1,1"
    assert waits(lot, [replace(machine(), state=OPEN)]) == "waits for an interpreter: GP Scripting 1,1"


def test_a_lot_that_names_no_kind_of_interpreter_waits_for_any() -> None:
    """Its steps hold scripts, but its environment says nothing of them."""
    interpreter = Interpreter(support=Preference.MANDATORY, type="", version="")
    lot = replace(LOT, environment=replace(HERE, interpreter=interpreter))
    assert waits(lot, [replace(machine(), state=OPEN)]) == "waits for an interpreter: any kind"


def test_a_lot_that_doesnt_care_about_the_interpreter_goes_without() -> None:
    """CommandInterpreterSupport 3."""
    assert eligible(_interpreted(Preference.ANY), machine()) is None


@pytest.mark.parametrize(
    ("lot", "machines", "reason"),
    [
        (LOT, [], "there is no encoder"),
        (LOT, [machine(stock="GOLD")], "no encoder holds PLASTIC"),
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


def test_waits_agrees_with_eligible() -> None:
    """A lot doesn't wait exactly when an open machine is eligible."""
    machines = [replace(machine(stock=stock, version=version), state=OPEN) for stock in ("PLASTIC", "X") for version in "12"]
    for preference in Preference:
        for each in machines:
            lot = _preferring(preference)
            assert (waits(lot, [each]) is None) == (eligible(lot, each) is None)


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
