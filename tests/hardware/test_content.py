"""Card content management from end to end: the host's dialogues, the simulated card, and what its memory holds then."""

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hardware.gp import commands, content, loadfile, objects, registry
from hardware.gp.parameters import Install, Load
from hardware.iso7816 import AID, Command, Dialogue, Response
from tests.hardware.bench import DOMAIN_FILE, DOMAIN_MODULE, Bench, refused
from tests.hardware.sim import caps

FILE = loadfile.parse(caps.CAP)
PACKAGE, MODULE, INSTANCE = AID(caps.PACKAGE), AID(caps.MODULE), AID(caps.INSTANCE)
DOMAIN, OTHER = AID(bytes.fromhex("D276000005AA01")), AID(bytes.fromhex("D276000005AA02"))
APP = f"app/{INSTANCE}/"
NONE = b"\0"


@pytest.fixture(params=["payment-scp02", "export-scp03"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    """Return a card of either kind, with an open channel."""
    made = Bench(tmp_path, str(request.param))
    made.open()
    return made


def send(command: Command) -> Dialogue[Response]:
    return (yield command)


def loaded(bench: Bench, digest: bytes = b"") -> None:
    bench.do(content.load(FILE, bench.isd, FILE.load_blocks(200), digest=digest))


def installed(bench: Bench, aid: AID = INSTANCE) -> None:
    loaded(bench)
    bench.do(content.install(PACKAGE, MODULE, aid, NONE, Install()))


def domain(bench: Bench, aid: AID = DOMAIN, privileges: bytes = b"\x80\0\0") -> None:
    bench.do(content.create_domain(DOMAIN_FILE, DOMAIN_MODULE, aid, privileges))


# The load file


def cap(descriptor: int, debug: int, total: int) -> bytes:
    """Return a CAP file of format 2.2 whose components have *total* bytes, Descriptor and Debug as many as asked."""
    parts = caps.components(code=0x20)
    parts[1] = parts[1][:4] + b"\x02" + parts[1][5:]
    parts |= {11: bytes(descriptor - 3), 12: bytes(debug - 3)}
    rest = sum(3 + len(part) for tag, part in parts.items() if tag not in (2, 7)) + 3 + 33 + 3
    parts[7] = bytes(total - rest)
    known = {tag: part for tag, part in parts.items() if tag not in (2, 12)}
    parts[2] = caps.directory(known, 1, debug=debug - 3)
    names = dict(enumerate(loadfile.NAMES, 1))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for tag in reversed(parts):
            whole = bytes((tag,)) + len(parts[tag]).to_bytes(2, "big") + parts[tag]
            archive.writestr(f"x/javacard/{names[tag]}.cap", whole)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["payment-scp02", "export-scp03"])
@pytest.mark.parametrize(("level", "block", "count"), [(1, 247, 63), (3, 239, 65)])
def test_20000_bytes_take_as_few_commands_as_there_can_be(
    kind: str, level: int, block: int, count: int, tmp_path: Path
) -> None:
    """14,204 bytes remain without Descriptor and Debug: SELECT, handshake, INSTALL, 58 or 60 LOAD, INSTALL."""
    file = loadfile.parse(cap(3000, 2796, 20000))
    assert len(file.block) == 14204
    bench = Bench(tmp_path, kind)
    bench.open(level=level)
    bench.do(content.load(file, bench.isd, file.load_blocks(block), digest=file.hash("sha256")))
    bench.do(content.install(PACKAGE, MODULE, INSTANCE, NONE, Install()))
    names = [command.name for command in bench.sent]
    assert (len(names), names.count("LOAD")) == (count, count - 5)
    assert bench.memory()[f"elf/{PACKAGE}"]["size"] == 14204
    assert bench.memory()[APP + "state"] == "07"


@pytest.mark.parametrize(("descriptor", "debug", "size"), [(False, False, 14204), (True, False, 17204), (True, True, 20000)])
def test_descriptor_and_debug_are_loaded_if_asked_for(descriptor: bool, debug: bool, size: int) -> None:
    """They stand behind all that a card needs, so what comes ahead of them is the same."""
    data = cap(3000, 2796, 20000)
    file = loadfile.parse(data, descriptor=descriptor, debug=debug)
    assert len(file.block) == size
    assert file.block.startswith(loadfile.parse(data).block)


@pytest.mark.parametrize("name", ["sha1", "sha256", "sha384", "sha512"])
def test_every_hash_is_taken(name: str, bench: Bench) -> None:
    """The card computes the same over the load file data block, and refuses another one at the last block."""
    digest = hashlib.new(name, caps.CAP).digest()
    assert FILE.hash(name) == digest  # type: ignore[arg-type]
    refused(bench, content.load(FILE, bench.isd, FILE.load_blocks(200), digest=digest[::-1]), 0x6A80)
    loaded(bench, digest)
    assert f"elf/{PACKAGE}" in bench.memory()


def test_truncated_load_leaves_nothing(bench: Bench) -> None:
    """The last block is marked before all bytes have come."""
    blocks = FILE.load_blocks(50)
    refused(bench, content.load(FILE, bench.isd, blocks[:-1]), 0x6A80)
    refused(bench, content.load(FILE, bench.isd, (*blocks[:-1], blocks[-1] + b"\0")), 0x6A80)


def test_load_that_is_not_ended_is_gone_with_the_session(bench: Bench) -> None:
    """Nobody goes on with it afterwards."""
    blocks = FILE.load_blocks(50)
    bench.do(send(commands.install_for_load(PACKAGE, bench.isd)))
    bench.do(send(commands.load(blocks[0], 0, last=False)))
    bench.open()
    refused(bench, send(commands.load(blocks[1], 1, last=False)), 0x6985)


def test_full_memory_refuses_the_load(tmp_path: Path) -> None:
    """6A84 comes with the first block, which states the size, or with INSTALL where that states it."""
    bench = Bench(tmp_path, memory=100)
    bench.open()
    refused(bench, content.load(FILE, bench.isd, FILE.load_blocks(200)), 0x6A84)
    stated = bytes(Load(code=len(FILE.block)))
    refused(bench, content.load(FILE, bench.isd, FILE.load_blocks(200), parameters=stated), 0x6A84)
    assert [command.name for command in bench.sent].count("LOAD") == 1


# Applications


def test_application_is_made_in_two_steps(bench: Bench) -> None:
    """INSTALLED first, which nobody can select; then selectable, once."""
    loaded(bench)
    bench.do(content.install(PACKAGE, MODULE, INSTANCE, NONE, Install(application=b"\1\2"), selectable=False))
    assert bench.memory()[APP + "state"] == "03"
    bench.do(content.make_selectable(INSTANCE))
    assert bench.memory()[APP + "state"] == "07"
    refused(bench, content.make_selectable(INSTANCE), 0x6985)
    refused(bench, content.make_selectable(OTHER), 0x6A88)


def test_load_install_and_make_selectable_in_one(bench: Bench) -> None:
    """Nothing is on the card before the last command, and all of it afterwards."""
    dialogue = content.load_and_install(FILE, bench.isd, FILE.load_blocks(100), MODULE, INSTANCE, NONE, Install())
    burst = next(dialogue)
    assert isinstance(burst, tuple)
    for command in burst[:-1]:
        bench.do(send(command))
    assert f"elf/{PACKAGE}" not in bench.memory()
    bench.do(send(burst[-1]))
    assert f"elf/{PACKAGE}" in bench.memory()
    assert bench.memory()[APP + "state"] == "07"


def test_failed_end_of_three_in_one_leaves_nothing(bench: Bench) -> None:
    """A module that the file doesn't have: the code goes with it."""
    refused(
        bench, content.load_and_install(FILE, bench.isd, FILE.load_blocks(100), OTHER, INSTANCE, NONE, Install()), 0x6A88
    )
    refused(bench, send(commands.install_for_install(PACKAGE, MODULE, INSTANCE, NONE, b"\xc9\0", combined=True)), 0x6985)


def test_memory_that_an_application_asks_for_must_be_there(tmp_path: Path) -> None:
    """C8 in the system parameters; what a card has not, it refuses with 6A84."""
    bench = Bench(tmp_path, memory=len(FILE.block) + 1000)
    bench.open()
    loaded(bench)
    refused(bench, content.install(PACKAGE, MODULE, INSTANCE, NONE, Install(data=2000)), 0x6A84)
    refused(bench, content.install(PACKAGE, MODULE, INSTANCE, NONE, Install(reserved_data=40000)), 0x6A84)
    bench.do(content.install(PACKAGE, MODULE, INSTANCE, NONE, Install(data=500)))


def test_registry_update_changes_privileges_and_implicit_selection(bench: Bench) -> None:
    """What isn't given stays."""
    installed(bench)
    bench.do(content.update(INSTANCE, privileges=b"\x04\0\0", settings=bytes.fromhex("EF06CF0141CF0181")))
    (entry,) = bench.do(registry.read(commands.APPLICATIONS, INSTANCE))
    assert (entry.privileges, entry.implicit, entry.domain) == (b"\x04\0\0", (0x41, 0x81), bench.isd)
    refused(bench, content.update(INSTANCE, privileges=b"\x80\0\0"), 0x6A80)
    refused(bench, content.update(OTHER, privileges=b"\0"), 0x6A88)


def test_delete_of_application_and_code(bench: Bench) -> None:
    """Code with an instance stays unless the instance goes with it; what isn't there is 6A88."""
    installed(bench)
    refused(bench, content.delete(PACKAGE), 0x6985)
    bench.do(content.delete(INSTANCE))
    bench.do(content.delete(PACKAGE))
    assert not [key for key in bench.memory() if key.startswith(("app/", "elf/"))]
    refused(bench, content.delete(PACKAGE), 0x6A88)
    installed(bench)
    bench.do(content.delete(PACKAGE, related=True))
    assert not [key for key in bench.memory() if key.startswith(("app/", "elf/"))]


def test_lock_and_unlock(bench: Bench) -> None:
    """A locked application keeps its state below the lock; locking twice is refused."""
    installed(bench)
    bench.do(content.lock(INSTANCE))
    assert bench.memory()[APP + "state"] == "87"
    refused(bench, content.lock(INSTANCE), 0x6985)
    bench.do(content.unlock(INSTANCE))
    assert bench.memory()[APP + "state"] == "07"
    refused(bench, content.lock(OTHER), 0x6A88)


def test_life_of_the_card(bench: Bench) -> None:
    """OP_READY to TERMINATED, without a step back; a locked card takes no content."""
    for state, sw in ((0x0F, 0x6985), (0x07, None), (0x0F, None), (0x01, 0x6985), (0x7F, None)):
        if sw:
            refused(bench, content.set_card(bench.isd, state), sw)
        else:
            bench.do(content.set_card(bench.isd, state))
            assert bench.memory()["isd/state"] == f"{state:02X}"
    refused(bench, content.load(FILE, bench.isd, FILE.load_blocks(200)), 0x6985)
    bench.do(content.set_card(bench.isd, 0x0F))
    bench.do(content.set_card(bench.isd, 0xFF))
    assert bench.memory()["isd/state"] == "FF"


# Security domains


def test_security_domain_is_made_and_gets_applications(bench: Bench) -> None:
    """Extradited, an application belongs to it; the ISD can't take it back, lock it yes."""
    domain(bench)
    installed(bench)
    bench.do(content.extradite(INSTANCE, bench.isd, DOMAIN))
    assert bench.memory()[APP + "domain"] == DOMAIN.hex().upper()
    refused(bench, content.extradite(INSTANCE, bench.isd, bench.isd), 0x6985)
    refused(bench, content.delete(DOMAIN), 0x6985)
    bench.do(content.lock(DOMAIN, domain=True))
    assert (bench.memory()[APP + "state"], bench.memory()[f"app/{DOMAIN}/state"]) == ("87", "87")
    bench.do(content.unlock(DOMAIN, domain=True))
    assert bench.memory()[APP + "state"] == "07"


@pytest.mark.parametrize(
    ("aid", "target", "sw"), [(INSTANCE, OTHER, 0x6A88), (OTHER, DOMAIN, 0x6A88), (DOMAIN, DOMAIN, 0x6985)], ids=str
)
def test_extradition_that_makes_no_sense(aid: AID, target: AID, sw: int, bench: Bench) -> None:
    """To no domain, of nothing, of a domain to itself."""
    domain(bench)
    installed(bench)
    refused(bench, content.extradite(aid, bench.isd, target), sw)


def test_domain_without_rights_manages_nothing(bench: Bench) -> None:
    """It answers in the keys of the one above it as long as it has none; it sees its own alone, and changes nothing."""
    domain(bench)
    installed(bench)
    bench.open(DOMAIN)
    assert [entry.aid for entry in bench.do(registry.read(commands.APPLICATIONS))] == [DOMAIN]
    assert bench.do(registry.read(commands.ISD)) == ()
    for dialogue, sw in (
        (content.load(FILE, DOMAIN, FILE.load_blocks(200)), 0x6985),
        (content.install(PACKAGE, MODULE, OTHER, NONE, Install()), 0x6985),
        (content.delete(INSTANCE), 0x6985),
        (content.lock(INSTANCE), 0x6985),
        (content.set_card(bench.isd, 0x7F), 0x6985),
    ):
        refused(bench, dialogue, sw)


def test_domain_with_authorized_management_has_its_own(bench: Bench) -> None:
    """What it loads and makes belongs to it; it can't touch what doesn't."""
    domain(bench, privileges=b"\x80\x40\0")
    installed(bench)
    bench.open(DOMAIN)
    bench.do(content.install(PACKAGE, MODULE, OTHER, NONE, Install()))
    assert bench.memory()[f"app/{OTHER}/domain"] == DOMAIN.hex().upper()
    refused(bench, content.delete(INSTANCE), 0x6985)
    bench.do(content.delete(OTHER))


@pytest.mark.parametrize("privileges", ["00", "400000", "A04000", "810000", "800200", "C10001"])
def test_privileges_that_no_domain_can_have(privileges: str, bench: Bench) -> None:
    """None of a domain, a part without the whole, two that exclude each other, or what the chip hasn't."""
    wanted = bytes.fromhex(privileges)
    if not wanted[0] & 0x80:
        with pytest.raises(ValueError, match="security domain"):
            bench.do(content.create_domain(DOMAIN_FILE, DOMAIN_MODULE, DOMAIN, wanted))
    refused(bench, content.install(DOMAIN_FILE, DOMAIN_MODULE, DOMAIN, wanted, Install()), 0x6A80)


# What the card says of itself


def test_registry_in_both_forms(bench: Bench) -> None:
    """The deprecated one says less, and nothing else."""
    installed(bench)
    domain(bench)
    tlv_form = bench.do(registry.read_all(modules=True))
    assert tlv_form.load_files[0].modules == (MODULE,)
    assert [entry.domain for entry in tlv_form.applications] == [bench.isd, bench.isd]
    for scope, entries in (
        (commands.ISD, (tlv_form.isd,)), (commands.APPLICATIONS, tlv_form.applications),
        (commands.MODULES, tlv_form.load_files),
    ):  # fmt: skip
        expected = [
            replace(entry, load_file=None, domain=None, version=b"", privileges=entry.privileges[:1]) for entry in entries
        ]
        assert [*bench.do(old_form(scope))] == expected


def old_form(scope: int) -> Dialogue[tuple[registry.Entry, ...]]:
    """Read as from a card that refuses the TLV form."""
    dialogue = registry.read(scope)
    next(dialogue)
    wanted = dialogue.send(Response(b"", 0x6A86))
    while True:
        response = yield wanted
        try:
            wanted = dialogue.send(response)
        except StopIteration as end:
            entries: tuple[registry.Entry, ...] = end.value
            return entries


def names() -> Iterator[AID]:
    return (AID(caps.INSTANCE[:-1] + bytes((number,))) for number in range(9))


@pytest.mark.parametrize("read", [registry.read, old_form])
def test_long_registry_comes_in_parts(read: Callable[[int], Dialogue[tuple[registry.Entry, ...]]], tmp_path: Path) -> None:
    """6310 while more is left, in either form."""
    bench = Bench(tmp_path, response_limit=64)
    bench.open()
    loaded(bench)
    for aid in names():
        bench.do(content.install(PACKAGE, MODULE, aid, NONE, Install()))
    bench.sent.clear()
    assert [entry.aid for entry in bench.do(read(commands.APPLICATIONS))] == [*names()]
    assert len(bench.sent) >= 2


def test_data_objects_are_decoded(bench: Bench) -> None:
    """Production data, recognition data, keys, capabilities, memory and applications say what the chip is."""
    installed(bench)
    blank = bench.blank
    cplc = bench.do(objects.read(objects.CPLC, objects.cplc))
    assert cplc is not None
    assert (cplc["ic_fabricator"], cplc["ic_type"]) == (b"\x47\x90", blank.cplc["ic_type"])
    recognition = bench.do(objects.read(objects.RECOGNITION, objects.recognition))
    assert recognition is not None
    assert recognition.version == "2.3.1"
    assert recognition.channels == (objects.Channel(protocol=blank.scp, options=(bytes((blank.i,)),)),)
    keys = bench.do(objects.read(objects.KEYS, objects.keys))
    kind = {2: 0x80, 3: 0x88}[blank.scp]
    assert keys == tuple(
        objects.CardKey(kvn=blank.kvn, kid=kid, parts=(objects.KeyPart(type=kind, length=16),)) for kid in (1, 2, 3)
    )
    capabilities = bench.do(objects.read(objects.CAPABILITIES, objects.capabilities))
    assert capabilities is not None
    assert capabilities.hashes == ("SHA-1", "SHA-256", "SHA-384", "SHA-512")
    assert "ECDSA-256" in capabilities.daps
    before = bench.do(objects.read(objects.MEMORY, objects.memory))
    bench.do(content.delete(INSTANCE))
    after = bench.do(objects.read(objects.MEMORY, objects.memory))
    assert before is not None
    assert after is not None
    assert (before.applications, after.applications, after.data - before.data) == (1, 0, 256)
    assert bench.do(objects.read(objects.APPLICATIONS, objects.applications)) is None
    assert bench.do(objects.read(0x5031, bytes)) is None
