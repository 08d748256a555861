"""What the book says of the blanks on each encoder: drawn by claims, put back untouched.

An encoder that a stock was never loaded on isn't kept in the book for it: its hopper alone says what there is.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from bureau.ledger.ledger import Transaction
from bureau.ledger.schema import attempts, encoder_stocks, lots
from bureau.models import EncoderId, LotId

_USED_UP: Final = select(encoder_stocks.c.stock).where(
    encoder_stocks.c.encoder == bindparam("on"), encoder_stocks.c.blanks == 0
)
_THIS: Final = (encoder_stocks.c.encoder == bindparam("on")) & (encoder_stocks.c.stock == bindparam("of"))
_BLANKS: Final = select(encoder_stocks.c.blanks).where(_THIS)
_DRAW: Final = update(encoder_stocks).where(_THIS, encoder_stocks.c.blanks > 0).values(blanks=encoder_stocks.c.blanks - 1)


def left(connection: Connection) -> Mapping[EncoderId, Mapping[str, int]]:
    """Return how many blanks of each stock in the book each encoder has left."""
    found: dict[EncoderId, dict[str, int]] = {}
    for row in connection.execute(select(encoder_stocks).order_by(encoder_stocks.c.encoder, encoder_stocks.c.stock)):
        found.setdefault(EncoderId(row.encoder), {})[row.stock] = row.blanks
    return found


def used_up(connection: Connection, encoder: EncoderId) -> tuple[str, ...]:
    """Return the stocks in the book that *encoder* has no blank of any more."""
    return tuple(connection.execute(_USED_UP, {"on": encoder}).scalars())


def draw(tx: Transaction, encoder: EncoderId, stock: str) -> bool | None:
    """Book one blank out of *encoder*; returns whether it is in the book for *stock*, None where it has none left."""
    this = {"on": encoder, "of": stock}
    if tx.connection.execute(_DRAW, this).rowcount:
        return True
    return None if tx.connection.execute(_BLANKS, this).first() else False


def put_back(tx: Transaction, attempt: int, lot: LotId) -> None:
    """Book the untouched blank of *attempt*, drawn for *lot*, back onto its encoder; nothing where it wasn't in the book."""
    drawn = select(attempts.c.encoder).where(attempts.c.id == attempt, attempts.c.booked).scalar_subquery()
    stock = select(lots.c.stock).where(lots.c.id == lot).scalar_subquery()
    this = (encoder_stocks.c.encoder == drawn) & (encoder_stocks.c.stock == stock)
    tx.connection.execute(update(encoder_stocks).where(this).values(blanks=encoder_stocks.c.blanks + 1))
