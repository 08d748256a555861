"""What is wrong with a record is said at submission: every fault, never a value."""

from dataclasses import replace

import pytest

from hardware.perso.check import Problem, problems
from hardware.perso.order import (
    Action,
    ApplicationOrder,
    DataSet,
    Element,
    Instructions,
    Order,
    Target,
    TargetState,
    UniqueID,
)
from hardware.perso.profiles import ApplicationProfile, TagEncoding
from tests.hardware.cards import (
    DGIS,
    FIRST,
    ISD,
    NAMED,
    NAMES,
    SECOND,
    TRANSPORT,
    application,
    card,
    described,
    elements,
    order,
    product,
    profile,
    step,
    target,
)

PROFILES = {DGIS: profile(DGIS), NAMED: NAMES}
SECRET = "5EC4E7"


def found(
    given: Order, profiles: dict[UniqueID, ApplicationProfile] | None = None, *, block: int = 239, dek_block: int = 8
) -> list[Problem]:
    return list(problems(given, card(), profiles or PROFILES, product(block=block), dek_block))


def said(given: Order, *, block: int = 239, dek_block: int = 8) -> list[tuple[int | None, str, str]]:
    """Return the errors; fails where a value is in one of them."""
    made = found(given, block=block, dek_block=dek_block)
    assert all(SECRET not in each.message + each.element for each in made)
    return [(each.application, each.element, each.message) for each in made if not each.warning]


def personalizing(*pairs: Element, instructions: Instructions | None = None) -> Order:
    """Return a record of one application with one PERSONALIZE step."""
    data = (DataSet(name="PERSO", elements=pairs),)
    return order(application(step(Action.PERSONALIZE, instructions=instructions), data=data))


CLEAR = elements(("0101", "70" + SECRET), ("0201", "70" + SECRET))
KEYS = elements(("8000", SECRET + "00" * 5), transport=TRANSPORT)


def test_good_record_has_no_problem() -> None:
    """Clear and encrypted DGIs, ordered and grouped."""
    instructions = Instructions(
        order=("8000",), encrypted=frozenset({"8000"}), groups=(("0101", "8000"),), security_level=3,
    )  # fmt: skip
    assert found(personalizing(*CLEAR, *KEYS, instructions=instructions)) == []


def test_good_named_data_have_no_problem() -> None:
    """An element without tag is known; an optional one may be lacking."""
    data = (DataSet(name="X", elements=elements(("PAN", "541333"), ("STOCK", "BLUE"))),)
    assert found(order(application(step(Action.PERSONALIZE), aid=None, of=NAMED, data=data))) == []


@pytest.mark.parametrize(
    ("instructions", "element", "message"),
    [
        (Instructions(order=("9099",)), "9099", "ORDER names it and the record lacks it"),
        (Instructions(order=("0201", "0201")), "0201", "ORDER names it twice"),
        (Instructions(groups=(("0101", "9199"),)), "9199", "GROUP names it and the record lacks it"),
        (Instructions(groups=(("0101", "0201"), ("0201",))), "0201", "GROUP names it twice"),
        (
            Instructions(groups=(("0101", "0201"),), version_control=frozenset({"0101"})),
            "0101",
            "VERCNTL and GROUP both name it, but a VERCNTL element travels alone",
        ),
        (Instructions(encrypted=frozenset({"0101"})), "0101", "ENC lists it, but it stands clear"),
        (Instructions(security_level=0x33), "SECLEV", "level 33 is not offered: 01 and 03 are"),
        (Instructions(security_level=0x00), "SECLEV", "level 00 is not offered: 01 and 03 are"),
        (Instructions(update_cplc=True), "UPDATECPLC", "this engine doesn't write the CPLC"),
        (
            Instructions(version_control=frozenset({"0201"})),
            "PersoDeviceIns",
            "a VERCNTL element may be refused and so can't come last: name another after it in ORDER",
        ),
    ],
)
def test_wrong_instruction_is_named(instructions: Instructions, element: str, message: str) -> None:
    """With the element that it is about."""
    assert (0, element, message) in said(
        personalizing(*elements(("0101", "7000"), ("0201", "7000")), instructions=instructions)
    )


@pytest.mark.parametrize(
    ("size", "dek_block", "listed", "messages"),
    [
        (8, 8, True, []),
        (16, 16, True, []),
        (8, 16, True, ["has 8 bytes, no multiple of the card's 16-byte DEK block"]),
        (9, 8, True, ["has 9 bytes, no multiple of the card's 8-byte DEK block"]),
        (8, 8, False, ["stands under a TransportKey, but ENC doesn't list it"]),
    ],
)
def test_secret_must_be_listed_and_whole_blocks(size: int, dek_block: int, *, listed: bool, messages: list[str]) -> None:
    """8 for 3DES, 16 for AES; ENC and TransportKey must agree."""
    instructions = Instructions(encrypted=frozenset({"8000"} if listed else ()))
    secret = elements(("8000", SECRET + "00" * (size - 3)), transport=TRANSPORT)
    assert said(personalizing(*secret, instructions=instructions), dek_block=dek_block) == [
        (0, "8000", message) for message in messages
    ]


def test_listed_element_that_is_absent_is_a_warning() -> None:
    """ENC may list what this record doesn't have."""
    (only,) = found(personalizing(*CLEAR, instructions=Instructions(encrypted=frozenset({"8010"}))))
    assert only == Problem(application=0, element="8010", message="ENC names it and the record lacks it", warning=True)


def test_element_named_twice_under_two_names_is_found() -> None:
    """A tag and a name may mean the same element."""
    names = {DGIS: profile(DGIS, described("PAN", tag=0x5A, kind=TagEncoding.EMV))}
    given = personalizing(
        *elements(("PAN", "54")), instructions=Instructions(order=("PAN", "5A"), groups=(("PAN",), ("5A",)))
    )
    assert [(each.element, each.message) for each in found(given, names)] == [
        ("PAN", "ORDER names it twice"),
        ("PAN", "GROUP names it twice"),
    ]


def test_every_ill_written_value_is_named() -> None:
    """Not only the first."""
    pairs = elements(("0101", SECRET + "X"), ("010", SECRET), ("0201", SECRET[:3]), ("0301", "00"), ("0301", "00"))
    assert [(element, message.partition(",")[0]) for _, element, message in said(personalizing(*pairs))] == [
        ("0101", "not hex"),
        ("010", "the application profile maps no elements"),
        ("0201", "not hex"),
        ("0301", "stands twice"),
    ]


def test_unknown_and_lacking_elements_are_named() -> None:
    """What the profile doesn't know, and what it calls for."""
    data = (DataSet(name="X", elements=elements(("PIN", SECRET))),)
    assert said(order(application(step(Action.PERSONALIZE), aid=SECOND, of=NAMED, data=data))) == [
        (0, "PIN", "the application profile doesn't know this element"),
        (0, "PAN", "the application profile calls for this element and the record lacks it"),
    ]


def test_two_steps_may_share_the_elements() -> None:
    """What one data set lacks another may have."""
    needs = {DGIS: profile(DGIS, described("A", tag=0x0101), described("B", tag=0x0102))}
    data = (DataSet(name="X", elements=elements(("A", "00"))), DataSet(name="Y", elements=elements(("B", "00"))))
    steps = [step(Action.PERSONALIZE, data_set=name) for name in "XY"]
    assert found(order(application(*steps, data=data)), needs) == []
    one = found(order(application(steps[0], data=data)), needs)
    assert [(each.element, each.warning) for each in one] == [("B", False), ("DataSet/@Name", True)]


def test_element_too_long_for_its_command_is_found() -> None:
    """A group must fit one command of the card product."""
    given = personalizing(*CLEAR, instructions=Instructions(groups=(("0101", "0201"),)))
    assert found(given) == []
    message = "a GROUP or VERCNTL element has 14 bytes where a command takes 13"
    assert said(given, block=13) == [(0, "PersoDeviceIns", message)]


def test_level_of_every_step_is_checked() -> None:
    """There is one channel, so the level of an INSTALL step counts as well."""
    given = order(application(step(Action.INSTALL, instructions=Instructions(security_level=0x13))))
    assert said(given) == [(0, "SECLEV", "level 13 is not offered: 01 and 03 are")]


@pytest.mark.parametrize(
    ("state", "actions", "message"),
    [
        (
            TargetState.PERSONALIZED,
            [Action.INSTALL],
            "the steps don't personalize A0000000041010, so it doesn't end PERSONALIZED",
        ),
        (TargetState.SELECTABLE, [Action.PERSONALIZE], "the steps personalize A0000000041010, so it doesn't end SELECTABLE"),
        (TargetState.INSTALLED, [Action.PERSONALIZE], "the steps personalize A0000000041010, so it doesn't end INSTALLED"),
        (TargetState.PERSONALIZED, [Action.INSTALL, Action.PERSONALIZE], None),
        (TargetState.SELECTABLE, [Action.INSTALL], None),
        (TargetState.INSTALLED, [Action.LOAD], None),
    ],
)
def test_state_must_be_what_the_steps_lead_to(state: TargetState, actions: list[Action], message: str | None) -> None:
    """INSTALL, and a state alone, lead to INSTALLED or SELECTABLE, PERSONALIZE to PERSONALIZED."""
    given = order(application(*map(step, actions)), targets=(target(FIRST, 1, state),))
    assert said(given) == ([(0, "AID/@TargeState", message)] if message else [])


@pytest.mark.parametrize(
    ("wanted", "messages"),
    [
        (target(SECOND, 2), []),
        (target(ISD, 2), []),
        (target(SECOND, 2, TargetState.SELECTABLE), []),
        (
            target(SECOND, 2, TargetState.PERSONALIZED),
            ["no steps personalize A0000000041020, so it doesn't end PERSONALIZED"],
        ),
        (target(ISD, 2, TargetState.SELECTABLE), ["card profile 2B10 has 0 application instances for A000000151000000"]),
    ],
)
def test_aid_without_application_must_be_reachable(wanted: Target, messages: list[str]) -> None:
    """It is loaded and installed from the card profile, but nothing can be written into it."""
    given = order(application(step(Action.INSTALL)), targets=(target(FIRST, 1), wanted))
    assert said(given) == [(None, "AID/@TargeState", message) for message in messages]


@pytest.mark.parametrize(
    ("wrong", "element", "message"),
    [
        (
            application(step(Action.INSTALL), aid=ISD),
            "ApplicationData",
            "card profile 2B10 has 0 application instances for A000000151000000",
        ),
        (
            application(step(Action.INSTALL), aid=SECOND),
            "ApplicationProfileUniqueID",
            "card profile 2B10 gives A0000000041020 profile 2B22",
        ),
    ],
)
def test_application_must_be_the_card_profiles(wrong: ApplicationOrder, element: str, message: str) -> None:
    """By AID and by application profile."""
    assert said(order(wrong)) == [(0, element, message)]


def test_data_that_no_step_writes_is_refused() -> None:
    """Otherwise a card without its cardholder's data would count as good."""
    message = "holds data, but no step personalizes the application with it"
    given = order(application(step(Action.INSTALL), data=(DataSet(name="PERSO", elements=CLEAR),)))
    assert said(given) == [(0, "ApplicationData", message)]


@pytest.mark.parametrize("applications", [(), (application(),)])
def test_a_record_that_asks_for_nothing_is_refused(applications: tuple[ApplicationOrder, ...]) -> None:
    """No step, and no state to be reached: a blank would go out as a good card."""
    given = order(*applications, targets=(target(FIRST, 1),))
    assert said(given) == [(None, "ApplicationData", "the record asks for nothing to be done")]
    assert said(order(*applications, targets=(target(FIRST, 1, TargetState.SELECTABLE),))) == []


def test_elements_for_a_script_are_checked_too() -> None:
    """Only what becomes of them on the card is the script's business."""
    scripted = replace(step(Action.PERSONALIZE), script="PERSONALIZE")
    data = (DataSet(name="X", elements=elements(("PIN", SECRET), ("PAN", "no digits"))),)
    assert said(order(application(scripted, aid=SECOND, of=NAMED, data=data))) == [
        (0, "PIN", "the application profile doesn't know this element"),
        (0, "PAN", "CN takes digits only"),
    ]


def test_application_named_twice_is_refused() -> None:
    """Also where one is named by AID and the other by its profile only."""
    given = order(application(step(Action.INSTALL)), application(step(Action.INSTALL), aid=None))
    assert said(given) == [(1, "ApplicationData", "the record names application A0000000041010 twice")]


def test_application_of_unknown_profile_is_passed_over() -> None:
    """Whoever looked for the profile has said so."""
    assert found(order(application(step(Action.PERSONALIZE), of=UniqueID("2BFF")))) == []
