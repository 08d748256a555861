"""Collects what is wrong with a file while it is read, in bounded memory."""

from dataclasses import replace
from typing import Final

from bureau.containers import Problem

MOST: Final = 100_000
"""Errors that are listed; a file with more of them is another kind of file."""
MOST_WARNINGS: Final = 1_000


class Problems:
    """The errors and warnings found so far."""

    def __init__(self) -> None:
        self._errors: list[Problem] = []
        self._warnings: list[Problem] = []
        self.errors = self.warnings = 0

    def add(self, problem: Problem) -> None:
        """Take *problem* down; beyond MOST errors or MOST_WARNINGS warnings it is only counted."""
        if problem.warning:
            self.warnings += 1
            kept, most = self._warnings, MOST_WARNINGS
        else:
            self.errors += 1
            kept, most = self._errors, MOST
        if len(kept) < most:
            kept.append(problem)

    def listed(self) -> tuple[Problem, ...]:
        """Return errors, then warnings, each by line; what was only counted is said last of its kind."""
        return (*_sorted(self._errors, self.errors), *_sorted(self._warnings, self.warnings))


def _sorted(kept: list[Problem], found: int) -> tuple[Problem, ...]:
    ordered = tuple(sorted(kept, key=lambda problem: problem.line))
    if found == len(kept):
        return ordered
    more = f"and {found - len(kept)} more, not listed"
    return (*ordered, replace(ordered[-1], record=None, crn=None, element="file", message=more))
