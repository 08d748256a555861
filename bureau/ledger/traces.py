"""The trace of an attempt, still sealed, and the record that it was made from."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, select

from bureau.errors import NotFoundError
from bureau.ledger import moves, rows, views
from bureau.ledger.claims import Claim
from bureau.ledger.ledger import Ledger
from bureau.ledger.schema import attempts, cards, jobs, traces
from bureau.ledger.views import AttemptView
from bureau.models import AttemptOutcome, CardId, JobId, Recording, SealedCard
from hardware.keystores import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One attempt with its sealed *trace*, its *record*, and its *number* among the attempts of that record, from 1."""

    record: SealedCard
    attempt: AttemptView
    number: int
    trace: bytes = field(repr=False)


def kept(connection: Connection, card: CardId, number: int | None = None) -> Kept:
    """Return attempt *number* of *card*, from 1, or the last that has a trace; raises NotFoundError."""
    record = sealed(connection, card)
    made = list(enumerate(views.list_attempts(connection, card), start=1))
    wanted = [each for each in made if number in (None, each[0])]
    if not wanted:
        raise NotFoundError(f"card {card} has no attempt {number or 1}", f"It has had {len(made)}: see `bureau cards JOB`.")
    for place, attempt in reversed(wanted):
        trace = connection.execute(select(traces.c.sealed).where(traces.c.attempt_id == attempt.attempt)).scalar()
        if trace is not None:
            return Kept(record=record, attempt=attempt, number=place, trace=trace)
    raise NotFoundError(
        f"no trace was kept of card {card}",
        "A process that dies leaves none, nor does a card in hand, nor one that was made before traces were kept.",
    )


def sealed(connection: Connection, card: CardId) -> SealedCard:
    """Return the record of *card*; raises NotFoundError, also for one whose cardholder has been forgotten."""
    of_job = (jobs.c.mode, jobs.c.wrapped_data_key, jobs.c.purged_at)
    wanted = select(cards, *of_job).join(jobs, cards.c.job_id == jobs.c.id).where(cards.c.id == card)
    row = connection.execute(wanted).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no card {card}", "See `bureau cards JOB`.")
    if row.sealed is None or row.wrapped_data_key is None:
        raise NotFoundError(f"card {card} is forgotten: its record and traces were purged", "See BUREAU_RETENTION_HOURS.")
    return SealedCard(
        card=card,
        issuer=row.issuer,
        crn=row.crn,
        mode=Mode(row.mode),
        profiles=rows.pins(connection, JobId(row.job_id)),
        sealed=row.sealed,
        wrapped_data_key=row.wrapped_data_key,
    )


def replayed(ledger: Ledger, card: CardId, attempt: int, reader: str, chip: str, actor: str, now: datetime) -> None:
    """Tell the audit log that a record is about to be written to a test card, which is never counted."""
    with ledger.write(actor, now) as tx:
        tx.record("replay", f"card {card}", attempt=attempt, reader=reader, chip=chip)


def keep(ledger: Ledger, claim: Claim, recording: Recording, now: datetime) -> None:
    """Keep the trace of an attempt whose end somebody else has written, its lease being over; nothing else changes."""
    with ledger.write(claim.encoder, now) as tx:
        this = (attempts.c.id == claim.attempt) & (attempts.c.outcome != AttemptOutcome.OPEN.value)
        if tx.connection.execute(select(attempts.c.id).where(this)).first():
            moves.keep(tx, claim.attempt, recording)
