"""Elements, and a card that takes them, for tests of STORE DATA."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hardware.gp.commands import install_for_personalization
from hardware.iso7816 import Command, Response, run
from hardware.keystores import Transport
from hardware.perso.layout import layout, store
from hardware.perso.order import Instructions
from hardware.perso.profiles import TagEncoding
from hardware.perso.values import Coded
from tests.hardware.cards import FIRST, TRANSPORT

INSTALL = "80E620000D000007A000000004101000000000"
AHEAD = install_for_personalization(FIRST)


def item(name: str, value: str = "", *, secret: bool = False, kind: TagEncoding = TagEncoding.DGI) -> Coded:
    """Return one element, called by its tag; *value* in hex."""
    transport = TRANSPORT if secret else None
    return Coded(name=name, tag=int(name, 16), structure=kind, value=bytes.fromhex(value), transport=transport)


def translate(value: bytes, transport: Transport) -> bytes:
    """Stand in for the key store: every byte inverted."""
    assert transport is TRANSPORT
    return bytes(byte ^ 0xFF for byte in value)


@dataclass
class Taker:
    """A card that takes everything, but refuses commands whose data begin with a *refused* DGI."""

    refused: frozenset[str] = frozenset()
    sw: int = 0x6A88
    sent: list[Command] = field(default_factory=list)

    def __call__(self, command: Command) -> Response:
        self.sent.append(command)
        refused = command.ins == 0xE2 and command.data[:2].hex().upper() in self.refused
        return Response(b"", self.sw if refused else 0x9000)


def stored(
    items: Sequence[Coded],
    instructions: Instructions | None = None,
    *,
    room: int = 239,
    packing: bool = True,
    final: bool = True,
    card: Taker | None = None,
) -> list[str]:
    """Return the STORE DATA that *items* give, in hex."""
    plan = layout(items, instructions or Instructions(), room=room, packing=packing)
    card = card or Taker()
    run(store(plan, translate, AHEAD, final=final), card)
    first, *others = (bytes(command).hex().upper() for command in card.sent)
    assert first == INSTALL
    return others
