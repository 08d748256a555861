"""The process that owns one reader, and the only one that loads pyscard: `python -m hardware.encoders.pcsc.owner FD READER`.

A card that falls silent inside a command hangs every call to its reader, and nothing in PC/SC ends such a call; this process
can be killed. It carries out one request at a time from the socket FD: a letter and its operand. It answers with the code of
PC/SC, 4 bytes, and what was asked for; with an error nothing else, for pyscard returns memory then that nobody wrote to.
"""

import json
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

from smartcard import scard

LARGEST: Final = 1 << 17
"""No message is longer: an extended APDU has 65,544 bytes."""
_CHANGED: Final = 0x0002
_UNAWARE: Final = 0
_PRESENT: Final = 0x0020
_TAKEN: Final = scard.SCARD_STATE_EXCLUSIVE | scard.SCARD_STATE_INUSE
_32_BITS: Final = 0xFFFFFFFF
SUCCESS: Final = scard.SCARD_S_SUCCESS

Answer = tuple[int, bytes]


class Owner:
    """One reader: its context, and the card that it is connected to."""

    def __init__(self, reader: str) -> None:
        self._reader = reader
        self._context: int | None = None
        self._card: int | None = None
        self._protocol = 0

    def answer(self, request: bytes) -> bytes:
        """Carry out one request."""
        requests: Mapping[bytes, Callable[[bytes], Answer]] = {
            b"L": self._list,
            b"W": self._wait,
            b"C": self._connect,
            b"T": self._transmit,
            b"D": self._disconnect,
            b"A": self._leave,
        }
        code, payload = self._establish()
        if code == SUCCESS:
            code, payload = requests[request[:1]](request[1:])
        told: bytes = (code & _32_BITS).to_bytes(4, "big")
        return told + payload if code == SUCCESS else told

    def _establish(self) -> Answer:
        if self._context is not None:
            return SUCCESS, b""
        code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
        self._context = context if code == SUCCESS else None
        return code, b""

    def _list(self, _operand: bytes) -> Answer:
        """Return each reader's name, state and ATR as JSON."""
        code, names = scard.SCardListReaders(self._context, [])
        if code != SUCCESS:
            return code, b""
        code, states = scard.SCardGetStatusChange(self._context, 0, [(name, _UNAWARE) for name in names])
        return code, json.dumps([[name, state, bytes(atr).hex()] for name, state, atr in states]).encode()

    def _wait(self, operand: bytes) -> Answer:
        """Wait until a card is in (operand 1) or out (0), so many milliseconds at most; return state and ATR."""
        wanted, milliseconds = bool(operand[0]), int.from_bytes(operand[1:], "big")
        until, known = time.monotonic() + milliseconds / 1000, _UNAWARE
        while True:
            left = max(0, round((until - time.monotonic()) * 1000))
            code, states = scard.SCardGetStatusChange(self._context, left, [(self._reader, known)])
            if code not in (SUCCESS, scard.SCARD_E_TIMEOUT):
                return code, b""
            _name, state, atr = states[0]
            known = state & ~_CHANGED
            if bool(state & _PRESENT) is wanted or not left:
                return SUCCESS, (state & _32_BITS).to_bytes(4, "big") + bytes(atr)

    def _connect(self, _operand: bytes) -> Answer:
        """Take the card exclusively; return the protocol and the ATR.

        Not where another program is connected: while it is in a transaction, pcscd would let us wait without an end.
        """
        self._disconnect(b"")
        code, states = scard.SCardGetStatusChange(self._context, 0, [(self._reader, _UNAWARE)])
        if code == SUCCESS and states[0][1] & _TAKEN:
            return scard.SCARD_E_SHARING_VIOLATION, b""
        either = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        code, card, protocol = scard.SCardConnect(self._context, self._reader, scard.SCARD_SHARE_EXCLUSIVE, either)
        if code != SUCCESS:
            return code, b""
        self._card, self._protocol = card, protocol
        code, _reader, _state, protocol, atr = scard.SCardStatus(card)
        if code != SUCCESS:
            self._leave(b"")
        return code, bytes((protocol,)) + bytes(atr)

    def _transmit(self, apdu: bytes) -> Answer:
        """Return the card's answer, which is empty where it died inside the command."""
        if self._card is None:
            return scard.SCARD_E_INVALID_HANDLE, b""
        pci = scard.SCARD_PCI_T0 if self._protocol == scard.SCARD_PROTOCOL_T0 else scard.SCARD_PCI_T1
        code, answer = scard.SCardTransmit(self._card, pci, list(apdu))
        return (code, bytes(answer)) if code == SUCCESS else (code, b"")

    def _disconnect(self, _operand: bytes) -> Answer:
        """Let go of the card and switch it off."""
        return self._let_go(scard.SCARD_UNPOWER_CARD)

    def _leave(self, _operand: bytes) -> Answer:
        """Let go of the card as it is."""
        return self._let_go(scard.SCARD_LEAVE_CARD)

    def _let_go(self, disposition: int) -> Answer:
        if self._card is not None:
            scard.SCardDisconnect(self._card, disposition)
            self._card = None
        return SUCCESS, b""


def main() -> None:
    """Serve until the other end closes."""
    descriptor, reader = sys.argv[1:]
    owner = Owner(reader)
    with socket.socket(fileno=int(descriptor)) as requests:
        while request := requests.recv(LARGEST):
            requests.send(owner.answer(request))


if __name__ == "__main__":
    main()
