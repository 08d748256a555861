"""Numbers in sentences."""


def counted(number: int, thing: str) -> str:
    """Return "1 card" or "2 cards"."""
    return f"{number} {thing}{'s' * (number != 1)}"
