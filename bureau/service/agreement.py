"""Whether the ledger tells the truth: each record and each plastic of simulated worlds, counted apart from who made them.

Nothing is taken for granted, no balance and no index: what the ledger says of each record and each attempt is held against
what lies in the trays.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bureau.ledger.views import AttemptView
from bureau.models import FINAL, AttemptOutcome, CardState, EncoderId
from hardware.sim.plastics import Plastic

CONSUMED: Final = frozenset({AttemptOutcome.GOOD, AttemptOutcome.SPOILED, AttemptOutcome.MUTE, AttemptOutcome.UNKNOWN})
"""What an attempt's plastic has become where it can't be used again."""
TOUCHED: Final = CONSUMED - {AttemptOutcome.MUTE}
PERSONALIZED: Final = "0F"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What the ledger says of one record; *mark* is hex that its card holds and no other card does."""

    crn: str
    mark: str = field(repr=False)
    state: CardState
    attempts: Sequence[AttemptView]


def differences(plastics: Sequence[Plastic], fates: Sequence[Fate], spent: Mapping[EncoderId, int]) -> list[str]:
    """Return all in which ledger and worlds differ, in words; nothing where they agree exactly.

    spent: how many blanks of each encoder are gone by the stock book: loaded and not left.
    """
    of_place: dict[tuple[str, int], list[AttemptView]] = {}
    for fate in fates:
        for attempt in fate.attempts:
            if attempt.position is not None:
                of_place.setdefault((attempt.encoder, attempt.position), []).append(attempt)
    found = [each for fate in fates for each in _record(fate, plastics)]
    for plastic in plastics:
        said = of_place.pop((plastic.encoder, plastic.position), [])
        found += [f"{plastic.encoder}/{plastic.position} {each}" for each in _plastic(plastic, said, fates)]
    found += [f"{encoder}/{position} is in the ledger and was never drawn" for encoder, position in of_place]
    return found + list(_counts(plastics, fates, spent))


def _record(fate: Fate, plastics: Sequence[Plastic]) -> Iterator[str]:
    """Say what is wrong with a record: it is on one good card, or on none and given up."""
    cards = [plastic for plastic in plastics if _holds(plastic, fate.mark) and plastic.tray == "good"]
    where = ", ".join(f"{card.encoder}/{card.position}" for card in cards)
    if len(cards) > 1:
        yield f"record {fate.crn} is on {len(cards)} good cards: {where}"
    if fate.state not in FINAL:
        yield f"record {fate.crn} is {fate.state} and not done with"
    if (fate.state is CardState.GOOD) != bool(cards):
        yield f"record {fate.crn} is {fate.state} and on {len(cards)} good cards {where}".rstrip()
    good = [(each.encoder, each.position) for each in fate.attempts if each.outcome is AttemptOutcome.GOOD]
    if good != [(EncoderId(card.encoder), card.position) for card in cards]:
        yield f"record {fate.crn} has good attempts {good} and lies on {where or 'no good card'}"
    if any(PERSONALIZED not in card.states.values() for card in cards):
        yield f"record {fate.crn} is on a good card that isn't personalized"
    if any(each.outcome is AttemptOutcome.OPEN for each in fate.attempts):
        yield f"record {fate.crn} has a plastic in nobody's hand that is still open"


def _plastic(plastic: Plastic, said: Sequence[AttemptView], fates: Sequence[Fate]) -> Iterator[str]:
    """Say what is wrong with one plastic: a touched one is one attempt, in the tray where that belongs."""
    outcomes = [each.outcome for each in said]
    if plastic.tray is None:
        yield "is still in the station"
    if len(said) > 1:
        yield f"is counted {len(said)} times"
    if plastic.touched and not said:
        yield "was touched and nobody counts it"
    if plastic.touched and not TOUCHED.issuperset(outcomes):
        yield f"was touched and is called {', '.join(outcomes)}"
    if not plastic.touched and AttemptOutcome.GOOD in outcomes:
        yield "is blank and is called good"
    if (plastic.tray == "good") != (AttemptOutcome.GOOD in outcomes):
        yield f"lies in tray {plastic.tray} and is called {', '.join(outcomes) or 'nothing'}"
    if (plastic.tray == "reject") != bool(CONSUMED.intersection(outcomes) - {AttemptOutcome.GOOD}):
        yield f"lies in tray {plastic.tray} and is called {', '.join(outcomes) or 'nothing'}"
    if len([fate for fate in fates if _holds(plastic, fate.mark)]) > 1:
        yield "holds two records"
    if any(each.identity and each.identity != _chip(plastic) for each in said):
        yield f"is chip {_chip(plastic)} and the ledger says another"


def _counts(plastics: Sequence[Plastic], fates: Sequence[Fate], spent: Mapping[EncoderId, int]) -> Iterator[str]:
    """Say where the numbers don't add up, encoder by encoder."""
    drawn = Counter(EncoderId(plastic.encoder) for plastic in plastics)
    gone = Counter(EncoderId(plastic.encoder) for plastic in plastics if plastic.tray != "returned")
    attempts = [attempt for fate in fates for attempt in fate.attempts]
    claimed = Counter(attempt.encoder for attempt in attempts)
    consumed = Counter(attempt.encoder for attempt in attempts if attempt.outcome in CONSUMED)
    for encoder in sorted({*drawn, *claimed, *spent}):
        if drawn[encoder] > claimed[encoder]:
            yield f"{encoder} drew {drawn[encoder]} blanks for {claimed[encoder]} attempts"
        if not gone[encoder] == consumed[encoder] == spent.get(encoder, consumed[encoder]):
            book = spent.get(encoder, "nothing")
            yield f"{encoder} spent {gone[encoder]} blanks, its attempts {consumed[encoder]}, and the stock book says {book}"


def _holds(plastic: Plastic, mark: str) -> bool:
    return any(mark in value for value in plastic.contents.values())


def _chip(plastic: Plastic) -> str:
    """Return what tells a chip from others: IC fabricator, type, batch and serial of its CPLC, as the ledger writes them."""
    cplc = plastic.identity
    return cplc[0:8] + cplc[32:36] + cplc[24:32]
