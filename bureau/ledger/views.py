"""Listings of jobs, lots and cards, as they stand in one consistent view of the ledger."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Select, case, func, select

from bureau import scheduling
from bureau.costing import Estimate
from bureau.errors import NotFoundError
from bureau.ledger import encoders, queue, rows
from bureau.ledger.closing import Balance, balance
from bureau.ledger.rows import AnyRow
from bureau.ledger.schema import UNWRITTEN, attempts, batches, cards, files, jobs, lots
from bureau.models import (
    AttemptId,
    AttemptOutcome,
    BatchId,
    CardId,
    CardState,
    Cause,
    EncoderId,
    Environment,
    Form,
    Hold,
    JobId,
    JobState,
    LotId,
    Reissue,
)
from bureau.scheduling import Machine, OpenLot
from hardware.keystores import Mode
from hardware.trace.speed import Speed


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One job; *due* is the earliest of its lots, *waits* says why cards that are ready aren't made.

    *asked* is the priority that its issuer asked for, *late* whether a lot's work doesn't fit before its date any more,
    *hold* who stopped it, *stops* who or what stopped lots of it, by their numbers from 1, *stock_changes* how often an
    encoder changed its stock for it, *estimate* what it was expected to cost, None where nobody asked. *user_data* and
    *context* are what its issuer said for itself; *reissue* is whether it may make the cards that it makes a second time.
    """

    number: JobId
    batch: BatchId
    batch_id: str
    job_id: str
    issuer: str
    user_data: str | None
    context: tuple[tuple[str, str], ...]
    form: Form
    file: str
    state: JobState
    mode: Mode
    priority: int
    asked: int
    environment: Environment
    due: datetime | None
    late: bool
    hold: Hold | None
    stops: Mapping[int, Hold]
    stock_changes: int
    estimate: Estimate | None
    records: int
    counts: Mapping[CardState, int]
    waits: tuple[str, ...]
    remarks: tuple[str, ...]
    reissue: Reissue | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LotView:
    """One lot with both of its balances."""

    lot: LotId
    position: int
    card_product: str
    stock: str
    due: datetime | None
    hold: Hold | None
    closed_at: datetime | None
    balance: Balance


@dataclass(frozen=True, slots=True, kw_only=True)
class CardView:
    """One record; *encoder* is the one that holds it, *held* says why it isn't claimed any more.

    *reissue_of* is the card that was made for its CRN before, *remade_as* the newest that is made after it.
    """

    card: CardId
    lot: LotId
    position: int
    crn: str
    container: str
    state: CardState
    encoder: EncoderId | None
    attempts: int
    returns: int
    held: str | None
    reissue_of: CardId | None
    remade_as: CardId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """One piece of plastic; *position* is its number on the encoder, *sampled* whether all of it was to be read back."""

    attempt: AttemptId
    encoder: EncoderId
    fence: int
    position: int | None
    identity_type: str | None
    identity: str | None
    outcome: AttemptOutcome
    cause: str | None
    code: Cause | None
    """Who is to blame for the cause."""
    started_at: datetime
    ended_at: datetime | None
    speed: Speed | None
    sampled: bool


@dataclass(slots=True)
class _Tally:
    counts: dict[CardState, int]
    claimable: int = 0
    unwritten: int = 0


_NONE: Final = _Tally({})


def list_jobs(
    connection: Connection, numbers: Sequence[JobId] | None = None, *, now: datetime | None = None
) -> list[JobView]:
    """Return the jobs by number, all or those of *numbers*; late at *now*, or as far as a claim has found out."""
    said = (batches.c.user_data, batches.c.context)
    wanted = (
        select(jobs, batches.c.batch_id.label("name"), batches.c.issuer, batches.c.form, *said, files.c.name.label("file"))
        .join(batches, jobs.c.batch_id == batches.c.id)
        .join(files, batches.c.file_id == files.c.id)
        .where(jobs.c.state != JobState.INCOMING.value)
        .order_by(jobs.c.id)
    )
    found = connection.execute(wanted if numbers is None else wanted.where(jobs.c.id.in_(numbers))).all()
    shown = [row.id for row in found]
    lots_of, tallies = defaultdict[int, list[AnyRow]](list), _tallies(connection, shown, every=numbers is None)
    of_shown = _of_jobs(queue.lots_with_jobs(), shown, every=numbers is None)
    for lot in connection.execute(of_shown.order_by(lots.c.id)):
        lots_of[lot.job_id].append(lot)
    asking = [rows.open_lot(lot) for each in lots_of.values() for lot in each if tallies.get(lot.id, _NONE).claimable]
    open_lots = {lot.lot: lot for lot in (queue.judged(connection, asking, now) if now else asking)}
    machines = encoders.machines(connection)
    return [_job_view(row, lots_of[row.id], tallies, open_lots, machines) for row in found]


def _of_jobs(wanted: Select[*tuple[object, ...]], numbers: Sequence[int], *, every: bool) -> Select[*tuple[object, ...]]:
    return wanted if every else wanted.where(lots.c.job_id.in_(numbers))


def _tallies(connection: Connection, numbers: Sequence[int], *, every: bool) -> dict[int, _Tally]:
    unwritten = func.sum(case((cards.c.returns >= UNWRITTEN, 1), else_=0)).label("unwritten")
    wanted = select(cards.c.lot_id, cards.c.state, func.count().label("records"), unwritten)
    if not every:
        wanted = wanted.join(lots, cards.c.lot_id == lots.c.id).where(lots.c.job_id.in_(numbers))
    tallies: dict[int, _Tally] = {}
    for row in connection.execute(wanted.group_by(cards.c.lot_id, cards.c.state)):
        tally = tallies.setdefault(row.lot_id, _Tally({}))
        tally.counts[CardState(row.state)] = row.records
        if row.state == CardState.READY:
            tally.claimable, tally.unwritten = row.records - row.unwritten, row.unwritten
    return tallies


def _job_view(
    row: AnyRow,
    lots_of_it: Sequence[AnyRow],
    tallies: Mapping[int, _Tally],
    open_lots: Mapping[LotId, OpenLot],
    machines: Sequence[Machine],
) -> JobView:
    counts, unwritten = dict.fromkeys(CardState, 0), 0
    asking = [open_lots[lot.id] for lot in lots_of_it if lot.id in open_lots]
    for lot in lots_of_it:
        tally = tallies.get(lot.id, _NONE)
        for state, count in tally.counts.items():
            counts[state] += count
        unwritten += tally.unwritten
    waits = dict.fromkeys(filter(None, (scheduling.waits(lot, machines) for lot in asking)))
    if unwritten:
        waits[f"{unwritten} came back {UNWRITTEN} times unwritten"] = None
    return JobView(
        number=JobId(row.id),
        batch=BatchId(row.batch_id),
        batch_id=row.name,
        job_id=row.job_id,
        issuer=row.issuer,
        user_data=row.user_data,
        context=tuple((name, value) for name, value in row.context),
        form=Form(row.form),
        file=row.file,
        state=JobState(row.state),
        mode=Mode(row.mode),
        priority=row.set_priority or row.priority,
        asked=row.priority,
        environment=rows.environment(row),
        due=min((lot.due for lot in lots_of_it if lot.due), default=None),
        late=any(lot.late for lot in asking),
        hold=rows.hold(row),
        stops={lot.position + 1: stop for lot in lots_of_it if (stop := rows.stop(lot))},
        stock_changes=row.stock_changes,
        estimate=Estimate(**row.estimate) if row.estimate else None,
        records=sum(lot.record_count for lot in lots_of_it),
        counts=counts,
        waits=tuple(waits),
        remarks=tuple(row.remarks),
        reissue=Reissue(row.reissue) if row.reissue else None,
    )


def list_lots(connection: Connection, job: JobId) -> list[LotView]:
    """Return the lots of *job* in order."""
    wanted = select(lots).where(lots.c.job_id == job).order_by(lots.c.position)
    return [
        LotView(
            lot=LotId(row.id),
            position=row.position,
            card_product=row.card_product,
            stock=row.stock,
            due=row.due,
            hold=rows.stop(row),
            closed_at=row.closed_at,
            balance=balance(connection, LotId(row.id)),
        )
        for row in connection.execute(wanted).all()
    ]


def list_cards(connection: Connection, job: JobId, *, after: int = -1, limit: int = 1_000_000) -> list[CardView]:
    """Return at most *limit* cards of *job* in file order, those whose position is past *after*."""
    some = _cards().where(cards.c.job_id == job, cards.c.position > after).order_by(cards.c.position).limit(limit)
    return [_card_view(row) for row in connection.execute(some)]


def one_card(connection: Connection, card: CardId) -> CardView:
    """Return *card*, which find_card() has found."""
    return _card_view(connection.execute(_cards().where(cards.c.id == card)).one())


def _cards() -> Select[*tuple[object, ...]]:
    of_card = attempts.c.card_id == cards.c.id
    count = select(func.count()).where(of_card).scalar_subquery().label("attempts")
    newest = select(attempts.c.cause).where(of_card).order_by(attempts.c.id.desc()).limit(1)
    again = cards.alias()
    remade = select(func.max(again.c.id)).where(again.c.reissue_of == cards.c.id, again.c.state != CardState.WITHDRAWN.value)
    columns = [column for column in cards.c if column.name != "sealed"]
    later = remade.scalar_subquery().label("remade_as")
    return select(*columns, count, newest.scalar_subquery().label("cause"), later)


def _card_view(row: AnyRow) -> CardView:
    unwritten = row.state == CardState.READY and row.returns >= UNWRITTEN
    return CardView(
        card=CardId(row.id),
        lot=LotId(row.lot_id),
        position=row.position,
        crn=row.crn,
        container=row.container,
        state=CardState(row.state),
        encoder=EncoderId(row.encoder) if row.encoder else None,
        attempts=row.attempts,
        returns=row.returns,
        held=f"came back {row.returns} times unwritten: {row.fault or row.cause}" if unwritten else None,
        reissue_of=None if row.reissue_of is None else CardId(row.reissue_of),
        remade_as=None if row.remade_as is None else CardId(row.remade_as),
    )


def list_attempts(connection: Connection, card: CardId) -> list[AttemptView]:
    """Return the pieces of plastic of *card*, the oldest first."""
    wanted = select(attempts).where(attempts.c.card_id == card).order_by(attempts.c.id)
    return [
        AttemptView(
            attempt=AttemptId(row.id),
            encoder=EncoderId(row.encoder),
            fence=row.fence,
            position=row.position,
            identity_type=row.identity_type,
            identity=row.identity,
            outcome=AttemptOutcome(row.outcome),
            cause=row.cause,
            code=Cause(row.cause_code) if row.cause_code else None,
            started_at=row.started_at,
            ended_at=row.ended_at,
            speed=rows.speed(row),
            sampled=row.sampled,
        )
        for row in connection.execute(wanted)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """When the *good* cards of a job were made: the first and the last claim of one, and when the last was good.

    all_at_work: when the last of its encoders claimed its first.
    """

    good: int
    first_claim: datetime
    all_at_work: datetime
    last_claim: datetime
    last_good: datetime


def span(connection: Connection, job: JobId) -> Span | None:
    """Return when the good cards of *job* were made; None where there is none."""
    began, ended = attempts.c.started_at, attempts.c.ended_at
    is_good = (cards.c.job_id == job) & (attempts.c.outcome == AttemptOutcome.GOOD.value)
    wanted = select(func.count(), func.min(began), func.max(began), func.max(ended))
    good, first, last, end = connection.execute(wanted.join(cards, attempts.c.card_id == cards.c.id).where(is_good)).one()
    if not good:
        return None
    firsts = (
        select(func.min(began)).join(cards, attempts.c.card_id == cards.c.id).where(is_good).group_by(attempts.c.encoder)
    )
    ready = max(connection.execute(firsts).scalars())
    return Span(good=good, first_claim=first, all_at_work=ready, last_claim=last, last_good=end)


def find_jobs(connection: Connection, named: str) -> tuple[JobId, ...]:
    """Return the jobs that a person means: by number, BatchID/JobID, BatchID, or a container's BatchID.

    The first of these that fits anything decides. Raises NotFoundError.
    """
    of_batch = select(jobs.c.id).join(batches, jobs.c.batch_id == batches.c.id)
    visible = of_batch.where(jobs.c.state != JobState.INCOMING.value).distinct().order_by(jobs.c.id)
    ways = [
        visible.where(batches.c.batch_id + "/" + jobs.c.job_id == named),
        visible.where(batches.c.batch_id == named),
        visible.join(cards, cards.c.job_id == jobs.c.id).where(cards.c.container == named),
    ]
    if named.isascii() and named.isdigit() and len(named) < 19:
        ways.insert(0, visible.where(jobs.c.id == int(named)))
    for way in ways:
        found = tuple(JobId(row.id) for row in connection.execute(way))
        if found:
            return found
    raise NotFoundError(f"there is no job {named}", "See `bureau jobs`.")


def find_card(connection: Connection, named: str) -> CardId:
    """Return the card that a person means by its CRN or else its number; raises NotFoundError, also where several fit."""
    wanted = select(cards.c.id, cards.c.issuer, cards.c.state, cards.c.reissue_of).order_by(cards.c.id)
    found = connection.execute(wanted.where(cards.c.crn == named)).all()
    if not found and named.isascii() and named.isdigit() and named[0] != "0" and len(named) < 19:
        found = connection.execute(wanted.where(cards.c.id == int(named))).all()
    if len(found) == 1:
        return CardId(found[0].id)
    if found:
        several = ", ".join(f"{row.id} ({row.issuer}, {row.state}{_after(row)})" for row in found)
        raise NotFoundError(f"CRN {named} stands for several cards", f"Take one by its number: {several}.")
    raise NotFoundError(f"there is no card {named}", "See `bureau cards JOB`.")


def _after(row: AnyRow) -> str:
    return f", reissue of {row.reissue_of}" if row.reissue_of else ""
