"""Everything for which a file is refused, with the line, the card and the element that are to blame."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bureau.containers import Defaults, Problem, RefusedError
from bureau.containers.submission import examine
from hardware.keystores import KeyId, Mode
from tests.bureau.containers.known import (
    CARDS,
    EXPORT,
    ISSUER,
    KEYS,
    NATIVE,
    PAYMENT,
    PRODUCTS,
    SINGLE,
    Bureau,
    check,
    refused,
    spoiled,
    uid,
)

FIRST = "2B0601040181FD59638768"
SIGNATURE = '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo/></ds:Signature>'
TK = 'ID="2B0601040181FD596301"'
COLLATOR, COUNT = "CardConfiguration/@CollatorStatus", "DataContainerHeader/@CardRecordCount"
KEY_ID, VECTOR = "TransportKey/@ID", "TransportKey/@AlgorithmParameters"
PROFILE, VALID = "ApplicationProfileUniqueID", "ValidCardProfileID"
OPTIONAL_KEY = '<p:TransportKey ID="2B0601040181FD596301" Name="TK-TEST-1" Version="01" Algorithm="ECB"/>'

IN_RECORD = [
    ("crn missing", f'<CRN Number="{FIRST}"/>\n', "\n", 4, "CRN/@Number", "missing", False),
    ("crn without number", f'<CRN Number="{FIRST}"/>', "<CRN/>", 4, "CRN/@Number", "is missing", False),
    ("crn not hex", f'Number="{FIRST}"', 'Number="2B06XY"', 4, "CRN/@Number", "hex digits", False),
    ("crn of odd length", f'Number="{FIRST}"', 'Number="2B0"', 4, "CRN/@Number", "hex digits", False),
    ("collator status", 'CollatorStatus="04"', 'CollatorStatus="4"', 4, COLLATOR, "00 to 04", True),
    ("collator missing", ' CollatorStatus="04"', "", 4, COLLATOR, "is missing", True),
    ("collation asked", 'CollatorStatus="04"', 'CollatorStatus="01"', 4, COLLATOR, "collation", True),
    ("collation with data", 'CollatorStatus="04"', 'CollatorStatus="02"', 4, COLLATOR, "collation", True),
    ("card profile", "<ValidCardProfileID>2B", "<ValidCardProfileID>B", 5, VALID, "hex digits", True),
    ("no card profile", f"<{VALID}>2B0601040181FD596310</{VALID}>", "", 4, VALID, "is missing", True),
    ("unknown card profile", "596310</Valid", "596399</Valid", 4, VALID, "isn't registered", True),
    ("aid of four bytes", 'AID="A0000000041010"', 'AID="A0000000"', 5, "AID/@AID", "5 to 16 bytes", True),
    ("aid of 17 bytes", 'AID="A0000000041010"', f'AID="{"A0" * 17}"', 5, "AID/@AID", "5 to 16 bytes", True),
    ("order not a number", 'Order="1"', 'Order="first"', 5, "AID/@Order", "a number", True),
    ("target state", 'TargeState="PERSONALIZED"', 'TargeState="LOCKED"', 5, "AID/@TargeState", "INSTALLED", True),
    ("application aid", 'Data><AID AID="A0000000041010"', 'Data><AID AID="A0"', 6, "AID/@AID", "5 to 16", True),
    ("application profile", "<ApplicationProfileUniqueID>2", "<ApplicationProfileUniqueID>X", 6, PROFILE, "hex", True),
    ("unknown profile", "596320</Appl", "596398</Appl", 6, PROFILE, "isn't registered", True),
    ("action", 'Action="LOAD"', 'Action="ERASE"', 7, "ProcessingStep/@Action", "'ERASE' is unknown", True),
    ("action missing", 'Action="LOAD" ', "", 7, "ProcessingStep/@Action", "is missing", True),
    ("requirement", 'Requirement="00"', 'Requirement="02"', 7, "ProcessingStep/@Requirement", "00 or 01", True),
    ("one digit in 2.x", 'Requirement="00"', 'Requirement="0"', 7, "ProcessingStep/@Requirement", "00 or 01", True),
    ("requirement missing", ' Requirement="00"', "", 7, "ProcessingStep/@Requirement", "is missing", True),
    ("step without set", 'DataSet="PERSO"', 'DataSet="OTHER"', 8, "ProcessingStep/@DataSet", "doesn't have", True),
    ("instruction", 'DataElement="ORDER"', 'DataElement="HURRY"', 8, "PersoDeviceIns/Data/@DataElement", "unknown", True),
    ("security level", 'SECLEV" Value="03"', 'SECLEV" Value="3"', 9, "PersoDeviceIns/SECLEV", "one byte", True),
    ("order lacks", 'Value="8000 9000 9010 8010"', 'Value="8000 9099"', 8, "9099", "ORDER names it", True),
    ("group lacks", 'Value="9102 9104"', 'Value="9102 9199"', 9, "9199", "GROUP names it", True),
    ("secret not in ENC", 'Value="8000 8010 8201', 'Value="8000 8201', 10, "8010", "ENC doesn't list it", True),
    ("clear but in ENC", 'Value="8000 8010 8201', 'Value="9010 8000 8010 8201', 10, "9010", "stands clear", True),
    ("dgi not hex", 'DataElement="9010" Value="0303"', 'DataElement="9010" Value="03G3"', 10, "9010", "not hex", True),
    ("value missing", 'DataElement="9010" Value="0303"', 'DataElement="9010"', 10, "Data/@Value", "is missing", True),
    ("element missing", 'DataElement="9010" Value', "Value", 10, "Data/@DataElement", "is missing", True),
    ("unknown transport key", TK, "ID=\"2B0601040181FD596397\"", 10, KEY_ID, "isn't registered", True),
    ("a master key as transport", TK, "ID=\"2B0601040181FD596302\"", 10, KEY_ID, "no transport", True),
    ("transport key by name", f"{TK} Name", "Name", 10, KEY_ID, "by its ID, not by its Name", True),
    ("transport key not hex", TK, 'ID="TK"', 10, KEY_ID, "hex digits", True),
    ("key algorithm", 'Algorithm="ECB"', 'Algorithm="CTR"', 10, "TransportKey/@Algorithm", "CBC or ECB", True),
    ("vector", 'Algorithm="ECB"', 'Algorithm="CBC" AlgorithmParameters="00"', 10, VECTOR, "1 bytes", True),
    ("vector not hex", 'Algorithm="ECB"', 'Algorithm="CBC" AlgorithmParameters="0"', 10, VECTOR, "hex", True),
    ("modes mixed", TK, "ID=\"2B0601040181FD596304\"", 10, KEY_ID, "PRODUCTION key", True),
    ("signature", "</ICCData>", f"</ICCData>{SIGNATURE}", 10, "Signature", "verify", True),
    ("secure element", "<ValidCard", "<SecureElementId/><ValidCard", 5, "SecureElementId", "mobile", True),
    ("se command", "</PersoDeviceIns></Proc", "</PersoDeviceIns><SECommand/></Proc", 9, "SECommand", "isn't done", True),
    ("unknown element", "<LogData>", "<Extra/><LogData>", 10, "Extra", "not expected", True),
    ("unknown attribute", 'Requirement="00"', 'Requirement="00" Hue="red"', 7, "ProcessingStep/@Hue", "known", True),
    ("old name in 2.x", "</PersoDeviceIns>", "</PersoDeviceIns><Script/>", 9, "Script", "not expected", True),
    ("stray text", "<ICCData>", "<ICCData>hello", 10, "ICCData", "Character content", True),
    ("set without data", '<Data DataElement="ISSUERREF" Value="000000001000"/>', "", 10, "DataSet", "Missing child", True),
    ("key namespace", "<p:TransportKey ", "<Transport ", 10, "Transport", "not expected", True),
    ("no key element", OPTIONAL_KEY, "<p:Wrapping/>", 10, "Wrapping", "TransportKey", True),
]  # fmt: skip


HEADER_ENDS = 'MessageVersion="2.0.1"/>'


def context(pairs: str) -> str:
    """Return a message's criteria and the end of its header."""
    return f'MessageVersion="2.0.1"><MessageContext>{pairs}</MessageContext></GPHeader>'


IN_FRAME = [
    ("batch id missing", ' BatchID="B2026-001"', "", 3, "BatchCardCustomization/@BatchID", "is missing"),
    ("batch id empty", 'BatchID="B2026-001"', 'BatchID=""', 3, "BatchCardCustomization/@BatchID", "isn't empty"),
    ("issuer missing", ' IssuingEntity="TESTBANK"', "", 3, "BatchCardCustomization/@IssuingEntity", "is missing"),
    ("processor missing", ' ProcessingEntity="BUREAU1"', "", 3, "BatchCardCustomization/@ProcessingEntity", "is missing"),
    ("unknown attribute", 'UserData="PO-4711"', 'Cost="12"', 3, "BatchCardCustomization/@Cost", "isn't known"),
    ("preference", 'Preference="2"', 'Preference="4"', 4, "EnvironmentContainer/@Preference", "1, 2 or 3"),
    ("preference missing", ' Preference="2"', "", 4, "EnvironmentContainer/@Preference", "is missing"),
    ("environment", ' EnvironmentName="CONTACT-GP"', "", 4, "EnvironmentContainer/@EnvironmentName", "is missing"),
    ("priority", 'JobPriorityLevel="3"', 'JobPriorityLevel="0"', 4, "JobContainer/@JobPriorityLevel", "1, 2 or 3"),
    ("risk", 'RiskLevel="3"', 'RiskLevel="high"', 4, "JobContainer/@RiskLevel", "1, 2 or 3"),
    ("no such day", "20261120101500", "20260230101500", 4, "DataContainerHeader/@DataGenerationDate", "real date"),
    ("no such hour", "20261120101500", "20261120251500", 4, "DataContainerHeader/@DataGenerationDate", "real date"),
    ("due date", '"20261210"', '"2026-12-10"', 4, "DataContainerHeader/@RequiredProcessingDate", "real date"),
    ("date of 12 digits", '"20261210"', '"202612101200"', 4, "DataContainerHeader/@RequiredProcessingDate", "real date"),
    ("date missing", 'DataGenerationDate="20261120101500" ', "", 4, "DataContainerHeader/@DataGenerationDate", "is missing"),
    ("count missing", 'CardRecordCount="8" ', "", 4, COUNT, "is missing"),
    ("count no number", 'CardRecordCount="8"', 'CardRecordCount="8.0"', 4, COUNT, "whole number"),
    ("count", 'CardRecordCount="8"', 'CardRecordCount="9"', 4, COUNT, "says 9, but there are 8"),
    ("unknown element", "<JobContainer ", "<Surprise/><JobContainer ", 4, "Surprise", "isn't expected here"),
    ("stray text", "<JobContainer ", "hello<JobContainer ", 4, "EnvironmentContainer", "text"),
    ("header missing", "<GPHeader TransactionID", "<GPHeeder TransactionID", 2, "GPHeeder", "isn't expected here"),
    ("transaction missing", 'TransactionID="B2026-001-1" ', "", 2, "GPHeader/@TransactionID", "is missing"),
    ("source not hex", 'Source="2B', 'Source="XB', 2, "GPHeader/@Source", "hex digits"),
    ("message type", 'Type="BATCH_CARD_CUSTOMIZATION"', 'Type="CALL_BLOCK"', 2, "GPHeader/@Type", "message types"),
    ("message version", 'MessageVersion="2.0.1"', 'MessageVersion="2"', 2, "GPHeader/@MessageVersion", "three numbers"),
    ("mobile body", "<GPBody>", "<GPBody><ServiceDeploymentRequest/>", 3, "ServiceDeploymentRequest", "mobile-NFC"),
    ("profile body", "<GPBody>", "<GPBody><AP/>", 3, "AP", "bureau profiles add"),
    ("key body", "<GPBody>", '<GPBody><KeyExchange UniqueID="00"/>', 3, "KeyExchange", "bureau keys import"),
    ("another request", "<GPBody>", "<GPBody><ApplicationDataRequest/>", 3, "ApplicationDataRequest", "doesn't ask"),
    ("foreign namespace inside", "<JobContainer ", '<x:Job xmlns:x="urn:x"/><JobContainer ', 4, "Job", "urn:x"),
    ("long user data", '"PO-4711"', f'"{"x" * 1001}"', 3, "BatchCardCustomization/@UserData", "at most 1000 characters"),
    ("no criteria", HEADER_ENDS, context(""), 2, "MessageContext", "Missing child"),
    ("many criteria", HEADER_ENDS, context("<Data/>" * 101), 2, "MessageContext", "holds 101 pairs; at most 100"),
    ("long criterion", HEADER_ENDS, context(f'<Data Value="{"x" * 1001}"/>'), 2, "Data/@Value", "1001 characters; at most"),
    ("long name", HEADER_ENDS, context(f'<Data DataElement="{"x" * 1001}"/>'), 2, "Data/@DataElement", "at most 1000"),
    ("criterion of text", HEADER_ENDS, context("<Data>4711</Data>"), 2, "Data", "content"),
    ("empty container", "<JobContainer JobID", "<EnvironmentX/><JobContainer JobID", 4, "EnvironmentX", "isn't expected"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "line", "element", "says", "named"),
    [pytest.param(*case[1:], id=case[0]) for case in IN_RECORD],
)
def test_a_fault_in_a_record_is_named_with_line_card_and_element(
    tmp_path: Path, before: str, after: str, line: int, element: str, says: str, named: bool
) -> None:
    """The first card of the batch is spoiled in one way; the answer says where, and which card it is."""
    problems = refused(spoiled(tmp_path, PAYMENT, (before, after)))
    found = [each for each in problems if each.element == element and says in each.message]
    assert found, problems
    assert (found[0].line, found[0].record) == (line, 1)
    assert found[0].crn == (FIRST if named else None)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("before", "after", "line", "element", "says"), [pytest.param(*case[1:], id=case[0]) for case in IN_FRAME]
)
def test_a_fault_in_the_frame_is_named_with_line_and_element(
    tmp_path: Path, before: str, after: str, line: int, element: str, says: str
) -> None:
    """The frame around the cards is spoiled in one way; the answer says where."""
    problems = refused(spoiled(tmp_path, PAYMENT, (before, after)))
    found = [each for each in problems if each.element == element and says in each.message]
    assert len(found) == 1, problems
    assert (found[0].line, found[0].record, found[0].crn) == (line, None, None)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "no element found"),
        ("this is no XML", 1, "syntax error"),
        ("<a>\n<b>\n</a>", 3, "mismatched tag"),
        ('<?xml version="1.0"?>\n<!DOCTYPE a>\n<a/>', 2, "DOCTYPE"),
        ('<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;&x;&x;&x;">]><a b="&z;">&z;</a>', 1, "DOCTYPE"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', 1, "DOCTYPE"),
        ("<a>&undefined;</a>", 1, "undefined entity"),
        ("<a/>", 1, "expected GPMessage, BatchCardCustomization"),
        ('<?xml version="1.0" encoding="EBCDIC-XX"?><a/>', 1, "encoding"),
        ("<a>" * 100, 1, "nested deeper"),
        ("<x:a/>", 1, "unbound prefix"),
        ('<CardProfile xmlns="http://namespaces.globalplatform.org/systems-profiles/1.1.1"/>', 1, "bureau profiles add"),
    ],
)
def test_a_file_that_is_no_issuer_file_is_refused(tmp_path: Path, text: str, line: int, says: str) -> None:
    """What isn't XML, carries a DOCTYPE or holds no request is refused with the place and the reason."""
    path = tmp_path / "file.xml"
    path.write_text(text, encoding="utf-8")
    [problem] = refused(path)
    assert problem.line == line
    assert says in problem.message


@pytest.mark.parametrize("namespace", ["http://namespaces.globalplatform.org/systems-messaging/3.0.0", "urn:other", None])
@pytest.mark.parametrize("sample", [PAYMENT, SINGLE, EXPORT])
def test_an_unknown_namespace_is_refused_by_its_name(tmp_path: Path, sample: Path, namespace: str | None) -> None:
    """A container in a namespace that this bureau doesn't know is never guessed at."""
    text = sample.read_text(encoding="utf-8")
    known = re.search(r"http://namespaces.globalplatform.org/systems-messaging/[0-9.]+", text)
    assert known is not None
    if namespace is None:
        text = text.replace(f' xmlns="{known[0]}"', "").replace("<ns:", "<").replace("</ns:", "</")
    path = tmp_path / "file.xml"
    path.write_text(text.replace(known[0], namespace or known[0]), encoding="utf-8")
    problems = refused(path)
    assert all(f"unknown namespace '{namespace or ''}'" in problem.message for problem in problems)
    assert len(problems) == (3 if sample is EXPORT else 1)


def test_every_error_of_a_file_is_listed(tmp_path: Path) -> None:
    """Faults in the frame, in two cards and of different kinds come back together, in the order of their lines."""
    second = "2B0601040181FD59638769"
    path = spoiled(
        tmp_path,
        PAYMENT,
        ('Preference="2"', 'Preference="9"'),
        ('Action="LOAD"', 'Action="ERASE"'),
        ('Requirement="00"', 'Requirement="07"'),
        (f'Number="{second}"', 'Number="00F"'),
        ('CardRecordCount="2"', 'CardRecordCount="3"'),
    )
    problems = refused(path)
    assert [(each.line, each.record, each.element) for each in problems] == [
        (4, None, "EnvironmentContainer/@Preference"),
        (7, 1, "ProcessingStep/@Requirement"),
        (7, 1, "ProcessingStep/@Action"),
        (10, 2, "CRN/@Number"),
        (52, None, COUNT),
    ]


def test_after_a_syntax_error_the_problems_found_so_far_are_listed_too(tmp_path: Path) -> None:
    """A file that breaks off says what was wrong before."""
    path = spoiled(tmp_path, PAYMENT, ('Action="LOAD"', 'Action="ERASE"'))
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.index("2B0601040181FD5963876A") + 200], encoding="utf-8")
    problems = refused(path)
    assert [(each.element, each.line) for each in problems] == [("ProcessingStep/@Action", 7), ("file", 18)]
    assert "not well-formed" in problems[1].message


def test_a_reference_twice_in_a_file_is_refused(tmp_path: Path) -> None:
    """The second card says which one has its CRN, whatever the case of its digits."""
    [problem] = refused(spoiled(tmp_path, PAYMENT, ("2B0601040181FD59638F51", FIRST.lower())))
    assert (problem.record, problem.crn, problem.line) == (10, FIRST, 58)
    assert "card 1" in problem.message


def test_a_reference_in_use_is_refused() -> None:
    """A CRN known for that issuer and not withdrawn is refused; another issuer's isn't."""
    crns = ("2B0601040181FD59638F50", "2B0601040181FD5963876A")
    known = Bureau(used=frozenset({("TESTBANK", crns[0]), ("OTHERBANK", crns[1])}))
    [problem] = refused(PAYMENT, known)
    assert (problem.record, problem.crn, problem.line, problem.element) == (9, crns[0], 52, "CRN/@Number")
    assert problem.message == ("is in use by TESTBANK")
    assert known.asked == [10]


def test_the_same_file_again_is_refused_by_its_hash() -> None:
    """The answer says as what it was accepted; nothing else is complained about."""
    digest = hashlib.sha256(PAYMENT.read_bytes()).hexdigest()
    known = Bureau(files={digest: "job 7"}, used=frozenset({("TESTBANK", FIRST)}))
    with pytest.raises(RefusedError, match=r"payment-batch\.xml is refused: 1 error$") as refusal:
        check(PAYMENT, known)
    assert [each.message for each in refusal.value.problems] == ["is the same file as job 7"]
    assert refusal.value.sha256 == digest
    assert refusal.value.remedy == "it is job 7 already: see `bureau jobs`; nothing of it was kept"


@pytest.mark.parametrize("sample", [SINGLE, EXPORT])
def test_a_bare_form_without_issuer_is_refused(sample: Path) -> None:
    """The remedy is named: --issuer."""
    [problem] = refused(sample, defaults=Defaults())
    assert "--issuer" in problem.message


def test_a_card_profile_without_product_is_refused_once_a_job() -> None:
    """That no card product meets a profile is said once for each job, not for each card."""
    problems = refused(PAYMENT, Bureau(products=PRODUCTS[1:]))
    assert [(each.record, each.message) for each in problems] == [
        (1, f"no card product meets {uid('10')}"),
        (9, f"no card product meets {uid('10')}"),
    ]


def test_a_master_key_that_nobody_registered_is_refused() -> None:
    """The card product's master key must be in the key store."""
    problems = refused(SINGLE, Bureau(keys=tuple(key for key in KEYS if key.id != KeyId(uid("02")))))
    assert [each.message for each in problems] == [
        f"master key {uid('02')} isn't registered; `bureau keys import` registers it"
    ]


def test_test_and_production_keys_in_one_job_are_refused() -> None:
    """A transport key of the other mode than the master key's is refused once a job."""
    keys = tuple(replace(key, mode=Mode.PRODUCTION) if key.id == KeyId(uid("02")) else key for key in KEYS)
    assert [each.record for each in refused(PAYMENT, Bureau(keys=keys))] == [1, 9]


def test_a_value_under_a_transport_key_must_be_whole_blocks(tmp_path: Path) -> None:
    """Seven bytes under a 3DES key are no cryptogram, and no multiple of the card's block either."""
    path = spoiled(tmp_path, SINGLE, ('DataElement="8010" Value="', 'DataElement="8010" Value="00'))
    problems = refused(path)
    assert {each.element for each in problems} == {"8010"}
    assert any("transport key's 8-byte block" in each.message for each in problems)
    assert any("card's 8-byte DEK block" in each.message for each in problems)


def test_a_value_must_fill_the_block_of_a_card_with_aes_keys(tmp_path: Path) -> None:
    """The PIN block of 8 bytes does for SCP02 and not for SCP03."""
    products = tuple(replace(each, scp="SCP03") if each.scp == "SCP02" else each for each in PRODUCTS)
    [problem] = refused(SINGLE, Bureau(products=products))
    assert (problem.element, problem.crn) == ("8010", "2B0601040181FD59639F20")
    assert "16-byte DEK block" in problem.message


def test_an_entry_of_enc_that_the_record_lacks_is_a_warning(tmp_path: Path) -> None:
    """ENC may list more than one record has; that is said and the file accepted."""
    found = check(spoiled(tmp_path, SINGLE, ('Value="8000 8010 8201', 'Value="8099 8000 8010 8201')))
    [warning] = found.warnings
    assert warning.warning
    assert (warning.element, warning.record, warning.line) == ("8099", 1, 7)


@pytest.mark.parametrize(
    ("before", "after", "element", "says"),
    [
        ("596322</ns", "596396</ns", PROFILE, "isn't registered"),
        (f"<ns:{PROFILE}>2B0601040181FD596322</ns:{PROFILE}>", "", PROFILE, "missing"),
        ('DataElement="PAND"', 'DataElement="PANX"', "PANX", "doesn't know"),
        ('DataElement="PAND"', 'DataElement="PANX"', "PAND", "lacks it"),
        ('Value="4761730000050008"/>', 'Value="47617300000500O8"/>', "PAND", "digits"),
        ('Value="261101"', 'Value="2611"1', "file", "not well-formed"),
        ('<ns:CRN Number="2B0601040181FD5963A708"/>', "", "CRN/@Number", "missing"),
        ('BatchID="X0"', "", "ApplicationDataNotification/@BatchID", "is missing"),
    ],
)  # fmt: skip
def test_a_fault_in_a_notification_is_named(tmp_path: Path, before: str, after: str, element: str, says: str) -> None:
    """The first card of the export is spoiled in one way."""
    problems = refused(spoiled(tmp_path, EXPORT, (before, after)))
    assert any(each.element == element and says in each.message and each.line == 2 for each in problems), problems


@pytest.mark.parametrize("count", [0, 2])
def test_a_notification_needs_exactly_one_card_profile(count: int) -> None:
    """None or two card profiles that name the application profile leave the bureau to guess, so it refuses."""
    export = next(card for card in CARDS if card.id == uid("12"))
    others = tuple(card for card in CARDS if card.id != uid("12"))
    cards = (*others, *(replace(export, id=uid(f"8{place}")) for place in range(count)))
    problems = refused(EXPORT, Bureau(cards=cards))
    assert [each.record for each in problems] == [1, 2, 3]
    assert all(f"but {count} name it" in each.message for each in problems)


def test_cards_of_one_lot_must_share_a_card_profile(tmp_path: Path) -> None:
    """A lot is drawn from one stock, so there must be a profile that does for all its cards."""
    other = replace(CARDS[0], id=uid("13"))
    products = (*PRODUCTS, replace(PRODUCTS[0], profiles=(uid("13"),)))
    path = spoiled(tmp_path, PAYMENT, ("596310</Valid", "596313</Valid"))
    [problem] = refused(path, Bureau(cards=(*CARDS, other), products=products))
    assert (problem.line, problem.message) == (4, "no card profile will do for all records of the lot")


def test_no_problem_quotes_a_data_value(tmp_path: Path) -> None:
    """However a record is spoiled, the messages hold no value of it."""
    text = NATIVE.read_text(encoding="utf-8") + PAYMENT.read_text(encoding="utf-8")
    secrets = {value for value in re.findall(r'Value="([^"]{8,})"', text) if " " not in value}
    assert len(secrets) > 50
    for _, before, after, *_ in IN_RECORD:
        problems: tuple[Problem, ...] = refused(spoiled(tmp_path, PAYMENT, (before, after)))
        said = "\n".join(f"{each.element} {each.message}" for each in problems)
        assert not [secret for secret in secrets if secret in said]


def test_the_refusal_says_how_many_and_what_to_do(tmp_path: Path) -> None:
    """The error is one clear line with a remedy; errors come before warnings."""
    path = spoiled(
        tmp_path, SINGLE, ('Value="8000 8010 8201', 'Value="8099 8000 8010 8201'), ('Action="LOAD"', 'Action="X"')
    )
    with pytest.raises(RefusedError, match=r"single-card-1\.1\.xml is refused: 1 error") as refusal:
        examine(path, Bureau(), ISSUER)
    assert [each.warning for each in refusal.value.problems] == [False, True]
    assert "submit it again" in refusal.value.remedy


def test_a_date_before_our_times_is_no_date(tmp_path: Path) -> None:
    """Year 1 is a slip, and in the east it would begin before the calendar does."""
    path = spoiled(tmp_path, PAYMENT, ('RequiredProcessingDate="20261210"', 'RequiredProcessingDate="00010101000000"'))
    [problem] = refused(path, defaults=Defaults(plant=ZoneInfo("Asia/Tokyo")))
    assert (problem.line, problem.element) == (4, "DataContainerHeader/@RequiredProcessingDate")


def test_named_data_of_a_native_card_are_checked(tmp_path: Path) -> None:
    """An element that the profile doesn't know, one that the record lacks, and one that is written wrong."""
    changes = (('"NUMBER"', '"NUMMER"'), ('DataElement="TIER" Value="', 'DataElement="TIER" Value="x'))
    found = {(each.element, each.message) for each in refused(spoiled(tmp_path, NATIVE, *changes))}
    assert found == {
        ("NUMMER", "the application profile doesn't know this element"),
        ("NUMBER", "the application profile calls for this element and the record lacks it"),
        ("TIER", "not hex"),
    }


def test_a_record_without_steps_is_refused(tmp_path: Path) -> None:
    """Nothing would be written, and a blank would count as the cardholder's good card."""
    path = spoiled(tmp_path, EXPORT, ('<ns:ProcessingStep Action="PERSONALIZE" Requirement="01"/>', ""))
    assert {each.message for each in refused(path)} == {
        "the record asks for nothing to be done",
        "holds data, but no step personalizes the application with it",
    }


@pytest.mark.parametrize("value", ["5413330000040007", "0123456789AB", "444F452F4A414E45", "PAN12345678"])
def test_a_name_that_looks_like_a_value_is_not_shown(tmp_path: Path, value: str) -> None:
    """Name and value swapped: the message says how long the name is, in PersoDeviceIns too."""
    path = spoiled(tmp_path, PAYMENT, ('DataElement="9010" Value="0303"', f'DataElement="{value}" Value="9010"'))
    path = spoiled(tmp_path, path, ('Value="9102 9104"', f'Value="9102 {value}"'))
    with pytest.raises(RefusedError) as refusal:
        check(path)
    said = [f"{each.element} {each.message}" for each in refusal.value.problems]
    assert any(f"(a name of {len(value)} characters)" in each for each in said)
    assert not [each for each in said if value in each]


def test_a_data_set_that_no_step_writes_is_a_warning(tmp_path: Path) -> None:
    """Its data would be missing on the card without a word; a step that names no set writes all."""
    extra = '<ICCData><DataSet Name="EXTRA"><Data DataElement="0909" Value="01"/></DataSet>'
    path = spoiled(tmp_path, SINGLE, ("<ICCData>", extra))
    [warning] = check(path).warnings
    assert (warning.element, warning.message, warning.record) == (
        "DataSet/@Name", "no step writes the data set 'EXTRA'", 1,
    )  # fmt: skip
    assert not check(spoiled(tmp_path, path, (' DataSet="PERSO"', ""))).warnings
