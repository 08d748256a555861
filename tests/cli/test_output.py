"""What is printed is what was said, whatever it looks like."""

from zoneinfo import ZoneInfo

import pytest

from bureau.cli.output import details, listing, note, say

HOSTILE = "INSTALL [for load] [/x] [red]\x1b[2J\r"
SHOWN = "INSTALL [for load] [/x] [red]\\x1b[2J\\x0d"


def test_brackets_and_control_characters_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """In tables and lines, results and notes: a card or a reader neither formats nor moves the cursor."""
    listing([{"what": HOSTILE}], json_=False, zone=ZoneInfo("UTC"), empty="")
    details({"what": HOSTILE}, zone=ZoneInfo("UTC"))
    say(HOSTILE)
    note(HOSTILE)
    said = capsys.readouterr()
    assert said.out.count(SHOWN) == 3
    assert said.err.count(SHOWN) == 1
    assert "\x1b" not in said.out + said.err
