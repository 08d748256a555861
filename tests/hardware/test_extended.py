"""A chip that takes commands of extended length, from its product's file to what its world says that it holds."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hardware.cards import products
from hardware.crypto import aes_cbc_encrypt
from hardware.encoders.simulator import Simulator
from hardware.errors import CardError, PlanError
from hardware.gp import commands, loadfile, registry
from hardware.iso7816 import Command, Response, run
from hardware.perso.order import Action, DataSet, Instructions
from hardware.perso.plan import Catalog, Plan, plan
from hardware.perso.product import Product
from hardware.scp import Opening, SecureChannel, channel, secured
from hardware.sim.blank import BLANKS, load_blank
from tests.hardware.cards import CODE, DGIS, TRANSPORT, application, card, elements, order, profile, step
from tests.hardware.opening import keys_of

PRODUCTS = Path(products.__file__).parents[2] / "config" / "products"
CODE_FILE = loadfile.parse((PRODUCTS / "perso.cap").read_bytes())
RECORD, KEY = "70820254" + "5A" * 0x254, "A5" * 240
APP = "app/A0000000041010/"
ORDER = order(
    application(
        step(Action.LOAD),
        step(Action.INSTALL),
        step(Action.PERSONALIZE, instructions=Instructions(encrypted=frozenset({"8103"}))),
        data=(DataSet(name="X", elements=(*elements(("0101", RECORD)), *elements(("8103", KEY), transport=TRANSPORT))),),
    )
)
AHEAD = ["INSTALL [for load]"]
BETWEEN = ["INSTALL [for install]", "INSTALL [for personalization]"]


def described(folder: Path, *, extended: bool, block: int) -> Product:
    """Read the shipped SCP03 product with another block."""
    text = (PRODUCTS / "export-scp03.toml").read_text("utf-8")
    file = folder / "test-scp03.toml"
    file.write_text(text.replace("block = 239", f"block = {block}\nextended = {str(extended).lower()}"), "utf-8")
    return products.load(file)


class Station:
    """A fed simulator of the SCP03 blank, with extended lengths or without, that notes what it is sent."""

    def __init__(self, folder: Path, *, extended: bool) -> None:
        text = (BLANKS / "export-scp03.toml").read_text("utf-8")
        folder.mkdir()
        file = folder / "test-scp03.toml"
        file.write_text(text.replace("extended_length = false", f"extended_length = {str(extended).lower()}"), "utf-8")
        self.blank = load_blank(file)
        options = {"blank": str(file.with_suffix("")), "blanks": {"BLUE": 1}, "seed": 1}
        self.machine = Simulator.start("sim1", options, folder)
        self.machine.feed("BLUE")
        self._journal = folder / "sim1.journal"
        self.sent: list[Command] = []

    def transmit(self, command: Command) -> Response:
        """Exchange one command."""
        self.sent.append(command)
        return self.machine.transmit(command)

    def memory(self) -> dict[str, Any]:
        """Return what the chip holds, from the journal alone."""
        values: dict[str, Any] = {}
        for line in self._journal.read_text("utf-8").splitlines():
            values.update(json.loads(line).get("set", {}))
        return values

    def open(self, product: Product, *, extended: bool) -> tuple[SecureChannel, Plan]:
        """Open the channel with the blank's literal keys and plan the card; forget what was sent for that."""
        assert product.isd_aid is not None
        opening = Opening(
            i=product.i, level=3, kvn=product.kvn, host_challenge=bytes(8), sd_aid=product.isd_aid, extended=extended
        )
        keys = {"enc": self.blank.enc, "mac": self.blank.mac}
        self.transmit(commands.select(product.isd_aid))
        opened = run(channel(str(product.scp)).open(opening, keys_of(keys)), self.transmit)
        held = run(secured(registry.read_all(), opened), self.transmit)
        catalog = Catalog(card=card(), applications={DGIS: profile(DGIS)}, load_files={CODE: CODE_FILE})
        self.sent.clear()
        return opened, plan(ORDER, catalog, product, held)

    def make(self, product: Product, *, extended: bool) -> list[str]:
        """Make the card; return the names of the commands that this took."""
        opened, planned = self.open(product, extended=extended)
        for each in planned.steps:
            run(secured(each.dialogue(lambda value, _key: aes_cbc_encrypt(self.blank.dek, value)), opened), self.transmit)
        return [command.name for command in self.sent]


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Callable[..., Station]]:
    """Return a maker of stations."""
    made: list[Station] = []

    def make(*, extended: bool) -> Station:
        made.append(Station(tmp_path / str(len(made)), extended=extended))
        return made[-1]

    yield make
    for each in made:
        each.machine.close()


MakeStation = Callable[..., Station]


@pytest.mark.parametrize(
    ("extended", "block", "loads", "stores"),
    [(False, 239, 4, 5), (True, 239, 4, 5), (True, 500, 2, 3), (True, 4000, 1, 2)],
)
def test_a_card_takes_as_few_commands_as_its_product_allows(
    station: MakeStation, tmp_path: Path, extended: bool, block: int, loads: int, stores: int
) -> None:
    """The same code and the same data arrive; what is encrypted has STORE DATA of its own."""
    at = station(extended=extended)
    names = at.make(described(tmp_path, extended=extended, block=block), extended=extended)
    assert names == [*AHEAD, *["LOAD"] * loads, *BETWEEN, *["STORE DATA"] * stores]
    held = at.memory()
    assert (held[APP + "state"], held[APP + "dgi/0101"], held[APP + "dgi/8103"]) == ("0F", RECORD, KEY)
    assert held[f"elf/{CODE_FILE.aid}"]["state"] == "01"
    longest = max(len(bytes(command)) for command in at.sent)
    assert (longest > 261) == (block > 239)


def test_nothing_is_sent_where_the_channel_was_not_told(station: MakeStation, tmp_path: Path) -> None:
    """The burst that begins with INSTALL [for load] is refused whole: the chip is as blank as it was."""
    at = station(extended=True)
    with pytest.raises(PlanError, match=r"^LOAD: 827 bytes of data don't fit a short command once protected$"):
        at.make(described(tmp_path, extended=True, block=4000), extended=False)
    assert at.sent == []
    assert "touched" not in at.memory()


def test_a_chip_that_takes_none_refuses_and_keeps_nothing(station: MakeStation, tmp_path: Path) -> None:
    """A product that promises too much is found out by the first long command."""
    at = station(extended=False)
    with pytest.raises(CardError, match=r"^LOAD: 6700 wrong length$"):
        at.make(described(tmp_path, extended=True, block=4000), extended=True)
    assert [command.name for command in at.sent] == [*AHEAD, "LOAD"]
    assert f"elf/{CODE_FILE.aid}" not in at.memory()
