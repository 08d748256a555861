"""Checks an issuer's file whole, and reads its card records again once it was found right."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from bureau.containers import Defaults, Known, Problem, RefusedError, Submission, commons
from bureau.containers.examination import Examination
from bureau.containers.frame import EXPECTED, Card, Frame, Part
from bureau.containers.merging import complete, name_card_profile, named_profiles
from bureau.containers.orders import crn
from bureau.containers.problems import Problems
from bureau.containers.reader import Progress, Reader, UnreadableError
from bureau.models import Form, Record


def examine(path: Path, known: Known, defaults: Defaults, progress: Progress = lambda _read, _total: None) -> Submission:
    """Check the whole file and return what it holds; raises RefusedError with every problem found."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    problems = Problems()
    if (before := known.file_known(digest)) is not None:
        problems.add(Problem(line=1, element="file", message=f"is the same file as {before}"))
        raise _refused(path, problems, digest, f"it is {before} already: see `bureau jobs`")
    frame = Frame(lambda line, element, message: problems.add(Problem(line=line, element=element, message=message)))
    examination = Examination(known, defaults, problems, frame)
    reader = Reader(path, progress)
    try:
        for piece in frame.walk(reader.events()):
            if isinstance(piece, Part):
                examination.part(piece)
            else:
                examination.card(piece)
    except UnreadableError as failure:
        problems.add(Problem(line=failure.line, element="file", message=str(failure)))
    else:
        if not frame.containers:
            problems.add(Problem(line=1, element="file", message=f"holds no request: expected {EXPECTED}"))
        elif reader.sha256 != digest:
            problems.add(Problem(line=1, element="file", message="changed while it was read"))
    examination.finish()
    if problems.errors:
        raise _refused(path, problems, digest)
    return examination.submission(digest, reader.size, problems.listed())


def records(path: Path, submission: Submission) -> Iterator[Record]:
    """Yield the card records of a file that `examine` found right; raises RefusedError at the end if it isn't that file."""
    problems = Problems()
    frame = Frame(lambda line, element, message: problems.add(Problem(line=line, element=element, message=message)))
    reader = Reader(path)
    try:
        for piece in frame.walk(reader.events()):
            if isinstance(piece, Card):
                yield _record(piece, submission)
    except (UnreadableError, LookupError, ValueError):
        raise _changed(path, reader.sha256) from None
    if problems.errors or reader.sha256 != submission.sha256:
        raise _changed(path, reader.sha256)


def _record(card: Card, submission: Submission) -> Record:
    batch = submission.batches[card.batch]
    complete(card)
    reference, job = crn(card.root), card.job
    if reference is None:
        raise ValueError("a record without CRN")
    if batch.form is Form.NOTIFICATION:
        job = submission.placed[card.batch, named_profiles(card.root)]
        name_card_profile(card.root, batch.jobs[job].lots[0].profiles[0])
        if card.common is not None:
            commons.note(card.root, card.common.root)
    return Record(
        batch=card.batch, job=job, lot=card.lot, crn=reference, container=card.container or batch.batch_id,
        xml=etree.tostring(card.root, with_tail=False),
    )  # fmt: skip


def _refused(
    path: Path, problems: Problems, digest: str, remedy: str = "correct the file and submit it again"
) -> RefusedError:
    said = f"{path.name} is refused: {problems.errors} error{'s' * (problems.errors != 1)}"
    return RefusedError(said, problems=problems.listed(), sha256=digest, remedy=remedy)


def _changed(path: Path, digest: str) -> RefusedError:
    problem = Problem(line=1, element="file", message="changed after it was checked")
    said = f"{path.name} is refused: it changed after it was checked"
    return RefusedError(said, problems=[problem], sha256=digest, remedy="submit it again when nobody writes it any more")
