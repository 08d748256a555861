"""What each plan step sends."""

import pytest

from hardware.errors import CardError
from hardware.iso7816 import Response, run
from hardware.perso.layout import layout
from hardware.perso.order import Instructions
from hardware.perso.profiles import TagEncoding
from hardware.perso.steps import Delete, Install, Load, Origin, Personalize, PlanStep
from hardware.perso.values import Coded
from tests.hardware.cards import FIRST, ISD, LOAD_FILE, MODULE, PACKAGE, instance
from tests.hardware.replay import replay

ORIGIN = Origin(0, 0)
INSTALL_FOR_LOAD = "80E602001306A0000000040108A00000015100000000000000"
RECORD = Coded(name="0101", tag=0x0101, structure=TagEncoding.DGI, value=b"SECRET", transport=None)
LOADING = Load(load_file=LOAD_FILE, blocks=(b"\xc4\x03", b"\x01\x02", b"\x03"), security_domain=ISD, origin=ORIGIN)
INSTALLING = Install(load_file=PACKAGE, module=MODULE, instance=instance(FIRST), selectable=True, origin=ORIGIN)
PERSONALIZING = Personalize(
    aid=FIRST, layout=layout((RECORD,), Instructions(), room=239, packing=True), final=True, origin=ORIGIN
)
SCRIPTS: list[tuple[PlanStep, list[str]]] = [
    (Delete(aid=FIRST, related=False, origin=None), ["80E40000094F07A000000004101000"]),
    (Delete(aid=PACKAGE, related=True, origin=None), ["80E40080084F06A0000000040100"]),
    (LOADING, [INSTALL_FOR_LOAD, "80E8000002C40300", "80E8000102010200", "80E88002010300"]),
    (INSTALLING, ["80E60C001D06A0000000040107A000000004010107A0000000041010010002C9000000"]),
    (PERSONALIZING, ["80E620000D000007A000000004101000000000", "80E2880009010106534543524554"]),
]


def as_it_is(value: bytes, _key: object) -> bytes:
    return value


@pytest.mark.parametrize(("step", "script"), SCRIPTS, ids=str)
def test_step_sends_its_commands(step: PlanStep, script: list[str]) -> None:
    """To the byte, and nothing more."""
    card = replay([(apdu, "9000") for apdu in script])
    run(step.dialogue(as_it_is), card)
    assert card.finished


@pytest.mark.parametrize(("step", "script"), SCRIPTS, ids=str)
def test_first_refusal_ends_the_step(step: PlanStep, script: list[str]) -> None:
    """Whatever is refused, no further command goes out."""
    for refused in range(len(script)):
        answers = ["9000"] * refused + ["6985"]
        card = replay(list(zip(script, answers, strict=False)))
        with pytest.raises(CardError, match="6985"):
            run(step.dialogue(as_it_is), card)
        assert card.finished


@pytest.mark.parametrize(("step", "script"), SCRIPTS, ids=str)
def test_step_without_answers_to_wait_for_is_one_run(step: PlanStep, script: list[str]) -> None:
    """All of it can be made ready before the first command is sent."""
    dialogue = step.dialogue(as_it_is)
    sent = next(dialogue)
    assert (len(sent) if isinstance(sent, tuple) else 1) == len(script)
    with pytest.raises(StopIteration):
        dialogue.send(Response(b"", 0x9000))


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (SCRIPTS[0][0], "delete A0000000041010"),
        (SCRIPTS[1][0], "delete A00000000401 and its applications"),
        (LOADING, "load A00000000401: 154 bytes in 3 LOAD"),
        (INSTALLING, "install A0000000041010 from module A0000000040101"),
        (PERSONALIZING, "personalize A0000000041010: 1 elements in 1 STORE DATA"),
    ],
)
def test_step_prints_as_one_line_without_values(step: PlanStep, text: str) -> None:
    """A plan can be shown to anyone."""
    assert str(step) == text
    assert "SECRET" not in repr(step)
