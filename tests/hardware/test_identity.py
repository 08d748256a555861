"""Who a chip is."""

import pytest

from hardware.errors import CardError
from hardware.gp import identity
from hardware.gp.identity import ANONYMOUS, Identity
from hardware.iso7816 import run
from tests.hardware.replay import replay

CPLC = "80CA9F7F00"
# Fabricator, type, OS id, date, level; fabrication date, serial, batch; then 24 bytes of modules and equipment.
BEFORE, SERIAL, BATCH, AFTER = "4790 5041 4791 5001 0100 5100".replace(" ", ""), "01020304", "AABB", "EE" * 24


def identify(answer: str) -> Identity:
    card = replay([(CPLC, answer)])
    found = run(identity.read(), card)
    assert card.finished
    return found


@pytest.mark.parametrize("head", ["9F7F2A", ""])
def test_identity_is_fabricator_type_batch_and_serial(head: str) -> None:
    """The batch stands behind the serial number in the CPLC, before it in the identity; some cards leave the tag away."""
    found = identify(head + BEFORE + SERIAL + BATCH + AFTER + "9000")
    assert found == Identity(kind="CPLC", value=bytes.fromhex("47905041AABB01020304"))


@pytest.mark.parametrize("sw", ["6A88", "6A81", "6D00"])
def test_card_without_cplc_is_anonymous(sw: str) -> None:
    """Such a card can be made, but not told from others."""
    assert identify(sw) == ANONYMOUS


@pytest.mark.parametrize(
    "cplc",
    [
        "",
        "9F7F00",
        "9F7F29" + BEFORE + SERIAL + BATCH + AFTER[2:],
        "9F7F2A" + BEFORE + "00000000" + "0000" + AFTER,
        "9F7F2A" + BEFORE + "FFFFFFFF" + "FFFF" + AFTER,
        "FFFF",
    ],
)
def test_cplc_that_names_no_single_chip_is_anonymous(cplc: str) -> None:
    """Empty, cut short, or with a serial number and batch that were never written."""
    assert identify(cplc + "9000") == ANONYMOUS


def test_other_refusal_is_an_error() -> None:
    """It isn't taken for a card without CPLC."""
    with pytest.raises(CardError, match="GET DATA 9F7F: 6985"):
        run(identity.read(), replay([(CPLC, "6985")]))
