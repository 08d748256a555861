"""What the channels share: explicit initiation, command headers, levels (GPCS E.5.1, E.5.2, table 10-1, Amendment D 7.1)."""

from hardware.errors import AuthenticationError, CardError, PlanError, ProtocolError
from hardware.iso7816 import Command, Dialogue, Response
from hardware.scp import Opening, Options
from hardware.tlv import tlv

C_MAC, C_DECRYPTION, R_MAC, R_ENCRYPTION = 0x01, 0x02, 0x10, 0x20
"""Bits of the security level: commands carry a MAC, and are encrypted; answers carry one, and are (GPCS table 10-1)."""
SHORT, EXTENDED = 0xFF, 0xFFFF
"""The longest command data; an answer may have one byte more (ISO/IEC 7816-4 section 5.2)."""


def refuse_unsupported(key: str, i: int | None, level: int, options: Options) -> None:
    """Raise PlanError unless the channel *key* has option *i* built in, and that (None: any) has the *level*."""
    if i is not None and i not in options:
        raise PlanError(f"{key} i={i:02X} isn't built in")
    if not any(level in levels for levels in options.values()):
        raise PlanError(f"{key} level {level:02X} isn't built in")
    if i is not None and level not in options[i]:
        raise PlanError(f"{key} i={i:02X} has no level {level:02X}")


def initialize_update(protocol: int, opening: Opening, challenge: bytes) -> Dialogue[bytes]:
    """Send INITIALIZE UPDATE with the host *challenge*; returns the answer's data.

    Raises ProtocolError where the card speaks another protocol, or answers for another key set than the one asked for:
    what the plan says of the card's keys isn't true of this card then, even if the channel could be opened.
    """
    answer = yield Command("INITIALIZE UPDATE", 0x80, 0x50, opening.kvn, 0, challenge, ne=256, secret=())
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


def wrong_cryptogram(answer: bytes) -> AuthenticationError:
    """Return the error for a card cryptogram that doesn't verify, with the key set of the *answer* to INITIALIZE UPDATE."""
    return AuthenticationError(f"card cryptogram does not verify with key set {answer[10]:02X}")


def data_object(tag: int, size: int) -> Dialogue[bytes]:
    """Read one data object with GET DATA; raises ProtocolError where it hasn't *size* bytes behind tag and length."""
    answer = yield Command("GET DATA", 0x80, 0xCA, tag >> 8, tag & 0xFF, ne=256, secret=())
    value = answer.data[-size:]
    if answer.data != tlv(tag, value):
        raise ProtocolError(f"GET DATA: data object {tag:02X} hasn't {size} bytes")
    return value


def carries_r_mac(name: str, response: Response) -> bool:
    """Tell whether the status word is one that an R-MAC stands before; raises AuthenticationError for data without one."""
    if response.sw == 0x9000 or response.sw >> 8 in (0x62, 0x63):
        return True
    if response.data:
        raise AuthenticationError(f"{name}: the card answers {response.sw:04X} with data that carry no R-MAC")
    return False


def wrong_r_mac(name: str) -> AuthenticationError:
    """Return the error for an answer whose R-MAC is wrong."""
    return AuthenticationError(f"{name}: the R-MAC of the answer does not verify; the session is over")


def refuse_after_wrong(command: Command, *, ended: bool) -> None:
    """Raise AuthenticationError where the session has *ended* since an answer in it was wrong."""
    if ended:
        raise AuthenticationError(f"{command.name}: the session is over since the R-MAC of an earlier answer was wrong")


def longest(block: int, mac: int, *, extended: bool = False) -> int:
    """Return the longest data that one command holds beside padding to whole blocks and a C-MAC, of so many bytes each."""
    return ((EXTENDED if extended else SHORT) - mac) // block * block - 1


def header(command: Command, lc: int, *, extended: bool = False) -> bytes:
    """Return what stands ahead of the data, on the wire as under the C-MAC, with the secure messaging bit in CLA.

    This is where a command of extended length is let through or not: every protected command passes here, a burst whole
    before its first is sent. *lc* takes three bytes if it or the answer needs them. Raises PlanError where they don't fit a
    short command and the card takes no *extended* ones, ValueError where CLA names a further logical channel.
    """
    most, ne = EXTENDED if extended else SHORT, command.ne or 0
    if lc > most or ne > most + 1:
        kind = "an extended" if extended else "a short"
        raise PlanError(f"{command.name}: {len(command.data)} bytes of data don't fit {kind} command once protected")
    if command.cla & 0x43:
        raise ValueError(f"{command.name}: CLA {command.cla:02X} is for another logical channel than the basic one")
    is_long = lc > SHORT or ne > SHORT + 1
    length = b"\0" + lc.to_bytes(2, "big") if is_long else bytes((lc,))
    return bytes((command.cla | 0x04, command.ins, command.p1, command.p2)) + length
