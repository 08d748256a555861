"""Delegated management: tokens that allow a change of content, and receipts that prove it (GPCS 2.3.1 annex C.4, C.5).

Signatures are made and checked by whoever holds the keys: a message goes out, a signature comes back.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from hardware.errors import AuthenticationError, ProtocolError
from hardware.iso7816 import Command
from hardware.tlv import lv, tlv

Sign = Callable[[bytes], bytes]
"""Called with a message; returns its signature or MAC."""
Verify = Callable[[bytes, bytes], bool]
"""Called with a message and its signature; tells whether it is right."""
INSTALL, DELETE = 0xE6, 0xE4
COMBINED, PERSONALIZATION = 0x0E, 0x20
TOKEN: Final = 0x9E


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a card answered to a change of content (GPCS table 11-3): its signature, and the *confirmation* as it is signed.

    counter: the security domain's confirmation counter; unique: its own data; token, digest: of the token that allowed it.
    """

    signature: bytes
    confirmation: bytes
    counter: int
    unique: bytes
    token: bytes = b""
    digest: bytes = b""


def message(command: Command) -> bytes:
    """Return what a token for *command* signs: P1, P2, length and data, all without the token (C.4).

    The length has one byte, or above 255 three. Raises ValueError for a command that takes no token of its own.
    """
    covered = command.data if command.ins == DELETE else command.data[:-1]
    if command.ins not in (INSTALL, DELETE) or (command.ins == INSTALL and command.p1 in (COMBINED, PERSONALIZATION)):
        raise ValueError(f"{command.name}: a token for it isn't built in")
    if command.ins == INSTALL and command.data[-1:] != b"\0":
        raise ValueError(f"{command.name}: it has a token already")
    length = bytes((len(covered),)) if len(covered) <= 0xFF else b"\0" + len(covered).to_bytes(2, "big")
    return bytes((command.p1, command.p2)) + length + covered


def signed(command: Command, sign: Sign) -> Command:
    """Return *command* with the token that *sign* makes for it; raises ValueError like message."""
    token = sign(message(command))
    if command.ins == DELETE:
        return replace(command, data=command.data + tlv(TOKEN, token))
    return replace(command, data=command.data[:-1] + lv(token))


def receipt(answer: bytes) -> Receipt | None:
    """Read the answer to LOAD, INSTALL or DELETE (GPCS 11.1.6); None where the card gives no receipt.

    Raises ProtocolError for an answer that is cut short.
    """
    if answer in (b"", b"\0"):
        return None
    try:
        whole, rest = _lv(answer)
        signature, confirmation = _lv(whole)
        counter, others = _lv(confirmation)
        unique, others = _lv(others)
        token, others = _lv(others) if others else (b"", b"")
        digest, others = _lv(others) if others else (b"", b"")
    except IndexError as short:
        raise ProtocolError("the card's receipt is cut short") from short
    if rest or others or not signature:
        raise ProtocolError("the card's receipt isn't what the specification gives")
    number = int.from_bytes(counter, "big")
    return Receipt(
        signature=signature, confirmation=confirmation, counter=number, unique=unique, token=token, digest=digest
    )  # fmt: skip


def check(found: Receipt | None, subject: tuple[bytes, ...], verify: Verify) -> None:
    """Raise AuthenticationError unless there is a receipt and *verify* finds it right for *subject* (C.5).

    subject: the AIDs, and for a registry update the fields, that the receipt signs behind the confirmation data.
    """
    if found is None:
        raise AuthenticationError("the card gave no receipt, and its issuer needs one")
    if not verify(found.confirmation + b"".join(map(lv, subject)), found.signature):
        raise AuthenticationError("the card's receipt does not verify")


def _lv(data: bytes) -> tuple[bytes, bytes]:
    """Split off the value behind a BER length; raises IndexError where it is cut short."""
    size, start = data[0], 1
    if size > 0x80:
        start = 1 + (size & 0x7F)
        size = int.from_bytes(data[1:start], "big")
    if len(data) < start + size:
        raise IndexError
    return data[start : start + size], data[start + size :]
