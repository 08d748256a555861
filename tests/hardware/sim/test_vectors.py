"""The card's side of both protocols against published sessions and key derivations."""

from dataclasses import replace
from functools import partial
from operator import itemgetter
from typing import Any

import pytest

from hardware.sim import scp01, scp02, scp03
from hardware.sim.apdu import Answer, RefusedError, parse
from hardware.sim.blank import Blank, shipped
from hardware.sim.card import Card
from hardware.sim.eeprom import Eeprom, Json
from tests.hardware.sim.host import vectors

ISD_R = bytes.fromhex("A0000005591010FFFFFFFF8900000100")
H = bytes.fromhex
PYSIM = vectors("scp_pysim")
GLOBALPLATFORM = [v for v in vectors("scp_globalplatform") if "initialize_update" in v and "keys" in v]
STARTS = {"SCP01": scp01.Handshake, "SCP02": scp02.Handshake, "SCP03": scp03.Handshake}
OJC = vectors("scp_openjavacard")
SCP02 = partial(scp02.Channel, i=0x15)


def of(found: list[dict[str, Any]], **wanted: str) -> list[dict[str, Any]]:
    return [v for v in found if all(v.get(name) == value for name, value in wanted.items())]


def card(v: dict[str, Any], blank: Blank, sequence: int) -> Card:
    """Return a card of *blank* that carries the vector's keys and draws its challenge."""
    enc, mac, dek = (H(v["keys"][name]) for name in ("enc", "mac", "dek"))
    blank = replace(blank, kvn=int(v["keys"]["kvn"], 16), kdd=bytes(10), enc=enc, mac=mac, dek=dek)
    values: dict[str, Json] = {"isd/state": "0F", "scp/sequence": sequence, "scp/failures": 0}
    return Card(blank, Eeprom(values), lambda size: H(v["card_challenge"])[:size])


@pytest.mark.parametrize("v", of(PYSIM, protocol="SCP03"), ids=itemgetter("id"))
def test_scp03_card_answers_a_recorded_session(v: dict[str, Any]) -> None:
    """Challenge, cryptograms and counter equal those of a real card; it accepts every recorded command."""
    sim = card(v, replace(shipped("export-scp03"), i=0x70, isd_aid=ISD_R), int(v["sequence_counter"], 16) - 1)
    for exchange in ("initialize_update", "external_authenticate"):
        assert sim.transmit(H(v[exchange]["command"]))[0] == H(v[exchange]["response"])
    for step in v["steps"]:
        plain, _ = sim.transmit(H(step["wrapped"]))
        assert plain[-2:] not in (H("6988"), H("6982"))


def test_scp02_card_answers_a_published_session() -> None:
    """Card cryptogram and host cryptogram of SCP02 i=15 equal the vector's."""
    v = of(PYSIM, protocol="SCP02")[0]
    sim = card(v, replace(shipped("payment-scp02"), i=0x15), int(v["sequence_counter"], 16))
    update = H(v["initialize_update"]["command"][:4] + "70" + v["initialize_update"]["command"][6:])
    assert sim.transmit(update)[0] == H(v["initialize_update"]["response"])
    answer, changes = sim.transmit(H(v["external_authenticate"]["command"]))
    assert (answer, changes) == (H("9000"), {"scp/sequence": 2})
    for step in v["steps"]:
        assert sim.transmit(H(step["wrapped"]))[0][-2:] not in (H("6988"), H("6982"))


@pytest.mark.parametrize("v", PYSIM + GLOBALPLATFORM, ids=itemgetter("id"))
def test_handshake_and_channel_unwrap_every_recorded_command(v: dict[str, Any]) -> None:
    """From the static keys alone the card finds the host's cryptogram, each plain command and its own protected answer."""
    keys = (H(v["keys"]["enc"]), H(v["keys"]["mac"]), H(v["keys"]["dek"]))
    level, sequence, host = int(v["security_level"], 16), int(v.get("sequence_counter", "0"), 16), H(v["host_challenge"])
    i = 0x60 if v["protocol"] == "SCP03" else int(v["i"], 16)  # what the card drew is in the vector
    start: Any = STARTS[v["protocol"]]
    handshake = start(keys, i, ISD_R, sequence, host, lambda size: H(v["card_challenge"])[:size])
    assert handshake.host_cryptogram == H(v["host_cryptogram"])
    assert H(v["card_cryptogram"]) in handshake.answer
    channel = handshake.channel(level)
    channel.unwrap(parse(H(v["external_authenticate"]["command"]), extended=False), 0x01)
    for step in v["steps"]:
        plain = channel.unwrap(parse(H(step["wrapped"]), extended=False), level)
        room = {0x11: 248, 0x33: 239}.get(level, 256)
        expected = parse(H(step["plain"]), extended=False)
        assert plain == replace(expected, ne=expected.ne and room)
        if "response_plain" in step:
            answer = channel.protect(Answer(data=H(step["response_plain"])[:-2]))
            assert answer.data + H("9000") == H(step["response_raw"])


@pytest.mark.parametrize("v", of(OJC, type="wrap-with-given-session-keys"), ids=itemgetter("id"))
def test_channel_unwraps_to_the_plain_command(v: dict[str, Any]) -> None:
    """Given session keys, every wrapped command yields its plain form, at levels 01 and 03."""
    keys, level = v["session_keys"], int(v["security_level"], 16)
    kind: Any = SCP02 if v["protocol"] == "SCP02" else scp03.Channel
    channel = kind(enc=H(keys["enc"]), mac=H(keys["mac"]), dek=bytes(16), level=level)
    for step in v["steps"]:
        plain = channel.unwrap(parse(H(step["wrapped"]), extended=False), level)
        assert plain == parse(H(step["plain"]), extended=False)


@pytest.mark.parametrize("v", vectors("scp_yubikit"), ids=itemgetter("id"))
def test_channel_unwraps_commands_of_extended_length(v: dict[str, Any]) -> None:
    """The Lc under the C-MAC is the one that came, of three bytes or of one."""
    keys, level = v["session_keys"], int(v["security_level"], 16)
    channel = scp03.Channel(enc=H(keys["enc"]), mac=H(keys["mac"]), dek=bytes(16), level=level)
    for step in v["steps"]:
        came, plain = parse(H(step["wrapped"]), extended=True), parse(H(step["plain"]), extended=True)
        assert channel.unwrap(came, level) == replace(plain, extended=came.extended)


@pytest.mark.parametrize("v", of(OJC, type="session-key-derivation", protocol="SCP02"), ids=itemgetter("id"))
def test_scp02_session_keys(v: dict[str, Any]) -> None:
    """ENC, C-MAC and DEK session keys follow from the sequence counter."""
    found = {
        name: scp02.session_key(H(v["static_key"]), constant, int(v["sequence_counter"], 16)).hex().upper()
        for name, constant in (("enc", 0x0182), ("mac", 0x0101), ("dek", 0x0181))
    }
    assert found == {name: v["session_keys"][name] for name in found}


def test_scp03_pseudo_random_challenge() -> None:
    """The challenge of counter and AID equals the published one."""
    v = of(OJC, id="ojc-scp03-sk-000010")[0]
    key, (aid,) = H(v["static_key"]), v["pseudo_random_challenge_matches_sd_aid"]
    handshake = scp03.Handshake((key,) * 3, 0x10, H(aid), 0x0F, H(v["host_challenge"]), bytes)
    assert handshake.answer[2:10] == H(v["card_challenge"])
    assert handshake.answer[18:] == H(v["sequence_counter"])


@pytest.mark.parametrize("v", of(OJC, type="sensitive-data-encryption"), ids=itemgetter("id"))
def test_sensitive_data_decrypts(v: dict[str, Any]) -> None:
    """Session DEK with 3DES-ECB, static K-DEK with AES-CBC."""
    kind: Any = SCP02 if v["protocol"] == "SCP02" else scp03.Channel
    dek, sealed = H(v.get("dek_session") or v["dek"]), H(v["encrypted"])
    channel = kind(enc=bytes(16), mac=bytes(16), dek=dek, level=3)
    # the SCP03 vectors are PUT KEY blocks, which state the clear length first
    assert channel.decrypt(sealed if kind is SCP02 else sealed[1:]) == H(v["plain"])


@pytest.mark.parametrize("kind", [SCP02, scp03.Channel])
@pytest.mark.parametrize("data", [b"", bytes(7), bytes(17)])
def test_sensitive_data_of_a_wrong_length_is_refused(kind: Any, data: bytes) -> None:
    """No data, or a part of a block, is bad data."""
    channel = kind(enc=bytes(16), mac=bytes(16), dek=bytes(16), level=3)
    with pytest.raises(RefusedError, match="6A80"):
        channel.decrypt(data)


@pytest.mark.parametrize(
    ("name", "file", "vector", "keys"),
    [
        ("payment-scp02", "key_diversification", "ojc-emv-0102030405060708090A", "keys"),
        ("export-scp03", "key_diversification", "gppro-kdf3-128", "keys_recomputed_by_reference"),
    ],
)
def test_shipped_blanks_carry_published_keys(name: str, file: str, vector: str, keys: str) -> None:
    """The literal keys of a blank are those of the source that it cites."""
    (v,) = of(vectors(file), id=vector)
    blank = shipped(name)
    assert {"enc": blank.enc, "mac": blank.mac, "dek": blank.dek} == {n: H(k) for n, k in v[keys].items()}
    assert blank.kdd == H(v["kdd"])
