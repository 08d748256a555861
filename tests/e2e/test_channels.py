"""Cards that speak other dialects than the shipped ones, through the whole bureau."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hardware.cards import products
from hardware.encoders.simulator import Simulator
from hardware.iso7816 import Command, Response
from hardware.sim.blank import BLANKS
from tests.e2e import expected
from tests.e2e.bureaus import Bureau, Station
from tests.e2e.expected import EXPORT, SINGLE

PRODUCTS = Path(products.__file__).parents[2] / "config" / "products"
SCP03, SCP02 = "export-scp03", "payment-scp02"


class Listening(Simulator):
    """A simulator that notes INS and the lengths on the line; *spoil*: the INS whose answers it changes."""

    heard: list[tuple[int, int, int]]
    spoil = 0

    def transmit(self, command: Command) -> Response:
        """Exchange one command."""
        answer = super().transmit(command)
        self.heard.append((command.ins, len(bytes(command)), len(answer.data)))
        if command.ins == self.spoil and answer.data:
            answer = Response(answer.data[:-1] + bytes((answer.data[-1] ^ 1,)), answer.sw)
        return answer


Equip = Callable[..., Listening]


@pytest.fixture
def equip(bureau: Bureau, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Equip:
    """Return what equips an encoder with chips of another dialect; both files are the shipped ones but for what is said."""

    def written(folder: Path, name: str, changes: dict[str, str]) -> Path:
        text = (folder / f"{name}.toml").read_text("utf-8")
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        file = tmp_path / f"{name}.toml"
        file.write_text(text, "utf-8")
        return file

    def started(name: str, product: dict[str, str], chip: dict[str, str]) -> Listening:
        made = products.load(written(PRODUCTS, name, product))
        monkeypatch.setitem(vars(bureau.plant), "products", {**bureau.plant.products, name: made})
        blank = written(BLANKS, name, chip)
        bureau.equip(Station(name="sim1", seed=1, product=name, blank=str(blank.with_suffix(""))))
        machine = bureau.start("sim1", Listening.start)
        assert isinstance(machine, Listening)
        machine.heard = []
        return machine

    return started


@pytest.mark.parametrize(
    ("name", "product", "chip", "mac"),
    [
        (SCP03, {"i = 0x10": "i = 0x70", "level = 0x03": "level = 0x33"}, {"i = 0x10": "i = 0x70"}, 8),
        (SCP03, {"i = 0x10": "i = 0x71", "level = 0x03": "level = 0x33", "239": "223"}, {"i = 0x10": "i = 0x71"}, 16),
        (SCP03, {"i = 0x10": "i = 0x21", "level = 0x03": "level = 0x11", "239": "223"}, {"i = 0x10": "i = 0x21"}, 16),
        (SCP03, {"i = 0x10\n": "i = 0x00\npad_empty = true\n"}, {"i = 0x10": "i = 0x00\npads_empty = true"}, 0),
        (SCP03, {"i = 0x10\n": "", 'scp = "SCP03"\n': "", "239": "223"}, {"i = 0x10": "i = 0x31"}, 0),
        (SCP02, {"SCP02": "SCP01", "i = 0x55": "i = 0x15"}, {"scp = 2": "scp = 1", "i = 0x55": "i = 0x15"}, 0),
    ],
    ids=["S8 33", "S16 33", "S16 11", "padding", "by the card", "SCP01"],
)
def test_a_card_of_another_dialect_is_made(
    bureau: Bureau, equip: Equip, name: str, product: dict[str, str], chip: dict[str, str], mac: int
) -> None:
    """It holds its records to the byte, keys too, and every answer to STORE DATA has the R-MAC that the level says."""
    machine = equip(name, product, chip)
    sample = EXPORT if name == SCP03 else SINGLE
    (job,) = bureau.take(sample)
    bureau.run()
    records = expected.cards(sample)
    assert {card.state for card in bureau.cards(job)} == {"good"}
    assert [plastic.contents for plastic in bureau.touched()] == [record.contents for record in records]
    assert {answer for ins, _, answer in machine.heard if ins == 0xE2} == {mac}
    assert max(size for _, size, _ in machine.heard) <= 261


def test_a_wrong_answer_while_a_card_is_written_makes_it_suspect(bureau: Bureau, equip: Equip) -> None:
    """The card may have done what it was told; nothing more is said to it."""
    machine = equip(SCP03, {"i = 0x10": "i = 0x70", "level = 0x03": "level = 0x33"}, {"i = 0x10": "i = 0x70"})
    machine.spoil = 0xE2
    (job,) = bureau.take(EXPORT)
    bureau.run()
    first = bureau.cards(job)[0]
    (attempt,) = bureau.attempts(first)
    assert (first.state, attempt.outcome) == ("suspect", "unknown")
    assert str(attempt.cause).startswith("STORE DATA: the R-MAC of the answer does not verify")
    spoilt = [ins for ins, _, _ in machine.heard].index(0xE2)
    assert all(ins != 0xE2 for ins, _, _ in machine.heard[spoilt + 1 : spoilt + 3])
