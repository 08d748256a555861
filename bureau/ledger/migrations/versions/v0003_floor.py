"""Keep who may do what, what two people decide, where the plastic is, and how the floor stands."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the tables and columns."""
    _outcomes()
    _alerts()
    _people()
    _floor()
    if op.get_bind().dialect.name == "postgresql":
        _audit_triggers()
        _wide_times()


def _outcomes() -> None:
    """Who is to blame for plastic that isn't a good card; of attempts made before nobody knows."""
    op.add_column("attempts", sa.Column("cause_code", sa.Text()))


def _alerts() -> None:
    """How far in the audit log people have been alerted."""
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.CheckConstraint("id = 1", name="ck_alerts_single"),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
    )


def _people() -> None:
    """Accounts, and requests that a second person approves."""
    op.create_table(
        "accounts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("verifier", sa.LargeBinary(), nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("locked_at", MOMENT),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("added_at", MOMENT, nullable=False),
        sa.Column("retired_at", MOMENT),
        sa.CheckConstraint("role IN ('operator', 'supervisor', 'custodian', 'auditor')", name="ck_accounts_role"),
        sa.PrimaryKeyConstraint("name", name="pk_accounts"),
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_at", MOMENT),
        sa.CheckConstraint("state IN ('open', 'done', 'declined', 'expired')", name="ck_requests_state"),
        sa.CheckConstraint("(decided_at IS NULL) = (state = 'open')", name="ck_requests_decided"),
        sa.CheckConstraint(
            "state != 'done' OR (decided_by IS NOT NULL AND decided_by != asked_by)", name="ck_requests_two_people"
        ),
        sa.ForeignKeyConstraint(["asked_by"], ["accounts.name"], name="fk_requests_asked_by"),
        sa.ForeignKeyConstraint(["decided_by"], ["accounts.name"], name="fk_requests_decided_by"),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
        sqlite_autoincrement=True,
    )


def _floor() -> None:
    """Jobs on hold, and what encoders can do and hold."""
    op.add_column("jobs", sa.Column("set_priority", sa.Integer()))
    op.add_column("jobs", sa.Column("held_by", sa.Text()))
    op.add_column("jobs", sa.Column("held_at", MOMENT))
    op.add_column("jobs", sa.Column("held_reason", sa.Text()))
    op.add_column("jobs", sa.Column("stock_changes", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("lots", sa.Column("protocols", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("lots", sa.Column("late_at", MOMENT))
    op.add_column("encoders", sa.Column("protocols", sa.JSON(), nullable=False, server_default='["T=0", "T=1"]'))
    op.add_column("encoders", sa.Column("interpreters", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("encoders", sa.Column("last_lot", sa.Integer()))
    op.add_column("encoders", sa.Column("last_stock", sa.Text()))
    op.add_column("encoders", sa.Column("stock_changes", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("encoders", sa.Column("pace", sa.Integer()))
    op.add_column("attempts", sa.Column("booked", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "stock_moves",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("stock", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("encoder", sa.Text()),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.CheckConstraint("kind IN ('receive', 'load', 'unload')", name="ck_stock_moves_kind"),
        sa.CheckConstraint("count > 0", name="ck_stock_moves_some"),
        sa.CheckConstraint("(encoder IS NULL) = (kind = 'receive')", name="ck_stock_moves_place"),
        sa.PrimaryKeyConstraint("id", name="pk_stock_moves"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_stock_moves_stock", "stock_moves", ["stock"])
    op.create_table(
        "encoder_stocks",
        sa.Column("encoder", sa.Text(), nullable=False),
        sa.Column("stock", sa.Text(), nullable=False),
        sa.Column("blanks", sa.Integer(), nullable=False),
        sa.CheckConstraint("blanks >= 0", name="ck_encoder_stocks_blanks"),
        sa.PrimaryKeyConstraint("encoder", "stock", name="pk_encoder_stocks"),
    )
    op.execute(
        "UPDATE jobs SET held_reason = 'not released yet',"
        " held_by = (SELECT f.submitted_by FROM files f JOIN batches b ON b.file_id = f.id WHERE b.id = jobs.batch_id),"
        " held_at = (SELECT f.accepted_at FROM files f JOIN batches b ON b.file_id = f.id WHERE b.id = jobs.batch_id)"
        " WHERE state = 'held'"
    )


def _audit_triggers() -> None:
    """Keep the audit log as it was written on PostgreSQL too."""
    op.execute(
        "CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
    )
    for table, changes in (("audit", "UPDATE OR DELETE OR TRUNCATE"), ("audit_head", "DELETE OR TRUNCATE")):
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE {changes} ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()"
        )


def _wide_times() -> None:
    """Give times in microseconds more than the 36 minutes of PostgreSQL's INTEGER; SQLite's has 64 bits."""
    for name in ("card_time", "host_time", "least_time"):
        op.alter_column("attempts", name, type_=sa.BigInteger())
    op.alter_column("encoders", "pace", type_=sa.BigInteger())
