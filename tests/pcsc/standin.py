"""A stand-in for the process that owns a reader: `python -m tests.pcsc.standin CODE REQUEST FD READER`.

It answers CODE to every request that begins with REQUEST (hex; of a command the second byte counts, its INS), and behind the
code what another card may have left in the buffer. All else the real one does.
"""

import socket
import sys
from typing import Final

from hardware.encoders.pcsc.owner import LARGEST, Owner

LEFT: Final = b"LEFT BY ANOTHER CARD"


def main() -> None:
    """Serve until the other end closes."""
    code, wrong, descriptor, reader = sys.argv[1:]
    owner, answer = Owner(reader), int(code, 16).to_bytes(4, "big")
    letter, ins = wrong[:1].encode(), bytes.fromhex(wrong[1:])
    with socket.socket(fileno=int(descriptor)) as requests:
        while request := requests.recv(LARGEST):
            if request[:1] == letter and request[2:3] == (ins or request[2:3]):
                requests.send(answer + LEFT + b"\x90\x00")
            else:
                requests.send(owner.answer(request))


if __name__ == "__main__":
    main()
