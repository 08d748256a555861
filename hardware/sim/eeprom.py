"""The chip's persistent memory: one flat dictionary, changed by whole commands."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json] | None"
Changes: TypeAlias = dict[str, Json]


def data_key(tag: int) -> str:
    """Return the memory key of one of the ISD's own data objects."""
    return f"isd/data/{tag:X}"


def fold(values: dict[str, Json], changes: Mapping[str, Json]) -> None:
    """Apply *changes* to *values*; None removes a key."""
    for key, value in changes.items():
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value


class Eeprom:
    """Hold persistent values; a refused command leaves nothing behind but its counters."""

    def __init__(self, values: Mapping[str, Json]) -> None:
        self._values = dict(values)
        self._pending: Changes = {}
        self._counters: Changes = {}

    def get(self, key: str) -> Json:
        """Return the value of *key* as this command sees it, or None."""
        if key in self._pending:
            return self._pending[key]
        if key in self._counters:
            return self._counters[key]
        return self._values.get(key)

    def text(self, key: str) -> str | None:
        """Return a string value or None."""
        value = self.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> int:
        """Return an integer value, 0 where there is none."""
        value = self.get(key)
        return value if isinstance(value, int) else 0

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys under *prefix*, the oldest first."""
        pending = [key for key in self._pending if key not in self._values]
        for key in (*self._values, *pending):
            if key.startswith(prefix) and self.get(key) is not None:
                yield key

    def put(self, key: str, value: Json) -> None:
        """Write *value* if the command succeeds."""
        self._pending[key] = value

    def count(self, key: str, value: int) -> None:
        """Write a counter at once: it keeps its value even if the command is refused."""
        self._counters[key] = value

    def abort(self) -> None:
        """Undo what the command wrote, except its counters."""
        self._pending.clear()

    def commit(self) -> Changes:
        """Make the command's writes permanent; returns only what differs from before."""
        merged = {**self._counters, **self._pending}
        changes = {key: value for key, value in merged.items() if self._values.get(key) != value}
        self._pending.clear()
        self._counters.clear()
        fold(self._values, changes)
        return changes

    def values(self) -> dict[str, Json]:
        """Return a copy of everything committed."""
        return dict(self._values)


class Part(Eeprom):
    """One part of a chip's memory, in which names begin anew: the counters of one key set."""

    def __init__(self, whole: Eeprom, prefix: str) -> None:
        self._whole, self._prefix = whole, prefix

    def get(self, key: str) -> Json:
        """Return the value of *key* as this command sees it, or None."""
        return self._whole.get(self._prefix + key)

    def put(self, key: str, value: Json) -> None:
        """Write *value* if the command succeeds."""
        self._whole.put(self._prefix + key, value)

    def count(self, key: str, value: int) -> None:
        """Write a counter at once."""
        self._whole.count(self._prefix + key, value)
