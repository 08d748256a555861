"""Keep what a job costs, which cards were sampled, what holds a lot, what was made again, and what was destroyed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
MICROSECONDS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns; of what happened before, nobody knows more than was kept."""
    _jobs_and_lots()
    _cards()
    _who_and_where()


def _jobs_and_lots() -> None:
    op.add_column("batches", sa.Column("context", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("jobs", sa.Column("estimate", sa.JSON()))
    op.add_column("jobs", sa.Column("first_article", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("reissue", sa.Text()))
    op.add_column("lots", sa.Column("stopped_by", sa.Text()))
    op.add_column("lots", sa.Column("stopped_at", MOMENT))
    op.add_column("lots", sa.Column("stopped_reason", sa.Text()))
    op.add_column("lots", sa.Column("looked_at", MOMENT))
    op.add_column("lots", sa.Column("article_at", MOMENT))
    op.add_column("lots", sa.Column("unsampled", sa.Integer()))


def _cards() -> None:
    op.add_column("attempts", sa.Column("busy_time", MICROSECONDS))
    op.add_column("attempts", sa.Column("sampled", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("cards", sa.Column("issue", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("cards", sa.Column("fault", sa.Text()))
    op.add_column("cards", sa.Column("fault_code", sa.Text()))
    # Alembic can't add a column with its reference on SQLite, which takes it in one statement as PostgreSQL does.
    op.execute("ALTER TABLE cards ADD COLUMN reissue_of INTEGER CONSTRAINT fk_cards_reissue_of REFERENCES cards (id)")
    op.execute("ALTER TABLE attempts ADD COLUMN destroyed INTEGER CONSTRAINT fk_attempts_destroyed REFERENCES requests (id)")
    op.drop_index("uq_cards_issuer_crn", "cards")
    alive = sa.text("state != 'withdrawn'")
    columns = ["issuer", "crn", "issue"]
    op.create_index("uq_cards_issuer_crn", "cards", columns, unique=True, sqlite_where=alive, postgresql_where=alive)
    again = sa.text("reissue_of IS NOT NULL")
    op.create_index("ix_cards_reissue_of", "cards", ["reissue_of"], sqlite_where=again, postgresql_where=again)


def _who_and_where() -> None:
    op.add_column("encoders", sa.Column("held_by", sa.Text()))
    op.add_column("encoders", sa.Column("held_at", MOMENT))
    op.add_column("encoders", sa.Column("host", sa.Text(), nullable=False, server_default=""))
    op.add_column("encoders", sa.Column("lost_at", MOMENT))
    op.add_column("accounts", sa.Column("waiting", sa.Boolean(), nullable=False, server_default=sa.false()))
