"""Which secure channel a card speaks, from what it says of itself and never by trying (GPCS H.2 and 11.3.3.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hardware.errors import ProtocolError
from hardware.gp import objects
from hardware.gp.objects import CardKey, Recognition
from hardware.iso7816 import Dialogue
from hardware.keys import Algorithm
from hardware.scp import channel

SYMMETRIC: Final = (0x01, 0x02, 0x03)
KEY_TYPES: Final = {0x80: Algorithm.DES3, 0x82: Algorithm.DES3, 0x88: Algorithm.AES}
"""Key types of GPCS table 11-16 that a secure channel's keys have."""
OF_CONTENT: Final = range(0x70, 0x74)
"""Where by convention the keys of tokens, receipts and DAP stand, which open no channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The channel named *scp* with option *i*; *bits* of the card's keys, None where it wasn't asked or doesn't say."""

    scp: str
    i: int
    bits: int | None = None

    def __str__(self) -> str:
        return f"{self.scp} i={self.i:02X}"


def choose(scp: str | None, i: int | None, kvn: int) -> Dialogue[Choice]:
    """Return the channel to open for key set *kvn* (0: the card's default); a stated *scp* and *i* are taken as they are.

    Where either isn't stated, the selected security domain's card recognition data say it, and its key information which of
    several. Raises ProtocolError where they say nothing, nothing that fits what is stated and the keys, or more than one.
    """
    if scp is not None and i is not None:
        return Choice(scp=scp, i=i)
    said = yield from objects.read(objects.RECOGNITION, objects.recognition)
    offered = _offered(said) if said else ()
    held = (yield from objects.read(objects.KEYS, objects.keys)) or ()
    asked = [key for key in held if (key.kvn == kvn if kvn else key.kvn not in OF_CONTENT)]
    keys = [key for key in asked if key.parts[0].type in KEY_TYPES]
    fitting = [each for each in offered if scp in (None, each.scp) and i in (None, each.i)]
    suiting = [each for each in fitting if not keys or any(_suits(each, key) for key in keys)]
    if len(suiting) != 1:
        raise ProtocolError(_undecided(offered, fitting, suiting, kvn))
    sizes = {8 * key.parts[0].length for key in keys if _suits(suiting[0], key)}
    return Choice(scp=suiting[0].scp, i=suiting[0].i, bits=sizes.pop() if len(sizes) == 1 else None)


def _undecided(offered: Sequence[Choice], fitting: Sequence[Choice], suiting: Sequence[Choice], kvn: int) -> str:
    said = " and ".join(map(str, offered)) or "no channel"
    if len(suiting) > 1:
        return f"the card says that it speaks {said}: the product must state which one key set {kvn:02X} is for"
    if fitting:
        return f"the card says that it speaks {said}, and that key set {kvn:02X} holds no keys for that"
    return f"the card says that it speaks {said}: that isn't what the product states, or too little to open one"


def _suits(choice: Choice, key: CardKey) -> bool:
    return channel(choice.scp).WRAP.algorithm is KEY_TYPES[key.parts[0].type]


def _offered(said: Recognition) -> tuple[Choice, ...]:
    """Return the symmetric channels that card recognition data name, each once."""
    named = [(each.protocol, option) for each in said.channels if each.protocol in SYMMETRIC for option in each.options]
    choices = (Choice(scp=f"SCP{protocol:02}", i=option[0]) for protocol, option in named if len(option) == 1)
    return tuple(dict.fromkeys(choices))
