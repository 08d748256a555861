"""Make the first tables, and on SQLite the triggers that keep the audit log as it was written."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables and the empty head of the audit log."""
    for make in (
        _audit,
        _audit_head,
        _encoders,
        _files,
        _profiles,
        _batches,
        _jobs,
        _job_profiles,
        _lots,
        _cards,
        _attempts,
    ):
        make()
    head = sa.table("audit_head", sa.column("id"), sa.column("number"), sa.column("digest"), sa.column("mac"))
    op.execute(sa.insert(head).values(id=1, number=0, digest=sa.literal(bytes(32)), mac=sa.literal(b"")))
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )
        op.execute(
            "CREATE TRIGGER audit_head_no_delete BEFORE DELETE ON audit_head "
            "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
    )


def _audit_head() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("id = 1", name="ck_audit_head_single"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )


def _encoders() -> None:
    op.create_table(
        "encoders",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("profiles", sa.JSON(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("stocks", sa.JSON(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("strikes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("listening", sa.JSON(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.CheckConstraint("state IN ('held', 'open')", name="ck_encoders_state"),
        sa.PrimaryKeyConstraint("name", name="pk_encoders"),
    )


def _files() -> None:
    op.create_table(
        "files",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("submitted_by", sa.Text(), nullable=False),
        sa.Column("submitted_at", MOMENT, nullable=False),
        sa.Column("touched_at", MOMENT, nullable=False),
        sa.Column("accepted_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_files"),
        sa.UniqueConstraint("sha256", name="uq_files_sha256"),
        sqlite_autoincrement=True,
    )


def _profiles() -> None:
    op.create_table(
        "profiles",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("unique_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("xml", sa.LargeBinary(), nullable=False),
        sa.Column("code", sa.LargeBinary()),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("added_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_profiles"),
        sa.UniqueConstraint("digest", name="uq_profiles_digest"),
        sa.UniqueConstraint("kind", "unique_id", "version", name="uq_profiles_kind_unique_id_version"),
    )


def _batches() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("file_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("processing_entity", sa.Text(), nullable=False),
        sa.Column("user_data", sa.Text()),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("envelope", sa.JSON(none_as_null=True)),
        sa.ForeignKeyConstraint(["file_id"], ["files.id"], name="fk_batches_file_id"),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_batches_batch_id", "batches", ["batch_id"], unique=False)
    op.create_index("ix_batches_file_id", "batches", ["file_id"], unique=False)


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("risk", sa.Integer(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("environment_version", sa.Text(), nullable=False),
        sa.Column("preference", sa.Integer(), nullable=False),
        sa.Column("interpreter_support", sa.Integer()),
        sa.Column("interpreter_type", sa.Text()),
        sa.Column("interpreter_version", sa.Text()),
        sa.Column("environment_index", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("wrapped_data_key", sa.LargeBinary()),
        sa.Column("remarks", sa.JSON(), nullable=False),
        sa.Column("released_at", MOMENT),
        sa.Column("closed_at", MOMENT),
        sa.Column("reported_at", MOMENT),
        sa.Column("purged_at", MOMENT),
        sa.CheckConstraint(
            "state IN ('incoming', 'held', 'released', 'closed', 'reported', 'purged')", name="ck_jobs_state"
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name="fk_jobs_batch_id"),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("batch_id", "position", name="uq_jobs_batch_id_position"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_jobs_batch_id", "jobs", ["batch_id"], unique=False)
    op.create_index("ix_jobs_state", "jobs", ["state"], unique=False)


def _job_profiles() -> None:
    op.create_table(
        "job_profiles",
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("profile_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_profiles_job_id"),
        sa.ForeignKeyConstraint(["profile_id"], ["profiles.id"], name="fk_job_profiles_profile_id"),
        sa.PrimaryKeyConstraint("job_id", "profile_id", name="pk_job_profiles"),
    )
    op.create_index("ix_job_profiles_profile_id", "job_profiles", ["profile_id"], unique=False)


def _lots() -> None:
    op.create_table(
        "lots",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("generation_date", sa.Text(), nullable=False),
        sa.Column("card_product", sa.Text(), nullable=False),
        sa.Column("card_product_version", sa.Text(), nullable=False),
        sa.Column("issuer_name", sa.Text(), nullable=False),
        sa.Column("record_count", sa.Integer(), nullable=False),
        sa.Column("stock", sa.Text(), nullable=False),
        sa.Column("required_date", sa.Text()),
        sa.Column("due", MOMENT),
        sa.Column("profiles", sa.JSON(), nullable=False),
        sa.Column("common", sa.JSON(), nullable=False),
        sa.Column("closed_at", MOMENT),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_lots_job_id"),
        sa.PrimaryKeyConstraint("id", name="pk_lots"),
        sa.UniqueConstraint("job_id", "position", name="uq_lots_job_id_position"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lots_job_id", "lots", ["job_id"], unique=False)


def _cards() -> None:
    op.create_table(
        "cards",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("lot_id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("crn", sa.Text(), nullable=False),
        sa.Column("container", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", MOMENT),
        sa.Column("encoder", sa.Text()),
        sa.Column("returns", sa.Integer(), server_default="0", nullable=False),
        sa.Column("sealed", sa.LargeBinary()),
        sa.CheckConstraint(
            "(lease_until IS NOT NULL) = (state IN ('leased', 'writing', 'verifying'))", name="ck_cards_lease"
        ),
        sa.CheckConstraint(
            "state IN ('ready', 'leased', 'writing', 'verifying', 'good', 'rejected', 'suspect', 'scrapped', 'withdrawn')",
            name="ck_cards_state",
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_cards_job_id"),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name="fk_cards_lot_id"),
        sa.PrimaryKeyConstraint("id", name="pk_cards"),
        sa.UniqueConstraint("job_id", "position", name="uq_cards_job_id_position"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_cards_container", "cards", ["container"], unique=False)
    op.create_index("ix_cards_job_id", "cards", ["job_id"], unique=False)
    op.create_index(
        "ix_cards_lease",
        "cards",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("lease_until IS NOT NULL"),
        postgresql_where=sa.text("lease_until IS NOT NULL"),
    )
    op.create_index("ix_cards_next", "cards", ["lot_id", "state", "position"], unique=False)
    op.create_index(
        "uq_cards_issuer_crn",
        "cards",
        ["issuer", "crn"],
        unique=True,
        sqlite_where=sa.text("state != 'withdrawn'"),
        postgresql_where=sa.text("state != 'withdrawn'"),
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("card_id", sa.Integer(), nullable=False),
        sa.Column("encoder", sa.Text(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer()),
        sa.Column("identity_type", sa.Text()),
        sa.Column("identity", sa.Text()),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text()),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("writing_at", MOMENT),
        sa.Column("ended_at", MOMENT),
        sa.Column("card_state", sa.Integer()),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.CheckConstraint("(ended_at IS NULL) = (outcome = 'open')", name="ck_attempts_ended"),
        sa.CheckConstraint(
            "outcome IN ('open', 'good', 'spoiled', 'mute', 'unknown', 'returned')", name="ck_attempts_outcome"
        ),
        sa.ForeignKeyConstraint(["card_id"], ["cards.id"], name="fk_attempts_card_id"),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
        sa.UniqueConstraint("card_id", "fence", name="uq_attempts_card_id_fence"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_attempts_identity", "attempts", ["identity_type", "identity"], unique=False)
    op.create_index(
        "uq_attempts_chip",
        "attempts",
        ["identity_type", "identity"],
        unique=True,
        sqlite_where=sa.text("outcome = 'good' AND identity != ''"),
        postgresql_where=sa.text("outcome = 'good' AND identity != ''"),
    )
    op.create_index(
        "uq_attempts_good",
        "attempts",
        ["card_id"],
        unique=True,
        sqlite_where=sa.text("outcome = 'good'"),
        postgresql_where=sa.text("outcome = 'good'"),
    )
    op.create_index(
        "uq_attempts_open",
        "attempts",
        ["card_id"],
        unique=True,
        sqlite_where=sa.text("outcome = 'open'"),
        postgresql_where=sa.text("outcome = 'open'"),
    )
