"""The bureau's own values: what an issuer asked for, where each card stands, and what became of each piece of plastic."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final, NewType

from hardware.iso7816 import AID
from hardware.keystores import Mode
from hardware.perso.order import TargetState, UniqueID
from hardware.trace.speed import Speed

FileId = NewType("FileId", int)
BatchId = NewType("BatchId", int)
"""The engine's own number; the issuer's name is Batch.batch_id."""
JobId = NewType("JobId", int)
LotId = NewType("LotId", int)
CardId = NewType("CardId", int)
AttemptId = NewType("AttemptId", int)
RequestId = NewType("RequestId", int)
EncoderId = NewType("EncoderId", str)
Pool = NewType("Pool", str)
"""Encoders of one pool take the same lots; the name is fit for a queue."""


class Form(StrEnum):
    """The container that an issuer sent; its name is the element's."""

    BATCH = "BatchCardCustomization"
    CARD = "CardCustomization"
    NOTIFICATION = "ApplicationDataNotification"


class Preference(IntEnum):
    """How a job binds the environment that it names."""

    MANDATORY = 1
    COMPATIBLE = 2
    ANY = 3


class JobState(StrEnum):
    """incoming: being written, unseen by claims; the rest as in the life of a batch."""

    INCOMING = "incoming"
    HELD = "held"
    RELEASED = "released"
    CLOSED = "closed"
    REPORTED = "reported"
    PURGED = "purged"


class CardState(StrEnum):
    """Where one record stands."""

    READY = "ready"
    LEASED = "leased"
    WRITING = "writing"
    VERIFYING = "verifying"
    GOOD = "good"
    REJECTED = "rejected"
    SUSPECT = "suspect"
    SCRAPPED = "scrapped"
    WITHDRAWN = "withdrawn"


TRANSITIONS: Final[dict[CardState, frozenset[CardState]]] = {
    CardState.READY: frozenset({CardState.LEASED, CardState.WITHDRAWN}),
    CardState.LEASED: frozenset({CardState.READY, CardState.WRITING}),
    CardState.WRITING: frozenset({CardState.VERIFYING, CardState.REJECTED, CardState.SUSPECT}),
    CardState.VERIFYING: frozenset({CardState.GOOD, CardState.REJECTED, CardState.SUSPECT}),
    CardState.SUSPECT: frozenset({CardState.GOOD, CardState.READY, CardState.SCRAPPED}),
    CardState.REJECTED: frozenset({CardState.READY, CardState.SCRAPPED}),
    CardState.GOOD: frozenset(),
    CardState.SCRAPPED: frozenset(),
    CardState.WITHDRAWN: frozenset(),
}
"""The legal moves of a card; anything else is a mistake of ours."""

FINAL: Final = frozenset(state for state, moves in TRANSITIONS.items() if not moves)
"""States that nothing leaves: a lot closes when all its cards are in one."""


class AttemptOutcome(StrEnum):
    """What became of one piece of plastic."""

    OPEN = "open"
    GOOD = "good"
    SPOILED = "spoiled"
    MUTE = "mute"
    UNKNOWN = "unknown"
    RETURNED = "returned"
    """Untouched, back to the stock."""


class Cause(StrEnum):
    """Who or what is to blame for a piece of plastic that isn't a good card."""

    CARD = "card"
    READER = "reader"
    """The reader, the machine or the engine itself: what came between."""
    DATA = "data"
    KEY = "key"
    OPERATOR = "operator"
    """A card that shouldn't have been fed."""


class Role(StrEnum):
    """What an account is for; what each may do stands in one table, service.people.ROLES."""

    OPERATOR = "operator"
    SUPERVISOR = "supervisor"
    CUSTODIAN = "custodian"
    AUDITOR = "auditor"


class RequestState(StrEnum):
    """What became of something that takes two people."""

    OPEN = "open"
    DONE = "done"
    DECLINED = "declined"
    EXPIRED = "expired"


class Reissue(StrEnum):
    """Whether a job may make cards a second time that it was submitted to make again."""

    ASKED = "asked"
    APPROVED = "approved"


class StockMove(StrEnum):
    """How plastic moves: from outside into the vault, from there onto an encoder, and back."""

    RECEIVE = "receive"
    LOAD = "load"
    UNLOAD = "unload"


class EncoderState(StrEnum):
    """Whether an encoder may take cards."""

    HELD = "held"
    OPEN = "open"
    LOST = "lost"
    """Open, and nothing has been heard of its host for too long; it is open again as soon as there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The GPMessage around a request: @TransactionID, @Source, @Destination (hex OIDs), @MessageVersion."""

    transaction_id: str
    source: str
    destination: str
    message_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """The script interpreter that an environment asks for."""

    support: Preference
    type: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The technical environment that a job names; a bare form's comes from its card product."""

    name: str
    version: str
    preference: Preference
    interpreter: Interpreter | None = None


@dataclass(frozen=True, slots=True)
class CommonModule:
    """A GenericModule that stands for all cards of a lot, by name."""

    name: str
    identifier: str | None
    profile: UniqueID


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonApplication:
    """An ApplicationCommonData by name, AID and order as written."""

    aid: str | None
    order: str | None
    profile: UniqueID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonGroup:
    """One group of a lot's CommonDataContainer, structure only: nothing in it is confidential.

    card_profiles: those of its CardCommonConfiguration, None where it has none; delivery: whether it has a DeliveryModule.
    """

    identifier: str
    card_profiles: tuple[UniqueID, ...] | None
    applications: tuple[CommonApplication, ...]
    modules: tuple[CommonModule, ...]
    delivery: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LotHeader:
    """One DataContainerHeader, attributes as written; dates unparsed so that they go back as they came."""

    generation_date: str
    card_product: str
    card_product_version: str
    issuer_name: str
    record_count: int
    stock: str
    required_date: str | None
    due: datetime | None
    """The end of @RequiredProcessingDate's day, in plant time, as UTC."""
    profiles: tuple[UniqueID, ...]
    """Card profiles that will do for every record of the lot."""
    common: tuple[CommonGroup, ...] = ()
    """What the lot says for all its cards, for the way back."""
    protocols: tuple[str, ...] = ()
    """What its cards can talk by those profiles, "T=0" or "T=1"; none where they don't say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHeader:
    """One JobContainer; *environment_index* is its EnvironmentContainer's position, for the way back."""

    job_id: str
    priority: int
    risk: int
    environment: Environment
    environment_index: int
    lots: tuple[LotHeader, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One request of a file: a batch, a single card, or all ApplicationDataNotifications of the file together.

    user_data and context: what its issuer says for itself, the latter as names and values out of MessageContext.
    """

    form: Form
    batch_id: str
    issuer: str
    processing_entity: str
    user_data: str | None
    namespace: str
    envelope: Envelope | None
    context: tuple[tuple[str, str], ...] = ()
    jobs: tuple[JobHeader, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Who stopped a job, a lot or an encoder, when and why."""

    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One card record on its way into the ledger.

    batch, job and lot are positions in the file; *container* is the BatchID that its answer goes under; *xml* is the whole
    record, common data merged in, confidential.
    """

    batch: int
    job: int
    lot: int
    crn: str
    container: str
    xml: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilePin:
    """One version of a profile that a job uses; *kind* is its element's name, *digest* SHA-256 in hex over its content."""

    kind: str
    unique_id: UniqueID
    version: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedCard:
    """One card record as the ledger keeps it, under the data key of its job, and what the job pinned for it."""

    card: CardId
    issuer: str
    crn: str
    mode: Mode
    profiles: tuple[ProfilePin, ...]
    sealed: bytes = field(repr=False)
    wrapped_data_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachedAid:
    """An AID of a card with the life cycle state that was read back, if any."""

    aid: AID
    order: int
    target: TargetState | None
    reached: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """The last status word of one processing step; application and step are positions within the record."""

    application: int
    step: int
    status_words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What is kept of the exchange with one piece of plastic: its times, and its trace under the job's data key."""

    speed: Speed
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlasticResult:
    """One piece of plastic as the audit trail reports it; *identifier* is hex, *card_state* the ISD's life cycle."""

    outcome: AttemptOutcome
    identifier_type: str
    identifier: str
    card_state: int
    aids: tuple[ReachedAid, ...]
    steps: tuple[StepResult, ...]
    cause: str | None
    encoder: str
    ended: datetime | None
    code: Cause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordResult:
    """One record with every piece of plastic that it consumed, oldest first."""

    record: Record
    state: CardState
    plastics: tuple[PlasticResult, ...]
