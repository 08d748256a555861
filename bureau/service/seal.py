"""Card records and traces at rest: each under its job's data key, which the key store wraps."""

import zlib

from bureau.errors import BureauError
from bureau.models import AttemptId
from hardware.crypto import aead_open, aead_seal, random_bytes
from hardware.keystores import DataKey
from hardware.trace import Trace
from hardware.trace.lines import dump, load


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


def seal_trace(trace: Trace, key: DataKey, attempt: AttemptId) -> bytes:
    """Encrypt *trace* so that it opens only as this attempt's."""
    lines = "\n".join(dump(trace, masked=False))
    return aead_seal(key.value, random_bytes(12), zlib.compress(lines.encode(), level=1), _of(attempt))


def unseal_trace(sealed: bytes, key: DataKey, attempt: AttemptId) -> Trace:
    """Undo seal_trace(); raises BureauError for a trace that was altered or moved."""
    try:
        return load(zlib.decompress(aead_open(key.value, sealed, _of(attempt))).decode().splitlines())
    except (ValueError, TypeError) as wrong:
        raise BureauError("this trace can't be opened: it was altered in the ledger, or the key store is another") from wrong


def _of(attempt: AttemptId) -> bytes:
    return f"trace of attempt {attempt}".encode()
