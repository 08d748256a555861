"""What listings show, and what an audit trail is written from."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger import auditing, claims, closing, encoders, floor, profiles, results, submissions, views
from bureau.ledger.ledger import Ledger
from bureau.models import (
    AttemptOutcome,
    BatchId,
    CardState,
    CommonApplication,
    CommonGroup,
    CommonModule,
    EncoderId,
    EncoderState,
    Envelope,
    Form,
    Interpreter,
    JobId,
    JobState,
    Pool,
    Preference,
    ReachedAid,
    StepResult,
)
from bureau.scheduling import pool
from hardware.iso7816 import AID
from hardware.perso.order import TargetState, UniqueID
from tests.bureau.ledgers import (
    LEASE,
    NOW,
    PROFILE,
    SIM1,
    SIM2,
    SIM3,
    batch,
    begin,
    finish,
    job,
    lot,
    machine,
    make,
    mute,
    open_encoder,
    pin,
    records,
    submit,
    submitted,
    take,
    write,
)


def _jobs(ledger: Ledger) -> list[views.JobView]:
    with ledger.read() as connection:
        return views.list_jobs(connection)


def _find(ledger: Ledger, named: str) -> tuple[JobId, ...]:
    with ledger.read() as connection:
        return views.find_jobs(connection, named)


def test_a_job_shows_what_its_issuer_said_and_the_log_doesnt(ledger: Ledger) -> None:
    """User data, and criteria in their order; nobody knows what an issuer writes there, so the audit log keeps quiet."""
    said = (("COST", "4711"), ("", "zum Mittag, bitte: \N{ALARM CLOCK}"))
    whole = replace(batch("A", job("1", lot(1))), user_data="PO-4711", context=said)
    incoming = begin(ledger, whole)
    submissions.add_cards(ledger, incoming, records(whole), NOW)
    submissions.finish(ledger, incoming, NOW)
    (shown,) = _jobs(ledger)
    assert (shown.user_data, shown.context) == ("PO-4711", said)
    with ledger.read() as connection:
        assert results.frame(connection, BatchId(1)).batch == whole
        assert "4711" not in str(list(auditing.entries(connection)))


def test_a_job_shows_where_its_cards_stand(ledger: Ledger) -> None:
    """Counts of every state, the earliest due date, and nothing to wait for."""
    open_encoder(ledger, SIM1)
    soon, late = NOW + timedelta(days=1), NOW + timedelta(days=2)
    submit(ledger, "A", job("URGENT", lot(1, due=late), lot(3, due=soon), priority=1))
    make(ledger, "AA")
    write(ledger, take(ledger), "AB")
    (shown,) = _jobs(ledger)
    assert (shown.number, shown.batch_id, shown.job_id, shown.issuer) == (1, "A", "URGENT", "BANK")
    assert (shown.form, shown.file, shown.state, shown.priority) == (Form.BATCH, "A.xml", JobState.RELEASED, 1)
    assert (shown.due, shown.records, shown.waits) == (soon, 4, ())
    assert {state: count for state, count in shown.counts.items() if count} == {
        CardState.GOOD: 1,
        CardState.WRITING: 1,
        CardState.READY: 2,
    }
    assert set(shown.counts) == set(CardState)


def test_a_job_says_why_it_waits(ledger: Ledger) -> None:
    """Each reason once, whatever the number of lots."""
    submit(ledger, "A", job("1", lot(1), lot(1)), job("2", lot(1, stock="GOLD"), lot(1)))
    assert [each.waits for each in _jobs(ledger)] == [("there is no encoder",)] * 2
    encoders.start(ledger, machine(), NOW)
    held = "all encoders that fit are held: sim1"
    assert [each.waits for each in _jobs(ledger)] == [(held,), ("stock GOLD not loaded anywhere", held)]
    encoders.open_line(ledger, SIM1, "operator", NOW)
    assert [each.waits for each in _jobs(ledger)] == [(), ("stock GOLD not loaded anywhere",)]


def test_a_job_that_needs_an_interpreter_says_so_before_its_release(ledger: Ledger) -> None:
    """As soon as it was submitted."""
    plain = job("1", lot(1))
    interpreter = Interpreter(support=Preference.MANDATORY, type="GP Scripting", version="1,1")
    submit(ledger, "A", replace(plain, environment=replace(plain.environment, interpreter=interpreter)), release=False)
    (shown,) = _jobs(ledger)
    assert shown.environment.interpreter == interpreter
    assert shown.waits == ("waits for an interpreter: GP Scripting 1,1",)


def test_remarks_say_what_wont_be_done(ledger: Ledger) -> None:
    """Embossing, for one."""
    whole = batch("A", job("1", lot(1)))
    request = submitted(whole, pin(ledger))
    request = replace(request, jobs=(replace(request.jobs[0], remarks=("EMBOSSING isn't done here",)),))
    incoming = submissions.begin(ledger, "a.xml", "00", [request], "ann", NOW)
    submissions.add_cards(ledger, incoming, records(whole), NOW)
    submissions.finish(ledger, incoming, NOW)
    assert _jobs(ledger)[0].remarks == ("EMBOSSING isn't done here",)


def test_a_job_is_found_by_number_names_or_container(ledger: Ledger) -> None:
    """The engine's number, BatchID/JobID, BatchID; an ApplicationDataNotification's own BatchID."""
    first, second = submit(ledger, "A", job("1", lot(1)), job("2", lot(1)))
    whole = batch("W", job("N", lot(2)))
    incoming = begin(ledger, whole)
    rows = [replace(row, container=f"PM/{row.position}") for row in records(whole)]
    submissions.add_cards(ledger, incoming, rows, NOW)
    (third,) = submissions.finish(ledger, incoming, NOW)
    assert _find(ledger, str(second)) == (second,)
    assert _find(ledger, "A/2") == (second,)
    assert _find(ledger, "A") == (first, second)
    assert _find(ledger, "PM/1") == (third,)
    for unknown in ("99", "A/3", "a", "", "9" * 40, "\N{SUPERSCRIPT TWO}"):
        with pytest.raises(NotFoundError):
            _find(ledger, unknown)


def test_one_job_and_its_lots_with_both_balances(ledger: Ledger) -> None:
    """In their order in the file."""
    open_encoder(ledger, SIM1)
    (number,) = submit(ledger, "A", job("1", lot(1), lot(2, stock="GOLD")))
    make(ledger, "AA")
    with ledger.read() as connection:
        assert [each.number for each in views.list_jobs(connection, [number, JobId(9)])] == [number]
        lots = views.list_lots(connection, number)
    assert [(each.stock, each.closed_at, each.balance.open) for each in lots] == [("PLASTIC", NOW, 0), ("GOLD", None, 2)]
    assert lots[0].balance.records_balance
    assert not lots[1].balance.records_balance


def test_the_cards_of_a_job_are_listed_in_pages(ledger: Ledger) -> None:
    """In file order, with who holds them and how much plastic they took."""
    open_encoder(ledger, SIM1)
    (number,) = submit(ledger, "A", job("1", lot(3)))
    claims.give_back(ledger, take(ledger), "ATR", 1, NOW)
    take(ledger)
    with ledger.read() as connection:
        shown = views.list_cards(connection, number)
        rest = views.list_cards(connection, number, after=0, limit=1)
    assert [(each.crn, each.state, each.encoder, each.attempts, each.returns, each.held) for each in shown] == [
        ("410000", CardState.LEASED, SIM1, 2, 1, None),
        ("410001", CardState.READY, None, 0, 0, None),
        ("410002", CardState.READY, None, 0, 0, None),
    ]
    assert [each.position for each in rest] == [1]


def test_a_job_knows_when_its_good_cards_were_made(ledger: Ledger) -> None:
    """From the first claim to the last good card, whoever made them; what went wrong, or was another job's, is no part."""
    (number, other) = submit(ledger, "A", job("1", lot(4)), job("2", lot(1), priority=3))
    open_encoder(ledger, SIM1, SIM2)
    at = [NOW + timedelta(seconds=second) for second in range(8)]

    def made(encoder: EncoderId, chip: str, claimed: int, ended: int, *, good: bool = True) -> None:
        claim = take(ledger, encoder, at[claimed])
        write(ledger, claim, chip)
        claims.verifying(ledger, claim, at[ended], LEASE)
        ends = (CardState.GOOD, AttemptOutcome.GOOD) if good else (CardState.SUSPECT, AttemptOutcome.UNKNOWN)
        claims.settle(ledger, claim, *ends, at[ended], cause=None if good else "trial")

    with ledger.read() as connection:
        assert views.span(connection, number) is None
    made(SIM1, "AA", 0, 1, good=False)
    made(SIM1, "AB", 1, 2)
    made(SIM1, "AC", 2, 6)
    made(SIM2, "AD", 4, 5)
    made(SIM2, "AE", 6, 7)
    with ledger.read() as connection:
        span, rest = views.span(connection, number), views.span(connection, other)
    assert span == views.Span(good=3, first_claim=at[1], all_at_work=at[4], last_claim=at[4], last_good=at[6])
    assert rest == views.Span(good=1, first_claim=at[6], all_at_work=at[6], last_claim=at[6], last_good=at[7])


def test_encoders_show_their_line_and_what_they_hold(ledger: Ledger) -> None:
    """With the reason why they are held."""
    submit(ledger, "A", job("1", lot(1)))
    open_encoder(ledger, SIM1, SIM2)
    take(ledger)
    encoders.hold(ledger, SIM2, "lunch", "operator", NOW)
    encoders.seen(ledger, [SIM1], "", NOW + timedelta(minutes=1))
    with ledger.read() as connection:
        first, second = floor.list_encoders(connection)
    assert (first.machine, first.reason, first.in_hand) == (
        replace(machine(SIM1), state=EncoderState.OPEN),
        None,
        ("410000",),
    )
    assert (first.started_at, first.seen_at) == (NOW, NOW + timedelta(minutes=1))
    assert (second.machine.state, second.reason, second.in_hand) == (EncoderState.HELD, "lunch", ())


def test_a_started_encoder_is_held_until_someone_opens_it(ledger: Ledger) -> None:
    """Also one that was open before, set up differently now, with its strikes forgotten."""
    open_encoder(ledger, SIM1)
    encoders.strike(ledger, SIM1, "key", NOW)
    encoders.start(ledger, replace(machine(SIM1, stock="GOLD"), state=EncoderState.OPEN), NOW + LEASE)
    with ledger.read() as connection:
        (shown,) = floor.list_encoders(connection)
    assert (shown.machine.state, shown.reason, shown.strikes) == (EncoderState.HELD, "started", 0)
    assert (shown.machine.stocks, shown.started_at) == (("GOLD",), NOW + LEASE)


def test_three_strikes_hold_an_encoder_and_opening_forgets_them(ledger: Ledger) -> None:
    """The reason says what went wrong."""
    open_encoder(ledger, SIM1)
    for _ in range(3):
        encoders.strike(ledger, SIM1, "key", NOW)
    with ledger.read() as connection:
        assert floor.list_encoders(connection)[0].reason == "3 cards in a row: key"
    encoders.open_line(ledger, SIM1, "operator", NOW)
    with ledger.read() as connection:
        shown = floor.list_encoders(connection)[0]
    assert (shown.machine.state, shown.reason, shown.strikes) == (EncoderState.OPEN, None, 0)


def test_an_encoder_that_never_started_is_unknown(ledger: Ledger) -> None:
    """To whoever asks."""
    with pytest.raises(NotFoundError):
        encoders.open_line(ledger, SIM1, "operator", NOW)
    with pytest.raises(NotFoundError):
        encoders.hold(ledger, SIM1, "x", "operator", NOW)
    with pytest.raises(NotFoundError):
        encoders.strike(ledger, SIM1, "x", NOW)


def test_pools_that_have_work_know_their_open_encoders(ledger: Ledger) -> None:
    """From the ledger alone, so that lost messages can be repeated."""
    gold = machine(SIM2, stock="GOLD")
    encoders.start(ledger, machine(SIM1), NOW)
    encoders.start(ledger, gold, NOW)
    submit(ledger, "A", job("1", lot(1)))

    def work() -> dict[Pool, int]:
        with ledger.read() as connection:
            return floor.open_work(connection)

    assert work() == {}
    for name in (SIM1, SIM2):
        encoders.open_line(ledger, name, "operator", NOW)
    assert work() == {pool(machine(SIM1)): 1}
    open_encoder(ledger, SIM3)
    assert work() == {pool(machine(SIM1)): 2}
    take(ledger)
    assert work() == {}


def test_an_encoder_shows_which_pools_it_listens_to(ledger: Ledger) -> None:
    """Until its worker starts anew."""
    open_encoder(ledger, SIM1)
    encoders.listens(ledger, SIM1, [Pool("pool.a"), Pool("pool.b")], NOW)
    with ledger.read() as connection:
        assert floor.list_encoders(connection)[0].listening == ("pool.a", "pool.b")
        assert encoders.is_open(connection, SIM1)
    encoders.start(ledger, machine(SIM1), NOW)
    with ledger.read() as connection:
        assert floor.list_encoders(connection)[0].listening == ()
        assert not encoders.is_open(connection, SIM1)


def test_what_became_of_a_piece_of_plastic_is_known_by_its_number(ledger: Ledger) -> None:
    """So that a machine that starts anew knows what it holds; an untouched one is as good as unknown."""
    open_encoder(ledger, SIM1)
    submit(ledger, "A", job("1", lot(3)))
    make(ledger, "AA")
    claims.give_back(ledger, take(ledger), "ATR", 2, NOW)
    write(ledger, take(ledger), "AB", position=3)
    with ledger.read() as connection:
        told = [encoders.plastic(connection, SIM1, number) for number in range(1, 5)]
        assert encoders.plastic(connection, SIM2, 1) is None
    assert told == [AttemptOutcome.GOOD, None, AttemptOutcome.OPEN, None]


def test_a_batch_knows_whether_all_its_records_are_good(ledger: Ledger) -> None:
    """And the office whom to forget."""
    open_encoder(ledger, SIM1)
    submit(ledger, "A", job("1", lot(1), lot(1)))
    make(ledger, "AA")
    with ledger.read() as connection:
        assert not results.all_in(connection, BatchId(1), CardState.GOOD)
        assert closing.due_for_purge(connection, NOW) == []
    make(ledger, "AB")
    closing.reported(ledger, BatchId(1), "office", NOW)
    with ledger.read() as connection:
        assert results.all_in(connection, BatchId(1), CardState.GOOD)
        assert closing.due_for_purge(connection, NOW - timedelta(seconds=1)) == []
        assert closing.due_for_purge(connection, NOW) == [1]


def test_a_batchs_frame_comes_back_as_it_was_submitted(ledger: Ledger) -> None:
    """Every value of every level, so that the trail can mirror the request."""
    interpreter = Interpreter(support=Preference.ANY, type="GP Scripting", version="1,1")
    envelope = Envelope(transaction_id="T1", source="2B06", destination="2B07", message_version="2.0.1")
    application = CommonApplication(aid="A000000001", order="1", profile=None)
    common = (
        CommonGroup(
            identifier="EMV",
            card_profiles=(UniqueID("0A"),),
            applications=(application, CommonApplication(aid=None, order=None, profile=UniqueID("0B"))),
            modules=(CommonModule("EMBOSS", None, UniqueID("0C")),),
            delivery=True,
        ),
        CommonGroup(identifier="", card_profiles=None, applications=(), modules=(), delivery=False),
    )
    first = job(
        "1",
        replace(lot(1, due=NOW + timedelta(days=1)), common=common),
        replace(lot(1), required_date="20260310", profiles=()),
    )
    second = job("2", lot(1), priority=1, preference=Preference.MANDATORY)
    second = replace(second, environment_index=1, risk=1, environment=replace(second.environment, interpreter=interpreter))
    whole = replace(batch("A", first, second), envelope=envelope, user_data="for you", form=Form.NOTIFICATION)
    incoming = begin(ledger, whole)
    with ledger.read() as connection, pytest.raises(NotFoundError):
        results.frame(connection, BatchId(1))
    submissions.add_cards(ledger, incoming, records(whole), NOW)
    numbers = submissions.finish(ledger, incoming, NOW)
    with ledger.read() as connection:
        frame = results.frame(connection, BatchId(1))
        with pytest.raises(NotFoundError):
            results.frame(connection, BatchId(2))
    assert frame.batch == whole
    assert [each.number for each in frame.jobs] == list(numbers)
    assert frame.jobs[0].wrapped_data_key == b"<wrapped key>" * 4
    assert "wrapped key" not in repr(frame)


def test_results_stream_in_file_order_with_all_plastic_consumed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Good, spoiled, unknown and mute, the oldest first; a blank that went back untouched isn't the issuer's."""
    monkeypatch.setattr(results, "PAGE", 2)
    open_encoder(ledger, SIM1)
    submit(ledger, "A", job("1", lot(2), lot(1)), job("2", lot(2), priority=1))
    mute(ledger, take(ledger), 1)
    claims.give_back(ledger, take(ledger), "ATR", 2, NOW)
    claim = take(ledger)
    write(ledger, claim, "AA")
    claims.verifying(ledger, claim, NOW, LEASE)
    aids = (
        ReachedAid(aid=AID(bytes.fromhex("A000000003")), order=1, target=TargetState.PERSONALIZED, reached=0x0F),
        ReachedAid(aid=AID(bytes.fromhex("A000000004")), order=2, target=None, reached=None),
    )
    steps = (StepResult(application=0, step=1, status_words="9000"),)
    claims.settle(ledger, claim, CardState.GOOD, AttemptOutcome.GOOD, NOW, aids=aids, steps=steps, card_state=0x0F)
    claim = take(ledger)
    write(ledger, claim, "AB")
    finish(ledger, claim, CardState.SUSPECT, AttemptOutcome.UNKNOWN)
    write(ledger, take(ledger), "AC")
    take(ledger)
    rows = list(results.stream(ledger, BatchId(1)))
    assert [(each.job, each.lot, each.position, each.crn) for each in rows] == [
        (0, 0, 0, "410000"),
        (0, 0, 1, "410001"),
        (0, 1, 2, "410002"),
        (1, 0, 3, "410003"),
        (1, 0, 4, "410004"),
    ]
    assert [[plastic.outcome for plastic in each.plastics] for each in rows] == [
        [AttemptOutcome.OPEN],
        [],
        [],
        [AttemptOutcome.MUTE, AttemptOutcome.GOOD],
        [AttemptOutcome.UNKNOWN],
    ]
    assert rows[3].sealed == b"<sealed A 3>" * 20
    assert "sealed" not in repr(rows[3])
    good = rows[3].plastics[1]
    assert (good.identifier_type, good.identifier, good.card_state, good.aids, good.steps) == (
        "CPLC",
        "AA",
        0x0F,
        aids,
        steps,
    )
    assert (good.encoder, good.ended, good.cause) == (SIM1, NOW, None)


def test_an_abandoned_stream_lets_go_of_the_ledger(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that stops halfway doesn't keep the write-ahead log from being emptied."""
    monkeypatch.setattr(results, "PAGE", 1)
    submit(ledger, "A", job("1", lot(3)))
    stream = results.stream(ledger, BatchId(1))
    next(stream)
    assert not ledger.checkpoint()
    del stream
    assert ledger.checkpoint()


def test_a_profile_version_never_changes(ledger: Ledger) -> None:
    """The same again is nothing new; other content, or code, needs a new version."""
    one = profiles.add(ledger, "LoadFileProfile", PROFILE, "1.0.0", b"<x/>", "ann", NOW, code=b"CAP")
    assert profiles.add(ledger, "LoadFileProfile", PROFILE, "1.0.0", b"<x/>", "bob", NOW, code=b"CAP") == one
    for xml, code in ((b"<y/>", b"CAP"), (b"<x/>", b"CAP2"), (b"<x/>", None)):
        with pytest.raises(NotAllowedError, match="other content"):
            profiles.add(ledger, "LoadFileProfile", PROFILE, "1.0.0", xml, "ann", NOW, code=code)
    two = profiles.add(ledger, "LoadFileProfile", PROFILE, "1.1.0", b"<y/>", "bob", NOW)
    profiles.add(ledger, "CardProfile", PROFILE, "1.0.0", b"<x/>", "ann", NOW, code=b"CAP")
    assert [(each.pin.kind, each.pin.version, each.added_by, each.has_code) for each in profiles.registered(ledger)] == [
        ("LoadFileProfile", "1.0.0", "ann", True),
        ("LoadFileProfile", "1.1.0", "bob", False),
        ("CardProfile", "1.0.0", "ann", True),
    ]
    loaded = profiles.load(ledger, one)
    assert (loaded.pin, loaded.xml, loaded.code) == (one, b"<x/>", b"CAP")
    assert profiles.load(ledger, two).code is None
    with pytest.raises(NotFoundError):
        profiles.load(ledger, replace(one, digest="00" * 32))


def test_a_job_keeps_the_profiles_that_it_was_submitted_with(ledger: Ledger) -> None:
    """A newer version changes nothing for it."""
    open_encoder(ledger, SIM1)
    submit(ledger, "A", job("1", lot(1)))
    profiles.add(ledger, "CardProfile", UniqueID(PROFILE), "2.0.0", b"<new/>", "ann", NOW)
    assert [each.version for each in take(ledger).profiles] == ["1.0.0"]


def test_a_purged_job_is_still_listed(ledger: Ledger) -> None:
    """What became of it is no secret."""
    open_encoder(ledger, SIM1)
    (number,) = submit(ledger, "A", job("1", lot(1)))
    make(ledger, "AA")
    closing.reported(ledger, BatchId(1), "office", NOW)
    closing.purge(ledger, number, "office", NOW)
    (shown,) = _jobs(ledger)
    assert (shown.state, shown.counts[CardState.GOOD], shown.waits) == (JobState.PURGED, 1, ())
