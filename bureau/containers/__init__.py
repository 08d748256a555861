"""Issuer files in, audit trails out: LPI containers in the GlobalPlatform Messaging encoding.

Here are only the port and the values; `submission.examine` checks a file, `submission.records` reads it again,
`orders.order` turns one record back into an Order, and `trail` answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from zoneinfo import ZoneInfo

from bureau.errors import BureauError
from bureau.models import Batch
from hardware.keystores import KeyInfo
from hardware.perso.order import UniqueID
from hardware.perso.product import Product
from hardware.perso.profiles import ApplicationProfile, CardProfile


class Known(Protocol):
    """What the bureau knows and a file is checked against."""

    def application(self, id: UniqueID) -> ApplicationProfile | None:  # noqa: A002 - the standard's word
        """Return the registered application profile."""

    def card(self, id: UniqueID) -> CardProfile | None:  # noqa: A002
        """Return the registered card profile."""

    def product(self, card_profile: UniqueID) -> Product | None:
        """Return the registered card product that meets *card_profile*."""

    def card_profiles_naming(self, application: UniqueID) -> tuple[CardProfile, ...]:
        """Return the registered card profiles of which an ApplicationInstance names *application*."""

    def key(self, id: UniqueID) -> KeyInfo | None:  # noqa: A002
        """Return what may be shown of a registered key."""

    def crns_refused(self, issuer: str, crns: Sequence[str]) -> Mapping[str, str]:
        """Say why those of *crns* (at most 500) can't be taken that *issuer* has used before."""

    def file_known(self, sha256: str) -> str | None:
        """Say as what ("job 7") the same file was accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a file, or (*warning*) worth knowing; it never quotes a data value.

    record: the card's number in the file, from 1; element: its name and, where there is one, its attribute, as in
    ``ProcessingStep/@Action``.
    """

    line: int
    record: int | None = None
    crn: str | None = None
    element: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What holds where a file names nothing; due dates are read in *plant* time."""

    issuer: str | None = None
    priority: int = 2
    risk: int = 3
    plant: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A file that was found right: its requests, its card records, and the transport *keys* that each job of
    each batch names, by their positions.

    not_done: by name, on how many cards there is something kept that isn't done here (generic modules, delivery);
    placed: for application notifications, the job of each combination of batch and application profiles.
    """

    batches: tuple[Batch, ...]
    records: int
    sha256: str
    size: int
    warnings: tuple[Problem, ...]
    keys: Mapping[tuple[int, int], frozenset[UniqueID]]
    not_done: Mapping[str, int]
    placed: Mapping[tuple[int, tuple[UniqueID, ...]], int]


class RefusedError(BureauError):
    """The file is refused whole; *problems* are all errors and warnings, by line."""

    def __init__(
        self, message: str, *, problems: Sequence[Problem], sha256: str, remedy: str = "correct the file and submit it again"
    ) -> None:
        super().__init__(message, f"{remedy}; nothing of it was kept")
        self.problems = tuple(problems)
        self.sha256 = sha256
