"""Data objects of real cards, and parameters as other implementations build them, against published values."""

from collections.abc import Callable

import pytest

from hardware.errors import ProtocolError
from hardware.gp import objects, parameters
from hardware.gp.objects import CardKey, Channel, KeyPart
from hardware.gp.parameters import Access, Install, Load, Signer, Toolkit
from hardware.iso7816 import run
from tests.hardware.replay import replay
from tests.hardware.vectors import Vector, vectors


def of(kind: str) -> list[Vector]:
    return vectors("gp_content", kind=kind)


def name(v: Vector) -> str:
    return str(v["id"])


def read(v: Vector, tag: int, decode: Callable[[bytes], object]) -> object:
    card = replay([(f"80CA{tag:04X}00", v["data"] + "9000")])
    return run(objects.read(tag, decode), card)


@pytest.mark.parametrize("v", of("cplc"), ids=name)
def test_production_data_have_their_fields(v: Vector) -> None:
    """Each field of three real chips; a card may leave tag and length away."""
    for data in (v["data"], v["data"][6:]):
        found = read({"data": data}, objects.CPLC, objects.cplc)
        assert isinstance(found, dict)
        assert {field: found[field].hex().upper() for field in v["fields"]} == v["fields"]


@pytest.mark.parametrize("v", of("memory"), ids=name)
def test_memory_is_counted(v: Vector) -> None:
    """Applications, free memory for data, volatile memory."""
    assert read(v, objects.MEMORY, objects.memory) == objects.Memory(**v["fields"])


@pytest.mark.parametrize("v", of("recognition"), ids=name)
def test_recognition_data_name_version_and_channels(v: Vector) -> None:
    """One channel or two, option i of one byte or more."""
    found = read(v, objects.RECOGNITION, objects.recognition)
    assert isinstance(found, objects.Recognition)
    channels = tuple(Channel(protocol=protocol, options=(bytes.fromhex(i),)) for protocol, i in v["channels"])
    assert (found.version, found.channels) == (v["version"], channels)


def test_capabilities_are_named() -> None:
    """Protocols with their options, privileges, hashes, and what signs tokens, receipts and DAP blocks."""
    (v,) = [v for v in of("capabilities") if "malformed" not in v]
    found = read(v, objects.CAPABILITIES, objects.capabilities)
    assert isinstance(found, objects.Capabilities)
    protocol, *options = v["channels"][0]
    assert found.channels == (Channel(protocol=protocol, options=tuple(map(bytes.fromhex, options))),)
    assert found.domain_privileges.hex().upper() == v["domain_privileges"]
    assert found.hashes == ("SHA-256",)
    assert found.tokens == found.daps
    assert found.tokens == (
        "RSA-1024 PKCS #1 v1.5 SHA-1", "RSA PSS SHA-256", "AES-128 CMAC", "AES-192 CMAC", "AES-256 CMAC", "ECDSA-256",
    )  # fmt: skip
    assert found.receipts == ("DES MAC", "AES-128 CMAC")


@pytest.mark.parametrize("v", of("keys"), ids=name)
def test_keys_are_read_in_both_forms(v: Vector) -> None:
    """Basic and extended entries stand side by side, keys of several components among them."""
    expected = tuple(
        CardKey(
            kvn=kvn,
            kid=kid,
            parts=tuple(KeyPart(type=kind, length=size) for kind, size in parts),
            usage=bytes.fromhex(usage),
            access=bytes.fromhex(access),
        )
        for kvn, kid, parts, usage, access in v["keys"]
    )
    assert read(v, objects.KEYS, objects.keys) == expected


@pytest.mark.parametrize(
    ("tag", "decode", "data"),
    [
        (objects.CPLC, objects.cplc, "9F7F2947"),
        (objects.RECOGNITION, objects.recognition, "66027300"),
        (objects.RECOGNITION, objects.recognition, "660B730906072A864886FC6B02"),
        (objects.KEYS, objects.keys, "E003C00101"),
        (objects.KEYS, objects.keys, "E005C003012080"),
        (objects.KEYS, objects.keys, "E008C0060120FF800010"),
        (objects.MEMORY, objects.memory, "FF210481020002"),
        (objects.APPLICATIONS, objects.applications, "2F000461024F00"),
        (
            objects.CAPABILITIES, objects.capabilities,
            next(v["data"] for v in vectors("gp_content", kind="capabilities") if "malformed" in v),
        ),
    ],
)  # fmt: skip
def test_malformed_object_is_named(tag: int, decode: Callable[[bytes], object], data: str) -> None:
    """It ends the dialogue as ProtocolError that says which object it was."""
    with pytest.raises(ProtocolError, match=f"GET DATA {tag:04X}: the card's answer is malformed"):
        read({"data": data}, tag, decode)


def test_what_a_card_has_not_is_none() -> None:
    """6A88, and the answers of cards that don't know GET DATA."""
    for sw in ("6A88", "6A81", "6D00"):
        assert run(objects.read(objects.MEMORY, objects.memory), replay([("80CAFF2100", sw)])) is None


TOOLKIT = Toolkit(priority=1, text=0x14, channels=2, security=b"\x01\x1e", tars=(bytes.fromhex("D50103"),))


def test_uicc_parameters_are_the_published_ones() -> None:
    """Toolkit parameters, then access to the UICC's files and to those of a USIM (TS 102 226 8.2.1.3.2.2)."""
    (v,) = of("uicc")
    usim = bytes.fromhex("A0000000871002FFFFFFFF8900000100")
    access = (Access(domain=b"\0"), Access(aid=usim, domain=b"\0"))
    assert parameters.uicc(TOOLKIT, access).hex().upper() == v["data"]
    assert parameters.uicc(None, (), access[:1]).hex() == "820400010000"


def test_sim_parameters_are_the_published_ones() -> None:
    """Access domain, then toolkit parameters (TS 102 226 8.2.1.3.2.1)."""
    (v,) = of("sim")
    toolkit = Toolkit(priority=1, timers=1, text=0x10, channels=1, tars=(bytes.fromhex("D50101"),))
    assert parameters.sim(b"\0", toolkit).hex().upper() == v["data"]


def test_install_parameters_are_the_published_ones() -> None:
    """C9 first, memory and SIM parameters in EF."""
    full, none = of("install")
    sim = bytes.fromhex("010001001505000000000000000000000000")
    assert bytes(Install(data=256, volatile=256, sim=sim)).hex().upper() == full["data"]
    assert bytes(Install()).hex().upper() == none["data"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Load(), ""),
        (Load(code=0x1234, volatile=0x7FFF, data=0x8000), "EF0E C6021234 C80400008000 C7027FFF"),
        (Load(format=1, block=b"\xaa"), "EF06 CD0101 DD01AA"),
        (Load(signer=Signer(issuer=b"\x11", token=b"\x22")), "B606 420111 930122"),
        (Install(application=b"\1", services=(0x8001, 0x0102), implicit=(0x41,)), "C90101 EF09 CB0480010102 CF0141"),
        (Install(reserved_data=1, reserved_volatile=2, uicc=b"\x81\0"), "C900 EF08 D8020001 D7020002 EA028100"),
        (Install(signer=Signer(image=b"\1", provider=b"\2")), "C900 B607 450101 5F200102"),
    ],
)
def test_parameters_stand_under_their_tags(given: Load | Install, expected: str) -> None:
    """As tables 11-48 to 11-54 have them; memory takes two bytes up to 7FFF, else four."""
    assert bytes(given).hex().upper() == expected.replace(" ", "")


def test_what_no_card_can_take_is_refused() -> None:
    """Memory beyond four bytes, and a TAR of another length."""
    with pytest.raises(ValueError, match="bytes of memory"):
        bytes(Install(data=1 << 32))
    with pytest.raises(ValueError, match="TAR"):
        Toolkit(priority=1, tars=(b"\1\2",))
