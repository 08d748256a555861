"""Cards and off-card entities of the tests that know each other by certificates."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from hardware.certificates import Authority
from hardware.crypto import Curve, ecdh, x963_kdf
from hardware.iso7816 import AID, Command, Response
from hardware.keystores import Agreement, Derivation
from hardware.scp import DeriveKeys, OffCard, Opening, Terms
from hardware.sim import scp11
from hardware.sim.blank import Blank, shipped
from hardware.sim.card import Card
from hardware.sim.certificates import Holder
from hardware.sim.eeprom import Eeprom, Json
from tests.hardware.issuing import SIGNS, TODAY, Key, issue

CARD_CA, HOST_CA = Key("card CA"), Key("host CA")
KVN, CA_KVN, CA_KID = 0x03, 0x04, 0x10
KIDS = {"a": 0x11, "b": 0x13, "c": 0x15}
OPTIONS = {"a": 0x01, "b": 0x00, "c": 0x03}
IDENTIFIERS = 0x04
LEVELS = {"a": (0x11, 0x33), "b": (0x11, 0x33), "c": (0x11, 0x33, 0x03, 0x13)}
USAGES = {0x11: 0x34, 0x33: 0x3C, 0x03: 0x1C, 0x13: 0x74}
SIN, SDIN, HOST_ID, GROUP = b"SIN", b"SDIN-1", b"HOST", b"card"


@cache
def chain(holder: str, curve: Curve, form: str, ca: Key, length: int = 2) -> tuple[bytes, ...]:
    """Return certificates of *holder* under *ca*, its own the last."""
    middle = Key(f"{holder} middle")
    if length == 1:
        return (issue(form, Key(holder, curve), ca),)
    return issue(form, middle, ca, SIGNS), issue(form, Key(holder, curve), middle)


def card_keys(curve: Curve = Curve.P256, form: str = "GlobalPlatform", **changes: Any) -> scp11.Keys:
    """Return what a card has for SCP11; the subject of its certificate is its group."""
    keys = scp11.Keys(
        curve=curve,
        kvn=KVN,
        options=frozenset({0x00, 0x01, 0x03, 0x04, 0x05, 0x07}),
        private=Key("card", curve).private,
        certificates=chain("card", curve, form, CARD_CA),
        group=GROUP,
        ca_kvn=CA_KVN,
        ca_kid=CA_KID,
        ca=Holder(identifier=HOST_CA.identifier, curve=HOST_CA.curve, point=HOST_CA.point),
        allowed=frozenset(),
        today=TODAY,
    )
    return replace(keys, **changes)


def blank(keys: scp11.Keys) -> Blank:
    """Return a kind of blank with *keys* beside its SCP03 key set."""
    return replace(shipped("export-scp03"), ecka=keys)


class Station:
    """A fresh simulated card before the engine's host; answers may be changed on the line."""

    def __init__(self, keys: scp11.Keys, *, identifiers: bool = True, extended: bool = False) -> None:
        values: dict[str, Json] = {"isd/state": "0F", "identity": "00" * 42, "scp/sequence": 0, "scp/failures": 0}
        if identifiers:
            values |= {"isd/data/42": SIN.hex().upper(), "isd/data/45": SDIN.hex().upper()}
        kind = replace(blank(keys), extended_length=extended)
        self.card = Card(kind, Eeprom(values), lambda size: bytes(range(0x80, 0x80 + size)))
        self.sent: list[Command] = []

    def __call__(self, command: Command) -> Response:
        self.sent.append(command)
        return Response.parse(self.card.transmit(bytes(command))[0])


def off_card(curve: Curve = Curve.P256, form: str = "GlobalPlatform", *, size: int = 16, **changes: Any) -> OffCard:
    """Return the off-card entity's part against such a card; *changes* to it, or to the terms."""
    part = OffCard(
        terms=Terms(
            curve=curve,
            key_size=size,
            ca_kvn=CA_KVN,
            ca_kid=CA_KID,
            authorities=(Authority(identifier=CARD_CA.identifier, curve=CARD_CA.curve, point=CARD_CA.point),),
        ),
        seed=bytes(range(1, curve.size + 9)),
        today=TODAY,
        chain=chain("host", curve, form, HOST_CA),
    )
    return changed(part, **changes)


def changed(part: OffCard, **changes: Any) -> OffCard:
    """Return *part* with *changes* to it, or to its terms."""
    own = {name: changes.pop(name) for name in ("seed", "today", "chain") if name in changes}
    return replace(part, terms=replace(part.terms, **changes), **own)


def opening(variant: str, part: OffCard, level: int = 0x33, **changes: Any) -> Opening:
    """Return how to open a channel of *variant*; identifiers are asked for where *part* has a host identifier."""
    how = Opening(
        i=OPTIONS[variant] | (IDENTIFIERS if part.terms.host_id else 0),
        level=level,
        kvn=KVN,
        host_challenge=bytes(16),
        sd_aid=AID(bytes.fromhex("A000000151000000")),
        off_card=part,
    )
    return replace(how, **changes)


def derive(curve: Curve, host: Key | None = None) -> DeriveKeys:
    """Return a key store's work, done with the host's private key."""
    private = (host or Key("host", curve)).private

    def work(kdd: bytes, wanted: Mapping[str, Derivation | Agreement]) -> dict[str, bytes]:
        assert kdd == b""
        return {name: agreed(curve, private, each) for name, each in wanted.items() if isinstance(each, Agreement)}

    return work


def agreed(curve: Curve, private: bytes, agreement: Agreement) -> bytes:
    """Return one session key."""
    secret = agreement.shared + (ecdh(curve, private, agreement.peer) if agreement.peer else b"")
    return x963_kdf(secret, agreement.info, 5 * agreement.size)[agreement.number * agreement.size :][: agreement.size]
