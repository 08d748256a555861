"""A CAP file becomes the bytes that LOAD sends, or a sentence that says what is broken."""

import hashlib
import io
import runpy
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from hardware.gp import loadfile
from hardware.iso7816 import AID
from hardware.sim import loadfile as card

PRODUCTS = Path(__file__).parents[2] / "config" / "products"
CAP = (PRODUCTS / "perso.cap").read_bytes()
PACKAGE, MODULE = bytes.fromhex("F0504552534F01"), bytes.fromhex("F0504552534F0101")
IN_ORDER = ("Header", "Directory", "Import", "Applet", "Class", "Method", "StaticField", "ConstantPool", "RefLocation")


def unzip(data: bytes = CAP) -> dict[str, bytes]:
    """Return the components by name, as files with tag and size."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {Path(name).stem: archive.read(name) for name in archive.namelist()}


def rezip(components: dict[str, bytes], folder: str = "some/package/javacard") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in components.items():
            archive.writestr(f"{folder}/{name}.cap", data)
    return content.getvalue()


def changed(name: str, change: Callable[[bytes], bytes]) -> bytes:
    components = unzip()
    return rezip(components | {name: change(components[name])})


def put(at: int, value: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + value + data[at + len(value) :]


def test_shipped_cap_is_what_its_maker_makes() -> None:
    """The script beside it writes the same bytes, every time."""
    maker = runpy.run_path(str(PRODUCTS / "make_cap.py"))
    assert maker["cap"]() == maker["cap"]() == CAP


def test_package_and_modules_are_read() -> None:
    """AIDs and version come from the Header and Applet components."""
    file = loadfile.parse(CAP)
    assert (file.aid, file.version, file.modules) == (AID(PACKAGE), "1.0", (AID(MODULE),))


def test_block_holds_components_in_installation_order() -> None:
    """Whatever their order in the ZIP, components go as JCVM table 6-3 has it; Descriptor and Debug stay behind."""
    components = unzip()
    shuffled = rezip(dict(sorted(components.items(), reverse=True)))
    wanted = b"".join(components[name] for name in IN_ORDER)
    assert loadfile.parse(CAP).block == loadfile.parse(shuffled).block == wanted
    assert "Descriptor" in components


def test_components_without_zip_are_the_same_load_file() -> None:
    """IJC files and Load File Data Blocks are read too, with the Descriptor or without."""
    components = unzip()
    block = b"".join(components[name] for name in IN_ORDER)
    assert loadfile.parse(block) == loadfile.parse(block + components["Descriptor"]) == loadfile.parse(CAP)


def test_cap_format_2_1_is_read() -> None:
    """Its Directory has 11 sizes and its Header no package name."""
    components = unzip()
    header = components["Header"][3:-13].replace(b"\x02\x02\x04", b"\x01\x02\x04")
    directory = bytearray(components["Directory"][3:25] + components["Directory"][27:])
    directory[0:4] = len(header).to_bytes(2, "big") + len(directory).to_bytes(2, "big")
    components["Header"] = b"\x01\0" + bytes((len(header),)) + header
    components["Directory"] = b"\x02\0" + bytes((len(directory),)) + directory
    assert loadfile.parse(rezip(components)).modules == (MODULE,)


def test_other_files_of_the_archive_are_ignored() -> None:
    """A manifest or an applet descriptor may lie in the ZIP, and components at its top level."""
    content = io.BytesIO(rezip(unzip(), "javacard"))
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
        archive.writestr("APPLET-INF/Header.cap", b"not a component")
    assert loadfile.parse(content.getvalue()) == loadfile.parse(CAP)


@pytest.mark.parametrize(("limit", "number"), [(239, 4), (247, 4), (1, 827), (10_000, 1)])
def test_load_blocks_are_c4_length_and_block_cut(limit: int, number: int) -> None:
    """No block is longer than the limit, only the last is shorter, and together they are the TLV."""
    file = loadfile.parse(CAP)
    if number > 256:
        with pytest.raises(ValueError, match="LOAD counts to 256"):
            file.load_blocks(limit)
        return
    blocks = file.load_blocks(limit)
    assert b"".join(blocks) == b"\xc4\x82" + len(file.block).to_bytes(2, "big") + file.block
    assert len(blocks) == number
    assert {len(block) for block in blocks[:-1]} <= {limit}


def test_load_blocks_of_nothing_are_refused() -> None:
    """A limit below one byte is a mistake of the card product."""
    with pytest.raises(ValueError, match="hold nothing"):
        loadfile.parse(CAP).load_blocks(0)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_hash_is_over_the_value_alone(algorithm: Literal["sha1", "sha256"]) -> None:
    """GPCS C.2: without C4 and length."""
    file = loadfile.parse(CAP)
    assert file.hash(algorithm) == hashlib.new(algorithm, b"".join(unzip()[name] for name in IN_ORDER)).digest()


def test_simulated_card_accepts_the_shipped_load_file() -> None:
    """The card's own check, written apart from this one, agrees on package and modules."""
    file = loadfile.parse(CAP)
    assert card.inspect(file.block, PACKAGE).modules == (MODULE,)


def test_reference_locations_point_at_constant_pool_indices() -> None:
    """Each place that RefLocation names in the Method component holds an index within the constant pool (JCVM 6.11)."""
    components = {name: data[3:] for name, data in unzip().items()}
    pool, places, seen = int.from_bytes(components["ConstantPool"][:2], "big"), components["RefLocation"], []
    for width in (1, 2):
        count, at = int.from_bytes(places[:2], "big"), 0
        for distance in places[2 : 2 + count]:
            at += distance
            seen.append(int.from_bytes(components["Method"][at : at + width], "big"))
        places = places[2 + count :]
    assert not places
    assert set(seen) == set(range(pool))


def test_constant_pool_and_descriptor_have_as_many_entries() -> None:
    """JCVM 6.13.4: the Descriptor gives a type for each entry of the constant pool, within its own table."""
    components = {name: data[3:] for name, data in unzip().items()}
    count, descriptor = components["ConstantPool"][:2], components["Descriptor"]
    fields, methods = int.from_bytes(descriptor[6:8], "big"), int.from_bytes(descriptor[8:10], "big")
    types = descriptor[10 + 7 * fields + 12 * methods :]
    assert types[:2] == count
    offsets = [int.from_bytes(types[at : at + 2], "big") for at in range(2, 2 + 2 * count[1], 2)]
    assert all(offset == 0xFFFF or 2 + 2 * count[1] <= offset < len(types) for offset in offsets)


def test_methods_fill_the_method_component() -> None:
    """The Descriptor's offsets and bytecode counts cover it without a gap; applet and class name two of them."""
    components = {name: data[3:] for name, data in unzip().items()}
    descriptor, at, starts = components["Descriptor"], 1, []
    for entry in (descriptor[24 + 12 * n : 36 + 12 * n] for n in range(3)):
        starts.append(int.from_bytes(entry[2:4], "big"))
        assert starts[-1] == at
        at += 2 + int.from_bytes(entry[6:8], "big")
    assert at == len(components["Method"])
    assert [int.from_bytes(components[name][-2:], "big") for name in ("Applet", "Class")] == starts[1:]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "neither a CAP file"),
        (b"MZ not a load file", "neither a CAP file"),
        (CAP[:-30], "ZIP container can't be read"),
        (b"PK\x03\x04" + bytes(40), "ZIP container can't be read"),
        (rezip({}), "no component Header, Directory, Import"),
        (bytes((1 << 20) + 1), "at most 1048576 bytes"),
        (unzip()["Header"], "no component Directory"),
        (unzip()["Header"][:-1], "cut short"),
        (unzip()["Header"] * 2, "unknown or there twice"),
        (unzip()["Header"] + b"\x0d\0\0", "0D is unknown"),
    ],
    ids=["empty", "other", "cut", "zip-magic-only", "empty-zip", "too-long", "header-only", "short", "twice", "tag"],
)
def test_what_is_no_cap_file_is_refused(data: bytes, message: str) -> None:
    """The message says what is missing."""
    with pytest.raises(ValueError, match=message):
        loadfile.parse(data)


@pytest.mark.parametrize("name", IN_ORDER)
def test_missing_component_is_refused(name: str) -> None:
    """Each is mandatory; without Applet the Header's flag gives it away."""
    components = unzip()
    del components[name]
    with pytest.raises(ValueError, match="flags" if name == "Applet" else f"no component {name}"):
        loadfile.parse(rezip(components))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("Header", put(0, b"\x02"), "isn't one whole component with tag 01"),
        ("Header", put(3, b"\xca\xfe\xba\xbe"), "DECAFFED"),
        ("Header", put(7, b"\x03\x02"), "format 2.3 isn't known"),
        ("Header", put(9, b"\x06"), "flags 06"),
        ("Header", put(12, b"\x04"), "an AID has 5 to 16 bytes"),
        ("Header", put(12, b"\xff"), "cut short"),
        ("Method", lambda data: data[:-1], "isn't one whole component with tag 07"),
        ("Method", lambda data: data + b"\0", "isn't one whole component with tag 07"),
        ("Method", lambda data: b"", "isn't one whole component with tag 07"),
        ("Directory", put(3 + 12, b"\xff\xff"), "65535 bytes for component Method"),
        ("Directory", put(3 + 20, b"\0\1"), "1 bytes for component Descriptor"),
        ("Directory", put(3 + 30, b"\x03"), "counts of imports"),
        ("Directory", put(3 + 31, b"\x02"), "counts of imports"),
        ("Directory", put(3 + 32, b"\x01"), "custom components"),
        ("Applet", put(3, b"\x02"), "Applet component is cut short"),
        ("Applet", put(3, b"\x00"), "Applet component is empty"),
        ("Applet", put(4, b"\x04"), "an AID has 5 to 16 bytes"),
        ("Applet", put(13, b"\xff\xff"), "outside the Method component"),
        ("Import", lambda data: b"\x04\0\0", "Directory states 21 bytes for component Import"),
    ],
)
def test_broken_component_is_refused(name: str, change: Callable[[bytes], bytes], message: str) -> None:
    """Tags, sizes, magic, versions, counts and AIDs are checked before a card sees them."""
    with pytest.raises(ValueError, match=message):
        loadfile.parse(changed(name, change))


def test_component_larger_than_its_size_field_is_not_read_to_its_end() -> None:
    """A ZIP bomb is refused after one component's worth of bytes."""
    bomb = rezip(unzip() | {"StaticField": b"\x08\xff\xff" + bytes(50_000_000)})
    assert len(bomb) < 1 << 20
    with pytest.raises(ValueError, match=r"StaticField\.cap: it isn't one whole component"):
        loadfile.parse(bomb)


def test_two_packages_in_one_archive_are_refused() -> None:
    """Nobody knows which one is meant."""
    content = io.BytesIO(CAP)
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr("another/javacard/Header.cap", unzip()["Header"])
    with pytest.raises(ValueError, match="Header is there twice"):
        loadfile.parse(content.getvalue())


def test_component_of_a_later_format_is_refused() -> None:
    """StaticResources belongs to format 2.3; leaving it out would load half a package."""
    with pytest.raises(ValueError, match=r"StaticResources.cap: no component of CAP file format 2.1 or 2.2"):
        loadfile.parse(rezip(unzip() | {"StaticResources": b"\x0d\0\0"}))


def test_damaged_bytes_are_refused() -> None:
    """The ZIP's checksum doesn't match any more."""
    at = CAP.index(bytes.fromhex("DECAFFED"))
    with pytest.raises(ValueError, match="Bad CRC-32"):
        loadfile.parse(CAP[:at] + b"\xdf" + CAP[at + 1 :])
