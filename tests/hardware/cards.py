"""A small card product with its profiles, and records for it, for tests of planning."""

from hardware.gp import loadfile
from hardware.gp.registry import Entry, Registry
from hardware.iso7816 import AID
from hardware.keystores import KeyId, Transport
from hardware.perso.order import (
    Action,
    ApplicationOrder,
    DataSet,
    Element,
    Instructions,
    Order,
    Step,
    Target,
    TargetState,
    UniqueID,
)
from hardware.perso.plan import Catalog
from hardware.perso.product import Product
from hardware.perso.profiles import (
    ApplicationInstance,
    ApplicationProfile,
    CardProfile,
    DataElement,
    Encoding,
    LoadFileInstance,
    TagEncoding,
)
from tests.hardware.sim import caps

ISD = AID(bytes.fromhex("A000000151000000"))
FIRST, SECOND = AID(bytes.fromhex("A0000000041010")), AID(bytes.fromhex("A0000000041020"))
PACKAGE, MODULE = AID(caps.PACKAGE), AID(caps.MODULE)
CARD, CODE, DGIS, NAMED = UniqueID("2B10"), UniqueID("2B30"), UniqueID("2B20"), UniqueID("2B22")
TRANSPORT = Transport(key=KeyId("2B01"), cbc=False)
LOAD_FILE = loadfile.parse(caps.CAP)


def described(
    name: str,
    encoding: Encoding = Encoding.HEX,
    tag: int | None = None,
    kind: TagEncoding | None = TagEncoding.DGI,
    *,
    optional: bool = False,
    fixed: bool = False,
    length: int | None = None,
) -> DataElement:
    """Return one element of an application profile."""
    return DataElement(
        name=name,
        encoding=encoding,
        tag=tag,
        tag_encoding=kind if tag else None,
        optional=optional,
        fixed_length=fixed,
        length=length,
        mandatory_audit=False,
    )


def profile(id: UniqueID, *elements: DataElement) -> ApplicationProfile:  # noqa: A002
    """Return an application profile."""
    return ApplicationProfile(id=id, version="1.0", type="GP", elements=elements, scripts=())


NAMES = profile(
    NAMED,
    described("PAN", Encoding.CN, 0x5A, TagEncoding.EMV),
    described("NAME", Encoding.ASCII, 0x5F20, TagEncoding.EMV, optional=True),
    described("STOCK", Encoding.ASCII, optional=True),
)


def instance(aid: AID, application: UniqueID = DGIS) -> ApplicationInstance:
    """Return an application of the card profile."""
    return ApplicationInstance(profile=application, aid=aid, load_file=CODE, privileges=b"\0", parameters=b"")


def card(*applications: ApplicationInstance, masked: bool = False) -> CardProfile:
    """Return a card profile."""
    return CardProfile(
        id=CARD,
        version="1.0",
        product="PERSO",
        product_version="1",
        stock=None,
        max_apdu=261,
        load_files=(LoadFileInstance(profile=CODE, masked=masked),),
        applications=applications or (instance(FIRST), instance(SECOND, NAMED)),
    )


def catalog(of: CardProfile | None = None) -> Catalog:
    """Return what is registered."""
    return Catalog(
        card=of or card(), applications={DGIS: profile(DGIS), NAMED: NAMES}, load_files={CODE: LOAD_FILE}
    )  # fmt: skip


def product(*, block: int = 239, packing: bool = True, replace: bool = False) -> Product:
    """Return a card product."""
    return Product(
        name="test-card",
        atr=b"\x3b\0",
        atr_mask=b"\xff\xff",
        environment="TEST",
        environment_version="1,0",
        isd_aid=ISD,
        scp="SCP02",
        i=0x55,
        level=0x03,
        kvn=0x20,
        master=KeyId("2B02"),
        recipe="emv",
        block=block,
        packing=packing,
        replace=replace,
        profiles=(CARD,),
    )


def held(applications: dict[AID, int] | None = None, *load_files: AID, state: int = 0x01) -> Registry:
    """Return what a card holds: the states of its applications, and its load files."""
    return Registry(
        isd=Entry(aid=ISD, state=state),
        applications=tuple(Entry(aid=aid, state=each) for aid, each in (applications or {}).items()),
        load_files=tuple(Entry(aid=aid, state=0x01) for aid in load_files),
    )


def step(
    action: Action,
    *,
    mandatory: bool = False,
    data_set: str | None = None,
    instructions: Instructions | None = None,
    script: str | None = None,
) -> Step:
    """Return one processing step."""
    return Step(
        action=action,
        code=action,
        mandatory=mandatory,
        data_set=data_set,
        instructions=instructions or Instructions(),
        script=script,
    )


def elements(*given: tuple[str, str], transport: Transport | None = None) -> tuple[Element, ...]:
    """Return Data pairs, all under *transport* or all clear."""
    return tuple(Element(name=name, value=value, transport=transport) for name, value in given)


RECORD = (DataSet(name="PERSO", elements=elements(("0101", "7000"))),)


def application(
    *steps: Step, aid: AID | None = FIRST, of: UniqueID = DGIS, data: tuple[DataSet, ...] | None = None
) -> ApplicationOrder:
    """Return what is asked for one application; there is data where a step needs it."""
    needed = RECORD if any(each.action is Action.PERSONALIZE for each in steps) else ()
    return ApplicationOrder(aid=aid, profile=of, steps=steps, data=needed if data is None else data)


def order(*applications: ApplicationOrder, targets: tuple[Target, ...] = ()) -> Order:
    """Return one card record."""
    return Order(crn="2B9F20", card_profiles=(CARD,), targets=targets, applications=applications)


def target(aid: AID, place: int, state: TargetState | None = None) -> Target:
    """Return one AID of a card configuration."""
    return Target(aid=aid, order=place, state=state)
