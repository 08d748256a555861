"""Who a chip is: its production data (CPLC, GET DATA 9F7F)."""

from dataclasses import dataclass

from hardware import tlv
from hardware.gp import commands
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
    response = yield commands.get_data(0x9F7F)
    if response.sw != 0x9000:
        return ANONYMOUS
    try:
        cplc = tlv.find(response.data, 0x9F7F) or response.data
    except (ValueError, IndexError):
        cplc = response.data
    if len(cplc) != 42:
        return ANONYMOUS
    fabricator, kind, serial, batch = cplc[0:2], cplc[2:4], cplc[12:16], cplc[16:18]
    if set(serial + batch) in ({0x00}, {0xFF}):
        return ANONYMOUS
    return Identity(kind="CPLC", value=fabricator + kind + batch + serial)
