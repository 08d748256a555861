"""Load files: a CAP file's components, checked and put into the order in which a card takes them (JCVM 2.2 chapter 6)."""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from hardware.iso7816 import AID
from hardware.tlv import tlv

HEADER, DIRECTORY, APPLET, IMPORT, CONSTANT_POOL, CLASS = 1, 2, 3, 4, 5, 6
METHOD, STATIC_FIELD, REF_LOCATION, EXPORT, DESCRIPTOR, DEBUG = 7, 8, 9, 10, 11, 12
NAMES: Final = (
    "Header", "Directory", "Applet", "Import", "ConstantPool", "Class",
    "Method", "StaticField", "RefLocation", "Export", "Descriptor", "Debug",
)  # fmt: skip
"""Component file names by tag, from 1 (JCVM table 6-2)."""
ORDER: Final = (HEADER, DIRECTORY, IMPORT, APPLET, CLASS, METHOD, STATIC_FIELD, EXPORT, CONSTANT_POOL, REF_LOCATION)
"""The order of installation (JCVM table 6-3). Descriptor (a quarter of the bytes) and Debug are loaded only if asked for."""
OPTIONAL: Final = frozenset({APPLET, EXPORT, DESCRIPTOR, DEBUG})
MAGIC: Final = bytes.fromhex("DECAFFED")
EXPORTS, APPLETS = 0x02, 0x04
"""Bits of the Header's flags (JCVM table 6-4)."""
SIZES: Final = {(2, 1): 11, (2, 2): 12}
"""Entries of the Directory's table by CAP format version."""
MAX_FILE: Final = 1 << 20
MAX_COMPONENT: Final = 3 + 0xFFFF
MAX_BLOCKS: Final = 256
"""The block number of LOAD has one byte (GPCS 11.6.2.2)."""


Hash: TypeAlias = Literal["sha1", "sha256", "sha384", "sha512"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DapBlock:
    """A security domain's signature over the hash of a load file (GPCS C.3); it travels ahead of the code."""

    domain: AID
    signature: bytes

    def __bytes__(self) -> bytes:
        """Return E2 with the domain's AID and its signature (table 11-58)."""
        return tlv(0xE2, tlv(0x4F, self.domain) + tlv(0xC3, self.signature))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFile:
    """A package to load: *modules* are the AIDs of its applets, *block* is the Load File Data Block (GPCS annex C)."""

    aid: AID
    version: str
    modules: tuple[AID, ...]
    block: bytes = field(repr=False)

    def hash(self, algorithm: Hash = "sha256") -> bytes:
        """Return the Load File Data Block Hash, over the value without C4 and length (GPCS C.2)."""
        return hashlib.new(algorithm, self.block).digest()

    def load_blocks(self, limit: int, daps: Sequence[DapBlock] = ()) -> tuple[bytes, ...]:
        """Return the data of the LOAD commands, DAP blocks, C4, length and value cut at *limit* bytes (GPCS 11.6.2.3).

        Raises ValueError where that takes more than 256 commands.
        """
        if limit < 1:
            raise ValueError(f"LOAD blocks of {limit} bytes hold nothing")
        data = b"".join(map(bytes, daps)) + tlv(0xC4, self.block)
        blocks = tuple(data[at : at + limit] for at in range(0, len(data), limit))
        if len(blocks) > MAX_BLOCKS:
            raise ValueError(f"load file {self.aid}: {len(blocks)} blocks of {limit} bytes, but LOAD counts to {MAX_BLOCKS}")
        return blocks


def parse(data: bytes, *, descriptor: bool = False, debug: bool = False) -> LoadFile:
    """Read a CAP file (a ZIP of components) or its components one after another (IJC, or a Load File Data Block).

    *descriptor*, *debug*: load these components too, at the end, where the file has them.

    Raises ValueError that says what is broken: nothing of a CAP file format other than 2.1 and 2.2 is guessed.
    """
    if len(data) > MAX_FILE:
        raise ValueError(f"a load file has at most {MAX_FILE} bytes, not {len(data)}")
    components = _unzip(data) if data[:2] == b"PK" else _split(data)
    missing = [name for tag, name in enumerate(NAMES, 1) if tag not in components and tag not in OPTIONAL]
    if missing:
        raise ValueError(f"not a CAP file: no component {', '.join(missing)}")
    version, flags, package_version, aid = _header(components[HEADER])
    modules = _applets(components) if APPLET in components else ()
    if bool(flags & APPLETS) != bool(modules) or bool(flags & EXPORTS) != (EXPORT in components):
        raise ValueError(f"the Header's flags {flags:02X} don't agree with the Applet and Export components present")
    _check_directory(components, SIZES[version], len(modules))
    order = (*ORDER, *((DESCRIPTOR,) if descriptor else ()), *((DEBUG,) if debug else ()))
    block = b"".join(_with_header(tag, components[tag]) for tag in order if tag in components)
    if len(block) > 0xFFFF:
        raise ValueError(f"a load file data block of {len(block)} bytes is more than one length field holds")
    return LoadFile(aid=aid, version=package_version, modules=modules, block=block)


def _with_header(tag: int, info: bytes) -> bytes:
    return bytes((tag,)) + len(info).to_bytes(2, "big") + info


def _unzip(data: bytes) -> dict[int, bytes]:
    """Return the info of each component by tag; reads no more of an entry than a component can have."""
    components: dict[int, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                folder, _, name = entry.filename.rpartition("/")
                if not name.endswith(".cap") or folder.rpartition("/")[2] != "javacard":
                    continue
                tag = _tag(entry.filename, name.removesuffix(".cap"))
                if tag in components:
                    raise ValueError(f"component {NAMES[tag - 1]} is there twice; one CAP file holds one package")
                with archive.open(entry) as stream:
                    content = stream.read(MAX_COMPONENT + 1)
                components[tag] = _component(tag, content, entry.filename)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as broken:
        raise ValueError(f"the ZIP container can't be read: {broken}") from broken
    return components


def _tag(path: str, name: str) -> int:
    if name not in NAMES:
        raise ValueError(f"{path}: no component of CAP file format 2.1 or 2.2 has that name")
    return NAMES.index(name) + 1


def _component(tag: int, content: bytes, path: str) -> bytes:
    size = int.from_bytes(content[1:3], "big")
    if len(content) < 3 or content[0] != tag or len(content) != 3 + size:
        raise ValueError(f"{path}: it isn't one whole component with tag {tag:02X} (JCVM 6.1)")
    return content[3:]


def _split(data: bytes) -> dict[int, bytes]:
    if data[:1] != bytes((HEADER,)):
        raise ValueError("neither a CAP file (ZIP) nor CAP components that begin with a Header")
    components: dict[int, bytes] = {}
    reader = _Reader(data, "the row of components")
    while reader.left:
        tag = reader.number()
        if not HEADER <= tag <= DEBUG or tag in components:
            raise ValueError(f"component tag {tag:02X} is unknown or there twice")
        components[tag] = reader.take(reader.number(2))
    return components


class _Reader:
    def __init__(self, data: bytes, what: str) -> None:
        self._data, self._what, self._at = data, what, 0

    @property
    def left(self) -> bytes:
        return self._data[self._at :]

    def take(self, size: int) -> bytes:
        if size > len(self.left):
            raise ValueError(f"{self._what} is cut short")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int = 1) -> int:
        return int.from_bytes(self.take(size), "big")


def _header(info: bytes) -> tuple[tuple[int, int], int, str, AID]:
    """Return CAP format version, flags, package version and AID (JCVM 6.3); versions stand minor first."""
    reader = _Reader(info, "the Header component")
    if reader.take(4) != MAGIC:
        raise ValueError("the Header component lacks the magic DECAFFED")
    minor, major, flags, package_minor, package_major, size = reader.take(6)
    if (major, minor) not in SIZES:
        raise ValueError(f"CAP file format {major}.{minor} isn't known, 2.1 and 2.2 are")
    return (major, minor), flags, f"{package_major}.{package_minor}", AID(reader.take(size))


def _applets(components: dict[int, bytes]) -> tuple[AID, ...]:
    """Return the modules' AIDs (JCVM 6.5) in the file's order."""
    reader = _Reader(components[APPLET], "the Applet component")
    modules = []
    for _ in range(reader.number()):
        modules.append(AID(reader.take(reader.number())))
        install = reader.number(2)
        if not 0 < install < len(components[METHOD]):
            raise ValueError(f"applet {modules[-1]}: its install method lies outside the Method component")
    if not modules or len(set(modules)) != len(modules) or reader.left:
        raise ValueError("the Applet component is empty, names an applet twice or is too long")
    return tuple(modules)


def _check_directory(components: dict[int, bytes], entries: int, applets: int) -> None:
    """Compare sizes and counts with the components (JCVM 6.4); Descriptor and Debug may have been left out."""
    reader = _Reader(components[DIRECTORY], "the Directory component")
    for tag, name in enumerate(NAMES[:entries], 1):
        stated, found = reader.number(2), len(components.get(tag, b""))
        if stated != found and (tag in components or tag not in (DESCRIPTOR, DEBUG)):
            raise ValueError(f"the Directory states {stated} bytes for component {name}, which has {found}")
    reader.take(6)  # static_field_size
    imports, stated_applets, customs = reader.take(3)
    if (imports, stated_applets) != (_Reader(components[IMPORT], "the Import component").number(), applets):
        raise ValueError("the Directory's counts of imports and applets aren't those of the components")
    if customs:
        raise ValueError("custom components can't be loaded")
