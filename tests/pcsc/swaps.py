"""A virtual reader whose card a hand can swap for the next blank between two polls: `python -m tests.pcsc.swaps`.

The words behind it, and all else, are those of hardware.encoders.pcsc.virtual. The line to the reader stays and the new chip
is powered, so pcscd notices nothing: the old handle talks to the new chip.
"""

import json
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from hardware.encoders.pcsc.virtual import Server, Slot, feeder
from hardware.encoders.simulator import open_world


def main() -> None:
    """Serve the world of one encoder until this process is ended."""
    path, port, name, worlds, options = sys.argv[1:]
    world, _lock = open_world(name, json.loads(options), Path(worlds))
    slot = Slot(int(port))
    as_ever = feeder(world, slot)

    def carry_out(request: Mapping[str, str]) -> Mapping[str, object]:
        """Carry out one request, which may be to swap the card for the next blank of a stock."""
        if stock := request.get("swap"):
            world.eject("returned")
            world.feed(stock)
            world.power_on()
        return as_ever(request)

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as requests:
        requests.bind(path)
        requests.listen()
        Server(slot, requests, carry_out).run()


if __name__ == "__main__":
    main()
