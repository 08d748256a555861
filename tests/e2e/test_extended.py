"""A card product whose chips take commands of extended length, through the whole bureau."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bureau.models import JobId
from hardware.cards import products
from hardware.encoders.pcsc.codes import T0
from hardware.encoders.pcsc.exchange import exchange
from hardware.encoders.simulator import Simulator
from hardware.iso7816 import Command, Response
from hardware.sim.blank import BLANKS
from tests.e2e import expected
from tests.e2e.bureaus import Bureau, Station
from tests.e2e.expected import EXPORT

PRODUCTS = Path(products.__file__).parents[2] / "config" / "products"
RECORDS = expected.cards(EXPORT)
SAMPLE = 6
"""Commands that the first of them takes more, as the sample of its lot: SELECT, and GET DATA for each of five tags."""


class Recording(Simulator):
    """A simulator that notes how long each command is on the wire."""

    protocol = "T=1"
    sent: list[tuple[str, int]]

    def transmit(self, command: Command) -> Response:
        """Note and exchange one command."""
        self.sent.append((command.name, len(bytes(command))))
        return super().transmit(command)


class OverT0(Recording):
    """A simulator whose cards talk T=0: nothing of extended length, no Le behind data, and answers that are fetched."""

    protocol = "T=0"
    left = b""

    def transmit(self, command: Command) -> Response:
        """Exchange one command as a reader would over T=0."""
        return exchange(command, T0, lambda apdu: self._carry(command, apdu))

    def _carry(self, command: Command, apdu: bytes) -> bytes:
        if apdu[1] == 0xC0:
            answer, self.left = self.left, b""
            return answer
        self.sent.append((command.name, len(apdu)))
        answer = self._world.transmit(apdu + b"\0" if len(apdu) > 5 else apdu) or b""
        if len(apdu) == 5 or len(answer) == 2:
            return answer
        self.left = answer
        return bytes((0x61, len(answer) - 2))


Take = Callable[..., Recording]


@pytest.fixture
def take(bureau: Bureau, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Take:
    """Return what equips an encoder with the shipped SCP03 product, or one that takes extended commands and has this block.

    Its chips are such that the product is right.
    """

    def written(folder: Path, old: str, new: str) -> Path:
        file = tmp_path / "export-scp03.toml"
        file.write_text((folder / file.name).read_text("utf-8").replace(old, new), "utf-8")
        return file

    def started(kind: type[Recording], block: int | None) -> Recording:
        said = "block = 239" if block is None else f"block = {block}\nextended = true"
        product = products.load(written(PRODUCTS, "block = 239", said))
        chip = written(BLANKS, "extended_length = false", f"extended_length = {str(product.extended).lower()}")
        monkeypatch.setitem(vars(bureau.plant), "products", {**bureau.plant.products, product.name: product})
        bureau.equip(Station(name="sim1", seed=1, product=product.name, blank=str(chip.with_suffix(""))))
        machine = bureau.start("sim1", kind.start)
        assert isinstance(machine, kind)
        machine.sent = []
        return machine

    return started


def made(bureau: Bureau) -> JobId:
    """Submit and release the export, and let the encoder work; return its job."""
    (job,) = bureau.take(EXPORT)
    bureau.run()
    return job


@pytest.mark.parametrize(
    ("block", "longest", "loads"),
    [
        (None, 261, 4),
        (1000, 849, 1),
        (65519, 849, 1),
    ],
    ids=["short", "extended", "longest"],
)
def test_a_card_takes_as_few_commands_as_its_product_allows(
    bureau: Bureau, take: Take, block: int | None, longest: int, loads: int
) -> None:
    """Each card holds its record to the byte; with extended lengths its code comes in one LOAD."""
    machine = take(Recording, block)
    job = made(bureau)
    assert [plastic.contents for plastic in bureau.touched()] == [record.contents for record in RECORDS]
    assert {plastic.tray for plastic in bureau.touched()} == {"good"}
    assert {card.state for card in bureau.cards(job)} == {"good"}
    assert [name for name, _ in machine.sent].count("LOAD") == loads * len(RECORDS)
    assert len(machine.sent) == (12 + loads) * len(RECORDS) + SAMPLE
    assert max(size for _, size in machine.sent) <= longest


def test_a_shipped_product_over_t0_is_made(bureau: Bureau, take: Take) -> None:
    """What the test below rests on: but for extended lengths such a card is as good as any."""
    machine = take(OverT0, None)
    job = made(bureau)
    assert {card.state for card in bureau.cards(job)} == {"good"}
    assert [plastic.contents for plastic in bureau.touched()] == [record.contents for record in RECORDS]
    assert max(size for _, size in machine.sent) <= 260


def test_a_card_over_t0_gives_its_record_back(bureau: Bureau, take: Take) -> None:
    """Nothing is said to it: INSTALL [for load] would go through, and the LOAD behind it couldn't."""
    machine = take(OverT0, 1000)
    job = made(bureau)
    cards = bureau.cards(job)
    attempts = [attempt for card in cards for attempt in bureau.attempts(card)]
    assert {card.state for card in cards} == {"ready"}
    assert [attempt.outcome for attempt in attempts] == ["returned"] * 3
    assert all("T=0" in str(attempt.cause) for attempt in attempts)
    assert machine.sent == []
    assert not bureau.touched()
    assert [plastic.tray for plastic in bureau.plastics()] == ["returned"] * 3
    assert all(balance.stock_balances for balance in bureau.balances(job))


def test_chips_that_take_less_than_their_product_says_are_rejected(bureau: Bureau, take: Take) -> None:
    """6700 is a refusal like any other: nothing of the code stays, and a person decides about the record."""
    machine = take(Recording, 1000)
    machine._world._blank = replace(machine._world._blank, extended_length=False)
    job = made(bureau)
    for card in bureau.cards(job):
        (attempt,) = bureau.attempts(card)
        assert (card.state, attempt.outcome, attempt.cause) == ("rejected", "spoiled", "LOAD: 6700 wrong length")
    assert not any(plastic.contents for plastic in bureau.plastics())
