"""One PC/SC reader, through the process that owns it: whatever doesn't answer in time is killed with that process."""

import json
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Final

from hardware.encoders.pcsc import codes
from hardware.errors import LostCard, MuteCard, ReaderError

LARGEST: Final = 1 << 17
"""No answer is longer: an extended response has 65,538 bytes."""
MOST: Final = 15
"""pcscd has room for 16 readers, and many clients fail when all are there."""
GRACE: Final = 5.0
"""Seconds that anything may take beside what the card itself takes."""
SYSTEM: Final = ""
"""No socket named: pcscd's own, /run/pcscd/pcscd.comm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a reader says without being connected to: its *state* in PC/SC's bits, and the ATR of the card in it."""

    name: str
    state: int
    atr: bytes

    @property
    def has_card(self) -> bool:
        """Whether a card is in, mute or not."""
        return bool(self.state & codes.STATE_PRESENT)

    @property
    def is_taken(self) -> bool:
        """Whether a program is connected to the card, alone or not: nobody else can have it exclusively then."""
        return bool(self.state & (codes.STATE_EXCLUSIVE | codes.STATE_INUSE))

    @property
    def is_there(self) -> bool:
        """Whether the reader itself answers."""
        return not self.state & (codes.STATE_UNKNOWN | codes.STATE_UNAVAILABLE)


class Reader:
    """Owns the reader *name* of the pcscd behind *pcscd* (its PCSCLITE_CSOCK_NAME; empty: the system's)."""

    def __init__(self, name: str, pcscd: str = SYSTEM, deadline: float = 30.0) -> None:
        self.name, self._pcscd, self._deadline = name, pcscd, deadline
        self._owner: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def wait(self, *, card: bool, seconds: float) -> Seen:
        """Return what the reader says once a card is in (or out), or after so many *seconds*; raises ReaderError."""
        operand = bytes((card,)) + round(seconds * 1000).to_bytes(4, "big")
        answer = self._ask(b"W", operand, seconds + GRACE)
        return Seen(name=self.name, state=int.from_bytes(answer[:4], "big"), atr=answer[4:])

    def connect(self) -> tuple[int, bytes]:
        """Take the card exclusively; return its protocol and ATR (empty: it doesn't answer to reset). Raises ReaderError."""
        code, answer = self._request(b"C", b"", self._deadline)
        if code in codes.MUTE_AT_RESET:
            return 0, b""
        self._expect(code)
        return answer[0], answer[1:]

    def transmit(self, name: str, apdu: bytes) -> bytes:
        """Return the answer to the command *name*; raises MuteCard after the deadline, LostCard where it was lost."""
        if self._owner is None or self._owner.poll() is not None:
            raise LostCard(f"{name}: the connection to the card was lost before")
        try:
            code, answer = self._request(b"T", apdu, self._deadline)
        except Hanging as hanging:
            raise MuteCard(f"{name}: the card didn't answer within {self._deadline:g} s") from hanging
        except ReaderError as died:
            raise LostCard(f"{name}: {died}") from died
        if code == codes.SUCCESS and answer:
            return answer
        self._leave()
        raise LostCard(f"{name}: {codes.words(code) if code else 'the card was taken out, or died, inside the command'}")

    def disconnect(self) -> bool:
        """Let go of the card and switch it off; return whether that could be done. If not, the owner's death has done it."""
        return self._owner is not None and self._lets_go(b"D")

    def _leave(self) -> None:
        """Let go of a lost card as it is: failing to switch it off, pcscd would take the reader for empty, or full."""
        self._lets_go(b"A")

    def _lets_go(self, how: bytes) -> bool:
        try:
            self._ask(how, b"", GRACE)
        except ReaderError:
            return False
        return True

    def close(self) -> None:
        """Let go of everything at once."""
        if self._requests is not None:
            self._requests.close()
        if self._owner is not None:
            self._owner.kill()
            self._owner.wait()
        self._owner = self._requests = None

    def _ask(self, letter: bytes, operand: bytes, seconds: float) -> bytes:
        code, answer = self._request(letter, operand, seconds)
        self._expect(code)
        return answer

    def _expect(self, code: int) -> None:
        if code:
            self.close()
            raise ReaderError(f"reader {self.name}: {codes.words(code)}")

    def _request(self, letter: bytes, operand: bytes, seconds: float) -> tuple[int, bytes]:
        if self._owner is not None and self._owner.poll() is not None:
            self.close()  # it ends with the thread that started it
        requests = self._requests or self._start()
        requests.settimeout(seconds)
        try:
            requests.send(letter + operand)
            answer = requests.recv(LARGEST)
        except TimeoutError as late:
            self.close()
            raise Hanging(
                f"reader {self.name} hangs: take the card out; if that doesn't help, unplug the reader or restart pcscd"
            ) from late
        except OSError as ended:
            self.close()
            raise ReaderError(f"reader {self.name}: its process ended: {ended}") from ended
        if not answer:
            self.close()
            raise ReaderError(f"reader {self.name}: its process ended")
        return int.from_bytes(answer[:4], "big"), answer[4:]

    def _start(self) -> socket.socket:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pcscd = [f"PCSCLITE_CSOCK_NAME={self._pcscd}"] if self._pcscd else []
        with theirs:
            self._owner = subprocess.Popen(  # noqa: S603 - our own program
                ["setpriv", "--pdeathsig", "KILL", "--", "env", *pcscd, *_owner(theirs.fileno(), self.name)],  # noqa: S607
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return self._requests


class TooManyReaders(ReaderError):  # noqa: N818 - what there are
    """More than a pcscd can be trusted with."""


class Hanging(ReaderError):  # noqa: N818 - what it does
    """Nothing came back in time."""


def _owner(descriptor: int, reader: str) -> list[str]:
    return [sys.executable, "-m", "hardware.encoders.pcsc.owner", str(descriptor), reader]


def readers(pcscd: str = SYSTEM) -> list[Seen]:
    """Return every reader of the pcscd behind *pcscd*; raises ReaderError, also for more than that can be trusted with."""
    anyone = Reader("", pcscd)
    try:
        found = json.loads(anyone._ask(b"L", b"", GRACE))
    finally:
        anyone.close()
    if len(found) > MOST:
        raise TooManyReaders(
            f"pcscd {pcscd} has {len(found)} readers, many clients fail at 16, and it drops the 17th without a word: plug "
            f"at most {MOST} into one machine, or run another pcscd in a container and name its socket in stations.toml"
        )
    return [Seen(name=name, state=state, atr=bytes.fromhex(atr)) for name, state, atr in found]
