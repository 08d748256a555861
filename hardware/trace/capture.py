"""A trace as a packet capture that Wireshark opens: each exchange is one GSMTAP datagram with the command and its answer.

The formats are those of the PCAP Capture File Format (draft-ietf-opsawg-pcap), libosmocore's gsmtap.h, and what Wireshark's
packet-gsmtap.c, packet-gsmtap_log.c and packet-gsm_sim.c read.
"""

import struct
from dataclasses import replace
from datetime import timedelta
from typing import Final

from hardware.iso7816 import Command
from hardware.trace import Exchange, Trace
from hardware.trace.masking import Cells, answered, asked

FILL: Final = 0x2A
"""Stands for each masked byte, "*" in Wireshark's pane of bytes."""
MAGIC: Final = 0xA1B2C3D4
"""Seconds and microseconds."""
SNAP: Final = 0x40000
LINK_RAW: Final = 101
"""LINKTYPE_RAW: packets begin with their IP header."""
DONT_FRAGMENT: Final = 0x4000
UDP: Final = 17
LOOPBACK: Final = bytes((127, 0, 0, 1))
GSMTAP_PORT: Final = 4729
SIM, LOG = 0x04, 0x10
"""GSMTAP types: APDUs (sub type 0), and lines of a log."""
ERROR: Final = 7
"""The level of a line in a log."""
MOST: Final = 0xFFFF - 20 - 8 - 16
"""Bytes that fit an IP packet beside its three headers."""


def capture(trace: Trace) -> bytes:
    """Return *trace* as a capture file: of each exchange the command as it was before its secure channel, data, status word.

    Every masked byte is written 2A. Of extended APDUs that together are longer than a packet the end of the data is cut off.
    A command that wasn't answered is a line of a log with the reason: as a SIM packet it would seem to be answered by its
    own last two bytes. Raises ValueError for a command with more than 65,535 bytes of data.
    """
    packets = [struct.pack("<IHHiIII", MAGIC, 2, 4, 0, 0, SNAP, LINK_RAW)]
    for number, each in enumerate(trace.exchanges, start=1):
        moment = trace.began + timedelta(seconds=each.start)
        seconds, microseconds = int(moment.timestamp()), moment.microsecond
        packet = _packet(number, _apdus(each) or _log(each, seconds, microseconds))
        packets.append(struct.pack("<IIII", seconds, microseconds, len(packet), len(packet)) + packet)
    return b"".join(packets)


def _apdus(exchange: Exchange) -> bytes:
    """Return command and answer, or nothing where none came."""
    command, response = exchange.command, exchange.response
    if response is None:
        return b""
    both = _masked(command) + _filled(answered(command, response))
    return _gsmtap(SIM) + both[: MOST - 2] + response.sw.to_bytes(2, "big")


def _log(exchange: Exchange, seconds: int, microseconds: int) -> bytes:
    """Return a log line: when, which process and its number, level, part, source file and its line, then the text."""
    head = struct.pack("!II16sIB3x16s32sI", seconds, microseconds, b"bureau", 0, ERROR, b"card", b"", 0)
    text = f"{exchange.command.name} {_masked(exchange.command).hex().upper()}: no answer: {exchange.fault}"
    return _gsmtap(LOG) + (head + text.encode(errors="backslashreplace"))[:MOST]


def _masked(command: Command) -> bytes:
    return bytes(replace(command, data=_filled(asked(command))))


def _filled(shown: Cells) -> bytes:
    return bytes(FILL if cell is None else cell for cell in shown)


def _gsmtap(kind: int) -> bytes:
    """Return a header of version 2, four words long; what it says of a radio channel stays 0."""
    return struct.pack("!BBB13x", 2, 4, kind)


def _packet(number: int, payload: bytes) -> bytes:
    """Return *payload* under UDP and IPv4; a UDP checksum of 0 says that there is none (RFC 768)."""
    datagram = struct.pack("!HHHH", GSMTAP_PORT, GSMTAP_PORT, 8 + len(payload), 0) + payload
    size, identification = 20 + len(datagram), number & 0xFFFF
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, size, identification, DONT_FRAGMENT, 64, UDP, 0, LOOPBACK, LOOPBACK)
    return header[:10] + _checksum(header).to_bytes(2, "big") + header[12:] + datagram


def _checksum(header: bytes) -> int:
    """Return the complement of the one's complement sum of all 16-bit words (RFC 791, RFC 1071)."""
    total = sum(int.from_bytes(header[at : at + 2], "big") for at in range(0, len(header), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
