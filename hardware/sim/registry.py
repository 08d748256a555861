"""The GlobalPlatform registry as it lies in persistent memory, and GET STATUS over it (GPCS 8.2, 11.4)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hardware.sim.apdu import Answer, Apdu, RefusedError
from hardware.sim.eeprom import Eeprom, Json
from hardware.sim.reader import Reader
from hardware.tlv import tlv

INSTALLED, SELECTABLE, PERSONALIZED, LOCKED = 0x03, 0x07, 0x0F, 0x80
OP_READY, INITIALIZED, SECURED, CARD_LOCKED, TERMINATED = 0x01, 0x07, 0x0F, 0x7F, 0xFF
# Security Domain, card lock, card terminate and card reset; authorized management, global delete, lock, registry
ISD_PRIVILEGES: Final = bytes.fromhex("9E5C00")
ISD_STATE: Final = "isd/state"
STATUS_KINDS: Final = (0x80, 0x40, 0x20, 0x10)
STORED: Final = ("dgi", "tag", "raw")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An installed application."""

    aid: bytes
    elf: bytes
    module: bytes
    privileges: bytes
    state: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An Executable Load File with its Executable Modules; *version* is major, minor."""

    aid: bytes
    version: bytes
    modules: tuple[bytes, ...]
    size: int


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
        texts = {name: self._eeprom.text(app_key(aid, name)) for name in ("state", "elf", "module", "privileges")}
        if texts["state"] is None:
            return None
        fields = {name: bytes.fromhex(text or "") for name, text in texts.items() if name != "state"}
        size = self._eeprom.number(app_key(aid, "size"))
        return Instance(aid=aid, state=int(texts["state"], 16), size=size, **fields)

    def add_instance(self, new: Instance) -> None:
        """Enter an application."""
        for name in ("elf", "module", "privileges"):
            value: bytes = getattr(new, name)
            self._eeprom.put(app_key(new.aid, name), value.hex().upper())
        self._eeprom.put(app_key(new.aid, "size"), new.size)
        self.set_state(new.aid, new.state)

    def set_state(self, aid: bytes, state: int) -> None:
        """Move an application to another life cycle state."""
        self._eeprom.put(app_key(aid, "state"), f"{state:02X}")

    def remove_instance(self, aid: bytes) -> None:
        """Remove an application and everything it stored."""
        for key in [*self._eeprom.keys(app_key(aid, ""))]:
            self._eeprom.put(key, None)

    def packages(self) -> Iterator[Package]:
        """Yield the load files in the order of their loading."""
        for key in [*self._eeprom.keys("elf/")]:
            if found := self.package(bytes.fromhex(key.removeprefix("elf/"))):
                yield found

    def package(self, aid: bytes) -> Package | None:
        """Return one load file, or None."""
        match self._eeprom.get(f"elf/{aid.hex().upper()}"):
            case {"version": str(version), "modules": list(modules), "size": int(size)}:
                names = tuple(bytes.fromhex(str(module)) for module in modules)
                return Package(aid=aid, version=bytes.fromhex(version), modules=names, size=size)
        return None

    def add_package(self, new: Package) -> None:
        """Enter a load file, state LOADED."""
        modules: list[Json] = [module.hex().upper() for module in new.modules]
        record: Json = {"state": "01", "version": new.version.hex().upper(), "modules": modules, "size": new.size}
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
    """Answer GET STATUS in TLV format, whole E3 templates at a time (GPCS 11.4)."""

    def __init__(self, registry: Registry, limit: int) -> None:
        self._registry, self._limit = registry, limit
        self._more: list[bytes] = []
        self._asked: tuple[int, bytes] | None = None

    def reset(self) -> None:
        """Forget an unfinished answer."""
        self._asked, self._more = None, []

    def answer(self, apdu: Apdu) -> Answer:
        """Return the first or the next templates; 6310 where more are left, 6A88 where there are none."""
        if apdu.p1 not in STATUS_KINDS or apdu.p2 not in (0x02, 0x03):
            raise RefusedError(0x6A86)
        asked = (apdu.p1, apdu.data)
        if apdu.p2 == 0x02:
            aid, tags = _criteria(apdu.data)
            self._asked, self._more = asked, [*self._find(apdu.p1, aid, tags)]
            if not self._more:
                raise RefusedError(0x6A88)
        elif asked != self._asked or not self._more:
            raise RefusedError(0x6985)
        limit, data = min(self._limit, apdu.ne or 0), self._more.pop(0)
        while self._more and len(data) + len(self._more[0]) <= limit:
            data += self._more.pop(0)
        return Answer(data=data, sw=0x6310 if self._more else 0x9000)

    def _find(self, kind: int, aid: bytes, tags: set[int]) -> Iterator[bytes]:
        for fields in self._entries(kind):
            if fields[0][1].startswith(aid):
                yield tlv(0xE3, b"".join(tlv(tag, value) for tag, value in fields if not tags or tag in tags))

    def _entries(self, kind: int) -> Iterator[list[tuple[int, bytes]]]:
        isd = self._registry.isd_aid
        if kind == 0x80:
            yield [(0x4F, isd), (0x9F70, bytes((self._registry.isd_state,))), (0xC5, ISD_PRIVILEGES), (0xCC, isd)]
        elif kind == 0x40:
            for app in self._registry.instances():
                yield [(0x4F, app.aid), (0x9F70, bytes((app.state,))), (0xC5, app.privileges), (0xC4, app.elf),
                       (0xCC, isd)]  # fmt: skip
        else:
            for elf in self._registry.packages():
                modules = [(0x84, module) for module in elf.modules] if kind == 0x10 else []
                yield [(0x4F, elf.aid), (0x9F70, b"\x01"), (0xCE, elf.version), *modules, (0xCC, isd)]


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
