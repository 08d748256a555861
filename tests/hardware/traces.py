"""Traces for tests: of a whole simulated card, and made by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from hypothesis import strategies as st

from hardware.encoders.simulator import Simulator
from hardware.gp import commands, identity, registry
from hardware.iso7816 import Command, Dialogue, Response, run
from hardware.perso.layout import layout
from hardware.perso.order import Instructions
from hardware.perso.steps import Install, Load, Personalize
from hardware.scp import Opening, channel, secured
from hardware.sim.blank import shipped
from hardware.trace import Exchange, Trace
from hardware.trace.recorder import Recorder
from tests.hardware.cards import FIRST, ISD, LOAD_FILE, MODULE, PACKAGE, instance
from tests.hardware.opening import keys_of
from tests.hardware.storing import item

BEGAN = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
PAN, PIN, FCI = "5A085413330089604111", "241234FFFFFFFFFF" * 2, "A5" + "D1D2D3D4D5" * 60
"""Values of the record; the last is longer than a command."""


def card(folder: Path, kind: str) -> Trace:
    """Make a card of *kind* in a simulator, 250 microseconds for each exchange and between two; return its trace."""
    blank = shipped(kind)
    machine = Simulator.start("sim1", {"blank": kind, "blanks": {"BLUE": 1}, "seed": 1}, folder)
    fed = machine.feed("BLUE")
    assert fed
    ticks = (tick / 4000 for tick in count())
    recorder = Recorder(machine.transmit, lambda: next(ticks), lambda: BEGAN)
    recorder.enter("open the channel")
    recorder(commands.select(ISD))
    challenge = bytes.fromhex("1122334455667788")
    opening = Opening(i=blank.i, level=0x03, kvn=blank.kvn, host_challenge=challenge, sd_aid=ISD)
    keys = keys_of({"enc": blank.enc, "mac": blank.mac, "dek": blank.dek})
    opened = run(channel(f"SCP{blank.scp:02}").open(opening, keys), recorder)
    recorder.enter("identify")
    run(secured(identity.read(), opened), recorder)
    recorder.enter("read what the card holds")
    run(secured(registry.read_all(), opened), recorder)
    items = (item("0101", PAN), item("8010", PIN, secret=True), item("9102", FCI))
    for step in (
        Load(load_file=LOAD_FILE, blocks=LOAD_FILE.load_blocks(100), security_domain=ISD, origin=None),
        Install(load_file=PACKAGE, module=MODULE, instance=instance(FIRST), selectable=True, origin=None),
        Personalize(aid=FIRST, layout=layout(items, Instructions(), room=239, packing=True), final=True, origin=None),
    ):
        recorder.enter(str(step))
        run(secured(step.dialogue(lambda value, _key: value), opened), recorder)
    recorder.enter("verify")
    run(secured(_verify(), opened), recorder)
    machine.close()
    return recorder.trace(product=kind, encoder="sim1", atr=fed[1], protocol="")


def _verify() -> Dialogue[None]:
    yield from registry.read(commands.APPLICATIONS)
    for tag in (0x66, 0xE0):
        yield commands.get_data(tag)


def exchange(command: Command, answer: str | None = "9000", *, fault: str = "", start: float = 0.0) -> Exchange:
    """Return one exchange that took 1.5 ms; *answer* in hex with its status word, None: none came."""
    response = None if answer is None else Response.parse(bytes.fromhex(answer))
    return Exchange(
        phase="by hand",
        command=command,
        octets=len(bytes(command)),
        digest=b"",
        response=response,
        fault=fault,
        start=start,
        seconds=0.0015,
    )


def trace(*exchanges: Exchange) -> Trace:
    """Return a trace of these."""
    atr = bytes.fromhex("3B878131FE45504552534F3032D5")
    return Trace(product="by hand", encoder="desk", atr=atr, protocol="T=1", began=BEGAN, exchanges=exchanges)


def apdu(
    text: str, *, name: str = "COMMAND", secret: tuple[tuple[int, int], ...] | None = (), ne: int | None = None
) -> Command:
    """Return a command from its header and data in hex; public unless *secret* says otherwise."""
    whole = bytes.fromhex(text)
    return Command(name, whole[0], whole[1], whole[2], whole[3], whole[4:], ne, secret=secret)


INS = st.sampled_from([0xA4, 0xB2, 0xCA, 0xCB, 0x50, 0x82, 0xD8, 0xE2, 0xE4, 0xE6, 0xE8, 0xF0, 0xF2]) | st.integers(0, 255)
BYTE = st.integers(0, 255)
PIECES = st.binary(max_size=12).flatmap(
    lambda value: st.sampled_from(
        [
            value,
            bytes((len(value),)) + value,
            b"\x4f" + bytes((len(value),)) + value,
            b"\x01\x01" + bytes((len(value),)) + value,
        ]
    )
)
DATA = st.lists(PIECES, max_size=6).map(b"".join) | st.binary(max_size=90)
"""Bytes that often are LVs, TLVs or DGIs, whole or cut."""


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    """Any command with any spans, answered somehow or not at all."""
    data = draw(DATA)
    place = st.integers(0, len(data))
    span = st.tuples(place, place).map(lambda ends: (min(ends), max(ends)))
    command = Command(
        name="ANY",
        cla=draw(st.sampled_from([0x00, 0x80, 0x84])),
        ins=draw(INS),
        p1=draw(st.sampled_from([0x00, 0x02, 0x04, 0x08, 0x0C, 0x10, 0x20, 0x40, 0x80, 0x88, 0x90, 0x9F]) | BYTE),
        p2=draw(st.sampled_from([0x00, 0x01, 0x02, 0x7F]) | BYTE),
        data=data,
        ne=draw(st.sampled_from([None, 16, 256, 65536])),
        secret=draw(st.none() | st.lists(span, max_size=3).map(tuple) | st.just(())),
    )
    response = draw(st.none() | st.builds(Response, DATA, st.integers(0, 0xFFFF)))
    return Exchange(
        phase=draw(st.sampled_from(["one", "other"])),
        command=command,
        octets=draw(st.integers(4, 300)),
        digest=b"",
        response=response,
        fault="" if response else "MuteCard: the card doesn't answer",
        start=draw(st.floats(0, 10)),
        seconds=draw(st.floats(0, 1)),
    )


def hidden(each: Exchange) -> Iterator[int]:
    """Yield the places of the hidden bytes in a command's data, found by this function's own reading of the spans."""
    data, secret = each.command.data, each.command.secret
    for place in range(len(data)):
        if secret is None or any(start <= place < end for start, end in secret):
            yield place


def altered(each: Exchange) -> Exchange:
    """Return *each* with every hidden byte inverted, those of the answer too where the command isn't public."""
    places, command, response = set(hidden(each)), each.command, each.response
    data = bytes(byte ^ 0xFF if place in places else byte for place, byte in enumerate(command.data))
    if response and command.secret != ():
        response = Response(bytes(byte ^ 0xFF for byte in response.data), response.sw)
    other = Command(
        command.name, command.cla, command.ins, command.p1, command.p2, data, command.ne, command.accept, command.secret
    )
    return Exchange(
        phase=each.phase,
        command=other,
        octets=each.octets,
        digest=b"another",
        response=response,
        fault=each.fault,
        start=each.start,
        seconds=each.seconds,
    )
