"""Bytes as they may be shown: of a hidden one nothing is kept but its place, so nothing that reads these can tell it."""

from collections.abc import Iterable
from itertools import groupby
from typing import Final, TypeAlias

from hardware.iso7816 import Command, Response, Span

Cells: TypeAlias = tuple[int | None, ...]
"""Bytes in their order; None: one that is secret or confidential."""
LONGEST_TAG: Final = 3


class UnreadableError(ValueError):
    """What comes next can't be taken apart: it is hidden or malformed."""


class CutShortError(UnreadableError):
    """What comes next goes on beyond the last byte."""


def cells(data: bytes, hidden: Iterable[Span]) -> Cells:
    """Return *data* without what the *hidden* spans cover; they may overlap."""
    shown: list[int | None] = list(data)
    for start, end in hidden:
        shown[start:end] = [None] * (end - start)
    return tuple(shown)


def asked(command: Command) -> Cells:
    """Return the data of *command*; where nobody has said what is secret in it, nothing of it is kept."""
    return cells(command.data, command.hidden)


def answered(command: Command, response: Response) -> Cells:
    """Return the data of the answer to *command*: all of it, or nothing where the command isn't public."""
    return cells(response.data, () if command.is_public else ((0, len(response.data)),))


def text(shown: Cells) -> str:
    """Return *shown* in hex, and how many bytes are masked in each place."""
    if shown and all(cell is None for cell in shown):
        return f"{counted(len(shown))} (masked)"
    return " ".join(_run(tuple(run), hidden=hidden) for hidden, run in groupby(shown, lambda cell: cell is None))


def public(shown: Cells) -> bytes | None:
    """Return *shown* as bytes, or None where any is hidden."""
    known = bytes(cell for cell in shown if cell is not None)
    return known if len(known) == len(shown) else None


def counted(number: int, what: str = "byte") -> str:
    """Return *number* and of what, in the plural where that is due."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _run(run: Cells, *, hidden: bool) -> str:
    return f"({counted(len(run))} masked)" if hidden else bytes(cell or 0 for cell in run).hex().upper()


class Reader:
    """Takes cells apart from the first to the last; *at* is the next one."""

    def __init__(self, shown: Cells) -> None:
        self._cells, self.at = shown, 0

    @property
    def left(self) -> int:
        """How many cells are still to be read."""
        return len(self._cells) - self.at

    def take(self, size: int) -> Cells:
        """Return the next cells; raises CutShortError where there are fewer."""
        if size > self.left:
            raise CutShortError(f"{counted(size)} where {self.left} are left")
        self.at += size
        return self._cells[self.at - size : self.at]

    def rest(self) -> Cells:
        """Return all that is left."""
        return self.take(self.left)

    def number(self, size: int = 1) -> int:
        """Return the next bytes as a number; raises UnreadableError where one is hidden."""
        known = public(self.take(size))
        if known is None:
            raise UnreadableError("hidden")
        return int.from_bytes(known, "big")

    def tag(self) -> int:
        """Return the next BER tag, of at most three bytes."""
        tag = byte = self.number()
        if tag & 0x1F == 0x1F:
            for _ in range(LONGEST_TAG - 1):
                byte = self.number()
                tag = tag << 8 | byte
                if not byte & 0x80:
                    break
            else:
                raise UnreadableError("a tag of more than three bytes")
        return tag

    def length(self) -> int:
        """Return the next BER length, of at most three bytes and definite."""
        first = self.number()
        if first < 0x80:
            return first
        if first not in (0x81, 0x82):
            raise UnreadableError("a length that is indefinite or longer than three bytes")
        return self.number(first & 0x7F)

    def tlv(self) -> tuple[int, Cells]:
        """Return the next BER-TLV."""
        tag = self.tag()
        return tag, self.take(self.length())

    def lv(self) -> Cells:
        """Return what stands behind the next BER length."""
        return self.take(self.length())
