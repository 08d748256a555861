"""The keys of one security domain: those of the factory, and what PUT KEY and STORE DATA brought (GPCS 7.5, 11.8)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from hardware.sim import scp11
from hardware.sim.apdu import RefusedError
from hardware.sim.blank import Blank
from hardware.sim.eeprom import Eeprom, Json

DES, AES, RSA_EXPONENT, RSA_MODULUS = 0x80, 0x88, 0xA0, 0xA1
EC_PUBLIC, EC_PRIVATE, EC_CURVE = 0xB0, 0xB1, 0xF0
CHANNEL: Final = {1: DES, 2: DES, 3: AES}
"""The type of a secure channel's keys by its protocol."""
COUNTERS: Final = ("scp/sequence", "scp/failures")
OPENED: Final = "isd/keyed"
"""Set once the factory's keys lie in memory like all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: its components by type in their order; *extended*, usage and access as it was put."""

    kvn: int
    kid: int
    parts: tuple[tuple[int, bytes], ...] = field(repr=False)
    extended: bool = False
    usage: bytes = b""
    access: bytes = b""

    def part(self, kind: int) -> bytes | None:
        """Return one component, or None."""
        return dict(self.parts).get(kind)

    @property
    def size(self) -> int:
        """Return the bytes that it takes."""
        return sum(len(value) for _, value in self.parts)


class KeyRing:
    """Read and change the keys of the security domain *aid*; *factory*: the blank whose keys it came with."""

    def __init__(self, eeprom: Eeprom, aid: bytes, factory: Blank | None = None) -> None:
        self._eeprom, self._aid, self._factory = eeprom, aid, factory

    def __iter__(self) -> Iterator[Key]:
        """Yield all keys, the oldest set first."""
        if self._factory and not self._eeprom.get(OPENED):
            yield from self._from_factory(self._factory)
        for name in [*self._eeprom.keys(self._name())]:
            match self._eeprom.get(name):
                case {"parts": list(parts), "extended": bool(extended), "usage": str(usage), "access": str(access)}:
                    yield Key(
                        kvn=int(name.split("/")[2], 16),
                        kid=int(name.split("/")[3], 16),
                        parts=tuple(_part(str(part)) for part in parts),
                        extended=extended,
                        usage=bytes.fromhex(usage),
                        access=bytes.fromhex(access),
                    )
        yield from self._fixed()

    @staticmethod
    def _from_factory(blank: Blank) -> Iterator[Key]:
        for kid, value in zip(blank.key_identifiers, (blank.enc, blank.mac, blank.dek), strict=False):
            yield Key(kvn=blank.kvn, kid=kid, parts=((CHANNEL[blank.scp], value),))

    def _fixed(self) -> Iterator[Key]:
        """Yield SCP11's keys, which this chip never gives up: its own under each identifier, and its CA's."""
        if own := self.agreement:
            for kid in sorted(own.kids):
                yield Key(kvn=own.kvn, kid=kid, parts=((EC_PRIVATE, own.private),))
            yield Key(kvn=own.ca_kvn, kid=own.ca_kid, parts=((EC_PUBLIC, own.ca.point),))

    @property
    def agreement(self) -> scp11.Keys | None:
        """What the domain has for SCP11, which only the factory gives."""
        return self._factory.ecka if self._factory else None

    def key(self, kvn: int, kid: int) -> Key | None:
        """Return one key, or None."""
        return next((key for key in self if (key.kvn, key.kid) == (kvn, kid)), None)

    def channel(self, kvn: int, blank: Blank) -> tuple[int, tuple[bytes, bytes, bytes]] | None:
        """Return number and keys of the set *kvn*, or of the first that opens the chip's protocol where it is 0.

        One base key stands for all three.
        """
        kids = blank.key_identifiers
        for found in [kvn] if kvn else dict.fromkeys(key.kvn for key in self):
            values = [key.part(CHANNEL[blank.scp]) for kid in kids if (key := self.key(found, kid))]
            whole = tuple(value for value in values if value is not None)
            if len(whole) == len(kids):
                return found, (whole[0], whole[len(kids) // 2], whole[-1])
        return None

    def put(self, new: Key) -> None:
        """Keep one key."""
        self._open()
        for name in COUNTERS:
            self._eeprom.put(self.counters(new.kvn) + name, 0)
        self._put(new)

    def _put(self, new: Key) -> None:
        parts: list[Json] = [f"{kind:02X}{value.hex().upper()}" for kind, value in new.parts]
        usage, access = new.usage.hex().upper(), new.access.hex().upper()
        record: Json = {"parts": parts, "extended": new.extended, "usage": usage, "access": access}
        self._eeprom.put(self._name(new.kvn, new.kid), record)

    def remove(self, key: Key) -> None:
        """Forget one key; refuses with 6985 for one that the chip never gives up."""
        if key in self._fixed():
            raise RefusedError(0x6985)
        self._open()
        self._eeprom.put(self._name(key.kvn, key.kid), None)

    def _open(self) -> None:
        """Lay the factory's keys into memory before the first change, so that they can go like others."""
        if self._factory and not self._eeprom.get(OPENED):
            factory = [*self._from_factory(self._factory)]
            self._eeprom.put(OPENED, True)
            for key in factory:
                self._put(key)

    def _name(self, *numbers: int) -> str:
        return f"key/{self._aid.hex().upper()}/" + "/".join(f"{number:02X}" for number in numbers)

    def counters(self, kvn: int) -> str:
        """Return where the counters of a key set lie: they begin anew with its keys."""
        if self._factory and kvn == self._factory.kvn:
            return ""
        return f"counters/{self._aid.hex().upper()}/{kvn:02X}/"


def _part(text: str) -> tuple[int, bytes]:
    return int(text[:2], 16), bytes.fromhex(text[2:])


def check_type(kind: int, value: bytes) -> None:
    """Refuse with 9484 for a key that this chip has no algorithm for."""
    sizes = {DES: (16, 24), AES: (16, 24, 32)}
    if kind in sizes and len(value) not in sizes[kind]:
        raise RefusedError(0x9484)
    if kind not in (DES, AES, RSA_EXPONENT, RSA_MODULUS, EC_PUBLIC, EC_PRIVATE, EC_CURVE):
        raise RefusedError(0x9484)
