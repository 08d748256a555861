"""Scripts are prepared with keys and no card, run with a card and no keys, and verified with neither card nor wire."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from hardware.crypto import Curve
from hardware.errors import AuthenticationError, CardError, PlanError, ProtocolError
from hardware.iso7816 import AID, Command, Response
from hardware.scp import DeriveKeys, Foreseen, Opening, channel
from hardware.scp.script import Preparation, Script, play, prepare
from hardware.sim.blank import Blank, shipped
from hardware.sim.card import Card
from hardware.sim.eeprom import Eeprom, Json
from hardware.tlv import tlv
from tests.hardware import agreeing
from tests.hardware.issuing import Key
from tests.hardware.opening import keys_of

GET = Command("GET DATA", 0x80, 0xCA, 0, 0x42, ne=256, secret=())
STORE = Command("STORE DATA", 0x80, 0xE2, 0x90, 0, tlv(0x42, b"SCRIPTED"))
NOTHING = Foreseen()


class Plastic:
    """A simulated card with a counter of its own."""

    def __init__(self, blank: Blank, sequence: int = 0) -> None:
        values: dict[str, Json] = {"isd/state": "0F", "identity": "00" * 42, "scp/sequence": sequence, "scp/failures": 0}
        self.card = Card(blank, Eeprom(values | {"isd/data/42": "AA"}), lambda size: bytes(range(size)))
        self.sent: list[str] = []

    def __call__(self, command: Command) -> Response:
        self.sent.append(command.name)
        return Response.parse(self.card.transmit(bytes(command))[0])


def group(level: int = 0x33, **changes: Any) -> tuple[str, Blank, Opening, DeriveKeys, Foreseen]:
    """Return a group of SCP11c cards whose key is known."""
    part = agreeing.off_card(card_key=Key("card").point, authorities=(), **changes)
    return (
        "SCP11",
        agreeing.blank(agreeing.card_keys()),
        agreeing.opening("c", part, level),
        agreeing.derive(Curve.P256),
        NOTHING,
    )


def counted(name: str, scp: str, i: int, level: int, sequence: bytes) -> tuple[str, Blank, Opening, DeriveKeys, Foreseen]:
    """Return one card whose challenge is computed from its counter."""
    blank = replace(shipped(name), i=i)
    opening = Opening(i=i, level=level, kvn=blank.kvn, host_challenge=bytes(range(16)), sd_aid=AID(blank.isd_aid))
    keys = keys_of({"enc": blank.enc, "mac": blank.mac, "dek": blank.dek})
    return scp, blank, opening, keys, Foreseen(kdd=blank.kdd, sequence=sequence)


CARDS: dict[str, Callable[[], tuple[str, Blank, Opening, DeriveKeys, Foreseen]]] = {
    **{f"SCP11c level {level:02X}": partial(group, level) for level in (0x03, 0x11, 0x13, 0x33)},
    "SCP11c with identifiers": partial(group, host_id=b"HOST", card_group=agreeing.GROUP),
    **{f"SCP03 i={i:02X}": partial(counted, "export-scp03", "SCP03", i, 0x33, b"\0\0\6") for i in (0x70, 0x71)},
    "SCP02 i=55 level 03": partial(counted, "payment-scp02", "SCP02", 0x55, 0x03, b"\0\5"),
    "SCP02 i=75 level 13": partial(counted, "payment-scp02", "SCP02", 0x75, 0x13, b"\0\5"),
}


def made(name: str, *commands: Command) -> tuple[Preparation, Blank]:
    scp, blank, opening, derive, card = CARDS[name]()
    preparation = prepare(channel(scp), opening, derive, card)
    preparation.add(*(commands or (STORE, GET)))
    return preparation, blank


@pytest.mark.parametrize("name", CARDS)
def test_a_script_runs_without_a_key_and_is_verified_afterwards(name: str) -> None:
    """Through its text form; the answers are verified by preparing it anew."""
    script = Script.parse(str(made(name)[0].script))
    preparation, blank = made(name)
    assert script == preparation.script
    answers, stopped = play(script, Plastic(blank, 5))
    assert stopped is None
    assert [answer.sw for answer in answers] == [0x9000] * len(script.lines)
    assert [answer.data for answer in preparation.verified(answers)] == [b"", tlv(0x42, b"SCRIPTED")]


def test_one_script_is_for_a_whole_group() -> None:
    """SCP11c's runs on every card with the group's key, as often as one likes, and on no other card."""
    preparation, blank = made("SCP11c level 33")
    for _ in range(3):
        card = Plastic(blank)
        for _ in range(2):
            answers, stopped = play(preparation.script, card)
            assert stopped is None
            preparation.verified(answers)
            preparation, _blank = made("SCP11c level 33")
    stranger = Plastic(agreeing.blank(agreeing.card_keys().spoiled()))
    answers, stopped = play(preparation.script, stranger)
    assert str(stopped) == "MUTUAL AUTHENTICATE: the answer isn't that of the card that the script is for"
    assert stranger.sent[-1] == "MUTUAL AUTHENTICATE"
    with pytest.raises(AuthenticationError, match="the channel wasn't opened: MUTUAL AUTHENTICATE"):
        preparation.verified(answers)


@pytest.mark.parametrize("name", ["SCP03 i=70", "SCP02 i=55 level 03"])
def test_a_counter_that_has_moved_stops_the_script(name: str) -> None:
    """Ahead of EXTERNAL AUTHENTICATE, so no try is spent; a preliminary INITIALIZE UPDATE of SCP03 is enough."""
    preparation, blank = made(name)
    card = Plastic(blank, 6)
    answers, stopped = play(preparation.script, card)
    assert "isn't that of the card" in str(stopped)
    assert card.sent == ["INITIALIZE UPDATE"]
    assert len(answers) == 1


@pytest.mark.parametrize("name", ["SCP11c level 33", "SCP11c level 13", "SCP03 i=71", "SCP02 i=75 level 13"])
def test_no_changed_answer_is_verified(name: str) -> None:
    """R-MACs are looked at once the answers are back."""
    preparation, blank = made(name)
    answers, _ = play(preparation.script, Plastic(blank, 5))
    for wrong in (
        Response(bytes((answers[-1].data[0] ^ 1,)) + answers[-1].data[1:], 0x9000),
        Response(answers[-1].data, 0x6310),
        answers[-2],
    ):
        with pytest.raises(AuthenticationError, match="R-MAC"):
            made(name)[0].verified((*answers[:-1], wrong))
    with pytest.raises(ProtocolError, match="answers to"):
        made(name)[0].verified((*answers, answers[-1]))
    preparation.verified(answers)


def test_a_refusal_stops_the_script() -> None:
    """What was answered until then can still be verified."""
    unknown = replace(GET, p2=0x99)
    preparation, blank = made("SCP11c level 33", GET, unknown, STORE)
    card = Plastic(blank)
    answers, stopped = play(preparation.script, card)
    assert isinstance(stopped, CardError)
    assert (stopped.command, stopped.sw) == ("GET DATA", 0x6A88)
    assert "STORE DATA" not in card.sent
    plain = preparation.verified(answers)
    assert (plain[0].data, plain[1].sw) == (tlv(0x42, b"\xaa"), 0x6A88)


@pytest.mark.parametrize("command", [Command("PUT KEY", 0x80, 0xD8, 0, 1), Command("SET STATUS", 0x80, 0xF0, 0x80, 0x7F)])
def test_what_no_script_may_hold(command: Command) -> None:
    """Nobody can prepare it for SCP11c; for SCP03 it is one card's, once."""
    with pytest.raises(PlanError, match="is never allowed over SCP11c"):
        made("SCP11c level 33", command)
    made("SCP03 i=70", command)


@pytest.mark.parametrize(
    ("scp", "given"),
    [
        (
            "SCP11",
            lambda: (agreeing.opening("a", agreeing.off_card(card_key=Key("card").point)), agreeing.derive(Curve.P256)),
        ),
        ("SCP11", lambda: (agreeing.opening("c", agreeing.off_card()), agreeing.derive(Curve.P256))),
        ("SCP03", lambda: counted("export-scp03", "SCP03", 0x60, 0x33, b"")[2:4]),
        ("SCP02", lambda: counted("payment-scp02", "SCP02", 0x15, 0x03, b"\0\0")[2:4]),
        ("SCP02", lambda: counted("payment-scp02", "SCP02", 0x0A, 0x01, b"\0\0")[2:4]),
        ("SCP01", lambda: counted("payment-scp02", "SCP01", 0x05, 0x03, b"\0\0")[2:4]),
    ],
)
def test_a_card_with_a_choice_can_not_be_scripted_for(scp: str, given: Callable[[], tuple[Opening, DeriveKeys]]) -> None:
    """It draws an ephemeral key or a challenge, or isn't known yet."""
    opening, derive = given()
    with pytest.raises(PlanError, match="can"):
        prepare(channel(scp), opening, derive, NOTHING)


def test_no_key_is_in_a_script() -> None:
    """Nor is what was stored, where commands are encrypted."""
    preparation, blank = made("SCP11c level 33")
    text = str(preparation.script) + repr(preparation.script)
    assert b"SCRIPTED".hex().upper() not in text
    for secret in (preparation.channel.enc, preparation.channel.mac, preparation.channel.rmac, Key("host").private):  # type: ignore[attr-defined]
        assert secret.hex().upper() not in text
        assert repr(secret)[2:-1] not in text
    assert blank.ecka is not None
    assert blank.ecka.private.hex().upper() not in text


@pytest.mark.parametrize("text", ["", "{}x", "[1]", '[{"name": "X"}]', '{"a": 1}', "null"])
def test_what_is_no_script(text: str) -> None:
    """A ValueError, whatever is wrong."""
    with pytest.raises(ValueError, match=r"."):
        Script.parse(text)
