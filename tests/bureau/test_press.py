"""One card on the simulated encoder, from the blank to the read-back; the world's journal is the witness."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bureau.service.press import Press, StateError, Work
from hardware.encoders import Tray
from hardware.encoders.simulator import Simulator
from hardware.errors import (
    AuthenticationError,
    CardError,
    KeyStoreError,
    LostCard,
    MuteCard,
    PlanError,
    ProtocolError,
    ReadBackError,
)
from hardware.iso7816 import AID, Command, Response
from hardware.keys import Algorithm
from hardware.keystores import Dek, KeyId, Mode, Purpose, Static, Transport, Wrapped
from hardware.keystores.soft import SoftKeyStore
from hardware.perso.order import Action, ApplicationOrder, DataSet, Element, Instructions, Order
from hardware.perso.product import KeySet, Product
from hardware.perso.steps import Origin
from hardware.sim.blank import BLANKS
from tests.hardware import cards
from tests.hardware.cards import application, catalog, elements, order, step

MASTER = bytes.fromhex("404142434445464748494A4B4C4D4E4F")
TRANSPORT_KEY = bytes.fromhex("A1A2A3A4A5A6A7A8B1B2B3B4B5B6B7B8")
IDS = {"SCP02": KeyId("2B02"), "SCP03": KeyId("2B03")}
OWN_MASTER = bytes.fromhex("F0E1D2C3B4A5968778695A4B3C2D1E0F")
OWN = {"SCP02": KeyId("2B12"), "SCP03": KeyId("2B13")}
TRANSPORT = Transport(key=KeyId("2B01"), cbc=False)
PIN, PIN_SECRET = "241234FFFFFFFFFF", "55A184D9D81E2F26"
"""A PIN block, and the same under the transport key (openssl enc -des-ede-ecb -nopad)."""
APP = "app/A0000000041010/"


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> SoftKeyStore:
    """Return a key store with a master of each cipher and a transport key."""
    store = SoftKeyStore.create(tmp_path_factory.mktemp("keys") / "keys.json", b"for tests")
    for name, algorithm in (("SCP02", Algorithm.DES3), ("SCP03", Algorithm.AES)):
        for key, value in ((IDS[name], MASTER), (OWN[name], OWN_MASTER)):
            store.import_key(key, value, name=name, purpose=Purpose.MASTER, algorithm=algorithm, mode=Mode.TEST)
    store.import_key(
        TRANSPORT.key, TRANSPORT_KEY, name="TK", purpose=Purpose.TRANSPORT, algorithm=Algorithm.DES3, mode=Mode.TEST
    )
    return store


class Station:
    """A fed simulator that notes every command it is sent."""

    def __init__(self, folder: Path, blank: str, **defect: object) -> None:
        options = {"blank": blank, "blanks": {"BLUE": 1}, "seed": 1, "defects": {"1": defect}}
        self.machine = Simulator.start("sim1", options, folder)
        self.machine.feed("BLUE")
        self._journal = folder / "sim1.journal"
        self.sent: list[Command] = []
        self.answers: dict[int, Response] = {}
        """Answers by INS that are given in place of the card's."""

    def transmit(self, command: Command) -> Response:
        self.sent.append(command)
        response = self.machine.transmit(command)
        return self.answers.get(command.ins, response)

    @property
    def names(self) -> list[str]:
        return [command.name for command in self.sent]

    def memory(self) -> dict[str, Any]:
        """Return what the chip holds now, from the journal alone."""
        values: dict[str, Any] = {}
        for line in self._journal.read_text(encoding="utf-8").splitlines():
            values.update(json.loads(line).get("set", {}))
        return {key: value for key, value in values.items() if value is not None}


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Callable[..., Station]]:
    """Return a maker of stations."""
    made: list[Station] = []

    def make(blank: str = "payment-scp02", **defect: object) -> Station:
        made.append(Station(tmp_path / str(len(made)), blank, **defect))
        return made[-1]

    yield make
    for each in made:
        each.machine.close()


MakeStation = Callable[..., Station]
SCP02 = replace(cards.product(), scp="SCP02", i=0x55, kvn=0x20, master=IDS["SCP02"], recipe="emv")
SCP03 = replace(cards.product(), scp="SCP03", i=0x10, kvn=0x30, master=IDS["SCP03"], recipe="kdf3")


def record(*data: Element, instructions: Instructions | None = None) -> Order:
    """Return a record with one application: LOAD, INSTALL, PERSONALIZE."""
    steps = (step(Action.LOAD), step(Action.INSTALL), step(Action.PERSONALIZE, instructions=instructions))
    return order(
        application(*steps, data=(DataSet(name="X", elements=data or elements(("0101", "700A5A085413330089604111"))),))
    )


def press(
    at: Station,
    keystore: SoftKeyStore,
    given: Order | None = None,
    product: Product = SCP02,
    begin: Callable[[], None] | None = None,
) -> Press:
    """Make one whole card and return the press."""
    made = ready(at, keystore, given, product)
    made.open()
    made.look()
    made.write(begin or (lambda: None))
    made.verify()
    return made


def ready(at: Station, keystore: SoftKeyStore, given: Order | None = None, product: Product = SCP02) -> Press:
    work = Work(
        order=given or record(),
        catalog=catalog(),
        product=product,
        host_challenge=bytes.fromhex("1122334455667788"),
        own_challenge=bytes.fromhex("8877665544332211"),
    )
    return Press(work, keystore, at.transmit, lambda _phase: None)


@pytest.mark.parametrize(("blank", "product"), [("payment-scp02", SCP02), ("export-scp03", SCP03)])
@pytest.mark.parametrize("level", [0x01, 0x03])
def test_blank_becomes_a_personalized_card(
    station: MakeStation, keystore: SoftKeyStore, blank: str, product: Product, level: int
) -> None:
    """The chip holds load file, application and data; the results say so."""
    at = station(blank)
    made = press(at, keystore, record(instructions=Instructions(security_level=level)), product)
    held = at.memory()
    assert held["elf/A00000000401"]["state"] == "01"
    assert (held[APP + "state"], held[APP + "elf"]) == ("0F", "A00000000401")
    assert held[APP + "dgi/0101"] == "700A5A085413330089604111"
    assert made.results.reached == {cards.FIRST: 0x0F}
    assert made.results.steps == {Origin(0, 0): 0x9000, Origin(0, 1): 0x9000, Origin(0, 2): 0x9000}
    assert made.results.card_state == 0x01
    assert made.results.identity.kind == "CPLC"
    (authenticate,) = (command for command in at.sent if command.ins == 0x82)
    assert authenticate.p1 == level


def test_nothing_is_asked_that_needn_t_be(station: MakeStation, keystore: SoftKeyStore) -> None:
    """A card is the slow part: three commands to open it, one to identify it, three to know it, one to verify."""
    at = station()
    press(at, keystore)
    assert at.names == [
        "SELECT", "INITIALIZE UPDATE", "EXTERNAL AUTHENTICATE", "GET DATA 9F7F",
        "GET STATUS", "GET STATUS", "GET STATUS",
        "INSTALL [for load]", "LOAD", "INSTALL [for install]", "INSTALL [for personalization]", "STORE DATA",
        "GET STATUS",
    ]  # fmt: skip


def test_several_applications_are_read_back_at_once(station: MakeStation, keystore: SoftKeyStore) -> None:
    """One GET STATUS verifies them all."""
    at = station()
    second = application(step(Action.INSTALL), aid=cards.SECOND, of=cards.NAMED)
    made = press(at, keystore, order(record().applications[0], second))
    assert made.results.reached == {cards.FIRST: 0x0F, cards.SECOND: 0x07}
    assert at.names[-2:] == ["INSTALL [for install]", "GET STATUS"]


@pytest.mark.parametrize(("blank", "product", "blocks"), [("payment-scp02", SCP02, 1), ("export-scp03", SCP03, 2)])
def test_secret_arrives_in_clear_inside_the_card(
    station: MakeStation, keystore: SoftKeyStore, blank: str, product: Product, blocks: int
) -> None:
    """Translated inside the key store; neither clear value nor transport cryptogram is in any command."""
    at = station(blank)
    secret = Element(name="8010", value=PIN_SECRET * blocks, transport=TRANSPORT)
    counters = elements(("9010", "0303"))
    instructions = Instructions(encrypted=frozenset({"8010"}), order=("9010",), security_level=0x01)
    press(at, keystore, record(secret, *counters, instructions=instructions), product)
    assert at.memory()[APP + "dgi/8010"] == PIN * blocks
    for command in at.sent:
        assert PIN not in command.data.hex().upper()
        assert PIN_SECRET not in command.data.hex().upper()


def test_version_control_spares_the_card(station: MakeStation, keystore: SoftKeyStore) -> None:
    """A chip that doesn't know DGI 0203 is made without it."""
    at = station(refused_dgis=[0x0203])
    data = elements(("0101", "7000"), ("0203", "7001"), ("0201", "7002"))
    made = press(at, keystore, record(*data, instructions=Instructions(version_control=frozenset({"0203"}))))
    held = at.memory()
    assert (held[APP + "state"], held[APP + "dgi/0101"], held[APP + "dgi/0201"]) == ("0F", "7000", "7002")
    assert APP + "dgi/0203" not in held
    assert made.results.steps[Origin(0, 2)] == 0x9000


def test_begin_comes_before_the_first_change(station: MakeStation, keystore: SoftKeyStore) -> None:
    """Once, after reading and opening; when it is called the chip is untouched."""
    at, seen = station(), []

    def begin() -> None:
        seen.append((at.names[-1], "touched" in at.memory()))

    press(at, keystore, begin=begin)
    assert seen == [("GET STATUS", False)]
    assert at.memory()["touched"] is True


def test_failed_begin_leaves_the_card_untouched(station: MakeStation, keystore: SoftKeyStore) -> None:
    """The first changing command is never sent."""
    at = station()
    made = ready(at, keystore)
    made.open()
    made.look()
    before, names = at.memory(), at.names

    def begin() -> None:
        raise RuntimeError("the ledger says no")

    with pytest.raises(RuntimeError, match="the ledger says no"):
        made.write(begin)
    assert (at.memory(), at.names) == (before, names)


def test_begin_is_called_where_there_is_nothing_to_write(station: MakeStation, keystore: SoftKeyStore) -> None:
    """A finished card still goes through the ledger's states; nothing is sent to it."""
    at, begun = station(), []
    press(at, keystore)
    sent = len(at.sent)
    press(at, keystore, begin=lambda: begun.append("begun"))
    assert begun == ["begun"]
    assert not any(command.changes_card for command in at.sent[sent:])


def test_wrong_keys_never_reach_the_retry_counter(station: MakeStation, keystore: SoftKeyStore) -> None:
    """The card's cryptogram doesn't verify, so EXTERNAL AUTHENTICATE isn't sent and the blank isn't touched."""
    at = station(wrong_keys=True)
    made = ready(at, keystore)
    with pytest.raises(AuthenticationError) as wrong:
        made.open()
    assert str(wrong.value) == (
        "card cryptogram does not verify with key set 20, recipe emv; no try was spent, how many are left is unknown"
    )
    assert not wrong.value.refused
    assert at.names == ["SELECT", "INITIALIZE UPDATE"]
    held = at.memory()
    assert held["scp/failures"] == 0
    assert "touched" not in held


def dialect(folder: Path, old: str, new: str) -> str:
    """Return the name of a blank that is the shipped SCP02 one but for what is said."""
    file = folder / "dialect.toml"
    text = (BLANKS / "payment-scp02.toml").read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    return str(file.with_suffix(""))


@pytest.mark.parametrize(
    ("i", "level"),
    [(0x0B, 0x01), (0x1B, 0x01), (0x2B, 0x11), (0x3B, 0x11), (0x75, 0x13), (0x65, 0x10), (0x05, 0x03), (0x45, 0x00)],
)
def test_a_secret_arrives_in_every_dialect_of_scp02(
    station: MakeStation, keystore: SoftKeyStore, tmp_path: Path, i: int, level: int
) -> None:
    """Implicit initiation takes it under the DEK in CBC, explicit in ECB; the chip says what it read."""
    at = station(dialect(tmp_path, "i = 0x55", f"i = 0x{i:02X}"))
    instructions = Instructions(encrypted=frozenset({"8010"}), order=("9010",))
    secret = Element(name="8010", value=PIN_SECRET * 2, transport=TRANSPORT)
    given = record(secret, *elements(("9010", "0303")), instructions=instructions)
    made = press(at, keystore, given, replace(SCP02, i=i, level=level))
    assert made.results.reached == {cards.FIRST: 0x0F}
    assert at.memory()[APP + "dgi/8010"] == PIN * 2
    assert at.names.count("INITIALIZE UPDATE") == bool(i & 0x04)
    assert at.names.count("BEGIN R-MAC SESSION") == (level == 0x11)


@pytest.mark.parametrize(
    ("sw", "limit", "said"),
    [
        (0x6300, None, "a try was spent, how many are left is unknown"),
        (0x6300, 10, "a try was spent of at most 10, how many were spent before is unknown"),
        (0x63C2, 10, "a try was spent, the card says that 2 are left"),
        (0x6982, None, "a try was spent, how many are left is unknown"),
    ],
)
def test_a_refusal_says_what_is_known_of_the_tries_left(
    station: MakeStation, keystore: SoftKeyStore, sw: int, limit: int | None, said: str
) -> None:
    """The card's own count, the product's limit, or that nothing is known; with key set and recipe."""
    at = station()
    at.answers[0x82] = Response(b"", sw)
    with pytest.raises(AuthenticationError, match=f"EXTERNAL AUTHENTICATE: {sw:04X} .*, recipe emv; {said}$") as wrong:
        ready(at, keystore, product=replace(SCP02, tries=limit)).open()
    assert wrong.value.refused


@pytest.mark.parametrize(
    ("kind", "product"),
    [
        ("payment-scp02", replace(SCP02, scp=None, i=None)),
        ("payment-scp02", replace(SCP02, i=None)),
        ("export-scp03", replace(SCP03, scp=None, i=None)),
    ],
)
def test_a_product_may_leave_the_channel_to_the_card(
    station: MakeStation, keystore: SoftKeyStore, kind: str, product: Product
) -> None:
    """What the card says of itself opens it; two more questions are asked ahead of INITIALIZE UPDATE."""
    at = station(kind)
    made = ready(at, keystore, product=product)
    made.open()
    made.look()
    made.write(lambda: None)
    made.verify()
    assert at.names[:5] == ["SELECT", "GET DATA 0066", "GET DATA 00E0", "INITIALIZE UPDATE", "EXTERNAL AUTHENTICATE"]
    assert set(made.results.reached.values()) == {0x0F}


def test_a_card_with_other_keys_than_the_master_gives_is_refused_unopened(
    station: MakeStation, keystore: SoftKeyStore
) -> None:
    """Protocol and key length are compared with what the product says before INITIALIZE UPDATE."""
    at = station("export-scp03")
    with pytest.raises(ProtocolError, match="it speaks SCP03 i=10: that isn't what the product states"):
        ready(at, keystore, product=replace(SCP02, i=None)).open()
    assert at.names == ["SELECT", "GET DATA 0066", "GET DATA 00E0"]


def test_refused_host_is_told_apart(station: MakeStation, keystore: SoftKeyStore) -> None:
    """A refused EXTERNAL AUTHENTICATE has spent a try."""
    at = station()
    at.answers[0x82] = Response(b"", 0x6300)
    made = ready(at, keystore)
    with pytest.raises(AuthenticationError) as refused:
        made.open()
    assert refused.value.refused


@pytest.mark.parametrize(
    ("product", "fault", "message"),
    [
        (replace(SCP02, scp=None, isd_aid=None, master=None), PlanError, "is no GlobalPlatform card"),
        (replace(SCP02, master=None), PlanError, "names no master key"),
        (replace(SCP02, master=KeyId("2BFF")), KeyStoreError, "isn't registered"),
        (replace(SCP02, level=0x33), PlanError, "level 33 isn't built in"),
        (replace(SCP02, scp="SCP99"), PlanError, "no secure channel 'SCP99'"),
    ],
)
def test_product_that_cannot_be_opened_is_refused_untouched(
    station: MakeStation, keystore: SoftKeyStore, product: Product, fault: type[Exception], message: str
) -> None:
    """Nothing that changes the card, and no try of its keys."""
    at = station()
    made = ready(at, keystore, product=product)
    with pytest.raises(fault, match=message):
        made.open()
    assert "touched" not in at.memory()
    assert "EXTERNAL AUTHENTICATE" not in at.names


def test_native_card_is_asked_nothing(station: MakeStation, keystore: SoftKeyStore) -> None:
    """A GlobalPlatform command means something else to it, or nothing."""
    at = station()
    with pytest.raises(PlanError, match="is no GlobalPlatform card"):
        ready(at, keystore, product=replace(SCP02, scp=None, isd_aid=None, master=None)).open()
    assert at.sent == []


def test_card_of_another_security_domain_is_refused(station: MakeStation, keystore: SoftKeyStore) -> None:
    """SELECT finds it out before the keys are tried."""
    at = station()
    with pytest.raises(CardError, match="SELECT: 6A82"):
        ready(at, keystore, product=replace(SCP02, isd_aid=AID(bytes.fromhex("A000000003000000")))).open()


def test_plan_that_cannot_be_made_leaves_the_card_untouched(station: MakeStation, keystore: SoftKeyStore) -> None:
    """Requirement 01 on a card that has it, where the product allows no replacement."""
    at = station()
    press(at, keystore)
    before = at.memory()
    again = order(ApplicationOrder(aid=cards.FIRST, profile=cards.DGIS, steps=(step(Action.LOAD, mandatory=True),)))
    made = ready(at, keystore, again)
    made.open()
    with pytest.raises(PlanError, match="doesn't allow it to be made again"):
        made.look()
    assert {**at.memory(), "scp/sequence": 0} == {**before, "scp/sequence": 0}


def test_replaceable_card_is_made_anew(station: MakeStation, keystore: SoftKeyStore) -> None:
    """DELETE, LOAD, INSTALL, PERSONALIZE: the old data are gone."""
    at = station()
    press(at, keystore)
    steps = (step(Action.LOAD, mandatory=True), step(Action.PERSONALIZE))
    again = order(application(*steps, data=(DataSet(name="X", elements=elements(("0201", "7000"))),)))
    press(at, keystore, again, replace(SCP02, replace=True))
    held = at.memory()
    assert "DELETE" in at.names
    assert {key for key in held if key.startswith(APP + "dgi")} == {APP + "dgi/0201"}


def test_refusal_is_noted_at_its_step(station: MakeStation, keystore: SoftKeyStore) -> None:
    """The steps before it are done, the failed one has its status word, those after it have none."""
    at = station(memory=100)
    made = ready(at, keystore)
    made.open()
    made.look()
    with pytest.raises(CardError, match="LOAD: 6A84"):
        made.write(lambda: None)
    assert made.results.steps == {Origin(0, 0): 0x6A84}
    assert at.names[-1] == "LOAD"


def test_lost_answer_has_no_status_word(station: MakeStation, keystore: SoftKeyStore) -> None:
    """Nobody knows whether the eleventh command, INSTALL [for personalization], was carried out."""
    at = station(mute_after=11)
    made = ready(at, keystore)
    made.open()
    made.look()
    with pytest.raises(MuteCard, match=r"INSTALL \[for personalization\]"):
        made.write(lambda: None)
    assert made.results.steps == {Origin(0, 0): 0x9000, Origin(0, 1): 0x9000}
    at.machine.eject(Tray.REJECT)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("E30D4F07A00000000410109F700107", "A0000000041010 is in state 07 and must be in state 0F"),
        ("E30D4F07A00000000410109F70018F", "A0000000041010 is in state 8F and must be in state 0F"),
        ("E30D4F07A00000000410209F70010F", "A0000000041010 is absent and must be in state 0F"),
        ("", "A0000000041010 is absent and must be in state 0F"),
    ],
)
def test_state_read_back_wrong_is_no_good_card(
    station: MakeStation, keystore: SoftKeyStore, answer: str, message: str
) -> None:
    """Whatever the steps' status words said; what was found is kept for the audit trail."""
    at = station()
    made = ready(at, keystore)
    made.open()
    made.look()
    made.write(lambda: None)
    at.answers[0xF2] = Response(bytes.fromhex(answer), 0x9000 if answer else 0x6A88)
    with pytest.raises(StateError, match=message):
        made.verify()
    state = None if "absent" in message else int(message.split()[4], 16)
    assert made.results.reached == ({} if state is None else {cards.FIRST: state})


@pytest.mark.parametrize(("blank", "product"), [("payment-scp02", SCP02), ("export-scp03", SCP03)])
def test_a_made_card_proves_itself_and_nothing_is_written(
    station: MakeStation, keystore: SoftKeyStore, blank: str, product: Product
) -> None:
    """It needs no memory of how it was made; what it was ordered to be is read back, and its states for the audit trail."""
    at = station(blank)
    press(at, keystore, product=product)
    before, said = at.memory(), len(at.sent)
    again = ready(at, keystore, product=product)
    again.open()
    again.prove()
    assert not any((command.plain or command).changes_card for command in at.sent[said:])
    assert {name: value for name, value in at.memory().items() if not name.startswith("scp/")} == {
        name: value for name, value in before.items() if not name.startswith("scp/")
    }
    assert again.results.reached == {cards.FIRST: 0x0F}
    assert again.results.steps == {}
    assert at.names[-2:] == ["SELECT", "READ RECORD"]


def test_a_blank_another_record_and_an_unreadable_order_prove_nothing(station: MakeStation, keystore: SoftKeyStore) -> None:
    """Each says what is wrong, and asks the card for no more than it must."""
    blank = ready(station(), keystore)
    blank.open()
    with pytest.raises(StateError, match="A0000000041010 is absent and must be in state 0F"):
        blank.prove()
    at = station()
    press(at, keystore)
    other = ready(at, keystore, record(*elements(("0101", "700A5A085413330089604112"))))
    other.open()
    with pytest.raises(ReadBackError, match="record 1 of SFI 1"):
        other.prove()
    silent = ready(at, keystore, record(*elements(("3000", "00"))))
    silent.open()
    with pytest.raises(PlanError, match="nothing of the data of application A0000000041010"):
        silent.prove()


def test_results_and_work_print_no_value(station: MakeStation, keystore: SoftKeyStore) -> None:
    """Neither a session key nor a cardholder's value."""
    at = station()
    made = press(at, keystore)
    shown = (repr(made.results) + repr(record()) + repr(at.sent)).upper()
    assert "5413330089604111" not in shown


def with_keys(product: Product) -> Product:
    """Return a product whose cards get keys of their own: set 40, all three of them the other master."""
    return replace(product, keys=KeySet(kvn=0x40, master=OWN[str(product.scp)], recipe="none"))


@pytest.mark.parametrize(("blank", "product", "kind"), [("payment-scp02", SCP02, "80"), ("export-scp03", SCP03, "88")])
def test_transport_keys_give_way_to_the_card_s_own(
    station: MakeStation, keystore: SoftKeyStore, blank: str, product: Product, kind: str
) -> None:
    """Put, proved by a channel, and only then the old ones deleted; secrets travel under the card's own DEK afterwards."""
    at, opened = station(blank), list[int]()
    secret = elements(("0101", "7000")) + elements(("8010", PIN_SECRET * 2), transport=TRANSPORT)
    instructions = Instructions(encrypted=frozenset({"8010"}))
    given = record(*secret, instructions=instructions)
    press(at, keystore, given, with_keys(product), lambda: opened.append(len(at.sent)))
    names = at.names
    put = names.index("PUT KEY")
    assert names[put : put + 6] == [
        "PUT KEY", "SELECT", "INITIALIZE UPDATE", "EXTERNAL AUTHENTICATE", "GET DATA 9F7F", "DELETE [key]",
    ]  # fmt: skip
    assert opened == [put]
    assert at.sent[put + 2].p1 == 0x40
    held = at.memory()
    own = {key: value["parts"] for key, value in held.items() if key.startswith("key/")}
    assert own == {f"key/A000000151000000/40/0{kid}": [kind + OWN_MASTER.hex().upper()] for kid in (1, 2, 3)}
    assert (held[APP + "state"], held[APP + "dgi/8010"]) == ("0F", PIN * 2)


def test_card_that_says_its_channel_says_it_of_its_own_keys_too(station: MakeStation, keystore: SoftKeyStore) -> None:
    """Asked again for the new set, while the old one is still there."""
    at = station()
    press(at, keystore, product=replace(with_keys(SCP02), scp=None, i=None))
    assert at.names.count("GET DATA 00E0") == 2
    assert {key.split("/")[2] for key in at.memory() if key.startswith("key/")} == {"40"}


def test_finished_card_is_proved_through_its_own_keys(station: MakeStation, keystore: SoftKeyStore) -> None:
    """The transport keys open it no more."""
    at = station()
    press(at, keystore, product=with_keys(SCP02))
    late = ready(at, keystore, product=with_keys(SCP02))
    with pytest.raises(CardError, match="INITIALIZE UPDATE: 6A88"):
        late.open()
    made = ready(at, keystore, product=with_keys(SCP02).finished())
    made.open()
    made.prove()


def test_plan_says_that_keys_change(station: MakeStation, keystore: SoftKeyStore) -> None:
    """It stands ahead of all that is done with the card."""
    made = ready(station(), keystore, product=with_keys(SCP02))
    made.open()
    made.look()
    first, *_ = str(made.plan).splitlines()
    assert first == "put key set 40, open a channel with it, delete transport key set 20"


def test_keys_that_do_not_open_cost_the_card_nothing_but_its_place(
    station: MakeStation, keystore: SoftKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transport keys are still there, no try is spent, and nothing more is done with it."""
    at = station()
    monkeypatch.setattr(SoftKeyStore, "wrap", _wraps_other_keys(SoftKeyStore.wrap))
    with pytest.raises(AuthenticationError, match="card cryptogram"):
        press(at, keystore, product=with_keys(SCP02))
    assert at.names[-1] == "INITIALIZE UPDATE"
    held = at.memory()
    assert {key.split("/")[2] for key in held if key.startswith("key/")} == {"20", "40"}
    assert not any(key.startswith(("app/", "elf/")) for key in held)


def _wraps_other_keys(wrap: Callable[..., Wrapped]) -> Callable[..., Wrapped]:
    """Put other keys onto the card than channels are opened with."""

    def wrapped(store: SoftKeyStore, key: Static, dek: Dek) -> Wrapped:
        return wrap(store, Static(card=replace(key.card, master=dek.card.master), base=key.base), dek)

    return wrapped


def test_chip_that_is_swapped_after_it_took_the_keys_is_lost(
    station: MakeStation, keystore: SoftKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows any more what becomes of it, and the one that answers in its place loses no key."""
    at = station()
    transmit = at.transmit

    def swapping(command: Command) -> Response:
        response = transmit(command)
        if command.name == "GET DATA 9F7F" and "PUT KEY" in at.names:
            return Response(bytes.fromhex("9F7F2A") + bytes(41) + b"\x01", 0x9000)
        return response

    monkeypatch.setattr(at, "transmit", swapping)
    with pytest.raises(LostCard, match="another chip"):
        press(at, keystore, product=with_keys(SCP02))
    assert at.names[-1] == "GET DATA 9F7F"
    assert {key.split("/")[2] for key in at.memory() if key.startswith("key/")} == {"20", "40"}


def test_check_values_that_are_not_the_keys_end_it(station: MakeStation, keystore: SoftKeyStore) -> None:
    """Nothing is opened with them, and nothing deleted."""
    at = station()
    at.answers[0xD8] = Response(bytes.fromhex("40000000000000000000"), 0x9000)
    with pytest.raises(ProtocolError, match="check values"):
        press(at, keystore, product=with_keys(SCP02))
    assert at.names[-1] == "PUT KEY"
