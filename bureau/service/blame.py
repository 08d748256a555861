"""Who is to blame for a fault."""

from typing import Final

from bureau.errors import NotAllowedError
from bureau.models import Cause
from hardware.errors import (
    AuthenticationError,
    HardwareError,
    KeyStoreError,
    LostCard,
    MuteCard,
    PlanError,
    ReaderError,
    WrongCard,
)

_OF: Final[tuple[tuple[type[Exception], Cause], ...]] = (
    (AuthenticationError, Cause.KEY),
    (KeyStoreError, Cause.KEY),
    (PlanError, Cause.DATA),
    (MuteCard, Cause.CARD),
    (LostCard, Cause.READER),
    (ReaderError, Cause.READER),
    (WrongCard, Cause.OPERATOR),
    (NotAllowedError, Cause.OPERATOR),
    (HardwareError, Cause.CARD),
)
"""The first that fits; what fits none came from the engine itself or from outside, and lay between record and card."""


def blame(fault: BaseException) -> Cause:
    """Return who is to blame for *fault*."""
    return next((cause for kind, cause in _OF if isinstance(fault, kind)), Cause.READER)
