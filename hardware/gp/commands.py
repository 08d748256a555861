"""GlobalPlatform commands, one pure function each (GPCS 2.3.1 chapter 11).

All but STORE DATA carry only what profiles, code and card registries say: nothing of a cardholder's. What an application
answers once it is personalized is a cardholder's: see perso.readback.
"""

from typing import Final

from hardware.iso7816 import AID, Command, Span
from hardware.tlv import lv, tlv

MORE: Final = 0x6310
"""More data available: GET STATUS is to be asked for the next answer."""
NOT_FOUND: Final = 0x6A88
ISD, APPLICATIONS, LOAD_FILES = 0x80, 0x40, 0x20
"""P1 of GET STATUS (table 11-33): the Issuer Security Domain, applications, load files without their modules."""


def select(aid: AID) -> Command:
    """Return SELECT by name (GPCS 11.9)."""
    return Command("SELECT", 0x00, 0xA4, 0x04, 0x00, aid, ne=256, secret=())


def get_data(tag: int, *, absent_ok: bool = True) -> Command:
    """Return GET DATA (GPCS 11.3) for a one- or two-byte *tag*."""
    refusals = (NOT_FOUND, 0x6A81, 0x6D00) if absent_ok else ()
    return Command(f"GET DATA {tag:04X}", 0x80, 0xCA, tag >> 8, tag & 0xFF, ne=256, accept=(0x9000, *refusals), secret=())


def get_status(scope: int, aid: bytes = b"", *, following: bool = False) -> Command:
    """Return GET STATUS in its TLV form (GPCS 11.4); nothing found (6A88) is an answer, not an error."""
    accept = (0x9000, MORE, NOT_FOUND)
    return Command("GET STATUS", 0x80, 0xF2, scope, 0x02 | following, tlv(0x4F, aid), ne=256, accept=accept, secret=())


def install_for_load(load_file: AID, security_domain: AID) -> Command:
    """Return INSTALL [for load] (GPCS 11.5.2.3.1): no hash, no parameters, no token."""
    data = lv(load_file) + lv(security_domain) + lv(b"") + lv(b"") + lv(b"")
    return Command("INSTALL [for load]", 0x80, 0xE6, 0x02, 0x00, data, ne=256, secret=())


def load(block: bytes, number: int, *, last: bool) -> Command:
    """Return LOAD (GPCS 11.6), block *number* 0 to 255."""
    return Command("LOAD", 0x80, 0xE8, 0x80 * last, number, block, ne=256, secret=())


def install_for_install(
    load_file: AID, module: AID, aid: AID, privileges: bytes, parameters: bytes, *, selectable: bool = True
) -> Command:
    """Return INSTALL [for install], and make *selectable* (GPCS 11.5.2.3.2); *parameters* is the value of C9."""
    data = lv(load_file) + lv(module) + lv(aid) + lv(privileges) + lv(tlv(0xC9, parameters)) + lv(b"")
    return Command("INSTALL [for install]", 0x80, 0xE6, 0x0C if selectable else 0x04, 0x00, data, ne=256, secret=())


def install_for_personalization(aid: AID) -> Command:
    """Return INSTALL [for personalization] (GPCS table 11-47): the next STORE DATA go to *aid*."""
    data = b"\0\0" + lv(aid) + bytes(3)
    return Command("INSTALL [for personalization]", 0x80, 0xE6, 0x20, 0x00, data, ne=256, secret=())


def delete(aid: AID, *, related: bool = False) -> Command:
    """Return DELETE (GPCS 11.2); *related*: a load file goes with its applications."""
    return Command("DELETE", 0x80, 0xE4, 0x00, 0x80 * related, tlv(0x4F, aid), ne=256, secret=())


def store_data(
    data: bytes,
    number: int,
    kind: int,
    *,
    last: bool,
    accept: tuple[int, ...] = (0x9000,),
    secret: tuple[Span, ...] | None = None,
) -> Command:
    """Return STORE DATA (GPCS 11.11.2); *kind* is P1 b7-b4: encryption and structure; block *number* 0 to 255."""
    return Command("STORE DATA", 0x80, 0xE2, 0x80 * last | kind, number, data, accept=accept, secret=secret)
