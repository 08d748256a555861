"""What an issuer wants on one card: values in the standard's own terms, free of XML."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from hardware.iso7816 import AID
from hardware.keystores import Transport

UniqueID = NewType("UniqueID", str)
"""Upper-case hex of the body of a BER object identifier."""


class Action(StrEnum):
    """A processing step; the codes that a request may use for it stand in ACTIONS."""

    LOAD = "LOAD"
    INSTALL = "INSTALL"
    PERSONALIZE = "PERSONALIZE"


ACTIONS = {"LOAD": Action.LOAD, "INSTALL": Action.INSTALL, "PERSONALIZE": Action.PERSONALIZE, "0F": Action.PERSONALIZE}
"""Requests' Action values; any other is refused. 0F is seen in the field for the life cycle that the step reaches."""


class TargetState(StrEnum):
    """The life cycle state that an application must reach (AID @TargeState), by name; GPCS 11.1.1 has the codes."""

    INSTALLED = "INSTALLED"
    SELECTABLE = "SELECTABLE"
    PERSONALIZED = "PERSONALIZED"

    @property
    def code(self) -> int:
        """The life cycle coding that GET STATUS reports."""
        return {"INSTALLED": 0x03, "SELECTABLE": 0x07, "PERSONALIZED": 0x0F}[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One Data pair: *value* as the file writes it; *transport* names the key that it stands under."""

    name: str
    value: str = field(repr=False)
    transport: Transport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """All elements of the DataSets that share a *name*, in file order."""

    name: str
    elements: tuple[Element, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """PersoDeviceIns of a PERSONALIZE step; names are DGIs in upper-case hex, or element names."""

    order: tuple[str, ...] = ()
    version_control: frozenset[str] = frozenset()
    encrypted: frozenset[str] = frozenset()
    groups: tuple[tuple[str, ...], ...] = ()
    """Each group travels in one STORE DATA."""
    security_level: int | None = None
    update_cplc: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One ProcessingStep; *code* is the Action as the request wrote it, *mandatory* Requirement 01."""

    action: Action
    code: str
    mandatory: bool
    data_set: str | None = None
    instructions: Instructions = Instructions()
    script: str | None = None
    """The name of a script fragment that an interpreter must run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationOrder:
    """One ApplicationData: what to do for one application, in order."""

    aid: AID | None
    profile: UniqueID | None
    steps: tuple[Step, ...]
    data: tuple[DataSet, ...] = ()
    log: tuple[DataSet, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One AID of a CardConfiguration, in the order in which the applications are made."""

    aid: AID
    order: int
    state: TargetState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One card record: its reference, the card profiles that will do, and its applications."""

    crn: str
    card_profiles: tuple[UniqueID, ...]
    targets: tuple[Target, ...]
    applications: tuple[ApplicationOrder, ...]

    def aid(self, application: ApplicationOrder) -> AID | None:
        """Return the AID that *application* names, or that of the only target for the only application."""
        if application.aid is None and len(self.targets) == len(self.applications) == 1:
            return self.targets[0].aid
        return application.aid
