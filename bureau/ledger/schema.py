"""The ledger's tables; what the database can forbid by itself stands here as a constraint."""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)

from bureau.models import AttemptOutcome, CardState, EncoderState, JobState, RequestState, Role, StockMove

VERSION: Final = "0004"
"""The last migration that these tables come from."""
MICROSECONDS: Final = BigInteger().with_variant(Integer, "sqlite")
"""A time; 31 bits would hold 36 minutes."""
UNWRITTEN: Final = 3
"""A record that comes back so often without having been written is held."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware in, UTC and aware out; a naive one raises ValueError."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return *value* in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return *value* as UTC: SQLite gives back what it was handed, without the zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _key() -> Column[Any]:
    # sqlite_autoincrement below: a number that people have seen is never given to something else
    return Column("id", Integer, primary_key=True)


def _to(name: str, target: str, *, index: bool = True) -> Column[Any]:
    return Column(name, Integer, ForeignKey(target), nullable=False, index=index)


def _one_of(column: str, values: Iterable[StrEnum]) -> CheckConstraint:
    allowed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({allowed})", name=column)


files = Table(
    "files",
    metadata,
    _key(),
    Column("name", Text, nullable=False),
    Column("sha256", Text, nullable=False, unique=True),
    Column("submitted_by", Text, nullable=False),
    Column("submitted_at", UtcDateTime, nullable=False),
    Column("touched_at", UtcDateTime, nullable=False),
    Column("accepted_at", UtcDateTime),
    sqlite_autoincrement=True,
)

batches = Table(
    "batches",
    metadata,
    _key(),
    _to("file_id", "files.id"),
    Column("position", Integer, nullable=False),
    Column("form", Text, nullable=False),
    Column("batch_id", Text, nullable=False, index=True),
    Column("issuer", Text, nullable=False),
    Column("processing_entity", Text, nullable=False),
    Column("user_data", Text),
    Column("namespace", Text, nullable=False),
    Column("envelope", JSON(none_as_null=True)),
    Column("context", JSON, nullable=False, server_default="[]"),
    sqlite_autoincrement=True,
)

jobs = Table(
    "jobs",
    metadata,
    _key(),
    _to("batch_id", "batches.id"),
    Column("position", Integer, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("set_priority", Integer),
    Column("risk", Integer, nullable=False),
    Column("environment", Text, nullable=False),
    Column("environment_version", Text, nullable=False),
    Column("preference", Integer, nullable=False),
    Column("interpreter_support", Integer),
    Column("interpreter_type", Text),
    Column("interpreter_version", Text),
    Column("environment_index", Integer, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("mode", Text, nullable=False),
    Column("wrapped_data_key", LargeBinary),
    Column("remarks", JSON, nullable=False),
    Column("held_by", Text),
    Column("held_at", UtcDateTime),
    Column("held_reason", Text),
    Column("stock_changes", Integer, nullable=False, server_default="0"),
    Column("estimate", JSON(none_as_null=True)),
    Column("first_article", Boolean, nullable=False, server_default=false()),
    Column("reissue", Text),
    Column("released_at", UtcDateTime),
    Column("closed_at", UtcDateTime),
    Column("reported_at", UtcDateTime),
    Column("purged_at", UtcDateTime),
    _one_of("state", JobState),
    UniqueConstraint("batch_id", "position"),
    sqlite_autoincrement=True,
)

lots = Table(
    "lots",
    metadata,
    _key(),
    _to("job_id", "jobs.id"),
    Column("position", Integer, nullable=False),
    Column("generation_date", Text, nullable=False),
    Column("card_product", Text, nullable=False),
    Column("card_product_version", Text, nullable=False),
    Column("issuer_name", Text, nullable=False),
    Column("record_count", Integer, nullable=False),
    Column("stock", Text, nullable=False),
    Column("required_date", Text),
    Column("due", UtcDateTime),
    Column("profiles", JSON, nullable=False),
    Column("common", JSON, nullable=False),
    Column("protocols", JSON, nullable=False, server_default="[]"),
    Column("late_at", UtcDateTime),
    Column("stopped_by", Text),
    Column("stopped_at", UtcDateTime),
    Column("stopped_reason", Text),
    Column("looked_at", UtcDateTime),
    Column("article_at", UtcDateTime),
    Column("unsampled", Integer),
    Column("closed_at", UtcDateTime),
    UniqueConstraint("job_id", "position"),
    sqlite_autoincrement=True,
)

cards = Table(
    "cards",
    metadata,
    _key(),
    _to("lot_id", "lots.id", index=False),
    _to("job_id", "jobs.id"),
    Column("position", Integer, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("crn", Text, nullable=False),
    Column("issue", Integer, nullable=False, server_default="0"),
    Column("reissue_of", Integer, ForeignKey("cards.id")),
    Column("container", Text, nullable=False, index=True),
    Column("state", Text, nullable=False),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("lease_until", UtcDateTime),
    Column("encoder", Text),
    Column("returns", Integer, nullable=False, server_default="0"),
    Column("fault", Text),
    Column("fault_code", Text),
    Column("sealed", LargeBinary),
    _one_of("state", CardState),
    CheckConstraint("(lease_until IS NOT NULL) = (state IN ('leased', 'writing', 'verifying'))", name="lease"),
    Index("ix_cards_next", "lot_id", "state", "position"),
    UniqueConstraint("job_id", "position"),
    sqlite_autoincrement=True,
)
Index(
    "uq_cards_issuer_crn",
    cards.c.issuer,
    cards.c.crn,
    cards.c.issue,
    unique=True,
    sqlite_where=cards.c.state != CardState.WITHDRAWN.value,
    postgresql_where=cards.c.state != CardState.WITHDRAWN.value,
)
_again = cards.c.reissue_of.is_not(None)
Index("ix_cards_reissue_of", cards.c.reissue_of, sqlite_where=_again, postgresql_where=_again)
_leased = cards.c.lease_until.is_not(None)
Index("ix_cards_lease", cards.c.lease_until, sqlite_where=_leased, postgresql_where=_leased)

attempts = Table(
    "attempts",
    metadata,
    _key(),
    _to("card_id", "cards.id", index=False),
    Column("encoder", Text, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("position", Integer),
    Column("identity_type", Text),
    Column("identity", Text),
    Column("outcome", Text, nullable=False),
    Column("cause", Text),
    Column("cause_code", Text),
    Column("started_at", UtcDateTime, nullable=False),
    Column("writing_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("card_state", Integer),
    Column("result", JSON, nullable=False),
    Column("booked", Boolean, nullable=False, server_default=false()),
    Column("sampled", Boolean, nullable=False, server_default=false()),
    Column("destroyed", Integer, ForeignKey("requests.id")),
    Column("busy_time", MICROSECONDS),
    Column("protocol", Text),
    Column("bit_rate", Integer),
    Column("octets", Integer),
    Column("card_time", MICROSECONDS),
    Column("host_time", MICROSECONDS),
    Column("least_time", MICROSECONDS),
    _one_of("outcome", AttemptOutcome),
    CheckConstraint("(ended_at IS NULL) = (outcome = 'open')", name="ended"),
    UniqueConstraint("card_id", "fence"),
    Index("ix_attempts_identity", "identity_type", "identity"),
    sqlite_autoincrement=True,
)
_good = attempts.c.outcome == AttemptOutcome.GOOD.value
_open = attempts.c.outcome == AttemptOutcome.OPEN.value
_known = _good & (attempts.c.identity != "")
Index("uq_attempts_good", attempts.c.card_id, unique=True, sqlite_where=_good, postgresql_where=_good)
Index("uq_attempts_open", attempts.c.card_id, unique=True, sqlite_where=_open, postgresql_where=_open)
Index(
    "uq_attempts_chip",
    attempts.c.identity_type,
    attempts.c.identity,
    unique=True,
    sqlite_where=_known,
    postgresql_where=_known,
)

traces = Table(
    "traces",
    metadata,
    Column("attempt_id", Integer, ForeignKey("attempts.id"), primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
)

encoders = Table(
    "encoders",
    metadata,
    Column("name", Text, primary_key=True),
    Column("product", Text, nullable=False),
    Column("profiles", JSON, nullable=False),
    Column("environment", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("stocks", JSON, nullable=False),
    Column("mode", Text, nullable=False),
    Column("protocols", JSON, nullable=False, server_default='["T=0", "T=1"]'),
    Column("interpreters", JSON, nullable=False, server_default="[]"),
    Column("last_lot", Integer),
    Column("last_stock", Text),
    Column("stock_changes", Integer, nullable=False, server_default="0"),
    Column("pace", MICROSECONDS),
    Column("host", Text, nullable=False, server_default=""),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("held_by", Text),
    Column("held_at", UtcDateTime),
    Column("strikes", Integer, nullable=False, server_default="0"),
    Column("listening", JSON, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("lost_at", UtcDateTime),
    _one_of("state", (EncoderState.HELD, EncoderState.OPEN)),
)

stock_moves = Table(
    "stock_moves",
    metadata,
    _key(),
    Column("kind", Text, nullable=False),
    Column("stock", Text, nullable=False, index=True),
    Column("count", Integer, nullable=False),
    Column("encoder", Text),
    Column("actor", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    _one_of("kind", StockMove),
    CheckConstraint("count > 0", name="some"),
    CheckConstraint("(encoder IS NULL) = (kind = 'receive')", name="place"),
    sqlite_autoincrement=True,
)

encoder_stocks = Table(
    "encoder_stocks",
    metadata,
    Column("encoder", Text, primary_key=True),
    Column("stock", Text, primary_key=True),
    Column("blanks", Integer, nullable=False),
    CheckConstraint("blanks >= 0", name="blanks"),
)

profiles = Table(
    "profiles",
    metadata,
    _key(),
    Column("kind", Text, nullable=False),
    Column("unique_id", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False, unique=True),
    Column("xml", LargeBinary, nullable=False),
    Column("code", LargeBinary),
    Column("added_by", Text, nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
    UniqueConstraint("kind", "unique_id", "version"),
)

job_profiles = Table(
    "job_profiles",
    metadata,
    Column("job_id", Integer, ForeignKey("jobs.id"), primary_key=True),
    Column("profile_id", Integer, ForeignKey("profiles.id"), primary_key=True, index=True),
)

accounts = Table(
    "accounts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("verifier", LargeBinary, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("locked_at", UtcDateTime),
    Column("added_by", Text, nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
    Column("retired_at", UtcDateTime),
    Column("waiting", Boolean, nullable=False, server_default=false()),
    _one_of("role", Role),
)

requests = Table(
    "requests",
    metadata,
    _key(),
    Column("action", Text, nullable=False),
    Column("subject", JSON, nullable=False),
    Column("reason", Text, nullable=False),
    Column("asked_by", Text, ForeignKey("accounts.name"), nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False),
    Column("decided_by", Text, ForeignKey("accounts.name")),
    Column("decided_at", UtcDateTime),
    _one_of("state", RequestState),
    CheckConstraint("(decided_at IS NULL) = (state = 'open')", name="decided"),
    CheckConstraint("state != 'done' OR (decided_by IS NOT NULL AND decided_by != asked_by)", name="two_people"),
    sqlite_autoincrement=True,
)

audit = Table(
    "audit",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)

audit_head = Table(
    "audit_head",
    metadata,
    _key(),
    Column("number", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    CheckConstraint("id = 1", name="single"),
)

alerts = Table(
    "alerts",
    metadata,
    _key(),
    Column("number", Integer, nullable=False),
    CheckConstraint("id = 1", name="single"),
)
