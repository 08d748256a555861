"""Walks the containers around the card records and draws up the requests that a file holds."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from bureau.containers.attributes import faults
from bureau.containers.dialects import DIALECTS, MESSAGING, PROFILES, Dialect
from bureau.containers.reader import Closed, Event, Opened, Subtree, Text
from bureau.models import Envelope, Form

BODIES: Final = frozenset(Form)
EXPECTED: Final = "GPMessage, BatchCardCustomization, CardCustomization or ApplicationDataNotification"
SEQUENCES: Final[Mapping[str, tuple[tuple[str, bool, bool], ...]]] = {
    "GPMessage": (("GPHeader", True, False), ("GPBody", True, False)),
    "BatchCardCustomization": (("EnvironmentContainer", True, True),),
    "EnvironmentContainer": (("JobContainer", True, True),),
    "JobContainer": (("DataContainerHeader", True, True),),
    "DataContainerHeader": (("CommonDataContainer", False, False), ("DataContainer", True, True)),
    "DataContainer": (("ModuleIdentifierCode", True, True),),
    "ApplicationDataNotification": (("ApplicationCommonData", False, False), ("ApplicationDataPerCRN", True, True)),
}
"""What each frame element holds, in this order: name, whether it must be there, whether it may repeat."""
ELSEWHERE: Final = {
    **dict.fromkeys(
        ("AP", "CP", "CPChanges", "LFP", "CPP", "ProfileRequest"), "register profiles with `bureau profiles add`"
    ),
    **dict.fromkeys(("KP", "KeyExchange"), "register keys with `bureau keys import`"),
    **dict.fromkeys(
        ("ApplicationDataRequest", "ApplicationAuditTrail", "BatchAuditTrail", "CardAuditTrail", "Error"),
        "it doesn't ask for cards",
    ),
}

Complain = Callable[[int, str, str], None]
"""Takes line, element and message."""
Context = tuple[tuple[str, str], ...]
"""The names and values of a message's MessageContext."""


@dataclass(slots=True, kw_only=True)
class LotDraft:
    """A DataContainerHeader as far as it was read."""

    line: int
    attributes: Mapping[str, str]
    common: "Common | None" = None
    cards: int = 0


@dataclass(slots=True, kw_only=True)
class JobDraft:
    """A JobContainer and its EnvironmentContainer's attributes and position."""

    line: int
    attributes: Mapping[str, str]
    environment: Mapping[str, str]
    environment_index: int
    lots: list[LotDraft] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class BatchDraft:
    """One request; *container* is the BatchID of the last notification where it stands for several."""

    form: Form
    line: int
    dialect: Dialect
    envelope: Envelope | None
    context: Context
    attributes: Mapping[str, str]
    container: str
    jobs: list[JobDraft] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Common:
    """A CommonDataContainer or ApplicationCommonData, with the line of its first tag."""

    root: etree._Element
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece that is no card: a header, or data common to several cards."""

    root: etree._Element
    line: int
    dialect: Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One card record as it stands in the file; *job* and *lot* are positions, 0 where the form has none."""

    number: int
    root: etree._Element
    line: int
    common: Common | None
    batch: int
    job: int
    lot: int
    container: str


@dataclass(slots=True)
class _Node:
    name: str
    line: int
    dialect: Dialect | None
    """None: a vendor's wrapper."""
    place: int = 0
    seen: set[str] = field(default_factory=set)


class Frame:
    """One walk over a file's events; *batches* and *cards* grow with it."""

    def __init__(self, complain: Complain) -> None:
        self._complain = complain
        self.batches: list[BatchDraft] = []
        self.cards = self.containers = 0
        self._stack: list[_Node] = []
        self._skip = 0
        self._envelope: Envelope | None = None
        self._context: Context = ()
        self._common: Common | None = None
        self._environment: Mapping[str, str] = {}
        self._environments = -1
        self._batch = -1
        self._notifications: dict[tuple[str, Envelope | None, Context], int] = {}
        self._answered: dict[int, set[str]] = {}
        """The BatchIDs of each batch of notifications: one that comes back after another begins a batch of its own."""

    def walk(self, events: Iterator[Event]) -> Iterator[Part | Card]:
        """Yield every piece of the file in order, complaining about the frame on the way."""
        for event in events:
            match event:
                case Opened():
                    self._open(event)
                case Closed():
                    self._close()
                case Text(line):
                    if not self._skip and self._stack and (node := self._stack[-1]).dialect is not None:
                        self._complain(line, node.name, "holds text where only elements may stand")
                case Subtree():
                    if not self._skip:
                        yield from self._subtree(event)

    def _open(self, event: Opened) -> None:
        if self._skip or not self._admit(event.name, event.namespace, event.line):
            self._skip += 1
            return
        dialect = DIALECTS.get(event.namespace)
        self._stack.append(_Node(event.name, event.line, dialect))
        if dialect is None:
            return
        for attribute, message in faults(event.name, event.attributes):
            self._complain(event.line, f"{event.name}/@{attribute}", message)
        self._enter(event, dialect)

    def _admit(self, name: str, namespace: str, line: int) -> bool:
        """Return whether this element may stand here; complain where it may not."""
        node = self._stack[-1] if self._stack else None
        if node is None or node.dialect is None or node.name == "GPBody":
            return self._admit_container(name, namespace, line, inside=node is not None and node.name == "GPBody")
        if namespace != node.dialect.namespace:
            self._complain(line, name, f"stands in namespace '{namespace}' inside a {node.name} of {node.dialect.namespace}")
            return False
        sequence = SEQUENCES.get(node.name, ())
        for place, (wanted, _, repeats) in enumerate(sequence):
            if wanted == name and (place > node.place or (place == node.place and (repeats or name not in node.seen))):
                node.place = place
                node.seen.add(name)
                return True
        said = ", ".join(wanted for wanted, _, _ in sequence) or "nothing"
        self._complain(line, name, f"isn't expected here: a {node.name} holds {said}, in this order")
        return False

    def _admit_container(self, name: str, namespace: str, line: int, *, inside: bool) -> bool:
        container = name in BODIES or (name == "GPMessage" and not inside)
        if namespace in DIALECTS:
            if container:
                self.containers += name != "GPMessage"
                return True
            reason = ELSEWHERE.get(name, "this bureau doesn't do it; mobile-NFC requests and responses aren't accepted")
            self._complain(line, name, f"isn't a request for cards: {reason}")
        elif container or inside or namespace.startswith(MESSAGING):
            self._complain(line, name, f"stands in the unknown namespace '{namespace}'; known are {', '.join(DIALECTS)}")
        elif namespace in PROFILES and not self._stack:
            self._complain(line, name, "is a profile, no request for cards: register it with `bureau profiles add`")
        else:
            return True
        self.containers += 1
        return False

    def _enter(self, event: Opened, dialect: Dialect) -> None:
        attributes = event.attributes
        match event.name:
            case "GPMessage":
                self._envelope, self._context = None, ()
            case Form.BATCH:
                self._begin(Form.BATCH, event.line, dialect, attributes, attributes.get("BatchID", ""))
                self._environments = -1
            case "EnvironmentContainer":
                self._environment = attributes
                self._environments += 1
            case "JobContainer":
                job = JobDraft(
                    line=event.line, attributes=attributes,
                    environment=self._environment, environment_index=self._environments,
                )  # fmt: skip
                self.batches[self._batch].jobs.append(job)
            case "DataContainerHeader":
                self.batches[self._batch].jobs[-1].lots.append(LotDraft(line=event.line, attributes=attributes))
            case Form.NOTIFICATION:
                self._notify(event, dialect)

    def _notify(self, event: Opened, dialect: Dialect) -> None:
        container = event.attributes.get("BatchID", "")
        self._common = None
        message = (dialect.namespace, self._envelope, self._context)
        place = self._notifications.get(message)
        if place is None or (container != self.batches[place].container and container in self._answered[place]):
            self._begin(Form.NOTIFICATION, event.line, dialect, event.attributes, container)
            self._notifications[message] = place = self._batch
            self._answered[place] = set()
        self._batch = place
        self.batches[place].container = container
        self._answered[place].add(container)

    def _begin(self, form: Form, line: int, dialect: Dialect, attributes: Mapping[str, str], container: str) -> None:
        self._batch = len(self.batches)
        self.batches.append(
            BatchDraft(
                form=form, line=line, dialect=dialect, envelope=self._envelope, context=self._context,
                attributes=attributes, container=container,
            )
        )  # fmt: skip

    def _close(self) -> None:
        if self._skip:
            self._skip -= 1
            return
        node = self._stack.pop()
        if node.dialect is None:
            return
        for name, needed, _ in SEQUENCES.get(node.name, ()):
            if needed and name not in node.seen:
                self._complain(node.line, node.name, f"holds no {name}")
        if node.name == "GPMessage":
            self._envelope, self._context = None, ()
        if node.name == "DataContainerHeader":
            self._count(node.line)

    def _count(self, line: int) -> None:
        lot = self.batches[self._batch].jobs[-1].lots[-1]
        said = lot.attributes.get("CardRecordCount", "")
        if said.isascii() and said.isdigit() and int(said) != lot.cards:
            text = f"says {int(said)}, but there are {lot.cards} cards"
            self._complain(line, "DataContainerHeader/@CardRecordCount", text)

    def _subtree(self, piece: Subtree) -> Iterator[Part | Card]:
        namespace = etree.QName(piece.root).namespace or ""
        dialect = DIALECTS[namespace]
        if not self._admit(piece.name, namespace, piece.line):
            return
        match piece.name:
            case "GPHeader":
                self._envelope, self._context = _envelope(piece.root), _context(piece.root)
            case "CommonDataContainer":
                self.batches[self._batch].jobs[-1].lots[-1].common = Common(piece.root, piece.line)
            case "ApplicationCommonData":
                self._common = Common(piece.root, piece.line)
            case _:
                yield self._card(piece, dialect)
                return
        yield Part(root=piece.root, line=piece.line, dialect=dialect)

    def _card(self, piece: Subtree, dialect: Dialect) -> Card:
        self.cards += 1
        job = lot = 0
        common = self._common
        if piece.name == "ModuleIdentifierCode":
            jobs = self.batches[self._batch].jobs
            job, lot = len(jobs) - 1, len(jobs[-1].lots) - 1
            draft = jobs[-1].lots[-1]
            draft.cards += 1
            common = draft.common
        elif piece.name == Form.CARD:
            attributes = {str(name): str(value) for name, value in piece.root.attrib.items()}
            self._begin(Form.CARD, piece.line, dialect, attributes, attributes.get("BatchID", ""))
            common = None
        return Card(
            number=self.cards, root=piece.root, line=piece.line, common=common,
            batch=self._batch, job=job, lot=lot, container=self.batches[self._batch].container,
        )  # fmt: skip


def _envelope(header: etree._Element) -> Envelope:
    names = ("TransactionID", "Source", "Destination", "MessageVersion")
    transaction, source, destination, version = (str(header.get(name, "")) for name in names)
    return Envelope(transaction_id=transaction, source=source, destination=destination, message_version=version)


def _context(header: etree._Element) -> Context:
    pairs = header.iterfind("{*}MessageContext/{*}Data")
    return tuple((str(pair.get("DataElement", "")), str(pair.get("Value", ""))) for pair in pairs)
