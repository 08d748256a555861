"""The file of the soft key store: JSON, replaced whole under a lock, so that several processes may write to it."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hardware.errors import KeyStoreError
from hardware.keystores import Algorithm, KeyId, KeyInfo, Mode, Purpose

VERSION: Final = 1
OWN: Final = ("wrapping", "audit")
"""The store's own keys: for data keys, and for the audit log."""
SHOWN: Final = ("id", "name", "purpose", "algorithm", "size", "mode", "kcv")


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered key as the file has it, with its certificates, if it has any."""

    info: KeyInfo
    sealed: bytes = field(repr=False)
    certificates: tuple[bytes, ...] = ()

    @classmethod
    def parse(cls, raw: object) -> "Entry":
        """Read one item of the file; raises ValueError where something is missing or unknown."""
        table = _table(raw)
        shown = {name: _text(table, name) for name in SHOWN if name != "size"}
        size = table.get("size")
        if not isinstance(size, int):
            raise ValueError("size is missing")
        info = KeyInfo(
            id=KeyId(shown["id"]),
            name=shown["name"],
            purpose=Purpose(shown["purpose"]),
            algorithm=Algorithm(shown["algorithm"]),
            size=size,
            mode=Mode(shown["mode"]),
            kcv=shown["kcv"],
        )
        chain = table.get("certificates", [])
        if not isinstance(chain, list):
            raise ValueError("certificates are no list")
        return cls(info, bytes.fromhex(_text(table, "sealed")), tuple(bytes.fromhex(str(each)) for each in chain))

    @property
    def shown(self) -> dict[str, str | int | list[str]]:
        """All of it that isn't secret."""
        chain = {"certificates": [each.hex() for each in self.certificates]} if self.certificates else {}
        return {name: getattr(self.info, name) for name in SHOWN} | chain

    @property
    def associated(self) -> bytes:
        """All that isn't secret, as it is bound to the sealed value."""
        return json.dumps(self.shown, sort_keys=True).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """The whole file."""

    salt: bytes
    verifier: bytes
    own: Mapping[str, bytes]
    entries: Mapping[KeyId, Entry]

    @classmethod
    def read(cls, path: Path) -> "KeyFile":
        """Read *path*; raises KeyStoreError where it is missing or damaged."""
        try:
            table = _table(json.loads(path.read_bytes()))
            if table.get("version") != VERSION:
                raise ValueError(f"its version is {table.get('version')!r}, this engine reads {VERSION}")
            raw = table.get("keys")
            if not isinstance(raw, list):
                raise ValueError("keys are missing")
            entries = [Entry.parse(item) for item in raw]
            return cls(
                salt=bytes.fromhex(_text(table, "salt")),
                verifier=bytes.fromhex(_text(table, "verifier")),
                own={name: bytes.fromhex(_text(table, name)) for name in OWN},
                entries={entry.info.id: entry for entry in entries},
            )
        except FileNotFoundError as missing:
            raise KeyStoreError(f"there is no key store {path}") from missing
        except OSError as fault:
            raise KeyStoreError(f"key store {path} can't be read: {fault.strerror}") from fault
        except ValueError as damage:
            raise KeyStoreError(f"key store {path} can't be used: {damage}") from damage

    def __str__(self) -> str:
        keys = [self.entries[key].shown | {"sealed": self.entries[key].sealed.hex()} for key in sorted(self.entries)]
        head = {"version": VERSION, "salt": self.salt.hex(), "verifier": self.verifier.hex()}
        own = {name: sealed.hex() for name, sealed in self.own.items()}
        return json.dumps(head | own | {"keys": keys}, indent=1) + "\n"

    def write(self, path: Path) -> None:
        """Replace *path* in one step, so that a reader or a crash sees the old file or the new one."""
        new = path.with_name(path.name + ".new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                os.fchmod(descriptor, 0o600)
                out.write(str(self))
                out.flush()
                os.fsync(out.fileno())
            new.replace(path)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as fault:
            raise KeyStoreError(f"key store {path} can't be written: {fault.strerror}") from fault


def _table(raw: object) -> Mapping[str, object]:
    if not isinstance(raw, dict):
        raise ValueError("an object is missing")
    return raw


def _text(table: Mapping[str, object], name: str) -> str:
    value = table.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} is missing")
    return value


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of the key store; it is a file of its own since the store's file is replaced."""
    try:
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as fault:
        raise KeyStoreError(f"key store {path} can't be locked: {fault.strerror}") from fault
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
