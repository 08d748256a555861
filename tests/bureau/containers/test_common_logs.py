"""What a request says for several cards is answered where it was said, by name only."""

import re
from pathlib import Path

import pytest
from lxml import etree

from bureau.containers.orders import order
from bureau.containers.submission import records
from bureau.models import CommonApplication, CommonGroup, CommonModule
from hardware.perso.order import UniqueID
from tests.bureau.containers.known import EXPORT, MESSAGING, PAYMENT, check, spoiled, uid
from tests.bureau.containers.test_trail import VERSIONS, every, only, outer, trail, trails

NAMED = f'<AID AID="A0000000041010" Order="1"/><ApplicationProfileUniqueID>{uid("20")}</ApplicationProfileUniqueID>'
DATA = '<ICCData><DataSet Name="PERSO"><Data DataElement="9110" Value="0A0B0C0D0E0F"/></DataSet></ICCData>'
COMMON = f"""<CommonDataContainer><CommonModuleIdentifierCode Identifier="EMVCHIP">
<CardCommonConfiguration CollatorStatus="04"><ValidCardProfileID>{uid("10")}</ValidCardProfileID></CardCommonConfiguration>
<ApplicationCommonData><ApplicationData>{NAMED}{DATA}</ApplicationData></ApplicationCommonData>
</CommonModuleIdentifierCode><GenericModule ModuleName="EMBOSS" Identifier="7"><ProfileUniqueID>0A</ProfileUniqueID>
<ModuleData><DataSet><Data DataElement="LINE1" Value="BANK OF TESTS"/></DataSet></ModuleData></GenericModule>
<DeliveryModule><Entity Name="Branch Street 1"/></DeliveryModule>
<CommonModuleIdentifierCode Identifier="OTHER"/></CommonDataContainer>"""


def names(element: etree._Element) -> list[str]:
    """Return the names of an element's children, in order."""
    return [etree.QName(each).localname for each in element]


def test_the_structure_of_common_data_is_kept_and_nothing_of_its_values(tmp_path: Path) -> None:
    """The lot names its groups, applications and modules; the lot that has no common data has none."""
    found = check(spoiled(tmp_path, PAYMENT, ("<DataContainer>", COMMON + "<DataContainer>")))
    standard, urgent = (job.lots[0] for job in found.batches[0].jobs)
    assert standard.common == (
        CommonGroup(
            identifier="EMVCHIP",
            card_profiles=(uid("10"),),
            applications=(CommonApplication(aid="A0000000041010", order="1", profile=uid("20")),),
            modules=(CommonModule("EMBOSS", "7", UniqueID("0A")),),
            delivery=True,
        ),
        CommonGroup(identifier="OTHER", card_profiles=None, applications=(), modules=(), delivery=False),
    )
    assert urgent.common == ()


@pytest.mark.parametrize("version", VERSIONS)
def test_common_data_of_a_lot_are_answered_before_its_cards(tmp_path: Path, version: str) -> None:
    """One CommonLogContainer, in the lot that had common data; its modules say that they aren't done here."""
    text = PAYMENT.read_text(encoding="utf-8").replace("<DataContainer>", COMMON + "<DataContainer>", 1)
    path = tmp_path / "file.xml"
    path.write_text(re.sub(r"systems-messaging/[0-9.]+", f"systems-messaging/{version}", text), encoding="utf-8")
    root = trail(path)
    first, second = every(root, "LogContainerHeader")
    assert names(first) == ["CommonLogContainer"] + ["LogContainer"] * 8
    assert names(second) == ["LogContainer"] * 2
    common = first[0]
    assert {etree.QName(each).namespace for each in common.iter()} == {MESSAGING + version}
    assert names(common) == ["CommonLogIdentifierCode", "ModuleLog", "DeliveryModuleLog", "CommonLogIdentifierCode"]
    assert [outer(each) for each in every(common, "CommonLogIdentifierCode")] == [
        {"Identifier": "EMVCHIP"}, {"Identifier": "OTHER"},
    ]  # fmt: skip
    assert names(common[0]) == ["CardCommonConfigurationLog", "ApplicationCommonLog"]
    assert only(common, "CardCommonConfigurationLog/ValidCardProfileID").text == uid("10")
    assert names(only(common, "ApplicationCommonLog/ApplicationLog")) == ["AID", "ApplicationProfileUniqueID"]
    assert outer(only(common, "ApplicationLog/AID")) == {"AID": "A0000000041010", "Order": "1"}
    assert only(common, "ApplicationLog/ApplicationProfileUniqueID").text == uid("20")
    assert outer(only(common, "ModuleLog")) == {"ModuleName": "EMBOSS", "Identifier": "7"}
    assert [each.get("ErrorDescription") for each in every(common, "Error")] == ["not done here"] * 2
    said = etree.tostring(root, encoding="unicode")
    assert not [value for value in ("0A0B0C0D0E0F", "BANK OF TESTS", "Branch") if value in said]


def test_common_data_of_a_notification_are_answered_under_its_own_batch_id(tmp_path: Path) -> None:
    """Only the trail of the notification that had them carries an ApplicationCommonLog, and it comes first."""
    named = NAMED.replace("A0000000041010", "A0000000031010").replace(uid("20"), uid("22"))
    data = '<ICCData><DataSet Name="EMBD"><Data DataElement="CRDN" Value="SHAREDNAME"/></DataSet></ICCData>'
    common = re.sub("<(/?)", r"<\1ns:", f"<ApplicationCommonData><ApplicationData>{named}{data}</ApplicationData>")
    common += "</ns:ApplicationCommonData>"
    path = spoiled(tmp_path, EXPORT, ("<ns:ApplicationDataPerCRN>", common + "<ns:ApplicationDataPerCRN>"))
    written = trails(path)
    assert [names(root) for root in written.values()] == [
        ["ApplicationCommonLog", "ApplicationLogPerCRN"], ["ApplicationLogPerCRN"], ["ApplicationLogPerCRN"],
    ]  # fmt: skip
    log = only(written["X0"], "ApplicationCommonLog/ApplicationLog")
    assert names(log) == ["AID", "ApplicationProfileUniqueID"]
    assert outer(log[0]) == {"AID": "A0000000031010", "Order": "1"}
    assert log[1].text == uid("22")
    assert "SHAREDNAME" not in etree.tostring(written["X0"], encoding="unicode")
    plain = [order(each.xml).targets for each in records(EXPORT, check(EXPORT))]
    assert [order(each.xml).targets for each in records(path, check(path))] == plain
