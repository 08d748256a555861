"""Card content management: INSTALL, LOAD and DELETE (GPCS 9.3 to 9.5, 11.2, 11.5, 11.6)."""

from dataclasses import dataclass, field
from typing import Final

from hardware.sim import loadfile, privileges
from hardware.sim.apdu import Answer, Apdu, RefusedError
from hardware.sim.delegation import NO_RECEIPT, Delegation
from hardware.sim.reader import Reader
from hardware.sim.registry import DOMAIN_MODULE, INSTALLED, SELECTABLE, Instance, Package, Registry

INSTALL_SELECTABLE, COMBINED, FOR_PERSO = 0x0C, 0x0E, 0x20
BEGIN, END = 0x01, 0x03
DAP_BLOCK, CODE, TOKEN = 0xE2, 0xC4, 0x9E
# An instance takes its headers and objects even where it asks for nothing
INSTANCE_SIZE: Final = 256


@dataclass(slots=True, kw_only=True)
class _Load:
    """A load process under way; it lives in transient memory."""

    aid: bytes
    domain: bytes
    expected_hash: bytes
    token: bytes
    identifier: bytes
    combined: bool = False
    received: bytearray = field(default_factory=bytearray)
    daps: list[tuple[bytes, bytes]] = field(default_factory=list)
    size: int = -1
    block: int = 0
    loaded: Package | None = None


class Content:
    """Change what is on the card, as the security domain *aid* with its *rights*."""

    def __init__(self, registry: Registry, aid: bytes, rights: int, delegation: Delegation) -> None:
        self._registry, self._aid, self._rights, self._delegation = registry, aid, rights, delegation
        self._load: _Load | None = None

    def abort_load(self) -> None:
        """Give up a load process; nothing of it stays."""
        self._load = None

    def install(self, apdu: Apdu) -> Answer:
        """Run INSTALL for load, install, make selectable, extradition, registry update, or the first three in one."""
        load, self._load = self._load, None
        if apdu.p1 == COMBINED:
            return self._combined(apdu, load)
        if apdu.p2:
            raise RefusedError(0x6A86)
        match apdu.p1:
            case 0x02:
                return self._for_load(apdu)
            case 0x04 | 0x0C:
                return self._for_install(apdu, selectable=apdu.p1 == INSTALL_SELECTABLE)
            case 0x08:
                return self._make_selectable(apdu)
            case 0x10:
                return self._extradite(apdu)
            case 0x40:
                return self._update(apdu)
        raise RefusedError(0x6A86)

    def _combined(self, apdu: Apdu, load: _Load | None) -> Answer:
        """Begin or end a load, install and make selectable in one (GPCS 11.5.2.2): before its end nothing stays."""
        if apdu.p2 == BEGIN:
            self._for_load(apdu)
            if self._load:
                self._load.combined = True
            return NO_RECEIPT
        if apdu.p2 != END:
            raise RefusedError(0x6A86)
        if load is None or load.loaded is None:
            raise RefusedError(0x6985)
        self._registry.add_package(load.loaded)
        return self._for_install(apdu, selectable=True)

    def _fields(self, apdu: Apdu, count: int) -> list[bytes]:
        """Return the fields of an INSTALL, its token last and checked."""
        reader = Reader(apdu.data)
        fields = [reader.lv() for _ in range(count - 1)]
        covered = apdu.data[: len(apdu.data) - reader.left]
        token = reader.lv()
        reader.end()
        self._delegation.check(apdu, covered, token)
        return [*fields, token]

    def _for_load(self, apdu: Apdu) -> Answer:
        aid, domain, digest, parameters, token = self._fields(apdu, 5)
        _check_aid(aid)
        domain = domain or self._aid
        if not self._registry.is_domain(domain):
            raise RefusedError(0x6A88)
        if (digest and len(digest) not in loadfile.HASHES) or (token and not digest):  # a load token is over the hash
            raise RefusedError(0x6A80)
        if self._registry.is_known(aid):
            raise RefusedError(0x6985)
        self._registry.claim(_quota(parameters, 0xC6))
        identifier = _identifier(parameters)
        self._load = _Load(aid=aid, domain=domain, expected_hash=digest, token=token, identifier=identifier)
        return NO_RECEIPT

    def load(self, apdu: Apdu) -> Answer:
        """Take one block (GPCS 11.6); any error ends the load process."""
        load, self._load = self._load, None
        if load is None or load.loaded:
            raise RefusedError(0x6985)
        if apdu.p1 not in (0x00, 0x80) or apdu.p2 != load.block:
            raise RefusedError(0x6A86)
        if not apdu.data:
            raise RefusedError(0x6700)
        load.received += apdu.data
        load.block += 1
        last = apdu.p1 == 0x80
        self._unpack(load, last=last)
        if load.size >= 0 and (len(load.received) > load.size or (last and len(load.received) < load.size)):
            raise RefusedError(0x6A80)
        if not last:
            self._load = load
            return Answer()
        return self._finish(load)

    def _unpack(self, load: _Load, *, last: bool) -> None:
        """Take what stands ahead of the code: DAP blocks, then C4 and its length; D4 would be a ciphered load file."""
        while load.size < 0 and load.received:
            if load.received[0] not in (DAP_BLOCK, CODE):
                raise RefusedError(0x6A80)
            reader = Reader(bytes(load.received))
            try:
                tag, size = reader.tag(), reader.length()
                block = reader.take(size) if tag == DAP_BLOCK else b""
            except RefusedError:
                if last or len(load.received) > loadfile.MOST_AHEAD:
                    raise
                return
            load.received = bytearray(reader.rest())
            if tag == CODE:
                load.size = size
                self._registry.claim(size)
            else:
                load.daps.append(_dap(block))

    def _finish(self, load: _Load) -> Answer:
        block = bytes(load.received)
        if load.size < 0:
            raise RefusedError(0x6A80)
        loadfile.check_hash(block, load.expected_hash)
        self._delegation.check_daps(load.domain, load.expected_hash, load.daps)
        accepted = loadfile.inspect(block, load.aid)
        new = Package(
            aid=load.aid, version=accepted.version, modules=accepted.modules, size=load.size, domain=load.domain
        )  # fmt: skip
        if load.combined:
            load.loaded, self._load = new, load
            return NO_RECEIPT
        self._registry.add_package(new)
        return self._delegation.receipt(load.token, load.aid, load.domain, identifier=load.identifier)

    def _for_install(self, apdu: Apdu, *, selectable: bool) -> Answer:
        elf, module, aid, coded, parameters, token = self._fields(apdu, 6)
        package = self._registry.package(elf)
        if package is None or module not in package.modules:
            raise RefusedError(0x6A88)
        aid = aid or module
        _check_aid(aid)
        given = _tags(parameters)
        if 0xC9 not in given:
            raise RefusedError(0x6A80)
        rights = self._granted(coded)
        if bool(rights & privileges.SECURITY_DOMAIN) != (module == DOMAIN_MODULE):
            raise RefusedError(0x6A80)
        if self._registry.is_known(aid):
            raise RefusedError(0x6985)
        size = INSTANCE_SIZE + max(_quota(parameters, 0xC8), _quota(parameters, 0xD8))
        self._registry.claim(size)
        new = Instance(
            aid=aid, elf=elf, module=module, privileges=privileges.coded(rights), domain=self._aid,
            state=SELECTABLE if selectable else INSTALLED, size=size, implicit=_implicit(parameters),
        )  # fmt: skip
        self._registry.add_instance(new)
        return self._delegation.receipt(token, elf, aid, identifier=_identifier(parameters))

    def _granted(self, coded: bytes, aid: bytes = b"") -> int:
        if len(coded) not in (1, 3):
            raise RefusedError(0x6A80)
        rights = privileges.number(coded)
        if privileges.contradictory(rights):
            raise RefusedError(0x6A80)
        for app in self._registry.instances():
            if app.aid != aid and privileges.number(app.privileges) & rights & privileges.ALONE:
                raise RefusedError(0x6985)
        return rights

    def _make_selectable(self, apdu: Apdu) -> Answer:
        first, second, aid, coded, parameters, token = self._fields(apdu, 6)
        if first or second or len(coded) not in (0, 1, 3):
            raise RefusedError(0x6A80)
        _tags(parameters)
        app = self._own(aid)
        if app.state != INSTALLED:
            raise RefusedError(0x6985)
        self._registry.set_state(aid, SELECTABLE)
        return self._delegation.receipt(token, b"", aid, identifier=_identifier(parameters))

    def _own(self, aid: bytes) -> Instance:
        """Return an application that belongs to this security domain; refuses with 6A88 or 6985."""
        app = self._registry.instance(aid)
        if app is None:
            raise RefusedError(0x6A88)
        if app.domain != self._aid:
            raise RefusedError(0x6985)
        return app

    def _extradite(self, apdu: Apdu) -> Answer:
        """Give an application to another security domain (GPCS 9.4.1)."""
        domain, second, aid, fourth, parameters, token = self._fields(apdu, 6)
        if second or fourth:
            raise RefusedError(0x6A80)
        _tags(parameters)
        app = self._own(aid)
        self._move(app, domain)
        return self._delegation.receipt(token, self._aid, aid, domain, identifier=_identifier(parameters))

    def _move(self, app: Instance, domain: bytes) -> None:
        if not self._registry.is_domain(domain):
            raise RefusedError(0x6A88)
        above = domain
        while above != self._registry.isd_aid:  # no domain belongs to itself, or to what belongs to it
            found = self._registry.instance(above)
            if found is None or above == app.aid:
                raise RefusedError(0x6985)
            above = found.domain
        self._registry.set_field(app.aid, "domain", domain)

    def _update(self, apdu: Apdu) -> Answer:
        """Change domain, privileges or implicit selection of an application; what is empty stays (GPCS 11.5.2.3.5)."""
        domain, second, aid, coded, parameters, token = self._fields(apdu, 6)
        if second:
            raise RefusedError(0x6A80)
        app = self._own(aid)
        if domain:
            self._move(app, domain)
        if coded:
            rights = self._granted(coded, aid)
            if (rights ^ privileges.number(app.privileges)) & privileges.SECURITY_DOMAIN:
                raise RefusedError(0x6A80)
            self._registry.set_field(aid, "privileges", privileges.coded(rights))
        if implicit := _implicit(parameters):
            self._registry.set_field(aid, "implicit", implicit)
        return self._delegation.receipt(token, domain, aid, coded, parameters, identifier=_identifier(parameters))

    def personalization_target(self, apdu: Apdu) -> bytes:
        """Return the AID that INSTALL [for personalization] names (GPCS 11.5.2.3.6)."""
        reader = Reader(apdu.data)
        first, second, aid, *others = (reader.lv() for _ in range(6))
        reader.end()
        if apdu.p2 or first or second or any(others):
            raise RefusedError(0x6A86 if apdu.p2 else 0x6A80)
        app = self._own(aid)
        if app.state == INSTALLED or app.state & 0x80:
            raise RefusedError(0x6985)
        return aid

    def delete(self, apdu: Apdu) -> Answer:
        """Remove an application, or a load file with no instances or together with them (GPCS 11.2)."""
        if apdu.p1 or apdu.p2 not in (0x00, 0x80):
            raise RefusedError(0x6A86)
        found = _tags(apdu.data)
        if next(iter(found), 0) != 0x4F or not {*found} <= {0x4F, 0xB6, TOKEN}:
            raise RefusedError(0x6A80)
        aid, token = found[0x4F], found.get(TOKEN, b"")
        self._delegation.check(apdu, _without_token(apdu.data), token)
        if aid in (self._registry.isd_aid, self._aid):
            raise RefusedError(0x6985)
        app, package = self._registry.instance(aid), self._registry.package(aid)
        owner = app.domain if app else package.domain if package else None
        if owner is None:
            raise RefusedError(0x6A88)
        if owner != self._aid and not self._rights & privileges.GLOBAL_DELETE:
            raise RefusedError(0x6985)
        if app:
            self._delete_instance(aid)
        else:
            self._delete_package(aid, related=apdu.p2 == 0x80)
        return self._delegation.receipt(token, aid, identifier=_identifier(apdu.data))

    def _delete_instance(self, aid: bytes) -> None:
        """Remove an application; a security domain that others belong to stays."""
        if any(aid == item.domain for items in (self._registry.instances(), self._registry.packages()) for item in items):
            raise RefusedError(0x6985)
        self._registry.remove_instance(aid)

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


def _dap(block: bytes) -> tuple[bytes, bytes]:
    """Return whose DAP block it is, and its signature (GPCS table 11-58)."""
    found = _tags(block)
    if {*found} != {0x4F, 0xC3}:
        raise RefusedError(0x6A80)
    return found[0x4F], found[0xC3]


def _tags(parameters: bytes) -> dict[int, bytes]:
    reader, tags = Reader(parameters), dict[int, bytes]()
    while reader.left:
        tag, value = reader.tlv()
        tags[tag] = value
    return tags


def _without_token(data: bytes) -> bytes:
    """Return the data of DELETE up to its token, which stands last."""
    reader = Reader(data)
    while reader.left:
        at = len(data) - reader.left
        tag, _ = reader.tlv()
        if tag == TOKEN:
            reader.end()
            return data[:at]
    return data


def _identifier(parameters: bytes) -> bytes:
    """Return the token identifier in the control reference template for digital signature."""
    return _tags(_tags(parameters).get(0xB6, b"")).get(0x93, b"")


def _implicit(parameters: bytes) -> bytes:
    reader, found = Reader(_tags(parameters).get(0xEF, b"")), b""
    while reader.left:
        tag, value = reader.tlv()
        found += value if tag == 0xCF else b""
    return found


def _quota(parameters: bytes, tag: int) -> int:
    """Return the memory that the system parameters (EF) ask for under *tag*, 2 or 4 bytes long."""
    value = _tags(_tags(parameters).get(0xEF, b"")).get(tag, b"")
    if len(value) not in (0, 2, 4):
        raise RefusedError(0x6A80)
    return int.from_bytes(value, "big")
