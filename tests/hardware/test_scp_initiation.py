from dataclasses import replace
from operator import itemgetter

import pytest

from hardware.errors import AuthenticationError, CardError, HardwareError, PlanError, ProtocolError
from hardware.iso7816 import Command, Dialogue, run
from hardware.scp import Opening, SecureChannel, channel, secured
from hardware.scp.scp01 import Scp01
from hardware.scp.scp02 import Scp02
from hardware.scp.scp03 import Scp03
from tests.hardware.opening import handshake, opening, static_keys
from tests.hardware.replay import Replay, replay
from tests.hardware.secrecy import assert_silent
from tests.hardware.vectors import Vector, built_in, combination, command, matrix, sessions, simulator_only

OPENED = [v for v in sessions() if "initialize_update" in v]
ONE_EACH = [v for v in OPENED if v["id"] in ("gp-scp01-05-03", "pysim-scp02-01", "pysim-scp03-AES128-03")]
each_opened = pytest.mark.parametrize("v", OPENED, ids=itemgetter("id"))
each_protocol = pytest.mark.parametrize("v", ONE_EACH, ids=itemgetter("protocol"))


def opened(v: Vector, card: Replay, how: Opening | None = None) -> SecureChannel:
    return run(channel(v["protocol"]).open(how or opening(v), static_keys(v)), card)


def given(v: Vector, level: int) -> SecureChannel:
    """Return a channel with the vector's session keys, at a level of its own."""
    keys = v["session_keys"] if "session_keys" in v else v["keys"]
    enc, mac = (bytes.fromhex(keys[name]) for name in ("enc", "mac"))
    if v["protocol"] == "SCP01":
        return Scp01(i=0x15, level=level, kdd=bytes(10), enc=enc, mac=mac)
    if v["protocol"] == "SCP02":
        return Scp02(i=0x15, level=level, kdd=bytes(10), sequence=bytes(2), enc=enc, mac=mac)
    return Scp03(level=level, kdd=bytes(10), enc=enc, mac=mac)


def answering(v: Vector, answer: str) -> Replay:
    """Return a card that gives another answer to INITIALIZE UPDATE and must not hear EXTERNAL AUTHENTICATE."""
    return replay([(handshake(v)[0][0], answer)])


def test_the_vectors_at_hand_are_used() -> None:
    """All published handshakes are of what is built in."""
    scp03 = {("SCP03", 0x70, bits, level) for bits in (128, 192, 256) for level in (0x11, 0x03, 0x33)}
    des = {("SCP01", 0x05, 128, 1), ("SCP01", 0x05, 128, 3), ("SCP02", 0x15, 128, 1), ("SCP02", 0x15, 128, 3)}
    assert {combination(v) for v in OPENED} == scp03 | des | {("SCP03", 0x10, 192, 3)}
    assert {combination(v) for v in sessions()} <= set(built_in())


@each_opened
def test_open_sends_the_published_commands(v: Vector) -> None:
    """Both handshake commands, with cryptogram and C-MAC, match the vector byte for byte, and so does every wrapped one."""
    card = replay(handshake(v))
    session = opened(v, card)
    assert card.finished
    for step in v["steps"]:
        assert bytes(session.wrap(command(step["plain"]))).hex().upper() == step["wrapped"]
    assert session.kdd == bytes.fromhex(v["initialize_update"]["response"][:20])


@each_opened
def test_key_set_0_takes_the_cards_default(v: Vector) -> None:
    """With KVN 00 the card chooses, and any answer will do."""
    (first, answer), second = handshake(v)
    channel = opened(v, replay([(first[:4] + "00" + first[6:], answer), second]), opening(v, kvn=0))
    assert channel.kdd == bytes.fromhex(answer[:20])


@each_protocol
def test_another_key_set_than_asked_for_is_not_opened(v: Vector) -> None:
    """The card's keys aren't what the plan says, although they would verify: the SCP02 vector has such an answer."""
    (first, answer), _ = handshake(v)
    card = replay([(first[:4] + "20" + first[6:], answer)])
    if v["protocol"] == "SCP02":
        assert card.script[0][0] == v["initialize_update"]["command"]
    with pytest.raises(ProtocolError, match=f"answers for key set {v['keys']['kvn']}, not 20"):
        opened(v, card, opening(v, kvn=0x20))


@each_protocol
def test_an_answer_of_any_other_length_is_refused(v: Vector) -> None:
    """Cut at every byte, or longer: INITIALIZE UPDATE's answer is taken whole or not at all."""
    answer = v["initialize_update"]["response"][:-4]
    for wrong in [answer[:end] for end in range(0, len(answer), 2)] + [answer + "00"]:
        with pytest.raises(ProtocolError, match=r"INITIALIZE UPDATE: .*bytes"):
            opened(v, answering(v, wrong + "9000"))


@each_protocol
def test_a_wrong_card_cryptogram_spends_no_try(v: Vector) -> None:
    """Any flipped bit of the challenge or cryptogram stops the host before EXTERNAL AUTHENTICATE."""
    answer = bytes.fromhex(v["initialize_update"]["response"])
    start, end = (13, 29) if v["protocol"] == "SCP03" else (12, 28)
    for bit in range(8 * start, 8 * end):
        wrong = bytearray(answer)
        wrong[bit // 8] ^= 0x80 >> bit % 8
        card = answering(v, wrong.hex())
        with pytest.raises(
            AuthenticationError, match=f"^card cryptogram does not verify with key set {v['keys']['kvn']}$"
        ) as raised:
            opened(v, card)
        assert not raised.value.refused
        assert len(card.sent) == 1


@each_protocol
def test_wrong_keys_spend_no_try(v: Vector) -> None:
    """With halves of ENC and MAC exchanged the card isn't asked to accept the host."""
    keys = v["keys"] | {name: v["keys"][name][16:] + v["keys"][name][:16] for name in ("enc", "mac")}
    with pytest.raises(AuthenticationError, match="cryptogram"):
        opened(v | {"keys": keys}, answering(v, v["initialize_update"]["response"]), opening(v))


@each_protocol
@pytest.mark.parametrize("protocol", ["00", "01", "02", "03", "11"])
def test_another_protocol_is_refused(v: Vector, protocol: str) -> None:
    """A card that speaks another protocol than its product says is told from a wrong key."""
    answer = v["initialize_update"]["response"]
    if answer[22:24] == protocol:
        return
    with pytest.raises(ProtocolError, match=f"answers for SCP{protocol}, not {v['protocol']}"):
        opened(v, answering(v, answer[:22] + protocol + answer[24:]))


@each_protocol
@pytest.mark.parametrize("sw", ["6300", "6982", "6985", "6988"])
def test_a_refused_host_is_told(v: Vector, sw: str) -> None:
    """A try of the card's counter is spent: the error says so, and what the card said."""
    first, (second, _) = handshake(v)
    with pytest.raises(AuthenticationError, match=f"EXTERNAL AUTHENTICATE: {sw}") as raised:
        opened(v, replay([first, (second, sw)]))
    assert raised.value.refused
    assert isinstance(raised.value.__cause__, CardError)


@each_protocol
@pytest.mark.parametrize("sw", ["6A88", "6983"])
def test_a_refused_initialize_update_is_the_cards_error(v: Vector, sw: str) -> None:
    """An unknown key set or a blocked card is no authentication failure."""
    with pytest.raises(CardError, match=f"INITIALIZE UPDATE: {sw}"):
        opened(v, answering(v, sw))


@each_protocol
@pytest.mark.parametrize("level", [0x02, 0x12, 0x20, 0x21, 0x23, 0x31, 0x32, 0xFF])
def test_a_level_that_is_not_built_in_is_refused_before_anything_is_sent(v: Vector, level: int) -> None:
    """Combinations that no channel has don't reach the card."""
    with pytest.raises(PlanError, match=f"level {level:02X}"):
        opened(v, replay([]), opening(v, level=level))


@each_protocol
def test_an_option_that_is_not_built_in_is_refused_before_anything_is_sent(v: Vector) -> None:
    """Every other i, S16 mode and implicit initiation among them."""
    known = {i for protocol, i, *_ in built_in() if protocol == v["protocol"]}
    for i in set(range(256)) - known:
        with pytest.raises(PlanError, match=f"i={i:02X}"):
            opened(v, replay([]), opening(v, i=i))


@each_protocol
@pytest.mark.parametrize("size", [0, 7])
def test_a_host_challenge_has_8_bytes(v: Vector, size: int) -> None:
    """A shorter one never reaches the card; of a longer one the first 8 bytes are sent."""
    with pytest.raises(ValueError, match=f"8 bytes, not {size}"):
        opened(v, replay([]), replace(opening(v), host_challenge=bytes(size)))
    card = replay(handshake(v))
    opened(v, card, replace(opening(v), host_challenge=opening(v).host_challenge + bytes(8)))
    assert card.finished


@each_protocol
def test_a_secured_dialogue_sends_the_published_commands(v: Vector) -> None:
    """A run of commands is wrapped before its first is sent, a single one when its turn comes; both keep their order."""
    plain = [command(step["plain"]) for step in v["steps"]]
    session = opened(v, replay(handshake(v)))

    def dialogue() -> Dialogue[None]:
        yield plain[0]
        yield tuple(plain[1:])

    card = replay([(step["wrapped"], "9000") for step in v["steps"]])
    run(secured(dialogue(), session), card)
    assert card.finished


@pytest.mark.parametrize("level", [0x01, 0x03])
@each_protocol
def test_a_command_that_does_not_fit_is_refused_and_leaves_the_channel_as_it_was(v: Vector, level: int) -> None:
    """247 bytes fit at level 01 and 239 at level 03; a refused command isn't counted or chained."""
    session, other = given(v, level), given(v, level)
    most = Command("STORE DATA", 0x80, 0xE2, 0, 0, bytes(247 if level == 1 else 239))
    wrongs = [replace(most, data=most.data + b"\0"), replace(most, data=b"", ne=65536)]
    for wrong in wrongs:
        with pytest.raises(PlanError, match=r"^STORE DATA: .* don't fit a short command"):
            session.wrap(wrong)
    for wrong in (replace(most, cla=0x81), replace(most, cla=0xC0)):
        with pytest.raises(ValueError, match=r"^STORE DATA: "):
            session.wrap(wrong)
    wrapped = session.wrap(most)
    assert bytes(wrapped) == bytes(other.wrap(most))
    assert len(wrapped.data) in (255, 248)
    assert (wrapped.name, wrapped.accept) == (most.name, most.accept)


@pytest.mark.parametrize(("plain", "secure"), [(0x80, 0x84), (0x00, 0x04), (0x84, 0x84)])
@each_protocol
def test_the_class_byte_says_secure_messaging(v: Vector, plain: int, secure: int) -> None:
    """CLA gets bit b3, whatever the command's class."""
    session = opened(v, replay(handshake(v)))
    assert session.wrap(Command("GET DATA", plain, 0xCA, 0, 0x66)).cla == secure


@each_opened
def test_nothing_secret_prints(v: Vector) -> None:
    """Neither static nor session keys, nor a cryptogram, are in a channel's repr or in any error."""
    names = ("enc", "mac", "dek", "rmac")
    secrets = [
        bytes.fromhex(v[kind][name]) for kind in ("keys", "session_keys") for name in names if name in v.get(kind, {})
    ]
    secrets += [bytes.fromhex(v["host_cryptogram"]), bytes.fromhex(v["card_cryptogram"])]
    session = opened(v, replay(handshake(v)))
    session.wrap(command("80CA006600"))
    assert_silent(session, *secrets)
    assert_silent(session.dek(), *secrets)
    first, (second, _) = handshake(v)
    answer = first[1]
    for card in (
        answering(v, "9000"),
        answering(v, answer[:-6] + "009000"),
        answering(v, answer[:24] + "FF" * 16 + "9000"),
        replay([first, (second, "6300")]),
    ):
        with pytest.raises(HardwareError) as raised:
            opened(v, card)
        assert_silent(raised.value, *secrets)


@pytest.mark.parametrize("key", ["SCP04", "SCP99", "scp02", "SCP", "../SCP02", "initiation", ""])
def test_an_unknown_channel_is_refused(key: str) -> None:
    """Only what is built in can be named."""
    with pytest.raises(PlanError, match="built in"):
        channel(key)


def test_what_has_no_published_vector_is_listed() -> None:
    """The test run's last lines name what is proved by the simulated card only."""
    listed = simulator_only()
    assert ("SCP02", 0x55, 128, 0x01) in listed
    assert ("SCP03", 0x00, 256, 0x03) in listed
    assert ("SCP02", 0x15, 128, 0x01) not in listed
    assert ("SCP03", 0x70, 192, 0x03) not in listed


def test_the_options_and_levels_are_those_of_the_specifications() -> None:
    """SCP01 two, SCP02 the twenty-four of its table, SCP03 by its bits; levels as each option allows."""
    options = {kind: bytes(sorted(channel(kind).OPTIONS)).hex() for kind in ("SCP01", "SCP02", "SCP03")}
    assert options == {
        "SCP01": "0515",
        "SCP02": "04050a0b14151a1b24252a2b34353a3b4445545564657475",
        "SCP03": "000110112021303160617071",
    }
    of = channel("SCP02").OPTIONS
    assert {i: sorted(of[i]) for i in (0x15, 0x75, 0x1B, 0x3B)} == {
        0x15: [0, 1, 3], 0x75: [0, 1, 3, 0x10, 0x11, 0x13], 0x1B: [1], 0x3B: [1, 0x11],
    }  # fmt: skip
    assert [sorted(channel("SCP03").OPTIONS[i]) for i in (0x11, 0x20, 0x70)] == [
        [1, 3], [1, 3, 0x11, 0x13], [1, 3, 0x11, 0x13, 0x33],
    ]  # fmt: skip


def test_every_combination_has_its_line() -> None:
    """With the ids of what proves it, or that only the simulated card does."""
    lines = {line.partition(":")[0]: line for line in matrix()}
    assert len(lines) == 2 + 24 + 12 * 3 + 6 * 3 * 3
    assert lines["SCP11 i=01 P-384 AES-128"].endswith(": 11 simulator only; 33 openscp-scp11a-P384-AES128")
    assert lines["SCP02 i=55 3DES"].endswith(": 00 simulator only; 01 simulator only; 03 simulator only")
    assert "03 gp-scp01-05-03" in lines["SCP01 i=05 3DES"]
    assert "yubikit-scp03-extended-01 (no handshake)" in lines["SCP03 i=70 AES-128"]
