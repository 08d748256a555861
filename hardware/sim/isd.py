"""The Issuer Security Domain: what a card answers before and behind its secure channel (GPCS chapters 7, 9, 11)."""

from collections.abc import Callable, Mapping
from typing import Final

from hardware.sim.apdu import Answer, Apdu, RefusedError
from hardware.sim.application import Application
from hardware.sim.blank import CPLC, Blank
from hardware.sim.content import FOR_PERSO, Content
from hardware.sim.eeprom import Eeprom, data_key
from hardware.sim.personalization import Stream, Target
from hardware.sim.reader import Reader
from hardware.sim.registry import CARD_LOCKED, INITIALIZED, LOCKED, OP_READY, SECURED, TERMINATED, Registry, Status
from hardware.sim.session import SEQUENCE, Session
from hardware.tlv import tlv

INSTALL, LOAD, DELETE, GET_STATUS, SET_STATUS, STORE_DATA, GET_DATA = 0xE6, 0xE8, 0xE4, 0xF2, 0xF0, 0xE2, 0xCA
LIFE_CYCLE: Final = {
    OP_READY: {INITIALIZED, TERMINATED},
    INITIALIZED: {SECURED, TERMINATED},
    SECURED: {CARD_LOCKED, TERMINATED},
    CARD_LOCKED: {SECURED, TERMINATED},
}
# Data objects that STORE DATA may bring: IIN, CIN, and the two CPLC parts that a bureau writes
OWN_TAGS: Final = {0x42: range(1, 17), 0x45: range(1, 17), 0x9F66: range(8, 9), 0x9F67: range(8, 9)}
CPLC_OVERLAYS: Final = {0x9F66: "preperso_id", 0x9F67: "perso_id"}
GP_OID: Final = bytes.fromhex("2A864886FC6B")


class SecurityDomain:
    """Run the commands that are addressed to the ISD."""

    def __init__(
        self,
        blank: Blank,
        eeprom: Eeprom,
        registry: Registry,
        session: Session,
        application: Callable[[bytes], Application],
    ) -> None:
        self._blank, self._eeprom, self._registry, self._session = blank, eeprom, registry, session
        self._application = application
        self._content = Content(registry)
        self._status = Status(registry, blank.response_limit)
        self._target: Application | None = None
        self._stream = Stream()
        self._commands: Mapping[int, Callable[[Apdu], Answer]] = {
            INSTALL: self._install, LOAD: self._content.load, DELETE: self._delete, GET_STATUS: self._status.answer,
            SET_STATUS: self._set_status, STORE_DATA: self._store_data,
        }  # fmt: skip

    def forget(self) -> None:
        """Drop what lasts no longer than a secure channel session."""
        self._content.abort_load()
        self._status.reset()
        self._target, self._stream = None, Stream()

    def fci(self) -> bytes:
        """Return the answer to SELECT: AID and the longest command data field (GPCS 11.9.3.1)."""
        return tlv(0x6F, tlv(0x84, self._registry.isd_aid) + tlv(0xA5, tlv(0x9F65, b"\xff")))

    def execute(self, apdu: Apdu) -> Answer:
        """Run one command that carries no secure messaging any more."""
        if apdu.ins == GET_DATA:
            return self._get_data(apdu)
        if apdu.ins not in self._commands:
            raise RefusedError(0x6D00)
        self._session.channel()
        if self._registry.isd_state == CARD_LOCKED and apdu.ins not in (SET_STATUS, GET_STATUS):
            raise RefusedError(0x6985)
        if apdu.ins != GET_STATUS:
            self._status.reset()
            if apdu.ins != LOAD:
                self._content.abort_load()
        return self._commands[apdu.ins](apdu)

    def _install(self, apdu: Apdu) -> Answer:
        self._target, self._stream = None, Stream()
        if apdu.p2:
            raise RefusedError(0x6A86)
        if apdu.p1 != FOR_PERSO:
            return self._content.install(apdu)
        self._target = self._application(self._content.personalization_target(apdu))
        return Answer(data=b"\0")

    def _delete(self, apdu: Apdu) -> Answer:
        self._target, self._stream = None, Stream()
        return self._content.delete(apdu)

    def _store_data(self, apdu: Apdu) -> Answer:
        target: Target = self._target or _OwnData(self._eeprom)
        if self._stream.store(apdu, target, self._session.channel()):
            self._target = None
        return Answer()

    def _set_status(self, apdu: Apdu) -> Answer:
        """Move the card through its life cycle, or lock and unlock an application (GPCS 11.10)."""
        if apdu.p1 == 0x80:
            if apdu.p2 not in (*LIFE_CYCLE, TERMINATED):
                raise RefusedError(0x6A80)
            if apdu.p2 not in LIFE_CYCLE.get(self._registry.isd_state, ()):
                raise RefusedError(0x6985)
            self._registry.isd_state = apdu.p2
            return Answer()
        if apdu.p1 not in (0x40, 0x60):
            raise RefusedError(0x6A86)
        app = self._registry.instance(apdu.data)
        if app is None or apdu.p1 == 0x60:  # 60 names a Security Domain, and this card has no other one
            raise RefusedError(0x6A88)
        wanted = apdu.p2 & LOCKED
        if wanted == app.state & LOCKED or self._registry.isd_state == CARD_LOCKED:
            raise RefusedError(0x6985)
        self._registry.set_state(app.aid, app.state & ~LOCKED | wanted)
        return Answer()

    def _get_data(self, apdu: Apdu) -> Answer:
        """Return one data object as TLV (GPCS 11.3)."""
        tag = apdu.p1 << 8 | apdu.p2
        blank = self._blank
        match tag:
            case 0x9F7F:
                value = self._cplc()
            case 0x0066:
                value = self._recognition()
            case 0x00E0:
                kind, size = (0x88 if blank.scp == 3 else 0x80), len(blank.enc)
                own = b"".join(tlv(0xC0, bytes((kid, blank.kvn, kind, size))) for kid in blank.key_identifiers)
                value = own + self._agreement_keys()
            case 0xBF21:
                value = self._certificates(apdu.data)
            case 0x00CF:
                value = blank.kdd
            case 0x00C1 if blank.scp > 1:
                value = self._eeprom.number(SEQUENCE).to_bytes(blank.scp, "big")
            case 0x0042 | 0x0045 if text := self._eeprom.text(data_key(tag)):
                value = bytes.fromhex(text)
            case _:
                raise RefusedError(0x6A88)
        return Answer(data=tlv(tag, value))

    def _certificates(self, reference: bytes) -> bytes:
        """Return the certificate store of the key in A6{83{KID KVN}} (Amendment F 7.3); none is 6A88."""
        reader, keys = Reader(reference), self._blank.ecka
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

    def _agreement_keys(self) -> bytes:
        """Return what the key information template says of SCP11's keys (GPCS 11.3.3.1): private keys, and the CA's."""
        keys = self._blank.ecka
        if keys is None:
            return b""
        own = b"".join(tlv(0xC0, bytes((kid, keys.kvn, 0xB1, keys.curve.size))) for kid in sorted(keys.kids))
        return own + tlv(0xC0, bytes((keys.ca_kid, keys.ca_kvn, 0xB0, 1 + 2 * keys.ca.curve.size)))

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
        scps = [(self._blank.scp, self._blank.i)]
        if self._blank.ecka:
            scps += [(0x11, option) for option in sorted(self._blank.ecka.options)]
        channel = b"".join(tlv(0x64, tlv(0x06, GP_OID + bytes((0x04, *each)))) for each in scps)
        return tlv(0x73, tlv(0x06, GP_OID + b"\x01") + management + tlv(0x63, tlv(0x06, GP_OID + b"\x03")) + channel)


class _OwnData:
    """Take STORE DATA for the ISD itself: a few data objects in TLV format (GPCS 11.11)."""

    def __init__(self, eeprom: Eeprom) -> None:
        self._eeprom = eeprom

    def check_open(self) -> None:
        """Take data in any state."""

    def is_encrypted(self, dgi: int) -> bool:  # noqa: ARG002 - the port
        """Expect nothing encrypted."""
        return False

    def take_dgi(self, dgi: int, value: bytes) -> None:
        """Accept the IIN and CIN in DGI 0070 (GPCS 11.11.4); other DGIs are unknown."""
        if dgi != 0x0070:
            raise RefusedError(0x6A88)
        reader = Reader(value)
        while reader.left:
            self.take_tag(*reader.tlv())

    def take_tag(self, tag: int, value: bytes) -> None:
        """Keep one data object; refuses with 6A88 where it is unknown, 6A80 for a wrong length."""
        if tag not in OWN_TAGS:
            raise RefusedError(0x6A88)
        if len(value) not in OWN_TAGS[tag]:
            raise RefusedError(0x6A80)
        self._eeprom.put(data_key(tag), value.hex().upper())

    def take_raw(self, data: bytes) -> None:  # noqa: ARG002 - the port
        """Refuse data without structure."""
        raise RefusedError(0x6A80)

    def complete(self) -> None:
        """Change no state: the ISD stays what it is."""
