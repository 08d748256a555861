"""A ledger with a small plant around it, for tests: who submits what, which encoders stand there."""

import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from sqlalchemy import select, update

from bureau.ledger import claims, encoders, profiles, submissions
from bureau.ledger.claims import Claim
from bureau.ledger.ledger import NEVER, Ledger
from bureau.ledger.schema import cards
from bureau.models import (
    AttemptOutcome,
    Batch,
    BatchId,
    CardId,
    CardState,
    EncoderId,
    Environment,
    Form,
    JobHeader,
    JobId,
    LotHeader,
    Preference,
    ProfilePin,
)
from bureau.scheduling import Machine
from hardware.keystores import Mode
from hardware.perso.order import UniqueID
from tests.servers import Cluster

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=60)
LATER = NOW + timedelta(minutes=2)
"""When a lease taken at NOW is over."""
PROFILE = UniqueID("2B060104018100")
SIM1, SIM2, SIM3 = EncoderId("sim1"), EncoderId("sim2"), EncoderId("sim3")


def authenticate(message: bytes) -> bytes:
    """Stand in for the key store's MAC."""
    return hmac.digest(b"a key for tests", message, "sha256")[:16]


_CLUSTERS: Final[list[Cluster]] = []
"""The PostgreSQL cluster that ledgers are in at the moment; none where they are in SQLite."""


@contextmanager
def on(cluster: Cluster) -> Iterator[None]:
    """Keep the ledgers that are opened meanwhile in *cluster*, and remove them at the end."""
    _CLUSTERS.append(cluster)
    try:
        yield
    finally:
        _CLUSTERS.clear()


def url(path: Path) -> str:
    """Return the address of the database at *path*, or of the one that stands for it in PostgreSQL."""
    return _CLUSTERS[-1].url(_name(path)) if _CLUSTERS else f"sqlite:///{path}"


def _name(path: Path) -> str:
    return sha256(bytes(path.absolute())).hexdigest()[:16]


@contextmanager
def opened(path: Path, *, most_rejects: float = NEVER) -> Iterator[Ledger]:
    """Open a migrated ledger at *path*."""
    if not _CLUSTERS:
        path.write_bytes(_migrated())
    with _opened(path, "migrated", most_rejects) as ledger:
        yield ledger


@contextmanager
def unmigrated(path: Path) -> Iterator[Ledger]:
    """Open a ledger at *path* that has no tables, and on SQLite no file either."""
    with _opened(path, "template1") as ledger:
        yield ledger


@contextmanager
def _opened(path: Path, template: str, most_rejects: float = NEVER) -> Iterator[Ledger]:
    clusters = list(_CLUSTERS)
    for cluster in clusters:
        cluster.clone(template, _name(path))
    ledger = Ledger(url(path), authenticate, most_rejects=most_rejects)
    try:
        yield ledger
    finally:
        ledger.close()
        for cluster in clusters:
            cluster.drop(_name(path))


def migrate(address: str) -> None:
    """Make the tables."""
    ledger = Ledger(address, authenticate)
    ledger.migrate()
    ledger.close()


@cache
def _migrated() -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder, "ledger.db")
        migrate(f"sqlite:///{file}")
        return file.read_bytes()


def machine(
    name: EncoderId = SIM1,
    *,
    stock: str = "PLASTIC",
    environment: str = "SIM",
    version: str = "1",
    profile: UniqueID = PROFILE,
    mode: Mode = Mode.TEST,
) -> Machine:
    """Return an encoder that fits the lots below."""
    return Machine(
        encoder=name,
        product="payment",
        profiles=(profile,),
        environment=environment,
        version=version,
        stocks=(stock,),
        mode=mode,
    )


def open_encoder(ledger: Ledger, *names: EncoderId) -> None:
    """Start encoders and open their lines."""
    for name in names:
        encoders.start(ledger, machine(name), NOW)
        encoders.open_line(ledger, name, "operator", NOW)


def lot(records: int, *, stock: str = "PLASTIC", due: datetime | None = None) -> LotHeader:
    """Return the header of a lot of *records* cards."""
    return LotHeader(
        generation_date="20260301",
        card_product="CLUB",
        card_product_version="1",
        issuer_name="Bank",
        record_count=records,
        stock=stock,
        required_date=None,
        due=due,
        profiles=(PROFILE,),
    )


def job(name: str, *lots: LotHeader, priority: int = 2, preference: Preference = Preference.ANY) -> JobHeader:
    """Return a job of *lots*."""
    return JobHeader(
        job_id=name,
        priority=priority,
        risk=3,
        environment=Environment(name="SIM", version="1", preference=preference),
        environment_index=0,
        lots=lots,
    )


def batch(name: str, *jobs: JobHeader) -> Batch:
    """Return a batch of *jobs*."""
    return Batch(
        form=Form.BATCH,
        batch_id=name,
        issuer="BANK",
        processing_entity="BUREAU",
        user_data=None,
        namespace="http://namespaces.globalplatform.org/systems-messaging/2.0.1",
        envelope=None,
        jobs=jobs,
    )


def pin(ledger: Ledger) -> ProfilePin:
    """Register the one profile that the jobs here use."""
    return profiles.add(ledger, "CardProfile", PROFILE, "1.0.0", b"<CardProfile/>", "operator", NOW)


def records(whole: Batch, *, crn: str = "") -> list[submissions.SealedRecord]:
    """Return the records of a batch, numbered through; their sealed values are told from everything else."""
    places = [
        (job_place, lot_place)
        for job_place, header in enumerate(whole.jobs)
        for lot_place, one in enumerate(header.lots)
        for _ in range(one.record_count)
    ]
    return [
        submissions.SealedRecord(
            batch=0,
            job=job_place,
            lot=lot_place,
            position=position,
            crn=f"{crn or whole.batch_id.encode().hex().upper()}{position:04X}",
            container=whole.batch_id,
            sealed=f"<sealed {whole.batch_id} {position}>".encode() * 20,
        )
        for position, (job_place, lot_place) in enumerate(places)
    ]


def submitted(whole: Batch, *pins: ProfilePin, mode: Mode = Mode.TEST) -> submissions.SubmittedBatch:
    """Return what the bureau makes of a batch."""
    extra = submissions.SubmittedJob(mode=mode, wrapped_data_key=b"<wrapped key>" * 4, profiles=pins)
    return submissions.SubmittedBatch(batch=whole, jobs=(extra,) * len(whole.jobs))


def begin(ledger: Ledger, whole: Batch, *, mode: Mode = Mode.TEST) -> submissions.Incoming:
    """Write the frame of a file with one batch."""
    digest = sha256(whole.batch_id.encode()).hexdigest()
    return submissions.begin(ledger, f"{whole.batch_id}.xml", digest, [submitted(whole, pin(ledger), mode=mode)], "ann", NOW)


def submit(
    ledger: Ledger, name: str, *jobs: JobHeader, release: bool = True, first_article: bool = False
) -> tuple[JobId, ...]:
    """Submit one batch and release its jobs."""
    whole = batch(name, *jobs)
    incoming = begin(ledger, whole)
    submissions.add_cards(ledger, incoming, records(whole), NOW)
    numbers = submissions.finish(ledger, incoming, NOW)
    for number in numbers if release else ():
        submissions.release(ledger, number, "operator", NOW, first_article=first_article)
    return numbers


def take(ledger: Ledger, encoder: EncoderId = SIM1, now: datetime = NOW) -> Claim:
    """Claim a card that must be there."""
    claim = claims.claim(ledger, encoder, now, LEASE)
    assert claim is not None
    return claim


def write(ledger: Ledger, claim: Claim, chip: str, *, now: datetime = NOW, position: int | None = 1) -> None:
    """Begin writing on *chip*."""
    claims.begin_writing(ledger, claim, "CPLC", chip, position, now, LEASE)


def finish(
    ledger: Ledger, claim: Claim, state: CardState = CardState.GOOD, outcome: AttemptOutcome = AttemptOutcome.GOOD
) -> BatchId | None:
    """End a card that is being written."""
    if state is CardState.GOOD:
        claims.verifying(ledger, claim, NOW, LEASE)
    return claims.settle(ledger, claim, state, outcome, NOW, cause=None if state is CardState.GOOD else "trial")


def mute(ledger: Ledger, claim: Claim, position: int, now: datetime = NOW) -> None:
    """Let the blank in hand never have answered."""
    claims.give_back(ledger, claim, "no ATR", position, now, outcome=AttemptOutcome.MUTE)


def make(ledger: Ledger, chip: str, encoder: EncoderId = SIM1) -> Claim:
    """Make one good card on *chip*."""
    claim = take(ledger, encoder)
    write(ledger, claim, chip)
    finish(ledger, claim)
    return claim


def state(ledger: Ledger, card: CardId) -> CardState:
    """Return where a card stands."""
    with ledger.read() as connection:
        return CardState(connection.execute(select(cards.c.state).where(cards.c.id == card)).scalar_one())


def put(ledger: Ledger, card: CardId, state: CardState) -> None:
    """Put a card into *state* behind everyone's back, as a person's decision will."""
    leased = state in {CardState.LEASED, CardState.WRITING, CardState.VERIFYING}
    with ledger.write("test", NOW) as tx:
        values = {"state": state.value, "lease_until": LATER if leased else None}
        tx.connection.execute(update(cards).where(cards.c.id == card).values(values))
