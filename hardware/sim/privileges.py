"""Privileges as the chip knows them, three bytes read as a number (GPCS 6.6.1, tables 11-7 to 11-9)."""

from typing import Final

SECURITY_DOMAIN, DAP, DELEGATED, CARD_LOCK, CARD_TERMINATE, CARD_RESET, CVM, MANDATED_DAP = (
    1 << 23, 1 << 22, 1 << 21, 1 << 20, 1 << 19, 1 << 18, 1 << 17, 1 << 16,
)  # fmt: skip
TRUSTED_PATH, AUTHORIZED, TOKEN, GLOBAL_DELETE, GLOBAL_LOCK, GLOBAL_REGISTRY, FINAL, GLOBAL_SERVICE = (
    1 << 15, 1 << 14, 1 << 13, 1 << 12, 1 << 11, 1 << 10, 1 << 9, 1 << 8,
)  # fmt: skip
RECEIPT: Final = 1 << 7
ISD: Final = (
    SECURITY_DOMAIN
    | CARD_LOCK
    | CARD_TERMINATE
    | CARD_RESET
    | CVM
    | AUTHORIZED
    | GLOBAL_DELETE
    | GLOBAL_LOCK
    | GLOBAL_REGISTRY
)
OF_DOMAINS: Final = DAP | DELEGATED | MANDATED_DAP | AUTHORIZED | TOKEN | RECEIPT
"""What only a security domain may have."""
GRANTED: Final = (
    SECURITY_DOMAIN | DAP | DELEGATED | MANDATED_DAP | CARD_LOCK | CARD_TERMINATE | CARD_RESET | CVM
    | AUTHORIZED | GLOBAL_DELETE | GLOBAL_LOCK | GLOBAL_REGISTRY
)  # fmt: skip
"""What this chip has any use for."""
ALONE: Final = CARD_RESET | CVM
"""What belongs to one application at a time."""


def number(coded: bytes) -> int:
    """Return privileges of one or three bytes as a number."""
    return int.from_bytes(coded.ljust(3, b"\0"), "big")


def coded(privileges: int) -> bytes:
    """Return the three bytes."""
    return privileges.to_bytes(3, "big")


def contradictory(privileges: int) -> bool:
    """Tell whether they can't stand together (GPCS 6.6.2)."""
    of_domain = bool(privileges & SECURITY_DOMAIN)
    dap = bool(privileges & MANDATED_DAP) and not privileges & DAP
    both = bool(privileges & DELEGATED and privileges & AUTHORIZED)
    return dap or both or (not of_domain and bool(privileges & OF_DOMAINS)) or bool(privileges & ~GRANTED)
