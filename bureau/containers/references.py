"""Watches that no card reference stands twice in a file or is already in use for its issuer."""

from typing import Final

from bureau.containers import Known, Problem
from bureau.containers.problems import Problems

ASKED: Final = 500
"""References that are asked about at a time."""


class References:
    """The CRNs of one file."""

    def __init__(self, known: Known, problems: Problems) -> None:
        self._known, self._problems = known, problems
        self._seen: dict[bytes, int] = {}
        self._open: dict[str, dict[str, tuple[int, int]]] = {}

    def take(self, issuer: str, crn: str, record: int, line: int) -> None:
        """Note one card's reference, with its number and line."""
        first = self._seen.setdefault(bytes.fromhex(crn), record)
        if first != record:
            self._say(crn, record, line, f"stands twice: card {first} of this file has it too")
            return
        waiting = self._open.setdefault(issuer, {})
        waiting[crn] = (record, line)
        if len(waiting) >= ASKED:
            self._ask(issuer)

    def finish(self) -> None:
        """Ask about the rest."""
        for issuer in self._open:
            self._ask(issuer)

    def _ask(self, issuer: str) -> None:
        waiting, self._open[issuer] = self._open[issuer], {}
        if not waiting:
            return
        for crn, why in self._known.crns_refused(issuer, tuple(waiting)).items():
            self._say(crn, *waiting[crn], why)

    def _say(self, crn: str, record: int, line: int, message: str) -> None:
        self._problems.add(Problem(line=line, record=record, crn=crn, element="CRN/@Number", message=message))
