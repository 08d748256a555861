"""A bureau that knows what the sample files name, in literals; and ways to spoil a sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bureau.containers import Defaults, Problem, RefusedError, Submission
from bureau.containers.submission import examine
from hardware.iso7816 import AID
from hardware.keystores import Algorithm, KeyId, KeyInfo, Mode, Purpose
from hardware.perso.order import UniqueID
from hardware.perso.product import Product
from hardware.perso.profiles import (
    ApplicationInstance,
    ApplicationProfile,
    CardProfile,
    DataElement,
    Encoding,
    TagEncoding,
)

SAMPLES = Path(__file__).parents[2] / "samples"
PAYMENT, NATIVE, SINGLE, EXPORT = (
    SAMPLES / f"{name}.xml" for name in ("payment-batch", "native-static-batch", "single-card-1.1", "cms-export-1.0")
)
ROOT = "2B0601040181FD5963"
MESSAGING = "http://namespaces.globalplatform.org/systems-messaging/"


def uid(end: str) -> UniqueID:
    """Return one of the samples' UniqueIDs."""
    return UniqueID(ROOT + end)


def _element(name: str, encoding: Encoding, *, tag: int | None = None, optional: bool = False) -> DataElement:
    structure = None if tag is None else TagEncoding.EMV
    return DataElement(
        name=name, encoding=encoding, tag=tag, tag_encoding=structure, optional=optional,
        fixed_length=False, length=None, mandatory_audit=name == "AEDT",
    )  # fmt: skip


def _application(end: str, *elements: DataElement, scripts: tuple[str, ...] = ()) -> ApplicationProfile:
    kind = "OTHER" if scripts else "GP"
    return ApplicationProfile(id=uid(end), version="1.0", type=kind, elements=elements, scripts=scripts)


def _card(end: str, application: str, aid: str, stock: str | None) -> CardProfile:
    instance = ApplicationInstance(
        profile=uid(application), aid=AID(bytes.fromhex(aid)), load_file=uid("30"), privileges=b"\0", parameters=b""
    )
    return CardProfile(
        id=uid(end), version="1.0", product=f"CHIP-{end}", product_version="1", stock=stock, max_apdu=255,
        load_files=(), applications=(instance,),
    )  # fmt: skip


def _product(end: str, environment: str, scp: str | None, master: str | None) -> Product:
    return Product(
        name=f"product-{end}", atr=b"\x3b", atr_mask=b"\xff", environment=environment, environment_version="1,0",
        isd_aid=AID(bytes.fromhex("A000000151000000")), scp=scp, i=0x55, level=3, kvn=0x20,
        master=None if master is None else KeyId(uid(master)), recipe="emv", block=239, packing=True, replace=False,
        profiles=(uid(end),),
    )  # fmt: skip


def _key(end: str, purpose: Purpose, algorithm: Algorithm = Algorithm.DES3, mode: Mode = Mode.TEST) -> KeyInfo:
    return KeyInfo(
        id=KeyId(uid(end)), name=f"K{end}", purpose=purpose, algorithm=algorithm, size=128, mode=mode, kcv="000000"
    )


APPLICATIONS = (
    _application("20"),
    _application(
        "21", *(_element(name, Encoding.HEX) for name in ("NUMBER", "NAME", "EXPIRY", "TIER")), scripts=("PERSONALIZE",)
    ),
    _application(
        "22",
        _element("PAND", Encoding.CN, tag=0x5A),
        _element("CRDN", Encoding.ASCII, tag=0x5F20),
        _element("AEDT", Encoding.HEX, tag=0x5F25),
        _element("5F34", Encoding.HEX, tag=0x5F34),
        _element("57", Encoding.HEX, tag=0x57),
        *(_element(name, Encoding.ASCII, optional=True) for name in ("EXDT", "SVCD", "PLSC")),
    ),
)
CARDS = (
    _card("10", "20", "A0000000041010", "PLASTIC-BLUE"),
    _card("11", "21", "F054455354434C5542", None),
    _card("12", "22", "A0000000031010", "PLASTIC-WHITE"),
)
PRODUCTS = (
    _product("10", "CONTACT-GP", "SCP02", "02"),
    _product("11", "CONTACT-NATIVE", None, None),
    _product("12", "CONTACT-GP", "SCP03", "03"),
)
KEYS = (
    _key("01", Purpose.TRANSPORT),
    _key("02", Purpose.MASTER),
    _key("03", Purpose.MASTER, Algorithm.AES),
    _key("04", Purpose.TRANSPORT, mode=Mode.PRODUCTION),
    _key("05", Purpose.TRANSPORT, Algorithm.AES),
)


@dataclass
class Bureau:
    """Knows the samples' profiles, products and keys, and whatever a test adds or takes away."""

    applications: tuple[ApplicationProfile, ...] = APPLICATIONS
    cards: tuple[CardProfile, ...] = CARDS
    products: tuple[Product, ...] = PRODUCTS
    keys: tuple[KeyInfo, ...] = KEYS
    used: frozenset[tuple[str, str]] = frozenset()
    files: dict[str, str] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def application(self, id: UniqueID) -> ApplicationProfile | None:  # noqa: A002
        return next((each for each in self.applications if each.id == id), None)

    def card(self, id: UniqueID) -> CardProfile | None:  # noqa: A002
        return next((each for each in self.cards if each.id == id), None)

    def product(self, card_profile: UniqueID) -> Product | None:
        return next((each for each in self.products if card_profile in each.profiles), None)

    def card_profiles_naming(self, application: UniqueID) -> tuple[CardProfile, ...]:
        return tuple(card for card in self.cards if any(each.profile == application for each in card.applications))

    def key(self, id: UniqueID) -> KeyInfo | None:  # noqa: A002
        return next((each for each in self.keys if each.id == KeyId(id)), None)

    def crns_refused(self, issuer: str, crns: Sequence[str]) -> Mapping[str, str]:
        self.asked.append(len(crns))
        return {crn: f"is in use by {issuer}" for crn in crns if (issuer, crn) in self.used}

    def file_known(self, sha256: str) -> str | None:
        return self.files.get(sha256)


ISSUER = Defaults(issuer="TESTBANK")


def check(path: Path, known: Bureau | None = None, defaults: Defaults = ISSUER) -> Submission:
    """Examine *path* against a bureau that knows the samples."""
    return examine(path, known or Bureau(), defaults)


def refused(path: Path, known: Bureau | None = None, defaults: Defaults = ISSUER) -> tuple[Problem, ...]:
    """Return the errors for which *path* is refused."""
    try:
        check(path, known, defaults)
    except RefusedError as refusal:
        return tuple(problem for problem in refusal.problems if not problem.warning)
    raise AssertionError("the file was accepted")


def spoiled(folder: Path, sample: Path, *changes: tuple[str, str], times: int = 1) -> Path:
    """Write *sample* with each first text replaced by the second, *times* times, and return where."""
    text = sample.read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after, times)
    path = folder / sample.name
    path.write_text(text, encoding="utf-8")
    return path
