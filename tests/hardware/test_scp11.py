"""The host's side of SCP11 against published values; its other end is in tests/hardware/sim/test_scp11.py."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from operator import itemgetter
from typing import Any

import pytest

from hardware.certificates import Authority, parse
from hardware.crypto import Curve, ecdh, x963_kdf
from hardware.errors import AuthenticationError, PlanError, ProtocolError
from hardware.gp import commands
from hardware.iso7816 import AID, Command, Dialogue, Response, run
from hardware.keystores import Agreement, Derivation
from hardware.scp import DeriveKeys, OffCard, Opening, Terms, secured
from hardware.scp.scp11 import Scp11
from hardware.tlv import tlv
from tests.hardware.agreeing import changed
from tests.hardware.replay import Replay, replay
from tests.hardware.vectors import Vector, command, vectors

ISD = AID(bytes.fromhex("A000000151000000"))
PUBLISHED = vectors("scp11_openscp")
COMPUTED = [*vectors("scp11_pkcs11rs", i="00"), *vectors("scp11_pkcs11rs", i="01")]
ONE = vectors("scp11_openscp", id="openscp-scp11a-P256-AES128")[0]
SCRIPT = vectors("scp11_openscp", id="openscp-scp11c-P256-AES128")[0]
B = COMPUTED[0]
DAY = date(2026, 1, 1)


def seed(private: str) -> bytes:
    """Return the seed that makes *private* the ephemeral key."""
    return (int(private, 16) - 1).to_bytes(len(private) // 2 + 8, "big")


def off_card(v: Vector, **changes: Any) -> OffCard:
    """Return the off-card entity's part; the card is known by its certificate if that is valid, else by its key."""
    curve = Curve(v["curve"])
    part = OffCard(terms=Terms(curve=curve, key_size=v["key_size"]), seed=seed(v["esk_oce"]), today=DAY)
    if "cert_oce" in v:
        part = changed(part, chain=(bytes.fromhex(v["cert_oce"]),), ca_kvn=int(v["ca_kloc"]["kvn"], 16))
    elif v["i"] != "00":
        part = changed(part, chain=(b"\x30\x01\x00",))
    if "cert_sd" in v and v["cert_sd"].startswith("30"):
        ca = v["ca_klcc"]
        trusted = Authority(identifier=b"", curve=Curve(ca["curve"]), point=bytes.fromhex(ca["point"]))
        part = changed(part, authorities=(trusted,))
    else:
        key = bytes.fromhex(v["pk_sd"]) if "pk_sd" in v else parse(bytes.fromhex(v["cert_sd"])).point
        part = changed(part, card_key=key)
    return changed(part, **changes)


def opening(v: Vector, **changes: Any) -> Opening:
    return Opening(
        i=int(v["i"], 16), level=0x33, kvn=int(v["kvn"], 16), host_challenge=bytes(16), sd_aid=ISD,
        off_card=off_card(v, **changes),
    )  # fmt: skip


def keys(v: Vector) -> DeriveKeys:
    """Return a key store's work, done with the published private key."""

    def derive(kdd: bytes, wanted: Mapping[str, Derivation | Agreement]) -> dict[str, bytes]:
        found = {}
        for name, each in wanted.items():
            assert isinstance(each, Agreement)
            curve, secret = Curve(v["curve"]), each.shared
            if each.peer:
                secret += ecdh(curve, bytes.fromhex(v["sk_oce"]), each.peer)
            found[name] = x963_kdf(secret, each.info, 5 * each.size)[each.number * each.size :][: each.size]
        return found

    return derive


def blocks(v: Vector) -> list[tuple[str, str]]:
    """Return the published certificate blocks: P1 says that more follow; the chaining bit in CLA that they have beside isn't
    GlobalPlatform's (GPCS 11.1.4)."""
    if "perform_security_operation" not in v:
        return [] if v["i"] == "00" else [("802A001003300100" + "00", "9000")]
    return [("80" + each["command"][2:], each["response"]) for each in v["perform_security_operation"]]


def handshake(v: Vector) -> list[tuple[str, str]]:
    """Return the script up to the open channel."""
    first = [itemgetter("command", "response")(v["get_data"])] if v.get("cert_sd", "").startswith("30") else []
    return [*first, *blocks(v), itemgetter("command", "response")(v["mutual_authenticate"])]


@pytest.mark.parametrize("v", PUBLISHED + COMPUTED, ids=itemgetter("id"))
def test_open_sends_the_published_commands(v: Vector) -> None:
    """From the certificates to the receipt, on every curve, with every key size, in all three variants."""
    card = replay(handshake(v))
    session = run(Scp11.open(opening(v), keys(v)), card)
    assert card.finished
    assert (session.level, session.kdd) == (0x33, b"")


@pytest.mark.parametrize("v", PUBLISHED, ids=itemgetter("id"))
def test_commands_and_answers_are_the_published_ones(v: Vector) -> None:
    """C-MAC chained from the receipt, encryption both ways, R-MAC."""

    def dialogue() -> Dialogue[str]:
        answer = yield command(v["steps"][0]["plain"])
        return answer.data.hex().upper() + f"{answer.sw:04X}"

    session = run(Scp11.open(opening(v), keys(v)), replay(handshake(v)))
    card = replay([(v["steps"][0]["wrapped"], v["steps"][0]["response_raw"])])
    assert run(secured(dialogue(), session), card) == v["steps"][0]["response_plain"]
    assert card.finished


@pytest.mark.parametrize("v", PUBLISHED + COMPUTED, ids=itemgetter("id"))
@pytest.mark.parametrize("at", [0, -1])
def test_a_wrong_receipt_opens_nothing(v: Vector, at: int) -> None:
    """The message says which key was tried."""
    *ahead, (sent, answer) = handshake(v)
    wrong = bytearray.fromhex(answer)
    wrong[-18 if at == 0 else -3] ^= 1
    variant = {"00": "b", "01": "a", "03": "c"}[v["i"]]
    said = f"^the card's receipt does not verify: key set {v['kvn']}, key {v['kid']}, SCP11{variant}$"
    card = replay([*ahead, (sent, wrong.hex())])
    with pytest.raises(AuthenticationError, match=said) as refused:
        run(Scp11.open(opening(v), keys(v)), card)
    assert card.finished
    assert not refused.value.refused


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"today": date(2026, 5, 10)}, "certificate 1 isn't valid on 2026-05-10; tried key set 03, key 11, SCP11a"),
        ({"authorities": (Authority(identifier=b"", curve=Curve.P256, point=bytes.fromhex(ONE["ca_kloc"]["point"])),)},
         "signed by no CA that is trusted; tried key set 03"),
        ({"curve": Curve.BRAINPOOL_P256}, "the card's key is on P-256, the off-card entity's on brainpoolP256r1"),
    ],
)  # fmt: skip
def test_a_card_that_is_not_trusted_learns_nothing(changes: dict[str, Any], said: str) -> None:
    """Its certificates are looked at before anything is sent that it could use."""
    card = replay(handshake(ONE)[:1])
    with pytest.raises(AuthenticationError, match=said):
        run(Scp11.open(opening(ONE, **changes), keys(ONE)), card)
    assert card.finished


@pytest.mark.parametrize("store", ["", "BF2100", "7F2100", "BF21035301FF", "BF21FF"])
def test_an_ill_made_certificate_store(store: str) -> None:
    """No certificate, or something else: the card isn't known."""
    card = replay([(handshake(ONE)[0][0], store + "9000")])
    with pytest.raises((AuthenticationError, ProtocolError), match="certificate"):
        run(Scp11.open(opening(ONE), keys(ONE)), card)


def test_a_long_certificate_store_comes_in_parts() -> None:
    """What 61xx announces is fetched with GET RESPONSE."""
    (sent, answer), *rest = handshake(ONE)
    parts = [(sent, answer[:512] + "6100"), ("00C0000000", answer[512:1024] + "611D"), ("00C000001D", answer[1024:])]
    card = replay([*parts, *rest])
    run(Scp11.open(opening(ONE), keys(ONE)), card)
    assert card.finished


def test_without_a_way_to_know_the_card_nothing_is_sent() -> None:
    """Neither a CA nor the card's own key."""
    with pytest.raises(PlanError, match="needs a CA's key or the card's own"):
        run(Scp11.open(opening(ONE, authorities=()), keys(ONE)), replay([]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"i": None}, "option i"),
        ({"i": 0x02}, "i=02 isn't built in"),
        ({"i": 0x09}, "i=09 isn't built in"),
        ({"i": 0x05}, "i=05 needs host identifier"),
        ({"level": 0x00}, "level 00 isn't built in"),
        ({"level": 0x40}, "level 40 isn't built in"),
        ({"level": 0x73}, "level 73 isn't built in"),
        ({"off_card": None}, "off-card entity's part"),
        ({"off_card": off_card(ONE, host_id=b"host")}, "i=01 takes no host identifier"),
        ({"off_card": off_card(ONE, key_size=8)}, "not 8"),
        ({"off_card": off_card(ONE, chain=())}, "needs the certificates"),
    ],
)
def test_what_is_not_built_in_is_not_tried(changes: dict[str, Any], said: str) -> None:
    """Nothing is sent."""
    with pytest.raises(PlanError, match=said):
        run(Scp11.open(replace(opening(ONE), **changes), keys(ONE)), replay([]))


@pytest.mark.parametrize(
    ("v", "level", "usage"),
    [(ONE, 0x01, "34"), (ONE, 0x11, "34"), (ONE, 0x03, "3C"), (ONE, 0x13, "3C"), (ONE, 0x20, "3C"),
     (SCRIPT, 0x01, "1C"), (SCRIPT, 0x03, "1C"), (SCRIPT, 0x11, "34"), (SCRIPT, 0x13, "74"), (SCRIPT, 0x33, "3C")],
)  # fmt: skip
def test_the_level_has_at_least_the_protection_asked_for(v: Vector, level: int, usage: str) -> None:
    """Over SCP11a answers are always protected; only a script may do without."""
    *ahead, (sent, _) = handshake(v)
    request = sent.replace("95013C", "9501" + usage)
    with pytest.raises(AuthenticationError, match="6A88"):
        run(Scp11.open(replace(opening(v), level=level), keys(v)), replay([*ahead, (request, "6A88")]))


@pytest.mark.parametrize("sw", ["6600", "6640", "6A80", "6A88"])
def test_a_refused_certificate_is_the_hosts(sw: str) -> None:
    """The message names the card's CA key; no try is spent, so the blank isn't."""
    script = [*handshake(ONE)[:-2], (handshake(ONE)[-2][0], sw)]
    card = replay(script)
    with pytest.raises(AuthenticationError, match=f"certificates under its CA key 10 of key set 03: .*{sw}") as refused:
        run(Scp11.open(opening(ONE), keys(ONE)), card)
    assert card.finished
    assert not refused.value.refused


@pytest.mark.parametrize("sw", ["6985", "6A80", "6A88", "6D00"])
def test_a_refused_key_agreement_names_the_key(sw: str) -> None:
    """It is the card's that was asked for."""
    *ahead, (sent, _) = handshake(ONE)
    with pytest.raises(AuthenticationError, match=f"{sw}.*tried key set 03, key 11, SCP11a"):
        run(Scp11.open(opening(ONE), keys(ONE)), replay([*ahead, (sent, sw)]))


def wrong_answers(v: Vector) -> dict[str, str]:
    """Return answers to the key agreement that no right card gives."""
    answer = bytes.fromhex(handshake(v)[-1][1])[:-2]
    point, receipt = answer[:-18], answer[-18:]
    beside = point[:-1] + bytes((point[-1] ^ 1,))
    made = {
        "no receipt": point,
        "no point": receipt,
        "swapped": receipt + point,
        "short receipt": point + tlv(0x86, bytes(8)),
        "trailing": answer + tlv(0x86, bytes(16)),
        "cut": answer[:-1],
        "empty": b"",
        "beside the curve": beside + receipt,
        "short point": tlv(0x5F49, point[3:-1]) + receipt,
        "infinity": tlv(0x5F49, b"\0") + receipt,
    }
    return {name: each.hex() + "9000" for name, each in made.items()}


@pytest.mark.parametrize("v", [ONE, B, SCRIPT], ids=itemgetter("id"))
@pytest.mark.parametrize("name", wrong_answers(ONE))
def test_an_ill_made_answer_opens_nothing(v: Vector, name: str) -> None:
    """Also one without a receipt, as cards of SCP11b ahead of version 1.4 gave: it could be anyone's."""
    *ahead, (sent, _) = handshake(v)
    with pytest.raises((AuthenticationError, ProtocolError), match=r"key|static"):
        run(Scp11.open(opening(v), keys(v)), replay([*ahead, (sent, wrong_answers(v)[name])]))


def test_a_script_is_for_the_key_of_the_certificate() -> None:
    """SCP11c's card answers with its static key: another one is refused before keys are derived."""
    *ahead, (sent, _) = handshake(SCRIPT)
    other = handshake(ONE)[-1][1]
    with pytest.raises(AuthenticationError, match="another static key than its certificate's"):
        run(Scp11.open(opening(SCRIPT), keys(SCRIPT)), replay([*ahead, (sent, other)]))


def opened(v: Vector) -> Scp11:
    return run(Scp11.open(opening(v), keys(v)), replay(handshake(v)))


FORBIDDEN = {
    "PUT KEY": commands.put_key(0, 1, bytes(16), several=True),
    "SET STATUS": commands.set_status(commands.CARD, 0x0F, ISD),
    "DELETE [key]": commands.delete_keys(kvn=0x03, kid=0x10),
}
DELETE_AID = commands.delete(ISD)


@pytest.mark.parametrize("name", FORBIDDEN)
def test_no_script_changes_keys_or_states(name: str) -> None:
    """They are never allowed over SCP11c, and leave neither counter nor chaining value changed."""
    session, other = opened(SCRIPT), opened(SCRIPT)
    with pytest.raises(PlanError, match=f"^{re.escape(name)} is never allowed over SCP11c$"):
        session.wrap(FORBIDDEN[name])
    assert session.wrap(DELETE_AID).data == other.wrap(DELETE_AID).data
    assert opened(ONE).wrap(FORBIDDEN[name]).data


def test_the_dek_is_a_session_key() -> None:
    """The fifth of the agreed keys; it never leaves the key store."""
    dek = opened(ONE).dek()
    assert (dek.number, dek.size) == (4, 16)
    assert dek.peer == parse(bytes.fromhex(ONE["cert_sd"])).point
    assert Scp11.room(0x01, extended=False) == 239


def test_nothing_secret_prints() -> None:
    """Neither session keys nor the seed of the ephemeral key."""
    session = opened(ONE)
    for secret in (session.enc, session.mac, session.rmac, session.dek().shared, bytes.fromhex(ONE["esk_oce"])[-16:]):
        for shown in (repr(session), repr(session.dek()), repr(opening(ONE))):
            assert secret.hex() not in shown.lower()
            assert repr(secret)[2:-1] not in shown


def test_extended_commands_take_a_certificate_whole() -> None:
    """One PERFORM SECURITY OPERATION for each."""
    certificate = bytes.fromhex(ONE["cert_oce"])
    first, *_, last = handshake(ONE)
    whole = f"802A031000{len(certificate):04X}" + ONE["cert_oce"] + "0100"
    card: Replay = replay([first, (whole, "9000"), last])
    run(Scp11.open(replace(opening(ONE), extended=True), keys(ONE)), card)
    assert card.finished


def test_more_certificates_are_announced() -> None:
    """P2 says that another one follows, P1 that the block isn't the last of its own."""
    chain = (bytes(300), bytes.fromhex(ONE["cert_oce"]))
    sent: list[tuple[int, int, int]] = []

    def transmit(each: Command) -> Response:
        if each.ins == 0xCA:
            return Response.parse(bytes.fromhex(ONE["get_data"]["response"]))
        sent.append((each.p1, each.p2, len(each.data)))
        return Response(b"", 0x9000 if each.ins == 0x2A else 0x6A88)

    with pytest.raises(AuthenticationError, match="6A88"):
        run(Scp11.open(opening(ONE, chain=chain), keys(ONE)), transmit)
    assert sent[:-1] == [(0x83, 0x90, 255), (0x03, 0x90, 45), (0x83, 0x10, 255), (0x83, 0x10, 255), (0x03, 0x10, 23)]
