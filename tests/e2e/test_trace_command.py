"""What an engineer sees of a card that was made, and takes away as a file."""

import json
from pathlib import Path

import pytest

from bureau.models import CardId, JobId
from hardware.trace.lines import load
from tests.e2e import expected, secrecy
from tests.e2e.bureaus import Bureau
from tests.typed import Typed


def test_a_trace_is_shown_in_words(bureau: Bureau, made: CardId, typed: Typed) -> None:
    """By number or CRN: whose it is, each phase, each command, each answer, the times; and no value."""
    crn = next(card.crn for card in bureau.cards(JobId(1)) if card.card == made)
    status, shown, _ = typed("trace", crn)
    assert status == 0
    assert typed("trace", str(made)) == (0, shown, "")
    assert shown.startswith(f"card {made} (CRN {crn}), attempt 1 on sim1#1, good\n")
    for words in (
        "identify  (",
        "INITIALIZE UPDATE",
        "security level 03: C-MAC, C-DECRYPTION",
        "personalize A0000000041010",
        "DGI 8010 reference PIN block  8 bytes (masked)",
        "9000 done",
        "6A88 referenced data not found",
        "in all: card ",
    ):
        assert words in shown
    assert secrecy.found(shown.encode(), expected.secrets(expected.PAYMENT)) == {}


def test_an_exported_trace_can_be_read_back(made: CardId, typed: Typed, tmp_path: Path) -> None:
    """As JSON lines, masked; the shown one's commands in their order."""
    file = tmp_path / "card.jsonl"
    status, out, said = typed("trace", str(made), "--export", str(file))
    assert (status, out) == (0, "")
    found = load(file.read_text().splitlines())
    assert f"{len(found.exchanges)} commands" in said
    assert found.exchanges[0].command.name == "SELECT"
    assert json.loads(file.read_text().splitlines()[0])["masked"] is True
    assert secrecy.found(file.read_bytes(), expected.secrets(expected.PAYMENT)) == {}


def test_an_exported_capture_is_one(made: CardId, typed: Typed, tmp_path: Path) -> None:
    """A pcap file, little-endian, version 2.4."""
    file = tmp_path / "card.pcap"
    assert typed("trace", str(made), "--export", str(file))[0] == 0
    assert file.read_bytes()[:8] == bytes.fromhex("D4C3B2A102000400")
    assert secrecy.found(file.read_bytes(), expected.secrets(expected.PAYMENT)) == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("77",), "there is no card 77"),
        (("1", "--attempt", "2"), "card 1 has no attempt 2"),
        (("2",), "card 2 has no attempt 1"),
        (("1", "--export", "card.txt"), "must end in .jsonl or .pcap"),
        (("1", "--export", "/nowhere/card.pcap"), "/nowhere/card.pcap"),
    ],
)
def test_what_is_not_there_is_said(made: CardId, typed: Typed, words: tuple[str, ...], said: str) -> None:
    """And nothing is written."""
    status, out, err = typed("trace", *words)
    assert status in (1, 2)
    assert out == ""
    assert said in err
