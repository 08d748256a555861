"""Profiles in the systems-profiles XML form, read into hardware.perso.profiles; every problem is told with its line.

What the grammar spells out is checked; parts that it leaves open are accepted and unread. So are a DataElement's Value
(a batch must bring the element itself) and the life cycles.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Final, TypeVar

from lxml import etree

from bureau.containers.orders import element_name
from bureau.errors import BureauError
from hardware.iso7816 import AID
from hardware.perso.order import UniqueID
from hardware.perso.profiles import (
    ApplicationInstance,
    ApplicationProfile,
    CardProfile,
    DataElement,
    Encoding,
    LoadFileInstance,
    LoadFileProfile,
    Profile,
    TagEncoding,
)

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
Node = etree._Element

NAMESPACE: Final = "http://namespaces.globalplatform.org/systems-profiles/"
VERSIONS: Final = frozenset({"1.0.0", "1.1.0", "1.1.1", "1.1.2", "1.2.0"})
ARRAY: Final = ("arrayElement", "arrayIndex")
GRAMMAR: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "CardProfile": (
        ("UniqueID", "ProfileVersion"),
        ("Revisions", "CardManufacturerProduct", "ConflictRules", "LoadFileInstances", "ApplicationInstances", "CardInfo"),
    ),
    "CardManufacturerProduct": (("Name", "Version"), ("CardManufacturer", "Chip", "Platform")),
    "CardManufacturer": (("Name",), ()),
    "Chip": (("Name", "Model", "Version", "ChipManufacturer"), ("Resources", "Powers", "Communication")),
    "Powers": (ARRAY, ()),
    "Contact": ((), ("Protocols",)),
    "Protocols": (ARRAY, ("Protocol",)),
    "Protocol": (("Type", "MaxApduLen"), ()),
    "LoadFileInstances": (ARRAY, ()),
    "LoadFileInstance": (("ProfileID", "LifeCycle", "Masked"), ()),
    "ApplicationInstances": (ARRAY, ()),
    "ApplicationInstance": (("ProfileID", "AID", "LifeCycle", "LoadFileID"), ()),
    "ApplicationProfile": (("UniqueID", "ProfileVersion"), ("Revisions", "ConflictRules", "ApplicationInfo")),
    "ApplicationInfo": (
        ("Type", "Subtype", "Version", "Owner", "Developer", "Provider", "Domain", "VolatileDataSpaceMin",
         "NonVolatileDataSpaceMin"),
        ("Privileges", "LifeCycles"),
    ),
    "LifeCycles": (ARRAY, ()),
    "DataElement": (("Name", "External", "Type"), ()),
    "SecureChannel": (("SecureChannel",), ()),
    "ScriptFragment": (("Name", "StartLifeCycle", "EndLifeCycle"), ("Script",)),
    "LoadFileProfile": (("UniqueID", "ProfileVersion"), ("Revisions", "ConflictRules", "LoadFileInfo", "Modules")),
    "LoadFileInfo": (("AID", "Version"), ()),
    "Modules": (ARRAY, ("Module",)),
    "Module": (("ModuleID", "AID"), ()),
    "ConflictRules": (ARRAY, ()),
    "ConflictRule": (("Source", "Target", "Rule"), ()),
    "Revisions": (ARRAY, ("Revision",)),
    "Revision": (("Version", "Date", "Time", "By", "Digest"), ()),
}  # fmt: skip
"""Of each element the attributes and the children that must be there."""
CONTACT: Final = {"T0": "T=0", "T1": "T=1", "T14": "T=14"}
"""What the @Type of a contact Protocol is called elsewhere."""
PRIVILEGES: Final = {
    "SecurityDomain": 0x800000, "DAPVerification": 0xC00000, "DelegatedManagement": 0xA00000,
    "CardManagerLock": 0x100000, "CardLock": 0x100000, "CardTerminate": 0x080000,
    "DefaultSelected": 0x040000, "CardReset": 0x040000, "CVMChange": 0x020000, "CVMManagement": 0x020000,
    "ManadatedDAPVerification": 0xC10000, "TrustedPath": 0x8000, "AuthorizedManagement": 0x4000,
    "TokenVerification": 0x2000, "GlobalDelete": 0x1000, "GlobalLock": 0x0800, "GlobalRegistry": 0x0400,
    "FinalApplication": 0x0200, "GlobalService": 0x0100, "ReceiptGeneration": 0x80,
}  # fmt: skip
"""Attributes of Privileges and their three bytes (GPCS table 11-7); one spelling is the schema's own."""


class ProfileError(BureauError):
    """The file is refused whole; *problems* lists all that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("profiles refused: " + "; ".join(problems), "correct the file and register it again")
        self.problems = tuple(problems)


def parse(data: bytes) -> tuple[Profile, ...]:
    """Return the card, application and load file profiles of an XML file, wherever in it they stand.

    Raises ProfileError: no XML, a DOCTYPE, no profile, a namespace or value out of the grammar, or a signature, which
    nobody here verifies.
    """
    problems: list[str] = []
    profiles = []
    for node in _root(data).iter(*(f"{{*}}{name}" for name in READERS)):
        namespace, name = etree.QName(node).namespace or "", etree.QName(node).localname
        if not namespace.startswith(NAMESPACE) or namespace.removeprefix(NAMESPACE) not in VERSIONS:
            problems.append(f"line {node.sourceline}: {name}: unknown namespace {namespace!r}")
            continue
        reader = _Reader(namespace, problems)
        reader.check(node)
        profiles.append(READERS[name](reader, node))
    ids = [profile.id for profile in profiles]
    problems += [f"{double} stands in the file twice" for double in sorted({i for i in ids if ids.count(i) > 1})]
    if not profiles and not problems:
        problems.append("there is no CardProfile, ApplicationProfile or LoadFileProfile in the file")
    if problems:
        raise ProfileError(list(dict.fromkeys(problems)))
    return tuple(profiles)


def _root(data: bytes) -> Node:
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as wrong:
        raise ProfileError([f"line {wrong.lineno}: not well-formed XML: {wrong.msg}"]) from wrong
    if root.getroottree().docinfo.internalDTD is not None:
        raise ProfileError(["a DOCTYPE is not allowed"])
    return root


class _Reader:
    """Turns attributes into values; a wrong one is noted and something harmless returned, as the file will be refused."""

    def __init__(self, namespace: str, problems: list[str]) -> None:
        self._namespace, self._problems = namespace, problems

    def note(self, node: Node, text: str) -> None:
        self._problems.append(f"line {node.sourceline}: {etree.QName(node).localname}: {text}")

    def check(self, profile: Node) -> None:
        """Note what the grammar wants and *profile* lacks, and signatures."""
        for node in profile.iter(etree.Element):
            name = etree.QName(node).localname
            if name == "Signature":
                self.note(node, "signatures aren't verified yet, so a signed profile is refused")
            if etree.QName(node).namespace == self._namespace:
                attributes, children = GRAMMAR.get(name, ((), ()))
                for attribute in attributes:
                    if attribute not in node.attrib:
                        self.note(node, f"attribute {attribute} is missing")
                for child in children:
                    if self.child(node, child) is None:
                        self.note(node, f"element {child} is missing")

    def child(self, node: Node, name: str) -> Node | None:
        return node.find(f"{{{self._namespace}}}{name}")

    def all(self, node: Node, *path: str) -> list[Node]:
        return node.findall("/".join(f"{{{self._namespace}}}{name}" for name in path))

    def ordered(self, node: Node, *path: str) -> list[Node]:
        """Return the elements at *path* by their Order, those without one last."""
        return sorted(self.all(node, *path), key=partial(self.number, name="Order", default=1 << 32))

    def value(self, node: Node, name: str, convert: Callable[[str], T], default: T) -> T:
        text = node.get(name)
        try:
            return default if text is None else convert(text)
        except (ValueError, KeyError):
            self.note(node, f"{name} {text!r} isn't allowed")
            return default

    def text(self, node: Node, name: str) -> str:
        return node.get(name, "")

    def number(self, node: Node, name: str, default: int) -> int:
        return self.value(node, name, _natural, default)

    def flag(self, node: Node, name: str) -> bool:
        return self.value(node, name, {"true": True, "1": True, "false": False, "0": False}.__getitem__, False)

    def hexadecimal(self, node: Node, name: str) -> bytes:
        return self.value(node, name, _hex, b"")

    def aid(self, node: Node) -> AID:
        return self.value(node, "AID", lambda text: AID(_hex(text)), AID(bytes(5)))

    def unique_id(self, node: Node, name: str) -> UniqueID:
        value = self.hexadecimal(node, name)
        if node.get(name) == "":
            self.note(node, f"{name} is empty")
        return UniqueID(value.hex().upper())

    def choice(self, node: Node, name: str, kind: type[E]) -> E | None:
        return self.value(node, name, kind, None)

    def distinct(self, nodes: list[Node], name: str) -> None:
        seen = set[str]()
        for node in nodes:
            if self.text(node, name) in seen:
                self.note(node, f"{name} {self.text(node, name)!r} is there twice")
            seen.add(self.text(node, name))


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def _hex(text: str) -> bytes:
    if any(character.isspace() for character in text):
        raise ValueError(text)
    return bytes.fromhex(text)


def _card(read: _Reader, node: Node) -> CardProfile:
    product = read.child(node, "CardManufacturerProduct")
    maker = None if product is None else read.child(product, "CardManufacturer")
    protocols = [] if product is None else [
        protocol for face in ("Contact", "Contactless")
        for protocol in read.all(product, "Chip", "Communication", face, "Protocols", "Protocol")
    ]  # fmt: skip
    if product is not None and not protocols:
        read.note(product, "no Protocol says how long a command may be")
    load_files = read.ordered(node, "LoadFileInstances", "LoadFileInstance")
    applications = read.ordered(node, "ApplicationInstances", "ApplicationInstance")
    read.distinct(applications, "AID")
    known = {read.unique_id(file, "ProfileID") for file in load_files}
    for application in applications:
        if "LoadFileID" in application.attrib and read.unique_id(application, "LoadFileID") not in known:
            read.note(application, f"no LoadFileInstance has the ProfileID {read.text(application, 'LoadFileID')}")
    return CardProfile(
        id=read.unique_id(node, "UniqueID"),
        version=read.text(node, "ProfileVersion"),
        product="" if product is None else read.text(product, "Name"),
        product_version="" if product is None else read.text(product, "Version"),
        stock=None if maker is None else maker.get("PlasticStockID"),
        max_apdu=min((read.number(protocol, "MaxApduLen", 0) for protocol in protocols), default=0),
        load_files=tuple(
            LoadFileInstance(profile=read.unique_id(file, "ProfileID"), masked=read.flag(file, "Masked"))
            for file in load_files
        ),
        applications=tuple(_instance(read, application) for application in applications),
        protocols=tuple(dict.fromkeys(CONTACT.get(kind, kind) for each in protocols if (kind := each.get("Type")))),
    )


def _instance(read: _Reader, node: Node) -> ApplicationInstance:
    return ApplicationInstance(
        profile=read.unique_id(node, "ProfileID"),
        aid=read.aid(node),
        load_file=read.unique_id(node, "LoadFileID"),
        privileges=_privileges(read, read.child(node, "Privileges")),
        parameters=read.hexadecimal(node, "AppSpecificInstallParams"),
    )


def _privileges(read: _Reader, node: Node | None) -> bytes:
    """Return one byte, or three where one of the later privileges is among them; 00 where nothing is said."""
    if node is None:
        return b"\0"
    privileges = 0
    for name in filter(partial(read.flag, node), map(str, node.attrib)):
        if name not in PRIVILEGES:
            read.note(node, f"privilege {name} isn't known")
        privileges |= PRIVILEGES.get(name, 0)
    coded = privileges.to_bytes(3, "big")
    return coded if any(coded[1:]) else coded[:1]


def _application(read: _Reader, node: Node) -> ApplicationProfile:
    info = read.child(node, "ApplicationInfo")
    elements, scripts = read.all(node, "DataElement"), read.all(node, "ScriptFragment")
    read.distinct(elements, "Name")
    read.distinct(scripts, "Name")
    kind = "" if info is None else read.text(info, "Type")
    if info is not None and kind not in ("GP", "MULTOS", "W4SC", "OTHER"):
        read.note(info, f"Type {kind!r} isn't allowed")
    return ApplicationProfile(
        id=read.unique_id(node, "UniqueID"),
        version=read.text(node, "ProfileVersion"),
        type=kind,
        elements=tuple(_element(read, element) for element in elements),
        scripts=tuple(read.text(script, "Name") for script in scripts),
    )


def _element(read: _Reader, node: Node) -> DataElement:
    tag, encoding = read.hexadecimal(node, "Tag"), read.choice(node, "TagEncoding", TagEncoding)
    if tag and "TagEncoding" not in node.attrib:
        read.note(node, f"Tag {tag.hex().upper()} without TagEncoding")
    if encoding and tag and not (_is_ber(tag) if encoding is TagEncoding.EMV else len(tag) == 2):
        read.note(node, f"Tag {tag.hex().upper()} is no {encoding} tag")
    fixed, length = read.flag(node, "FixedLength"), read.number(node, "Length", -1)
    if fixed and length < 0:
        read.note(node, "FixedLength without Length")
    if node.get("Type") not in (None, "ByteString"):
        read.note(node, f"Type {node.get('Type')!r} isn't allowed")
    return DataElement(
        name=element_name(read.text(node, "Name")),
        encoding=read.choice(node, "Encoding", Encoding) or Encoding.HEX,
        tag=int.from_bytes(tag, "big") if tag else None,
        tag_encoding=encoding if tag else None,
        optional=read.flag(node, "Optional"),
        fixed_length=fixed,
        length=None if length < 0 else length,
        mandatory_audit=read.flag(node, "MandatoryAudit"),
    )


def _is_ber(tag: bytes) -> bool:
    """Return whether *tag* is one BER tag of one to three bytes (ISO/IEC 7816-4 section 5.2.2.1)."""
    if tag[0] & 0x1F != 0x1F:
        return len(tag) == 1
    return 2 <= len(tag) <= 3 and tag[-1] < 0x80 and all(byte & 0x80 for byte in tag[1:-1])


def _load_file(read: _Reader, node: Node) -> LoadFileProfile:
    info, modules = read.child(node, "LoadFileInfo"), read.all(node, "Modules", "Module")
    read.distinct(modules, "AID")
    return LoadFileProfile(
        id=read.unique_id(node, "UniqueID"),
        version=read.text(node, "ProfileVersion"),
        aid=AID(bytes(5)) if info is None else read.aid(info),
        modules=tuple(read.aid(module) for module in modules),
    )


READERS: Final[Mapping[str, Callable[[_Reader, Node], Profile]]] = {
    "CardProfile": _card,
    "ApplicationProfile": _application,
    "LoadFileProfile": _load_file,
}
