"""What is read back of an application, to the byte, and what is said where it isn't what was written."""

from dataclasses import replace

import pytest

from hardware.errors import PlanError, ReadBackError
from hardware.iso7816 import AID, Command, Response, run
from hardware.keystores import Transport
from hardware.perso.layout import layout
from hardware.perso.order import Instructions
from hardware.perso.plan import Plan
from hardware.perso.profiles import TagEncoding
from hardware.perso.readback import check_provable, read_back
from hardware.perso.steps import Personalize
from hardware.perso.values import Coded
from hardware.trace.masking import answered, asked
from tests.hardware import cards
from tests.hardware.cards import FIRST, SECOND, TRANSPORT
from tests.hardware.replay import replay

DGI, EMV, L16 = TagEncoding.DGI, TagEncoding.EMV, TagEncoding.L16
PRODUCT = cards.product()
SELECT, OTHER = "00A4040007A000000004101000", "00A4040007A000000004102000"
FCI = "6F118407A0000000041010A5065004544553549000"
RECORD = ("0101", "700A5A085413330089604111")


def item(name: str, value: str, structure: TagEncoding = DGI, transport: Transport | None = None) -> Coded:
    """Return one value that is written."""
    tag = int(name, 16)
    return Coded(name=name, tag=tag, structure=structure, value=bytes.fromhex(value), transport=transport)


def personalized(*items: Coded, aid: AID = FIRST, instructions: Instructions | None = None) -> Personalize:
    """Return a step that writes *items*."""
    laid = layout(items, instructions or Instructions(), room=239, packing=True)
    return Personalize(aid=aid, layout=laid, final=True, origin=None)


def planned(*steps: Personalize) -> Plan:
    """Return the plan of *steps*."""
    return Plan(steps=steps, states={step.aid: 0x0F for step in steps})


WAYS: list[tuple[Coded, str, str]] = [
    (item(*RECORD), "00B2010C00", RECORD[1]),  # record 1, P2 = SFI 1 and "record number in P1" (ISO/IEC 7816-4 table 49)
    (item("0203", "7003010203"), "00B2031400", "7003010203"),
    (item("1EFF", "0102"), "00B2FFF400", "0102"),
    (item("9000", "AABBCC"), "80CA900000", "AABBCC"),
    (item("9010", "0303"), "80CA901000", "0303"),
    (item("5A", "5413330089604111", EMV), "80CA005A00", "5A085413330089604111"),
    (item("5F20", "444F45", EMV), "80CA5F2000", "5F2003444F45"),
]


@pytest.mark.parametrize(
    ("written", "command", "answer"), WAYS, ids=lambda each: each.name if isinstance(each, Coded) else ""
)
def test_what_an_application_gives_back_is_asked_for_in_its_own_way(written: Coded, command: str, answer: str) -> None:
    """Records by READ RECORD, tags and DGIs 9xxx by GET DATA, after one SELECT, all of it in clear."""
    card = replay([(SELECT, FCI), (command, answer + "9000")])
    run(read_back(planned(personalized(written)), PRODUCT), card)
    assert card.finished


@pytest.mark.parametrize("value", ["A506500454455354", "500454455354"], ids=["with its tag", "without"])
def test_dgi_9102_is_what_the_answer_to_select_holds(value: str) -> None:
    """Whether it brings template A5 or what belongs into it."""
    fci = "6F118407A0000000041010A506500454455354"
    plan = planned(personalized(item("9102", value)))
    run(read_back(plan, PRODUCT), replay([(SELECT, fci + "9000")]))
    for wrong in (fci.replace("54455354", "54455355"), "6F098407A0000000041010", "A5", "", "6F81"):
        with pytest.raises(ReadBackError, match="the answer to SELECT of application A0000000041010 differs"):
            run(read_back(plan, PRODUCT), replay([(SELECT, wrong + "9000")]))


def test_what_is_secret_or_unknown_is_never_asked_for() -> None:
    """Encrypted elements, keys, DGIs beyond the table, what has no structure, and what the product never gives back."""
    silent = (
        item("8000", "00" * 16, transport=TRANSPORT),
        item("9000", "00" * 8, transport=TRANSPORT),
        item("3000", "01"),
        item("8201", "01"),
        item("0100", "01"),
        item("1F01", "01"),
        item("A001", "01"),
        item("DF8101", "01", EMV),
        item("0102", "01", L16),
        item("0105", "00" * 257),
    )
    for each in silent:
        run(read_back(planned(personalized(each)), PRODUCT), replay([]))
    unread = replace(PRODUCT, unread=frozenset({0x9104, 0x5A}))
    run(read_back(planned(personalized(item("9104", "01"), item("5A", "01", EMV))), unread), replay([]))


def test_each_application_is_selected_once_and_the_last_value_counts() -> None:
    """Whatever the steps that wrote it; a value that an encrypted one replaced is nobody's to know."""
    plan = planned(
        personalized(item("0101", "01"), item("9000", "02")),
        personalized(item("0201", "03"), aid=SECOND),
        personalized(item("0101", "04"), item("9000", "00" * 8, transport=TRANSPORT)),
    )
    script = [(SELECT, "9000"), ("00B2010C00", "049000"), (OTHER, "9000"), ("00B2011400", "039000")]
    card = replay(script)
    run(read_back(plan, PRODUCT), card)
    assert card.finished


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ([(SELECT, "6A82")], "application A0000000041010 can't be selected: SELECT: 6A82"),
        ([(SELECT, FCI), ("00B2010C00", "6A83")], "record 1 of SFI 1 of application A0000000041010 can't be read: .*6A83"),
        ([(SELECT, FCI), ("00B2010C00", "6982")], "can't be read: READ RECORD: 6982 security status not satisfied"),
        ([(SELECT, FCI), ("00B2010C00", "9000")], "record 1 of SFI 1 of application A0000000041010 differs"),
        ([(SELECT, FCI), ("00B2010C00", "700A5A0854133300896041109000")], "differs from what was written"),
        ([(SELECT, FCI), ("00B2010C00", "700A5A085413330089604111009000")], "differs from what was written"),
    ],
)
def test_what_differs_is_missing_or_is_refused_is_said_without_its_value(
    script: list[tuple[str, str]], message: str
) -> None:
    """By record, file and application; nothing more is asked."""
    card = replay(script)
    with pytest.raises(ReadBackError, match=message) as wrong:
        run(read_back(planned(personalized(item(*RECORD))), PRODUCT), card)
    assert card.finished
    assert "5413330089604111" not in repr(wrong.value).upper()


@pytest.mark.parametrize("answer", ["6A82", "6A83", "7003010203" + "9000"])
def test_an_element_that_the_card_was_free_to_refuse_may_be_missing_and_not_wrong(answer: str) -> None:
    """VERCNTL names it; what is there must be right all the same."""
    wanted, instructions = item("0203", "7003010203"), Instructions(version_control=frozenset({"0203"}))
    plan = planned(personalized(wanted, item("3000", "01"), instructions=instructions))
    run(read_back(plan, PRODUCT), replay([(SELECT, FCI), ("00B2031400", answer)]))
    with pytest.raises(ReadBackError, match="record 3 of SFI 2"):
        run(read_back(plan, PRODUCT), replay([(SELECT, FCI), ("00B2031400", "70030102049000")]))
    with pytest.raises(ReadBackError, match="6982"):
        run(read_back(plan, PRODUCT), replay([(SELECT, FCI), ("00B2031400", "6982")]))


def test_answers_are_masked_and_what_was_asked_is_not() -> None:
    """The commands say so themselves, so every trace hides what the card gave back."""
    plan = planned(personalized(item(*RECORD), item("9102", "A506500454455354"), item("9000", "AABBCC")))
    card, sent = replay([(SELECT, FCI), ("00B2010C00", RECORD[1] + "9000"), ("80CA900000", "AABBCC9000")]), list[Command]()

    def noted(command: Command) -> Response:
        sent.append(command)
        return card(command)

    run(read_back(plan, PRODUCT), noted)
    for command in sent:
        assert not command.is_public
        assert asked(command) == tuple(command.data)
        assert set(answered(command, Response(b"\x5a", 0x9000))) == {None}
    assert [each.name for each in sent] == ["SELECT", "READ RECORD", "GET DATA 9000"]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan(steps=(), states={}), "nothing that can be read back"),
        (planned(personalized(item("8000", "00" * 16, transport=TRANSPORT))), "nothing of the data of application A00"),
        (planned(personalized(item(*RECORD)), personalized(item("3000", "01"), aid=SECOND)), "A0000000041020"),
    ],
)
def test_a_plan_without_anything_to_read_back_cannot_be_proved(plan: Plan, message: str) -> None:
    """Not by silence."""
    with pytest.raises(PlanError, match=message):
        check_provable(plan, PRODUCT)


def test_a_plan_whose_data_can_be_read_back_can_be_proved() -> None:
    """One element of each application will do, and one that gets no data has its life cycle."""
    check_provable(planned(personalized(item(*RECORD), item("8201", "01"))), PRODUCT)
    check_provable(Plan(steps=(), states={FIRST: 0x07}), PRODUCT)
