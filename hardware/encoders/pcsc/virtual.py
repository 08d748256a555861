"""A simulated card behind a virtual reader: `python -m hardware.encoders.pcsc.virtual SOCKET PORT NAME WORLDS OPTIONS`.

The card side of vsmartcard's protocol over TCP: frames of a 2-byte length and a body; a body of one byte is 0 power off, 1
power on, 2 reset or 4 "send your ATR", and anything else a command APDU. A card is in the reader as long as it is connected.
The feeder's commands come over the unix socket SOCKET: see hardware.encoders.pcsc.feeder.
"""

import json
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import Final, Protocol

from hardware.encoders.simulator import open_world
from hardware.sim.world import World

HOST: Final = "127.0.0.1"
AGAIN_SECONDS: Final = 0.05
"""A reader that isn't there, because its pcscd is restarting, is called again after this long."""
FRAME_SECONDS: Final = 5.0
"""A pcscd that is stopped halfway through a frame must not hold up the feeder."""
_OFF, _ON, _RESET, _ATR = b"\0", b"\1", b"\2", b"\4"
_MUTE_AT_RESET: Final = bytes(64)
"""Longer than any ATR: present for the reader's poll, and no answer to its reset."""
_QUICK: Final = 1
_MESSAGE: Final = 1 << 16


class Chip(Protocol):
    """What can be put into a virtual reader; a World is one."""

    def power_on(self) -> bytes:
        """Reset it and return its ATR, which is empty if it is mute."""

    def transmit(self, apdu: bytes) -> bytes | None:
        """Return the answer; None where there is none."""


class Slot:
    """One virtual reader's place for a card."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._chip: Chip | None = None
        self._atr = b""
        self._line: socket.socket | None = None

    @property
    def has_card(self) -> bool:
        """Whether a card is in."""
        return self._chip is not None

    def insert(self, chip: Chip) -> None:
        """Put *chip* in; the reader notices at its next poll."""
        self._chip, self._atr = chip, chip.power_on() or _MUTE_AT_RESET

    def remove(self) -> None:
        """Take the card out, in the middle of a command if need be."""
        self._chip = None
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connection; a card that is still in calls again."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def line(self) -> socket.socket | None:
        """Return the connection to the reader, made now if a card is in and the reader listens."""
        if self._line is None and self._chip is not None:
            try:
                self._line = socket.create_connection((HOST, self._port), 1.0)
            except OSError:
                return None
            self._line.settimeout(FRAME_SECONDS)
            self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._line

    def serve(self) -> None:
        """Answer one frame that has arrived."""
        if self._line is None or self._chip is None:
            return
        try:
            body = _frame(self._line)
            answer = self._answer(self._chip, body) if body else None
            if answer:  # an empty frame would hang the reader
                self._line.sendall(len(answer).to_bytes(2, "big") + answer)
        except (OSError, EOFError):
            self.hang_up()

    def _answer(self, chip: Chip, body: bytes) -> bytes | None:
        if body in (_ON, _RESET):
            self._atr = chip.power_on() or _MUTE_AT_RESET
            return None
        if body == _ATR:
            return self._atr
        return None if body == _OFF else chip.transmit(body)


def _frame(line: socket.socket) -> bytes:
    return _exactly(line, int.from_bytes(_exactly(line, 2), "big"))


def _exactly(line: socket.socket, size: int) -> bytes:
    """Return *size* bytes. They are acknowledged at once: vpcd sends length and body apart, and would wait 40 ms between."""
    found = b""
    while len(found) < size:
        part = line.recv(size - len(found))
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, _QUICK)
        if not part:
            raise EOFError
        found += part
    return found


class Server:
    """Serves a slot's reader, and whoever asks its feeder."""

    def __init__(
        self, slot: Slot, requests: socket.socket, carry_out: Callable[[Mapping[str, str]], Mapping[str, object]]
    ) -> None:
        self._slot, self._requests, self._carry_out = slot, requests, carry_out
        self._selector = DefaultSelector()
        self._selector.register(requests, EVENT_READ, self._accept)
        self._line: socket.socket | None = None

    def run(self) -> None:
        """Serve for ever."""
        while True:
            self.step()

    def step(self) -> None:
        """Wait until something arrives and answer it."""
        if self._line is not None and self._line.fileno() < 0:
            self._selector.unregister(self._line)
            self._line = None
        if self._line is None and (line := self._slot.line()):
            self._selector.register(line, EVENT_READ, self._slot.serve)
            self._line = line
        calls_again = self._line is None and self._slot.has_card
        for key, _events in self._selector.select(AGAIN_SECONDS if calls_again else None):
            key.data()

    def _accept(self) -> None:
        client, _address = self._requests.accept()
        self._selector.register(client, EVENT_READ, partial(self._request, client))

    def _request(self, client: socket.socket) -> None:
        try:
            message = client.recv(_MESSAGE)
            if message:
                client.send(json.dumps(self._carry_out(json.loads(message))).encode())
                return
        except OSError:
            pass
        self._selector.unregister(client)
        client.close()


def feeder(world: World, slot: Slot) -> Callable[[Mapping[str, str]], Mapping[str, object]]:
    """Return what moves the blanks of *world* into *slot* and out of it; a card that a crash left in its station is in.

    Beside feed and eject it pulls a card out of the reader and pushes it back, as a meddling hand would.
    """
    if world.position is not None:
        slot.insert(world)

    def carry_out(request: Mapping[str, str]) -> Mapping[str, object]:
        """Carry out one request and say how things stand then."""
        if (stock := request.get("feed")) and world.feed(stock) is not None:
            slot.insert(world)
        if tray := request.get("eject"):
            slot.remove()
            world.eject(tray)
        if request.get("pull"):
            slot.remove()
        if request.get("push"):
            slot.insert(world)
        return {"position": world.position, "blanks": world.hoppers}

    return carry_out


def listening(path: Path) -> socket.socket:
    """Return a socket that listens at *path*, which isn't there before it does."""
    requests = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    unready = path.with_suffix(".unready")
    requests.bind(str(unready))
    requests.listen()
    unready.rename(path)
    return requests


def main() -> None:
    """Serve the world of one encoder until this process is ended."""
    path, port, name, worlds, options = sys.argv[1:]
    world, _lock = open_world(name, json.loads(options), Path(worlds))
    slot = Slot(int(port))
    with listening(Path(path)) as requests:
        Server(slot, requests, feeder(world, slot)).run()


if __name__ == "__main__":
    main()
