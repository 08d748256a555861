"""The plan of a card: what is done, in which order, and what is refused before anything is written."""

from dataclasses import replace

import pytest

from hardware.errors import PlanError
from hardware.perso.order import Action, DataSet, Instructions, Order, TargetState, UniqueID
from hardware.perso.plan import Catalog, Plan, blank, plan, security_level
from hardware.perso.steps import Delete, Install, Load, Origin, Personalize
from tests.hardware.cards import (
    CODE,
    DGIS,
    FIRST,
    ISD,
    LOAD_FILE,
    MODULE,
    NAMED,
    NAMES,
    PACKAGE,
    SECOND,
    application,
    card,
    catalog,
    elements,
    held,
    instance,
    order,
    product,
    profile,
    step,
    target,
)

LOAD, INSTALL, PERSONALIZE = (step(action) for action in Action)
AGAIN = {action: step(action, mandatory=True) for action in Action}
BLANK = held()
MADE = {FIRST: 0x0F}
LOADS, INSTALLS = "load A00000000401: 154 bytes in 1 LOAD", "install A0000000041010 from module A0000000040101"
PERSONALIZES = "personalize A0000000041010: 1 elements in 1 STORE DATA"
DELETES_CODE, DELETES = "delete A00000000401 and its applications", "delete A0000000041010"


def planned(given: Order, on: object = BLANK, *, replace: bool = False, of: Catalog | None = None) -> Plan:
    assert isinstance(on, type(BLANK))
    return plan(given, of or catalog(), product(replace=replace), on)


def lines(made: Plan) -> list[str]:
    return str(made).splitlines()


def test_blank_card_is_loaded_installed_and_personalized() -> None:
    """Each plan step answers a processing step; a plan prints one line for each."""
    made = planned(order(application(LOAD, INSTALL, PERSONALIZE)))
    assert lines(made) == [LOADS, INSTALLS, PERSONALIZES]
    assert [each.origin for each in made.steps] == [Origin(0, 0), Origin(0, 1), Origin(0, 2)]
    assert made.states == {FIRST: 0x0F}


def test_load_and_install_nobody_asked_for_are_made_where_needed() -> None:
    """They answer no processing step."""
    made = planned(order(application(PERSONALIZE)))
    assert lines(made) == [LOADS, INSTALLS, PERSONALIZES]
    assert [each.origin for each in made.steps] == [None, None, Origin(0, 0)]


def test_load_goes_through_the_cards_own_security_domain() -> None:
    """The one that GET STATUS reports."""
    (load,) = planned(order(application(LOAD))).steps
    assert isinstance(load, Load)
    assert load.security_domain == ISD


def test_optional_steps_leave_what_is_present() -> None:
    """Requirement 00: loaded, installed, personalized is left as it is, and its state is still read back."""
    made = planned(order(application(LOAD, INSTALL, PERSONALIZE)), held(MADE, PACKAGE))
    assert made.steps == ()
    assert made.states == {FIRST: 0x0F}


def test_mandatory_load_deletes_first() -> None:
    """The load file goes with its applications, which are installed again."""
    made = planned(order(application(AGAIN[Action.LOAD], PERSONALIZE)), held(MADE, PACKAGE), replace=True)
    assert lines(made) == [DELETES_CODE, LOADS, INSTALLS, PERSONALIZES]
    assert [each.origin for each in made.steps] == [Origin(0, 0), Origin(0, 0), None, Origin(0, 1)]


def test_mandatory_install_deletes_first() -> None:
    """Only the application: its code stays."""
    made = planned(order(application(LOAD, AGAIN[Action.INSTALL], PERSONALIZE)), held(MADE, PACKAGE), replace=True)
    assert lines(made) == [DELETES, INSTALLS, PERSONALIZES]


def test_mandatory_personalize_makes_a_personalized_application_anew() -> None:
    """It takes nothing more as it is."""
    made = planned(order(application(AGAIN[Action.PERSONALIZE])), held(MADE, PACKAGE), replace=True)
    assert lines(made) == [DELETES, INSTALLS, PERSONALIZES]
    assert {each.origin for each in made.steps} == {Origin(0, 0)}


def test_mandatory_steps_need_no_delete_on_a_blank_card() -> None:
    """What this plan has made itself counts as made, also where the card product allows no replacement."""
    assert lines(planned(order(application(*AGAIN.values())))) == [LOADS, INSTALLS, PERSONALIZES]


def test_step_said_twice_is_done_once() -> None:
    """A mandatory INSTALL doesn't delete what this very plan has installed."""
    made = planned(order(application(INSTALL, AGAIN[Action.INSTALL])), replace=True)
    assert lines(made) == [LOADS, INSTALLS]


def test_selectable_application_is_personalized_in_place() -> None:
    """It was installed in the factory, perhaps from code that the bureau doesn't have."""
    bare = Catalog(card=card(masked=True), applications=catalog().applications, load_files={})
    assert lines(planned(order(application(AGAIN[Action.PERSONALIZE])), held({FIRST: 0x07}), of=bare)) == [PERSONALIZES]


@pytest.mark.parametrize("action", list(Action))
def test_mandatory_step_is_refused_where_nothing_may_be_replaced(action: Action) -> None:
    """The card product doesn't allow a DELETE."""
    with pytest.raises(PlanError, match="is on the card already and test-card doesn't allow it to be made again"):
        planned(order(application(AGAIN[action])), held(MADE, PACKAGE))


def test_two_applications_share_their_load_file() -> None:
    """A mandatory LOAD of each loads it once: the second doesn't delete what the first has made."""
    first = application(*AGAIN.values())
    second = application(*AGAIN.values(), aid=SECOND, of=NAMED, data=(DataSet(name="X", elements=elements(("PAN", "54"))),))
    made = planned(order(first, second), held(MADE, PACKAGE), replace=True)
    assert lines(made) == [
        DELETES_CODE,
        LOADS,
        INSTALLS,
        PERSONALIZES,
        INSTALLS.replace("1010", "1020"),
        PERSONALIZES.replace("1010", "1020"),
    ]
    assert made.states == {FIRST: 0x0F, SECOND: 0x0F}


def test_loading_again_may_not_delete_what_this_plan_made() -> None:
    """The first application was installed from the code that the second wants anew."""
    second = application(AGAIN[Action.LOAD], aid=SECOND, of=NAMED)
    with pytest.raises(PlanError, match="would delete A0000000041010, which this plan makes"):
        planned(order(application(INSTALL), second), held({}, PACKAGE), replace=True)


def test_applications_go_by_the_order_of_their_aids() -> None:
    """Those that the card configuration doesn't list come last; the origin keeps the position in the record."""
    third = instance(ISD)
    given = order(
        application(INSTALL, aid=ISD),
        application(INSTALL, aid=SECOND, of=NAMED),
        application(INSTALL),
        targets=(target(FIRST, 10), target(SECOND, 20)),
    )
    made = planned(given, held({}, PACKAGE), of=catalog(card(instance(FIRST), instance(SECOND, NAMED), third)))
    assert [line.split()[1] for line in lines(made)] == [str(FIRST), str(SECOND), str(ISD)]
    assert [each.origin for each in made.steps] == [Origin(2, 0), Origin(1, 0), Origin(0, 0)]


def test_only_application_takes_the_only_aid() -> None:
    """ApplicationData may leave the AID away; else its profile must lead to one instance."""
    made = planned(order(application(INSTALL, aid=None), targets=(target(FIRST, 1),)))
    assert lines(made) == [LOADS, INSTALLS]
    assert lines(planned(order(application(INSTALL, aid=None)))) == [LOADS, INSTALLS]


@pytest.mark.parametrize(("state", "p1"), [(TargetState.INSTALLED, 0x04), (TargetState.SELECTABLE, 0x0C)])
def test_state_alone_loads_and_installs(state: TargetState, p1: int) -> None:
    """An AID with a state but without steps is made from the card profile, and only as far as its state."""
    made = planned(order(targets=(target(FIRST, 1, state),)))
    assert lines(made) == [LOADS, INSTALLS]
    assert made.states == {FIRST: state.code}
    command = next(made.steps[1].dialogue(lambda value, _key: value))
    assert not isinstance(command, tuple)
    assert command.p1 == p1


def test_aid_without_state_and_steps_is_left_alone() -> None:
    """It may be the security domain's."""
    assert planned(order(targets=(target(ISD, 1),))).steps == ()


def test_load_alone_reads_no_state_back() -> None:
    """There is no application yet."""
    made = planned(order(application(LOAD)))
    assert (lines(made), made.states) == ([LOADS], {})


def test_two_personalize_steps_end_with_the_second() -> None:
    """Each writes its data set; only the last block of the last one is marked."""
    data = (DataSet(name="A", elements=elements(("0101", "00"))), DataSet(name="B", elements=elements(("0201", "00"))))
    steps = [step(Action.PERSONALIZE, mandatory=True, data_set=name) for name in "AB"]
    made = planned(order(application(*steps, data=data)))
    writing = [each for each in made.steps if isinstance(each, Personalize)]
    assert [[value.name for value in each.layout.items] for each in writing] == [["0101"], ["0201"]]
    assert [each.final for each in writing] == [False, True]


@pytest.mark.parametrize("state", [0x01, 0x07, 0x0F])
def test_card_whose_content_may_change_is_planned(state: int) -> None:
    """OP_READY, INITIALIZED, SECURED."""
    assert planned(order(application(LOAD)), held(state=state)).steps


@pytest.mark.parametrize("state", [0x7F, 0xFF])
def test_locked_card_is_refused(state: int) -> None:
    """CARD_LOCKED and TERMINATED take nothing."""
    with pytest.raises(PlanError, match=f"the card is in state {state:02X}"):
        planned(order(application(LOAD)), held(state=state))


@pytest.mark.parametrize("state", [0x03, 0x27, 0x83, 0x87, 0x8F])
def test_application_that_takes_no_data_is_refused(state: int) -> None:
    """Only INSTALLED, in a state of its own, or locked."""
    with pytest.raises(PlanError, match=f"A0000000041010 is in state {state:02X}, in which it takes no data"):
        planned(order(application(AGAIN[Action.PERSONALIZE])), held({FIRST: state}, PACKAGE), replace=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            order(application(INSTALL), targets=(target(FIRST, 1, TargetState.PERSONALIZED),)),
            "don't bring .* to PERSONALIZED",
        ),
        (
            order(application(PERSONALIZE), targets=(target(FIRST, 1, TargetState.SELECTABLE),)),
            "don't bring .* to SELECTABLE",
        ),
        (order(targets=(target(FIRST, 1, TargetState.PERSONALIZED),)), "don't bring .* to PERSONALIZED"),
        (order(targets=(target(ISD, 1, TargetState.SELECTABLE),)), "0 application instances for A000000151000000"),
        (order(application(INSTALL, aid=ISD)), "0 application instances for A000000151000000"),
        (order(application(INSTALL), application(PERSONALIZE)), "names application A0000000041010 twice"),
        (order(application(step(Action.PERSONALIZE, script="x"))), "a script needs an interpreter"),
        (order(application(step(Action.LOAD, script="x"))), "a script needs an interpreter"),
        (order(application(PERSONALIZE, of=UniqueID("2BFF"))), "application profile 2BFF isn't registered"),
        (order(application(PERSONALIZE, data=())), "nothing to write"),
        (order(application(PERSONALIZE, data=(DataSet(name="X", elements=elements(("0101", "5EC4E7X"))),))), "not hex"),
        (
            order(application(step(Action.PERSONALIZE, instructions=Instructions(version_control=frozenset({"0101"}))))),
            "last",
        ),
    ],
)
def test_order_that_cannot_be_carried_out_is_refused(given: Order, message: str) -> None:
    """As PlanError, without a value, before anything is written."""
    with pytest.raises(PlanError, match=message) as refusal:
        planned(given)
    assert "5EC4E7" not in str(refusal.value)


def test_state_that_the_card_has_left_behind_is_refused() -> None:
    """A personalized application doesn't go back to SELECTABLE by itself."""
    with pytest.raises(PlanError, match="don't bring A0000000041010 to SELECTABLE"):
        planned(order(application(INSTALL), targets=(target(FIRST, 1, TargetState.SELECTABLE),)), held(MADE, PACKAGE))


def test_code_must_be_registered() -> None:
    """Else there is nothing to load."""
    bare = Catalog(card=card(), applications=catalog().applications, load_files={})
    with pytest.raises(PlanError, match="the code of load file profile 2B30 isn't registered"):
        planned(order(application(LOAD)), of=bare)


def test_a_blank_holds_its_security_domain_and_what_is_in_its_rom() -> None:
    """So a record is planned as if nothing had been made yet, on a chip with its code in ROM too."""
    for masked, loads in ((False, [LOADS]), (True, [])):
        of = catalog(card(masked=masked))
        made = planned(order(application(LOAD, INSTALL)), blank(of, ISD), of=of)
        assert lines(made) == [*loads, INSTALLS]


def test_masked_load_file_is_never_loaded() -> None:
    """A card without it in its ROM is another card."""
    with pytest.raises(PlanError, match="should be in this card's ROM and isn't"):
        planned(order(application(LOAD)), of=catalog(card(masked=True)))


def test_load_file_of_too_many_blocks_is_refused() -> None:
    """LOAD counts to 256; here C4 82012C and 300 bytes would go one by one."""
    long = LOAD_FILE.__class__(aid=PACKAGE, version="1.0", modules=(MODULE,), block=bytes(300))
    of = Catalog(card=card(), applications=catalog().applications, load_files={CODE: long})
    with pytest.raises(PlanError, match="304 blocks of 1 bytes"):
        plan(order(application(LOAD)), of, product(block=1), BLANK)


@pytest.mark.parametrize(("parameters", "block"), [(208, 239), (209, 240), (1000, 1033)])
def test_install_that_no_command_holds_is_refused_before_anything_is_loaded(parameters: int, block: int) -> None:
    """Its length is up to the card profile's parameters; what fits is sent, one byte more isn't even planned."""
    of = catalog(card(replace(instance(FIRST), parameters=bytes(parameters))))
    asked = order(application(INSTALL))
    made = plan(asked, of, product(block=block), BLANK)
    assert [len(step.command.data) for step in made.steps if isinstance(step, Install)] == [block]
    message = f"INSTALL of A0000000041010 has {block} bytes of data where a command takes {block - 1}"
    with pytest.raises(PlanError, match=message):
        plan(asked, of, product(block=block - 1), BLANK)


def test_module_must_be_certain() -> None:
    """The only one, or the one of the instance's own AID."""
    two = LOAD_FILE.__class__(aid=PACKAGE, version="1.0", modules=(MODULE, FIRST), block=bytes(9))
    of = Catalog(card=card(), applications={DGIS: profile(DGIS), NAMED: NAMES}, load_files={CODE: two})
    assert "from module A0000000041010" in str(planned(order(application(INSTALL)), of=of))
    with pytest.raises(PlanError, match="2 modules that A0000000041020 could come from"):
        planned(order(application(INSTALL, aid=SECOND, of=NAMED)), of=of)


def test_plan_can_be_compared_and_prints_no_value() -> None:
    """Same order, same card: same plan."""
    data = (DataSet(name="X", elements=elements(("0101", "5EC4E75EC4E7"))),)
    given = order(application(PERSONALIZE, data=data))
    assert planned(given) == planned(given)
    assert "5EC4E7" not in (repr(planned(given)) + str(planned(given))).upper()
    assert isinstance(planned(order(application(AGAIN[Action.INSTALL])), held(MADE, PACKAGE), replace=True).steps[0], Delete)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((), 0x03), ((None,), 0x03), ((0x01,), 0x01), ((0x01, None), 0x01), ((0x01, 0x03), 0x03), ((0x03, 0x11), 0x13),
        ((0x00, None), 0x00), ((0x33, 0x01), 0x33),
    ],
)  # fmt: skip
def test_one_channel_has_all_the_protection_asked_for(levels: tuple[int | None, ...], expected: int) -> None:
    """Where no step names one, the product's."""
    steps = [step(Action.PERSONALIZE, instructions=Instructions(security_level=level)) for level in levels]
    assert security_level(order(application(*steps)), product()) == expected
