"""A security domain: what it answers before and behind its secure channel (GPCS chapters 7, 9, 11)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from hardware.sim import privileges
from hardware.sim.apdu import Answer, Apdu, RefusedError
from hardware.sim.application import Application
from hardware.sim.blank import Blank
from hardware.sim.content import FOR_PERSO, Content
from hardware.sim.delegation import Delegation
from hardware.sim.eeprom import Eeprom
from hardware.sim.keyring import KeyRing
from hardware.sim.objects import Objects, OwnData
from hardware.sim.personalization import Stream, Target
from hardware.sim.putkey import delete_key, put_key
from hardware.sim.registry import (
    CARD_LOCKED,
    INITIALIZED,
    LOCKED,
    OP_READY,
    PERSONALIZED,
    SECURED,
    SELECTABLE,
    TERMINATED,
    Instance,
    Registry,
    Status,
)
from hardware.sim.session import SEQUENCE, Channel
from hardware.tlv import tlv

INSTALL, LOAD, DELETE, GET_STATUS, SET_STATUS, STORE_DATA, GET_DATA, PUT_KEY = (
    0xE6, 0xE8, 0xE4, 0xF2, 0xF0, 0xE2, 0xCA, 0xD8,
)  # fmt: skip
LIFE_CYCLE: Final = {
    OP_READY: {INITIALIZED, TERMINATED},
    INITIALIZED: {SECURED, TERMINATED},
    SECURED: {CARD_LOCKED, TERMINATED},
    CARD_LOCKED: {SECURED, TERMINATED},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """What all security domains of a chip share; *channel* is the session's, or refuses where there is none."""

    blank: Blank
    eeprom: Eeprom
    registry: Registry
    channel: Callable[[], Channel]
    application: Callable[[bytes], Application]

    def ring(self, aid: bytes) -> KeyRing:
        """Return the keys of one security domain."""
        return KeyRing(self.eeprom, aid, self.blank if aid == self.registry.isd_aid else None)


class SecurityDomain:
    """Run the commands that are addressed to the security domain *aid*."""

    def __init__(self, chip: Chip, aid: bytes) -> None:
        self._chip, self.aid = chip, aid
        registry = chip.registry
        own = registry.instance(aid)
        self._rights = privileges.number(own.privileges) if own else privileges.ISD
        delegation = Delegation(aid, self._rights, chip.ring(registry.isd_aid), chip.eeprom, registry)
        self._content = Content(registry, aid, self._rights, delegation)
        self._status = Status(registry, chip.blank.response_limit, aid, self._rights)
        self._target: bytes | None = None
        self._taker: Target | None = None
        self._stream = Stream()
        self.key_set, self.counters = 0, ""
        """The key set of the current session, and where in memory its counters lie."""
        self._commands: Mapping[int, Callable[[Apdu], Answer]] = {
            INSTALL: self._install, LOAD: self._content.load, DELETE: self._delete, GET_STATUS: self._status.answer,
            SET_STATUS: self._set_status, STORE_DATA: self._store_data, PUT_KEY: self._put_key,
        }  # fmt: skip

    def forget(self) -> None:
        """Drop what lasts no longer than a secure channel session."""
        self._content.abort_load()
        self._status.reset()
        self._end_personalization()

    def _end_personalization(self) -> None:
        self._target, self._taker, self._stream = None, None, Stream()

    def fci(self) -> bytes:
        """Return the answer to SELECT: AID and the longest command data field (GPCS 11.9.3.1)."""
        return tlv(0x6F, tlv(0x84, self.aid) + tlv(0xA5, tlv(0x9F65, b"\xff")))

    def execute(self, apdu: Apdu) -> Answer:
        """Run one command that carries no secure messaging any more."""
        if apdu.ins == GET_DATA:
            tag = apdu.p1 << 8 | apdu.p2
            sequence = self._chip.eeprom.number(self.counters + SEQUENCE)
            objects = Objects(self._chip.blank, self._chip.eeprom, self._chip.registry, self._ring(), sequence)
            return Answer(data=tlv(tag, objects.value(tag, apdu.data)))
        if apdu.ins not in self._commands:
            raise RefusedError(0x6D00)
        self._chip.channel()
        if self._chip.registry.isd_state == CARD_LOCKED and apdu.ins not in (SET_STATUS, GET_STATUS):
            raise RefusedError(0x6985)
        if apdu.ins != GET_STATUS:
            self._status.reset()
            if apdu.ins not in (LOAD, INSTALL):
                self._content.abort_load()
        if apdu.ins != STORE_DATA:
            self._end_personalization()
        return self._commands[apdu.ins](apdu)

    def _ring(self) -> KeyRing:
        return self._chip.ring(self.aid)

    def _install(self, apdu: Apdu) -> Answer:
        if apdu.p1 != FOR_PERSO:
            return self._content.install(apdu)
        self._content.abort_load()
        self._target = self._content.personalization_target(apdu)
        return Answer(data=b"\0")

    def _taken_by(self, aid: bytes) -> Target:
        """Return what takes STORE DATA for *aid*."""
        if not self._chip.registry.is_domain(aid):
            return self._chip.application(aid)
        return OwnData(self._chip.eeprom, self._chip.registry, aid, self._chip.ring(aid))

    def _delete(self, apdu: Apdu) -> Answer:
        if apdu.data[:1] in (b"\xd0", b"\xd2"):
            if apdu.p1 or apdu.p2:
                raise RefusedError(0x6A86)
            delete_key(apdu.data, self._ring(), self.key_set)
            return Answer(data=b"\0")
        return self._content.delete(apdu)

    def _put_key(self, apdu: Apdu) -> Answer:
        return put_key(apdu, self._ring(), self._chip.registry, self._chip.channel())

    def _store_data(self, apdu: Apdu) -> Answer:
        taker, self._taker = self._taker or self._taken_by(self._target or self.aid), None
        if self._stream.store(apdu, taker, self._chip.channel()):
            self._target = None
        else:
            self._taker = taker  # what a refused command brought is forgotten
        return Answer()

    def _set_status(self, apdu: Apdu) -> Answer:
        """Move the card or this domain through its life cycle, or lock and unlock applications (GPCS 11.10)."""
        if apdu.p1 == 0x80:
            self._set_card(apdu.p2)
            return Answer()
        if apdu.p1 not in (0x40, 0x60):
            raise RefusedError(0x6A86)
        app = self._chip.registry.instance(apdu.data)
        if app is None or (apdu.p1 == 0x60 and not self._chip.registry.is_domain(app.aid)):
            raise RefusedError(0x6A88)
        if app.aid == self.aid and apdu.p1 == 0x40 and apdu.p2 == PERSONALIZED:
            self._personalize(app)
            return Answer()
        if self.aid not in (app.domain, app.aid) and not self._rights & privileges.GLOBAL_LOCK:
            raise RefusedError(0x6985)
        self._lock(app, apdu.p2 & LOCKED)
        for each in [*self._chip.registry.instances()] if apdu.p1 == 0x60 else ():
            if each.domain == app.aid and each.state & LOCKED != apdu.p2 & LOCKED:
                self._lock(each, apdu.p2 & LOCKED)
        return Answer()

    def _set_card(self, state: int) -> None:
        if state not in (*LIFE_CYCLE, TERMINATED):
            raise RefusedError(0x6A80)
        right = {CARD_LOCKED: privileges.CARD_LOCK, TERMINATED: privileges.CARD_TERMINATE}.get(state, privileges.CARD_LOCK)
        if not self._rights & right or state not in LIFE_CYCLE.get(self._chip.registry.isd_state, ()):
            raise RefusedError(0x6985)
        self._chip.registry.isd_state = state

    def _personalize(self, app: Instance) -> None:
        if app.state != SELECTABLE or not any(self._ring()):
            raise RefusedError(0x6985)
        self._chip.registry.set_state(app.aid, PERSONALIZED)

    def _lock(self, app: Instance, wanted: int) -> None:
        if wanted == app.state & LOCKED or self._chip.registry.isd_state == CARD_LOCKED:
            raise RefusedError(0x6985)
        self._chip.registry.set_state(app.aid, app.state & ~LOCKED | wanted)
