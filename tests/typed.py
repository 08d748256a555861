"""The bureau command as a person types it."""

import sys
from typing import NamedTuple, Protocol

import pytest

from bureau.cli import main


class Said(NamedTuple):
    """What a command answered: what a shell would see as its status, its result, and what was said beside it."""

    status: int
    out: str
    err: str


class Typed(Protocol):
    """Types a command."""

    def __call__(self, *words: str) -> Said: ...


def in_process(patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> Typed:
    """Return what types a command in this process."""

    def typed(*words: str) -> Said:
        patch.setattr(sys, "argv", ["bureau", *words])
        capture.readouterr()
        try:
            main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        said = capture.readouterr()
        return Said(status, said.out, said.err)

    return typed
