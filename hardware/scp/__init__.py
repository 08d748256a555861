"""Secure channels: one file each, found by its KEY ("SCP02" is hardware.scp.scp02)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from importlib import import_module
from typing import ClassVar, Protocol, TypeAlias, cast

from hardware.certificates import Authority
from hardware.crypto import Curve
from hardware.errors import CardError, PlanError
from hardware.iso7816 import AID, Burst, Command, Dialogue, T
from hardware.keystores import Agreement, Derivation, Wrap

Options: TypeAlias = Mapping[int, frozenset[int]]
"""The levels of each option i."""
DeriveKeys = Callable[[bytes, Mapping[str, Derivation | Agreement]], dict[str, bytes]]
"""Called with the card's ten bytes of diversification data and the session keys wanted; answered by a key store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What both ends of a key agreement (SCP11) know of each other before.

    curve: of all the keys; key_size: bytes of a session key. The card verifies the off-card entity's certificates under
    its CA key of KVN *ca_kvn* and KID *ca_kid*; host_id: sent where option i asks for identifiers. The card is known by a
    certificate that leads to one of *authorities*; or *card_key* is its static public key (with *card_group*, the subject
    of its certificate), and no certificate is asked for.
    """

    curve: Curve
    key_size: int
    ca_kvn: int = 0
    ca_kid: int = 0x10
    host_id: bytes = b""
    authorities: tuple[Authority, ...] = ()
    card_key: bytes = b""
    card_group: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class OffCard:
    """The off-card entity's part in one key agreement under *terms*, on the day *today*.

    seed: curve.size + 8 drawn bytes, for its ephemeral key; chain: its certificates, its own the last, none for SCP11b.
    """

    terms: Terms
    today: date
    seed: bytes = field(repr=False)
    chain: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What one card will say when a script prepared for it begins: its diversification data and its sequence counter."""

    kdd: bytes = b""
    sequence: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How to open a channel: key set *kvn* (0: the card's default), *level* (P1 of EXTERNAL AUTHENTICATE), option *i*.

    *i* None takes what the card says, which SCP02 cards don't; *host_challenge*: 16 drawn bytes, of which most channels send
    the first 8; *sd_aid* is the security domain that is selected; *extended*: the card takes commands of extended length;
    *pad_empty*: it expects padding where an encrypted command has no data; *off_card*: what SCP11 needs beside.
    """

    i: int | None
    level: int
    kvn: int
    host_challenge: bytes
    sd_aid: AID
    extended: bool = False
    pad_empty: bool = False
    off_card: OffCard | None = None

    def challenge(self, size: int) -> bytes:
        """Return the host challenge of *size* bytes; raises ValueError where fewer were drawn."""
        if len(self.host_challenge) < size:
            raise ValueError(f"a host challenge has {size} bytes, not {len(self.host_challenge)}")
        return self.host_challenge[:size]


class SecureChannel(Protocol):
    """An open channel; its session keys don't print."""

    KEY: ClassVar[str]
    OPTIONS: ClassVar[Options]
    """Every i that is built in."""
    WRAP: ClassVar[Wrap]
    """How a DGI is encrypted for this card."""
    AGREES: ClassVar[bool]
    """Whether its keys are agreed on, and an Opening states the off-card entity's part."""

    @classmethod
    def open(cls, opening: Opening, derive: DeriveKeys) -> "Dialogue[SecureChannel]":
        """Authenticate both ends; raises AuthenticationError before EXTERNAL AUTHENTICATE if the card's cryptogram is wrong.

        Raises PlanError for an option or level that isn't built in, ProtocolError for an answer out of specification.
        """

    @classmethod
    def foresee(cls, opening: Opening, derive: DeriveKeys, card: Foreseen) -> bytes:
        """Return the one answer with data that *open* will get from *card*; raises PlanError where the card has a choice."""

    @classmethod
    def room(cls, i: int | None, *, extended: bool) -> int:
        """Return the longest data that one command holds with option *i* (None: any) at every level, short or *extended*.

        Raises PlanError where the channel has no extended commands.
        """

    kdd: bytes
    """The card's ten bytes of diversification data; empty where nothing is diversified."""

    def dek(self) -> Derivation | Agreement:
        """Return how the session's DEK comes from the card's static keys, or from what was agreed."""

    def wrap(self, command: Command) -> Command:
        """Protect one command; commands must be sent in the order in which they were wrapped.

        At a level with R-MAC the wrapped command unwraps its own answer, which carries a MAC then: iso7816.run sees to it,
        also within a burst. Raises PlanError where that makes the command too long: for a short one, unless the channel was
        opened for extended ones.
        """


def channel(key: str) -> type[SecureChannel]:
    """Return the channel named *key*; raises PlanError where there is none."""
    try:
        if not re.fullmatch(r"SCP\d\d", key):
            raise ModuleNotFoundError(key)
        module = import_module(f"hardware.scp.{key.lower()}")
    except ModuleNotFoundError as missing:
        raise PlanError(f"no secure channel {key!r} is built in") from missing
    found = next(kind for kind in vars(module).values() if getattr(kind, "KEY", None) == key)
    return cast("type[SecureChannel]", found)


def secured(dialogue: Dialogue[T], channel: SecureChannel) -> Dialogue[T]:
    """Wrap *dialogue* in *channel*; a Burst is wrapped whole before its first command is sent."""
    try:
        wanted = next(dialogue)
        while True:
            burst: Command | Burst = (
                _wrapped(wanted, channel)
                if isinstance(wanted, Command)
                else tuple(_wrapped(command, channel) for command in wanted)
            )
            try:
                response = yield burst
            except CardError as refusal:
                wanted = dialogue.throw(refusal)
            else:
                wanted = dialogue.send(response)
    except StopIteration as end:
        result: T = end.value
        return result


def _wrapped(command: Command, channel: SecureChannel) -> Command:
    return replace(channel.wrap(command), plain=command)
