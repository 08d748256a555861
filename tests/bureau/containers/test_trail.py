"""The answer to the issuer, compared with the request by reading both independently."""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from lxml import etree

from bureau.containers import Submission
from bureau.containers.dialects import DIALECTS
from bureau.containers.schemas import compiled
from bureau.containers.submission import records
from bureau.containers.trail import Answer, TrailError, documents, stem
from bureau.models import AttemptOutcome, CardState, Cause, Record, RecordResult
from hardware.perso.order import UniqueID
from tests.bureau.containers.known import EXPORT, MESSAGING, NATIVE, PAYMENT, SINGLE, check, spoiled, uid
from tests.bureau.containers.results import MADE, good, plastic, results, untouched

Special = Callable[[int, Record], RecordResult | None]
VERSIONS = ("1.0.0", "1.1.0", "2.0.1", "2.1.0")
PARIS = ZoneInfo("Europe/Paris")


def answers(found: Submission, **more: object) -> list[Answer]:
    """Return the answers to all requests of a file."""
    plain = [Answer(batch=batch, made=MADE, plant=PARIS, all_good=True) for batch in found.batches]
    return [replace(each, **more) for each in plain]  # type: ignore[arg-type]


def trails(path: Path, special: Special = lambda _at, _record: None, **more: object) -> dict[str, etree._Element]:
    """Write the trails for a file with one request and return them by stem; each must meet the schema."""
    found = check(path)
    [answer] = answers(found, **more)
    written = {}
    for document in documents(answer, results(path, found, special)):
        out = io.BytesIO()
        document.write(out)
        root = etree.fromstring(out.getvalue())
        compiled("trail", DIALECTS[answer.batch.namespace]).assertValid(root)
        written[document.stem] = root
    return written


def trail(path: Path, special: Special = lambda _at, _record: None, **more: object) -> etree._Element:
    """Write the only trail for a file."""
    [root] = trails(path, special, **more).values()
    return root


def only(root: etree._Element, path: str) -> etree._Element:
    """Return the one element at *path*, whatever its namespace."""
    [found] = every(root, path)
    return found


def every(root: etree._Element, path: str) -> list[etree._Element]:
    """Return the elements at *path*, whatever their namespace."""
    return root.findall(".//" + "/".join("{*}" + name for name in path.split("/")))


def told(element: etree._Element, *names: str) -> list[str | None]:
    """Return some attributes."""
    return [element.get(name) for name in names]


def outer(element: etree._Element) -> dict[str, str]:
    """Return all attributes."""
    return {str(name): str(value) for name, value in element.attrib.items()}


LEVELS = (
    ("EnvironmentContainer", "EnvironmentContainerLog", ("EnvironmentName", "EnvironmentVersion")),
    ("JobContainer", "JobContainerLog", ("JobID", "JobPriorityLevel", "RiskLevel")),
    (
        "DataContainerHeader",
        "LogContainerHeader",
        ("DataGenerationDate", "CardProductID", "CardProductVersion", "IssuerName", "CardRecordCount", "PlasticStockID"),
    ),
    ("DataContainer", "LogContainer", ()),
    ("ModuleIdentifierCode", "LogIdentifierCode", ("Identifier",)),
    ("CardConfiguration/CRN", "CardConfigurationLog/CRN", ("Number",)),
    ("ApplicationData/AID", "ApplicationLog/AID", ("AID", "Order")),
    ("ApplicationData/ProcessingStep", "ApplicationLog/ProcessingStepResult", ("Requirement",)),
    ("LogData/DataSet/Data", "LogData/DataSet/Data", ("DataElement", "Value")),
)


@pytest.mark.parametrize("sample", [PAYMENT, NATIVE], ids=lambda path: path.stem)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_level_of_a_batch_is_mirrored(tmp_path: Path, sample: Path, version: str) -> None:
    """Request and answer have the same environments, jobs, lots, cards, applications and steps, in the same order."""
    text = re.sub(r"systems-messaging/[0-9.]+", f"systems-messaging/{version}", sample.read_text(encoding="utf-8"))
    path = tmp_path / sample.name
    path.write_text(text, encoding="utf-8")
    request, answer = etree.parse(path).getroot(), trail(path)
    assert {etree.QName(each).namespace for each in answer.iter()} == {MESSAGING + version}
    for asked, answered, attributes in LEVELS:
        there, back = every(request, asked), every(answer, answered)
        assert [told(each, *attributes) for each in there] == [told(each, *attributes) for each in back], answered
        assert len(there) == len(back) > 0 or asked.startswith("LogData")


def test_environments_stay_apart_on_the_way_back(tmp_path: Path) -> None:
    """Two environments of one batch come back as two, even of one name, each with its own job and lots."""
    cut = '</JobContainer></EnvironmentContainer><EnvironmentContainer EnvironmentName="CONTACT-GP"'
    cut += ' EnvironmentVersion="1,0" Preference="1"><JobContainer JobID="URGENT"'
    path = spoiled(tmp_path, PAYMENT, ('</JobContainer><JobContainer JobID="URGENT"', cut))
    root = trail(path)
    environments = every(root, "EnvironmentContainerLog")
    assert [each.get("JobID") for log in environments for each in every(log, "JobContainerLog")] == ["STANDARD", "URGENT"]
    assert [len(every(each, "LogContainer")) for each in environments] == [8, 2]
    assert [job.environment.preference for job in check(path).batches[0].jobs] == [2, 1]


def test_a_message_is_answered_by_a_message() -> None:
    """Source and Destination change places; TransactionID and version stay."""
    root = trail(PAYMENT)
    assert etree.QName(root).localname == "GPMessage"
    assert outer(only(root, "GPHeader")) == {
        "TransactionID": "B2026-001-1",
        "Source": "2B0601040181FD5902",
        "Destination": "2B0601040181FD5901",
        "Type": "BATCH_AUDIT_TRAIL",
        "MessageVersion": "2.0.1",
    }
    assert outer(only(root, "GPBody/BatchAuditTrail")) == {
        "BatchID": "B2026-001", "IssuingEntity": "TESTBANK", "ProcessingEntity": "BUREAU1", "User": "PO-4711",
    }  # fmt: skip


def test_dates_of_the_answer_are_plant_time() -> None:
    """Half past eleven at night in UTC is the next day in Paris."""
    root = trail(PAYMENT)
    assert {each.get("Date") for each in every(root, "JobContainerLog")} == {"20261126003005"}
    assert {each.get("ProcessingDate") for each in every(root, "LogContainerHeader")} == {"20261126003005"}


def test_what_the_request_omitted_comes_back_with_the_default(tmp_path: Path) -> None:
    """JobID, priority, risk and stock are required in the answer."""
    path = spoiled(
        tmp_path,
        PAYMENT,
        ('JobID="STANDARD" JobPriorityLevel="3" RiskLevel="3"', ""),
        (' PlasticStockID="PLASTIC-BLUE"', ""),
    )
    root = trail(path)
    assert told(every(root, "JobContainerLog")[0], "JobID", "JobPriorityLevel", "RiskLevel") == ["B2026-001", "2", "3"]
    assert every(root, "LogContainerHeader")[0].get("PlasticStockID") == "PLASTIC-BLUE"


def test_a_step_answers_in_hex(tmp_path: Path) -> None:
    """A word goes back as the hex of its ASCII, a code as it came; no data came back; the status words are told."""
    path = spoiled(tmp_path, SINGLE, ('Action="PERSONALIZE"', 'Action="0F"'))
    steps = every(trail(path), "ProcessingStepResult")
    assert [outer(each) for each in steps] == [
        {"Action": "4C4F4144", "Requirement": "00", "DataSet": "00", "StatusWords": "9000"},
        {"Action": "494E5354414C4C", "Requirement": "01", "DataSet": "00", "StatusWords": "9000"},
        {"Action": "0F", "Requirement": "01", "DataSet": "00", "StatusWords": "9000"},
    ]


@pytest.mark.parametrize(("version", "name"), [("1.1.0", "Script"), ("2.1.0", "ScriptFragment")])
def test_a_script_is_named_as_the_requests_version_does(tmp_path: Path, version: str, name: str) -> None:
    """ScriptFragment was named Script before 2.0; code in place of a name doesn't go back."""
    text = re.sub(r"systems-messaging/[0-9.]+", f"systems-messaging/{version}", NATIVE.read_text(encoding="utf-8"))
    text = text.replace("Fragment>PERSONALIZE<", "Fragment>00A40400<", 1).replace("ScriptFragment>", f"{name}>")
    path = tmp_path / "file.xml"
    path.write_text(text, encoding="utf-8")
    assert [each.text for each in every(trail(path), name)] == ["PERSONALIZE"] * 4


def spent(record: Record) -> RecordResult:
    """Return a record for which five pieces of plastic were taken."""
    kinds = AttemptOutcome
    return RecordResult(
        record=record,
        state=CardState.GOOD,
        plastics=(
            untouched(record, kinds.RETURNED),
            plastic(record, kinds.SPOILED, "INSTALL: 6A84 not enough memory"),
            untouched(record, kinds.MUTE),
            replace(plastic(record, kinds.UNKNOWN, "lost\x07"), identifier_type="", identifier="", aids=()),
            plastic(record),
        ),
    )


def test_every_piece_of_plastic_touched_is_told() -> None:
    """The good one, the spoiled and the unknown one are named; mute ones are counted; a returned blank isn't told."""
    root = trail(PAYMENT, lambda at, record: spent(record) if at == 3 else None)
    card = every(root, "CardConfigurationLog")[3]
    pieces = every(card, "PhysicalCardIdentifier")
    assert [told(each, "IdentifierType", "IdentifierValue") for each in pieces] == [
        ["CPLC", "479000000003876B"], ["ANONYMOUS", "00"], ["CPLC", "479000000003876B"],
    ]  # fmt: skip
    assert [outer(only(each, "AID")) for each in pieces] == [
        {"AID": "A0000000041010", "Order": "1", "TargeState": "PERSONALIZED", "ReachedState": "SELECTABLE"},
        {"AID": "00", "Order": "0"},
        {"AID": "A0000000041010", "Order": "1", "TargeState": "PERSONALIZED", "ReachedState": "PERSONALIZED"},
    ]
    assert [only(each, "CardLifeCycleState").text for each in pieces] == ["0F"] * 3
    assert only(card, "MuteCardsNumber").text == "1"
    assert outer(only(card, "Error")) == {
        "ErrorCategory": "PLASTIC",
        "ErrorNumber": "10",
        "ErrorDescription": "plastic 2 of 5 spoiled: INSTALL: 6A84 not enough memory; "
        "plastic 3 of 5 mute: no cause recorded; plastic 4 of 5 unknown: lost ",
    }
    assert not every(every(root, "CardConfigurationLog")[2], "Error")


@pytest.mark.parametrize(
    ("state", "number", "says"),
    [
        (CardState.REJECTED, "01", "the card refused"),
        (CardState.SUSPECT, "02", "isn't known"),
        (CardState.SCRAPPED, "03", "scrapped"),
        (CardState.WITHDRAWN, "04", "withdrawn"),
        (CardState.READY, "05", "not made yet"),
        (CardState.WRITING, "05", "not made yet"),
    ],
)
def test_a_record_that_was_not_produced_says_why(state: CardState, number: str, says: str) -> None:
    """Its error has category, number and description; where no plastic was touched, that is said too."""

    def special(at: int, record: Record) -> RecordResult | None:
        return RecordResult(record=record, state=state, plastics=()) if at == 9 else None

    card = every(trail(PAYMENT, special, all_good=False), "CardConfigurationLog")[9]
    error = only(card, "Error")
    assert told(error, "ErrorCategory", "ErrorNumber") == ["RECORD", number]
    assert says in str(error.get("ErrorDescription"))
    assert outer(only(card, "PhysicalCardIdentifier")) == {"IdentifierType": "NONE", "IdentifierValue": "00"}


def test_the_category_of_an_error_is_who_is_to_blame() -> None:
    """For the last plastic that failed, whether a good one followed or not."""

    def special(at: int, record: Record) -> RecordResult | None:
        first = replace(plastic(record, AttemptOutcome.SPOILED, "INSTALL"), code=Cause.CARD)
        last = replace(plastic(record, AttemptOutcome.UNKNOWN, "lost"), code=Cause.READER)
        made = {0: (CardState.SUSPECT, ()), 1: (CardState.GOOD, (plastic(record),))}
        return RecordResult(record=record, state=made[at][0], plastics=(first, last, *made[at][1])) if at in made else None

    errors = every(trail(PAYMENT, special, all_good=False), "CardConfigurationLog/Error")
    assert [told(each, "ErrorCategory", "ErrorNumber") for each in errors] == [["READER", "02"], ["READER", "10"]]


def test_steps_that_were_not_done_have_no_status_words() -> None:
    """The step that the card refused tells its status words, on the last plastic that was written."""

    def special(at: int, record: Record) -> RecordResult | None:
        failed = plastic(record, AttemptOutcome.SPOILED, "LOAD")
        failed = replace(failed, steps=failed.steps[:2])
        return RecordResult(record=record, state=CardState.SCRAPPED, plastics=(failed,)) if at == 0 else None

    steps = every(every(trail(PAYMENT, special), "LogContainer")[0], "ProcessingStepResult")
    assert [each.get("StatusWords") for each in steps] == ["9000", "9000", None]


def test_the_steps_that_failed_and_an_interim_trail_are_marked() -> None:
    """ReturnCodeStep says whether all cards are good; an interim trail carries an Error at its top."""
    root = trail(PAYMENT, all_good=False, interim=True)
    steps = outer(only(root, "ReturnCodeStep"))
    assert [name for name, value in steps.items() if value != "true"] == ["DataContainer"]
    assert only(root, "BatchAuditTrail/Error").get("ErrorCategory") == "INTERIM"
    assert not every(trail(PAYMENT), "BatchAuditTrail/Error")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_single_card_is_answered_by_a_card_audit_trail(tmp_path: Path, version: str) -> None:
    """A bare request gets a bare answer in its namespace."""
    text = re.sub(r"systems-messaging/[0-9.]+", f"systems-messaging/{version}", SINGLE.read_text(encoding="utf-8"))
    path = tmp_path / "card.xml"
    path.write_text(text.replace('"4"', '"04"'), encoding="utf-8")
    root = trail(path)
    assert root.tag == f"{{{MESSAGING}{version}}}CardAuditTrail"
    assert outer(root) == {"BatchID": "INSTANT-7"}
    assert only(root, "LogIdentifierCode").get("Identifier") == "EMVCHIP"
    assert only(root, "CRN").get("Number") == "2B0601040181FD59639F20"
    assert only(root, "ValidCardProfileID").text == uid("10")


def test_data_named_in_lower_case_come_back_as_well(tmp_path: Path) -> None:
    """5f34 and 5F34 are one element; it comes back as the request wrote it."""
    path = spoiled(tmp_path, EXPORT, ('DataElement="5F34"', 'DataElement="5f34"'))
    written = trails(path, audited=lambda _profile: frozenset({"5F34"}))
    assert [only(root, "DataSet/Data").get("DataElement") for root in written.values()] == ["5f34", "5F34", "5F34"]


@pytest.mark.parametrize("version", VERSIONS)
def test_each_notification_is_answered_by_its_own_trail(tmp_path: Path, version: str) -> None:
    """One ApplicationAuditTrail for each BatchID, with the states reached and the data that must come back."""
    text = re.sub(r"systems-messaging/[0-9.]+", f"systems-messaging/{version}", EXPORT.read_text(encoding="utf-8"))
    path = tmp_path / "export.xml"
    path.write_text(text, encoding="utf-8")

    def audited(profile: UniqueID) -> frozenset[str]:
        return frozenset({"AEDT"} if profile == uid("22") else ())

    written = trails(path, audited=audited)
    assert list(written) == ["X0", "X1", "X2"]
    for place, (name, root) in enumerate(written.items()):
        assert root.tag == f"{{{MESSAGING}{version}}}ApplicationAuditTrail"
        assert outer(root) == {"BatchID": name}
        card = only(root, "ApplicationLogPerCRN")
        assert only(card, "CRN").get("Number") == f"2B0601040181FD5963A70{'89A'[place]}"
        assert outer(only(card, "AID")) == {"AID": "A0000000031010", "Order": "1", "ReachedState": "PERSONALIZED"}
        assert only(card, "ApplicationProfileUniqueID").text == uid("22")
        assert told(only(card, "ProcessingStepResult"), "Requirement", "StatusWords") == ["01", "9000"]
        [audit] = every(card, "LogData/DataSet")
        assert audit.get("Name") == "AUDIT"
        assert outer(only(audit, "Data")) == {"DataElement": "AEDT", "Value": "261101"}


def test_a_notified_card_that_was_not_made_says_so_at_its_last_step() -> None:
    """The answer to a notification has no other place for an Error; nothing is brought back."""

    def special(at: int, record: Record) -> RecordResult | None:
        return RecordResult(record=record, state=CardState.WITHDRAWN, plastics=()) if at == 1 else None

    written = trails(EXPORT, special, audited=lambda _profile: frozenset({"AEDT"}))
    assert only(written["X1"], "ProcessingStepResult/Error").get("ErrorNumber") == "04"
    assert not every(written["X1"], "LogData")
    assert not every(written["X0"], "Error")


def test_modules_that_are_not_done_are_answered_with_an_error(tmp_path: Path) -> None:
    """GenericModule and DeliveryModule come back as logs that say so; addresses don't come back."""
    extra = (
        '</ModuleIdentifierCode><GenericModule ModuleName="EMBOSS" Identifier="7"><ProfileUniqueID>00</ProfileUniqueID>'
        '<LogData><DataSet><Data DataElement="A" Value="B"/></DataSet></LogData><ModuleData><DataSet><Data Value="DOE"/>'
        '</DataSet></ModuleData></GenericModule><DeliveryModule><Entity Name="Branch Street 1"/>'
        '<RequestedDeliveryDate RequestedDeliveryDate="20261201"/></DeliveryModule>'
    )
    root = trail(spoiled(tmp_path, PAYMENT, ("</ModuleIdentifierCode>", extra)))
    module = only(root, "ModuleLog")
    assert outer(module) == {"ModuleName": "EMBOSS", "Identifier": "7"}
    assert told(only(module, "Error"), "ErrorCategory", "ErrorDescription") == ["MODULE", "not done here"]
    assert outer(only(module, "LogData/DataSet/Data")) == {"DataElement": "A", "Value": "B"}
    delivery = only(root, "DeliveryModuleLog")
    assert only(delivery, "RequestedDeliveryDate").get("RequestedDeliveryDate") == "20261201"
    assert "Branch" not in etree.tostring(root, encoding="unicode")
    assert "DOE" not in etree.tostring(root, encoding="unicode")


def test_a_single_card_names_the_modules_not_done_in_its_error(tmp_path: Path) -> None:
    """A CardAuditTrail has no ModuleLog."""
    extra = '</ModuleIdentifierCode><Module ModuleName="EMBOSS"><ProfileUniqueID>00</ProfileUniqueID></Module>'
    root = trail(spoiled(tmp_path, SINGLE, ("</ModuleIdentifierCode>", extra)))
    assert only(root, "CardConfigurationLog/Error").get("ErrorDescription") == "not done here: EMBOSS"


@pytest.mark.parametrize("sample", [PAYMENT, NATIVE, SINGLE, EXPORT], ids=lambda path: path.stem)
def test_no_data_of_a_card_is_in_its_trail(sample: Path) -> None:
    """Of a record's values only LOGDATA goes back."""
    request = etree.parse(sample).getroot()
    secret = {str(each.get("Value")) for each in every(request, "ICCData/DataSet/Data")}
    long = {value for value in secret if len(value) >= 8}
    assert long
    for root in trails(sample).values():
        text = etree.tostring(root, encoding="unicode")
        assert not [value for value in long if value in text]


def test_results_out_of_order_are_noticed() -> None:
    """Results that aren't those of the request never make a trail that looks right."""
    found = check(PAYMENT)
    [answer] = answers(found)
    whole = list(results(PAYMENT, found))
    for wrong in (whole[:8], whole[8:], [whole[9], *whole[:9]], [*whole, whole[0]], []):
        [document] = documents(answer, wrong)
        with pytest.raises(TrailError):
            document.write(io.BytesIO())


def test_results_of_a_notification_must_stand_together() -> None:
    """The second part of a notification's results would become a second trail of the same name."""
    found = check(EXPORT)
    [answer] = answers(found)
    first, second, _ = results(EXPORT, found)
    made: Iterator[object] = documents(answer, [first, second, first])
    with pytest.raises(TrailError, match="X0"):
        list(made)


def test_a_trail_that_the_schema_refuses_is_not_written() -> None:
    """A result with a malformed value raises before its part is written."""
    found = check(SINGLE)
    [answer] = answers(found)
    [record] = records(SINGLE, found)
    wrong = replace(plastic(record), identifier="no hex")
    out = io.BytesIO()
    [document] = documents(answer, [RecordResult(record=record, state=CardState.GOOD, plastics=(wrong,))])
    with pytest.raises(TrailError, match="IdentifierValue"):
        document.write(out)
    assert b"LogIdentifierCode" not in out.getvalue()
    out = io.BytesIO()
    [document] = documents(replace(answer, batch=replace(answer.batch, batch_id="")), [good(record)])
    with pytest.raises(TrailError, match="BatchID"):
        document.write(out)
    assert not out.getvalue()


def test_a_stem_is_fit_for_a_file_name() -> None:
    """Names that would leave the folder, or that only differ in what a file name can't hold, are kept apart."""
    assert stem("B2026-001") == "B2026-001"
    names = [stem(each) for each in ("../../etc/passwd", "a/b", "a_b", "a\\b", "", ".", "_", "x" * 300, "Ä")]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,120}", name) for name in names)


def test_a_later_trail_differs_by_its_date_only() -> None:
    """The same results make the same trail."""
    early, late = trail(SINGLE), trail(SINGLE, made=MADE + timedelta(days=1))
    assert etree.tostring(early) == etree.tostring(late)
