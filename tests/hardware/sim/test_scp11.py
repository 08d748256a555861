"""SCP11 as the card has it: published values, and what it refuses, from a bare host of its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware import crypto
from hardware.crypto import Curve
from hardware.sim import scp11
from hardware.sim.blank import shipped
from hardware.sim.card import Card
from hardware.sim.eeprom import Eeprom, Json
from hardware.tlv import parse as tlvs
from hardware.tlv import tlv
from tests.hardware.agreeing import CA_KID, CA_KVN, HOST_CA, KIDS, KVN, OPTIONS, USAGES, card_keys
from tests.hardware.issuing import FORMS, SIGNS, TODAY, Key, issue
from tests.hardware.sim.host import apdu, vectors

HOST = Key("host")
EPHEMERAL = Key("ephemeral")
MIDDLE = Key("middle")


@dataclass
class Terminal:
    """Sends bytes to one card and keeps a session's keys."""

    card: Card
    keys: scp11.Keys
    enc: bytes = b""
    mac: bytes = b""
    rmac: bytes = b""
    dek: bytes = b""
    chain: bytes = b""
    counter: int = 0

    def raw(self, command: bytes) -> bytes:
        return self.card.transmit(command)[0]

    def sw(self, command: bytes) -> int:
        return int.from_bytes(self.raw(command)[-2:], "big")

    def introduce(self, *chain: bytes, kvn: int = CA_KVN, kid: int = CA_KID) -> int:
        """Send certificates in blocks of 200 bytes; returns the last status word."""
        sw = 0
        for number, certificate in enumerate(chain, 1):
            for at in range(0, len(certificate), 200):
                p1 = kvn | 0x80 * (at + 200 < len(certificate))
                p2 = kid | 0x80 * (number < len(chain))
                sw = self.sw(apdu(f"802A{p1:02X}{p2:02X}", certificate[at : at + 200]))
                if sw != 0x9000:
                    return sw
        return sw

    def open(self, variant: str = "a", usage: int = 0x3C) -> None:
        """Open a channel as the specification has it, step by step."""
        if variant != "b":
            assert self.introduce(issue("GlobalPlatform", HOST, HOST_CA)) == 0x9000
        request = data(variant, usage=usage)
        answer = self.raw(authenticate(variant, request))
        assert answer[-2:] == b"\x90\0", answer.hex()
        point, receipt = answer[3:68], answer[-18:-2]
        first = crypto.ecdh(Curve.P256, EPHEMERAL.private, point)
        static = EPHEMERAL if variant == "b" else HOST
        stream = crypto.x963_kdf(
            first + crypto.ecdh(Curve.P256, static.private, self.keys.point), bytes((usage, 0x88, 16)), 80
        )
        assert receipt == crypto.cmac(stream[:16], request + answer[:68])
        self.enc, self.mac, self.rmac, self.dek = (stream[at : at + 16] for at in (16, 32, 48, 64))
        self.chain, self.counter = receipt, 0

    def secured(self, header: str, body: bytes = b"", *, encrypt: bool = True) -> int:
        """Send one command in the session and return its status word."""
        self.counter += 1
        if encrypt and body:
            iv = crypto.aes_ecb_encrypt(self.enc, self.counter.to_bytes(16, "big"))
            body = crypto.aes_cbc_encrypt(self.enc, crypto.pad80(body, 16), iv)
        head = bytes.fromhex("84" + header[2:]) + bytes((len(body) + 8,)) + body
        self.chain = crypto.cmac(self.mac, self.chain + head)
        return self.sw(head + self.chain[:8] + b"\0")


def data(variant: str, *, usage: int = 0x3C, point: bytes | None = None, **tags: str) -> bytes:
    """Return the data field of MUTUAL or INTERNAL AUTHENTICATE; *tags* replace what A6 holds, an empty one leaves it out."""
    fields = {"t90": f"11{OPTIONS[variant]:02X}", "t95": f"{usage:02X}", "t80": "88", "t81": "10", **tags}
    template = b"".join(tlv(int(tag[1:3], 16), bytes.fromhex(value)) for tag, value in fields.items() if value)
    return tlv(0xA6, template) + tlv(0x5F49, EPHEMERAL.point if point is None else point)


def authenticate(variant: str, request: bytes, *, kvn: int = KVN, kid: int | None = None, le: str = "00") -> bytes:
    ins = "88" if variant == "b" else "82"
    return apdu(f"80{ins}{kvn:02X}{KIDS[variant] if kid is None else kid:02X}", request, le)


Make = Callable[..., Terminal]


@pytest.fixture
def terminal() -> Make:
    def make(
        keys: scp11.Keys | None = None, entropy: Callable[[int], bytes] = lambda size: bytes(range(size)), **values: Json
    ) -> Terminal:
        keys = keys or card_keys()
        kind = replace(shipped("export-scp03"), ecka=keys)
        start: dict[str, Json] = {"isd/state": "0F", "identity": "00" * 42, "scp/sequence": 0, "scp/failures": 0}
        return Terminal(Card(kind, Eeprom(start | values), entropy), keys)

    return make


class Four(Key):
    """The off-card entity of the published values, whose private key is 4."""

    @property
    def private(self) -> bytes:
        return bytes(31) + b"\4"


@pytest.mark.parametrize("v", [each for each in vectors("scp11_pkcs11rs") if "kid" in each], ids=itemgetter("id"))
def test_the_card_answers_as_published(v: dict[str, Any], terminal: Make) -> None:
    """Receipt included: its static key is 2 and its ephemeral one 3."""
    card = terminal(card_keys(private=bytes(31) + b"\2", kvn=int(v["kvn"], 16)), lambda size: bytes(size - 1) + b"\2")
    if v["i"] == "01":
        assert card.introduce(issue("X.509", Four("four"), HOST_CA)) == 0x9000
    answer = card.raw(bytes.fromhex(v["mutual_authenticate"]["command"]))
    assert answer.hex().upper() == v["mutual_authenticate"]["response"]


@pytest.mark.parametrize("variant", OPTIONS)
@pytest.mark.parametrize("usage", [0x34, 0x3C])
def test_every_variant_opens(variant: str, usage: int, terminal: Make) -> None:
    """And reads what anyone may."""
    card = terminal()
    card.open(variant, usage)
    assert card.secured("80CA0066", encrypt=False) == 0x9000


def test_what_nobody_introduced_may_not_be_managed(terminal: Make) -> None:
    """SCP11b's channel is confidential, but the card doesn't know for whom: 6982."""
    card = terminal()
    card.open("b")
    for header in ("80F28002", "80E28000", "80E40000", "80F0800F"):
        assert card.secured(header, b"\x4f\0") == 0x6982
        card.open("b")


@pytest.mark.parametrize("header", ["80D80081", "80F0800F", "807A0000", "80780000"])
def test_never_over_a_script(header: str, terminal: Make) -> None:
    """PUT KEY and SET STATUS are refused; BEGIN and END R-MAC SESSION aren't there at all."""
    card = terminal()
    card.open("c")
    assert card.secured(header, b"\x4f\0") in (0x6985, 0x6D00)


@pytest.mark.parametrize(
    ("body", "sw"), [("D00101", 0x6985), ("D20130", 0x6985), ("D00101D20130", 0x6985), ("4F05A000000001", 0x6A88)]
)
def test_keys_are_not_deleted_over_a_script(body: str, sw: int, terminal: Make) -> None:
    """DELETE of an application goes through, and finds none."""
    card = terminal()
    card.open("c")
    assert card.secured("80E40000", bytes.fromhex(body)) == sw


def new_key(card: Terminal) -> bytes:
    """Return set 31 with one AES key, 16 x 11, under the session's DEK (Amendment D 7.2); its check value left out."""
    return b"\x31\x88\x11\x10" + crypto.aes_cbc_encrypt(card.dek, b"\x11" * 16) + b"\0"


@pytest.mark.parametrize(("variant", "sw"), [("a", 0x9000), ("b", 0x6982), ("c", 0x6985)])
def test_keys_are_put_by_whom_the_card_knows_and_never_by_a_script(variant: str, sw: int, terminal: Make) -> None:
    """Under the agreed DEK; what is refused changes no key."""
    card = terminal()
    before = card.raw(bytes.fromhex("80CA00E000"))
    card.open(variant)
    assert card.secured("80D80001", new_key(card)) == sw
    added = bytes.fromhex("C00401318810") if sw == 0x9000 else b""
    card.card.reset()
    after = card.raw(bytes.fromhex("80CA00E000"))
    assert len(after) == len(before) + len(added)
    assert added in after


def test_key_set_that_no_session_uses_is_deleted(terminal: Make) -> None:
    """Over SCP11a those of SCP03 may go, though a handshake with them was begun before."""
    card = terminal()
    assert card.sw(apdu("80503000", bytes(8))) == 0x9000
    card.open("a")
    assert card.secured("80E40000", bytes.fromhex("D20130")) == 0x9000
    assert card.sw(apdu("80503000", bytes(8))) == 0x6A88


@pytest.mark.parametrize("body", ["D20103", "D20104", "D00111"])
def test_the_keys_of_scp11_stay(body: str, terminal: Make) -> None:
    """The chip has them from its factory: deleting one is 6985."""
    card = terminal()
    card.open("a")
    assert card.secured("80E40000", bytes.fromhex(body)) == 0x6985


def test_set_status_goes_over_the_others(terminal: Make) -> None:
    """From SECURED to CARD_LOCKED, over SCP11a."""
    card = terminal()
    card.open("a")
    assert card.secured("80F0807F") == 0x9000


def refused(form: str) -> dict[str, tuple[tuple[bytes, ...], int]]:
    """Return chains that a card doesn't take, and its status word."""
    right, middle = issue(form, HOST, HOST_CA), issue(form, MIDDLE, HOST_CA, SIGNS)
    leaf = issue(form, HOST, MIDDLE)
    return {
        "another CA": ((issue(form, HOST, Key("stranger")),), 0x6600),
        "another key of the CA's name": ((issue(form, HOST, Key("host CA", Curve.P384)),), 0x6600),
        "expired": ((issue(form, HOST, HOST_CA, last=TODAY - timedelta(1)),), 0x6600),
        "not yet": ((issue(form, HOST, HOST_CA, first=TODAY + timedelta(1)),), 0x6600),
        "a CA's": ((middle,), 0x6600),
        "not a CA's ahead": ((issue(form, MIDDLE, HOST_CA), leaf), 0x6600),
        "a leaf of the CA above": ((middle, right), 0x6600),
        "a leaf alone": ((leaf,), 0x6600),
        "a CA expired": ((issue(form, MIDDLE, HOST_CA, SIGNS, last=TODAY - timedelta(1)), leaf), 0x6600),
        "cut": ((right[:-1],), 0x6A80),
        "longer": ((right + b"\0",), 0x6A80),
        "nothing known": ((b"\x5f\x20\x00",), 0x6A80),
        "changed": ((right[:-1] + bytes((right[-1] ^ 1,)),), 0x6600),
    }


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", refused("GlobalPlatform"))
def test_certificates_that_are_refused(form: str, name: str, terminal: Make) -> None:
    """And nobody is introduced by them."""
    chain, sw = refused(form)[name]
    card = terminal()
    assert card.introduce(*chain) == sw
    assert card.sw(authenticate("a", data("a"))) == 0x6A88


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("curve", Curve)
def test_chains_that_are_taken(form: str, curve: Curve, terminal: Make) -> None:
    """One certificate, or more, under a CA of any curve."""
    ca = Key("host CA", curve)
    keys = card_keys(ca=replace(card_keys().ca, curve=curve, point=ca.point))
    for chain in ((issue(form, HOST, ca),), (issue(form, MIDDLE, ca, SIGNS), issue(form, HOST, MIDDLE))):
        card = terminal(keys)
        assert card.introduce(*chain) == 0x9000
        assert card.sw(authenticate("a", data("a"))) == 0x9000


def test_a_chip_without_a_date_takes_old_certificates(terminal: Make) -> None:
    """Most have no clock; what they know of the date is the latest one that somebody told them."""
    card = terminal(card_keys(today=None))
    assert card.introduce(issue("GlobalPlatform", HOST, HOST_CA, last=date(2001, 1, 1), first=None)) == 0x9000


def test_a_date_has_four_bytes(terminal: Make) -> None:
    """A shorter one would be later than any."""
    right = issue("GlobalPlatform", HOST, HOST_CA)
    *items, _ = tlvs(next(tlvs(right))[1])
    covered = b"".join(tlv(tag, b"\x99" if tag == 0x5F24 else value) for tag, value in items)
    signature = crypto.ecdsa_sign(Curve.P256, HOST_CA.private, covered)
    assert terminal().introduce(tlv(0x7F21, covered + tlv(0x5F37, signature))) == 0x6A80


@settings(max_examples=150, deadline=None)
@given(form=st.sampled_from(FORMS), at=st.integers(0, 1000), new=st.binary(max_size=4), cut=st.integers(0, 4))
def test_hostile_certificates_are_refused(form: str, at: int, new: bytes, cut: int) -> None:
    """Whatever they hold, the chip answers with a status word, and takes none that was changed."""
    raw = issue(form, HOST, HOST_CA)
    at %= len(raw)
    wrong = raw[:at] + new + raw[at + cut :]
    kind = replace(shipped("export-scp03"), ecka=card_keys())
    card = Terminal(Card(kind, Eeprom({"isd/state": "0F"}), bytes), card_keys())
    assert (card.introduce(wrong) == 0x9000) is (wrong == raw)


def test_a_list_of_allowed_certificates(terminal: Make) -> None:
    """By serial number: 6640 for one that isn't in it."""
    certificate = issue("GlobalPlatform", HOST, HOST_CA, serial=b"\7")
    assert terminal(card_keys(allowed=frozenset({b"\7"}))).introduce(certificate) == 0x9000
    assert terminal(card_keys(allowed=frozenset({b"\x08"}))).introduce(certificate) == 0x6640


def test_authorizations_under_scp11c_are_not_supported(terminal: Make) -> None:
    """BF20 would limit what the script may do; a chip that can't must not take it."""
    assert terminal().introduce(issue("GlobalPlatform", HOST, HOST_CA, extra=bytes.fromhex("BF2003EF0100"))) == 0x6A81


def test_a_host_on_another_curve(terminal: Make) -> None:
    """Its certificate verifies, but nothing can be agreed on: 6A80."""
    card = terminal()
    assert card.introduce(issue("GlobalPlatform", Key("host", Curve.BRAINPOOL_P256), HOST_CA)) == 0x9000
    assert card.sw(authenticate("a", data("a"))) == 0x6A80


@pytest.mark.parametrize(("kvn", "kid"), [(CA_KVN + 1, CA_KID), (CA_KVN, CA_KID + 1), (0, 0)])
def test_another_ca_key_is_6a88(kvn: int, kid: int, terminal: Make) -> None:
    """P1 and P2 name the card's CA key."""
    assert terminal().introduce(issue("GlobalPlatform", HOST, HOST_CA), kvn=kvn, kid=kid) == 0x6A88


def test_a_refused_block_ends_the_introduction(terminal: Make) -> None:
    """What came before it is forgotten, and so is whom a SELECT or a reset leaves behind."""
    right = issue("GlobalPlatform", HOST, HOST_CA)
    for spoil in (apdu("802A7F10", b"\1"), apdu("00A40400"), apdu("80500000", bytes(8))):
        card = terminal()
        assert card.introduce(right) == 0x9000
        card.raw(spoil)
        assert card.sw(authenticate("a", data("a"))) == 0x6A88
    card = terminal()
    assert card.introduce(right) == 0x9000
    card.card.reset()
    assert card.sw(authenticate("a", data("a"))) == 0x6A88


def test_an_introduction_serves_once(terminal: Make) -> None:
    """After a key agreement, refused or not, it takes another one."""
    card = terminal()
    card.open("a")
    assert card.sw(authenticate("a", data("a"))) == 0x6A88


WRONG_REQUESTS = {
    "another SCP": ({"t90": "0301"}, 0x6A80),
    "another variant": ({"t90": "1103"}, 0x6A80),
    "no variant": ({"t90": "11"}, 0x6A80),
    "unknown option": ({"t90": "1109"}, 0x6A80),
    "a level for scripts": ({"t95": "1C"}, 0x6A80),
    "another level": ({"t95": "14"}, 0x6A80),
    "another cipher": ({"t80": "80"}, 0x6A80),
    "another length": ({"t81": "11"}, 0x6A80),
    "a host identifier unasked": ({"t84": "01"}, 0x6A80),
    "no host identifier": ({"t90": "1105"}, 0x6A80),
    "no level": ({"t95": ""}, 0x6A80),
    "identifiers that the card has not": ({"t90": "1105", "t84": "01"}, 0x6A88),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_REQUESTS)
def test_wrong_requests(name: str, terminal: Make) -> None:
    """Each tag of the control reference template is checked."""
    tags, sw = WRONG_REQUESTS[name]
    card = terminal()
    assert card.introduce(issue("GlobalPlatform", HOST, HOST_CA)) == 0x9000
    request: dict[str, Any] = dict(tags)
    assert card.sw(authenticate("a", data("a", **request))) == sw
    assert card.sw(apdu("84F28002", bytes(10))) == 0x6982


@pytest.mark.parametrize("variant", OPTIONS)
def test_wrong_points(variant: str, terminal: Make) -> None:
    """Beside the curve, of another curve, at infinity, compressed, cut."""
    right = EPHEMERAL.point
    beside = right[:-1] + bytes((right[-1] ^ 1,))
    for point in (beside, Key("other", Curve.BRAINPOOL_P256).point, b"\0", b"\2" + right[1:33], right[:-1], b""):
        card = terminal()
        if variant != "b":
            assert card.introduce(issue("GlobalPlatform", HOST, HOST_CA)) == 0x9000
        assert card.sw(authenticate(variant, data(variant, point=point))) == 0x6A80


@pytest.mark.parametrize(
    ("command", "sw"),
    [
        (authenticate("b", data("b"), kvn=KVN + 1), 0x6A88),
        (authenticate("b", data("b"), kid=0x11), 0x6A88),
        (authenticate("a", data("b"), kid=0x13), 0x6A88),
        (authenticate("b", data("b"), kid=0x17), 0x6A88),
        (authenticate("b", data("b"), le=""), 0x6700),
        (authenticate("b", data("b") + b"\0"), 0x6A80),
        (authenticate("b", b"\1"), 0x6A80),
        (authenticate("b", data("b"))[:1].replace(b"\x80", b"\x84") + authenticate("b", data("b"))[1:], 0x6E00),
        (authenticate("b", data("b"))[:1].replace(b"\x80", b"\x00") + authenticate("b", data("b"))[1:], 0x6E00),
        (apdu("802A0410"), 0x6A80),
    ],
)
def test_wrong_parameters(command: bytes, sw: int, terminal: Make) -> None:
    """Another key set, an INS that isn't the key's, no Le, trailing bytes, another class."""
    assert terminal().sw(command) == sw


@pytest.mark.parametrize(("option", "variant", "sw"), [(0x00, "a", 0x6A88), (0x01, "b", 0x6A88), (0x01, "c", 0x6A88)])
def test_a_chip_has_the_variants_that_it_has(option: int, variant: str, sw: int, terminal: Make) -> None:
    """Another one's key isn't there; without a or c there is nothing to introduce oneself for."""
    card = terminal(card_keys(options=frozenset({option})))
    introduced = card.introduce(issue("GlobalPlatform", HOST, HOST_CA))
    assert introduced == (0x6D00 if option == 0x00 else 0x9000)
    assert card.sw(authenticate(variant, data(variant))) == sw


@pytest.mark.parametrize("command", [apdu("802A0410", b"\1"), authenticate("b", data("b"))])
def test_a_chip_without_scp11(command: bytes, terminal: Make) -> None:
    """It knows neither command."""
    card = terminal()
    plain = Card(shipped("export-scp03"), Eeprom({"isd/state": "0F"}), bytes)
    assert plain.transmit(command)[0] == b"\x6d\0"
    assert card.sw(command) != 0x6D00


def test_commands_in_a_session(terminal: Make) -> None:
    """A changed MAC ends it, and so does an unsecured command."""
    card = terminal()
    card.open("a")
    assert card.secured("80F28002", b"\x4f\0") == 0x9000
    card.chain = bytes(16)
    assert card.secured("80F28002", b"\x4f\0") == 0x6988
    assert card.secured("80F28002", b"\x4f\0") == 0x6982
    card.open("a")
    assert card.sw(apdu("80F28002", b"\x4f\0")) == 0x6982


def test_only_a_script_is_the_same_twice(terminal: Make) -> None:
    """SCP11c's card adds nothing of its own: what was recorded runs again on every card of the group."""
    counting = iter(range(1, 100))
    card = terminal(None, lambda size: bytes((next(counting),)) * size)
    answers = {}
    for variant in OPTIONS:
        pair = []
        for _ in range(2):
            if variant != "b":
                assert card.introduce(issue("GlobalPlatform", HOST, HOST_CA)) == 0x9000
            pair.append(card.raw(authenticate(variant, data(variant))))
        answers[variant] = pair[0] == pair[1]
    assert answers == {"a": False, "b": False, "c": True}
    assert USAGES[0x33] == 0x3C


@pytest.mark.parametrize(
    ("reference", "sw"),
    [
        ("A60483021103", 0x9000),
        ("A60483021104", 0x6A88),
        ("A60483021203", 0x6A88),
        ("A603830111", 0x6A80),
        ("83021103", 0x6A80),
        ("A6048302110300", 0x6A80),
        ("", 0x6A80),
    ],
)
def test_the_certificate_store(reference: str, sw: int, terminal: Make) -> None:
    """It is asked for by KID and KVN."""
    assert terminal(card_keys(certificates=(b"\x30\0",))).sw(apdu("00CABF21", bytes.fromhex(reference))) == sw


def test_a_long_answer_is_fetched_at_once_or_lost(terminal: Make) -> None:
    """GET RESPONSE gives what is left, and nothing after another command."""
    keys = card_keys(certificates=(tlv(0x30, bytes(600)),))
    whole = tlv(0xBF21, keys.certificates[0])
    card, ask = terminal(keys), apdu("00CABF21", bytes.fromhex("A60483021103"))
    assert card.raw(ask) == whole[:256] + b"\x61\0"
    assert card.raw(bytes.fromhex("00C0000000")) == whole[256:512] + bytes((0x61, len(whole) - 512))
    assert card.raw(bytes((0x00, 0xC0, 0, 0, len(whole) - 512))) == whole[512:] + b"\x90\0"
    assert card.sw(bytes.fromhex("00C0000000")) == 0x6985
    assert card.sw(ask) == 0x6100
    assert card.sw(apdu("80CA0066")) == 0x9000
    assert card.sw(bytes.fromhex("00C0000000")) == 0x6985


def test_the_keys_are_told(terminal: Make) -> None:
    """Recognition data name every option, the key information template each key."""
    card = terminal(card_keys(options=frozenset({0x01, 0x03})))
    assert bytes.fromhex("06072A864886FC6B0411 01".replace(" ", ""))[2:-2] in card.raw(apdu("80CA0066"))
    told = card.raw(apdu("80CA00E0"))
    for kid, kvn, kind, size in ((0x11, KVN, 0xB1, 32), (0x15, KVN, 0xB1, 32), (CA_KID, CA_KVN, 0xB0, 65)):
        assert tlv(0xC0, bytes((kid, kvn, kind, size))) in told
    assert tlv(0xC0, bytes((0x13, KVN, 0xB1, 32))) not in told
