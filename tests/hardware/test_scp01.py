from operator import itemgetter

import pytest

from hardware.crypto import des3_cbc_mac, des3_ecb_encrypt, pad80
from hardware.diversification import diversify, recipe
from hardware.errors import AuthenticationError, PlanError
from hardware.iso7816 import AID, Command, run
from hardware.keys import Base
from hardware.keystores import Derivation, Method, Wrap
from hardware.scp import Opening
from hardware.scp.scp01 import Scp01
from tests.hardware.opening import keys_of
from tests.hardware.replay import replay
from tests.hardware.vectors import Vector, vectors

KEY = bytes(range(0x40, 0x50))
DIVERSIFIED = vectors("scp_globalplatform", type="handshake-with-diversified-keys")
each_diversified = pytest.mark.parametrize("v", DIVERSIFIED, ids=itemgetter("id"))


def opening(v: Vector, i: int | None = 0x05) -> Opening:
    return Opening(
        i=i,
        level=int(v["security_level"], 16),
        kvn=0,
        host_challenge=bytes.fromhex(v["host_challenge"]),
        sd_aid=AID(bytes.fromhex("A000000003000000")),
    )


def diversified(v: Vector, name: str) -> dict[str, bytes]:
    kdd = bytes.fromhex(v["initialize_update"]["response"])[:10]
    return {base: diversify(recipe(name), base, bytes.fromhex(v["master"]), kdd) for base in Base}


@each_diversified
def test_a_diversified_card_is_opened_as_published(v: Vector) -> None:
    """Recipe, session keys, both cryptograms and the C-MAC of EXTERNAL AUTHENTICATE are those of the source."""
    first, second = v["initialize_update"], v["external_authenticate"]
    card = replay([(first["command"], first["response"]), (second["command"], second["response"])])
    run(Scp01.open(opening(v), keys_of(diversified(v, v["recipe"]))), card)
    assert card.finished


@each_diversified
def test_another_recipe_is_told_before_anything_is_spent(v: Vector) -> None:
    """The card cryptogram doesn't verify, so EXTERNAL AUTHENTICATE isn't sent."""
    first = v["initialize_update"]
    card = replay([(first["command"], first["response"])])
    with pytest.raises(AuthenticationError, match="with key set 01"):
        run(Scp01.open(opening(v), keys_of(diversified(v, "emv"))), card)


def test_i_must_be_stated() -> None:
    """An SCP01 answer doesn't say i, so the product or the card recognition data must."""
    with pytest.raises(PlanError, match="stated"):
        run(Scp01.open(opening(DIVERSIFIED[0], None), keys_of({})), replay([]))


@pytest.mark.parametrize("i", [0x05, 0x15])
def test_each_c_mac_goes_on_from_the_one_before(i: int) -> None:
    """As it is, or enciphered under the whole C-MAC key, computed from the primitives (no published vector for i=15)."""
    session = Scp01(level=1, i=i, kdd=bytes(10), enc=KEY, mac=KEY)
    command = Command("GET DATA", 0x80, 0xCA, 0, 0x66)
    covered = pad80(bytes.fromhex("84CA006608"), 8)
    one, other = session.wrap(command).data, session.wrap(command).data
    assert one == des3_cbc_mac(KEY, covered)
    assert other == des3_cbc_mac(KEY, covered, des3_ecb_encrypt(KEY, one) if i == 0x15 else one)


def test_the_dek_is_the_static_one() -> None:
    """SCP01 has no session DEK; values go under it in ECB."""
    session = Scp01(level=1, i=0x05, kdd=bytes(10), enc=KEY, mac=KEY)
    assert session.dek() == Derivation(base=Base.DEK, method=Method.STATIC)
    assert Scp01.WRAP is Wrap.DES3_ECB


def test_a_command_at_level_00_is_sent_as_it_is() -> None:
    """The session is authenticated, and nothing protects what follows."""
    command = Command("GET DATA", 0x80, 0xCA, 0, 0x66)
    assert Scp01(level=0, i=0x05, kdd=bytes(10), enc=KEY, mac=KEY).wrap(command) == command
