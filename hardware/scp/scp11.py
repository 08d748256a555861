"""SCP11 a, b and c on P-256, P-384 and brainpoolP256r1 with AES-128, 192 or 256 (GPC Amendment F)."""

from dataclasses import dataclass, field, replace
from hmac import compare_digest
from typing import ClassVar, Final

from hardware.certificates import GLOBALPLATFORM, split, verified
from hardware.crypto import AES_BLOCK, cmac, ec_private, ec_public, ecdh
from hardware.errors import AuthenticationError, CardError, PlanError, ProtocolError
from hardware.iso7816 import Command, Dialogue
from hardware.keystores import Agreement, Wrap
from hardware.scp import DeriveKeys, Foreseen, OffCard, Opening, Options
from hardware.scp.initiation import EXTENDED, SHORT, longest, refuse_unsupported
from hardware.scp.messaging import AesSession
from hardware.tlv import find, lv, tlv
from hardware.tlv import parse as tlvs

MUTUAL, SCRIPT, IDENTIFIERS = 0x01, 0x02, 0x04
"""Bits of i, which tag 90 states: both ends authenticate (a, c); for a group of cards (c); identifiers of both."""
USAGE: Final = {0x11: 0x34, 0x33: 0x3C, 0x03: 0x1C, 0x13: 0x74}
"""Key usage qualifier (tag 95) of each security level; the last two are for SCP11c only (Amendment F table B-1)."""
AES: Final = 0x88
"""Key type (tag 80)."""
RECEIPT: Final = 16
PUT_KEY, DELETE, SET_STATUS = 0xD8, 0xE4, 0xF0
KEY_TAGS: Final = {0xD0, 0xD2}
"""What DELETE names keys by (GPCS 11.2.2.3)."""


@dataclass(slots=True, kw_only=True, eq=False)
class Scp11(AesSession):
    """An SCP11 session; the protection of its commands and answers is SCP03's in S8 mode."""

    KEY: ClassVar[str] = "SCP11"
    WRAP: ClassVar[Wrap] = Wrap.AES_CBC
    AGREES: ClassVar[bool] = True
    OPTIONS: ClassVar[Options] = {
        variant | identifiers: frozenset(USAGE if variant & SCRIPT else {0x11, 0x33})
        for variant in (0x00, MUTUAL, MUTUAL | SCRIPT)
        for identifiers in (0x00, IDENTIFIERS)
    }

    kdd: bytes = b""
    is_script: bool
    session_dek: Agreement = field(repr=False)

    @classmethod
    def open(cls, opening: Opening, derive: DeriveKeys) -> Dialogue["Scp11"]:
        """Agree on the session keys; nothing more is sent if the card's certificates or its receipt don't verify.

        No command is sent for a card that nothing is known of to trust it by: PlanError.
        """
        opening, i, off_card = _supported(opening)
        card_key, card_group = yield from _card_key(opening, i, off_card)
        identifiers = (yield from _identifiers(i, card_group)) if i & IDENTIFIERS else b""
        if i & MUTUAL:
            yield from _introduce(opening, off_card)
        request = _request(opening, i, off_card)
        answer = yield from _authenticate(opening, i, request)
        point, receipt = _parsed(answer)
        agreements = _agreements(opening, i, off_card, card_key, point, identifiers)
        keys = derive(b"", dict(zip(("receipt", "enc", "mac", "rmac"), agreements, strict=False)))
        if not compare_digest(receipt, cmac(keys["receipt"], request + tlv(0x5F49, point))):
            raise AuthenticationError(f"the card's receipt does not verify: {_tried(opening, i)}")
        return cls(
            level=opening.level,
            chaining=receipt,
            extended=opening.extended,
            pad_empty=opening.pad_empty,
            is_script=bool(i & SCRIPT),
            enc=keys["enc"],
            mac=keys["mac"],
            rmac=keys["rmac"],
            session_dek=agreements[4],
        )

    @classmethod
    def foresee(cls, opening: Opening, derive: DeriveKeys, card: Foreseen) -> bytes:  # noqa: ARG003 - the port
        """Return the answer to MUTUAL AUTHENTICATE, the same on every card of a group; raises PlanError but for SCP11c.

        The static key of the group must be known, and its identifier where it is asked for.
        """
        opening, i, off_card = _supported(opening)
        terms = off_card.terms
        if not i & SCRIPT or not terms.card_key or (i & IDENTIFIERS and not terms.card_group):
            raise PlanError("SCP11 can be foreseen as SCP11c only, for a group of cards whose key is known")
        identifiers = lv(terms.card_group) if i & IDENTIFIERS else b""
        receipt_key = _agreements(opening, i, off_card, terms.card_key, terms.card_key, identifiers)[0]
        own = tlv(0x5F49, terms.card_key)
        receipt = cmac(derive(b"", {"receipt": receipt_key})["receipt"], _request(opening, i, off_card) + own)
        return own + tlv(0x86, receipt)

    @classmethod
    def room(cls, i: int | None, *, extended: bool) -> int:  # noqa: ARG003 - the port
        """Return the longest data that one command holds at every level, short or *extended*."""
        return longest(AES_BLOCK, 8, extended=extended)

    def dek(self) -> Agreement:
        """Return that the DEK is a session key."""
        return self.session_dek

    def wrap(self, command: Command) -> Command:
        """Protect one command; raises PlanError also for what is never allowed over SCP11c, as a script may be replayed."""
        if self.is_script and _changes_keys_or_states(command):
            raise PlanError(f"{command.name} is never allowed over SCP11c")
        return AesSession.wrap(self, command)


def _supported(opening: Opening) -> tuple[Opening, int, OffCard]:
    """Return the opening at a level that the option has, option and off-card part; raises PlanError for what isn't there.

    The level is the lowest with all the protection that is asked for: over SCP11a and b answers are always protected too.
    """
    i, off_card = opening.i, opening.off_card
    if i is None or off_card is None:
        raise PlanError("SCP11 needs its option i and the off-card entity's part stated: no card says them")
    enough = (
        level for level in sorted(Scp11.OPTIONS.get(i, ())) if opening.level and level & opening.level == opening.level
    )
    opening = replace(opening, level=next(enough, opening.level))
    refuse_unsupported(Scp11.KEY, i, opening.level, Scp11.OPTIONS)
    if off_card.terms.key_size not in (16, 24, 32):
        raise PlanError(f"an AES session key has 16, 24 or 32 bytes, not {off_card.terms.key_size}")
    if bool(off_card.terms.host_id) != bool(i & IDENTIFIERS):
        raise PlanError(f"SCP11 i={i:02X} {'needs' if i & IDENTIFIERS else 'takes no'} host identifier")
    if i & MUTUAL and not off_card.chain:
        raise PlanError(f"SCP11 i={i:02X} needs the certificates of the off-card entity")
    if not off_card.terms.authorities and not off_card.terms.card_key:
        raise PlanError("SCP11 needs a CA's key or the card's own to know the card by")
    return opening, i, off_card


def _kid(i: int) -> int:
    """Return the identifier of the card's static key for this variant."""
    return 0x15 if i & SCRIPT else 0x11 if i & MUTUAL else 0x13


def _tried(opening: Opening, i: int) -> str:
    variant = "c" if i & SCRIPT else "a" if i & MUTUAL else "b"
    return f"key set {opening.kvn:02X}, key {_kid(i):02X}, SCP11{variant}"


def _card_key(opening: Opening, i: int, off_card: OffCard) -> Dialogue[tuple[bytes, bytes]]:
    """Return the card's static public key and its subject, read from its certificates unless they are known.

    Raises AuthenticationError where they lead to no trusted authority, or are for another curve.
    """
    if off_card.terms.card_key:
        return off_card.terms.card_key, off_card.terms.card_group
    reference = tlv(0xA6, tlv(0x83, bytes((_kid(i), opening.kvn))))
    command = Command("GET DATA", 0x00, 0xCA, 0xBF, 0x21, reference, ne=256, secret=())
    try:
        store = yield from _whole(command)
        chain = split(find(store, 0xBF21) or b"")
    except ValueError as wrong:
        raise ProtocolError(f"GET DATA: no certificate store: {wrong}") from wrong
    try:
        found = verified(chain, off_card.terms.authorities, off_card.today)
    except AuthenticationError as wrong:
        raise AuthenticationError(f"the card's certificates: {wrong}; tried {_tried(opening, i)}") from wrong
    if found.curve is not off_card.terms.curve:
        raise AuthenticationError(f"the card's key is on {found.curve}, the off-card entity's on {off_card.terms.curve}")
    named = found.subject if found.form == GLOBALPLATFORM else b""
    return found.point, off_card.terms.card_group or named


def _identifiers(i: int, card_group: bytes) -> Dialogue[bytes]:
    """Return the card's part of the shared info: SIN and SDIN, or of a script its group (Amendment F 3.1.2).

    The group is the subject identifier of a GlobalPlatform certificate; what it is of an X.509 one must be stated.
    """
    if i & SCRIPT and not card_group:
        raise PlanError("SCP11c with identifiers needs its card group stated: an X.509 certificate doesn't say it")
    if i & SCRIPT:
        return lv(card_group)
    found = b""
    for tag in (0x42, 0x45):
        data = (yield Command("GET DATA", 0x00, 0xCA, 0x00, tag, ne=256, secret=())).data
        try:
            value = find(data, tag)
        except ValueError:
            value = None
        if value is None:
            raise ProtocolError(f"GET DATA: the card's answer isn't data object {tag:X}")
        found += lv(value)
    return found


def _whole(command: Command) -> Dialogue[bytes]:
    """Return an answer whose rest the card may announce with 61xx."""
    accept = (0x9000, *range(0x6100, 0x6200))
    answer = yield replace(command, accept=accept)
    found = answer.data
    while answer.sw != 0x9000 and len(found) <= EXTENDED:
        ne = answer.sw & 0xFF or 256
        answer = yield Command("GET RESPONSE", 0x00, 0xC0, 0x00, 0x00, ne=ne, accept=accept, secret=())
        found += answer.data
    return found


def _introduce(opening: Opening, off_card: OffCard) -> Dialogue[None]:
    """Send the off-card entity's certificates (Amendment F 7.5), each in as many blocks as it takes."""
    most, last = (EXTENDED if opening.extended else SHORT), len(off_card.chain) - 1
    commands = tuple(
        Command(
            "PERFORM SECURITY OPERATION",
            0x80,
            0x2A,
            off_card.terms.ca_kvn | 0x80 * (at + most < len(certificate)),
            off_card.terms.ca_kid | 0x80 * (number < last),
            certificate[at : at + most],
            ne=256,
            secret=(),
        )
        for number, certificate in enumerate(off_card.chain)
        for at in range(0, len(certificate), most)
    )
    try:
        yield commands
    except CardError as refusal:
        tried = f"its CA key {off_card.terms.ca_kid:02X} of key set {off_card.terms.ca_kvn:02X}"
        raise AuthenticationError(f"the card refused the host's certificates under {tried}: {refusal}") from refusal


def _request(opening: Opening, i: int, off_card: OffCard) -> bytes:
    """Return the control reference template and the ephemeral public key (Amendment F 7.6.2.3)."""
    host_id = tlv(0x84, off_card.terms.host_id) if i & IDENTIFIERS else b""
    template = (
        tlv(0x90, bytes((0x11, i)))
        + tlv(0x95, bytes((USAGE[opening.level],)))
        + tlv(0x80, bytes((AES,)))
        + tlv(0x81, bytes((off_card.terms.key_size,)))
        + host_id
    )
    private = ec_private(off_card.terms.curve, off_card.seed)
    return tlv(0xA6, template) + tlv(0x5F49, ec_public(off_card.terms.curve, private))


def _authenticate(opening: Opening, i: int, request: bytes) -> Dialogue[bytes]:
    name, ins = ("MUTUAL AUTHENTICATE", 0x82) if i & MUTUAL else ("INTERNAL AUTHENTICATE", 0x88)
    try:
        answer = yield Command(name, 0x80, ins, opening.kvn, _kid(i), request, ne=256, secret=())
    except CardError as refusal:
        raise AuthenticationError(f"the card refused the key agreement: {refusal}; tried {_tried(opening, i)}") from refusal
    return answer.data


def _parsed(answer: bytes) -> tuple[bytes, bytes]:
    """Return the card's public key and its receipt; a card that gives none can't be told from a false one."""
    try:
        found = list(tlvs(answer))
    except ValueError as wrong:
        raise ProtocolError(f"the card's part of the key agreement is ill-made: {wrong}") from wrong
    if [tag for tag, _ in found] != [0x5F49, 0x86] or len(found[1][1]) != RECEIPT:
        raise ProtocolError("the card's part of the key agreement isn't a public key and a receipt")
    return found[0][1], found[1][1]


def _agreements(
    opening: Opening, i: int, off_card: OffCard, card_key: bytes, point: bytes, identifiers: bytes
) -> list[Agreement]:
    """Return receipt key, S-ENC, S-MAC, S-RMAC and S-DEK (Amendment F 3.1.2)."""
    secret, peer = _secrets(i, off_card, card_key, point)
    size = off_card.terms.key_size
    info = bytes((USAGE[opening.level], AES, size))
    info += lv(off_card.terms.host_id) + identifiers if i & IDENTIFIERS else b""
    return [Agreement(shared=secret, peer=peer, info=info, size=size, number=number) for number in range(5)]


def _secrets(i: int, off_card: OffCard, card_key: bytes, point: bytes) -> tuple[bytes, bytes | None]:
    """Return what the ephemeral key agrees on, and the point that the static key does (Amendment F 3.1.1).

    a: ShSee, then ShSss; b: ShSee ShSes, and no static key; c: ShSes, then ShSss, and the card sends its static key again.
    """
    curve, private = off_card.terms.curve, ec_private(off_card.terms.curve, off_card.seed)
    if i & SCRIPT and point != card_key:
        raise AuthenticationError("the card answers with another static key than its certificate's")
    try:
        secret = ecdh(curve, private, point)
        if not i & MUTUAL:
            return secret + ecdh(curve, private, card_key), None
    except ValueError as wrong:
        raise AuthenticationError(f"the card's public key isn't on {curve}: {wrong}") from wrong
    return secret, card_key


def _changes_keys_or_states(command: Command) -> bool:
    """Tell whether it is PUT KEY, SET STATUS or DELETE of keys."""
    if command.ins == DELETE:
        return any(tag in KEY_TAGS for tag, _ in tlvs(command.data))
    return command.ins in (PUT_KEY, SET_STATUS)
