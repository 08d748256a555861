"""Explicit initiation and command headers, as SCP02 and SCP03 share them (GPCS E.5.1 and E.5.2, Amendment D 7.1)."""

from hardware.errors import AuthenticationError, CardError, PlanError, ProtocolError
from hardware.iso7816 import Command, Dialogue
from hardware.scp import Opening

C_DECRYPTION = 0x02
"""Bit of the security level: command data travel encrypted."""


def refuse_unsupported(key: str, opening: Opening, options: frozenset[int], levels: frozenset[int]) -> None:
    """Raise PlanError unless the channel *key* has the opening's option and level built in."""
    if opening.i is not None and opening.i not in options:
        raise PlanError(f"{key} i={opening.i:02X} isn't built in")
    if opening.level not in levels:
        raise PlanError(f"{key} level {opening.level:02X} isn't built in")


def initialize_update(protocol: int, opening: Opening) -> Dialogue[bytes]:
    """Send INITIALIZE UPDATE with an 8-byte host challenge; returns the answer's data.

    Raises ProtocolError where the card speaks another protocol, or answers for another key set than the one asked for:
    what the plan says of the card's keys isn't true of this card then, even if the channel could be opened.
    """
    challenge = opening.host_challenge
    if len(challenge) != 8:
        raise ValueError(f"a host challenge has 8 bytes, not {len(challenge)}")
    answer = yield Command("INITIALIZE UPDATE", 0x80, 0x50, opening.kvn, 0, challenge, ne=256)
    data = answer.data
    if len(data) < 12:
        raise ProtocolError(f"INITIALIZE UPDATE: {len(data)} bytes of answer are too few")
    if data[11] != protocol:
        raise ProtocolError(f"INITIALIZE UPDATE: the card answers for SCP{data[11]:02X}, not SCP{protocol:02X}")
    if opening.kvn not in (0, data[10]):
        raise ProtocolError(f"INITIALIZE UPDATE: the card answers for key set {data[10]:02X}, not {opening.kvn:02X}")
    return data


def external_authenticate(command: Command) -> Dialogue[None]:
    """Send the protected EXTERNAL AUTHENTICATE; raises AuthenticationError, *refused*, if the card doesn't accept it."""
    try:
        yield command
    except CardError as refusal:
        raise AuthenticationError(f"the card refused the host: {refusal}", refused=True) from refusal


def header(command: Command, lc: int) -> bytes:
    """Return the five bytes ahead of the data, with the secure messaging bit in CLA.

    Raises ValueError where *lc* or the answer doesn't fit a short command, or CLA names a further logical channel.
    """
    if lc > 255 or (command.ne or 0) > 256:
        raise ValueError(f"{command.name}: {len(command.data)} bytes of data don't fit a protected short command")
    if command.cla & 0x43:
        raise ValueError(f"{command.name}: CLA {command.cla:02X} is for another logical channel than the basic one")
    return bytes((command.cla | 0x04, command.ins, command.p1, command.p2, lc))
