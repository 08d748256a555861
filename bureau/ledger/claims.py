"""A card on an encoder: claimed in one compare-and-set, then every step under the fence of that claim."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from bureau.errors import NotAllowedError
from bureau.ledger import book, closing, encoders, moves, queue, samples, stops
from bureau.ledger.ledger import Ledger, Transaction
from bureau.ledger.rows import AnyRow, pins, result_json
from bureau.ledger.schema import attempts, batches, cards, jobs
from bureau.models import (
    AttemptId,
    AttemptOutcome,
    BatchId,
    CardId,
    CardState,
    Cause,
    EncoderId,
    EncoderState,
    JobId,
    LotId,
    ReachedAid,
    Recording,
    SealedCard,
    StepResult,
)
from bureau.scheduling import OpenLot

_FREE: Final = (
    select(cards, batches.c.id.label("batch_id"), jobs.c.wrapped_data_key)
    .join(jobs, cards.c.job_id == jobs.c.id)
    .join(batches, jobs.c.batch_id == batches.c.id)
    .where(cards.c.lot_id == bindparam("lot"), queue.CLAIMABLE)
    .order_by(cards.c.position)
    .limit(1)
    .with_for_update(of=cards, skip_locked=True)
)
_DRAWN: Final = insert(attempts)
_BEGUN: Final = update(attempts).where(moves.OPEN_ATTEMPT)
_UNDRAWN: Final = delete(attempts).where(moves.OPEN_ATTEMPT)
_GOOD: Final = select(attempts.c.id).where(
    attempts.c.card_id == bindparam("card"), attempts.c.outcome == AttemptOutcome.GOOD.value
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(SealedCard):
    """One card in one encoder's hand until its lease ends; whoever holds the newest fence decides."""

    lot: LotId
    job: JobId
    batch: BatchId
    attempt: AttemptId
    encoder: EncoderId
    fence: int
    lease_until: datetime
    container: str
    position: int
    """The record's place in its file, from 0."""
    priority: int
    stock: str


def claim(
    ledger: Ledger,
    encoder: EncoderId,
    now: datetime,
    lease: timedelta,
    *,
    stocks: Collection[str] | None = None,
    host: str = "",
) -> Claim | None:
    """Lease the card that matters most to *encoder*; None when its line is shut, another host runs it, or nothing fits.

    stocks: those of its stocks that it has blanks of, if not all; host: where it is, if anybody asks.
    Raises NotFoundError for an encoder that never started.
    """
    with ledger.write(encoder, now, alone=False) as tx:
        line = encoders.line(tx.connection, encoder)
        if line.machine.state is not EncoderState.OPEN or (host and line.host not in {"", host}):
            return None
        if stocks is not None:
            loaded = tuple(stock for stock in line.machine.stocks if stock in stocks)
            line = replace(line, machine=replace(line.machine, stocks=loaded))
        passed = set[LotId]()
        while (choice := queue.choose(tx.connection, line, now, passed)) is not None:
            card = _next_card(tx, choice.lot) if queue.may_begin(tx, choice.lot) else None
            booked = None if card is None else book.draw(tx, encoder, choice.lot.stock)
            if card is not None and booked is not None:
                queue.take_turn(tx, line, choice)
                return _take(tx, card, choice.lot, encoder, lease, booked=booked)
            passed.add(choice.lot.lot)
        return None


def _next_card(tx: Transaction, lot: OpenLot) -> AnyRow | None:
    """Lock and return the next card of *lot* that nobody else is claiming at this moment; None where there is none left."""
    return tx.connection.execute(_FREE, {"lot": lot.lot}).one_or_none()


def _take(tx: Transaction, card: AnyRow, lot: OpenLot, encoder: EncoderId, lease: timedelta, *, booked: bool) -> Claim:
    fence, until = card.fence + 1, tx.at + lease
    anew = {"fault": None, "fault_code": None}
    moves.move(tx, card, CardState.LEASED, "claim", fence=fence, lease_until=until, encoder=encoder, **anew)
    drawn = {"card_id": card.id, "encoder": encoder, "fence": fence, "outcome": AttemptOutcome.OPEN.value}
    kept = {"started_at": tx.at, "booked": booked, "result": {}}
    attempt = tx.connection.execute(_DRAWN, {**drawn, **kept}).inserted_primary_key
    return Claim(
        card=CardId(card.id),
        lot=lot.lot,
        job=lot.job,
        batch=BatchId(card.batch_id),
        attempt=AttemptId(attempt[0] if attempt else 0),
        encoder=encoder,
        fence=fence,
        lease_until=until,
        issuer=card.issuer,
        crn=card.crn,
        container=card.container,
        position=card.position,
        priority=lot.priority,
        mode=lot.mode,
        stock=lot.stock,
        profiles=pins(tx.connection, lot.job),
        sealed=card.sealed,
        wrapped_data_key=card.wrapped_data_key,
    )


def unclaim(ledger: Ledger, claim: Claim, now: datetime, *, fault: str | None = None, code: Cause | None = None) -> None:
    """Put the record back without a piece of plastic having been drawn. Raises FenceError.

    fault: why the record itself can't be made, *code* who is to blame; like one that comes back unwritten, it isn't claimed
    again after three.
    """
    with ledger.write(claim.encoder, now, alone=False) as tx:
        row = moves.in_hand(tx, claim.card, claim.fence)
        moves.move(tx, row, CardState.READY, "unclaim", returns=row.returns + bool(fault), fault=fault, fault_code=code)
        if fault:
            tx.record("fault", f"card {claim.card}", crn=row.crn, cause=fault)
        book.put_back(tx, claim.attempt, claim.lot)
        tx.connection.execute(_UNDRAWN, moves.open_attempt(row))


def give_back(
    ledger: Ledger,
    claim: Claim,
    cause: str,
    position: int | None,
    now: datetime,
    *,
    outcome: AttemptOutcome = AttemptOutcome.RETURNED,
    code: Cause | None = None,
    strike: bool = False,
    hold: bool = False,
    forgive: bool = False,
    recording: Recording | None = None,
) -> None:
    """Put an unwritten record back, and say what became of the blank: returned, or mute.

    A record that comes back three times isn't claimed again. strike: the card's keys failed, and the third such failure in a
    row holds the encoder; hold: hold it at once; forgive: its keys fitted. Raises FenceError.
    """
    if outcome not in moves.ENDS[CardState.READY]:
        raise NotAllowedError(f"a record doesn't go back with its blank {outcome}")
    with ledger.write(claim.encoder, now, alone=False) as tx:
        row = moves.in_hand(tx, claim.card, claim.fence)
        moves.move(tx, row, CardState.READY, "give back", returns=row.returns + 1)
        moves.end_attempt(tx, row, outcome, cause, now, recording, cause_code=code, position=position)
        if strike:
            encoders.strike_in(tx, claim.encoder, cause)
        if hold:
            encoders.hold_in(tx, claim.encoder, cause)
        if forgive:
            encoders.forgive_in(tx, claim.encoder)
        if outcome is AttemptOutcome.MUTE:
            stops.judge_in(tx, claim.lot)


def abandon(
    ledger: Ledger,
    claim: Claim,
    cause: str,
    position: int | None,
    now: datetime,
    recording: Recording | None = None,
    *,
    code: Cause | None = None,
) -> AttemptOutcome:
    """End what is still open of a claim that can't go on, and return what the ledger says of its plastic.

    An unwritten blank is returned; a card that may have been written is suspect. What ended before stays as it is, also
    where the news of its end was lost.
    """
    with ledger.write(claim.encoder, now, alone=False) as tx:
        moves.card_row(tx, claim.card)  # waits for a change whose maker lost his connection but that is still being made
        this = (attempts.c.card_id == claim.card) & (attempts.c.fence == claim.fence)
        said = tx.connection.execute(select(attempts.c.outcome).where(this)).scalar_one_or_none()
        if said != AttemptOutcome.OPEN:
            return AttemptOutcome(said or AttemptOutcome.RETURNED)
        row = moves.in_hand(tx, claim.card, claim.fence)
        if row.state == CardState.LEASED:
            moves.move(tx, row, CardState.READY, "give back", returns=row.returns + 1)
            moves.end_attempt(tx, row, AttemptOutcome.RETURNED, cause, now, recording, cause_code=code, position=position)
            return AttemptOutcome.RETURNED
        moves.move(tx, row, CardState.SUSPECT, "settle")
        moves.end_attempt(tx, row, AttemptOutcome.UNKNOWN, cause, now, recording, cause_code=code)
        stops.judge_in(tx, claim.lot)
        return AttemptOutcome.UNKNOWN


def extend(ledger: Ledger, claim: Claim, now: datetime, lease: timedelta) -> None:
    """Let the lease end *lease* from *now*; raises FenceError, also for a lease that ended before anything was written."""
    with ledger.write(claim.encoder, now, alone=False) as tx:
        row = moves.in_hand(tx, claim.card, claim.fence)
        if row.state == CardState.LEASED:
            moves.alive(row, now)
        tx.connection.execute(update(cards).where(cards.c.id == claim.card).values(lease_until=now + lease))


def begin_writing(
    ledger: Ledger,
    claim: Claim,
    identity_type: str,
    identity: str,
    position: int | None,
    now: datetime,
    lease: timedelta,
) -> None:
    """Commit that the chip is about to be changed: call it before the first command that does.

    identity: upper-case hex, or empty for a chip that has none. Raises NotAllowedError for a chip that carries a good card
    or whose fate is open, and for a record that has a good card; FenceError for a lease that is over, by fence or by time.
    """
    with ledger.write(claim.encoder, now, alone=False) as tx:
        row = moves.in_hand(tx, claim.card, claim.fence)
        moves.alive(row, now)
        if identity:
            tx.lock_name(f"chip {identity_type} {identity}")
        _refuse_second_good(tx, claim, identity_type, identity)
        moves.move(tx, row, CardState.WRITING, "begin writing", lease_until=now + lease)
        values = {"identity_type": identity_type, "identity": identity, "position": position, "writing_at": now}
        tx.connection.execute(_BEGUN, {**moves.open_attempt(row), **values})


def _refuse_second_good(tx: Transaction, claim: Claim, identity_type: str, identity: str) -> None:
    if tx.connection.execute(_GOOD, {"card": claim.card}).first():
        raise NotAllowedError(f"record {claim.crn} already has a good card")
    if said := carried(tx.connection, identity_type, identity):
        raise NotAllowedError(said)


_WRITTEN: Final = {
    AttemptOutcome.GOOD: "already carries the card of",
    AttemptOutcome.UNKNOWN: "may carry the card of",
    AttemptOutcome.OPEN: "may carry the card of",
    AttemptOutcome.SPOILED: "was spoiled for",
}
"""What became of a chip that isn't a blank any more, whatever a person decides about its record."""
_OTHER: Final = (
    select(cards.c.crn, attempts.c.outcome)
    .join(attempts, attempts.c.card_id == cards.c.id)
    .where(
        attempts.c.identity_type == bindparam("kind"),
        attempts.c.identity == bindparam("chip"),
        attempts.c.identity != "",
        attempts.c.outcome.in_([outcome.value for outcome in _WRITTEN]),
    )
    .order_by(attempts.c.id.desc())
)


def carried(connection: Connection, identity_type: str, identity: str) -> str | None:
    """Return why nothing may be written to a chip: what it carries, may carry or was spoiled for; None for a blank."""
    other = connection.execute(_OTHER, {"kind": identity_type, "chip": identity}).first()
    if other is None:
        return None
    return f"chip {identity} {_WRITTEN[AttemptOutcome(other.outcome)]} record {other.crn}"


def used(connection: Connection, identity_type: str, identity: str) -> str | None:
    """Return which record a chip was ever begun for, whatever became of it; None where nothing is known of it."""
    known = (attempts.c.identity_type == identity_type) & (attempts.c.identity == identity) & (attempts.c.identity != "")
    of = select(cards.c.crn).join(attempts, attempts.c.card_id == cards.c.id).where(known).order_by(attempts.c.id.desc())
    crn = connection.execute(of.limit(1)).scalar_one_or_none()
    return None if crn is None else f"chip {identity} was used for record {crn}"


def verifying(ledger: Ledger, claim: Claim, now: datetime, lease: timedelta) -> bool:
    """Say that everything is written and will be read back; returns whether the card is a sample. Raises FenceError."""
    with ledger.write(claim.encoder, now, alone=False) as tx:
        row = moves.in_hand(tx, claim.card, claim.fence)
        moves.move(tx, row, CardState.VERIFYING, "verifying", lease_until=now + lease)
        return samples.take(tx, claim.attempt, claim.lot)


def settle(
    ledger: Ledger,
    claim: Claim,
    state: CardState,
    outcome: AttemptOutcome,
    now: datetime,
    *,
    cause: str | None = None,
    code: Cause | None = None,
    aids: Sequence[ReachedAid] = (),
    steps: Sequence[StepResult] = (),
    card_state: int | None = None,
    recording: Recording | None = None,
) -> BatchId | None:
    """Write down how a written card ended: good, rejected (spoiled) or suspect (unknown).

    One that isn't good is a strike against the encoder, and the third in a row holds it. What holds the lot: too many of
    them, a sample that is rejected, and a first article that a person wants to see.
    Returns the batch when this closed its last lot: its audit trail is due. Raises FenceError; NotAllowedError for a
    move, or a pair of state and outcome, that can't be.
    """
    if state is CardState.READY or outcome not in moves.ENDS.get(state, ()):
        raise NotAllowedError(f"a card doesn't become {state} with its plastic {outcome}")
    with ledger.write(claim.encoder, now, alone=False) as tx:
        row = moves.in_hand(tx, claim.card, claim.fence)
        moves.move(tx, row, state, "settle")
        result = result_json(aids, steps)
        kept = {"cause_code": code, "card_state": card_state, "result": result}
        moves.end_attempt(tx, row, outcome, cause, now, recording, **kept)
        if state is not CardState.GOOD:
            encoders.strike_in(tx, claim.encoder, cause or state)
        elif recording is None:
            encoders.forgive_in(tx, claim.encoder)
        else:
            encoders.pace_in(tx, claim.encoder, recording.speed)
        samples.settle(tx, claim.attempt, claim.lot, state, f"card {claim.card}: {cause or state}")
        if state is not CardState.GOOD:
            stops.judge_in(tx, claim.lot)
            return None
        stops.article_in(tx, claim.card, claim.lot)
        return closing.close_lot(tx, claim.lot)
