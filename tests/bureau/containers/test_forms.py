"""Every form of request, in every namespace, becomes the same orders."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from lxml import etree

from bureau.containers import Defaults, RefusedError
from bureau.containers.attributes import due
from bureau.containers.orders import order
from bureau.containers.submission import examine, records
from bureau.models import Envelope, Environment, Form, Interpreter, Preference
from hardware.iso7816 import AID
from hardware.keystores import KeyId, Transport
from hardware.perso.order import Action, Instructions, Order, Step, Target, TargetState
from tests.bureau.containers.known import (
    EXPORT,
    ISSUER,
    MESSAGING,
    NATIVE,
    PAYMENT,
    SINGLE,
    Bureau,
    check,
    refused,
    spoiled,
    uid,
)

VERSIONS = ("1.0.0", "1.1.0", "2.0.1", "2.1.0")
SECRET = Transport(key=KeyId(uid("01")), cbc=False)
PAYMENT_AID = AID(bytes.fromhex("A0000000041010"))
ANY_INTERPRETER = Interpreter(support=Preference.MANDATORY, type="", version="")


def orders(path: Path, known: Bureau | None = None) -> list[Order]:
    """Return the orders of a file that must be right."""
    found = check(path, known)
    return [order(record.xml) for record in records(path, found)]


def test_a_batch_keeps_its_levels_in_the_order_of_the_file() -> None:
    """The payment sample: one environment, two jobs, ten cards, with the envelope for the way back."""
    found = check(PAYMENT)
    [batch] = found.batches
    assert (batch.form, batch.batch_id, batch.issuer, batch.processing_entity, batch.user_data) == (
        Form.BATCH, "B2026-001", "TESTBANK", "BUREAU1", "PO-4711",
    )  # fmt: skip
    assert batch.envelope == Envelope(
        transaction_id="B2026-001-1", source="2B0601040181FD5901", destination="2B0601040181FD5902", message_version="2.0.1"
    )
    standard, urgent = batch.jobs
    assert (standard.job_id, standard.priority, standard.risk) == ("STANDARD", 3, 3)
    assert (urgent.job_id, urgent.priority, urgent.risk) == ("URGENT", 1, 1)
    assert standard.environment == Environment(name="CONTACT-GP", version="1,0", preference=Preference.COMPATIBLE)
    [lot] = urgent.lots
    assert (lot.generation_date, lot.card_product, lot.record_count, lot.stock, lot.profiles) == (
        "20261120101500", "GOLD", 2, "PLASTIC-GOLD", (uid("10"),),
    )  # fmt: skip
    assert (found.records, found.keys) == (10, dict.fromkeys(((0, 0), (0, 1)), frozenset({uid("01")})))
    assert not found.not_done
    assert not found.warnings
    places = [(each.batch, each.job, each.lot, each.container) for each in records(PAYMENT, found)]
    assert places == [(0, 0, 0, "B2026-001")] * 8 + [(0, 1, 0, "B2026-001")] * 2


def test_an_order_says_what_the_issuer_wants() -> None:
    """The first record of the payment sample, value by value, against the file read by other means."""
    first = orders(PAYMENT)[0]
    text = PAYMENT.read_text(encoding="utf-8")
    data = re.search(r"<ICCData>(.*?)</ICCData>", text)
    assert data is not None
    pairs = re.findall(r'DataElement="(\w+)" Value="(\w+)"', data[1])
    assert first.crn == "2B0601040181FD59638768"
    assert first.card_profiles == (uid("10"),)
    assert first.targets == (Target(aid=PAYMENT_AID, order=1, state=TargetState.PERSONALIZED),)
    [application] = first.applications
    assert (application.aid, application.profile) == (PAYMENT_AID, uid("20"))
    assert application.steps == (
        Step(action=Action.LOAD, code="LOAD", mandatory=False),
        Step(action=Action.INSTALL, code="INSTALL", mandatory=True),
        Step(
            action=Action.PERSONALIZE, code="PERSONALIZE", mandatory=True, data_set="PERSO",
            instructions=Instructions(
                order=("8000", "9000", "9010", "8010"), version_control=frozenset({"0203"}),
                encrypted=frozenset({"8000", "8010", "8201", "8202", "8203", "8204", "8205"}),
                groups=(("9102", "9104"),), security_level=3,
            ),
        ),
    )  # fmt: skip
    [perso] = application.data
    assert [(each.name, each.value) for each in perso.elements] == pairs
    secret = [name for name, _ in pairs if name.startswith("8")]
    assert [each.name for each in perso.elements if each.transport == SECRET] == secret
    assert [(each.name, each.value) for each in application.log[0].elements] == [("ISSUERREF", "000000001000")]


def test_a_native_batch_waits_for_its_interpreter_with_its_scripts() -> None:
    """The environment's interpreter and each step's script fragment are kept; nothing is checked as a DGI."""
    found = check(NATIVE)
    assert found.batches[0].jobs[0].environment.interpreter == Interpreter(
        support=Preference.MANDATORY, type="GP Scripting", version="1,1"
    )
    assert {each.applications[0].steps[0].script for each in orders(NATIVE)} == {"PERSONALIZE"}


@pytest.mark.parametrize("said", ["", 'CommandInterpreterSupport="3"'])
def test_a_job_with_scripts_waits_whatever_its_environment_says(tmp_path: Path, said: str) -> None:
    """An encoder without an interpreter would draw three blanks for each record and make none."""
    text = re.sub(r' CommandInterpreter\w+="[^"]*"', "", NATIVE.read_text(encoding="utf-8"))
    path = tmp_path / "native.xml"
    path.write_text(text.replace("<EnvironmentContainer ", f"<EnvironmentContainer {said} "), encoding="utf-8")
    assert check(path).batches[0].jobs[0].environment.interpreter == ANY_INTERPRETER


def test_a_single_card_with_a_script_waits_for_an_interpreter(tmp_path: Path) -> None:
    """A bare form has no place to ask for one."""
    path = spoiled(tmp_path, SINGLE, ("</PersoDeviceIns>", "</PersoDeviceIns><Script>PERSONALIZE</Script>"))
    assert check(path).batches[0].jobs[0].environment.interpreter == ANY_INTERPRETER
    assert check(SINGLE).batches[0].jobs[0].environment.interpreter is None


def test_a_single_card_takes_the_defaults() -> None:
    """Issuer from the command, environment from the product, stock from the profile, priority 2, risk 3."""
    [batch] = check(SINGLE).batches
    assert (batch.form, batch.batch_id, batch.issuer, batch.envelope) == (Form.CARD, "INSTANT-7", "TESTBANK", None)
    [job] = batch.jobs
    assert (job.job_id, job.priority, job.risk, job.environment_index) == ("INSTANT-7", 2, 3, 0)
    assert job.environment == Environment(name="CONTACT-GP", version="1,0", preference=Preference.COMPATIBLE)
    [lot] = job.lots
    assert (lot.record_count, lot.stock, lot.profiles, lot.due) == (1, "PLASTIC-BLUE", (uid("10"),), None)
    assert (lot.generation_date, lot.card_product) == ("", "")


def test_a_single_card_without_batch_id_goes_by_its_crn(tmp_path: Path) -> None:
    """Where the container has no BatchID and no envelope, the card's own reference stands for it."""
    path = spoiled(tmp_path, SINGLE, (' BatchID="INSTANT-7"', ""))
    found = check(path)
    assert found.batches[0].batch_id == "2B0601040181FD59639F20"
    assert [each.container for each in records(path, found)] == ["2B0601040181FD59639F20"]


def test_a_single_card_in_a_message_goes_by_its_transaction(tmp_path: Path) -> None:
    """Where the container has no BatchID, the message's TransactionID stands for it."""
    text = SINGLE.read_text(encoding="utf-8").replace(' BatchID="INSTANT-7"', "")
    card = text[text.index("<CardCustomization") :]
    header = '<GPHeader TransactionID="T-1" Source="00" Destination="01" Type="CARD_CUSTOMIZATION" MessageVersion="1.1.0"/>'
    path = tmp_path / "card.xml"
    path.write_text(
        f'<GPMessage xmlns="{MESSAGING}1.1.0">{header}<GPBody>{card}{card.replace("9F20", "9F21")}</GPBody></GPMessage>'
    )
    found = check(path)
    assert [batch.batch_id for batch in found.batches] == ["T-1", "T-1"]
    assert [(each.batch, each.crn[-4:]) for each in records(path, found)] == [(0, "9F20"), (1, "9F21")]


def test_all_notifications_of_a_file_are_one_batch() -> None:
    """The export's three notifications make one job for their card profile, each record under its own BatchID."""
    found = check(EXPORT)
    [batch] = found.batches
    assert (batch.form, batch.batch_id, len(batch.jobs)) == (Form.NOTIFICATION, "X0..X2", 1)
    assert (batch.jobs[0].lots[0].record_count, batch.jobs[0].lots[0].stock) == (3, "PLASTIC-WHITE")
    assert [(each.job, each.container) for each in records(EXPORT, found)] == [(0, "X0"), (0, "X1"), (0, "X2")]
    first = orders(EXPORT)[0]
    assert first.card_profiles == (uid("12"),)
    assert first.targets == (Target(aid=AID(bytes.fromhex("A0000000031010")), order=1),)
    assert [each.name for each in first.applications[0].data] == ["ADTA", "ENCD", "EMBD", "CHIP"]


def test_notifications_make_a_job_for_each_card_profile(tmp_path: Path) -> None:
    """Cards of two profiles can't be drawn from one stock."""
    known = Bureau()
    other = replace(known.cards[2], id=uid("13"), applications=(replace(known.cards[2].applications[0], profile=uid("23")),))
    known.cards = (*known.cards, other)
    known.applications = (*known.applications, replace(known.applications[2], id=uid("23")))
    known.products = (*known.products, replace(known.products[2], profiles=(uid("13"),)))
    text = EXPORT.read_text(encoding="utf-8")
    before, _, after = text.partition("596322")
    path = tmp_path / "export.xml"
    path.write_text(before + "596322" + after.replace("596322", "596323", 1), encoding="utf-8")
    found = check(path, known)
    assert [job.lots[0].profiles for job in found.batches[0].jobs] == [(uid("12"),), (uid("13"),)]
    assert [job.lots[0].record_count for job in found.batches[0].jobs] == [2, 1]
    assert [each.job for each in records(path, found)] == [0, 1, 0]
    assert [order(each.xml).card_profiles for each in records(path, found)] == [(uid("12"),), (uid("13"),), (uid("12"),)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("sample", [PAYMENT, NATIVE, SINGLE, EXPORT], ids=lambda path: path.stem)
def test_every_form_is_read_in_every_namespace(tmp_path: Path, sample: Path, version: str) -> None:
    """The namespace changes nothing in what is ordered."""
    text = re.sub(r"systems-messaging/[0-9.]+", f"systems-messaging/{version}", sample.read_text(encoding="utf-8"))
    if version[0] == "2":
        text = text.replace('CollatorStatus="4"', 'CollatorStatus="04"')
    else:
        text = text.replace('CollatorStatus="04"', 'CollatorStatus="4"').replace('Requirement="01"', 'Requirement="1"')
        text = text.replace("ScriptFragment>", "Script>")
    path = tmp_path / "file.xml"
    path.write_text(text, encoding="utf-8")
    assert orders(path) == orders(sample)
    assert {batch.namespace for batch in check(path).batches} == {MESSAGING + version}


@pytest.mark.parametrize("sample", [PAYMENT, SINGLE, EXPORT], ids=lambda path: path.stem)
@pytest.mark.parametrize("depth", [1, 5])
def test_a_vendors_wrapper_may_stand_around_any_form(tmp_path: Path, sample: Path, depth: int) -> None:
    """Elements that aren't GlobalPlatform's are looked into, whatever text and namespaces they carry."""
    text = sample.read_text(encoding="utf-8").partition("?>")[2]
    path = tmp_path / "file.xml"
    before = '<v:Wrap xmlns:v="urn:vendor" xmlns="urn:x" a="1">text' * depth
    path.write_text(f"{before}{text}<v:Trailer/>{'</v:Wrap>' * depth}", encoding="utf-8")
    assert orders(path) == orders(sample)


def test_what_the_issuer_says_for_itself_is_kept(tmp_path: Path) -> None:
    """As names and values, in order, also where one says nothing; the next request of the file hasn't said it."""
    pairs = '<Data DataElement="COST" Value="4711"/><Data Value="by noon"/><Data DataElement="COST" Value="&#252;"/>'
    context = f"<MessageContext>{pairs}</MessageContext><MessageContext><Data DataElement='LAST'/></MessageContext>"
    before, after = 'MessageVersion="2.0.1"/>', 'MessageVersion="2.0.1">'
    file = spoiled(tmp_path, PAYMENT, (before, f"{after}{context}</GPHeader>"))
    parts = [each.read_text(encoding="utf-8").partition("?>")[2] for each in (file, SINGLE)]
    file.write_text(f"<All>{''.join(parts)}</All>", encoding="utf-8")
    batch, other = check(file).batches
    assert other.context == ()
    assert batch.user_data == "PO-4711"
    assert batch.context == (("COST", "4711"), ("", "by noon"), ("COST", "ü"), ("LAST", ""))
    assert check(PAYMENT).batches[0].context == ()
    pair = f'<Data Value="{"x" * 1000}"/>'
    longest = f"{after}<MessageContext>{pair * 100}</MessageContext></GPHeader>"
    (batch,) = check(spoiled(tmp_path, PAYMENT, (before, longest))).batches
    assert batch.context == (("", "x" * 1000),) * 100


def test_the_envelope_may_be_absent(tmp_path: Path) -> None:
    """A bare BatchCardCustomization is a batch without a way to address its answer."""
    text = PAYMENT.read_text(encoding="utf-8")
    bare = text[text.index("<BatchCardCustomization") : text.index("</GPBody>")]
    names = f'xmlns="{MESSAGING}2.0.1" xmlns:p="http://namespaces.globalplatform.org/systems-profiles/1.2.0"'
    path = tmp_path / "bare.xml"
    path.write_text(bare.replace("<BatchCardCustomization", f"<BatchCardCustomization {names}"), encoding="utf-8")
    assert orders(path) == orders(PAYMENT)
    assert check(path).batches[0].envelope is None


def test_a_file_may_hold_several_requests_of_several_namespaces(tmp_path: Path) -> None:
    """Each container keeps its own form and namespace, and each record its place."""
    parts = [each.read_text(encoding="utf-8").partition("?>")[2] for each in (SINGLE, PAYMENT, EXPORT)]
    path = tmp_path / "file.xml"
    path.write_text(f"<All>{''.join(parts)}</All>", encoding="utf-8")
    found = check(path)
    assert [(batch.form, batch.namespace[-5:]) for batch in found.batches] == [
        (Form.CARD, "1.1.0"), (Form.BATCH, "2.0.1"), (Form.NOTIFICATION, "1.0.0"),
    ]  # fmt: skip
    assert [each.batch for each in records(path, found)] == [0] + [1] * 10 + [2] * 3
    assert orders(path) == orders(SINGLE) + orders(PAYMENT) + orders(EXPORT)


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "UTF-16"),
        ("latin-1", "ISO-8859-1"),
        ("cp1252", "windows-1252"),
    ],
)
def test_the_declared_encoding_is_read(tmp_path: Path, encoding: str, declared: str) -> None:
    """Text beyond ASCII comes out the same, whatever the file's encoding."""
    text = EXPORT.read_text(encoding="utf-8").replace("PLASTIC-BLUE", "Plastík-ÄÖ").replace("UTF-8", declared)
    text = text.replace('Encoding="ASCII"', "")
    path = tmp_path / "file.xml"
    path.write_bytes(text.encode(encoding))
    known = Bureau()
    free = tuple(replace(each, encoding=type(each.encoding)("UTF8")) for each in known.applications[2].elements[-3:])
    known.applications = (replace(known.applications[2], elements=known.applications[2].elements[:-3] + free),)
    first = orders(path, known)[0]
    assert first.applications[0].data[0].elements[1].value == "Plastík-ÄÖ"


def test_due_dates_are_plant_time() -> None:
    """A job is due at the end of the day where the plant is; the ledger keeps UTC."""
    found = examine(PAYMENT, Bureau(), Defaults(plant=ZoneInfo("America/New_York")))
    assert [job.lots[0].due for job in found.batches[0].jobs] == [
        datetime(2026, 12, 11, 4, 59, 59, tzinfo=UTC),
        datetime(2026, 11, 25, 4, 59, 59, tzinfo=UTC),
    ]
    assert found.batches[0].jobs[0].lots[0].required_date == "20261210"


@pytest.mark.parametrize(
    ("zone", "written", "expected"),
    [
        ("Europe/Berlin", "20260328", datetime(2026, 3, 28, 22, 59, 59, tzinfo=UTC)),
        ("Europe/Berlin", "20260329", datetime(2026, 3, 29, 21, 59, 59, tzinfo=UTC)),
        ("Europe/Berlin", "20260329023000", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("Europe/Berlin", "20261025023000", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("America/New_York", "99991231", datetime(9999, 1, 1, 4, 59, 59, tzinfo=UTC)),
        ("Asia/Tokyo", "99991231235959", datetime(9998, 12, 30, 15, tzinfo=UTC)),
    ],
)
def test_due_dates_around_the_edges(zone: str, written: str, expected: datetime) -> None:
    """Summer time begins and ends, an hour that isn't there, one that comes twice, and the end of the calendar."""
    assert due(written, ZoneInfo(zone)) == expected


def test_what_a_job_may_omit_has_a_default(tmp_path: Path) -> None:
    """JobID, priority, risk, stock and due date are optional in a batch."""
    path = spoiled(
        tmp_path,
        PAYMENT,
        ('JobID="STANDARD" JobPriorityLevel="3" RiskLevel="3"', ""),
        (' PlasticStockID="PLASTIC-BLUE" RequiredProcessingDate="20261210"', ""),
    )
    job = check(path).batches[0].jobs[0]
    assert (job.job_id, job.priority, job.risk) == ("B2026-001", 2, 3)
    assert (job.lots[0].stock, job.lots[0].required_date, job.lots[0].due) == ("PLASTIC-BLUE", None, None)


COMMON = f"""<CommonDataContainer><CommonModuleIdentifierCode Identifier="%s">
<CardCommonConfiguration CollatorStatus="00"><ValidCardProfileID>{uid("10")}</ValidCardProfileID>
<AID AID="A0000000041010" Order="1" TargeState="PERSONALIZED"/></CardCommonConfiguration>
<ApplicationCommonData><ApplicationData>%s<ICCData><DataSet Name="PERSO"><Data DataElement="9010" Value="FFFF"/>
<Data DataElement="9110" Value="0A0B"/></DataSet></ICCData></ApplicationData></ApplicationCommonData>
</CommonModuleIdentifierCode><GenericModule ModuleName="MAGSTRIPE"><ProfileUniqueID>00</ProfileUniqueID></GenericModule>
</CommonDataContainer><DataContainer>"""
SAME_AID = '<AID AID="a0000000041010" Order="1"/>'
SAME_PROFILE = f"<ApplicationProfileUniqueID>{uid('20')}</ApplicationProfileUniqueID>"


def test_a_record_overrides_common_data_in_either_case(tmp_path: Path) -> None:
    """910a and 910A are one element, which doesn't then stand twice."""
    common = (COMMON % ("ANY", SAME_AID)).replace("9010", "910a").replace("9110", "910b")
    path = spoiled(tmp_path, PAYMENT, ("<DataContainer>", common))
    path = spoiled(
        tmp_path, path, ('<Data DataElement="9010"', '<Data DataElement="910A" Value="01"/><Data DataElement="9010"')
    )
    first = {each.name: each.value for each in orders(path)[0].applications[0].data[0].elements}
    assert (first["910A"], first["910B"]) == ("01", "0A0B")


@pytest.mark.parametrize("identifier", ["EMVCHIP", "ANY"])
@pytest.mark.parametrize("about", [SAME_AID, SAME_PROFILE, SAME_AID + SAME_PROFILE, ""])
def test_common_data_is_merged_into_each_card(tmp_path: Path, identifier: str, about: str) -> None:
    """What the record lacks comes from the common container; what it gives itself stays."""
    path = spoiled(tmp_path, PAYMENT, ("<DataContainer>", COMMON % (identifier, about)))
    tree = etree.parse(path)
    lot = tree.find(".//{*}DataContainerHeader")
    assert lot is not None
    for card in lot.iterfind(".//{*}CardConfiguration"):
        for lent in [*card.iterchildren("{*}ValidCardProfileID"), *card.iterchildren("{*}AID")]:
            card.remove(lent)
    tree.write(path)
    found = check(path)
    read = [order(record.xml) for record in records(path, found)]
    plain = orders(PAYMENT)
    assert found.not_done == {"GenericModule MAGSTRIPE": 8}
    for merged, before in zip(read[:8], plain[:8], strict=True):
        assert (merged.card_profiles, merged.targets) == (before.card_profiles, before.targets)
        [perso] = merged.applications[0].data
        assert [each.name for each in perso.elements] == [
            "9110", *(each.name for each in before.applications[0].data[0].elements),
        ]  # fmt: skip
        assert merged.applications[0].steps == before.applications[0].steps
    assert read[8].applications == plain[8].applications


def test_common_data_of_another_application_is_added(tmp_path: Path) -> None:
    """An application that the records don't name themselves is made on each card."""
    known = Bureau()
    second = replace(known.cards[0].applications[0], aid=AID(bytes.fromhex("A000000099")))
    known.cards = (replace(known.cards[0], applications=(*known.cards[0].applications, second)), *known.cards[1:])
    step = '<ProcessingStep Action="PERSONALIZE" Requirement="01"/>'
    common = COMMON % ("ANY", '<AID AID="A000000099" Order="2"/>' + SAME_PROFILE + step)
    path = spoiled(tmp_path, PAYMENT, ("<DataContainer>", common))
    read = orders(path, known)
    assert [len(each.applications) for each in read] == [2] * 8 + [1] * 2
    assert [str(each.aid) for each in read[0].targets] == ["A0000000041010", "A000000099"]


def test_a_fault_in_common_data_is_told_at_its_own_line(tmp_path: Path) -> None:
    """The common container is checked itself, and what it breaks in a record points back to it."""
    common = (COMMON % ("ANY", SAME_AID)).replace('Value="0A0B"', 'Value="0A0"').replace("\n", "\n\n")
    path = spoiled(tmp_path, PAYMENT, ("<DataContainer>", common))
    problems = refused(path)
    line = path.read_text(encoding="utf-8").partition('DataElement="9110"')[0].count("\n") + 1
    assert {(each.line, each.element) for each in problems} == {(line, "9110")}
    assert [each.record for each in problems] == list(range(1, 9))


def test_common_data_of_a_notification_is_merged(tmp_path: Path) -> None:
    """Elements that all cards of one notification share stand once."""
    common = (
        '<ns:ApplicationCommonData><ns:ApplicationData><ns:AID AID="A0000000031010" Order="1"/>'
        f"<ns:ApplicationProfileUniqueID>{uid('22')}</ns:ApplicationProfileUniqueID>"
        '<ns:ICCData><ns:DataSet Name="EMBD"><ns:Data DataElement="CRDN" Value="SHARED"/></ns:DataSet></ns:ICCData>'
        "</ns:ApplicationData></ns:ApplicationCommonData><ns:ApplicationDataPerCRN>"
    )
    own = '<ns:DataSet Name="EMBD"><ns:Data DataElement="CRDN" Value="DOE/JANE"/></ns:DataSet>'
    path = spoiled(tmp_path, EXPORT, ("<ns:ApplicationDataPerCRN>", common), (own, ""))
    first, second = orders(path)[:2]
    names = [(each.name, each.value) for data in first.applications[0].data for each in data.elements]
    assert ("CRDN", "SHARED") in names
    assert second == orders(EXPORT)[1]


def test_a_container_may_hold_several_cards(tmp_path: Path) -> None:
    """A DataContainer repeats its group: each ModuleIdentifierCode is one card."""
    text = PAYMENT.read_text(encoding="utf-8").replace("</DataContainer><DataContainer>", "")
    path = tmp_path / "file.xml"
    path.write_text(text, encoding="utf-8")
    assert orders(path) == orders(PAYMENT)
    assert [each.xml for each in records(path, check(path))] == [each.xml for each in records(PAYMENT, check(PAYMENT))]


@pytest.mark.parametrize(("version", "name"), [("2.0.1", "GenericModule"), ("1.0.0", "Module"), ("1.1.0", "GenericModule")])
def test_what_is_not_done_here_is_kept_and_counted(tmp_path: Path, version: str, name: str) -> None:
    """Magnetic stripe, embossing and delivery stay in the record and are counted."""
    extra = (
        f'</ModuleIdentifierCode><{name} ModuleName="EMBOSS"><ProfileUniqueID>00</ProfileUniqueID><ModuleData><DataSet>'
        f'<Data DataElement="LINE1" Value="A B"/></DataSet></ModuleData></{name}><DeliveryModule><RequestedDeliveryDate'
        ' RequestedDeliveryDate="20261201"/><ShippingInformation><Data Value="x"/></ShippingInformation></DeliveryModule>'
    )
    path = spoiled(tmp_path, PAYMENT, ("</ModuleIdentifierCode>", extra), times=2)
    text = path.read_text(encoding="utf-8").replace(f"{MESSAGING}2.0.1", MESSAGING + version)
    path.write_text(text, encoding="utf-8")
    found = check(path)
    assert found.not_done == {"GenericModule EMBOSS": 2, "DeliveryModule": 2}
    kept = etree.fromstring(next(records(path, found)).xml)
    assert kept.find(f"{{{MESSAGING}{version}}}{name}") is not None
    assert orders(path) == orders(PAYMENT)


def test_a_signature_in_the_header_is_refused_too(tmp_path: Path) -> None:
    """Signatures are refused wherever they stand, since nobody verifies them."""
    header = 'MessageVersion="2.0.1"><s:Signature xmlns:s="http://www.w3.org/2000/09/xmldsig#"/></GPHeader>'
    [problem] = refused(spoiled(tmp_path, PAYMENT, ('MessageVersion="2.0.1"/>', header)))
    assert (problem.line, problem.element, problem.record) == (2, "Signature", None)


def test_cbc_and_its_vector_are_kept(tmp_path: Path) -> None:
    """A transport key says how its cipher is used."""
    path = spoiled(tmp_path, SINGLE, ('Algorithm="ECB"', 'Algorithm="CBC" AlgorithmParameters="0102030405060708"'))
    element = orders(path)[0].applications[0].data[0].elements[-1]
    assert element.transport == Transport(key=KeyId(uid("01")), cbc=True, iv=bytes.fromhex("0102030405060708"))


@pytest.mark.parametrize("xml", [b"<DataContainer xmlns='x'/>", b"<a/>"])
def test_a_damaged_record_is_no_order(xml: bytes) -> None:
    """A sealed record without its parts raises, and the message holds no data."""
    with pytest.raises(ValueError, match="CRN/@Number is missing"):
        order(xml)


def test_a_file_that_changed_is_noticed_at_the_end(tmp_path: Path) -> None:
    """The records of another file than the one that was checked are refused."""
    path = spoiled(tmp_path, PAYMENT)
    found = check(path)
    path.write_text(path.read_text(encoding="utf-8").replace("DOE/JANE", "X").replace("0303", "0304"), encoding="utf-8")
    with pytest.raises(RefusedError, match="changed"):
        list(records(path, found))


def test_progress_is_told_in_bytes() -> None:
    """The last call says that everything was read."""
    told: list[tuple[int, int]] = []
    examine(PAYMENT, Bureau(), ISSUER, lambda read, total: told.append((read, total)))
    size = PAYMENT.stat().st_size
    assert told[-1] == (size, size)
