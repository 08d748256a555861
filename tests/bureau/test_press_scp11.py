"""Cards made over SCP11: certificates on both sides, and no key that both ends share beforehand."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from bureau.service.press import SEED, Press, Work
from hardware.certificates import Authority
from hardware.crypto import Curve
from hardware.errors import AuthenticationError, CardError, PlanError
from hardware.keystores import Algorithm, KeyId, Mode, Purpose, Transport
from hardware.keystores.soft import SoftKeyStore
from hardware.perso.order import Action, DataSet, Element, Instructions, Order
from hardware.scp import Terms
from tests.bureau.test_press import APP, PIN, PIN_SECRET, TRANSPORT_KEY, Station
from tests.hardware import cards
from tests.hardware.agreeing import CARD_CA, HOST_CA, HOST_ID
from tests.hardware.cards import application, catalog, elements, order, step
from tests.hardware.issuing import TODAY, Key, globalplatform

HOST, TRANSPORT = KeyId("2B11"), Transport(key=KeyId("2B01"), cbc=False)
TERMS = Terms(
    curve=Curve.P256,
    key_size=32,
    ca_kvn=4,
    ca_kid=0x10,
    authorities=(Authority(identifier=CARD_CA.identifier, curve=CARD_CA.curve, point=CARD_CA.point),),
)
PRODUCT = replace(cards.product(), scp="SCP11", i=0x01, level=0x33, kvn=0x03, master=HOST, recipe="none", terms=TERMS)


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> SoftKeyStore:
    """Return a key store with the off-card entity's key and its certificate, and a transport key."""
    store = SoftKeyStore.create(tmp_path_factory.mktemp("keys") / "keys.json", b"for tests")
    host = Key("host")
    store.import_key(
        HOST,
        host.private,
        name="host",
        purpose=Purpose.AGREEMENT,
        algorithm=Algorithm.P256,
        mode=Mode.TEST,
        certificates=(globalplatform(host, HOST_CA),),
    )
    store.import_key(
        TRANSPORT.key, TRANSPORT_KEY, name="TK", purpose=Purpose.TRANSPORT, algorithm=Algorithm.DES3, mode=Mode.TEST
    )
    return store


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    """Return an encoder with a blank that has SCP11."""
    made = Station(tmp_path, "member-scp11")
    yield made
    made.machine.close()


def record(level: int | None = None) -> Order:
    """Return a record with a PIN among its data."""
    secret = Element(name="8010", value=PIN_SECRET * 2, transport=TRANSPORT)
    data = (secret, *elements(("9010", "0303"), ("0101", "700A5A085413330089604111")))
    instructions = Instructions(encrypted=frozenset({"8010"}), order=("9010",), security_level=level)
    steps = (step(Action.LOAD), step(Action.INSTALL), step(Action.PERSONALIZE, instructions=instructions))
    return order(application(*steps, data=(DataSet(name="X", elements=data),)))


def ready(at: Station, keystore: SoftKeyStore, given: Order, **changes: object) -> Press:
    product = replace(PRODUCT, **changes)  # type: ignore[arg-type]
    work = Work(
        order=given, catalog=catalog(), product=product, host_challenge=bytes(16), seed=bytes(range(SEED)), today=TODAY
    )
    return Press(work, keystore, at.transmit, lambda _phase: None)


@pytest.mark.parametrize(("i", "level"), [(0x01, 0x11), (0x01, 0x33), (0x03, 0x03), (0x03, 0x13), (0x03, 0x33)])
def test_a_blank_becomes_a_card(station: Station, keystore: SoftKeyStore, i: int, level: int) -> None:
    """Loaded, installed and personalized over SCP11a and c; the secret goes under the agreed DEK and never in clear."""
    made = ready(station, keystore, record(level), i=i)
    made.open()
    made.look()
    made.write(lambda: None)
    made.verify()
    held = station.memory()
    assert (held[APP + "state"], held[APP + "dgi/8010"]) == ("0F", PIN * 2)
    assert held[APP + "dgi/0101"] == "700A5A085413330089604111"
    assert made.results.identity.kind == "CPLC"
    for command in station.sent:
        assert PIN not in command.data.hex().upper()
        assert PIN_SECRET not in command.data.hex().upper()


def test_a_card_with_identifiers(station: Station, keystore: SoftKeyStore) -> None:
    """SCP11c's are known from its certificate; this blank has no SIN and SDIN yet, which a and b would need."""
    terms = replace(TERMS, host_id=HOST_ID)
    ready(station, keystore, record(), i=0x07, terms=terms).open()
    with pytest.raises(CardError, match="6A88"):
        ready(station, keystore, record(), i=0x05, terms=terms).open()


def test_an_unknown_host_writes_nothing(station: Station, keystore: SoftKeyStore) -> None:
    """Over SCP11b the card takes nothing from whom it doesn't know."""
    made = ready(station, keystore, record(), i=0x00)
    made.open()
    with pytest.raises(CardError, match="GET STATUS: 6982"):
        made.look()
    assert "touched" not in station.memory()


def test_a_false_card_gets_nothing(station: Station, keystore: SoftKeyStore) -> None:
    """Another CA is trusted than its own: no certificate of ours is sent, nor any secret."""
    other = Authority(identifier=HOST_CA.identifier, curve=HOST_CA.curve, point=HOST_CA.point)
    with pytest.raises(AuthenticationError, match="signed by no CA that is trusted"):
        ready(station, keystore, record(), terms=replace(TERMS, authorities=(other,))).open()
    assert {command.name for command in station.sent} <= {"SELECT", "GET DATA", "GET RESPONSE"}


def test_certificates_are_judged_by_the_day(station: Station, keystore: SoftKeyStore) -> None:
    """The work says which day it is."""
    made = ready(station, keystore, record())
    late = Work(
        order=record(),
        catalog=catalog(),
        product=PRODUCT,
        host_challenge=bytes(16),
        seed=bytes(SEED),
        today=date(2100, 1, 1),
    )
    with pytest.raises(AuthenticationError, match="isn't valid on 2100-01-01"):
        Press(late, keystore, station.transmit, lambda _phase: None).open()
    made.open()


def test_a_channel_without_terms_is_not_opened(station: Station, keystore: SoftKeyStore) -> None:
    """Nothing is sent but SELECT."""
    with pytest.raises(PlanError, match="off-card entity's part"):
        ready(station, keystore, record(), terms=None).open()
    assert [command.name for command in station.sent] == ["SELECT"]
