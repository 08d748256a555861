"""Suspect cards that turn out to be good: what is known of the chip, and what becomes of the record by its proof."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from bureau.errors import NotAllowedError
from bureau.ledger import closing, moves, stops, traces
from bureau.ledger.ledger import Transaction
from bureau.ledger.rows import result_json, step_results
from bureau.ledger.schema import attempts, cards
from bureau.models import AttemptId, AttemptOutcome, BatchId, CardId, CardState, EncoderId, LotId, ReachedAid, SealedCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One suspect card: its *record*, and the plastic of its last attempt by the *identity* of its chip, in hex."""

    record: SealedCard
    fence: int
    attempt: AttemptId
    encoder: EncoderId
    identity_type: str
    identity: str


def find(connection: Connection, card: CardId) -> Suspect:
    """Return what is known of a suspect card that its own chip could prove good.

    Raises NotFoundError, also for a record that was purged; NotAllowedError for a card that isn't suspect, and for a chip
    that has no identity or was destroyed.
    """
    record = traces.sealed(connection, card)
    row = connection.execute(select(cards.c.state, cards.c.fence).where(cards.c.id == card)).one()
    if row.state != CardState.SUSPECT:
        raise NotAllowedError(f"card {card} is {row.state}, and only a suspect one can be resolved", "See `bureau cards`.")
    of_card = select(attempts).where(attempts.c.card_id == card).order_by(attempts.c.id.desc()).limit(1)
    plastic = connection.execute(of_card).one()
    if not plastic.identity:
        raise NotAllowedError(f"the chip of card {card} has no identity, so no card can be known to be it", scrap(card))
    if plastic.destroyed is not None:
        raise NotAllowedError(f"the plastic of card {card} was destroyed", scrap(card))
    return Suspect(
        record=record,
        fence=row.fence,
        attempt=AttemptId(plastic.id),
        encoder=EncoderId(plastic.encoder),
        identity_type=plastic.identity_type,
        identity=plastic.identity,
    )


def scrap(card: CardId) -> str:
    """Return what else can be done about a suspect card."""
    return f"Scrap it: `bureau scrap {card} --reason ...`, or make it again: `bureau requeue {card} --reason ...`."


def good(
    tx: Transaction, suspect: Suspect, aids: Sequence[ReachedAid], card_state: int | None, reader: str
) -> BatchId | None:
    """Let a suspect card be good, by what its chip gave back in *reader*; returns the batch that this closed.

    Of its processing steps it keeps the status words that were received. Like any other it is the first article of a lot
    that waits for one. Raises NotAllowedError where somebody else has decided about the card.
    """
    row = moves.card_row(tx, suspect.record.card)
    if row.state != CardState.SUSPECT or row.fence != suspect.fence:
        raise NotAllowedError(f"card {row.id} is {row.state} by now", "Somebody else has decided about it.")
    moves.move(tx, row, CardState.GOOD, "resolve")
    this = (attempts.c.id == suspect.attempt) & (attempts.c.outcome == AttemptOutcome.UNKNOWN.value)
    was = tx.connection.execute(select(attempts.c.result, attempts.c.cause).where(this)).one()
    proved = {
        "outcome": AttemptOutcome.GOOD.value,
        "cause": None,
        "cause_code": None,
        "card_state": card_state,
        "result": result_json(aids, step_results(was.result)),
    }
    tx.connection.execute(update(attempts).where(this).values(proved))
    tx.record("read back", f"card {row.id}", attempt=suspect.attempt, reader=reader, chip=suspect.identity, cause=was.cause)
    stops.article_in(tx, suspect.record.card, LotId(row.lot_id))
    return closing.close_lot(tx, LotId(row.lot_id))
