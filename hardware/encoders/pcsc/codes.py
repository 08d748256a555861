"""What PC/SC answers instead of success, in words; the numbers are winscard's and the same everywhere."""

from typing import Final

SUCCESS: Final = 0
NO_CARD: Final = 0x8010000C
UNRESPONSIVE: Final = 0x80100066
UNPOWERED: Final = 0x80100067
MUTE_AT_RESET: Final = (UNRESPONSIVE, UNPOWERED)

STATE_UNKNOWN: Final = 0x0004
STATE_UNAVAILABLE: Final = 0x0008
STATE_PRESENT: Final = 0x0020
STATE_EXCLUSIVE: Final = 0x0080
STATE_INUSE: Final = 0x0100

T0: Final = 1
T1: Final = 2
NAMES: Final = {T0: "T=0", T1: "T=1"}

_RESTART: Final = "start pcscd again; the encoder then goes on by itself"
_PLUG: Final = "plug it in, or correct its name in stations.toml (see `bureau readers`)"
_WORDS: Final = {
    0x80100003: f"pcscd has forgotten this connection: {_RESTART}",
    0x80100009: f"there is no such reader: {_PLUG}",
    0x8010000B: "another program holds the reader: end that program",
    NO_CARD: "no card is in the reader",
    0x8010000F: "the card speaks neither T=0 nor T=1, or its answer to reset is nonsense",
    0x80100013: f"pcscd ended: {_RESTART}",
    0x80100016: "the card was taken out, or the exchange with it was cut",
    0x80100017: f"the reader was unplugged: {_PLUG}",
    0x8010001D: f"pcscd isn't running: {_RESTART}",
    0x8010001E: f"pcscd has stopped: {_RESTART}",
    0x8010002E: f"pcscd has no reader: {_PLUG}",
    UNRESPONSIVE: "the card doesn't answer to reset",
    UNPOWERED: "the card doesn't answer to reset",
    0x80100068: "another program has reset the card",
    0x80100069: "the card was taken out",
}


def words(code: int) -> str:
    """Return what *code* means and what to do, with its number."""
    return f"{_WORDS.get(code, 'see the PC/SC codes')} ({code:08X})"
