"""Card content management: INSTALL, LOAD and DELETE (GPCS 9.3, 9.5, 11.2, 11.5, 11.6)."""

from dataclasses import dataclass, field
from typing import Final

from hardware.sim import loadfile
from hardware.sim.apdu import Answer, Apdu, RefusedError
from hardware.sim.reader import Reader
from hardware.sim.registry import INSTALLED, SELECTABLE, Instance, Package, Registry

FOR_LOAD, FOR_INSTALL, MAKE_SELECTABLE, INSTALL_SELECTABLE, FOR_PERSO = 0x02, 0x04, 0x08, 0x0C, 0x20
# An instance takes its headers and objects even where it asks for nothing
INSTANCE_SIZE: Final = 256
# This chip grants card reset and CVM management, and no privilege of a Security Domain
CARD_RESET, CVM = 0x04, 0x02
NO_RECEIPT: Final = Answer(data=b"\0")


@dataclass(slots=True, kw_only=True)
class _Load:
    """A load process under way; it lives in transient memory."""

    aid: bytes
    expected_hash: bytes
    received: bytearray = field(default_factory=bytearray)
    size: int = -1
    block: int = 0


class Content:
    """Change what is on the card, as the Issuer Security Domain with authorized management."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._load: _Load | None = None

    def abort_load(self) -> None:
        """Give up a load process; nothing of it stays."""
        self._load = None

    def install(self, apdu: Apdu) -> Answer:
        """Run INSTALL for load, install, make selectable or the last two in one (GPCS 11.5)."""
        reader = Reader(apdu.data)
        match apdu.p1:
            case 0x02:
                self._for_load(reader)
            case 0x04 | 0x0C:
                self._for_install(reader, selectable=apdu.p1 == INSTALL_SELECTABLE)
            case 0x08:
                self._make_selectable(reader)
            case _:
                raise RefusedError(0x6A86)
        return NO_RECEIPT

    def _for_load(self, reader: Reader) -> None:
        aid, domain, digest, parameters, token = (reader.lv() for _ in range(5))
        reader.end()
        _check_aid(aid)
        if domain not in (b"", self._registry.isd_aid):
            raise RefusedError(0x6A88)
        if token or (digest and len(digest) not in loadfile.HASHES):
            raise RefusedError(0x6A80)
        if self._registry.is_known(aid):
            raise RefusedError(0x6985)
        self._registry.claim(_quota(parameters, 0xC6))
        self._load = _Load(aid=aid, expected_hash=digest)

    def load(self, apdu: Apdu) -> Answer:
        """Take one block (GPCS 11.6); any error ends the load process."""
        load, self._load = self._load, None
        if load is None:
            raise RefusedError(0x6985)
        if apdu.p1 not in (0x00, 0x80) or apdu.p2 != load.block:
            raise RefusedError(0x6A86)
        if not apdu.data:
            raise RefusedError(0x6700)
        chunk = apdu.data if load.block else self._begin(load, apdu.data)
        load.received += chunk
        load.block += 1
        last = apdu.p1 == 0x80
        if len(load.received) > load.size or (last and len(load.received) < load.size):
            raise RefusedError(0x6A80)
        if not last:
            self._load = load
            return Answer()
        self._finish(load)
        return NO_RECEIPT

    def _begin(self, load: _Load, data: bytes) -> bytes:
        # E2 would be a DAP block and D4 a ciphered load file: this Security Domain verifies and deciphers neither
        reader = Reader(data)
        if reader.tag() != 0xC4:
            raise RefusedError(0x6A80)
        load.size = reader.length()
        self._registry.claim(load.size)
        return reader.rest()

    def _finish(self, load: _Load) -> None:
        block = bytes(load.received)
        loadfile.check_hash(block, load.expected_hash)
        accepted = loadfile.inspect(block, load.aid)
        new = Package(aid=load.aid, version=accepted.version, modules=accepted.modules, size=load.size)
        self._registry.add_package(new)

    def _for_install(self, reader: Reader, *, selectable: bool) -> None:
        elf, module, aid, privileges, parameters, token = (reader.lv() for _ in range(6))
        reader.end()
        package = self._registry.package(elf)
        if package is None or module not in package.modules:
            raise RefusedError(0x6A88)
        aid = aid or module
        _check_aid(aid)
        if token or 0xC9 not in _tags(parameters):
            raise RefusedError(0x6A80)
        privileges = self._granted(privileges)
        if self._registry.is_known(aid):
            raise RefusedError(0x6985)
        size = INSTANCE_SIZE + _quota(parameters, 0xC8)
        self._registry.claim(size)
        state = SELECTABLE if selectable else INSTALLED
        new = Instance(aid=aid, elf=elf, module=module, privileges=privileges, state=state, size=size)
        self._registry.add_instance(new)

    def _granted(self, privileges: bytes) -> bytes:
        if len(privileges) not in (1, 3) or privileges[0] & ~(CARD_RESET | CVM) or any(privileges[1:]):
            raise RefusedError(0x6A80)
        for app in self._registry.instances():
            if app.privileges[0] & privileges[0]:  # either belongs to one application at a time
                raise RefusedError(0x6985)
        return privileges[:1] + bytes(2)

    def _make_selectable(self, reader: Reader) -> None:
        first, second, aid, privileges, parameters, token = (reader.lv() for _ in range(6))
        reader.end()
        if first or second or token or len(privileges) not in (0, 1, 3):
            raise RefusedError(0x6A80)
        _tags(parameters)
        app = self._registry.instance(aid)
        if app is None:
            raise RefusedError(0x6A88)
        if app.state != INSTALLED:
            raise RefusedError(0x6985)
        self._registry.set_state(aid, SELECTABLE)

    def personalization_target(self, apdu: Apdu) -> bytes:
        """Return the AID that INSTALL [for personalization] names (GPCS 11.5.2.3.6)."""
        reader = Reader(apdu.data)
        first, second, aid, *others = (reader.lv() for _ in range(6))
        reader.end()
        if first or second or any(others):
            raise RefusedError(0x6A80)
        app = self._registry.instance(aid)
        if app is None:
            raise RefusedError(0x6A88)
        if app.state == INSTALLED or app.state & 0x80:
            raise RefusedError(0x6985)
        return aid

    def delete(self, apdu: Apdu) -> Answer:
        """Remove an application, or a load file with no instances or together with them (GPCS 11.2)."""
        if apdu.p1 or apdu.p2 not in (0x00, 0x80):
            raise RefusedError(0x6A86)
        reader = Reader(apdu.data)
        tag, aid = reader.tlv()
        reader.end()
        if tag != 0x4F:
            raise RefusedError(0x6A80)
        if aid == self._registry.isd_aid:
            raise RefusedError(0x6985)
        if self._registry.instance(aid):
            self._registry.remove_instance(aid)
        elif self._registry.package(aid):
            self._delete_package(aid, related=apdu.p2 == 0x80)
        else:
            raise RefusedError(0x6A88)
        return NO_RECEIPT

    def _delete_package(self, aid: bytes, *, related: bool) -> None:
        instances = [app.aid for app in self._registry.instances() if app.elf == aid]
        if instances and not related:
            raise RefusedError(0x6985)
        for instance in instances:
            self._registry.remove_instance(instance)
        self._registry.remove_package(aid)


def _check_aid(aid: bytes) -> None:
    if not 5 <= len(aid) <= 16:
        raise RefusedError(0x6A80)


def _tags(parameters: bytes) -> dict[int, bytes]:
    reader, tags = Reader(parameters), dict[int, bytes]()
    while reader.left:
        tag, value = reader.tlv()
        tags[tag] = value
    return tags


def _quota(parameters: bytes, tag: int) -> int:
    """Return the memory that the system parameters (EF) ask for under *tag*, 2 or 4 bytes long."""
    value = _tags(_tags(parameters).get(0xEF, b"")).get(tag, b"")
    if len(value) not in (0, 2, 4):
        raise RefusedError(0x6A80)
    return int.from_bytes(value, "big")
