"""Rows into values and back: what several tables' readers and writers share."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, TypeAlias, TypedDict

from sqlalchemy import Connection, Row, bindparam, select

from bureau.ledger.schema import job_profiles, profiles
from bureau.models import (
    CommonApplication,
    CommonGroup,
    CommonModule,
    EncoderId,
    EncoderState,
    Environment,
    Hold,
    Interpreter,
    JobId,
    LotId,
    Preference,
    ProfilePin,
    ReachedAid,
    StepResult,
)
from bureau.scheduling import Last, Line, Machine, OpenLot
from hardware.iso7816 import AID
from hardware.keystores import Mode
from hardware.perso.order import TargetState, UniqueID
from hardware.trace.speed import Speed

AnyRow: TypeAlias = Row[*tuple[Any, ...]]
"""A row whose columns its function's docstring names."""


_PINS: Final = (
    select(profiles.c.kind, profiles.c.unique_id, profiles.c.version, profiles.c.digest)
    .join(job_profiles, job_profiles.c.profile_id == profiles.c.id)
    .where(job_profiles.c.job_id == bindparam("job"))
    .order_by(profiles.c.id)
)


class ResultJson(TypedDict, total=False):
    """What is kept of one attempt's processing: [AID, order, target, reached] and [application, step, status words]."""

    aids: list[tuple[str, int, str | None, int | None]]
    steps: list[tuple[int, int, str]]


def result_json(aids: Sequence[ReachedAid], steps: Sequence[StepResult]) -> ResultJson:
    """Return the JSON form of what a card reached."""
    return {
        "aids": [(str(aid.aid), aid.order, aid.target, aid.reached) for aid in aids],
        "steps": [(step.application, step.step, step.status_words) for step in steps],
    }


def reached_aids(result: ResultJson) -> tuple[ReachedAid, ...]:
    """Return the AIDs of result_json()."""
    return tuple(
        ReachedAid(aid=AID(bytes.fromhex(aid)), order=order, target=TargetState(target) if target else None, reached=reached)
        for aid, order, target, reached in result.get("aids", ())
    )


def step_results(result: ResultJson) -> tuple[StepResult, ...]:
    """Return the steps of result_json()."""
    return tuple(
        StepResult(application=application, step=step, status_words=words)
        for application, step, words in result.get("steps", ())
    )


def speed_columns(speed: Speed) -> dict[str, object]:
    """Return the columns of an attempt's times."""
    return {
        "protocol": speed.protocol,
        "bit_rate": speed.bit_rate,
        "octets": speed.octets,
        "card_time": speed.card,
        "host_time": speed.host,
        "least_time": speed.least,
    }


def speed(row: AnyRow) -> Speed | None:
    """Return the times of an attempt; None where nothing was recorded."""
    if row.protocol is None:
        return None
    return Speed(
        protocol=row.protocol,
        bit_rate=row.bit_rate,
        octets=row.octets,
        card=row.card_time,
        host=row.host_time,
        least=row.least_time,
    )


class CommonJson(TypedDict):
    """One group of what a lot says for all its cards: applications as [AID, order, profile], modules likewise."""

    identifier: str
    card_profiles: list[str] | None
    applications: list[tuple[str | None, str | None, str | None]]
    modules: list[tuple[str, str | None, str]]
    delivery: bool


def common_json(groups: Sequence[CommonGroup]) -> list[CommonJson]:
    """Return the JSON form of what a lot says for all its cards."""
    return [
        {
            "identifier": group.identifier,
            "card_profiles": None if group.card_profiles is None else [*group.card_profiles],
            "applications": [(each.aid, each.order, each.profile) for each in group.applications],
            "modules": [(each.name, each.identifier, each.profile) for each in group.modules],
            "delivery": group.delivery,
        }
        for group in groups
    ]


def common(kept: Sequence[CommonJson]) -> tuple[CommonGroup, ...]:
    """Return the groups of common_json()."""
    return tuple(
        CommonGroup(
            identifier=group["identifier"],
            card_profiles=None if group["card_profiles"] is None else tuple(map(UniqueID, group["card_profiles"])),
            applications=tuple(
                CommonApplication(aid=aid, order=order, profile=None if profile is None else UniqueID(profile))
                for aid, order, profile in group["applications"]
            ),
            modules=tuple(
                CommonModule(name, identifier, UniqueID(profile)) for name, identifier, profile in group["modules"]
            ),
            delivery=group["delivery"],
        )
        for group in kept
    )


def environment(row: AnyRow) -> Environment:
    """Return the environment of a row with a job's columns."""
    interpreter = None
    if row.interpreter_support is not None:
        interpreter = Interpreter(
            support=Preference(row.interpreter_support), type=row.interpreter_type, version=row.interpreter_version
        )
    return Environment(
        name=row.environment,
        version=row.environment_version,
        preference=Preference(row.preference),
        interpreter=interpreter,
    )


def open_lot(row: AnyRow) -> OpenLot:
    """Return what a row with a lot's and its job's columns asks of an encoder."""
    return OpenLot(
        job=JobId(row.job_id),
        lot=LotId(row.id),
        priority=row.set_priority or row.priority,
        due=row.due,
        environment=environment(row),
        stock=row.stock,
        profiles=tuple(UniqueID(profile) for profile in row.profiles),
        mode=Mode(row.mode),
        records=row.record_count,
        protocols=tuple(row.protocols),
        late=row.late_at is not None,
        article=row.first_article and row.article_at is None,
    )


def hold(row: AnyRow) -> Hold | None:
    """Return who holds the job of a row with its columns; None where nobody does."""
    return None if row.held_at is None else Hold(by=row.held_by, at=row.held_at, reason=row.held_reason)


def stop(row: AnyRow) -> Hold | None:
    """Return who or what holds the lot of a row with its columns; None where nothing does."""
    return None if row.stopped_at is None else Hold(by=row.stopped_by, at=row.stopped_at, reason=row.stopped_reason)


def line_hold(row: AnyRow) -> Hold | None:
    """Return who holds the encoder of its row; None for an open one, and for one held before that was kept."""
    return None if row.held_at is None else Hold(by=row.held_by, at=row.held_at, reason=row.reason)


def line(row: AnyRow) -> Line:
    """Return how the encoder of its row stands."""
    return Line(
        machine=machine(row),
        reason=row.reason,
        last=None if row.last_lot is None else Last(LotId(row.last_lot), row.last_stock),
        pace=timedelta(microseconds=row.pace) if row.pace else None,
        host=row.host,
        seen_at=row.seen_at,
        hold=line_hold(row),
    )


def machine(row: AnyRow) -> Machine:
    """Return the encoder of its row."""
    return Machine(
        encoder=EncoderId(row.name),
        product=row.product,
        profiles=tuple(UniqueID(profile) for profile in row.profiles),
        environment=row.environment,
        version=row.version,
        stocks=tuple(row.stocks),
        mode=Mode(row.mode),
        protocols=tuple(row.protocols),
        interpreters=tuple((kind, version) for kind, version in row.interpreters),
        state=EncoderState.LOST if row.lost_at and row.state == EncoderState.OPEN else EncoderState(row.state),
    )


def pin(row: AnyRow) -> ProfilePin:
    """Return the pin of a profile's row."""
    return ProfilePin(kind=row.kind, unique_id=UniqueID(row.unique_id), version=row.version, digest=row.digest)


def pins(connection: Connection, job: JobId) -> tuple[ProfilePin, ...]:
    """Return the profiles that *job* uses."""
    return tuple(pin(row) for row in connection.execute(_PINS, {"job": job}))
