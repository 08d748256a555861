"""What differs between the messaging namespaces; a new one is one more row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MESSAGING: Final = "http://namespaces.globalplatform.org/systems-messaging/"
PROFILES: Final = frozenset(
    f"http://namespaces.globalplatform.org/systems-profiles/{version}"
    for version in ("1.0.0", "1.1.0", "1.1.1", "1.1.2", "1.2.0")
)
SIGNATURES: Final = "http://www.w3.org/2000/09/xmldsig#"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One messaging namespace: the names it writes, the older names it accepts too, and one-digit codes."""

    namespace: str
    script: str
    module: str
    aliases: tuple[tuple[str, str], ...] = ()
    """Pairs of today's name and the name before 2.0."""
    short_codes: bool = False
    """Whether a code such as 04 may be written 4."""

    def tag(self, name: str) -> str:
        """Return *name* in this namespace, as lxml writes it."""
        return f"{{{self.namespace}}}{name}"


_BEFORE_2: Final = (("ScriptFragment", "Script"), ("GenericModule", "Module"))
_ROWS: Final = (
    Dialect(namespace=MESSAGING + "1.0.0", script="Script", module="Module", aliases=_BEFORE_2, short_codes=True),
    Dialect(namespace=MESSAGING + "1.1.0", script="Script", module="Module", aliases=_BEFORE_2, short_codes=True),
    Dialect(namespace=MESSAGING + "2.0.1", script="ScriptFragment", module="GenericModule"),
    Dialect(namespace=MESSAGING + "2.1.0", script="ScriptFragment", module="GenericModule"),
)
DIALECTS: Final[Mapping[str, Dialect]] = {row.namespace: row for row in _ROWS}


def code(value: str) -> str:
    """Return a code in two digits: 4 and 04 are the same."""
    return value.strip().zfill(2)


def local(tag: str | bytes | bytearray) -> str:
    """Return an element's name without its namespace."""
    return str(tag).rpartition("}")[2]
