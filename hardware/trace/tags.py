"""What tags, bits and numbers are called: data only (GPCS 2.3.1 chapter 11 and annex H, ISO/IEC 7816-4).

DGIs are called what common personalization usually puts into them.
"""

from collections.abc import Mapping
from typing import Final

TAGS: Final[Mapping[int, str]] = {
    0x06: "object identifier", 0x2F00: "applications", 0x42: "issuer identification", 0x45: "card image number",
    0x4F: "AID", 0x50: "label", 0x5C: "tags asked for", 0x5F20: "application provider", 0x61: "application",
    0x5F49: "public key", 0x66: "card data", 0x67: "card capabilities", 0x6F: "file control information", 0x70: "record",
    0x73: "security domain data", 0x7F21: "certificate", 0x84: "AID", 0x86: "receipt",
    0x87: "priority", 0x93: "token identifier", 0x9F65: "longest command data",
    0x9F6E: "production life cycle", 0x9F70: "life cycle state", 0x9F7F: "card production data (CPLC)",
    0xA5: "proprietary data", 0xA6: "control references for key agreement", 0xBF21: "certificates",
    0xB6: "control references for signature", 0xC0: "key", 0xC1: "sequence counter",
    0xC2: "confirmation counter", 0xC3: "signature", 0xC4: "load file data block", 0xC5: "privileges",
    0xC9: "application parameters", 0xCA: "parameters of TS 102 226", 0xCC: "security domain", 0xCE: "load file version",
    0xCF: "diversification data", 0xD0: "key identifier", 0xD2: "key version number", 0xD3: "initial chaining value",
    0xD4: "ciphered load file data block", 0xE0: "key information", 0xE2: "DAP block", 0xE3: "registry entry",
    0x9E: "token", 0xEA: "parameters of TS 102 226", 0xEF: "system parameters", 0xFF21: "card resources",
}  # fmt: skip
UNDER: Final[Mapping[int, Mapping[int, str]]] = {
    0x61: {0xC4: "load file"},
    0x73: {
        0x60: "card management", 0x63: "card identification", 0x64: "secure channel", 0x65: "card configuration",
        0x66: "card and chip", 0x67: "issuer's trust point", 0x68: "issuer's certificate",
    },
    0xA6: {
        0x80: "key type", 0x81: "key length", 0x83: "key", 0x84: "host", 0x90: "protocol and option", 0x95: "key usage",
    },
    0xE3: {0x84: "module", 0xC4: "load file", 0xCF: "implicit selection"},
    0xEF: {
        0xC6: "least memory for code", 0xC7: "volatile memory", 0xC8: "non-volatile memory", 0xCB: "global service",
        0xCD: "load file data block format", 0xCF: "implicit selection", 0xD7: "volatile memory reserved",
        0xD8: "non-volatile memory reserved", 0xD9: "restriction", 0xDD: "load file data block parameters",
    },
}  # fmt: skip
"""Names that differ inside another tag."""

CPLC: Final = (
    ("IC", "fabricator", 2), ("IC", "type", 2), ("operating system", "id", 2), ("operating system", "date", 2),
    ("operating system", "level", 2), ("IC", "date", 2), ("IC", "serial", 4), ("IC", "batch", 2),
    ("module", "fabricator", 2), ("module", "date", 2), ("card", "manufacturer", 2), ("card", "embedding date", 2),
    ("pre-personalization", "id", 2), ("pre-personalization", "date", 2), ("pre-personalization", "equipment", 4),
    ("personalization", "id", 2), ("personalization", "date", 2), ("personalization", "equipment", 4),
)  # fmt: skip
"""The fields of 9F7F: of what, what, and how many bytes."""
DGIS: Final[Mapping[int, str]] = {
    0x0062: "file structure", 0x0070: "security domain data", 0x00B9: "descriptions of keys",
    0x00CF: "key diversification data",
    0x3000: "application internal data", 0x3001: "application internal data", 0x7F01: "check values of the key set",
    0x8000: "symmetric keys", 0x8010: "reference PIN block", 0x8101: "ICC private exponent",
    0x8102: "PIN private exponent", 0x8103: "ICC modulus", 0x8104: "PIN modulus",
    0x8113: "security domain key", 0x8F01: "key set",
    0x9000: "key check values", 0x9010: "PIN try counter and limit", 0x9102: "answer to SELECT",
    0x9103: "answer to SELECT", 0x9104: "answer to GET PROCESSING OPTIONS",
    **{crt: f"ICC key, CRT part {crt & 0xF}" for crt in range(0x8201, 0x8206)},
    **{crt: f"PIN key, CRT part {crt & 0xF}" for crt in range(0x8301, 0x8306)},
}  # fmt: skip
LAST_SFI: Final = 0x1E
"""DGI 01nn to 1Enn are records nn of these short file identifiers."""

CARD_STATES: Final[Mapping[int, str]] = {
    0x01: "OP_READY", 0x07: "INITIALIZED", 0x0F: "SECURED", 0x7F: "CARD_LOCKED", 0xFF: "TERMINATED",
}  # fmt: skip
APPLICATION_STATES: Final[Mapping[int, str]] = {0x03: "INSTALLED", 0x07: "SELECTABLE", 0x0F: "PERSONALIZED"}
LOAD_FILE_STATES: Final[Mapping[int, str]] = {0x01: "LOADED"}
LOCKED: Final = 0x80

PRIVILEGES: Final = (
    (0x800000, "security domain"), (0x400000, "DAP verification"), (0x200000, "delegated management"),
    (0x100000, "card lock"), (0x080000, "card terminate"), (0x040000, "card reset"), (0x020000, "CVM management"),
    (0x010000, "mandated DAP verification"), (0x008000, "trusted path"), (0x004000, "authorized management"),
    (0x002000, "token verification"), (0x001000, "global delete"), (0x000800, "global lock"),
    (0x000400, "global registry"), (0x000200, "final application"), (0x000100, "global service"),
    (0x000080, "receipt generation"), (0x000040, "ciphered load file"), (0x000020, "contactless activation"),
    (0x000010, "contactless self-activation"),
)  # fmt: skip
"""Bits of three bytes."""
LEVELS: Final = ((0x01, "C-MAC"), (0x02, "C-DECRYPTION"), (0x10, "R-MAC"), (0x20, "R-ENCRYPTION"))
SCP02_OPTIONS: Final = (
    (0x01, "three keys"), (0x02, "C-MAC on unmodified APDU"), (0x04, "explicit initiation"), (0x08, "ICV is MAC over AID"),
    (0x10, "encrypted ICV"), (0x20, "R-MAC"), (0x40, "pseudo-random challenge"),
)  # fmt: skip
SCP03_OPTIONS: Final = ((0x01, "S16"), (0x10, "pseudo-random challenge"), (0x20, "R-MAC"), (0x40, "R-ENCRYPTION"))
KEY_TYPES: Final[Mapping[int, str]] = {
    0x80: "DES", 0x88: "AES", 0xA0: "RSA exponent", 0xA1: "RSA modulus", 0xB0: "ECC public", 0xB1: "ECC private",
    0xF0: "ECC curve", 0xFF: "extended format",
}  # fmt: skip

SELECTED_BY: Final[Mapping[int, str]] = {
    0x00: "by file identifier", 0x01: "child DF", 0x02: "EF under the current DF", 0x03: "parent DF", 0x04: "by name",
    0x08: "by path from the MF", 0x09: "by path from the current DF",
}  # fmt: skip
OCCURRENCES: Final = ("first or only occurrence", "last occurrence", "next occurrence", "previous occurrence")
"""P2 b2b1 of SELECT."""
SCOPES: Final[Mapping[int, str]] = {
    0x80: "Issuer Security Domain", 0x40: "applications and security domains", 0x20: "load files",
    0x10: "load files and their modules",
}  # fmt: skip
"""P1 of GET STATUS."""
STATUS_OF: Final[Mapping[int, str]] = {
    0x80: "the card", 0x40: "an application or security domain", 0x60: "a security domain and its applications",
}  # fmt: skip
"""P1 of SET STATUS."""
INSTALL_FIELDS: Final[Mapping[int, tuple[str, ...]]] = {
    0x02: ("load file", "security domain", "load file hash", "parameters", "token"),
    0x04: ("load file", "module", "application", "privileges", "parameters", "token"),
    0x08: ("", "", "application", "privileges", "parameters", "token"),
    0x0C: ("load file", "module", "application", "privileges", "parameters", "token"),
    0x10: ("security domain", "", "application", "", "parameters", "token"),
    0x20: ("", "", "application", "", "", ""),
    0x40: ("security domain", "", "application", "privileges", "parameters", "token"),
    0x0E01: ("load file", "security domain", "load file hash", "parameters", "token"),
    0x0E03: ("load file", "module", "application", "privileges", "parameters", "token"),
}
"""The fields of INSTALL by P1 without b8, of three in one by P1 and P2; an unnamed one is always empty."""
INSTALL_KINDS: Final = (
    (0x02, "load"), (0x04, "install"), (0x08, "make selectable"), (0x10, "extradition"), (0x20, "personalization"),
    (0x40, "registry update"),
)  # fmt: skip
ENCRYPTIONS: Final = ("no encryption", "encryption up to the application", "encryption RFU", "all encrypted")
"""P1 b7b6 of STORE DATA (table 11-90)."""
STRUCTURES: Final = ("no structure", "DGIs", "BER-TLV", "structure RFU")
"""P1 b5b4 of STORE DATA."""

FAMILIES: Final[Mapping[int, str]] = {
    0x61: "done, more to fetch", 0x62: "warning, nothing changed", 0x63: "warning, something changed",
    0x64: "failed, nothing changed", 0x65: "failed, something changed", 0x66: "security issue", 0x67: "wrong length",
    0x68: "function in CLA not supported", 0x69: "command not allowed", 0x6A: "wrong parameters",
    0x6B: "wrong parameters P1 P2", 0x6C: "wrong Le", 0x6D: "instruction not supported", 0x6E: "class not supported",
    0x6F: "no precise diagnosis",
}  # fmt: skip
"""First bytes of status words (ISO/IEC 7816-4 table 5)."""
