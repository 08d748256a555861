"""Cards whose channel agrees on its keys, through the whole bureau: the key store's certificate, the card's, one CA each."""

from datetime import date
from pathlib import Path

import pytest

from hardware.cards import products
from hardware.keystores import Algorithm, KeyId, Mode, Purpose
from hardware.sim.blank import shipped
from tests.e2e import expected
from tests.e2e.bureaus import Bureau, Station
from tests.e2e.expected import EXPORT
from tests.hardware.agreeing import CARD_CA, HOST_CA
from tests.hardware.issuing import Key, globalplatform

SHIPPED = Path(products.__file__).parents[2] / "config" / "products" / "export-scp03.toml"
HOST = KeyId("2B0611")
CHANNEL = f"""[channel]
isd_aid = "A000000151000000"
scp = "SCP11"
i = 0x01
level = 0x33
kvn = 0x03
master = "{HOST}"
recipe = "none"
[channel.agreement]
curve = "P-256"
key_size = 16
ca_kvn = 0x04
ca_kid = 0x10
[channel.agreement.authority]
identifier = "{CARD_CA.identifier.hex()}"
curve = "P-256"
point = "{CARD_CA.point.hex()}"
"""


def equipped(bureau: Bureau, folder: Path, patch: pytest.MonkeyPatch, channel: str = CHANNEL) -> None:
    """Give the bureau the product, its encoder blanks with SCP11, and its key store our key and certificate."""
    text = SHIPPED.read_text("utf-8")
    text = (
        text[: text.index("[channel]")].replace("3B878131FE45504552534F3033D4", shipped("member-scp11").atr.hex()) + channel
    )
    file = folder / "export-scp03.toml"
    file.write_text(text, "utf-8")
    made = products.load(file)
    patch.setitem(vars(bureau.plant), "products", {**bureau.plant.products, made.name: made})
    bureau.equip(Station(name="sim1", seed=1, product=made.name, blank="member-scp11"))
    host = Key("host")
    bureau.plant.keystore.import_key(
        HOST,
        host.private,
        name="host",
        purpose=Purpose.AGREEMENT,
        algorithm=Algorithm.P256,
        mode=Mode.TEST,
        certificates=(globalplatform(host, HOST_CA, last=date(2099, 12, 31)),),
    )
    bureau.start("sim1")


@pytest.mark.parametrize("i", ["0x01", "0x03"])
def test_cards_are_made(bureau: Bureau, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, i: str) -> None:
    """They hold their records to the byte, keys too."""
    equipped(bureau, tmp_path, monkeypatch, CHANNEL.replace("i = 0x01", f"i = {i}"))
    (job,) = bureau.take(EXPORT)
    bureau.run()
    assert {card.state for card in bureau.cards(job)} == {"good"}
    assert [plastic.contents for plastic in bureau.touched()] == [record.contents for record in expected.cards(EXPORT)]


def test_a_card_that_is_not_trusted_is_returned(bureau: Bureau, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Untouched, and the record goes back; the cause names key set and recipe."""
    wrong = CHANNEL.replace(CARD_CA.point.hex(), HOST_CA.point.hex())
    equipped(bureau, tmp_path, monkeypatch, wrong)
    (job,) = bureau.take(EXPORT)
    bureau.run()
    (attempt, *_) = bureau.attempts(bureau.cards(job)[0])
    assert attempt.outcome == "returned"
    assert "signed by no CA that is trusted; tried key set 03, key 11, SCP11a, recipe none; no try was spent" in str(
        attempt.cause
    )
    assert bureau.touched() == []
