"""The line from one host to a server: bytes go through it both ways until somebody cuts it."""

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, Thread


class Cable:
    """Forwards from a unix socket at *here* to the one at *there*."""

    def __init__(self, here: Path, there: Path) -> None:
        self._here, self._there, self._lock = here, there, Lock()
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None

    def mend(self) -> None:
        """Let new connections through."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._here))
        self._listener.listen(64)
        Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """End all connections and take no other."""
        with self._lock:
            ends, self._open = [*self._open, *([self._listener] if self._listener else [])], []
        self._here.unlink(missing_ok=True)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self._there))
                with self._lock:
                    self._open += (near, far)
                for one, other in ((near, far), (far, near)):
                    Thread(target=_forward, args=(one, other), daemon=True).start()


def _forward(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
    for end in (one, other):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def laid(here: Path, there: Path) -> Iterator[Cable]:
    """Lay a cable, and cut it at the end."""
    cable = Cable(here, there)
    cable.mend()
    try:
        yield cable
    finally:
        cable.cut()
