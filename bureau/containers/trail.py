"""Writes the answers to an issuer: audit trails that mirror the request, streamed, each part checked first."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import BinaryIO, Final, Protocol

from lxml import etree

from bureau.containers import commons
from bureau.containers.answers import Answer, frame
from bureau.containers.dialects import DIALECTS, Dialect
from bureau.containers.logs import RecordLog
from bureau.containers.orders import parse
from bureau.containers.schemas import findings
from bureau.errors import BureauError
from bureau.models import Form, RecordResult

__all__ = ["Answer", "Document", "TrailError", "documents"]

_LONGEST: Final = 100
_CARD: Final = (
    '<LogIdentifierCode xmlns="{0}" Identifier=""><CardConfigurationLog><CRN Number="00"/><PhysicalCardIdentifier'
    ' IdentifierType="NONE" IdentifierValue="00"><CardLifeCycleState>00</CardLifeCycleState><AID AID="00" Order="0"/>'
    "</PhysicalCardIdentifier></CardConfigurationLog></LogIdentifierCode>"
)
_PLAIN: Final = {
    Form.BATCH: f'<LogContainer xmlns="{{0}}">{_CARD}</LogContainer>',
    Form.CARD: _CARD,
    Form.NOTIFICATION: '<ApplicationLogPerCRN xmlns="{0}"><CRN Number="00"/><ApplicationLog/></ApplicationLogPerCRN>',
}
"""The shortest part of each answer, to check the frame around it."""


class TrailError(BureauError):
    """The trail would not be what the schema asks for, or the results aren't those of the request: a fault of ours."""


@dataclass(frozen=True, slots=True)
class Document:
    """One trail: a *stem* fit for a file name, the BatchID it answers, and what writes it to a binary file."""

    stem: str
    container: str
    write: Callable[[BinaryIO], None]


def documents(answer: Answer, results: Iterable[RecordResult]) -> Iterator[Document]:
    """Yield the trails that answer a request: one, or for notifications one for each BatchID.

    *results* come job by job, lot by lot, in file order; those of notifications in file order throughout. Write each
    document before asking for the next. Writing raises TrailError rather than write a part that the schema refuses.
    """
    if answer.batch.form is not Form.NOTIFICATION:
        yield _document(answer, answer.batch.batch_id, results)
        return
    done: set[str] = set()
    for container, group in groupby(results, key=lambda result: result.record.container):
        if container in done:
            raise TrailError(f"the results of notification {container} don't stand together")
        done.add(container)
        yield _document(answer, container, group)


def _document(answer: Answer, container: str, results: Iterable[RecordResult]) -> Document:
    return Document(stem(container), container, lambda out: _write(answer, container, results, out))


def stem(container: str) -> str:
    """Return a BatchID as part of a file name: as it is, or with a mark that keeps two of them apart."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", container)[:_LONGEST].lstrip(".") or "_"
    if plain == container:
        return plain
    return f"{plain}-{hashlib.sha256(container.encode()).hexdigest()[:8]}"


def _write(answer: Answer, container: str, results: Iterable[RecordResult], out: BinaryIO) -> None:
    dialect = DIALECTS[answer.batch.namespace]
    _check_frame(answer, container, dialect)
    queue = _Queue(results)
    with etree.xmlfile(out, encoding="UTF-8") as file:
        stream = _Stream(file, dialect)

        def fill(job: int, lot: int) -> None:
            whole = answer.batch.form is Form.NOTIFICATION
            if (common := queue.common() if whole else _common(answer, job, lot, dialect)) is not None:
                stream.write(common)
            for result in queue.rest() if whole else queue.of(job, lot):
                for part in _parts(answer, result):
                    stream.write(part)

        file.write_declaration()
        frame(answer, container, stream.enter, fill)
    queue.finish()


def _common(answer: Answer, job: int, lot: int, dialect: Dialect) -> etree._Element | None:
    """Return what a lot of a batch is answered for all its cards."""
    jobs = answer.batch.jobs
    groups = jobs[job].lots[lot].common if answer.batch.form is Form.BATCH else ()
    return commons.log(groups, dialect) if groups else None


def _parts(answer: Answer, result: RecordResult) -> Iterator[etree._Element]:
    log = RecordLog(result, answer.audited)
    match answer.batch.form:
        case Form.BATCH:
            yield log.container()
        case Form.CARD:
            yield log.identifier()
        case Form.NOTIFICATION:
            yield from log.per_crn()


class _Writer(Protocol):
    """What lxml gives for `etree.xmlfile`."""

    def element(
        self, tag: str, attrib: Mapping[str, str], nsmap: Mapping[str | None, str] | None
    ) -> AbstractContextManager[object]:
        """Open an element."""

    def write(self, *parts: str | etree._Element) -> None:
        """Write text and whole elements."""


class _Stream:
    """Writes elements into a file as they come, each part only if the schema accepts it."""

    def __init__(self, file: _Writer, dialect: Dialect) -> None:
        self._file, self._dialect = file, dialect
        self._namespaces: dict[str | None, str] | None = {None: dialect.namespace}

    @contextmanager
    def enter(self, name: str, attributes: dict[str, str]) -> Iterator[None]:
        """Open an element of the frame."""
        namespaces, self._namespaces = self._namespaces, None
        with self._file.element(self._dialect.tag(name), attributes, namespaces):
            yield

    def write(self, part: etree._Element) -> None:
        """Write one part."""
        _check(part, self._dialect)
        self._file.write("\n", part)


class _Queue:
    """Results in the order of the request, taken lot by lot."""

    def __init__(self, results: Iterable[RecordResult]) -> None:
        self._results = iter(results)
        self._next = next(self._results, None)

    def common(self) -> etree._Element | None:
        """Return what a notification's first record says of the data that all its cards share."""
        return None if self._next is None else commons.noted(parse(self._next.record.xml))

    def rest(self) -> Iterator[RecordResult]:
        """Yield all that are left."""
        while (result := self._next) is not None:
            self._next = next(self._results, None)
            yield result

    def of(self, job: int, lot: int) -> Iterator[RecordResult]:
        """Yield those of one lot; there must be one at least."""
        found = False
        while (result := self._next) is not None and (result.record.job, result.record.lot) == (job, lot):
            found = True
            self._next = next(self._results, None)
            yield result
        if not found:
            raise TrailError(f"there are no results for lot {lot + 1} of job {job + 1}")

    def finish(self) -> None:
        """Make sure that none is left."""
        if self._next is not None:
            raise TrailError(f"the result for {self._next.record.crn} is out of order")


def _check_frame(answer: Answer, container: str, dialect: Dialect) -> None:
    """Check the frame with the shortest of parts in it, before anything is written."""
    top = etree.Element("top")
    parents = [top]

    @contextmanager
    def enter(name: str, attributes: dict[str, str]) -> Iterator[None]:
        parents.append(etree.SubElement(parents[-1], dialect.tag(name), attributes))
        yield
        parents.pop()

    def fill(_job: int, _lot: int) -> None:
        parents[-1].append(etree.fromstring(_PLAIN[answer.batch.form].format(dialect.namespace)))

    frame(answer, container, enter, fill)
    _check(top[0], dialect)


def _check(part: etree._Element, dialect: Dialect) -> None:
    for finding in findings(part, "trail", dialect):
        raise TrailError(f"the audit trail would be wrong: {finding.element} {finding.message}")
