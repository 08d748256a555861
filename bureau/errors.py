"""What the bureau refuses, in words for the person who asked."""


class BureauError(Exception):
    """Base of everything that a command prints as one clear line; *remedy* says what to do next."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class NotFoundError(BureauError):
    """What was named doesn't exist."""


class NotAllowedError(BureauError):
    """The state of things forbids it."""


class UnavailableError(BureauError):
    """The ledger can't be read or written for now: somebody else locks it, or its disk fails."""


class FenceError(BureauError):
    """The lease on this card is over and someone else decides about it now."""
