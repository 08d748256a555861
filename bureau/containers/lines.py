"""Says for one card record what is wrong with it and where."""

import re
from collections.abc import Sequence

from lxml import etree

from bureau.containers import Problem
from bureau.containers.frame import Card
from bureau.containers.orders import crn
from bureau.containers.problems import Problems
from bureau.containers.schemas import Finding
from hardware.perso.values import shown


def source_line(element: etree._Element) -> int:
    """Return the line of *element* within its tree."""
    line = element.sourceline
    return line if isinstance(line, int) else 1


class Place:
    """One card record as a place where something may be wrong; *added* are the common elements merged into it."""

    def __init__(self, card: Card, problems: Problems) -> None:
        self._card, self._problems = card, problems
        self.crn = crn(card.root)
        self.added: Sequence[etree._Element] = ()
        self._found: set[tuple[int, str]] = set()

    def found(self, finding: Finding) -> None:
        """Take down what the schema refuses."""
        line = self._card.line + finding.line - 1
        self._found.add((line, finding.element))
        self._add(line, finding.element, finding.message)

    def read(self, element: etree._Element, name: str, message: str) -> None:
        """Take down what can't be read of *element*, unless the schema has said so already."""
        line = self.line(element)
        if (line, name) not in self._found or not re.search("malformed|missing", message):
            self._add(line, name, message)

    def wrong(self, element: etree._Element, name: str, message: str, *, warning: bool = False) -> None:
        """Take down what is wrong with *element*."""
        self._add(self.line(element), name, message, warning=warning)

    def line(self, element: etree._Element) -> int:
        """Return the file's line on which *element* stands."""
        own = self._card.line
        common = self._card.common
        if common is not None and any(each in self.added for each in (element, *element.iterancestors())):
            own = common.line
        return own + source_line(element) - 1

    def _add(self, line: int, name: str, message: str, *, warning: bool = False) -> None:
        record, kept = self._card.number, shown(name)
        if kept != name:
            name, message = kept, message.replace(name, kept)
        self._problems.add(Problem(line=line, record=record, crn=self.crn, element=name, message=message, warning=warning))
