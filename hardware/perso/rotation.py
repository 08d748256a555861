"""From the keys that a card is delivered with to its own: put, proved, and only then the old ones gone."""

from collections.abc import Sequence
from dataclasses import dataclass

from hardware.gp import commands, keyloading
from hardware.iso7816 import Dialogue
from hardware.keystores import Base, Wrap, Wrapped


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """Put key set *kvn* beside *transport*; a channel opened with it proves it before *transport* is deleted."""

    transport: int
    kvn: int

    def __str__(self) -> str:
        return f"put key set {self.kvn:02X}, open a channel with it, delete transport key set {self.transport:02X}"

    def put(self, keys: Sequence[Wrapped], wrap: Wrap) -> Dialogue[None]:
        """Put the three keys, in the order of Base; raises CardError, ProtocolError where the card holds others."""
        new = [keyloading.symmetric(base.number, key) for base, key in zip(Base, keys, strict=True)]
        yield from keyloading.put(new, self.kvn, wrap)

    def retire(self) -> Dialogue[None]:
        """Delete the transport keys, through a channel of the new ones; raises CardError."""
        yield commands.delete_keys(kvn=self.transport)
