from dataclasses import replace
from operator import itemgetter

import pytest

from hardware.crypto import cmac, kbkdf_cmac
from hardware.errors import AuthenticationError, CardError, PlanError, ProtocolError
from hardware.iso7816 import AID, Command, Dialogue, Response, run
from hardware.keystores import Base, Derivation, Method, Wrap
from hardware.keystores.soft import derived
from hardware.scp import Opening, secured
from hardware.scp.scp03 import Scp03, derivation
from tests.hardware.opening import ISD_R, handshake, keys_of, opening, static_keys
from tests.hardware.replay import Replay, replay
from tests.hardware.secrecy import assert_silent
from tests.hardware.vectors import Vector, command, vectors

CONSTANTS = {"enc": (Base.ENC, 4), "mac": (Base.MAC, 6), "rmac": (Base.MAC, 7)}
PYSIM = vectors("scp_pysim", protocol="SCP03")
DERIVED = PYSIM + vectors("scp_openjavacard", protocol="SCP03", type="session-key-derivation")
ONE = vectors("scp_pysim", id="pysim-scp03-AES128-03")[0]
ANSWERED = [v for v in PYSIM if v["security_level"] != "03"]


def _static(v: Vector, base: Base) -> bytes:
    return bytes.fromhex(v["static_key"] if "static_key" in v else v["keys"][base])


def _context(v: Vector) -> bytes:
    return bytes.fromhex(v["host_challenge"] + v["card_challenge"])


@pytest.mark.parametrize("v", DERIVED, ids=itemgetter("id"))
def test_session_keys_are_the_published_ones(v: Vector) -> None:
    """All of a vector's session keys, that of R-MAC included, at every level and key size, as long as the static ones."""
    for name, expected in v["session_keys"].items():
        base, constant = CONSTANTS[name]
        assert derived(_static(v, base), derivation(base, constant, _context(v))).hex().upper() == expected


@pytest.mark.parametrize("v", PYSIM, ids=itemgetter("id"))
def test_cryptograms_are_the_published_ones(v: Vector) -> None:
    """Both cryptograms, at every level and key size, come from the session MAC key."""
    mac = bytes.fromhex(v["session_keys"]["mac"])
    for name, constant in (("card_cryptogram", 0), ("host_cryptogram", 1)):
        assert derived(mac, derivation(Base.MAC, constant, _context(v), 64)).hex().upper() == v[name]


@pytest.mark.parametrize("v", DERIVED, ids=itemgetter("id"))
def test_card_challenges_are_the_published_ones(v: Vector) -> None:
    """The pseudo-random challenge comes from K-ENC, counter and SD AID."""
    aid = bytes.fromhex(v.get("pseudo_random_challenge_matches_sd_aid", [ISD_R.hex()])[0])
    wanted = derivation(Base.ENC, 2, bytes.fromhex(v["sequence_counter"]) + aid, 64)
    assert derived(_static(v, Base.ENC), wanted).hex().upper() == v["card_challenge"]


@pytest.mark.parametrize(
    "v", vectors("scp_openjavacard", protocol="SCP03", type="wrap-with-given-session-keys"), ids=itemgetter("id")
)
def test_wrap_gives_the_published_commands(v: Vector) -> None:
    """From given session keys every command of a session is protected as in the vector, chaining and counter included."""
    enc, mac = (bytes.fromhex(v["session_keys"][name]) for name in ("enc", "mac"))
    session = Scp03(level=int(v["security_level"], 16), kdd=bytes(10), enc=enc, mac=mac)
    for step in v["steps"]:
        assert bytes(session.wrap(command(step["plain"]))).hex().upper() == step["wrapped"]


@pytest.mark.parametrize("v", vectors("scp_yubikit"), ids=itemgetter("id"))
def test_wrap_gives_commands_of_extended_length(v: Vector) -> None:
    """Lc takes three bytes, under the C-MAC too, where the protected data need them; a short one in between has one byte."""
    enc, mac = (bytes.fromhex(v["session_keys"][name]) for name in ("enc", "mac"))
    session = Scp03(level=int(v["security_level"], 16), kdd=bytes(10), enc=enc, mac=mac, extended=True)
    for step in v["steps"]:
        assert bytes(session.wrap(command(step["plain"]))).hex().upper() == step["wrapped"]


@pytest.mark.parametrize(("data", "ne", "lc"), [(9, 256, "11"), (9, 65536, "000011"), (0, 65536, "000008"), (0, 256, "08")])
def test_an_answer_of_extended_length_makes_its_command_one(data: int, ne: int, lc: str) -> None:
    """Lc and Le are of one kind (ISO/IEC 7816-4 section 5.2), on the wire as under the C-MAC."""
    session = Scp03(level=1, kdd=bytes(10), enc=bytes(16), mac=bytes(16), extended=True)
    wrapped = bytes(session.wrap(Command("GET DATA", 0x80, 0xCA, 0, 0x66, bytes(data), ne=ne)))
    head = bytes.fromhex("84CA0066" + lc) + bytes(data)
    assert wrapped == head + cmac(bytes(16), bytes(16) + head)[:8] + (b"\0" if ne == 256 else b"\0\0")


@pytest.mark.parametrize(
    ("level", "size", "most", "total"),
    [(1, 8, 65527, 65535), (3, 8, 65519, 65528), (1, 16, 65519, 65535), (3, 16, 65503, 65520)],
)
def test_an_extended_command_has_an_end_too(level: int, size: int, most: int, total: int) -> None:
    """Lc counts to 65,535, MAC and padding included; a refused command isn't counted or chained."""
    keys = {"enc": bytes(16), "mac": bytes(16)}
    session, other = (Scp03(level=level, kdd=bytes(10), size=size, extended=True, pad_empty=False, **keys) for _ in range(2))
    longest = Command("STORE DATA", 0x80, 0xE2, 0, 0, bytes(most))
    for wrong in (replace(longest, data=bytes(most + 1)), replace(longest, ne=65537)):
        with pytest.raises(PlanError, match=r"^STORE DATA: .* don't fit an extended command"):
            session.wrap(wrong)
    wrapped = session.wrap(longest)
    assert len(wrapped.data) == total
    assert wrapped == other.wrap(longest)


@pytest.mark.parametrize("size", [240, 255, 256, 4096])
def test_no_extended_command_leaves_for_a_card_that_takes_none(size: int) -> None:
    """A burst is refused whole, ahead of its first command, wherever in it the long one stands."""
    session = Scp03(level=3, kdd=bytes(10), enc=bytes(16), mac=bytes(16))
    short = Command("STORE DATA", 0x80, 0xE2, 0, 0, bytes(239))

    def dialogue() -> Dialogue[None]:
        yield short, replace(short, data=bytes(size)), short

    with pytest.raises(PlanError, match=f"^STORE DATA: {size} bytes of data don't fit a short command"):
        run(secured(dialogue(), session), replay([]))


@pytest.mark.parametrize("extended", [False, True])
def test_the_opening_says_what_the_card_takes(extended: bool) -> None:
    """And nothing that the card answers does."""
    session = run(Scp03.open(replace(opening(ONE), extended=extended), static_keys(ONE)), replay(handshake(ONE)))
    assert session.extended is extended
    assert Scp03.room(0x70, extended=extended) == (65519 if extended else 239)
    assert Scp03.room(0x71, extended=extended) == Scp03.room(None, extended=extended) == (65503 if extended else 223)


def test_the_dek_is_the_static_one() -> None:
    """SCP03 has no session DEK."""
    session = Scp03(level=1, kdd=bytes(10), enc=bytes(16), mac=bytes(16))
    assert session.dek() == Derivation(base=Base.DEK, method=Method.STATIC)
    assert Scp03.WRAP is Wrap.AES_CBC


def test_the_counter_moves_without_data() -> None:
    """A command without data isn't encrypted, but the next one uses the counter after it."""
    data = Command("STORE DATA", 0x80, 0xE2, 0, 0, b"data")
    bare = Command("GET STATUS", 0x80, 0xF2, 0x20, 0x02)
    one, other = (Scp03(level=3, kdd=bytes(10), enc=bytes(16), mac=bytes(16)) for _ in range(2))
    assert len(one.wrap(bare).data) == 8
    first = other.wrap(data).data[:16]
    assert one.wrap(data).data[:16] == other.wrap(data).data[:16] != first


@pytest.mark.parametrize("i", ["00", "10", "20", "30", "60", "71", "F0"])
def test_another_option_than_the_products_is_refused(i: str) -> None:
    """The card's i is compared with that of its product."""
    (first, answer), _ = handshake(ONE)
    with pytest.raises(ProtocolError, match=f"answers with i={i}, not 70"):
        run(Scp03.open(opening(ONE), static_keys(ONE)), replay([(first, answer[:24] + i + answer[26:])]))


def test_an_unstated_option_is_the_cards() -> None:
    """With i None the card's is taken, pseudo-random challenge included."""
    card = replay(handshake(ONE))
    run(Scp03.open(replace(opening(ONE), i=None), static_keys(ONE)), card)
    assert card.finished


@pytest.mark.parametrize("i", ["01", "71"])
def test_s16_must_be_known_ahead(i: str) -> None:
    """The host challenge has its length: a card in S16 mode that answers 8 bytes is out of order."""
    (first, answer), _ = handshake(ONE)
    with pytest.raises(ProtocolError, match=f"answers a challenge of 8 bytes with i={i}"):
        run(Scp03.open(replace(opening(ONE), i=None), static_keys(ONE)), replay([(first, answer[:24] + i + answer[26:])]))


@pytest.mark.parametrize("i", ["40", "50", "51", "08", "F0"])
def test_an_unstated_option_must_be_built_in(i: str) -> None:
    """A card with reserved bits, or with R-ENCRYPTION and no R-MAC, is refused before EXTERNAL AUTHENTICATE."""
    (first, answer), _ = handshake(ONE)
    with pytest.raises(PlanError, match=f"i={i}"):
        run(Scp03.open(replace(opening(ONE), i=None), static_keys(ONE)), replay([(first, answer[:24] + i + answer[26:])]))


def test_another_security_domain_is_told_from_a_wrong_key() -> None:
    """The card proves its keys, but its challenge is that of another AID: no try is spent."""
    card = replay(handshake(ONE)[:1])
    how = replace(opening(ONE), sd_aid=AID(bytes.fromhex("A000000151000000")))
    with pytest.raises(ProtocolError, match="security domain A000000151000000"):
        run(Scp03.open(how, static_keys(ONE)), card)
    assert card.finished


def _random_challenge_card(i: int, key: bytes, level: int) -> Replay:
    """Return a card whose challenge is drawn, computed from the primitives only (no published vector)."""
    host, challenge = bytes(range(8)), b"A random"

    def kdf(base: bytes, constant: int, bits: int) -> bytes:
        return kbkdf_cmac(base, bytes(11) + bytes((constant, 0)) + bits.to_bytes(2, "big"), host + challenge, bits)

    mac = kdf(key, 6, 8 * len(key))
    authenticate = bytes((0x84, 0x82, level, 0, 0x10)) + kdf(mac, 1, 64)
    answer = bytes(range(10)) + b"\x30\x03" + bytes((i,)) + challenge + kdf(mac, 0, 64)
    return replay(
        [
            ("8050000008" + host.hex() + "00", answer.hex() + "9000"),
            ((authenticate + cmac(mac, bytes(16) + authenticate)[:8]).hex().upper(), "9000"),
        ]
    )


@pytest.mark.parametrize("size", [16, 24, 32])
@pytest.mark.parametrize("i", [0x00, 0x20, 0x60])
@pytest.mark.parametrize("level", [1, 3])
def test_a_drawn_challenge_has_no_counter_behind_it(level: int, i: int, size: int) -> None:
    """Without b5 the answer has 29 bytes, and the challenge has no rule."""
    key = bytes(range(size))
    card = _random_challenge_card(i, key, level)
    how = Opening(i=i, level=level, kvn=0, host_challenge=bytes(range(8)), sd_aid=ISD_R)
    session = run(Scp03.open(how, keys_of(dict.fromkeys(Base, key))), card)
    assert card.finished
    assert session.kdd == bytes(range(10))


def _opened(v: Vector) -> Scp03:
    return run(Scp03.open(opening(v), static_keys(v)), replay(handshake(v)))


def _burst(*commands: Command) -> Dialogue[Response]:
    return (yield commands)


@pytest.mark.parametrize("v", ANSWERED, ids=itemgetter("id"))
def test_an_answer_is_opened_as_published(v: Vector) -> None:
    """R-MAC is verified and taken off, and R-ENCRYPTION with it: the plain answer is the vector's."""
    first = v["steps"][0]
    answer = run(secured(_burst(command(first["plain"])), _opened(v)), replay([(first["wrapped"], first["response_raw"])]))
    assert (answer.data.hex().upper(), answer.sw) == (first["response_plain"][:-4], 0x9000)


@pytest.mark.parametrize("v", ANSWERED, ids=itemgetter("id"))
def test_a_changed_answer_ends_the_session(v: Vector) -> None:
    """Any flipped bit of data or MAC: nothing more of the burst is sent, and the message has no byte of it."""
    first = v["steps"][0]
    answer = bytes.fromhex(first["response_raw"])
    for bit in range(8 * len(answer) - 16):
        wrong = bytearray(answer)
        wrong[bit // 8] ^= 0x80 >> bit % 8
        card = replay([(first["wrapped"], wrong.hex())])
        with pytest.raises(AuthenticationError, match=r"^vector: the (R-MAC|card answers)") as raised:
            run(secured(_burst(*(command(step["plain"]) for step in v["steps"])), _opened(v)), card)
        assert_silent(raised.value, answer[-10:-2])


@pytest.mark.parametrize("v", ANSWERED, ids=itemgetter("id"))
@pytest.mark.parametrize("answer", ["9000", "00009000", "6310", "970000009000"])
def test_an_answer_without_a_whole_mac_ends_the_session(v: Vector, answer: str) -> None:
    """Too short for an R-MAC is as wrong as a wrong one, also for a warning."""
    first = v["steps"][0]
    card = replay([(first["wrapped"], answer)])
    with pytest.raises(AuthenticationError, match="R-MAC of the answer does not verify"):
        run(secured(_burst(command(first["plain"])), _opened(v)), card)


@pytest.mark.parametrize("v", ANSWERED, ids=itemgetter("id"))
def test_an_error_has_no_mac_and_no_data(v: Vector) -> None:
    """A bare error is the card's refusal; one with data that nothing covers is not believed."""
    first = v["steps"][0]
    with pytest.raises(CardError, match="6A88"):
        run(secured(_burst(command(first["plain"])), _opened(v)), replay([(first["wrapped"], "6A88")]))
    with pytest.raises(AuthenticationError, match="6A88 with data"):
        run(secured(_burst(command(first["plain"])), _opened(v)), replay([(first["wrapped"], "006A88")]))


@pytest.mark.parametrize(("i", "level"), [(0x00, 0x11), (0x10, 0x13), (0x10, 0x33), (0x20, 0x33), (0x30, 0x33)])
def test_a_level_that_the_option_has_not_is_refused_before_anything_is_sent(i: int, level: int) -> None:
    """R-MAC needs b6 of i, R-ENCRYPTION b7."""
    with pytest.raises(PlanError, match=f"SCP03 i={i:02X} has no level {level:02X}"):
        run(Scp03.open(opening(ONE, i=i, level=level), static_keys(ONE)), replay([]))


def test_a_whole_session_at_level_33_is_as_published() -> None:
    """From the static keys: cryptograms, EXTERNAL AUTHENTICATE, three commands and their answers; its AID isn't known."""
    (v,) = vectors("scp_globalplatform", type="session-of-an-unknown-security-domain")
    keys = {name: derived(_static(v, base), derivation(base, n, _context(v))) for name, (base, n) in CONSTANTS.items()}
    session = Scp03(level=0x33, kdd=bytes(10), enc=keys["enc"], mac=keys["mac"], rmac=keys["rmac"])
    for name, constant in (("card_cryptogram", 0), ("host_cryptogram", 1)):
        made = derived(keys["mac"], derivation(Base.MAC, constant, _context(v), 64))
        assert made == bytes.fromhex(v[name])
    authenticate = Command("EXTERNAL AUTHENTICATE", 0x80, 0x82, 0x33, 0, made)
    assert bytes(session.authenticate(authenticate, made)).hex().upper() == v["external_authenticate"]["command"]
    burst = [session.wrap(command(step["plain"])) for step in v["steps"]]
    for wrapped, step in zip(burst, v["steps"], strict=True):
        assert bytes(wrapped).hex().upper() == step["wrapped"]
        opened = wrapped.opened(Response.parse(bytes.fromhex(step["response_raw"])))
        assert opened == Response.parse(bytes.fromhex(step["response_plain"]))
