"""Who a chip is: its production data (CPLC, GET DATA 9F7F)."""

from dataclasses import dataclass

from hardware.errors import ProtocolError
from hardware.gp import objects
from hardware.iso7816 import Dialogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """How one chip is told from all others: *kind* "CPLC", or "ANONYMOUS" with an empty *value*."""

    kind: str
    value: bytes


ANONYMOUS = Identity(kind="ANONYMOUS", value=b"")


def read() -> Dialogue[Identity]:
    """Read IC fabricator, type, batch and serial from the selected security domain's CPLC; without any: anonymous.

    Raises CardError. Through an open channel it says who the chip at its other end is: any other one has no session.
    """
    try:
        cplc = yield from objects.read(objects.CPLC, objects.cplc)
    except ProtocolError:
        return ANONYMOUS
    if cplc is None or set(cplc["ic_serial"] + cplc["ic_batch"]) in ({0x00}, {0xFF}):
        return ANONYMOUS
    return Identity(kind="CPLC", value=cplc["ic_fabricator"] + cplc["ic_type"] + cplc["ic_batch"] + cplc["ic_serial"])
