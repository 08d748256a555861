"""Every secure channel at every level, the engine's end against the simulated card's."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from hardware.errors import AuthenticationError, CardError
from hardware.iso7816 import AID, Command, Dialogue, Response, run
from hardware.scp import Opening, SecureChannel, channel, secured
from hardware.sim.blank import Blank, shipped
from hardware.sim.card import Card
from hardware.sim.eeprom import Eeprom, Json
from hardware.trace.recorder import Recorder
from tests.hardware.opening import keys_of

HOST = bytes(range(0x10, 0x20))
LEVELS = {0x00: (0x01, 0x03), 0x20: (0x01, 0x03, 0x11, 0x13), 0x60: (0x01, 0x03, 0x11, 0x13, 0x33)}
SCP03 = [
    (i | challenge | s16, size, level, pads)
    for i, levels in LEVELS.items()
    for challenge in (0x00, 0x10)
    for s16 in (0x00, 0x01)
    for size in (16, 24, 32)
    for level in levels
    for pads in (False, True)
]


@dataclass
class Station:
    """A fresh simulated card of *blank* and what it was sent; answers may be changed on the line."""

    blank: Blank
    sent: list[bytes] = field(default_factory=list)
    spoil: bool = False

    def __post_init__(self) -> None:
        values: dict[str, Json] = {"isd/state": "0F", "identity": "00" * 42, "scp/sequence": 0, "scp/failures": 0}
        self.card = Card(self.blank, Eeprom(values), lambda size: bytes(range(0x80, 0x80 + size)))

    def __call__(self, command: Command) -> Response:
        self.sent.append(bytes(command))
        answer, _ = self.card.transmit(bytes(command))
        if self.spoil and len(answer) > 2:
            answer = bytes((answer[0] ^ 1,)) + answer[1:]
        return Response.parse(answer)

    def open(self, key: str, level: int, *, pads: bool = False) -> SecureChannel:
        blank = self.blank
        how = Opening(i=blank.i, level=level, kvn=blank.kvn, host_challenge=HOST, sd_aid=AID(blank.isd_aid), pad_empty=pads)
        keys = {"enc": blank.enc, "mac": blank.mac, "dek": blank.dek}
        return run(channel(key).open(how, keys_of(keys)), self)


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


def _talk() -> Dialogue[tuple[bytes, ...]]:
    """Send commands with and without data, alone and in a burst; return answers with data and one without."""
    with pytest.raises(CardError, match="GET DATA: 6A88"):
        yield GET
    none = yield STORED
    status = yield STATUS
    numbers = yield GET, replace(GET, p2=0x45)
    one = yield GET
    return none.data, status.data[:1], numbers.data, one.data


@pytest.mark.parametrize(("i", "size", "level", "pads"), SCP03)
def test_scp03_carries_commands_and_answers_both_ways(i: int, size: int, level: int, pads: bool) -> None:
    """In every mode, at every level of every option, with every key size: what one end says, the other end reads."""
    at = scp03(i, size, pads=pads)
    assert run(secured(_talk(), at.open("SCP03", level, pads=pads)), at) == (b"", b"\xe3", NUMBER, CHALLENGE)


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


def test_a_card_that_expects_padding_refuses_none() -> None:
    """The option must be the card's: the first command without data is refused, and the session is over."""
    at = scp03(0x00, 16, pads=True)
    with pytest.raises(CardError, match="GET DATA: 6988"):
        run(secured(_talk_only(GET), at.open("SCP03", 3)), at)
