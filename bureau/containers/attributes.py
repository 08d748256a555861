"""The attributes of the frame around card records: which there must be, and what they look like."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

LONGEST: Final = 1_000
"""Characters of anything that an issuer says for itself."""
EARLIEST: Final = 1900
LATEST: Final = datetime(9998, 12, 31)


@dataclass(frozen=True, slots=True)
class Kind:
    """What an attribute's value looks like, for a person and for the machine."""

    wanted: str
    fits: Callable[[str], bool]


def moment(value: str) -> datetime:
    """Return YYYYMMDD (midnight) or YYYYMMDDHHMMSS; raises ValueError where there is no such time."""
    if not re.fullmatch(r"[0-9]{8}([0-9]{6})?", value):
        raise ValueError("expected YYYYMMDD or YYYYMMDDHHMMSS")
    return datetime.strptime(value.ljust(14, "0"), "%Y%m%d%H%M%S")


def due(value: str, plant: ZoneInfo) -> datetime:
    """Return the end of the day *value* in *plant* time, or that very second where it gives one, as UTC.

    What is due after LATEST, as where 99991231 stands for never, is due then: no time zone takes it out of the calendar.
    """
    when = min(moment(value), LATEST)
    if len(value) == 8:
        when = datetime.combine(when.date(), time(23, 59, 59))
    return when.replace(tzinfo=plant).astimezone(UTC)


def is_date(value: str) -> bool:
    """Return whether *value* is a real date of our times, with or without a time."""
    try:
        return moment(value).year >= EARLIEST
    except ValueError:
        return False


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda value: re.fullmatch(pattern, value) is not None


NAME: Final = Kind("a value that isn't empty", lambda value: bool(value.strip()))
TEXT: Final = Kind("text", lambda _: True)
SAYING: Final = Kind(f"at most {LONGEST} characters", lambda value: len(value) <= LONGEST)
LEVEL: Final = Kind("1, 2 or 3", _matches("[123]"))
COUNT: Final = Kind("a whole number", _matches("[0-9]{1,9}"))
DATE: Final = Kind("a real date, YYYYMMDD or YYYYMMDDHHMMSS", is_date)

REQUIRED: Final[Mapping[str, Mapping[str, Kind]]] = {
    "BatchCardCustomization": {"BatchID": NAME, "IssuingEntity": NAME, "ProcessingEntity": NAME},
    "EnvironmentContainer": {"EnvironmentName": NAME, "EnvironmentVersion": NAME, "Preference": LEVEL},
    "DataContainerHeader": {
        "DataGenerationDate": DATE, "CardProductID": NAME, "CardProductVersion": NAME, "IssuerName": NAME,
        "CardRecordCount": COUNT,
    },
    "ApplicationDataNotification": {"BatchID": NAME},
}  # fmt: skip
OPTIONAL: Final[Mapping[str, Mapping[str, Kind]]] = {
    "BatchCardCustomization": {"UserData": SAYING},
    "EnvironmentContainer": {
        "CommandInterpreterSupport": LEVEL, "CommandInterpreterType": TEXT, "CommandInterpreterVersion": TEXT,
    },
    "JobContainer": {"JobID": NAME, "JobPriorityLevel": LEVEL, "RiskLevel": LEVEL},
    "DataContainerHeader": {"PlasticStockID": NAME, "RequiredProcessingDate": DATE},
}  # fmt: skip


def faults(element: str, given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield attribute and message for everything wrong with the attributes *given* of a frame element."""
    required, optional = REQUIRED.get(element, {}), OPTIONAL.get(element, {})
    for name in required:
        if name not in given:
            yield name, "is missing"
    for name, value in given.items():
        kind = required.get(name) or optional.get(name)
        if kind is None:
            yield name, "isn't known here"
        elif not kind.fits(value):
            yield name, f"is malformed: expected {kind.wanted}"
