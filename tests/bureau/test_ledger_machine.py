"""Any sequence of claims, crashes, returns and results keeps the numbered rules: a state machine against a model."""

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from bureau.errors import FenceError, NotAllowedError
from bureau.ledger import auditing, claims, closing, decisions, reaping, stops, views
from bureau.ledger.claims import Claim
from bureau.models import AttemptOutcome, CardId, CardState, EncoderId, JobId, LotId
from tests.bureau.ledgers import LEASE, NOW, SIM1, SIM2, authenticate, job, lot, open_encoder, opened, submit

CHIPS = st.sampled_from(["", "AA", "BB", "CC", "DD"])


class Bureau(RuleBasedStateMachine):
    """Two encoders, six records, five chips; the model is what each claim may still do and what was told of each card."""

    hands = Bundle[Claim]("hands")

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = self.stack.enter_context(TemporaryDirectory())
        self.ledger = self.stack.enter_context(opened(Path(folder, "ledger.db"), most_rejects=50))
        open_encoder(self.ledger, SIM1, SIM2)
        self.now = NOW
        self.alive: dict[CardId, int] = {}
        self.stage: dict[CardId, CardState] = {}
        self.ends: dict[CardId, timedelta] = {}
        self.good_chips: set[str] = set()
        self.unclear_chips: set[str] = set()

    @initialize(first_article=st.booleans())
    def take_in(self, first_article: bool) -> None:
        (self.job,) = submit(self.ledger, "A", job("1", lot(4), lot(2)), first_article=first_article)
        self.unapproved = {1, 2} if first_article else set[int]()

    def teardown(self) -> None:
        self.stack.close()

    def held(self) -> set[int]:
        with self.ledger.read() as connection:
            return {each.lot for each in views.list_lots(connection, JobId(self.job)) if each.hold}

    def holds(self, claim: Claim) -> bool:
        return self.alive.get(claim.card) == claim.fence

    def drop(self, claim: Claim, state: CardState) -> None:
        del self.alive[claim.card], self.ends[claim.card]
        self.stage[claim.card] = state

    @rule(target=hands, encoder=st.sampled_from([SIM1, SIM2]))
    def claim(self, encoder: EncoderId) -> Claim | MultipleResults[Claim]:
        held = self.held()
        claim = claims.claim(self.ledger, encoder, self.now, LEASE)
        if claim is None:
            return multiple()
        assert claim.lot not in held
        assert claim.card not in self.alive
        assert self.stage.get(claim.card, CardState.READY) is CardState.READY
        self.alive[claim.card], self.stage[claim.card] = claim.fence, CardState.LEASED
        self.ends[claim.card] = self.now + LEASE - NOW
        return claim

    @rule(claim=hands, chip=CHIPS)
    def begin(self, claim: Claim, chip: str) -> None:
        can = self.holds(claim) and self.stage[claim.card] is CardState.LEASED and NOW + self.ends[claim.card] > self.now
        try:
            claims.begin_writing(self.ledger, claim, "CPLC", chip, None, self.now, LEASE)
        except FenceError:
            assert not can
        except NotAllowedError:
            assert chip or self.stage[claim.card] is not CardState.LEASED
        else:
            assert can
            assert chip not in self.good_chips | self.unclear_chips
            self.stage[claim.card], self.ends[claim.card] = CardState.WRITING, self.now + LEASE - NOW

    @rule(claim=hands)
    def verify(self, claim: Claim) -> None:
        can = self.holds(claim) and self.stage[claim.card] is CardState.WRITING
        try:
            claims.verifying(self.ledger, claim, self.now, LEASE)
        except (FenceError, NotAllowedError):
            assert not can
        else:
            assert can
            self.stage[claim.card], self.ends[claim.card] = CardState.VERIFYING, self.now + LEASE - NOW

    @rule(claim=hands, mute=st.booleans())
    def give_back(self, claim: Claim, mute: bool) -> None:
        can = self.holds(claim) and self.stage[claim.card] is CardState.LEASED
        outcome = AttemptOutcome.MUTE if mute else AttemptOutcome.RETURNED
        try:
            claims.give_back(self.ledger, claim, "trial", None, self.now, outcome=outcome)
        except (FenceError, NotAllowedError):
            assert not can
        else:
            assert can
            self.drop(claim, CardState.READY)

    @rule(claim=consumes(hands), end=st.sampled_from([CardState.GOOD, CardState.REJECTED, CardState.SUSPECT]))
    def settle(self, claim: Claim, end: CardState) -> None:
        stage = self.stage[claim.card]
        written = stage is CardState.VERIFYING or (stage is CardState.WRITING and end is not CardState.GOOD)
        can = self.holds(claim) and written
        pairs = {CardState.GOOD: AttemptOutcome.GOOD, CardState.REJECTED: AttemptOutcome.SPOILED}
        try:
            claims.settle(self.ledger, claim, end, pairs.get(end, AttemptOutcome.UNKNOWN), self.now)
        except (FenceError, NotAllowedError):
            assert not can
            return
        assert can
        self.drop(claim, end)
        with self.ledger.read() as connection:
            chip = views.list_attempts(connection, claim.card)[-1].identity
        if chip and end is not CardState.REJECTED:
            (self.good_chips if end is CardState.GOOD else self.unclear_chips).add(chip)

    @rule(
        card=st.integers(1, 6).map(CardId), what=st.sampled_from([CardState.READY, CardState.SCRAPPED, CardState.WITHDRAWN])
    )
    def decide(self, card: CardId, what: CardState) -> None:
        stage = self.stage.get(card, CardState.READY)
        fit = {CardState.READY} if what is CardState.WITHDRAWN else {CardState.REJECTED, CardState.SUSPECT}
        try:
            with self.ledger.write("supervisor", self.now) as tx:
                if what is CardState.READY:
                    decisions.requeue(tx, decisions.to_requeue(tx.connection, [card]))
                elif what is CardState.WITHDRAWN:
                    decisions.withdraw(tx, decisions.to_withdraw(tx.connection, [card], []))
                else:
                    decisions.scrap(tx, [card], "trial")
        except NotAllowedError:
            assert stage not in fit
            return
        assert stage in fit or (stage, what) == (CardState.READY, CardState.READY)  # held, for it came back three times
        self.stage[card] = what

    @rule(number=st.sampled_from([1, 2]))
    def release_lot(self, number: int) -> None:
        good = [card for card, stage in self.stage.items() if stage is CardState.GOOD and (card > 4) == (number == 2)]
        can = number in self.held()
        try:
            released = stops.release(self.ledger, LotId(number), "supervisor", self.now)
        except NotAllowedError:
            assert not can
            return
        assert can
        assert released.article == (min(good) if good and number in self.unapproved else None)
        self.unapproved -= {number} if good else set()

    @rule(seconds=st.sampled_from([1, 30, 59, 60, 120]))
    def wait_and_reap(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        dead = {card for card, end in self.ends.items() if NOW + end <= self.now}
        reaped = reaping.reap(self.ledger, self.now)
        assert {each.card for each in reaped} == dead
        for each in reaped:
            unwritten = self.stage[each.card] is CardState.LEASED
            assert each.now is (CardState.READY if unwritten else CardState.SUSPECT)
            del self.alive[each.card], self.ends[each.card]
            self.stage[each.card] = each.now

    @invariant()
    def the_ledger_agrees_with_the_model(self) -> None:
        with self.ledger.read() as connection:
            shown = views.list_cards(connection, JobId(self.job))
            attempts = [one for card in shown for one in views.list_attempts(connection, card.card)]
            balances = [closing.balance(connection, LotId(number)) for number in (1, 2)]
        for card in shown:
            assert card.state is self.stage.get(card.card, CardState.READY)
        assert sum(one.outcome is AttemptOutcome.OPEN for one in attempts) == len(self.alive)
        good = [one.identity for one in attempts if one.outcome is AttemptOutcome.GOOD and one.identity]
        assert len(good) == len(set(good))
        assert [each.records_in for each in balances] == [4, 2]
        for each in balances:
            assert each.records_in == each.good + each.scrapped + each.withdrawn + each.open
            assert each.good == each.good_plastics

    @invariant()
    def a_lot_without_an_approved_first_article_has_one_good_card_at_most(self) -> None:
        for number in self.unapproved:
            under_way = {CardState.LEASED, CardState.WRITING, CardState.VERIFYING, CardState.GOOD}
            cards = [stage for card, stage in self.stage.items() if (card > 4) == (number == 2) and stage in under_way]
            assert len(cards) <= 1

    @invariant()
    def the_audit_log_holds(self) -> None:
        assert auditing.verify(self.ledger, authenticate) is None


@pytest.mark.databases
def test_any_history_keeps_the_rules(database: str) -> None:
    """Thirty histories of thirty steps each; ten on a server, which takes longer."""
    run_state_machine_as_test(
        Bureau,
        settings=settings(
            max_examples=30 if database == "sqlite" else 10,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
