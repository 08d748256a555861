"""A T=0 card behind a virtual reader, in a process of its own: `python -m tests.pcsc.t0chip SOCKET PORT`.

It answers GET DATA 9F7F with 6Cxx until the length is right, and every SELECT with 61xx.
"""

import sys
from pathlib import Path

from hardware.encoders.pcsc.virtual import Server, Slot, listening

ATR = bytes.fromhex("3B6500002063CB6800")
CPLC = bytes.fromhex("9F7F02ABCD")
FCI = bytes(range(200))


class T0Chip:
    """Answers as ISO/IEC 7816-3 section 10.3.3 wants it from a T=0 card."""

    def power_on(self) -> bytes:
        """Return the ATR."""
        return ATR

    def transmit(self, apdu: bytes) -> bytes | None:
        """Return the answer to one command of at least five bytes."""
        match apdu[1], apdu[4]:
            case 0xA4, length if len(apdu) == 5 + length:
                return bytes((0x61, len(FCI)))
            case 0xC0, length:
                return FCI[:length] + b"\x90\x00"
            case 0xCA, length:
                return CPLC + b"\x90\x00" if length == len(CPLC) else bytes((0x6C, len(CPLC)))
            case _:
                return b"\x67\x00"


def main() -> None:
    """Serve for ever, with the card in."""
    path, port = sys.argv[1:]
    slot = Slot(int(port))
    slot.insert(T0Chip())
    with listening(Path(path)) as requests:
        Server(slot, requests, lambda _request: {}).run()


if __name__ == "__main__":
    main()
