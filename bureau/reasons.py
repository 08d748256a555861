"""Why a lot runs or waits, in words: what stands between its next card and an encoder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from bureau.models import CardState, EncoderId, EncoderState, Hold, JobState
from bureau.scheduling import Line, OpenLot, before, obstacles, ranked, waits
from bureau.wording import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One lot as it stands; *position* counts from 0 in its job.

    hold: who holds its job; stop: who or what holds the lot itself; ready: cards that may be claimed; unwritten: cards that
    came back too often to be claimed again; at_work: encoders that hold a card of it.
    """

    lot: OpenLot
    position: int
    state: JobState
    hold: Hold | None
    stop: Hold | None
    counts: Mapping[CardState, int]
    ready: int
    unwritten: int
    at_work: tuple[EncoderId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why a lot runs or waits: as a whole, and what each encoder has to do with it."""

    says: tuple[str, ...]
    encoders: Mapping[EncoderId, str]


def held(hold: Hold, zone: tzinfo) -> str:
    """Return who holds a job, a lot or an encoder since when, and why."""
    return f"held by {hold.by} since {hold.at.astimezone(zone):%Y-%m-%d %H:%M}: {hold.reason}"


def lost(host: str, seen_at: datetime, zone: tzinfo) -> str:
    """Return since when nothing has been heard of a lost encoder's host."""
    return f"host {host} hasn't been heard of since {seen_at.astimezone(zone):%H:%M}"


def why(standing: Standing, lines: Sequence[Line], rivals: Sequence[OpenLot], zone: tzinfo) -> Why:
    """Return why *standing* runs or waits.

    lines: every encoder; rivals: every lot that has cards to claim, the lot itself among them unless something holds it.
    """
    ahead = {line.machine.encoder: first[0] for line in lines if (first := ranked(rivals, line.machine, line.last))}
    says = tuple(_says(standing, lines, ahead, zone))
    return Why(says=says, encoders={line.machine.encoder: _says_of(line, standing, ahead, zone) for line in lines})


def _says(standing: Standing, lines: Sequence[Line], ahead: Mapping[EncoderId, OpenLot], zone: tzinfo) -> Iterator[str]:
    yield from holds(standing, zone)
    if standing.at_work:
        yield f"runs on {', '.join(standing.at_work)} now"
    if not standing.ready:
        yield "nothing left to make" if not standing.at_work else "nothing left to make but what runs"
    elif reason := waits(standing.lot, [line.machine for line in lines]):
        yield reason
    elif not _is_held(standing):
        yield from _place(standing, lines, ahead)
    if standing.lot.late:
        yield "late: its work doesn't fit before its date"
    yield from undecided(standing)


def holds(standing: Standing, zone: tzinfo) -> Iterator[str]:
    """Say who holds a lot, or its job, and whether it waits for its first article."""
    if standing.hold:
        yield held(standing.hold, zone)
    if standing.stop:
        yield f"the lot is {held(standing.stop, zone)}: `bureau release {standing.lot.job} --lot {standing.position + 1}`"
    if standing.lot.article and standing.ready:
        yield "makes one card at a time until its first article is approved"


def _is_held(standing: Standing) -> bool:
    """Return whether nobody takes a card of a lot: its job or itself is held, or its first article is being made."""
    return bool(standing.hold or standing.stop or (standing.lot.article and standing.at_work))


def undecided(standing: Standing) -> Iterator[str]:
    """Say which cards of a lot wait for a person."""
    job = standing.lot.job
    if standing.unwritten:
        yield f"{counted(standing.unwritten, 'card')} came back unwritten too often: see `bureau rejects {job}`"
    for state, where in ((CardState.REJECTED, "rejects"), (CardState.SUSPECT, "suspects")):
        if count := standing.counts.get(state):
            yield f"{counted(count, state + ' card')} for a person to decide: see `bureau {where} {job}`"


def _place(standing: Standing, lines: Sequence[Line], ahead: Mapping[EncoderId, OpenLot]) -> Iterator[str]:
    """Say who takes the next card, or which lots go before it on every encoder that could."""
    lot, able = standing.lot, [line for line in lines if _is_able(line, standing.lot)]
    taking = [line.machine.encoder for line in able if ahead[line.machine.encoder].lot == lot.lot]
    if taking:
        yield f"next on {', '.join(taking)}"
        return
    yield from dict.fromkeys(_behind(standing.lot, ahead[line.machine.encoder], line) for line in able)


def _behind(lot: OpenLot, first: OpenLot, line: Line) -> str:
    other = f"job {first.job}" if first.job != lot.job else "another lot of this job"
    return f"behind {other}: {before(first, lot, line.last)}"


def _is_able(line: Line, lot: OpenLot) -> bool:
    return line.machine.state is EncoderState.OPEN and not obstacles(lot, line.machine)


def _says_of(line: Line, standing: Standing, ahead: Mapping[EncoderId, OpenLot], zone: tzinfo) -> str:
    lot, machine = standing.lot, line.machine
    if machine.encoder in standing.at_work and machine.state is not EncoderState.LOST:
        return "makes a card of it now"
    if found := obstacles(lot, machine):
        return "; ".join(found)
    if machine.state is not EncoderState.OPEN:
        return _shut(line, zone)
    if _is_held(standing) or not standing.ready:
        return "could make it"
    if ahead[machine.encoder].lot != lot.lot:
        return _behind(lot, ahead[machine.encoder], line)
    return f"takes its next card, and waits: {line.reason}" if line.reason else "takes its next card"


def _shut(line: Line, zone: tzinfo) -> str:
    if line.machine.state is EncoderState.LOST:
        return f"is lost: {lost(line.host, line.seen_at, zone)}"
    return f"is {held(line.hold, zone)}" if line.hold else f"is held: {line.reason or 'nobody said why'}"
