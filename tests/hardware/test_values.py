"""Data elements into bytes, by hand-made examples."""

from dataclasses import replace

import pytest

from hardware.perso.order import Action, DataSet
from hardware.perso.profiles import DataElement, Encoding, TagEncoding
from hardware.perso.values import Coded, Places, code, coded, decode, elements
from tests.hardware.cards import NAMES, TRANSPORT, application, described, step
from tests.hardware.cards import elements as pairs


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("00ff7A", Encoding.HEX, "00FF7A"),
        ("", Encoding.HEX, ""),
        ("DOE/JANE", Encoding.ASCII, "444F452F4A414E45"),
        ("cABC", Encoding.BASE64, "700042"),
        ("cA==", Encoding.BASE64, "70"),
        ("Ä€", Encoding.UTF8, "C384E282AC"),
        ("5413330089", Encoding.CN, "5413330089"),
        ("541333008", Encoding.CN, "541333008F"),
    ],
)
def test_value_is_decoded(text: str, encoding: Encoding, expected: str) -> None:
    """HEX, ASCII, BASE64, UTF8, and CN: two digits a byte, an odd one filled right with F."""
    assert decode(text, encoding).hex().upper() == expected


@pytest.mark.parametrize(
    ("text", "encoding", "message"),
    [
        ("7", Encoding.HEX, "not hex"),
        ("70 00", Encoding.HEX, "not hex"),
        ("0x70", Encoding.HEX, "not hex"),
        ("MÜLLER", Encoding.ASCII, "not ASCII"),
        ("cA=", Encoding.BASE64, "not BASE64"),
        ("c A=", Encoding.BASE64, "not BASE64"),
        ("cÄ==", Encoding.BASE64, "not BASE64"),
        ("54133F", Encoding.CN, "CN takes digits only"),
        ("٣٤", Encoding.CN, "CN takes digits only"),
        ("", Encoding.CN, "CN takes digits only"),
    ],
)
def test_ill_written_value_is_refused(text: str, encoding: Encoding, message: str) -> None:
    """The message says how, and quotes nothing: neither itself nor what it came from."""
    with pytest.raises(ValueError, match=f"^{message}$") as refusal:
        decode(text, encoding)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def make(structure: TagEncoding, tag: int) -> Coded:
    return Coded(name="X", tag=tag, structure=structure, value=b"", transport=None)


@pytest.mark.parametrize(
    ("structure", "tag", "size", "head"),
    [
        (TagEncoding.DGI, 0x0101, 0x00, "010100"),
        (TagEncoding.DGI, 0x0101, 0xFE, "0101FE"),
        (TagEncoding.DGI, 0x0101, 0xFF, "0101FF00FF"),
        (TagEncoding.DGI, 0x9104, 0x0123, "9104FF0123"),
        (TagEncoding.EMV, 0x5A, 0x7F, "5A7F"),
        (TagEncoding.EMV, 0x5F20, 0x80, "5F208180"),
        (TagEncoding.EMV, 0xDF8101, 0x0100, "DF8101820100"),
        (TagEncoding.L16, 0x0042, 0x0001, "00420001"),
        (TagEncoding.L16, 0xBEEF, 0x0102, "BEEF0102"),
    ],
)
def test_structure_has_its_own_lengths(structure: TagEncoding, tag: int, size: int, head: str) -> None:
    """A DGI's is 00 to FE, or FF and two bytes, never 81; BER-TLV's is BER; L16 takes two bytes always."""
    assert make(structure, tag).serialised(bytes(size)).hex().upper() == head + "00" * size


@pytest.mark.parametrize(
    ("name", "called"), [("PAN", True), ("5A", True), ("005A", True), ("pan", False), ("5", False), ("A5", False)]
)
def test_element_is_called_by_name_or_tag(name: str, *, called: bool) -> None:
    """Instructions may say either."""
    value = Coded(name="PAN", tag=0x5A, structure=TagEncoding.EMV, value=b"", transport=None)
    assert Places([value]).of([name]) == ([0] if called else [])


def test_data_without_element_list_are_dgis() -> None:
    """Each stands under its own number."""
    (value,) = coded(
        pairs(("8010", "AB")), profile=NAMES.__class__(id=NAMES.id, version="1", type="GP", elements=(), scripts=())
    )
    assert (value.tag, value.structure, value.value) == (0x8010, TagEncoding.DGI, b"\xab")


def test_named_data_take_the_profiles_tag_and_encoding() -> None:
    """File order stays; what has no tag is known and left out."""
    made = coded(pairs(("NAME", "DOE"), ("STOCK", "BLUE"), ("PAN", "541333")), NAMES)
    assert [(each.name, each.tag, each.value) for each in made] == [("NAME", 0x5F20, b"DOE"), ("PAN", 0x5A, b"\x54\x13\x33")]


def test_encrypted_value_is_hex_whatever_its_encoding() -> None:
    """Ciphertext isn't digits; its length says nothing of the clear value, so it isn't checked."""
    known = {"PIN": described("PIN", Encoding.CN, 0x99, TagEncoding.EMV, fixed=True, length=2)}
    (element,) = pairs(("PIN", "00FF00FF00FF00FF"), transport=TRANSPORT)
    value = code(element, known)
    assert value is not None
    assert (value.value.hex().upper(), value.transport) == ("00FF00FF00FF00FF", TRANSPORT)


@pytest.mark.parametrize(
    ("given", "known", "message"),
    [
        (("PIN", "SECRETSECRET"), described("PAN", Encoding.ASCII, 0x99), "doesn't know this element"),
        (("PIN", "SECRETSECRET"), described("PIN", Encoding.HEX, 0x99), "not hex"),
        (("PIN", "SECRETSECRET"), described("PIN", Encoding.CN, 0x99), "digits only"),
        (("PIN", "SECRETSECRET"), described("PIN", Encoding.ASCII, 0x99, length=11), "12 bytes where the profile allows 11"),
        (
            ("PIN", "SECRETSECRET"),
            described("PIN", Encoding.ASCII, 0x99, fixed=True, length=13),
            "12 bytes where the profile fixes 13",
        ),
        (("SECRETS", "00"), None, "four hex digits"),
        (("80XX", "00"), None, "not hex"),
        (("8010", "SECRETSECRET"), None, "not hex"),
    ],
)
def test_unfit_element_is_refused_without_its_value(given: tuple[str, str], known: DataElement | None, message: str) -> None:
    """The reason stands in the message, the value doesn't."""
    (element,) = pairs(given)
    with pytest.raises(ValueError, match=message) as refusal:
        code(element, {known.name: known} if known else {})
    assert "SECRETSECRET" not in str(refusal.value)


def test_values_do_not_print() -> None:
    """Neither as the file writes them nor as the card takes them."""
    (element,) = pairs(("NAME", "SECRETSECRET"))
    value = code(element, {"NAME": described("NAME", Encoding.ASCII, 0x5F20)})
    assert "SECRET" not in repr(element) + repr(value)


def test_step_uses_the_data_set_it_names() -> None:
    """Or all of them where it names none."""
    sets = (DataSet(name="A", elements=pairs(("0101", "00"))), DataSet(name="B", elements=pairs(("0201", "00"))))
    asked = application(data=sets)
    assert [each.name for each in elements(asked, step(Action.PERSONALIZE, data_set="B"))] == ["0201"]
    assert [each.name for each in elements(asked, step(Action.PERSONALIZE))] == ["0101", "0201"]
    assert elements(asked, step(Action.PERSONALIZE, data_set="C")) == ()


@pytest.mark.parametrize("structure", list(TagEncoding))
def test_value_too_long_for_its_length_is_refused(structure: TagEncoding) -> None:
    """Two bytes of length reach 65,535."""
    known = {"A": described("A", tag=0x5A if structure is TagEncoding.EMV else 0x0101, kind=structure)}
    fits, over = pairs(("A", "00" * 0xFFFF)) + pairs(("A", "00" * 0x10000))
    made = code(fits, known)
    assert made is not None
    assert made.serialised(made.value).endswith(bytes(0xFFFF))
    with pytest.raises(ValueError, match="has 65536 bytes where"):
        code(over, known)
    with pytest.raises(ValueError, match="has 65536 bytes where"):
        code(replace(over, name="0101"), {})
