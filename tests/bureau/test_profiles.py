"""Profiles in the systems-profiles XML form, and all that is wrong with a file told at once."""

from pathlib import Path

import pytest

from bureau.containers.profiles import ProfileError, parse
from hardware.gp import loadfile
from hardware.iso7816 import AID
from hardware.perso.order import UniqueID
from hardware.perso.profiles import (
    ApplicationInstance,
    ApplicationProfile,
    CardProfile,
    Encoding,
    LoadFileInstance,
    LoadFileProfile,
    TagEncoding,
)

PRODUCTS = Path(__file__).parents[2] / "config" / "products"
NAMESPACE = "http://namespaces.globalplatform.org/systems-profiles/"
ID = "2B0601040181FD5963"


def text(name: str) -> str:
    return (PRODUCTS / "profiles" / f"{name}.xml").read_text(encoding="utf-8")


def shipped() -> dict[str, CardProfile | ApplicationProfile | LoadFileProfile]:
    found = [profile for file in (PRODUCTS / "profiles").iterdir() for profile in parse(file.read_bytes())]
    return {profile.id.removeprefix(ID): profile for profile in found}


def problems(document: str) -> tuple[str, ...]:
    with pytest.raises(ProfileError) as refused:
        parse(document.encode())
    return refused.value.problems


def card(document: str) -> CardProfile:
    (profile,) = parse(document.encode())
    assert isinstance(profile, CardProfile)
    return profile


def application(document: str) -> ApplicationProfile:
    (profile,) = parse(document.encode())
    assert isinstance(profile, ApplicationProfile)
    return profile


def test_shipped_profiles_are_those_of_the_sample_files() -> None:
    """Three cards, three applications, one load file."""
    assert sorted(shipped()) == ["10", "11", "12", "20", "21", "22", "30"]


def test_card_profile_is_read() -> None:
    """The payment card: chip product, stock, longest command, what is loaded and installed."""
    assert card(text("card-payment")) == CardProfile(
        id=UniqueID(ID + "10"),
        version="1.0",
        product="PERSO",
        product_version="02",
        stock="PLASTIC-BLUE",
        max_apdu=261,
        load_files=(LoadFileInstance(profile=UniqueID(ID + "30"), masked=False),),
        applications=(
            ApplicationInstance(
                profile=UniqueID(ID + "20"),
                aid=AID(bytes.fromhex("A0000000041010")),
                load_file=UniqueID(ID + "30"),
                privileges=b"\0",
                parameters=b"",
            ),
        ),
        protocols=("T=1",),
    )


def test_load_file_profile_agrees_with_the_shipped_cap_file() -> None:
    """Package and modules are the ones that perso.cap holds."""
    profile, file = shipped()["30"], loadfile.parse((PRODUCTS / "perso.cap").read_bytes())
    assert isinstance(profile, LoadFileProfile)
    assert (profile.aid, profile.modules) == (file.aid, file.modules)


def test_dgi_elements_carry_their_dgi() -> None:
    """The payment application takes DGIs under their own names, CRT parts and certificates at will."""
    profile = application(text("application-payment"))
    assert all(element.tag == int(element.name, 16) for element in profile.elements)
    assert {element.tag_encoding for element in profile.elements} == {TagEncoding.DGI}
    optional = {element.name for element in profile.elements if element.optional}
    assert optional == {"0202", "0203", "8201", "8202", "8203", "8204", "8205"}


def test_named_elements_map_to_tags() -> None:
    """The export's names: five with a BER tag, three that are known and not written."""
    profile = application(text("application-export"))
    assert {element.name: (element.tag, element.encoding) for element in profile.elements if element.tag} == {
        "PAND": (0x5A, Encoding.CN),
        "CRDN": (0x5F20, Encoding.ASCII),
        "AEDT": (0x5F25, Encoding.HEX),
        "5F34": (0x5F34, Encoding.HEX),
        "57": (0x57, Encoding.HEX),
    }
    assert [element.name for element in profile.elements if element.tag is None] == ["EXDT", "SVCD", "PLSC"]


def test_native_application_names_its_script() -> None:
    """Elements without tags, and the fragment that the batch asks for."""
    profile = application(text("application-member"))
    assert (profile.type, profile.scripts) == ("OTHER", ("PERSONALIZE",))
    assert [(element.name, element.length) for element in profile.elements] == [
        ("NUMBER", 6), ("NAME", None), ("EXPIRY", 3), ("TIER", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0", "1.1.1", "1.1.2", "1.2.0"])
def test_each_version_of_the_namespace_is_read(version: str) -> None:
    """The names are the same in all five."""
    assert card(text("card-payment").replace(NAMESPACE + "1.1.1", NAMESPACE + version)).id == ID + "10"


def test_profiles_are_found_in_any_wrapper() -> None:
    """One message may bring several, each in its own body element."""
    bodies = [text(name).partition("?>")[2] for name in ("card-payment", "application-payment", "loadfile-perso")]
    wrapped = "<GPMessage><GPBody>" + "".join(f"<X>{body}</X>" for body in bodies) + "</GPBody></GPMessage>"
    assert [profile.id for profile in parse(wrapped.encode())] == [ID + "10", ID + "20", ID + "30"]


def test_application_instance_brings_privileges_and_parameters() -> None:
    """Install parameters are the value of C9; privileges take one byte, or three where a later one is among them."""
    here = 'LifeCycle="PERSONALIZED"'
    one = text("card-payment").replace(here, here + ' AppSpecificInstallParams="0102"')
    assert card(one).applications[0].parameters == b"\1\2"
    for attributes, privileges in (
        ("", "00"), ('SecurityDomain="false"', "00"), ('DefaultSelected="true" CVMChange="1"', "06"),
        ('ManadatedDAPVerification="true"', "C1"), ('SecurityDomain="true" TrustedPath="true"', "808000"),
    ):  # fmt: skip
        within = f"><Privileges {attributes}/></ApplicationInstance>"
        filled = one.replace(f'LoadFileID="{ID}30"/>', f'LoadFileID="{ID}30"{within}')
        assert card(filled).applications[0].privileges == bytes.fromhex(privileges)


def test_instances_stand_in_their_order() -> None:
    """Order decides where there is one, else the file."""
    again = f'<ApplicationInstance ProfileID="AA" AID="A000000099" LifeCycle="X" LoadFileID="{ID}30" Order="1"/>'
    document = text("card-payment").replace("</ApplicationInstances>", again + "</ApplicationInstances>")
    assert [instance.profile for instance in card(document).applications] == ["AA", ID + "20"]


def test_shortest_of_several_protocols_counts() -> None:
    """A command must fit whichever protocol the reader takes."""
    document = text("card-payment").replace("</Protocols>", '<Protocol Type="T0" MaxApduLen="133"/></Protocols>')
    assert card(document).max_apdu == 133


def test_parts_that_the_grammar_leaves_open_are_kept_unread() -> None:
    """Unknown elements and attributes, of this namespace or another, don't disturb."""
    document = text("card-payment").replace("<CardInfo/>", '<CardInfo Colour="blue"><x:Y xmlns:x="urn:x"/><Z/></CardInfo>')
    assert card(document) == card(text("card-payment"))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "not well-formed XML"),
        ("<CardProfile>", "not well-formed XML"),
        ("PK\x03\x04", "not well-formed XML"),
        ("<Profiles/>", "there is no CardProfile"),
        ('<!DOCTYPE x [<!ENTITY e "e">]><x>&e;</x>', "a DOCTYPE is not allowed"),
        ("<!DOCTYPE x SYSTEM 'http://localhost/x.dtd'><x/>", "a DOCTYPE is not allowed"),
        ("<CardProfile/>", "line 1: CardProfile: unknown namespace ''"),
        (text("card-payment").replace("1.1.1", "9.9.9"), "unknown namespace 'http://namespaces.globalplatform.org"),
    ],
)
def test_what_is_no_profile_is_refused(document: str, message: str) -> None:
    """No XML, a DOCTYPE, nothing in it, or a namespace that nobody knows."""
    assert [problem for problem in problems(document) if message in problem]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("card-payment", f'UniqueID="{ID}10"', "", "line 2: CardProfile: attribute UniqueID is missing"),
        ("card-payment", f'UniqueID="{ID}10"', 'UniqueID="2B0"', "UniqueID '2B0' isn't allowed"),
        ("card-payment", f'UniqueID="{ID}10"', 'UniqueID=""', "UniqueID is empty"),
        ("card-payment", "<CardInfo/>", "", "CardProfile: element CardInfo is missing"),
        ("card-payment", "<Protocol Type", "<Other Type", "Protocols: element Protocol is missing"),
        ("card-payment", '"261"', '"-1"', "line 14: Protocol: MaxApduLen '-1' isn't allowed"),
        ("card-payment", '"261"', '"²"', "MaxApduLen '²' isn't allowed"),
        ("card-payment", 'AID="A0000000041010"', 'AID="A000"', "AID 'A000' isn't allowed"),
        ("card-payment", 'AID="A0000000041010"', 'AID="A0 00 00 00 04"', "AID 'A0 00 00 00 04' isn't allowed"),
        ("card-payment", 'Masked="false"', 'Masked="no"', "Masked 'no' isn't allowed"),
        ("card-payment", f'LoadFileID="{ID}30"', 'LoadFileID="99"', "no LoadFileInstance has the ProfileID 99"),
        ("card-payment", f'LoadFileID="{ID}30"/>', f'LoadFileID="{ID}30"><Privileges God="true"/></ApplicationInstance>',
         "privilege God isn't known"),
        ("card-payment", 'Digest="00"/>', 'Digest="00"><Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/></Revision>',
         "signatures aren't verified yet"),
        ("card-payment", ' arrayIndex="Version"', "", "Revisions: attribute arrayIndex is missing"),
        ("application-payment", 'Type="GP"', 'Type="JAVA"', "Type 'JAVA' isn't allowed"),
        ("application-payment", 'Tag="0101" TagEncoding="DGI"', 'Tag="0101"', "Tag 0101 without TagEncoding"),
        ("application-payment", 'Tag="0101"', 'Tag="01"', "Tag 01 is no DGI tag"),
        ("application-payment", 'Tag="0101"', 'Tag="XX"', "Tag 'XX' isn't allowed"),
        ("application-payment", 'Name="0201"', 'Name="0101"', "Name '0101' is there twice"),
        ("application-payment", 'Encoding="HEX"', 'Encoding="BINARY"', "Encoding 'BINARY' isn't allowed"),
        ("application-payment", ' Length="9"', "", "FixedLength without Length"),
        ("application-payment", 'Type="ByteString"', 'Type="Number"', "Type 'Number' isn't allowed"),
        ("application-export", 'Tag="5A"', 'Tag="5A00"', "Tag 5A00 is no EMV tag"),
        ("application-export", 'Tag="5F20"', 'Tag="5F"', "Tag 5F is no EMV tag"),
        ("application-export", 'Tag="5F20"', 'Tag="5F80"', "Tag 5F80 is no EMV tag"),
        ("application-member", "Script>", "Code>", "ScriptFragment: element Script is missing"),
        ("loadfile-perso", 'AID="F0504552534F0101"', "", "Module: attribute AID is missing"),
        ("loadfile-perso", ' AID="F0504552534F01" Version', " Version", "LoadFileInfo: attribute AID is missing"),
    ],
)  # fmt: skip
def test_wrong_profile_is_refused(name: str, old: str, new: str, message: str) -> None:
    """Each problem names line, element and attribute."""
    document = text(name)
    assert old in document
    found = problems(document.replace(old, new))
    assert any(problem.startswith("line ") and message in problem for problem in found)


def test_every_problem_is_told_at_once() -> None:
    """The file is refused whole, with all of its mistakes and none of them twice."""
    document = text("card-payment").replace('"261"', '"x"').replace('AID="A0000000041010"', 'AID=""').replace(ID + "10", "1")
    assert [problem.partition(" ")[2] for problem in problems(document)] == [
        "2: CardProfile: UniqueID '1' isn't allowed",
        "14: Protocol: MaxApduLen 'x' isn't allowed",
        "25: ApplicationInstance: AID '' isn't allowed",
    ]


def test_profile_twice_in_a_file_is_refused() -> None:
    """Two profiles of one id: which one would be right?"""
    body = text("loadfile-perso").partition("?>")[2]
    assert problems(f"<all>{body}{body}</all>") == (f"{ID}30 stands in the file twice",)


def test_an_element_named_by_its_tag_is_known_in_either_case() -> None:
    """Batches' names that are four hex digits are taken in upper case, so profiles' are too."""
    read = application(
        text("application-export").replace('Name="5F34"', 'Name="5f34"').replace('Name="PAND"', 'Name="Pand"')
    )
    assert [each.name for each in read.elements][:4] == ["Pand", "CRDN", "AEDT", "5F34"]
