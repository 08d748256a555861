"""Every secure channel at every level, the engine's end against the simulated card's."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from hardware.errors import AuthenticationError, CardError, PlanError
from hardware.iso7816 import AID, Command, Dialogue, Response, run
from hardware.scp import Opening, SecureChannel, channel, secured
from hardware.scp.scp02 import Implicit, Scp02
from hardware.sim.blank import Blank, shipped
from hardware.sim.card import Card
from hardware.sim.eeprom import Eeprom, Json
from hardware.trace.recorder import Recorder
from hardware.trace.standin import Standin
from tests.hardware.opening import keys_of
from tests.hardware.vectors import built_in

HOST = bytes(range(0x10, 0x20))
SCP03 = [(i, bits // 8, level, pads) for key, i, bits, level in built_in() if key == "SCP03" for pads in (False, True)]

SCP02 = [(i, level) for key, i, _, level in built_in() if key == "SCP02"]
WITH_R_MAC = sorted(i for i in Scp02.OPTIONS if i & 0x20)


@dataclass
class Station:
    """A fresh simulated card of *blank* and what it was sent; answers may be changed on the line."""

    blank: Blank
    sequence: int = 0
    sent: list[bytes] = field(default_factory=list)
    spoil: bool = False

    def __post_init__(self) -> None:
        values: dict[str, Json] = {"isd/state": "0F", "identity": "00" * 42, "scp/sequence": self.sequence}
        self.card = Card(self.blank, Eeprom(values), lambda size: bytes(range(0x80, 0x80 + size)))

    def __call__(self, command: Command) -> Response:
        self.sent.append(bytes(command))
        answer, _ = self.card.transmit(bytes(command))
        if self.spoil and len(answer) > 2:
            answer = bytes((answer[0] ^ 1,)) + answer[1:]
        return Response.parse(answer)

    def open(
        self, key: str, level: int, *, pads: bool = False, through: Callable[[Command], Response] | None = None
    ) -> SecureChannel:
        blank = self.blank
        how = Opening(i=blank.i, level=level, kvn=blank.kvn, host_challenge=HOST, sd_aid=AID(blank.isd_aid), pad_empty=pads)
        keys = {"enc": blank.enc, "mac": blank.mac, "dek": blank.dek}
        return run(channel(key).open(how, keys_of(keys)), through or self)


def scp03(i: int, size: int, *, pads: bool = False) -> Station:
    """Return a station with an SCP03 card."""
    enc, mac, dek = (bytes((first,)) + bytes(range(size - 1)) for first in (0xE0, 0xA0, 0xD0))
    return Station(replace(shipped("export-scp03"), i=i, pads_empty=pads, enc=enc, mac=mac, dek=dek))


GET = Command("GET DATA", 0x80, 0xCA, 0, 0x42, ne=256, secret=())
STATUS = Command("GET STATUS", 0x80, 0xF2, 0x80, 0x02, b"\x4f\0", ne=256, secret=())
CHALLENGE, NUMBER = bytes.fromhex("42030102AA"), bytes.fromhex("4510") + bytes(range(16))
STORED = (
    Command("STORE DATA", 0x80, 0xE2, 0x10, 0, CHALLENGE),
    Command("STORE DATA", 0x80, 0xE2, 0x10, 1, NUMBER[:5]),
    Command("STORE DATA", 0x80, 0xE2, 0x90, 2, NUMBER[5:]),
)


def scp02(i: int) -> Station:
    """Return a station with an SCP02 card; with one base key its other two are noise that must not be used."""
    return Station(replace(shipped("payment-scp02"), i=i))


def scp01(i: int) -> Station:
    """Return a station with an SCP01 card."""
    return Station(replace(shipped("payment-scp02"), scp=1, i=i))


def _talk() -> Dialogue[tuple[bytes, ...]]:
    """Send commands with and without data, alone and in a burst; return answers with data and one without."""
    with pytest.raises(CardError, match="GET DATA: 6A88"):
        yield GET
    none = yield STORED
    status = yield STATUS
    numbers = yield GET, replace(GET, p2=0x45)
    one = yield GET
    return none.data, status.data[:1], numbers.data, one.data


ANSWERS = (b"", b"\xe3", NUMBER, CHALLENGE)


@pytest.mark.parametrize(("i", "size", "level", "pads"), SCP03)
def test_scp03_carries_commands_and_answers_both_ways(i: int, size: int, level: int, pads: bool) -> None:
    """In every mode, at every level of every option, with every key size: what one end says, the other end reads."""
    at = scp03(i, size, pads=pads)
    assert run(secured(_talk(), at.open("SCP03", level, pads=pads)), at) == ANSWERS


@pytest.mark.parametrize(("i", "level"), SCP02)
def test_scp02_carries_commands_and_answers_both_ways(i: int, level: int) -> None:
    """Every option at each of its levels: one base key or three, implicit and explicit, every kind of C-MAC, R-MAC."""
    at = scp02(i)
    opened = at.open("SCP02", level)
    assert opened.kdd == at.blank.kdd
    assert run(secured(_talk(), opened), at) == ANSWERS


@pytest.mark.parametrize("i", [0x05, 0x15])
@pytest.mark.parametrize("level", [0x00, 0x01, 0x03])
def test_scp01_carries_commands_and_answers_both_ways(i: int, level: int) -> None:
    """With the ICV encrypted and not."""
    at = scp01(i)
    assert run(secured(_talk(), at.open("SCP01", level)), at) == ANSWERS


@pytest.mark.parametrize("size", range(1, 17))
@pytest.mark.parametrize("make", [scp01, scp02])
def test_data_of_any_length_are_deciphered(make: Callable[[int], Station], size: int) -> None:
    """SCP01 pads only where it must, SCP02 always."""
    at = make(0x15)
    store = Command("STORE DATA", 0x80, 0xE2, 0x10, 0, b"\x42" + bytes((size,)) + bytes(size))
    opened = at.open(f"SCP{at.blank.scp:02}", 3)
    read = run(secured(_talk_only(replace(store, p1=0x90), GET), opened), at)
    assert read.data == store.data


@pytest.mark.parametrize("i", WITH_R_MAC)
@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("data", [b"", b"of the host's choice"])
def test_an_r_mac_session_is_begun_and_ended(i: int, each: bool, data: bytes) -> None:
    """Within it each answer carries its R-MAC, or the last one that of all; behind it answers are as before it."""
    at = scp02(i)
    opened = at.open("SCP02", 0x01)
    assert isinstance(opened, Scp02)
    run(secured(_talk_only(STATUS), opened), at)
    run(opened.begin_r_mac(each=each, data=data), at)
    assert run(secured(_talk(), opened), at) == ANSWERS
    run(opened.end_r_mac(), at)
    assert run(secured(_talk_only(GET), opened), at).data == CHALLENGE
    with pytest.raises(PlanError, match="no R-MAC session was begun"):
        run(opened.end_r_mac(), at)


@pytest.mark.parametrize("i", WITH_R_MAC)
def test_an_answer_changed_unseen_is_found_at_the_end(i: int) -> None:
    """Where only END R-MAC SESSION tells, it tells of every answer."""
    at = scp02(i)
    opened = at.open("SCP02", 0x01)
    assert isinstance(opened, Scp02)
    run(opened.begin_r_mac(each=False), at)
    at.spoil = True
    run(secured(_talk_only(STATUS), opened), at)
    at.spoil = False
    with pytest.raises(AuthenticationError, match=r"^END R-MAC SESSION: the R-MAC"):
        run(opened.end_r_mac(), at)


@pytest.mark.parametrize("i", sorted(set(Scp02.OPTIONS) - set(WITH_R_MAC)))
def test_no_r_mac_session_without_its_bit(i: int) -> None:
    """Neither by a command nor by the level."""
    at = scp02(i)
    opened = at.open("SCP02", 0x01)
    assert isinstance(opened, Scp02)
    with pytest.raises(PlanError, match="can't begin an R-MAC session"):
        run(opened.begin_r_mac(each=True), at)
    with pytest.raises(PlanError, match=f"i={i:02X} has no level 11"):
        at.open("SCP02", 0x11)


@pytest.mark.parametrize("i", sorted(i for i in Scp02.OPTIONS if not i & 0x04))
@pytest.mark.parametrize("level", [0x00, 0x03, 0x10, 0x13])
def test_implicit_initiation_has_c_mac_and_no_c_decryption(i: int, level: int) -> None:
    """Nothing is sent for another level."""
    at = scp02(i)
    with pytest.raises(PlanError, match=f"has no level {level:02X}"):
        at.open("SCP02", level)
    assert at.sent == []


def test_sessions_opened_implicitly_count() -> None:
    """The counter moves with the first command that verifies, so a second session has other keys."""
    at = scp02(0x1B)
    first = at.open("SCP02", 0x01)
    assert isinstance(first, Implicit)
    at.card.reset()
    second = at.open("SCP02", 0x01)
    assert isinstance(second, Implicit)
    assert (first.sequence, second.sequence) == (b"\0\0", b"\0\1")
    run(secured(_talk_only(STATUS), second), at)


def test_an_implicit_session_with_wrong_keys_is_refused_by_the_card() -> None:
    """Its first C-MAC is what the host proves itself by, so it is the host that is refused; a try is spent."""
    for level, name in ((0x01, "GET DATA"), (0x11, "BEGIN R-MAC SESSION")):
        at = scp02(0x3B)
        at.blank = replace(at.blank, mac=bytes(range(16)))
        with pytest.raises(AuthenticationError, match=f"^the card refused the host: {name}: 6988") as wrong:
            at.open("SCP02", level)
        assert wrong.value.refused
        assert len(at.sent) == 3


@pytest.mark.parametrize("level", [0x11, 0x13, 0x33])
@pytest.mark.parametrize("i", [0x60, 0x61])
def test_the_first_wrong_answer_ends_a_burst(level: int, i: int) -> None:
    """The other commands of the burst, wrapped as they are, aren't sent any more."""
    at = scp03(i, 16)
    opened = at.open("SCP03", level)
    at.sent.clear()
    at.spoil = True
    with pytest.raises(AuthenticationError, match=r"^STORE DATA: the R-MAC"):
        run(secured(_talk_only(*STORED), opened), at)
    assert len(at.sent) == 1
    at.spoil = False
    with pytest.raises(AuthenticationError, match=r"^GET STATUS: the session is over since the R-MAC of an earlier answer"):
        run(secured(_talk_only(STATUS), opened), at)
    assert len(at.sent) == 1


def _talk_only(*burst: Command) -> Dialogue[Response]:
    return (yield burst)


@pytest.mark.parametrize("level", [0x11, 0x33])
def test_a_recorder_notes_the_answer_in_plain(level: int) -> None:
    """A trace has what was said beneath the secure channel, for commands and answers alike, and a wrong R-MAC as a fault."""
    at = scp03(0x60, 16)
    opened = at.open("SCP03", level)
    recorder = Recorder(at, lambda: 0.0, lambda: datetime(2026, 11, 23, tzinfo=UTC))
    run(secured(_talk_only(*STORED, GET), opened), recorder)
    at.spoil = True
    with pytest.raises(AuthenticationError):
        run(secured(_talk_only(GET), opened), recorder)
    *stored, last, wrong = recorder.trace(product="", encoder="", atr=b"", protocol="").exchanges
    assert [each.response for each in stored] == [Response(b"", 0x9000)] * 3
    assert (last.command, last.response) == (GET, Response(CHALLENGE, 0x9000))
    assert wrong.response is None
    assert wrong.fault.startswith("AuthenticationError: GET DATA: the R-MAC")


@pytest.mark.parametrize("level", [0x01, 0x11, 0x33])
def test_a_trace_stands_in_for_the_card(level: int) -> None:
    """Its answers are plain, so the channel takes them as they are; a wrong R-MAC happens once more."""
    at = scp03(0x60, 16)
    recorder = Recorder(at, lambda: 0.0, lambda: datetime(2026, 11, 23, tzinfo=UTC))
    opened = at.open("SCP03", level, through=recorder)
    run(secured(_talk_only(*STORED, GET), opened), recorder)
    at.spoil = True
    with suppress(AuthenticationError):
        run(secured(_talk_only(GET), opened), recorder)
    card = Standin(recorder.trace(product="", encoder="", atr=b"", protocol=""))
    opened = at.open("SCP03", level, through=card)
    assert run(secured(_talk_only(*STORED, GET), opened), card).data == CHALLENGE
    if level & 0x10:
        with pytest.raises(AuthenticationError, match="the R-MAC"):
            run(secured(_talk_only(GET), opened), card)
        assert card.finished


def test_a_card_that_expects_padding_refuses_none() -> None:
    """The option must be the card's: the first command without data is refused, and the session is over."""
    at = scp03(0x00, 16, pads=True)
    with pytest.raises(CardError, match="GET DATA: 6988"):
        run(secured(_talk_only(GET), at.open("SCP03", 3)), at)
