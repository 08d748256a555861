from dataclasses import replace
from operator import itemgetter

import pytest

from hardware.crypto import des3_cbc_mac, pad80, retail_mac
from hardware.errors import AuthenticationError, PlanError, ProtocolError
from hardware.iso7816 import AID, Command, run
from hardware.keystores import Base, Wrap
from hardware.keystores.soft import derived
from hardware.scp import Opening
from hardware.scp.scp02 import Scp02, derivation
from tests.hardware.opening import keys_of
from tests.hardware.replay import Replay, replay
from tests.hardware.vectors import Vector, command, vectors

KEY = bytes(range(0x40, 0x50))
AID_SD = AID(bytes.fromhex("A000000151000000"))
HOST = bytes.fromhex("0102030405060708")
CONSTANTS = {"enc": (Base.ENC, 0x0182), "mac": (Base.MAC, 0x0101), "rmac": (Base.MAC, 0x0102), "dek": (Base.DEK, 0x0181)}


def _static(v: Vector, base: Base) -> bytes:
    return bytes.fromhex(v["static_key"] if "static_key" in v else v["keys"][base])


DERIVED = vectors("scp_openjavacard", protocol="SCP02", type="session-key-derivation")
DERIVED += vectors("scp_pysim", protocol="SCP02")


@pytest.mark.parametrize("v", DERIVED, ids=itemgetter("id"))
def test_session_keys_are_the_published_ones(v: Vector) -> None:
    """All of a vector's session keys, that of R-MAC included, come from constant and counter."""
    for name, expected in v["session_keys"].items():
        base, constant = CONSTANTS[name]
        made = derived(_static(v, base), derivation(base, constant, bytes.fromhex(v["sequence_counter"])))
        assert made.hex().upper() == expected


@pytest.mark.parametrize("v", DERIVED, ids=itemgetter("id"))
def test_the_dek_is_a_session_key(v: Vector) -> None:
    """A session's DEK is derived with 0181 and the session's counter."""
    session = Scp02(i=0x15, level=1, kdd=bytes(10), sequence=bytes.fromhex(v["sequence_counter"]), enc=KEY, mac=KEY)
    assert derived(_static(v, Base.DEK), session.dek()).hex().upper() == v["session_keys"]["dek"]
    assert Scp02.WRAP is Wrap.DES3_ECB


@pytest.mark.parametrize(
    "v", vectors("scp_openjavacard", protocol="SCP02", type="wrap-with-given-session-keys"), ids=itemgetter("id")
)
def test_wrap_gives_the_published_commands(v: Vector) -> None:
    """From given session keys every command of a session is protected as in the vector, MAC chaining included."""
    enc, mac = (bytes.fromhex(v["session_keys"][name]) for name in ("enc", "mac"))
    session = Scp02(i=0x15, level=int(v["security_level"], 16), kdd=bytes(10), sequence=bytes(2), enc=enc, mac=mac)
    for step in v["steps"]:
        assert bytes(session.wrap(command(step["plain"]))).hex().upper() == step["wrapped"]


def test_a_command_without_data_is_not_encrypted() -> None:
    """At level 03 nothing is made of nothing: only the C-MAC is sent, the same as at level 01."""
    bare = Command("GET STATUS", 0x80, 0xF2, 0x20, 0x02, ne=256)
    wrapped = [Scp02(i=0x15, level=level, kdd=bytes(10), sequence=bytes(2), enc=KEY, mac=KEY).wrap(bare) for level in (1, 3)]
    assert bytes(wrapped[0]) == bytes(wrapped[1])
    assert len(wrapped[0].data) == 8


def _card(level: int, challenge: bytes) -> Replay:
    """Return a card with keys 40..4F and counter 0007, computed from the primitives only (no published vector for i=55)."""
    sequence = b"\0\7"
    enc = derived(KEY, derivation(Base.ENC, 0x0182, sequence))
    mac = derived(KEY, derivation(Base.MAC, 0x0101, sequence))
    cryptogram = des3_cbc_mac(enc, pad80(HOST + sequence + challenge, 8))
    proof = des3_cbc_mac(enc, pad80(sequence + challenge + HOST, 8))
    authenticate = bytes((0x84, 0x82, level, 0, 0x10)) + proof
    return replay(
        [
            (
                "8050000008" + HOST.hex() + "00",
                (bytes(10) + b"\xff\2" + sequence + challenge + cryptogram + b"\x90\0").hex(),
            ),
            ((authenticate + retail_mac(mac, pad80(authenticate, 8))).hex().upper(), "9000"),
        ]
    )


def _challenge(aid: bytes) -> bytes:
    return retail_mac(derived(KEY, derivation(Base.MAC, 0x0101, b"\0\7")), pad80(aid, 8))[:6]


def _opening(i: int | None, level: int = 1) -> Opening:
    return Opening(i=i, level=level, kvn=0, host_challenge=HOST, sd_aid=AID_SD)


@pytest.mark.parametrize("level", [1, 3])
def test_i_55_checks_the_computed_card_challenge(level: int) -> None:
    """The challenge that the SD AID gives is accepted; EXTERNAL AUTHENTICATE is never encrypted."""
    card = _card(level, _challenge(AID_SD))
    session = run(Scp02.open(_opening(0x55, level), keys_of(dict.fromkeys(Base, KEY))), card)
    assert card.finished
    assert session.level == level


def test_i_55_tells_another_security_domain_from_a_wrong_key() -> None:
    """The card proves its keys, but its challenge is that of another AID: the answer is out of order, no try is spent."""
    card = _card(1, _challenge(b"\xa0\0\0\0\3\0\0\0"))
    with pytest.raises(ProtocolError, match="security domain A000000151000000"):
        run(Scp02.open(_opening(0x55), keys_of(dict.fromkeys(Base, KEY))), card)
    assert len(card.sent) == 1


def test_i_55_with_a_wrong_key_is_a_wrong_key() -> None:
    """The cryptogram is looked at first, so that a wrong key isn't taken for a wrong AID."""
    card = _card(1, _challenge(AID_SD))
    with pytest.raises(AuthenticationError, match="cryptogram"):
        run(Scp02.open(_opening(0x55), keys_of(dict.fromkeys(Base, KEY[::-1]))), card)
    assert len(card.sent) == 1


def test_i_15_takes_any_card_challenge() -> None:
    """A drawn challenge has no rule."""
    card = _card(1, b"random")
    run(Scp02.open(_opening(0x15), keys_of(dict.fromkeys(Base, KEY))), card)
    assert card.finished


def test_i_must_be_stated() -> None:
    """An SCP02 answer doesn't say i, so the product must."""
    with pytest.raises(PlanError, match="stated"):
        run(Scp02.open(_opening(None), keys_of(dict.fromkeys(Base, KEY))), replay([]))


def test_there_are_no_extended_commands() -> None:
    """How their Lc would stand under the C-MAC is nowhere said; an opening for a card that takes them changes nothing."""
    session = run(
        Scp02.open(replace(_opening(0x15, 3), extended=True), keys_of(dict.fromkeys(Base, KEY))), _card(3, b"random")
    )
    for size in (240, 256):
        with pytest.raises(PlanError, match="don't fit a short command"):
            session.wrap(Command("STORE DATA", 0x80, 0xE2, 0, 0, bytes(size)))
    with pytest.raises(PlanError, match="SCP02 with commands of extended length isn't built in"):
        Scp02.room(0x15, extended=True)
    assert Scp02.room(0x15, extended=False) == 239
