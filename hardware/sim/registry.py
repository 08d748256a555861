"""The GlobalPlatform registry as it lies in persistent memory, and GET STATUS over it (GPCS 8.2, 11.4)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hardware.sim import privileges
from hardware.sim.apdu import Answer, Apdu, RefusedError
from hardware.sim.eeprom import Eeprom, Json
from hardware.sim.reader import Reader
from hardware.tlv import tlv

INSTALLED, SELECTABLE, PERSONALIZED, LOCKED = 0x03, 0x07, 0x0F, 0x80
OP_READY, INITIALIZED, SECURED, CARD_LOCKED, TERMINATED = 0x01, 0x07, 0x0F, 0x7F, 0xFF
ISD_PRIVILEGES: Final = privileges.coded(privileges.ISD)
# The package in ROM that security domains are made from; a module of it can be installed, but it isn't listed
DOMAIN_PACKAGE, DOMAIN_MODULE = bytes.fromhex("A0000001515350"), bytes.fromhex("A000000151535041")
ISD_STATE: Final = "isd/state"
STATUS_KINDS: Final = (0x80, 0x40, 0x20, 0x10)
NEXT, TLV_FORM = 0x01, 0x02
"""Bits of P2 of GET STATUS."""
STORED: Final = ("dgi", "tag", "raw")
KEY_SIZE: Final = 32
"""What a key takes, with its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An installed application."""

    aid: bytes
    elf: bytes
    module: bytes
    privileges: bytes
    domain: bytes
    state: int
    size: int
    implicit: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An Executable Load File with its Executable Modules; *version* is major, minor."""

    aid: bytes
    version: bytes
    modules: tuple[bytes, ...]
    size: int
    domain: bytes


FIELDS: Final = ("elf", "module", "privileges", "domain", "implicit")


def app_key(aid: bytes, field: str) -> str:
    """Return the memory key of one field of an application."""
    return f"app/{aid.hex().upper()}/{field}"


class Registry:
    """Read and change what is installed."""

    def __init__(self, eeprom: Eeprom, isd_aid: bytes, memory: int) -> None:
        self._eeprom, self._memory = eeprom, memory
        self.isd_aid = isd_aid

    @property
    def isd_state(self) -> int:
        """Return the card's life cycle state."""
        return int(self._eeprom.text(ISD_STATE) or "01", 16)

    @isd_state.setter
    def isd_state(self, state: int) -> None:
        self._eeprom.put(ISD_STATE, f"{state:02X}")

    def instances(self) -> Iterator[Instance]:
        """Yield the applications in the order of their installation."""
        for key in [*self._eeprom.keys("app/")]:
            _, aid, field = key.split("/", 2)
            if field == "state" and (found := self.instance(bytes.fromhex(aid))):
                yield found

    def instance(self, aid: bytes) -> Instance | None:
        """Return one application, or None."""
        texts = {name: self._eeprom.text(app_key(aid, name)) for name in ("state", *FIELDS)}
        if texts["state"] is None:
            return None
        fields = {name: bytes.fromhex(text or "") for name, text in texts.items() if name != "state"}
        size = self._eeprom.number(app_key(aid, "size"))
        return Instance(aid=aid, state=int(texts["state"], 16), size=size, **fields)

    def add_instance(self, new: Instance) -> None:
        """Enter an application."""
        for name in FIELDS:
            self.set_field(new.aid, name, getattr(new, name))
        self._eeprom.put(app_key(new.aid, "size"), new.size)
        self.set_state(new.aid, new.state)

    def set_state(self, aid: bytes, state: int) -> None:
        """Move an application to another life cycle state."""
        self._eeprom.put(app_key(aid, "state"), f"{state:02X}")

    def set_field(self, aid: bytes, name: str, value: bytes) -> None:
        """Write one of FIELDS of an application."""
        self._eeprom.put(app_key(aid, name), value.hex().upper())

    def is_domain(self, aid: bytes) -> bool:
        """Tell whether *aid* names a security domain."""
        app = self.instance(aid)
        return aid == self.isd_aid or (
            app is not None and bool(privileges.number(app.privileges) & privileges.SECURITY_DOMAIN)
        )

    def remove_instance(self, aid: bytes) -> None:
        """Remove an application and everything it stored; a security domain's keys too."""
        mine = (app_key(aid, ""), f"key/{aid.hex().upper()}/")
        for key in [key for prefix in mine for key in self._eeprom.keys(prefix)]:
            self._eeprom.put(key, None)

    def packages(self) -> Iterator[Package]:
        """Yield the load files in the order of their loading."""
        for key in [*self._eeprom.keys("elf/")]:
            if found := self.package(bytes.fromhex(key.removeprefix("elf/"))):
                yield found

    def package(self, aid: bytes) -> Package | None:
        """Return one load file, or None."""
        match self._eeprom.get(f"elf/{aid.hex().upper()}"):
            case {"version": str(version), "modules": list(modules), "size": int(size), "domain": str(domain)}:
                names = tuple(bytes.fromhex(str(module)) for module in modules)
                return Package(
                    aid=aid, version=bytes.fromhex(version), modules=names, size=size, domain=bytes.fromhex(domain)
                )  # fmt: skip
        if aid == DOMAIN_PACKAGE:
            return Package(aid=aid, version=b"\1\0", modules=(DOMAIN_MODULE,), size=0, domain=self.isd_aid)
        return None

    def add_package(self, new: Package) -> None:
        """Enter a load file, state LOADED."""
        modules: list[Json] = [module.hex().upper() for module in new.modules]
        record: Json = {"state": "01", "version": new.version.hex().upper(), "modules": modules, "size": new.size,
                        "domain": new.domain.hex().upper()}  # fmt: skip
        self._eeprom.put(f"elf/{new.aid.hex().upper()}", record)

    def remove_package(self, aid: bytes) -> None:
        """Remove a load file."""
        self._eeprom.put(f"elf/{aid.hex().upper()}", None)

    def free(self) -> int:
        """Return the memory that load files, applications and their contents leave."""
        stored = 0
        for key in self._eeprom.keys("app/"):
            if key.split("/")[2] in STORED:
                stored += len(self._eeprom.text(key) or "") // 2
        stored += sum(KEY_SIZE for _ in self._eeprom.keys("key/"))
        owned = (item.size for items in (self.packages(), self.instances()) for item in items)
        return self._memory - stored - sum(owned)

    def claim(self, size: int) -> None:
        """Refuse with 6A84 unless *size* bytes are free."""
        if size > self.free():
            raise RefusedError(0x6A84)

    def is_known(self, aid: bytes) -> bool:
        """Tell whether *aid* names the ISD, an application or a load file."""
        return aid == self.isd_aid or self.instance(aid) is not None or self.package(aid) is not None


class Status:
    """Answer GET STATUS for the security domain *aid*: whole entries, TLV or deprecated (GPCS 11.4; 2.1.1, 9.4)."""

    def __init__(self, registry: Registry, limit: int, aid: bytes, rights: int) -> None:
        self._registry, self._limit, self._aid = registry, limit, aid
        self._sees_all = bool(rights & privileges.GLOBAL_REGISTRY)
        self._more: list[bytes] = []
        self._asked: tuple[int, int, bytes] | None = None

    def reset(self) -> None:
        """Forget an unfinished answer."""
        self._asked, self._more = None, []

    def answer(self, apdu: Apdu) -> Answer:
        """Return the first or the next entries; 6310 where more are left, 6A88 where there are none."""
        if apdu.p1 not in STATUS_KINDS or apdu.p2 & ~0x03:
            raise RefusedError(0x6A86)
        form = apdu.p2 & TLV_FORM
        asked = (apdu.p1, form, apdu.data)
        if not apdu.p2 & NEXT:
            aid, tags = _criteria(apdu.data)
            found = self._templates(apdu.p1, aid, tags) if form else self._rows(apdu.p1, aid)
            self._asked, self._more = asked, [*found]
            if not self._more:
                raise RefusedError(0x6A88)
        elif asked != self._asked or not self._more:
            raise RefusedError(0x6985)
        limit, data = min(self._limit, apdu.ne or 0), self._more.pop(0)
        while self._more and len(data) + len(self._more[0]) <= limit:
            data += self._more.pop(0)
        return Answer(data=data, sw=0x6310 if self._more else 0x9000)

    def _templates(self, kind: int, aid: bytes, tags: set[int]) -> Iterator[bytes]:
        for fields in self._entries(kind):
            if fields[0][1].startswith(aid):
                yield tlv(0xE3, b"".join(tlv(tag, value) for tag, value in fields if not tags or tag in tags))

    def _rows(self, kind: int, aid: bytes) -> Iterator[bytes]:
        """Yield LV(AID), state, the first byte of privileges (load files: 00), and modules where they are asked for."""
        for fields in self._entries(kind):
            found = dict(fields)
            if not found[0x4F].startswith(aid):
                continue
            row = bytes((len(found[0x4F]),)) + found[0x4F] + found[0x9F70] + found.get(0xC5, b"\0")[:1]
            if kind == 0x10:
                modules = [value for tag, value in fields if tag == 0x84]
                row += bytes((len(modules),)) + b"".join(bytes((len(module),)) + module for module in modules)
            yield row

    def _entries(self, kind: int) -> Iterator[list[tuple[int, bytes]]]:
        isd = self._registry.isd_aid
        if kind == 0x80:
            if self._aid == isd or self._sees_all:
                yield [(0x4F, isd), (0x9F70, bytes((self._registry.isd_state,))), (0xC5, ISD_PRIVILEGES), (0xCC, isd)]
        elif kind == 0x40:
            for app in self._registry.instances():
                if self._sees_all or self._aid in (app.domain, app.aid):
                    implicit = [(0xCF, bytes((each,))) for each in app.implicit]
                    yield [(0x4F, app.aid), (0x9F70, bytes((app.state,))), (0xC5, app.privileges), *implicit,
                           (0xC4, app.elf), (0xCC, app.domain)]  # fmt: skip
        else:
            for elf in self._registry.packages():
                if self._sees_all or self._aid == elf.domain:
                    modules = [(0x84, module) for module in elf.modules] if kind == 0x10 else []
                    yield [(0x4F, elf.aid), (0x9F70, b"\x01"), (0xCE, elf.version), *modules, (0xCC, elf.domain)]


def _criteria(data: bytes) -> tuple[bytes, set[int]]:
    """Return the AID or its beginning (4F, mandatory) and the tags asked for (5C; none means all)."""
    reader = Reader(data)
    tag, aid = reader.tlv()
    if tag != 0x4F or len(aid) > 16:
        raise RefusedError(0x6A80)
    tags: set[int] = set()
    if reader.left:
        tag, listed = reader.tlv()
        if tag != 0x5C:
            raise RefusedError(0x6A80)
        names = Reader(listed)
        while names.left:
            tags.add(names.tag())
    reader.end()
    return aid, tags
