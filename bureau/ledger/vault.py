"""The only ways in which plastic moves: received into the vault, loaded on an encoder, unloaded into the vault."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, case, func, insert, select, update

from bureau.errors import NotAllowedError
from bureau.ledger import book, encoders
from bureau.ledger.ledger import Ledger, Transaction
from bureau.ledger.schema import attempts, cards, encoder_stocks, lots, stock_moves
from bureau.models import AttemptOutcome, EncoderId, StockMove


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What one place holds of one stock; *encoder* is None for the vault.

    came: received and unloaded into the vault, or loaded on the encoder; went: the other way; drawn: what lots took and
    that didn't come back untouched. came = went + drawn + left.
    """

    encoder: EncoderId | None
    stock: str
    came: int
    went: int
    drawn: int
    left: int

    @property
    def balances(self) -> bool:
        """Whether all that came went, was drawn or is left."""
        return self.came == self.went + self.drawn + self.left


def receive(ledger: Ledger, stock: str, count: int, actor: str, now: datetime) -> None:
    """Book *count* new blanks into the vault; raises NotAllowedError for less than one."""
    with ledger.write(actor, now) as tx:
        _move(tx, StockMove.RECEIVE, stock, count, None)


def load(ledger: Ledger, encoder: EncoderId, stock: str, count: int, actor: str, now: datetime) -> None:
    """Book *count* blanks from the vault onto *encoder*, which from then on is in the book for *stock*.

    Raises NotFoundError; NotAllowedError where the encoder has no hopper for it or the vault not so many.
    """
    with ledger.write(actor, now) as tx:
        machine = encoders.machine(tx.connection, encoder)
        if stock not in machine.stocks:
            raise NotAllowedError(
                f"{encoder} holds {' and '.join(machine.stocks)}, not {stock}", "Its stocks are set up in stations.toml."
            )
        there = _in_vault(tx.connection, stock)
        if there < count:
            raise NotAllowedError(f"the vault has {there} of {stock}, not {count}", f"See `bureau stock receive {stock}`.")
        _move(tx, StockMove.LOAD, stock, count, encoder)
        this = (encoder_stocks.c.encoder == encoder) & (encoder_stocks.c.stock == stock)
        more = update(encoder_stocks).where(this).values(blanks=encoder_stocks.c.blanks + count)
        if not tx.connection.execute(more).rowcount:
            tx.connection.execute(insert(encoder_stocks).values(encoder=encoder, stock=stock, blanks=count))


def unload(ledger: Ledger, encoder: EncoderId, stock: str, count: int | None, actor: str, now: datetime) -> int:
    """Book *count* blanks, or all that are left, from *encoder* back into the vault; returns how many.

    Raises NotFoundError; NotAllowedError where it hasn't so many by the book.
    """
    with ledger.write(actor, now) as tx:
        encoders.machine(tx.connection, encoder)
        this = (encoder_stocks.c.encoder == encoder) & (encoder_stocks.c.stock == stock)
        wanted = select(encoder_stocks.c.blanks).where(this).with_for_update()
        there = tx.connection.execute(wanted).scalar_one_or_none() or 0
        back = there if count is None else count
        if there < back or not there:
            raise NotAllowedError(f"{encoder} has {there} of {stock} by the book", "See `bureau stock`.")
        _move(tx, StockMove.UNLOAD, stock, back, encoder)
        tx.connection.execute(update(encoder_stocks).where(this).values(blanks=there - back))
        return back


def holdings(connection: Connection) -> list[Holding]:
    """Return what the vault holds, then what each encoder in the book does."""
    return [*_vault(connection), *_on_encoders(connection)]


def _move(tx: Transaction, kind: StockMove, stock: str, count: int, encoder: EncoderId | None) -> None:
    if count < 1 or not stock.strip():
        raise NotAllowedError(f"{count} of {stock!r} is no plastic that could be moved")
    moved = {"kind": kind.value, "stock": stock, "count": count, "encoder": encoder, "actor": tx.actor, "at": tx.at}
    tx.connection.execute(insert(stock_moves).values(moved))
    place = {"encoder": encoder} if encoder else {}
    tx.record(f"{kind} stock", f"stock {stock}", count=count, **place)


def _in_vault(connection: Connection, stock: str) -> int:
    return next((each.left for each in _vault(connection) if each.stock == stock), 0)


def _vault(connection: Connection) -> Iterator[Holding]:
    out = stock_moves.c.kind == StockMove.LOAD.value
    came = func.sum(case((out, 0), else_=stock_moves.c.count))
    went = func.sum(case((out, stock_moves.c.count), else_=0))
    wanted = select(stock_moves.c.stock, came, went).group_by(stock_moves.c.stock).order_by(stock_moves.c.stock)
    for stock, came_in, went_out in connection.execute(wanted).all():
        left = came_in - went_out
        yield Holding(encoder=None, stock=stock, came=came_in, went=went_out, drawn=0, left=left)


def _on_encoders(connection: Connection) -> Iterator[Holding]:
    on = stock_moves.c.encoder.is_not(None)
    moved = select(stock_moves.c.encoder, stock_moves.c.stock, stock_moves.c.kind, func.sum(stock_moves.c.count)).where(on)
    grouped = moved.group_by(stock_moves.c.encoder, stock_moves.c.stock, stock_moves.c.kind)
    sums = {tuple(row[:3]): row[3] for row in connection.execute(grouped)}
    kept = attempts.c.booked & (attempts.c.outcome != AttemptOutcome.RETURNED.value)
    of_lots = select(attempts.c.encoder, lots.c.stock, func.count()).join(cards, attempts.c.card_id == cards.c.id)
    taken = of_lots.join(lots, cards.c.lot_id == lots.c.id).where(kept).group_by(attempts.c.encoder, lots.c.stock)
    drawn = {tuple(row[:2]): row[2] for row in connection.execute(taken)}
    for encoder, of_encoder in book.left(connection).items():
        for stock, left in of_encoder.items():
            yield Holding(
                encoder=encoder,
                stock=stock,
                came=sums.get((encoder, stock, StockMove.LOAD), 0),
                went=sums.get((encoder, stock, StockMove.UNLOAD), 0),
                drawn=drawn.get((encoder, stock), 0),
                left=left,
            )
