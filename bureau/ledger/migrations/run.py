"""Alembic, told where the migrations lie without a file of settings."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def config(connection: Connection) -> Config:
    """Return the settings for migrating over *connection*."""
    made = Config()
    made.set_main_option("script_location", "bureau.ledger:migrations")
    made.attributes["connection"] = connection
    return made


def upgrade(connection: Connection) -> None:
    """Run what is missing inside the transaction of *connection*."""
    command.upgrade(config(connection), "head")
