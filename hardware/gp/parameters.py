"""What INSTALL says in its parameters field: system, application, UICC (GPCS 2.3.1 tables 11-48 to 11-54, TS 102 226)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hardware.tlv import lv, tlv

APPLICATION, SYSTEM, UICC, SIGNATURE = 0xC9, 0xEF, 0xEA, 0xB6
SHORT: Final = 0x7FFF
"""The most memory that two bytes state; more takes four (GPCS 11.5.2.3.7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signs a token, and which one it is: the control reference template for digital signature (GPCS table 11-54)."""

    issuer: bytes = b""
    image: bytes = b""
    provider: bytes = b""
    token: bytes = b""

    def __bytes__(self) -> bytes:
        """Return B6 with what is given of 42, 45, 5F20 and 93; nothing where that is nothing."""
        given = ((0x42, self.issuer), (0x45, self.image), (0x5F20, self.provider), (0x93, self.token))
        inner = b"".join(tlv(tag, value) for tag, value in given if value)
        return tlv(SIGNATURE, inner) if inner else b""


NOBODY: Final = Signer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What INSTALL [for load] says of the code: memory in bytes, format and parameters of the block (GPCS table 11-48)."""

    code: int | None = None
    data: int | None = None
    volatile: int | None = None
    format: int | None = None
    block: bytes = b""
    signer: Signer = NOBODY

    def __bytes__(self) -> bytes:
        """Return the parameters field; raises ValueError for memory beyond four bytes."""
        inner = _memory(0xC6, self.code) + _memory(0xC8, self.data) + _memory(0xC7, self.volatile)
        inner += b"" if self.format is None else tlv(0xCD, bytes((self.format,)))
        inner += tlv(0xDD, self.block) if self.block else b""
        return (tlv(SYSTEM, inner) if inner else b"") + bytes(self.signer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """What INSTALL [for install] gives: the application's own parameters, then what the card gives it (table 11-49).

    data, volatile: bytes that must be free; reserved_*: that are set aside; services: families and ids, two bytes each;
    implicit: which interfaces and channels select it (table 11-50); sim: TS 102 226 8.2.1.3.2.1; uicc: the value of EA.
    """

    application: bytes = b""
    data: int | None = None
    volatile: int | None = None
    reserved_data: int | None = None
    reserved_volatile: int | None = None
    services: tuple[int, ...] = ()
    implicit: tuple[int, ...] = ()
    sim: bytes = b""
    uicc: bytes = b""
    signer: Signer = NOBODY

    def __bytes__(self) -> bytes:
        """Return the parameters field, which always begins with C9."""
        system = b"".join(self._system())
        return (
            tlv(APPLICATION, self.application)
            + (tlv(SYSTEM, system) if system else b"")
            + (tlv(UICC, self.uicc) if self.uicc else b"")
            + bytes(self.signer)
        )

    def _system(self) -> Iterator[bytes]:
        yield _memory(0xC8, self.data)
        yield _memory(0xC7, self.volatile)
        yield _memory(0xD8, self.reserved_data)
        yield _memory(0xD7, self.reserved_volatile)
        if self.services:
            yield tlv(0xCB, b"".join(service.to_bytes(2, "big") for service in self.services))
        if self.sim:
            yield tlv(0xCA, self.sim)
        yield from (tlv(0xCF, bytes((interface,))) for interface in self.implicit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolkit:
    """What a SIM or USIM toolkit application may use (TS 102 226 8.2.1.3.2.1 and 8.2.1.3.2.2.1).

    menu: position and identifier of each entry; security: minimum security level, parameter and data; tars: 3 bytes
    each; services: how many (UICC only).
    """

    priority: int
    timers: int = 0
    text: int = 0
    menu: tuple[tuple[int, int], ...] = ()
    channels: int = 0
    security: bytes = b""
    tars: tuple[bytes, ...] = ()
    services: int = 0

    def __post_init__(self) -> None:
        if any(len(tar) != 3 for tar in self.tars):
            raise ValueError("a toolkit application reference (TAR) has 3 bytes")

    def __bytes__(self) -> bytes:
        """Return the fields up to the TARs, as the SIM takes them."""
        entries = b"".join(bytes(entry) for entry in self.menu)
        head = bytes((self.priority, self.timers, self.text, len(self.menu))) + entries
        return head + bytes((self.channels,)) + lv(self.security) + lv(b"".join(self.tars))


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Which files an application may reach (TS 102 226 8.2.1.3.2.2.2): under an ADF's *aid*, empty for the UICC's own.

    domain: 00 is full access, FF none; dap: what proves the right to it.
    """

    aid: bytes = b""
    domain: bytes = b"\0"
    dap: bytes = b""

    def __bytes__(self) -> bytes:
        """Return one rule."""
        return lv(self.aid) + lv(self.domain) + lv(self.dap)


def sim(domain: bytes, toolkit: Toolkit) -> bytes:
    """Return the value of CA for a SIM application (TS 102 226 8.2.1.3.2.1)."""
    return lv(domain) + bytes(toolkit)


def uicc(toolkit: Toolkit | None, access: tuple[Access, ...] = (), administration: tuple[Access, ...] = ()) -> bytes:
    """Return the value of EA for a UICC application (TS 102 226 8.2.1.3.2.2): toolkit, access, administrative access."""
    value = tlv(0x80, bytes(toolkit) + bytes((toolkit.services,))) if toolkit else b""
    for tag, rules in ((0x81, access), (0x82, administration)):
        value += tlv(tag, b"".join(map(bytes, rules))) if rules else b""
    return value


def _memory(tag: int, size: int | None) -> bytes:
    if size is None:
        return b""
    if not 0 <= size < 1 << 32:
        raise ValueError(f"no card has {size} bytes of memory")
    return tlv(tag, size.to_bytes(2 if size <= SHORT else 4, "big"))
