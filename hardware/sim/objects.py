"""The data objects that a security domain gives to GET DATA and takes in STORE DATA (GPCS 11.3, 11.11.4, annex H)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from hardware.sim import privileges
from hardware.sim.apdu import RefusedError
from hardware.sim.blank import CPLC, Blank
from hardware.sim.delegation import CONFIRMATIONS
from hardware.sim.eeprom import Eeprom, data_key
from hardware.sim.keyring import Key, KeyRing
from hardware.sim.putkey import KeyLoad
from hardware.sim.reader import Reader
from hardware.sim.registry import PERSONALIZED, SELECTABLE, Registry
from hardware.tlv import tlv

# Data objects that STORE DATA may bring: IIN, CIN, and the two CPLC parts that a bureau writes
OWN_TAGS: Final = {0x42: range(1, 17), 0x45: range(1, 17), 0x9F66: range(8, 9), 0x9F67: range(8, 9)}
CPLC_OVERLAYS: Final = {0x9F66: "preperso_id", 0x9F67: "perso_id"}
GP_OID: Final = bytes.fromhex("2A864886FC6B")
VOLATILE: Final = 4096
"""Transient memory, which nothing on this chip claims."""
SIGNATURES: Final = b"\x7f\x03"
"""All that the chip can verify (table H-9)."""
MACS: Final = b"\x3c"
"""What it makes receipts with: DES and AES."""
KEYS, KEY = 0x00B9, 0x8113
AGREES: Final = 0x11
COUNTERS: Final = {1: 0, 2: 2, 3: 3}
"""Bytes of a sequence counter by protocol; SCP01 has none."""


class Objects:
    """Read what the security domain *aid* tells of itself and of the card."""

    def __init__(self, blank: Blank, eeprom: Eeprom, registry: Registry, ring: KeyRing, sequence: int) -> None:
        self._blank, self._eeprom, self._registry, self._ring, self._sequence = blank, eeprom, registry, ring, sequence

    def value(self, tag: int, reference: bytes) -> bytes:
        """Return the value of *tag*, of the key that *reference* names for certificates; refuses with 6A88 without one."""
        values: Mapping[int, Callable[[], bytes]] = {
            0x9F7F: self._cplc,
            0x0066: self._recognition,
            0x0067: self._capabilities,
            0x00E0: lambda: b"".join(tlv(0xC0, _information(key)) for key in self._ring),
            0x00CF: lambda: self._blank.kdd,
            0x00C1: lambda: self._sequence.to_bytes(COUNTERS[self._blank.scp], "big"),
            0x00C2: lambda: self._eeprom.number(CONFIRMATIONS).to_bytes(2, "big"),
            0x2F00: lambda: b"".join(tlv(0x61, tlv(0x4F, app.aid)) for app in self._registry.instances()),
            0xBF21: lambda: self._certificates(reference),
            0xFF21: self._memory,
        }
        if tag in values and (value := values[tag]()):
            return value
        if tag in (0x42, 0x45) and (text := self._eeprom.text(data_key(tag))):
            return bytes.fromhex(text)
        raise RefusedError(0x6A88)

    def _cplc(self) -> bytes:
        cplc = bytearray.fromhex(self._eeprom.text("identity") or "")
        starts = dict[str, int]()
        at = 0
        for name, size in CPLC:
            starts[name], at = at, at + size
        for tag, name in CPLC_OVERLAYS.items():
            if text := self._eeprom.text(data_key(tag)):
                cplc[starts[name] : starts[name] + 8] = bytes.fromhex(text)
        return bytes(cplc)

    def _recognition(self) -> bytes:
        """Return the Card Recognition Data (GPCS H.2)."""
        management = tlv(0x60, tlv(0x06, GP_OID + bytes.fromhex("02020301")))
        scps = [(self._blank.scp, self._blank.i), *((AGREES, option) for option in self._agreed())]
        channel = b"".join(tlv(0x64, tlv(0x06, GP_OID + bytes((0x04, *each)))) for each in scps)
        return tlv(0x73, tlv(0x06, GP_OID + b"\x01") + management + tlv(0x63, tlv(0x06, GP_OID + b"\x03")) + channel)

    def _capabilities(self) -> bytes:
        """Return the Card Capability Information (GPCS H.4)."""
        channel = tlv(0x80, bytes((self._blank.scp,))) + tlv(0x81, bytes((self._blank.i,)))
        channel += tlv(0x82, b"\x07") if self._blank.scp == 3 else b""
        agreed = bytes(self._agreed())
        ours = privileges.GRANTED & ~privileges.OF_DOMAINS & ~privileges.SECURITY_DOMAIN
        return (
            tlv(0xA0, channel)
            + (tlv(0xA0, tlv(0x80, bytes((AGREES,))) + tlv(0x81, agreed)) if agreed else b"")
            + tlv(0x81, privileges.coded(privileges.GRANTED))
            + tlv(0x82, privileges.coded(ours))
            + tlv(0x83, b"\1\2\3\4")
            + tlv(0x85, SIGNATURES)
            + tlv(0x86, MACS)
            + tlv(0x87, SIGNATURES)
        )

    def _agreed(self) -> list[int]:
        """Return the options of SCP11."""
        return sorted(self._blank.ecka.options) if self._blank.ecka else []

    def _certificates(self, reference: bytes) -> bytes:
        """Return the certificate store of the key in A6{83{KID KVN}} (Amendment F 7.3); none is 6A88."""
        reader, keys = Reader(reference), self._ring.agreement
        tag, template = reader.tlv()
        reader.end()
        if tag != 0xA6:
            raise RefusedError(0x6A80)
        reader = Reader(template)
        tag, key = reader.tlv()
        reader.end()
        if tag != 0x83 or len(key) != 2:
            raise RefusedError(0x6A80)
        if keys is None or key[0] not in keys.kids or key[1] != keys.kvn:
            raise RefusedError(0x6A88)
        return b"".join(keys.certificates)

    def _memory(self) -> bytes:
        count = sum(1 for _ in self._registry.instances())
        numbers = ((0x81, count, 2), (0x82, self._registry.free(), 4), (0x83, VOLATILE, 4))
        return b"".join(tlv(tag, number.to_bytes(size, "big")) for tag, number, size in numbers)


def _information(key: Key) -> bytes:
    """Return the Key Information Data, in the form in which the key was put (tables 11-29 and 11-30)."""
    return bytes((key.kid, key.kvn)) + b"".join(_component(key))


def _component(key: Key) -> Iterator[bytes]:
    for place, (kind, value) in enumerate(key.parts):
        if key.extended:
            yield (b"" if place else b"\xff") + bytes((kind,)) + len(value).to_bytes(2, "big")
        else:
            yield bytes((kind, len(value) & 0xFF))
    if key.extended:
        yield bytes((len(key.usage),)) + key.usage + bytes((len(key.access),)) + key.access


class OwnData:
    """Take STORE DATA for the security domain *aid*: data objects in TLV format, and keys in DGIs (GPCS 11.11.4)."""

    def __init__(self, eeprom: Eeprom, registry: Registry, aid: bytes, ring: KeyRing) -> None:
        self._eeprom, self._registry, self._aid = eeprom, registry, aid
        self._keys = KeyLoad(ring, registry)

    def check_open(self) -> None:
        """Take data in any state."""

    def is_encrypted(self, dgi: int) -> bool:
        """Expect keys encrypted."""
        return dgi == KEY

    def take_dgi(self, dgi: int, value: bytes) -> None:
        """Accept IIN and CIN in DGI 0070, and keys (GPCS 11.11.4); other DGIs are unknown."""
        if dgi == KEYS:
            self._keys.describe(value)
        elif dgi == KEY:
            self._keys.take(value)
        elif dgi == 0x0070:
            reader = Reader(value)
            while reader.left:
                self.take_tag(*reader.tlv())
        else:
            raise RefusedError(0x6A88)

    def take_tag(self, tag: int, value: bytes) -> None:
        """Keep one data object; refuses with 6A88 where it is unknown, 6A80 for a wrong length."""
        if tag not in OWN_TAGS or self._aid != self._registry.isd_aid:
            raise RefusedError(0x6A88)
        if len(value) not in OWN_TAGS[tag]:
            raise RefusedError(0x6A80)
        self._eeprom.put(data_key(tag), value.hex().upper())

    def take_raw(self, data: bytes) -> None:  # noqa: ARG002 - the port
        """Refuse data without structure."""
        raise RefusedError(0x6A80)

    def complete(self) -> None:
        """Enter the keys; a supplementary security domain that has them is PERSONALIZED (GPCS 5.3.2)."""
        keyed = self._keys.complete()
        app = self._registry.instance(self._aid)
        if keyed and app and app.state == SELECTABLE:
            self._registry.set_state(self._aid, PERSONALIZED)
