"""An installed application that is personalized as CPS describes, and can be read back."""

from typing import Final

from hardware import crypto
from hardware.sim.apdu import Answer, Apdu, RefusedError
from hardware.sim.blank import Blank
from hardware.sim.eeprom import Eeprom
from hardware.sim.registry import PERSONALIZED, SELECTABLE, Registry, app_key
from hardware.tlv import tlv

KEYS, KEY_CHECKS, PIN, PIN_COUNTERS, FCI = 0x8000, 0x9000, 0x8010, 0x9010, 0x9102
# DGI that needs another one before it, where both are given
FIRST: Final = {KEY_CHECKS: KEYS, PIN: PIN_COUNTERS}
LAST_SFI: Final = 0x1E


class Application:
    """Keep the DGIs and tags of one instance; secret DGIs are written, never read."""

    def __init__(self, aid: bytes, blank: Blank, eeprom: Eeprom, registry: Registry) -> None:
        self.aid = aid
        self._blank, self._eeprom, self._registry = blank, eeprom, registry

    @property
    def state(self) -> int:
        """Return the life cycle state; 00 once the application is deleted."""
        return int(self._eeprom.text(app_key(self.aid, "state")) or "00", 16)

    def check_open(self) -> None:
        """Refuse with 6985 unless the application is SELECTABLE and not yet personalized."""
        if self.state != SELECTABLE:
            raise RefusedError(0x6985)

    def is_encrypted(self, dgi: int) -> bool:
        """Tell whether this application expects *dgi* encrypted."""
        return dgi in self._blank.encrypted_dgis

    def take_dgi(self, dgi: int, value: bytes) -> None:
        """Keep one DGI; refuses with 6A88 where it is unknown, 6985 where it comes too early or too late."""
        if dgi in self._blank.refused_dgis:
            raise RefusedError(0x6A88)
        if any(first == dgi and self.dgi(first) is None and self.dgi(later) is not None
               for later, first in FIRST.items()):  # fmt: skip
            raise RefusedError(0x6985)
        if value and dgi in self._blank.worn_dgis:
            value = bytes((*value[:-1], value[-1] ^ 0x01))
        if dgi not in self._blank.lost_dgis:
            self._write(f"dgi/{dgi:04X}", value)

    def take_tag(self, tag: int, value: bytes) -> None:
        """Keep one data object."""
        self._write(f"tag/{tag:X}" if tag > 0xFF else f"tag/{tag:02X}", value)

    def take_raw(self, data: bytes) -> None:
        """Append data without structure."""
        self._write("raw", bytes.fromhex(self._eeprom.text(app_key(self.aid, "raw")) or "") + data)

    def _write(self, field: str, value: bytes) -> None:
        self._eeprom.put(app_key(self.aid, field), value.hex().upper())
        self._registry.claim(0)

    def dgi(self, dgi: int) -> bytes | None:
        """Return a stored DGI, or None."""
        text = self._eeprom.text(app_key(self.aid, f"dgi/{dgi:04X}"))
        return None if text is None else bytes.fromhex(text)

    def complete(self) -> None:
        """Check the keys against their check values and become PERSONALIZED; refuses with 6A80."""
        keys, checks = self.dgi(KEYS), self.dgi(KEY_CHECKS)
        if keys is not None and checks is not None and not _check_values_match(keys, checks):
            raise RefusedError(0x6A80)
        self._registry.set_state(self.aid, PERSONALIZED)

    def fci(self) -> bytes:
        """Return the answer to SELECT, with the proprietary template that DGI 9102 brought."""
        template = self.dgi(FCI) or b""
        template = template if template[:1] == b"\xa5" else tlv(0xA5, template)
        return tlv(0x6F, tlv(0x84, self.aid) + template)

    def read_record(self, apdu: Apdu) -> Answer:
        """Return record P1 of the short file identifier in P2 (ISO/IEC 7816-4 7.3.3)."""
        sfi = apdu.p2 >> 3
        if apdu.p2 & 0x07 != 0x04 or not apdu.p1 or not 1 <= sfi <= LAST_SFI:
            raise RefusedError(0x6A86)
        self._check_personalized()
        value = self.dgi(sfi << 8 | apdu.p1)
        if value is None:
            exists = any(self._eeprom.keys(app_key(self.aid, f"dgi/{sfi:02X}")))
            raise RefusedError(0x6A83 if exists else 0x6A82)
        return Answer(data=value)

    def get_data(self, apdu: Apdu) -> Answer:
        """Return a stored data object as TLV, or the value of a DGI 9xxx; refuses all else with 6A88."""
        self._check_personalized()
        tag = apdu.p1 << 8 | apdu.p2
        text = self._eeprom.text(app_key(self.aid, f"tag/{tag:X}" if apdu.p1 else f"tag/{tag:02X}"))
        if text is not None:
            return Answer(data=tlv(tag, bytes.fromhex(text)))
        value = self.dgi(tag)
        if value is None or tag >> 12 != 0x9 or self.is_encrypted(tag):
            raise RefusedError(0x6A88)
        return Answer(data=value)

    def _check_personalized(self) -> None:
        if self.state != PERSONALIZED:
            raise RefusedError(0x6985)


def _check_values_match(keys: bytes, checks: bytes) -> bool:
    """Compare the three double-length keys with the 3 leftmost bytes of zeros enciphered under each."""
    if len(keys) != 48 or len(checks) != 9:
        return False
    each = (keys[at : at + 16] for at in range(0, 48, 16))
    return b"".join(crypto.des3_ecb_encrypt(key, bytes(8))[:3] for key in each) == checks
