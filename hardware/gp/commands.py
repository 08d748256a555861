"""GlobalPlatform commands, one pure function each (GPCS 2.3.1 chapter 11).

All but PUT KEY and STORE DATA carry only what profiles, code and card registries say: nothing of a cardholder's, and no key.
What an application answers once it is personalized is a cardholder's: see perso.readback.
"""

from typing import Final

from hardware.iso7816 import AID, Command, Span
from hardware.tlv import lv, tlv

MORE: Final = 0x6310
"""More data available: GET STATUS is to be asked for the next answer."""
NOT_FOUND: Final = 0x6A88
WRONG_P1_P2: Final = 0x6A86
ISD, APPLICATIONS, LOAD_FILES, MODULES = 0x80, 0x40, 0x20, 0x10
"""P1 of GET STATUS (table 11-33): Issuer Security Domain, applications, load files alone, load files with their modules."""
CARD, APPLICATION, DOMAIN_AND_APPLICATIONS = 0x80, 0x40, 0x60
"""P1 of SET STATUS (table 11-86): the card, an application or security domain, a security domain and all of its own."""
LOCKED: Final = 0x80
"""P2 of SET STATUS that locks; without the bit it unlocks (GPCS 11.10.2.2)."""
BEGIN, END = 0x01, 0x03
"""P2 of INSTALL: the first and the last command of a combined load, install and make selectable (GPCS 11.5.2.2)."""


def select(aid: AID | bytes = b"", *, following: bool = False) -> Command:
    """Return SELECT by name (GPCS 11.9): without one the default application; *following*: the next of that beginning.

    That the card is locked (6283) is no error: its Issuer Security Domain is selected all the same.
    """
    return Command("SELECT", 0x00, 0xA4, 0x04, 0x02 * following, aid, ne=256, accept=(0x9000, 0x6283), secret=())


def get_data(tag: int, *, absent_ok: bool = True) -> Command:
    """Return GET DATA (GPCS 11.3) for a one- or two-byte *tag*."""
    refusals = (NOT_FOUND, 0x6A81, 0x6D00) if absent_ok else ()
    return Command(f"GET DATA {tag:04X}", 0x80, 0xCA, tag >> 8, tag & 0xFF, ne=256, accept=(0x9000, *refusals), secret=())


def get_status(scope: int, aid: bytes = b"", *, following: bool = False, deprecated: bool = False) -> Command:
    """Return GET STATUS (GPCS 11.4), in its TLV form or the *deprecated* one; nothing found (6A88) is an answer, no error.

    A card of GPCS 2.1.1 may know the deprecated form alone and refuses the other one with 6A86.
    """
    accept = (0x9000, MORE, NOT_FOUND) if deprecated else (0x9000, MORE, NOT_FOUND, WRONG_P1_P2)
    p2 = (0x00 if deprecated else 0x02) | following
    return Command("GET STATUS", 0x80, 0xF2, scope, p2, tlv(0x4F, aid), ne=256, accept=accept, secret=())


def set_status(of: int, state: int, aid: AID) -> Command:
    """Return SET STATUS (GPCS 11.10): *of* is CARD, APPLICATION or DOMAIN_AND_APPLICATIONS, *state* what it is to be."""
    return Command("SET STATUS", 0x80, 0xF0, of, state, aid, secret=())


def install_for_load(
    load_file: AID, security_domain: AID | bytes, digest: bytes = b"", parameters: bytes = b"", *, combined: bool = False
) -> Command:
    """Return INSTALL [for load] (GPCS 11.5.2.3.1); *digest*: the load file data block's; *combined*: it begins three in one.

    A token is put in by hardware.gp.tokens.
    """
    data = lv(load_file) + lv(security_domain) + lv(digest) + lv(parameters) + lv(b"")
    if combined:
        return _install("load, install and make selectable", 0x0E, data, BEGIN)
    return _install("load", 0x02, data)


def load(block: bytes, number: int, *, last: bool) -> Command:
    """Return LOAD (GPCS 11.6), block *number* 0 to 255."""
    return Command("LOAD", 0x80, 0xE8, 0x80 * last, number, block, ne=256, secret=())


def install_for_install(
    load_file: AID, module: AID, aid: AID, privileges: bytes, parameters: bytes, *,
    selectable: bool = True, combined: bool = False,
) -> Command:  # fmt: skip
    """Return INSTALL [for install], and make *selectable* (GPCS 11.5.2.3.2); *parameters*: of gp.parameters.Install."""
    data = lv(load_file) + lv(module) + lv(aid) + lv(privileges) + lv(parameters) + lv(b"")
    if combined:
        return _install("load, install and make selectable", 0x0E, data, END)
    return _install("install", 0x0C if selectable else 0x04, data)


def install_for_make_selectable(aid: AID, privileges: bytes = b"", parameters: bytes = b"") -> Command:
    """Return INSTALL [for make selectable] (GPCS 11.5.2.3.3) for what is INSTALLED."""
    return _install("make selectable", 0x08, bytes(2) + lv(aid) + lv(privileges) + lv(parameters) + lv(b""))


def install_for_extradition(security_domain: AID, aid: AID, parameters: bytes = b"") -> Command:
    """Return INSTALL [for extradition] (GPCS 11.5.2.3.4): *aid* goes to *security_domain*."""
    return _install("extradition", 0x10, lv(security_domain) + b"\0" + lv(aid) + b"\0" + lv(parameters) + lv(b""))


def install_for_registry_update(
    aid: AID, *, security_domain: AID | bytes = b"", privileges: bytes = b"", parameters: bytes = b""
) -> Command:
    """Return INSTALL [for registry update] (GPCS 11.5.2.3.5); what is empty stays as it is."""
    data = lv(security_domain) + b"\0" + lv(aid) + lv(privileges) + lv(parameters) + lv(b"")
    return _install("registry update", 0x40, data)


def install_for_personalization(aid: AID) -> Command:
    """Return INSTALL [for personalization] (GPCS table 11-47): the next STORE DATA go to *aid*."""
    return _install("personalization", 0x20, b"\0\0" + lv(aid) + bytes(3))


def _install(purpose: str, p1: int, data: bytes, p2: int = 0) -> Command:
    return Command(f"INSTALL [for {purpose}]", 0x80, 0xE6, p1, p2, data, ne=256, secret=())


def delete(aid: AID, *, related: bool = False, signature: bytes = b"") -> Command:
    """Return DELETE (GPCS 11.2.2.3.1); *related*: a load file goes with its applications; *signature*: B6, whose token."""
    return Command("DELETE", 0x80, 0xE4, 0x00, 0x80 * related, tlv(0x4F, aid) + signature, ne=256, secret=())


def delete_keys(*, kvn: int = 0, kid: int = 0) -> Command:
    """Return DELETE [key] (GPCS 11.2.2.3.2): key *kid* of key set *kvn*, or all that either names.

    Raises ValueError where neither does.
    """
    data = (tlv(0xD0, bytes((kid,))) if kid else b"") + (tlv(0xD2, bytes((kvn,))) if kvn else b"")
    if not data:
        raise ValueError("DELETE [key] names a key set, a key identifier or both")
    return Command("DELETE [key]", 0x80, 0xE4, 0x00, 0x00, data, ne=256, secret=())


def put_key(replaced: int, kid: int, fields: bytes, *, several: bool) -> Command:
    """Return PUT KEY (GPCS 11.8): *fields*: the new KVN and key data fields, of key *kid* and, if *several*, the next ones.

    replaced: the key set that they take the place of, 00 for new keys.
    """
    return Command("PUT KEY", 0x80, 0xD8, replaced, 0x80 * several | kid, fields, ne=256)


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
