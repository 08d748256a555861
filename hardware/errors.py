"""What can go wrong between the engine and a card; every message says who failed, doing what, and what to do."""

from typing import Final

STATUS_WORDS: Final = {
    0x6200: "warning, no information given",
    0x6283: "selected application is locked",
    0x6300: "authentication of the host cryptogram failed",
    0x6400: "no specific diagnosis",
    0x6581: "memory failure",
    0x6700: "wrong length",
    0x6881: "logical channel not supported or not active",
    0x6882: "secure messaging not supported",
    0x6982: "security status not satisfied",
    0x6983: "authentication method blocked",
    0x6985: "conditions of use not satisfied",
    0x6988: "incorrect secure messaging data",
    0x6999: "application selection failed",
    0x6A80: "incorrect data",
    0x6A81: "function not supported",
    0x6A82: "application or file not found",
    0x6A83: "record not found",
    0x6A84: "not enough memory",
    0x6A86: "incorrect P1 P2",
    0x6A88: "referenced data not found",
    0x6B00: "wrong parameters P1 P2",
    0x6D00: "instruction not supported",
    0x6E00: "class not supported",
    0x9484: "algorithm not supported",
    0x9485: "invalid key check value",
}


class HardwareError(Exception):
    """Base of everything that hardware raises on purpose."""


class CardError(HardwareError):
    """The card answered *command* with status word *sw*, which the command doesn't accept."""

    def __init__(self, command: str, sw: int) -> None:
        super().__init__(command, sw)
        self.command, self.sw = command, sw

    def __str__(self) -> str:
        meaning = STATUS_WORDS.get(self.sw, "see the card's manual")
        return f"{self.command}: {self.sw:04X} {meaning}"


class AuthenticationError(HardwareError):
    """The two ends don't hold the same keys; a *refused* one has spent a try of the card's retry counter."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class ProtocolError(HardwareError):
    """The card's answer isn't what the specification gives, so nothing more can be said to it."""


class PlanError(HardwareError):
    """The order can't be carried out on this card product; raised before anything is written."""


class KeyStoreError(HardwareError):
    """The key store can't do it: wrong passphrase, unknown key, damaged file."""


class ReadBackError(HardwareError):
    """What the card gives back isn't what was written to it."""


class EncoderBusy(HardwareError):  # noqa: N818 - what the floor calls it
    """Another process drives this machine."""


class ReaderError(HardwareError):
    """The reader, what feeds it or pcscd fails; no command was sent. The message says what it waits for."""


class WrongCard(HardwareError):  # noqa: N818 - what was fed
    """Another card than the product's; nothing was sent to it."""


class LostCard(HardwareError):  # noqa: N818 - the state of the plastic, as the floor calls it
    """The answer to a command is lost, so nobody knows whether the card carried it out."""


class MuteCard(LostCard):
    """The card never answered."""
