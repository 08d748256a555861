"""Profiles as registered: a version never changes, and a job pins the very content that it uses."""

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from sqlalchemy import insert, select

from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger import rows
from bureau.ledger.ledger import Ledger
from bureau.ledger.schema import profiles
from bureau.models import ProfilePin
from hardware.perso.order import UniqueID


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One registered version with its content; *code* is a load file's."""

    pin: ProfilePin
    xml: bytes = field(repr=False)
    code: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """One line of the list of profiles."""

    pin: ProfilePin
    added_by: str
    added_at: datetime
    has_code: bool


def digest(kind: str, unique_id: str, version: str, xml: bytes, code: bytes | None) -> str:
    """Return SHA-256 in hex over all that makes a profile, each part after its length in 8 bytes."""
    parts = (kind.encode(), unique_id.encode(), version.encode(), xml, *(() if code is None else (code,)))
    return sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()


def add(
    ledger: Ledger,
    kind: str,
    unique_id: UniqueID,
    version: str,
    xml: bytes,
    actor: str,
    now: datetime,
    *,
    code: bytes | None = None,
) -> ProfilePin:
    """Register a profile; the same again is no error. Raises NotAllowedError for a known version with other content."""
    pin = ProfilePin(kind=kind, unique_id=unique_id, version=version, digest=digest(kind, unique_id, version, xml, code))
    same = (profiles.c.kind == kind) & (profiles.c.unique_id == unique_id) & (profiles.c.version == version)
    with ledger.write(actor, now) as tx:
        known = tx.connection.execute(select(profiles.c.digest).where(same)).scalar_one_or_none()
        if known == pin.digest:
            return pin
        if known is not None:
            raise NotAllowedError(
                f"{kind} {unique_id} {version} is registered with other content", "Give the changed one a new version."
            )
        added = {"digest": pin.digest, "xml": xml, "code": code, "added_by": actor, "added_at": now}
        tx.connection.execute(insert(profiles).values(kind=kind, unique_id=unique_id, version=version, **added))
        tx.record("add", f"profile {kind} {unique_id} {version}", digest=pin.digest)
    return pin


def load(ledger: Ledger, pin: ProfilePin) -> Profile:
    """Return the content behind *pin*; raises NotFoundError."""
    wanted = select(profiles.c.xml, profiles.c.code).where(profiles.c.digest == pin.digest)
    with ledger.read() as connection:
        row = connection.execute(wanted).one_or_none()
    if row is None:
        raise NotFoundError(f"{pin.kind} {pin.unique_id} {pin.version} isn't registered", "See `bureau profiles`.")
    return Profile(pin=pin, xml=row.xml, code=row.code)


def registered(ledger: Ledger) -> list[Registered]:
    """Return every registered version, the oldest first."""
    columns = [column for column in profiles.c if column.name not in {"xml", "code"}]
    wanted = select(*columns, profiles.c.code.is_not(None).label("has_code")).order_by(profiles.c.id)
    with ledger.read() as connection:
        return [
            Registered(pin=rows.pin(row), added_by=row.added_by, added_at=row.added_at, has_code=row.has_code)
            for row in connection.execute(wanted)
        ]
