"""The chip: what is selected, which command goes where, and what an answer may look like (GPCS 11.1, 11.9)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from hardware.sim import privileges
from hardware.sim.apdu import Answer, Apdu, RefusedError, parse
from hardware.sim.application import Application
from hardware.sim.blank import Blank
from hardware.sim.domain import (
    DELETE,
    GET_DATA,
    GET_STATUS,
    INSTALL,
    LOAD,
    PUT_KEY,
    SET_STATUS,
    STORE_DATA,
    Chip,
    SecurityDomain,
)
from hardware.sim.eeprom import Changes, Eeprom, Part
from hardware.sim.personalization import Stream
from hardware.sim.registry import CARD_LOCKED, INSTALLED, LOCKED, SECURED, TERMINATED, Registry
from hardware.sim.session import BEGIN_R_MAC, END_R_MAC, Channel, KeySet, Session

SELECT, READ_RECORD, INITIALIZE_UPDATE, EXTERNAL_AUTHENTICATE = 0xA4, 0xB2, 0x50, 0x82
PERFORM_SECURITY_OPERATION, INTERNAL_AUTHENTICATE, GET_RESPONSE = 0x2A, 0x88, 0xC0
# The classes of each command, apart from secure messaging
CLASSES: Final = {
    SELECT: (0x00,), READ_RECORD: (0x00,), GET_DATA: (0x00, 0x80), INITIALIZE_UPDATE: (0x80,),
    EXTERNAL_AUTHENTICATE: (0x80,), PERFORM_SECURITY_OPERATION: (0x80,), INTERNAL_AUTHENTICATE: (0x80,),
    BEGIN_R_MAC: (0x80,), END_R_MAC: (0x80,), GET_RESPONSE: (0x00,),
    **dict.fromkeys((INSTALL, LOAD, DELETE, GET_STATUS, SET_STATUS, STORE_DATA, PUT_KEY), (0x80,)),
}  # fmt: skip
OPENING: Final = frozenset((INITIALIZE_UPDATE, EXTERNAL_AUTHENTICATE, PERFORM_SECURITY_OPERATION, INTERNAL_AUTHENTICATE))
CHANGING: Final = frozenset((INSTALL, LOAD, DELETE, SET_STATUS, STORE_DATA, PUT_KEY))
READING: Final = frozenset((GET_DATA, GET_STATUS, READ_RECORD))


class Card:
    """Execute one command after another; everything but the Eeprom is gone at a reset."""

    def __init__(self, blank: Blank, eeprom: Eeprom, entropy: Callable[[int], bytes]) -> None:
        self._blank, self._eeprom, self._entropy = blank, eeprom, entropy
        self._registry = Registry(eeprom, blank.isd_aid, blank.memory)
        self._chip = Chip(
            blank=blank,
            eeprom=eeprom,
            registry=self._registry,
            channel=self._channel,
            application=self._application,
        )
        self.reset()

    def reset(self) -> bytes:
        """Forget all transient state and return the ATR; a card reset application is selected again."""
        self._rest = b""
        self._choose(self._blank.isd_aid)
        for app in self._registry.instances():
            if privileges.number(app.privileges) & privileges.CARD_RESET and self._selectable(app.state):
                self._choose(app.aid)
        return self._blank.atr

    def _choose(self, aid: bytes) -> None:
        """Select an application with the domain that it belongs to, or a security domain; whatever was open is over."""
        app = self._registry.instance(aid)
        is_domain = self._registry.is_domain(aid)
        self._selected = None if is_domain else self._application(aid)
        self._stream = Stream()
        self._domain = SecurityDomain(self._chip, aid if is_domain or app is None else app.domain)
        domain = self._domain.aid
        blank = replace(self._blank, isd_aid=domain, ecka=self._chip.ring(domain).agreement)
        self._session = Session(blank, self._eeprom, self._key_set, self._entropy, self._session_ended)

    def _key_set(self, kvn: int) -> KeySet:
        """Return key set *kvn* of the selected domain; one without keys uses those of the domain above (GPCS 7.3)."""
        holder = self._domain.aid
        ring = self._chip.ring(holder)
        while holder != self._blank.isd_aid and not any(ring):
            above = self._registry.instance(holder)
            holder = above.domain if above else self._blank.isd_aid
            ring = self._chip.ring(holder)
        found = ring.channel(kvn, self._blank)
        if found is None:
            raise RefusedError(0x6A88)
        number, keys = found
        counters = ring.counters(number)
        self._domain.key_set, self._domain.counters = number if holder == self._domain.aid else 0, counters
        return KeySet(kvn=number, keys=keys, counters=Part(self._eeprom, counters))

    def transmit(self, raw: bytes) -> tuple[bytes, Changes]:
        """Execute *raw*; returns the answer with its status word, and what to journal before it goes out."""
        try:
            apdu = parse(raw, extended=self._blank.extended_length)
            answer = self._execute(apdu)
            if apdu.ins in CHANGING:
                self._eeprom.put("touched", True)
        except RefusedError as refused:
            self._eeprom.abort()
            answer = Answer(sw=refused.sw)
        return answer.data + answer.sw.to_bytes(2, "big"), self._eeprom.commit()

    def _execute(self, apdu: Apdu) -> Answer:
        self._check_class(apdu)
        if self._registry.isd_state == TERMINATED and apdu.ins != GET_DATA:
            raise RefusedError(0x6985)
        rest, self._rest = self._rest, b""
        if apdu.ins == GET_RESPONSE:
            return self._cut(Answer(data=rest), apdu)
        if apdu.ins in OPENING:
            return self._open(apdu)
        self._session.interrupt()
        if apdu.ins == SELECT:
            return self._fit(self._select(apdu), apdu)
        plain = self._session.unwrap(apdu)
        if plain.ins in READING and plain.ne is None:
            raise RefusedError(0x6700)
        answer = self._serve(plain)
        if apdu.ins == GET_DATA and not self._session.is_open:
            return self._cut(answer, apdu)
        return self._session.protect(self._fit(answer, plain))

    def _check_class(self, apdu: Apdu) -> None:
        if apdu.cla & ~0x03 in (0x00, 0x04, 0x80, 0x84) and apdu.cla & 0x03:
            raise RefusedError(0x6881)
        if apdu.ins not in CLASSES:
            raise RefusedError(0x6D00 if apdu.cla in (0x00, 0x04, 0x80, 0x84) else 0x6E00)
        if apdu.cla & ~0x04 not in CLASSES[apdu.ins] or (apdu.ins == SELECT and apdu.secured):
            raise RefusedError(0x6E00)

    def _open(self, apdu: Apdu) -> Answer:
        """Take a step in opening a channel; EXTERNAL and MUTUAL AUTHENTICATE are one INS, and only the first is secured."""
        session = self._session
        if apdu.ins == EXTERNAL_AUTHENTICATE and (apdu.secured or not session.agrees):
            return session.external_authenticate(apdu)
        session.interrupt()
        if apdu.ins == INITIALIZE_UPDATE:
            return self._fit(session.initialize_update(apdu), apdu)
        if apdu.ins == PERFORM_SECURITY_OPERATION:
            return session.perform(apdu)
        self._domain.key_set = 0
        return self._fit(session.agree(apdu, mutual=apdu.ins == EXTERNAL_AUTHENTICATE), apdu)

    def _cut(self, answer: Answer, apdu: Apdu) -> Answer:
        """Send what a short Le takes, and keep the rest for GET RESPONSE; with nothing kept that is 6985."""
        if not answer.data and apdu.ins == GET_RESPONSE:
            raise RefusedError(0x6985)
        if apdu.ne is None or apdu.extended or len(answer.data) <= 0x100:
            return self._fit(answer, apdu)
        data, self._rest = answer.data[: apdu.ne], answer.data[apdu.ne :]
        return Answer(data=data, sw=0x6100 | (len(self._rest) if len(self._rest) < 0x100 else 0))

    def _serve(self, plain: Apdu) -> Answer:
        if plain.ins in (BEGIN_R_MAC, END_R_MAC):
            return self._session.r_mac(plain)
        return self._domain.execute(plain) if self._selected is None else self._apply(self._selected, plain)

    def _fit(self, answer: Answer, apdu: Apdu) -> Answer:
        """Fit the answer to Le: without one there is no data, and a short one is refused with the right length."""
        if apdu.ne is None:
            return Answer(sw=answer.sw)
        if len(answer.data) > apdu.ne:
            raise RefusedError(0x6C00 | len(answer.data) & 0xFF if len(answer.data) <= 0x100 else 0x6700)
        return answer

    def _apply(self, application: Application, apdu: Apdu) -> Answer:
        match apdu.ins:
            case 0xB2:
                return application.read_record(apdu)
            case 0xCA:
                return application.get_data(apdu)
            case 0xE2:
                self._stream.store(apdu, application, self._session.channel())
                return Answer()
        raise RefusedError(0x6D00)

    def _select(self, apdu: Apdu) -> Answer:
        """Select by AID or its beginning, first or next (GPCS 11.9); a failed one changes nothing."""
        if apdu.p1 != 0x04 or apdu.p2 not in (0x00, 0x02):
            raise RefusedError(0x6A86)
        locked = self._registry.isd_state == CARD_LOCKED
        aids = [self._blank.isd_aid]
        aids += [app.aid for app in self._registry.instances() if self._selectable(app.state)]
        found = [aid for aid in aids if aid.startswith(apdu.data)]
        if apdu.p2 == 0x02:
            current = self._selected.aid if self._selected else self._domain.aid
            found = found[found.index(current) + 1 :] if current in found else found
        elif apdu.data in found:
            found = [apdu.data]
        if not found:
            raise RefusedError(0x6A82)
        self._choose(found[0])
        data = self._selected.fci() if self._selected else self._domain.fci()
        return Answer(data=data, sw=0x6283 if locked else 0x9000)

    def _selectable(self, state: int) -> bool:
        # in CARD_LOCKED only the ISD can be selected (GPCS 5.1.1.4)
        return state != INSTALLED and not state & LOCKED and self._registry.isd_state <= SECURED

    def _channel(self) -> Channel:
        return self._session.channel()

    def _session_ended(self) -> None:
        self._stream = Stream()
        self._domain.forget()

    def _application(self, aid: bytes) -> Application:
        return Application(aid, self._blank, self._eeprom, self._registry)
