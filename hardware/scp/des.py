"""3DES secure messaging, as SCP01 and SCP02 share it (GPCS 2.1.1 appendix D, GPCS appendix E)."""

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar

from hardware.crypto import DES_BLOCK
from hardware.errors import PlanError
from hardware.iso7816 import Command
from hardware.scp.initiation import C_DECRYPTION, C_MAC, header, longest


@dataclass(slots=True, kw_only=True, eq=False)
class DesSession:
    """The host's end of an opened channel; *enc* and *mac* are its session keys, *i* its option."""

    KEY: ClassVar[str]

    level: int
    i: int
    kdd: bytes
    enc: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    _last: bytes = field(default=b"", init=False, repr=False)
    """C-MAC of the command before; empty ahead of the first."""

    @classmethod
    def room(cls, i: int | None, *, extended: bool) -> int:  # noqa: ARG003 - the port
        """Return the longest data that one command holds at every level; raises PlanError where it should be *extended*.

        Lc is under the C-MAC, and it isn't said how an extended one is coded there: with C-DECRYPTION it is that of the
        plaintext, which may fit one byte where the Lc that is sent doesn't. No implementation at hand has it.
        """
        if extended:
            raise PlanError(f"{cls.KEY} with commands of extended length isn't built in")
        return longest(DES_BLOCK, DES_BLOCK)

    def wrap(self, command: Command) -> Command:
        """Protect one command as the level says; raises PlanError where it doesn't fit a short one."""
        return self.protect(command, encrypt=bool(self.level & C_DECRYPTION)) if self.level & C_MAC else command

    def protect(self, command: Command, *, encrypt: bool = False) -> Command:
        """Give *command* its C-MAC, and encrypt its data."""
        plain = data = command.data
        if encrypt and plain:
            data = self._encipher(plain)
        secure = header(command, len(data) + DES_BLOCK)
        # The MAC is over the plaintext, whose length its header states.
        self._last = self._mac_over(command, secure[:4] + bytes((len(plain) + DES_BLOCK,)) + plain)
        return replace(command, cla=secure[0], data=data + self._last)

    @abstractmethod
    def _encipher(self, plain: bytes) -> bytes:
        """Pad and encrypt command data."""

    @abstractmethod
    def _mac_over(self, command: Command, modified: bytes) -> bytes:
        """Return the C-MAC of *command*, whose header and data with secure messaging are *modified*."""
