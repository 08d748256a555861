"""Profiles as values: what is registered about cards, applications and load files (GlobalPlatform Systems Profiles)."""

from dataclasses import dataclass
from enum import StrEnum

from hardware.errors import PlanError
from hardware.iso7816 import AID
from hardware.perso.order import UniqueID


class Encoding(StrEnum):
    """How a DataElement's value is written in a batch (@Encoding)."""

    HEX = "HEX"
    ASCII = "ASCII"
    BASE64 = "BASE64"
    UTF8 = "UTF8"
    CN = "CN"
    """Digits, two a byte, filled right with F (EMV compressed numeric)."""


class TagEncoding(StrEnum):
    """How a DataElement goes into STORE DATA (@TagEncoding)."""

    DGI = "DGI"
    EMV = "EMV"
    L16 = "L16"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataElement:
    """One DataElement; without a *tag* it is known and kept, but not written. *length* counts coded bytes."""

    name: str
    encoding: Encoding
    tag: int | None
    tag_encoding: TagEncoding | None
    optional: bool
    fixed_length: bool
    length: int | None
    mandatory_audit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationProfile:
    """An ApplicationProfile; one without *elements* takes DGIs under their own numbers. *scripts* names its fragments."""

    id: UniqueID
    version: str
    type: str
    elements: tuple[DataElement, ...]
    scripts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFileInstance:
    """A load file that the card needs; *masked* means that it is in the card's ROM."""

    profile: UniqueID
    masked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationInstance:
    """An application that the card gets: *privileges* 1 or 3 bytes, *parameters* the value of tag C9."""

    profile: UniqueID
    aid: AID
    load_file: UniqueID
    privileges: bytes
    parameters: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CardProfile:
    """A CardProfile: the chip product, the stock, what is loaded and installed, the largest APDU, and the protocols.

    protocols: "T=0", "T=1", or what else @Type of a Protocol says.
    """

    id: UniqueID
    version: str
    product: str
    product_version: str
    stock: str | None
    max_apdu: int
    load_files: tuple[LoadFileInstance, ...]
    applications: tuple[ApplicationInstance, ...]
    protocols: tuple[str, ...] = ()

    def instance(self, aid: AID | None, application: UniqueID | None) -> ApplicationInstance:
        """Return the one instance of *aid* or, where that is None, of the *application* profile; else raises PlanError."""
        found = [each for each in self.applications if each.aid == aid or (aid is None and each.profile == application)]
        if len(found) != 1:
            raise PlanError(f"card profile {self.id} has {len(found)} application instances for {aid or application}")
        return found[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFileProfile:
    """A LoadFileProfile: the package and its modules, by AID."""

    id: UniqueID
    version: str
    aid: AID
    modules: tuple[AID, ...]


Profile = CardProfile | ApplicationProfile | LoadFileProfile
