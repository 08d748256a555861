"""Answers that are written when a batch closes, for files that stress what stands together in them."""

import re
from pathlib import Path

import pytest
from lxml import etree

from bureau.errors import NotFoundError
from bureau.ledger import views
from bureau.models import BatchId, JobState
from bureau.service import register, report
from tests.e2e.bureaus import ACTOR, FOUR, Bureau
from tests.e2e.expected import EXPORT, PAYMENT, SINGLE

PROFILES = Path(__file__).parents[2] / "config" / "products" / "profiles"
NOTIFICATION = re.compile(r"<ns:ApplicationDataNotification BatchID.*</ns:ApplicationDataNotification>", re.DOTALL)
RECORD = re.compile(r"<ns:ApplicationDataPerCRN>.*?</ns:ApplicationDataPerCRN>", re.DOTALL)


def export(path: Path, *parts: tuple[str, str]) -> Path:
    """Write the sample export with these notifications: BatchID and records."""
    text = EXPORT.read_text(encoding="utf-8")
    notes = "".join(
        f'<ns:ApplicationDataNotification BatchID="{name}">{records}</ns:ApplicationDataNotification>'
        for name, records in parts
    )
    path.write_text(NOTIFICATION.sub(lambda _: notes, text), encoding="utf-8")
    return path


def payment_record(crn: str) -> str:
    """Return the single payment card as a record of a notification: another card profile than the export's."""
    text = SINGLE.read_text(encoding="utf-8")
    found = re.search(r"<ApplicationData>.*</ApplicationData>", text, re.DOTALL)
    bound = re.search(r'xmlns:p="[^"]+"', text)
    assert found is not None
    assert bound is not None
    data = re.sub(r"<(/?)(?!p:)(\w)", r"<\1ns:\2", found[0])
    return f'<ns:ApplicationDataPerCRN {bound[0]}><ns:CRN Number="{crn}"/>{data}</ns:ApplicationDataPerCRN>'


def answered(bureau: Bureau) -> dict[str, list[str | None]]:
    """Return the CRNs of each trail, by folder and file name."""
    trails = bureau.plant.settings.trails
    return {
        str(path.relative_to(trails)): [crn.get("Number") for crn in etree.parse(path).iterfind(".//{*}CRN")]
        for path in sorted(trails.rglob("*.xml"))
    }


def states(bureau: Bureau) -> set[JobState]:
    """Return the states of all jobs."""
    with bureau.plant.ledger.read() as connection:
        return {job.state for job in views.list_jobs(connection)}


def test_notifications_for_two_kinds_of_card_are_answered_in_file_order(bureau: Bureau, tmp_path: Path) -> None:
    """Their records make two jobs, which the trails must weave together again."""
    first, second, third = RECORD.findall(EXPORT.read_text(encoding="utf-8"))
    one, two = (payment_record(f"2B0601040181FD5963B00{place}") for place in (1, 2))
    bureau.equip(*FOUR)
    jobs = bureau.take(export(tmp_path / "two.xml", ("X0", first + one + second), ("X1", two + third)))
    assert len(jobs) == 2
    bureau.run_all()
    assert answered(bureau) == {
        "batch-1/X0.xml": ["2B0601040181FD5963A708", "2B0601040181FD5963B001", "2B0601040181FD5963A709"],
        "batch-1/X1.xml": ["2B0601040181FD5963B002", "2B0601040181FD5963A70A"],
    }
    assert states(bureau) == {JobState.PURGED}


def test_a_notification_that_comes_back_after_another_is_answered_too(bureau: Bureau, tmp_path: Path) -> None:
    """The second part is a request of its own, so neither trail hides the other."""
    first, second, third = RECORD.findall(EXPORT.read_text(encoding="utf-8"))
    bureau.equip(*FOUR)
    bureau.take(export(tmp_path / "again.xml", ("X0", first), ("X1", second), ("X0", third)))
    bureau.run_all()
    assert answered(bureau) == {
        "batch-1/X0.xml": ["2B0601040181FD5963A708"],
        "batch-1/X1.xml": ["2B0601040181FD5963A709"],
        "batch-2/X0.xml": ["2B0601040181FD5963A70A"],
    }
    assert states(bureau) == {JobState.PURGED}


@pytest.mark.parametrize("wanted", [True, False])
def test_the_trail_brings_back_what_the_pinned_profile_wants(bureau: Bureau, *, wanted: bool) -> None:
    """A version that was registered after the file came in has no say."""
    text = (PROFILES / "application-export.xml").read_text(encoding="utf-8")
    for version, audit in (("2.0", wanted), ("3.0", not wanted)):
        changed = text.replace('ProfileVersion="1.0"', f'ProfileVersion="{version}"', 1)
        changed = changed.replace('Name="AEDT"', f'Name="AEDT" MandatoryAudit="{str(audit).lower()}"')
        register.add_profiles(bureau.plant, changed.encode(), None, ACTOR)
        if version == "2.0":
            jobs = bureau.submit(EXPORT)
    bureau.equip(*FOUR)
    bureau.release(jobs)
    bureau.run_all()
    found = [
        [data.get("Value") for data in etree.parse(path).iterfind(".//{*}DataSet[@Name='AUDIT']/{*}Data")]
        for path in sorted(bureau.plant.settings.trails.rglob("*.xml"))
    ]
    assert found == [["261101"] if wanted else []] * 3


def test_aids_that_the_card_profile_supplied_are_answered(bureau: Bureau, tmp_path: Path) -> None:
    """A record that names no AID at all is answered with what was read back from its card."""
    path = tmp_path / "single.xml"
    path.write_text(re.sub(r"<AID [^>]*/>", "", SINGLE.read_text(encoding="utf-8")), encoding="utf-8")
    bureau.equip(*FOUR)
    bureau.take(path)
    assert bureau.run() == 1
    [trail] = bureau.plant.settings.trails.rglob("*.xml")
    [plastic] = etree.parse(trail).iterfind(".//{*}PhysicalCardIdentifier")
    assert [dict(aid.attrib) for aid in plastic.iterchildren("{*}AID")] == [
        {"AID": "A0000000041010", "Order": "1", "ReachedState": "PERSONALIZED"}
    ]


def test_data_common_to_a_lot_are_answered_as_such(bureau: Bureau, tmp_path: Path) -> None:
    """From the file through the ledger into the trail: who is meant, and which module isn't done here."""
    common = (
        '<CommonDataContainer><CommonModuleIdentifierCode Identifier="EMVCHIP"><ApplicationCommonData><ApplicationData>'
        '<AID AID="A0000000041010" Order="1"/></ApplicationData></ApplicationCommonData></CommonModuleIdentifierCode>'
        '<GenericModule ModuleName="EMBOSS"><ProfileUniqueID>0A</ProfileUniqueID></GenericModule></CommonDataContainer>'
    )
    path = tmp_path / "batch.xml"
    path.write_text(PAYMENT.read_text(encoding="utf-8").replace("<DataContainer>", common + "<DataContainer>", 1))
    bureau.equip(*FOUR)
    bureau.take(path)
    bureau.run_all()
    [trail] = bureau.plant.settings.trails.rglob("*.xml")
    [log] = etree.parse(trail).iterfind(".//{*}CommonLogContainer")
    assert [etree.QName(each).localname for each in log.iter()] == [
        "CommonLogContainer", "CommonLogIdentifierCode", "ApplicationCommonLog", "ApplicationLog", "AID", "ModuleLog",
        "Error", "ProfileUniqueID",
    ]  # fmt: skip


def test_a_trail_that_another_hosts_office_wrote_is_said_to_be_elsewhere(bureau: Bureau) -> None:
    """It isn't written again, for its records may be forgotten by now, and nobody is told that there is none."""
    bureau.equip(*FOUR)
    bureau.take(SINGLE)
    bureau.run()
    batch = BatchId(1)
    (trail,) = report.write(bureau.plant, batch)
    trail.rename(trail.with_name("elsewhere"))
    with pytest.raises(NotFoundError, match="was written, and isn't in"):
        report.write(bureau.plant, batch)
