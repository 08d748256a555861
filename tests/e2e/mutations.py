"""Rules of the life of a card, switched off to see that the tests would notice."""

from enum import StrEnum

from bureau.errors import FenceError
from bureau.ledger import moves
from bureau.ledger.ledger import Transaction
from bureau.ledger.rows import AnyRow
from bureau.models import CardId
from bureau.service import press
from hardware.iso7816 import Command, Response


class Mutation(StrEnum):
    """What is switched off."""

    NONE = "none"
    LATE_WRITING = "late-writing"
    """Rule 2: `writing` is committed after the first command that changes the card, not before."""
    NO_FENCE = "no-fence"
    """Rule 3: nobody compares fences."""


def mutate(mutation: Mutation) -> None:
    """Switch off one rule in this process and those that it forks."""
    if mutation is Mutation.LATE_WRITING:
        setattr(press.Gate, "__call__", _late_gate)  # noqa: B010
    if mutation is Mutation.NO_FENCE:
        setattr(moves, "in_hand", _unfenced)  # noqa: B010


def _late_gate(gate: press.Gate, command: Command) -> Response:
    answer = gate._transmit(command)
    if command.changes_card:
        gate.open()
    return answer


def _unfenced(tx: Transaction, card: CardId, _fence: int) -> AnyRow:
    row = moves.card_row(tx, card)
    if row.state not in moves.IN_HAND:
        raise FenceError("the lease is over")
    return row
