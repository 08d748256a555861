"""The reject file: which of an issuer's records weren't made good, with a cause code for each, as CSV (RFC 4180)."""

import csv
from collections.abc import Iterable
from io import TextIOWrapper
from typing import BinaryIO, Final

from bureau.ledger.failures import Failure

COLUMNS: Final = ("batch_id", "job_id", "crn", "outcome", "cause_code", "cause", "plastics")
"""outcome: scrapped, withdrawn, and in an interim file rejected, suspect, unwritten; cause_code: card, reader, data, key,
operator, or the outcome where nothing went wrong; plastics: pieces that came to nothing."""
_FORMULA: Final = ("=", "+", "-", "@")


def write(out: BinaryIO, failures: Iterable[Failure]) -> None:
    """Write the header, then a line for each record; references only, never a value of one."""
    text = TextIOWrapper(out, encoding="utf-8", newline="")
    lines = csv.writer(text, lineterminator="\r\n")
    lines.writerow(COLUMNS)
    for each in failures:
        code = each.code or each.outcome
        row = (each.container, each.job_id, each.crn, each.outcome, code, each.cause or "", str(each.spent))
        lines.writerow(map(_safe, row))
    text.flush()
    text.detach()


def _safe(text: str) -> str:
    """Return *text* on one line, and so that no spreadsheet takes it for a formula."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return f"'{plain}" if plain.lstrip().startswith(_FORMULA) else plain
