"""Card records at rest: each under its job's data key, which the key store wraps."""

from bureau.errors import BureauError
from hardware.crypto import aead_open, aead_seal, random_bytes
from hardware.keystores import DataKey


def seal(record: bytes, key: DataKey, issuer: str, crn: str) -> bytes:
    """Encrypt one record so that it opens only as this issuer's record of this CRN."""
    return aead_seal(key.value, random_bytes(12), record, _bound(issuer, crn))


def unseal(sealed: bytes, key: DataKey, issuer: str, crn: str) -> bytes:
    """Undo seal(); raises BureauError for a record that was altered or moved."""
    try:
        return aead_open(key.value, sealed, _bound(issuer, crn))
    except ValueError as wrong:
        raise BureauError(
            f"record {crn} can't be opened: it was altered in the ledger, or the key store is another"
        ) from wrong


def _bound(issuer: str, crn: str) -> bytes:
    return f"{len(issuer)}:{issuer}{crn}".encode()
