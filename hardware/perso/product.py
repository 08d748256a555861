"""What the host must know of one chip: a card product, as hardware.cards reads it from config/products."""

from dataclasses import dataclass, replace

from hardware.iso7816 import AID
from hardware.keystores import KeyId, Purpose
from hardware.perso.order import UniqueID
from hardware.scp import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """The keys that a card is to have of its own: their number, and the master and recipe that they come from."""

    kvn: int
    master: KeyId
    recipe: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One card product.

    atr and atr_mask: bytes of equal length (a mask bit 0 is not compared); isd_aid and master None: not a GlobalPlatform
    card; scp or i None: what the card itself says; level: used where a record names none; block: longest command data before
    the channel's MAC and padding; packing: several whole DGIs may share a STORE DATA; replace: something present may be
    deleted and made again; profiles: the card profiles it meets; extended: it takes commands of extended length, and block
    may need them; unread: DGIs and tags that its applications keep without giving them back; pad_empty: its SCP03 expects
    padding where an encrypted command has no data; tries: wrong authentications that block it, if known; terms: of a channel
    whose keys are agreed on, where *master* is the off-card entity's own key; keys: put in the place of the channel's,
    which are only the transport keys then.
    """

    name: str
    atr: bytes
    atr_mask: bytes
    environment: str
    environment_version: str
    isd_aid: AID | None
    scp: str | None
    i: int | None
    level: int
    kvn: int
    master: KeyId | None
    recipe: str
    block: int
    packing: bool
    replace: bool
    profiles: tuple[UniqueID, ...]
    extended: bool = False
    unread: frozenset[int] = frozenset()
    pad_empty: bool = False
    tries: int | None = None
    terms: Terms | None = None
    keys: KeySet | None = None

    @property
    def purpose(self) -> Purpose:
        """What *master* is."""
        return Purpose.AGREEMENT if self.terms else Purpose.MASTER

    def masters(self) -> tuple[KeyId, ...]:
        """Return the master keys that making a card takes, all of one purpose."""
        return tuple(key for key in (self.master, self.keys.master if self.keys else None) if key is not None)

    def finished(self) -> "Product":
        """Return the product as its cards are once they are made: with their own keys, where they get any."""
        own = self.keys
        return replace(self, kvn=own.kvn, master=own.master, recipe=own.recipe, keys=None) if own else self

    def matches(self, atr: bytes) -> bool:
        """Return whether *atr* is one of this product's."""
        return len(atr) == len(self.atr) and all(
            (a ^ b) & mask == 0 for a, b, mask in zip(atr, self.atr, self.atr_mask, strict=True)
        )

    def unfit(self, atr: bytes, protocol: str) -> str | None:
        """Return why nothing need be said to a card of this *atr* that talks *protocol*; None if it fits."""
        if not self.matches(atr):
            return f"wrong card: its ATR {atr.hex().upper()} isn't {self.name}'s"
        if self.extended and protocol == "T=0":
            return f"wrong card: it talks T=0, which can't carry the extended commands that {self.name} takes"
        return None
