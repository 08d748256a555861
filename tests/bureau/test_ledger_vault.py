"""Plastic in the book: received, loaded, drawn by lots, put back, unloaded."""

from dataclasses import replace
from datetime import UTC, timedelta

import pytest
from sqlalchemy import select

from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger import claims, encoders, floor, reaping, standing, vault, views
from bureau.ledger.ledger import Ledger
from bureau.ledger.schema import audit
from bureau.models import AttemptOutcome, CardState, EncoderId, JobId
from tests.bureau.ledgers import (
    LATER,
    LEASE,
    NOW,
    SIM1,
    SIM2,
    finish,
    job,
    lot,
    machine,
    make,
    mute,
    open_encoder,
    submit,
    take,
    write,
)

PLASTIC = "PLASTIC"


def _received(ledger: Ledger, count: int, stock: str = PLASTIC) -> None:
    vault.receive(ledger, stock, count, "ann", NOW)


def _load(ledger: Ledger, count: int, encoder: EncoderId = SIM1, stock: str = PLASTIC) -> None:
    vault.load(ledger, encoder, stock, count, "ann", NOW)


def _unload(ledger: Ledger, count: int | None = None, encoder: EncoderId = SIM1) -> int:
    return vault.unload(ledger, encoder, PLASTIC, count, "bob", NOW)


def _book(ledger: Ledger) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    """Return came, went, drawn and left of each place and stock; the book must balance in each."""
    with ledger.read() as connection:
        found = vault.holdings(connection)
    assert all(each.came == each.went + each.drawn + each.left for each in found)
    return {(each.encoder or "vault", each.stock): (each.came, each.went, each.drawn, each.left) for each in found}


def _claim(ledger: Ledger) -> claims.Claim | None:
    return claims.claim(ledger, SIM1, NOW, LEASE)


def test_plastic_goes_from_the_vault_onto_an_encoder_into_lots_and_back(ledger: Ledger) -> None:
    """Twenty came, twelve were loaded, one was drawn for a good card; the other eleven are returned to the vault."""
    open_encoder(ledger, SIM1)
    (number,) = submit(ledger, "A", job("1", lot(5)))
    _received(ledger, 15)
    _received(ledger, 5)
    _load(ledger, 10)
    _load(ledger, 2)
    make(ledger, "AA")
    assert _book(ledger) == {("vault", PLASTIC): (20, 12, 0, 8), (SIM1, PLASTIC): (12, 0, 1, 11)}
    assert _unload(ledger) == 11
    assert _book(ledger) == {("vault", PLASTIC): (31, 12, 0, 19), (SIM1, PLASTIC): (12, 11, 1, 0)}
    with ledger.read() as connection:
        (shown,) = views.list_lots(connection, number)
    assert (shown.stock, shown.balance.drawn, shown.balance.good_plastics) == (PLASTIC, 1, 1)


def test_every_move_is_audited(ledger: Ledger) -> None:
    """Who, what, how many, and where."""
    open_encoder(ledger, SIM1)
    _received(ledger, 9)
    _load(ledger, 4)
    _unload(ledger, 1)
    with ledger.read() as connection:
        wanted = select(audit.c.actor, audit.c.action, audit.c.details).where(audit.c.subject == "stock PLASTIC")
        told = [tuple(row) for row in connection.execute(wanted.order_by(audit.c.number))]
    assert told == [
        ("ann", "receive stock", '{"count":9}'),
        ("ann", "load stock", '{"count":4,"encoder":"sim1"}'),
        ("bob", "unload stock", '{"count":1,"encoder":"sim1"}'),
    ]


def test_an_encoder_that_nothing_was_loaded_on_is_not_in_the_book(ledger: Ledger) -> None:
    """Its hopper alone says what there is; what it draws is booked nowhere."""
    open_encoder(ledger, SIM1, SIM2)
    submit(ledger, "A", job("1", lot(3)))
    _received(ledger, 5)
    _load(ledger, 2, SIM2)
    make(ledger, "AA")
    claims.give_back(ledger, take(ledger), "wrong card", 2, NOW)
    assert _book(ledger) == {("vault", PLASTIC): (5, 2, 0, 3), (SIM2, PLASTIC): (2, 0, 0, 2)}


def test_a_stock_that_is_used_up_by_the_book_is_given_no_card(ledger: Ledger) -> None:
    """Until more is loaded, whatever lies in the hopper; the job says why it waits."""
    open_encoder(ledger, SIM1)
    (number,) = submit(ledger, "A", job("1", lot(3)))
    _received(ledger, 5)
    _load(ledger, 1)
    make(ledger, "AA")
    assert _claim(ledger) is None
    with ledger.read() as connection:
        assert views.list_jobs(connection, [number])[0].waits == ("stock PLASTIC not loaded anywhere",)
        (only,) = standing.explain(connection, number, NOW, UTC)
        assert floor.open_work(connection) == {}
    assert only.why.encoders[SIM1] == "has no blank of PLASTIC left: `bureau stock load sim1 PLASTIC COUNT`"
    _load(ledger, 1)
    assert _claim(ledger) is not None
    assert _claim(ledger) is None


def test_other_stocks_of_the_encoder_go_on(ledger: Ledger) -> None:
    """Only what is in the book is kept in it."""
    encoders.start(ledger, replace(machine(SIM1), stocks=(PLASTIC, "GOLD")), NOW)
    encoders.open_line(ledger, SIM1, "operator", NOW)
    submit(ledger, "A", job("1", lot(2), priority=1), job("2", lot(1, stock="GOLD")))
    _received(ledger, 1)
    _load(ledger, 1)
    assert [take(ledger).stock for _ in range(2)] == [PLASTIC, "GOLD"]


def test_a_blank_that_comes_back_untouched_is_left_on_its_encoder(ledger: Ledger) -> None:
    """Given back, never drawn, or returned by a lease that ended; a mute, spoiled or unknown one is gone."""
    open_encoder(ledger, SIM1)
    submit(ledger, "A", job("1", lot(9)))
    _received(ledger, 9)
    _load(ledger, 9)

    def left() -> int:
        return _book(ledger)[SIM1, PLASTIC][3]

    claims.give_back(ledger, take(ledger), "wrong card", 1, NOW)
    assert left() == 9
    claims.unclaim(ledger, take(ledger), NOW)
    assert left() == 9
    claims.abandon(ledger, take(ledger), "software", 2, NOW)
    assert left() == 9
    take(ledger)
    assert left() == 8
    reaping.reap(ledger, LATER)
    assert left() == 9
    mute(ledger, take(ledger), 3)
    assert left() == 8
    for chip, state, outcome in (
        ("AA", CardState.REJECTED, AttemptOutcome.SPOILED),
        ("AB", CardState.SUSPECT, AttemptOutcome.UNKNOWN),
    ):
        claim = take(ledger)
        write(ledger, claim, chip)
        finish(ledger, claim, state, outcome)
    assert left() == 6


def test_a_blank_drawn_before_the_first_load_does_not_come_back_into_the_book(ledger: Ledger) -> None:
    """It never was in it."""
    open_encoder(ledger, SIM1)
    submit(ledger, "A", job("1", lot(2)))
    claim = take(ledger)
    _received(ledger, 3)
    _load(ledger, 3)
    claims.give_back(ledger, claim, "wrong card", 1, NOW)
    assert _book(ledger)[SIM1, PLASTIC] == (3, 0, 0, 3)


def test_a_blank_that_comes_back_after_everything_was_unloaded_is_left(ledger: Ledger) -> None:
    """A card in hand isn't in the hopper when that is emptied."""
    open_encoder(ledger, SIM1)
    submit(ledger, "A", job("1", lot(2)))
    _received(ledger, 3)
    _load(ledger, 3)
    claim = take(ledger)
    assert _unload(ledger) == 2
    claims.give_back(ledger, claim, "wrong card", 1, NOW + timedelta(seconds=1))
    assert _unload(ledger) == 1


@pytest.mark.parametrize("count", [0, -1])
def test_nothing_and_less_is_not_moved(ledger: Ledger, count: int) -> None:
    """In none of the three ways."""
    open_encoder(ledger, SIM1)
    _received(ledger, 3)
    _load(ledger, 2)
    for move in (_received, _load, _unload):
        with pytest.raises(NotAllowedError, match="no plastic that could be moved"):
            move(ledger, count)
    with pytest.raises(NotAllowedError, match="no plastic that could be moved"):
        _received(ledger, 1, " ")


def test_more_than_there_is_is_not_moved(ledger: Ledger) -> None:
    """Nor what the encoder has no hopper for, nor on an encoder that nobody knows."""
    open_encoder(ledger, SIM1)
    _received(ledger, 3)
    _received(ledger, 3, "GOLD")
    with pytest.raises(NotAllowedError, match="the vault has 3 of PLASTIC, not 4"):
        _load(ledger, 4)
    with pytest.raises(NotAllowedError, match="sim1 holds PLASTIC, not GOLD"):
        _load(ledger, 1, stock="GOLD")
    with pytest.raises(NotAllowedError, match="sim1 has 0 of PLASTIC by the book"):
        _unload(ledger)
    _load(ledger, 2)
    with pytest.raises(NotAllowedError, match="sim1 has 2 of PLASTIC by the book"):
        _unload(ledger, 3)
    for unknown in (lambda: _load(ledger, 1, SIM2), lambda: _unload(ledger, 1, SIM2)):
        with pytest.raises(NotFoundError):
            unknown()
    assert _book(ledger) == {
        ("vault", "GOLD"): (3, 0, 0, 3),
        ("vault", PLASTIC): (3, 2, 0, 1),
        (SIM1, PLASTIC): (2, 0, 0, 2),
    }


def test_an_encoder_shows_how_many_blanks_it_has_left(ledger: Ledger) -> None:
    """Of the stocks in the book."""
    open_encoder(ledger, SIM1, SIM2)
    submit(ledger, "A", job("1", lot(2)))
    _received(ledger, 3)
    _load(ledger, 3)
    take(ledger)
    with ledger.read() as connection:
        assert [dict(view.left) for view in floor.list_encoders(connection)] == [{PLASTIC: 2}, {}]
        assert views.list_jobs(connection, [JobId(1)])[0].waits == ()
