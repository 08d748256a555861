"""What can happen to a card, its reader and its pcscd: how each fault begins, and how its cause goes away."""

from collections.abc import Callable
from dataclasses import dataclass
from signal import SIGCONT, SIGSTOP
from threading import Timer
from typing import Final

from hardware.encoders.pcsc import reader
from tests.pcsc import driver
from tests.pcsc.scene import Scene

Act = Callable[[Scene], object]
_OWNER: Final = reader._owner
_GRACE: Final = reader.GRACE


def nothing(_scene: Scene) -> None:
    """Do nothing: the cause goes away with the card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens, in words and in deed; *defect*: how the first plastic left the factory, {at} being a command's place."""

    words: str
    begin: Act = nothing
    end: Act = nothing
    defect: str = ""


def known(fault: Fault) -> Fault:
    """Return *fault* once pcscd has noticed it."""

    def begin(scene: Scene) -> None:
        fault.begin(scene)
        scene.noticed()

    return Fault(words=f"{fault.words}, as pcscd knows", begin=begin, end=fault.end)


def ailing(word: str) -> Act:
    """Return what lets the reader ail so; see ifd.c."""
    return lambda scene: driver.ail(scene.daemon, word)


def mended(scene: Scene) -> None:
    """Let the reader be well."""
    driver.mend(scene.daemon)


def _vanish(scene: Scene) -> None:
    """Restart pcscd, which finds no reader."""
    driver.ail(scene.daemon, "unplugged")
    scene.daemon.kill()
    scene.daemon.start(bare=True)


def _appear(scene: Scene) -> None:
    """Restart pcscd, which finds the reader."""
    driver.mend(scene.daemon)
    scene.daemon.kill()
    scene.daemon.start()


def _stop(scene: Scene) -> None:
    """Stop pcscd, and lose patience soon."""
    scene.deadline(0.3)
    scene.patch.setattr(reader, "GRACE", 0.3)
    scene.daemon.signal(SIGSTOP)


def _continue(scene: Scene) -> None:
    """Let pcscd go on."""
    scene.patch.setattr(reader, "GRACE", _GRACE)
    scene.deadline(10.0)
    scene.daemon.signal(SIGCONT)


def _swap(scene: Scene) -> None:
    """Pull the card out and push it back before pcscd looks."""
    scene.pull()
    scene.push()


def intruding(share: str, *transaction: str) -> Act:
    """Return what lets another program connect first."""

    def act(scene: Scene) -> None:
        assert scene.intrude(share, *transaction) == "00000000"

    return act


def standing_in(code: int, request: str) -> Fault:
    """Return the fault that the reader's process answers *request* with *code*, from its start on; see standin.py."""

    def stand_in(descriptor: int, name: str) -> list[str]:
        return [_OWNER(descriptor, name)[0], "-m", "tests.pcsc.standin", f"{code:08X}", request, str(descriptor), name]

    def end(scene: Scene) -> None:
        scene.patch.setattr(reader, "_owner", _OWNER)
        scene.machine._reader.close()

    return Fault(words=f"{code:08X}", begin=lambda scene: scene.patch.setattr(reader, "_owner", stand_in), end=end)


REMOVED: Final = Fault(words="card removed", begin=Scene.pull)
REMOVED_AT_LAST: Final = Fault(words="card removed at last", begin=lambda scene: scene.at("GET STATUS", Scene.pull))
SWAPPED: Final = Fault(words="card swapped", begin=_swap)
DYING: Final = Fault(words="card dies inside", begin=lambda scene: Timer(0.1, scene.pull).start(), defect="mute_at = {at}")
SILENT: Final = Fault(
    words="card falls silent",
    begin=lambda scene: scene.deadline(0.3),
    end=lambda scene: scene.deadline(10.0),
    defect="mute_at = {at}",
)
DEAD: Final = Fault(words="card mute", defect="dead = true")
NONSENSE: Final = Fault(words="ATR breaks off", begin=ailing("nonsense"), end=mended)
FOREIGN: Final = Fault(words="ATR of T=14", begin=ailing("foreign"), end=mended)
CUT: Final = Fault(words="communication error", begin=ailing("cut"), end=mended)
BLIND: Final = Fault(words="failed presence query", begin=ailing("blind"), end=mended)
UNPLUGGED: Final = Fault(words="reader unplugged", begin=ailing("unplugged"), end=mended)
GONE: Final = Fault(words="reader gone from pcscd's list", begin=_vanish, end=_appear)
ALONE: Final = Fault(words="another program, alone", begin=intruding("EXCLUSIVE"), end=Scene.leave)
TRANSACTION: Final = Fault(words="another's transaction", begin=intruding("SHARED", "transaction"), end=Scene.leave)
KILLED: Final = Fault(words="pcscd killed", begin=lambda scene: scene.daemon.kill(), end=lambda scene: scene.daemon.start())
STOPPED: Final = Fault(words="pcscd stopped", begin=_stop, end=_continue)
