"""Judging a load file before it becomes part of the card (GPCS 11.6.2.3, annex C.2; JCVM chapter 6)."""

import hashlib
from dataclasses import dataclass
from typing import Final

from hardware.sim.apdu import RefusedError
from hardware.sim.reader import Reader

HEADER, DIRECTORY, APPLET, IMPORT, EXPORT, DESCRIPTOR, DEBUG = 1, 2, 3, 4, 10, 11, 12
ORDER: Final = (HEADER, DIRECTORY, IMPORT, APPLET, 6, 7, 8, EXPORT, 5, 9, DESCRIPTOR)
OPTIONAL: Final = (APPLET, EXPORT, DESCRIPTOR)
MAGIC: Final = 0xDECAFFED
# Entries of the Directory component's table by CAP format version (minor, major): 2.2 added Debug
TABLE_SIZES: Final = {(1, 2): 11, (2, 2): 12}
MOST_AHEAD: Final = 1024
"""Bytes of one DAP block that this chip has room for."""
HASHES: Final = {20: "sha1", 32: "sha256", 48: "sha384", 64: "sha512"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFile:
    """What the card keeps of an accepted load file."""

    version: bytes
    modules: tuple[bytes, ...]


def check_hash(block: bytes, expected: bytes) -> None:
    """Compare the Load File Data Block Hash over the value without C4 and length (GPCS C.2); refuses with 6A80."""
    if expected and hashlib.new(HASHES[len(expected)], block).digest() != expected:
        raise RefusedError(0x6A80)


def inspect(block: bytes, aid: bytes) -> LoadFile:
    """Check the components of package *aid* and their order; refuses with 6A80."""
    components = _split(block)
    version, flags, package_version = _header(components[HEADER], aid)
    imports = _packages(components[IMPORT])
    modules = _applets(components[APPLET]) if APPLET in components else ()
    if bool(flags & 0x04) != bool(modules) or bool(flags & 0x02) != (EXPORT in components):
        raise RefusedError(0x6A80)
    _check_directory(components, TABLE_SIZES[version], imports, len(modules))
    return LoadFile(version=package_version, modules=modules)


def _split(block: bytes) -> dict[int, bytes]:
    reader, components, place = Reader(block), dict[int, bytes](), 0
    while reader.left:
        tag = reader.number(1)
        if tag not in ORDER[place:]:
            raise RefusedError(0x6A80)
        place = ORDER.index(tag) + 1
        components[tag] = reader.take(reader.number(2))
    if any(tag not in components for tag in ORDER if tag not in OPTIONAL):
        raise RefusedError(0x6A80)
    return components


def _header(component: bytes, aid: bytes) -> tuple[tuple[int, int], int, bytes]:
    """Return CAP format version (minor, major), flags and package version, major first (JCVM 6.4)."""
    reader = Reader(component)
    magic, version, flags = reader.number(4), (reader.number(1), reader.number(1)), reader.number(1)
    minor, major = reader.number(1), reader.number(1)
    package = reader.take(reader.number(1))
    if reader.left and version == (2, 2):
        reader.take(reader.number(1))  # package_name_info
    if magic != MAGIC or version not in TABLE_SIZES or package != aid or reader.left:
        raise RefusedError(0x6A80)
    return version, flags, bytes((major, minor))


def _packages(component: bytes) -> int:
    reader = Reader(component)
    count = reader.number(1)
    for _ in range(count):
        reader.take(2)
        _aid(reader)
    reader.end()
    return count


def _applets(component: bytes) -> tuple[bytes, ...]:
    reader = Reader(component)
    aids = []
    for _ in range(reader.number(1)):
        aids.append(_aid(reader))
        reader.take(2)
    reader.end()
    if not aids or len(set(aids)) != len(aids):
        raise RefusedError(0x6A80)
    return tuple(aids)


def _aid(reader: Reader) -> bytes:
    aid = reader.take(reader.number(1))
    if not 5 <= len(aid) <= 16:
        raise RefusedError(0x6A80)
    return aid


def _check_directory(components: dict[int, bytes], entries: int, imports: int, applets: int) -> None:
    """Compare the Directory component with what was loaded (JCVM 6.5).

    Descriptor and Debug are part of a CAP file that loading may leave out, so their entries may stand alone.
    """
    reader = Reader(components[DIRECTORY])
    for tag in range(1, entries + 1):
        size = reader.number(2)
        if size != len(components.get(tag, b"")) and (tag in components or tag not in (DESCRIPTOR, DEBUG)):
            raise RefusedError(0x6A80)
    reader.take(6)  # static_field_size
    counts = (reader.number(1), reader.number(1))
    customs = reader.number(1)
    for _ in range(customs):
        reader.take(3)
        _aid(reader)
    reader.end()
    if counts != (imports, applets):
        raise RefusedError(0x6A80)
