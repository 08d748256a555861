"""What the ledger knows of a suspect card's chip, and what becomes of the record once that chip has proved it good."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from bureau.errors import NotAllowedError, NotFoundError
from bureau.ledger import accounts, auditing, claims, decisions, reaping, requests, suspects, views
from bureau.ledger.claims import Claim
from bureau.ledger.ledger import Ledger
from bureau.ledger.schema import attempts, cards
from bureau.ledger.suspects import Suspect
from bureau.models import AttemptOutcome, CardState, Cause, ReachedAid, Role, StepResult
from hardware.iso7816 import AID
from hardware.perso.order import TargetState
from tests.bureau.ledgers import (
    LATER,
    LEASE,
    NOW,
    SIM1,
    authenticate,
    job,
    lot,
    make,
    open_encoder,
    opened,
    put,
    state,
    submit,
    take,
    write,
)

REACHED = ReachedAid(aid=AID(b"\xa0\x00\x00\x00\x04"), order=1, target=TargetState.PERSONALIZED, reached=0x0F)
STEP = StepResult(application=0, step=0, status_words="9000")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with a job of two cards."""
    with opened(tmp_path / "ledger.db") as ledger:
        open_encoder(ledger, SIM1)
        submit(ledger, "A", job("J", lot(2)))
        yield ledger
        assert auditing.verify(ledger, authenticate) is None


def lost(ledger: Ledger, chip: str = "C0001") -> Claim:
    """Lose a card that is being written after its first step."""
    claim = take(ledger)
    write(ledger, claim, chip)
    claims.settle(
        ledger,
        claim,
        CardState.SUSPECT,
        AttemptOutcome.UNKNOWN,
        NOW,
        cause="STORE DATA: the card was taken out",
        code=Cause.READER,
        steps=[STEP],
    )
    return claim


def found(ledger: Ledger, claim: Claim) -> Suspect:
    """Return what is known of a card's chip."""
    with ledger.read() as connection:
        return suspects.find(connection, claim.card)


def resolved(ledger: Ledger, suspect: Suspect) -> object:
    """Let a card be good."""
    with ledger.write("zoe", LATER) as tx:
        return suspects.good(tx, suspect, [REACHED], 0x01, "desk")


def test_a_suspect_card_is_known_by_the_chip_of_its_last_attempt(ledger: Ledger) -> None:
    """One that was made again and lost again is on its second chip, whatever lies in the first."""
    first = lost(ledger)
    with ledger.write("ann", NOW) as tx:
        decisions.requeue(tx, decisions.to_requeue(tx.connection, [first.card]))
    second = lost(ledger, "C0002")
    assert second.card == first.card
    suspect = found(ledger, second)
    assert (suspect.attempt, suspect.identity_type, suspect.identity) == (second.attempt, "CPLC", "C0002")
    assert suspect.encoder == SIM1
    resolved(ledger, suspect)
    with ledger.read() as connection:
        outcomes = [each.outcome for each in views.list_attempts(connection, first.card)]
    assert outcomes == ["unknown", "good"]


def test_a_resolved_card_is_good_and_keeps_the_status_words_it_got(ledger: Ledger) -> None:
    """The states are those that were read; the audit log names who, chip and reader, and the fault that it had."""
    claim = lost(ledger)
    assert resolved(ledger, found(ledger, claim)) is None
    assert state(ledger, claim.card) is CardState.GOOD
    with ledger.read() as connection:
        row = connection.execute(select(attempts).where(attempts.c.id == claim.attempt)).one()
        entries = [each for each in auditing.entries(connection) if each.actor == "zoe"]
    assert (row.outcome, row.cause, row.cause_code, row.card_state) == ("good", None, None, 1)
    assert row.result == {"aids": [["A000000004", 1, "PERSONALIZED", 0x0F]], "steps": [[0, 0, "9000"]]}
    assert [each.action for each in entries] == ["resolve", "read back"]
    for told in ("C0001", "desk", "the card was taken out"):
        assert told in entries[1].details


def test_the_last_card_of_a_lot_closes_it(ledger: Ledger) -> None:
    """With both balances: what was unknown is a good plastic."""
    claim = lost(ledger)
    other = make(ledger, "C0002")
    assert resolved(ledger, found(ledger, claim)) == claim.batch
    with ledger.read() as connection:
        (view,) = views.list_lots(connection, other.job)
    assert view.closed_at == LATER
    assert (view.balance.good, view.balance.good_plastics, view.balance.unknown) == (2, 2, 0)


def test_a_card_whose_encoder_died_can_be_resolved(ledger: Ledger) -> None:
    """Its attempt was ended by the reaper, under another fence."""
    claim = take(ledger)
    write(ledger, claim, "C0001")
    claims.verifying(ledger, claim, NOW, LEASE)
    reaping.reap(ledger, LATER)
    resolved(ledger, found(ledger, claim))
    assert state(ledger, claim.card) is CardState.GOOD


@pytest.mark.parametrize("was", [each for each in CardState if each is not CardState.SUSPECT])
def test_only_a_suspect_card_can_be_resolved(ledger: Ledger, was: CardState) -> None:
    """Whatever state it is in instead is said."""
    claim = lost(ledger)
    put(ledger, claim.card, was)
    with pytest.raises(NotAllowedError, match=f"card {claim.card} is {was}, and only a suspect one"):
        found(ledger, claim)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"identity": "", "identity_type": "ANONYMOUS"}, "has no identity"),
        ({"destroyed": 1}, "was destroyed"),
    ],
)
def test_a_chip_that_cannot_come_back_proves_nothing(ledger: Ledger, values: dict[str, object], message: str) -> None:
    """Its card can only be scrapped or made again."""
    claim = lost(ledger)
    with ledger.write("test", NOW) as tx:
        accounts.add(tx, "ann", Role.SUPERVISOR, b"salt", b"verifier")
        requests.ask(tx, "destroy", {}, "trial", "ann", LEASE, about="trial")
        tx.connection.execute(update(attempts).values(values))
    with pytest.raises(NotAllowedError, match=message) as refused:
        found(ledger, claim)
    assert f"bureau scrap {claim.card}" in refused.value.remedy
    assert f"bureau requeue {claim.card}" in refused.value.remedy


def test_a_record_that_is_forgotten_cannot_be_compared(ledger: Ledger) -> None:
    """Nor one that never was."""
    claim = lost(ledger)
    with ledger.write("test", NOW) as tx:
        tx.connection.execute(update(cards).values(sealed=None))
    with pytest.raises(NotFoundError, match="is forgotten"):
        found(ledger, claim)


@pytest.mark.parametrize("decided", ["scrapped", "made again", "resolved"])
def test_what_somebody_else_has_decided_meanwhile_stands(ledger: Ledger, decided: str) -> None:
    """While the card was read."""
    claim = lost(ledger)
    suspect = found(ledger, claim)
    with ledger.write("bob", NOW) as tx:
        match decided:
            case "scrapped":
                decisions.scrap(tx, [claim.card], "trial")
            case "made again":
                decisions.requeue(tx, decisions.to_requeue(tx.connection, [claim.card]))
            case _:
                suspects.good(tx, suspect, [REACHED], 1, "desk")
    if decided == "made again":
        lost(ledger, "C0002")
    with pytest.raises(NotAllowedError, match=f"card {claim.card} is"):
        resolved(ledger, suspect)
