"""The card's side of SCP11 a, b and c (GPC Amendment F 1.4): whom it takes for the off-card entity, what they agree on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

from hardware import crypto
from hardware.sim import scp03
from hardware.sim.apdu import Answer, Apdu, RefusedError
from hardware.sim.certificates import Holder, Introduction
from hardware.sim.reader import Reader
from hardware.tlv import lv, tlv

# Key identifiers of the card's static key, by the two low bits of the SCP parameter (tag 90)
A, B, C = 0x11, 0x13, 0x15
VARIANTS: Final = {0x01: A, 0x00: B, 0x03: C}
WITH_IDENTIFIERS: Final = 0x04
# Key usage qualifiers (tag 95) and the security level that each means; the last two are for SCP11c only (table B-1)
LEVELS: Final = {0x34: 0x11, 0x3C: 0x33, 0x1C: 0x03, 0x74: 0x13}
FOR_SCRIPTS: Final = {0x1C, 0x74}
AES: Final = 0x88
PUT_KEY, DELETE, SET_STATUS = 0xD8, 0xE4, 0xF0
KEY_TAGS: Final = (b"\xd0", b"\xd2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The key pair and certificates of a Security Domain, and the CA key that it knows off-card entities by.

    *allowed*: serial numbers of certificates, none for any; *today*: the date that the chip knows, if it knows one.
    """

    curve: crypto.Curve
    kvn: int
    options: frozenset[int]
    private: bytes = field(repr=False)
    certificates: tuple[bytes, ...]
    group: bytes
    ca_kvn: int
    ca_kid: int
    ca: Holder
    allowed: frozenset[bytes]
    today: date | None

    @property
    def point(self) -> bytes:
        """The public key of the Security Domain."""
        return crypto.ec_public(self.curve, self.private)

    @property
    def kids(self) -> set[int]:
        """Identifiers under which its key can be used."""
        return {VARIANTS[option & 0x03] for option in self.options}

    def spoiled(self) -> "Keys":
        """Return the keys of a plastic that got another Security Domain's."""
        return replace(self, private=bytes((self.private[0] ^ 0x01,)) + self.private[1:])


def read(table: Mapping[str, Any]) -> Keys:
    """Read the table [ecka] of a blank; raises ValueError, KeyError or TypeError for what no chip can be."""
    curve, ca = crypto.Curve(table["curve"]), table["ca"]
    holder = Holder(
        identifier=bytes.fromhex(ca["identifier"]), curve=crypto.Curve(ca["curve"]), point=bytes.fromhex(ca["point"])
    )
    crypto.ec_check(holder.curve, holder.point)
    keys = Keys(
        curve=curve,
        kvn=table["kvn"],
        options=frozenset(table["options"]),
        private=bytes.fromhex(table["private"]),
        certificates=tuple(bytes.fromhex(each) for each in table["certificates"]),
        group=bytes.fromhex(table.get("group", "")),
        ca_kvn=ca["kvn"],
        ca_kid=ca["kid"],
        ca=holder,
        allowed=frozenset(bytes.fromhex(each) for each in table.get("allowed", ())),
        today=date.fromisoformat(table["today"]) if "today" in table else None,
    )
    crypto.ec_public(curve, keys.private)
    if any(option & ~0x07 or option & 0x03 == 0x02 for option in keys.options) or not keys.options:
        raise ValueError("no such SCP11 option")
    return keys


class Channel(scp03.Channel):
    """SCP03's secure messaging under agreed keys; without *authenticated* the card knows nobody, *script*: SCP11c."""

    def __init__(self, keys: list[bytes], receipt: bytes, level: int, option: int) -> None:
        _, enc, mac, rmac, dek = keys
        super().__init__(enc=enc, mac=mac, rmac=rmac, dek=dek, level=level, chain=receipt)
        self.authenticated, self._script = bool(option & 0x01), bool(option & 0x02)

    def check(self, apdu: Apdu) -> None:
        """Refuse with 6985 what SCP11c never allows, as a script may be replayed (Amendment F annex B)."""
        deletes_keys = apdu.ins == DELETE and apdu.data[:1] in KEY_TAGS
        if self._script and (apdu.ins in (PUT_KEY, SET_STATUS) or deletes_keys):
            raise RefusedError(0x6985)


class Agreement:
    """Agree on session keys with whoever introduced itself; nothing here survives a reset."""

    def __init__(self, keys: Keys, identifiers: Callable[[], bytes | None], entropy: Callable[[int], bytes]) -> None:
        """*identifiers* returns LV(SIN) LV(SDIN), or None where the card has none yet."""
        self._keys, self._identifiers, self._entropy = keys, identifiers, entropy
        self._introduction = Introduction(keys.ca, keys.allowed, keys.today)

    def reset(self) -> None:
        """Forget who introduced itself."""
        self._introduction.reset()

    def perform(self, apdu: Apdu) -> Answer:
        """Take a block of a certificate (PERFORM SECURITY OPERATION, 7.5); another CA key than this card's is 6A88."""
        keys, more_blocks, more_certificates = self._keys, bool(apdu.p1 & 0x80), bool(apdu.p2 & 0x80)
        try:
            if not keys.kids & {A, C}:
                raise RefusedError(0x6D00)
            if (apdu.p1 & 0x7F, apdu.p2 & 0x7F) != (keys.ca_kvn, keys.ca_kid):
                raise RefusedError(0x6A88)
            if not apdu.data:
                raise RefusedError(0x6A80)
            self._introduction.take(apdu.data, more_blocks=more_blocks, more_certificates=more_certificates)
        except RefusedError:
            self.reset()
            raise
        return Answer()

    def authenticate(self, apdu: Apdu, *, mutual: bool) -> tuple[Answer, Channel]:
        """Return the answer to MUTUAL or INTERNAL AUTHENTICATE (7.6), and the channel; refuses with 6A80 and 6A88."""
        keys = self._keys
        if apdu.p1 != keys.kvn or apdu.p2 not in keys.kids or mutual is (apdu.p2 == B):
            raise RefusedError(0x6A88)
        holder = self._introduction.holder
        if mutual and holder is None:
            raise RefusedError(0x6A88)  # PK.OCE.ECKA isn't there
        reader = Reader(apdu.data)
        template, host_key = _expect(reader, 0xA6), _expect(reader, 0x5F49)
        reader.end()
        option, usage, size, host_id = self._template(template, apdu.p2)
        info = bytes((usage, AES, size))
        if option & WITH_IDENTIFIERS:
            info += lv(host_id) + self._own(apdu.p2)
        ephemeral = crypto.ec_private(keys.curve, self._entropy(keys.curve.size + 8)) if apdu.p2 != C else keys.private
        secret = self._secret(ephemeral, host_key, holder, apdu.p2)
        stream = crypto.x963_kdf(secret, info, 5 * size)
        agreed = [stream[at : at + size] for at in range(0, 5 * size, size)]
        own = tlv(0x5F49, crypto.ec_public(keys.curve, ephemeral))
        receipt = crypto.cmac(agreed[0], apdu.data + own)
        return Answer(data=own + tlv(0x86, receipt)), Channel(agreed, receipt, LEVELS[usage], option)

    def _template(self, template: bytes, kid: int) -> tuple[int, int, int, bytes]:
        """Return SCP parameter, key usage, key length and HostID of a control reference template (table 6-17)."""
        reader = Reader(template)
        scp, usage, kind, size = (_expect(reader, tag) for tag in (0x90, 0x95, 0x80, 0x81))
        if len(scp) != 2 or scp[0] != 0x11 or scp[1] not in self._keys.options or VARIANTS[scp[1] & 0x03] != kid:
            raise RefusedError(0x6A80)
        host_id = _expect(reader, 0x84) if scp[1] & WITH_IDENTIFIERS else b""
        reader.end()
        if len(usage) != 1 or usage[0] not in LEVELS or (usage[0] in FOR_SCRIPTS and kid != C):
            raise RefusedError(0x6A80)
        if kind != bytes((AES,)) or size not in (b"\x10", b"\x18", b"\x20") or (scp[1] & WITH_IDENTIFIERS and not host_id):
            raise RefusedError(0x6A80)
        return scp[1], usage[0], size[0], host_id

    def _own(self, kid: int) -> bytes:
        found = lv(self._keys.group) if kid == C else self._identifiers()
        if found is None:
            raise RefusedError(0x6A88)
        return found

    def _secret(self, ephemeral: bytes, host_key: bytes, holder: Holder | None, kid: int) -> bytes:
        """Return ShSee ShSss (a), ShSee ShSes (b) or ShSes ShSss (c); a key beside the curve is 6A80."""
        curve, static = self._keys.curve, self._keys.private
        theirs = host_key if kid == B or holder is None else holder.point
        if holder and kid != B and holder.curve is not curve:
            raise RefusedError(0x6A80)
        try:
            return crypto.ecdh(curve, ephemeral, host_key) + crypto.ecdh(curve, static, theirs)
        except ValueError as wrong:
            raise RefusedError(0x6A80) from wrong


def _expect(reader: Reader, tag: int) -> bytes:
    found, value = reader.tlv()
    if found != tag:
        raise RefusedError(0x6A80)
    return value
