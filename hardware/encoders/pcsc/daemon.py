"""A private pcscd with virtual readers, in mount and network namespaces of its own: nothing else on the machine sees it.

Its socket directory is fixed, so a folder of this run is bound over /run/pcscd inside the namespace; and vpcd listens on
every address, so the namespace has no network but its own loopback. Needs root.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Final

from hardware.encoders.pcsc.reader import TooManyReaders, readers
from hardware.errors import ReaderError

MOST: Final = 14
"""Virtual readers come in pairs, and one pcscd should have 15 at most."""
LIBRARY: Final = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
START_SECONDS: Final = 10.0
TICK: Final = 0.02
_PORT: Final = 0x8C7B
_ENTRY: Final = 'FRIENDLYNAME "Virtual {number}"\nDEVICENAME /dev/null:{port:#x}\nLIBPATH {library}\nCHANNELID {port:#x}\n'
_NAMESPACE: Final = (
    "mount -t tmpfs none /run && mkdir /run/pcscd && mount --bind . /run/pcscd && ip link set lo up && "
    "echo ready && exec cat"
)
_END_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL", "--")


def missing() -> str | None:
    """Return what this machine lacks for a private pcscd, None if nothing."""
    if os.geteuid():
        return "virtual readers need root: their pcscd runs in namespaces of its own"
    programs = [each for each in ("pcscd", "unshare", "nsenter", "setpriv", "ip") if not shutil.which(each)]
    if programs or not LIBRARY.exists():
        return "virtual readers need two packages: apt-get install pcscd vsmartcard-vpcd"
    tried = subprocess.run([*_unshare(), "true"], capture_output=True, text=True, check=False)  # noqa: S603 - words of our own
    return (
        f"virtual readers need namespaces, which this machine refuses: {tried.stderr.strip()}" if tried.returncode else None
    )


def _unshare() -> list[str]:
    """Return the words that run a command in mount and network namespaces of its own, none of whose mounts leave it.

    By default unshare makes / private first, which can't be done where / is no mount point, in a chroot; and needn't be
    where no mount is shared.
    """
    shared = any(" shared:" in line for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return ["unshare", "--mount", "--net", *(() if shared else ("--propagation", "unchanged"))]


class Daemon:
    """A pcscd with an even number of virtual readers; what it needs is in the folder *run*, whose path is short.

    driver: the library that drives them, which may be another than vsmartcard's in front of it.
    """

    def __init__(self, run: Path, readers: int, driver: Path = LIBRARY) -> None:
        if not 0 < readers <= MOST:
            raise ReaderError(f"one pcscd has room for {MOST} virtual readers, not {readers}: start another for the rest")
        self._run, self._entries, self._driver = run, (readers + 1) // 2, driver
        self._processes: list[subprocess.Popen[bytes]] = []
        self._namespace: subprocess.Popen[bytes] | None = None
        self._pcscd: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> str:
        """What clients name in PCSCLITE_CSOCK_NAME."""
        return str(self._run / "socket" / "pcscd.comm")

    def reader(self, number: int) -> str:
        """Return the name of reader *number*, counted from 1."""
        entry, slot = divmod(number - 1, 2)
        return f"Virtual {entry + 1} 00 {slot:02X}"

    def library(self, number: int) -> Path:
        """Return the copy of the driver for the pair of readers *number*, counted from 1."""
        return self._run / "lib" / f"{number}.so"

    def prepare(self) -> None:
        """Make the namespaces, and the configuration: an entry for each two readers, with a library of its own.

        Entries that share a library would share its state, and mix up their cards. Raises ReaderError.
        """
        for folder in ("socket", "conf", "lib"):
            (self._run / folder).mkdir()
        entries = []
        for number in range(1, self._entries + 1):
            library = shutil.copy(self._driver, self.library(number))
            entries.append(_ENTRY.format(number=number, port=port(2 * number - 1), library=library))
        (self._run / "conf" / "virtual").write_text("\n".join(entries))
        self._namespace = self._start(*_unshare(), "sh", "-c", _NAMESPACE, cwd=self._run / "socket", stdin=PIPE, stdout=PIPE)
        if not self._namespace.stdout or self._namespace.stdout.readline() != b"ready\n":
            raise ReaderError(f"the namespaces of virtual readers couldn't be made: {self._said()}")

    def start(self, *, bare: bool = False) -> None:
        """Start pcscd and wait until its readers are there, unless it is *bare* of them; raises ReaderError."""
        for left in ("pcscd.comm", "pcscd.pid"):
            (self._run / "socket" / left).unlink(missing_ok=True)
        pcscd = self._inside(
            "--mount", "--root", "--net", "--", "pcscd", "--foreground", "--config", str(self._run / "conf")
        )
        self._pcscd = pcscd
        self._until(Path(self.socket).exists, pcscd, "pcscd didn't start")
        if not bare:
            self._until(self._has_readers, pcscd, "pcscd lacks readers")

    def signal(self, number: int) -> None:
        """Send pcscd a signal."""
        if self._pcscd is not None:
            self._pcscd.send_signal(number)

    def kill(self) -> None:
        """Kill pcscd as a crash would."""
        if self._pcscd is not None:
            self._pcscd.kill()
            self._pcscd.wait()

    def put(self, number: int, name: str, worlds: Path, options: Mapping[str, object]) -> str:
        """Put the world of encoder *name*, with a simulator's *options*, behind reader *number*; return its feeder."""
        path = self._run / f"{number}.feeder"
        module = "hardware.encoders.pcsc.virtual"
        cards = self.run(module, str(path), str(port(number)), name, str(worlds), json.dumps(options))
        self._until(path.exists, cards, f"the cards of {name} didn't start")
        return str(path)

    def run(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Run a module where it reaches the readers' ports; it ends when the daemon does."""
        return self._inside("--net", "--", sys.executable, "-m", module, *arguments)

    def close(self) -> None:
        """End everything."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()
            for end in (process.stdin, process.stdout):
                if end:
                    end.close()

    def _has_readers(self) -> bool:
        try:
            return len(readers(self.socket)) == 2 * self._entries
        except TooManyReaders:
            raise
        except ReaderError:  # its socket is there before it listens
            return False

    def _until(self, done: Callable[[], bool], process: subprocess.Popen[bytes], failure: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not done():
            if process.poll() is not None or time.monotonic() > deadline:
                raise ReaderError(f"{failure}: {self._said()}")
            time.sleep(TICK)

    def _said(self) -> str:
        """Return the last line of what our processes had to say."""
        lines = (self._run / "log").read_text("utf-8", "replace").splitlines()
        return lines[-1] if lines else "nothing was said why"

    def _inside(self, *arguments: str) -> subprocess.Popen[bytes]:
        target = self._namespace.pid if self._namespace else 0
        return self._start("nsenter", "--target", str(target), *arguments)

    def _start(
        self, *command: str, cwd: Path | None = None, stdin: int = DEVNULL, stdout: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process that ends with us, deaf to the terminal's Ctrl-C."""
        with (self._run / "log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own programs
                [*_END_WITH_US, *command], cwd=cwd, stdin=stdin, stdout=stdout or log, stderr=log, start_new_session=True
            )
        self._processes.append(process)
        return process


@contextmanager
def private(count: int, driver: Path = LIBRARY) -> Iterator[Daemon]:
    """Yield a running pcscd with *count* virtual readers (or one more); raises ReaderError where that can't be had."""
    if lack := missing():
        raise ReaderError(lack)
    folder = tempfile.TemporaryDirectory(prefix="bureau-pcsc-", ignore_cleanup_errors=True)
    with folder as run, closing(Daemon(Path(run), count, driver)) as daemon:
        daemon.prepare()
        daemon.start()
        yield daemon


def port(number: int) -> int:
    """Return the port on which the card of reader *number* has to call."""
    return _PORT + number - 1
