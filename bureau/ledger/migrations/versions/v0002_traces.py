"""Keep of each attempt its times, in microseconds, and its trace."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table; attempts made before have neither times nor a trace."""
    op.add_column("attempts", sa.Column("protocol", sa.Text()))
    for name in ("bit_rate", "octets", "card_time", "host_time", "least_time"):
        op.add_column("attempts", sa.Column(name, sa.Integer()))
    op.create_table(
        "traces",
        sa.Column("attempt_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name="fk_traces_attempt_id"),
        sa.PrimaryKeyConstraint("attempt_id", name="pk_traces"),
    )
