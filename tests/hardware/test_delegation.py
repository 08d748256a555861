"""DAP blocks, tokens and receipts, signed and checked inside the key store, and by the simulated card on its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from hardware.diversification import recipe
from hardware.errors import AuthenticationError, ProtocolError
from hardware.gp import commands, content, keyloading, loadfile, objects, signatures, tokens
from hardware.gp.content import Authority
from hardware.gp.parameters import Install, Load, Signer
from hardware.iso7816 import AID, Command, Dialogue, Response
from hardware.keystores import Algorithm, CardKeys, Dek, KeyId, Mode, Purpose
from hardware.keystores.soft import SoftKeyStore
from tests.hardware.bench import DOMAIN_FILE, DOMAIN_MODULE, Bench, refused
from tests.hardware.sim import caps

FILE = loadfile.parse(caps.CAP)
PACKAGE, MODULE, INSTANCE = AID(caps.PACKAGE), AID(caps.MODULE), AID(caps.INSTANCE)
DOMAIN, OTHER = AID(bytes.fromhex("D276000005AA01")), AID(bytes.fromhex("D276000005AA02"))
NONE = b"\0"
DIGEST = FILE.hash("sha256")
DELEGATED, WITH_DAP, MANDATED = b"\xa0\0\0", b"\xc0\0\0", b"\xc1\0\0"
MASTER, RECEIPTS = KeyId("2B01"), KeyId("2B71")
TOKEN_SET, RECEIPT_SET, DAP_SET = 0x70, 0x71, 0x73
SECRETS: Mapping[str, tuple[Algorithm, bytes]] = {
    "DES": (Algorithm.DES3, bytes.fromhex("00112233445566778899AABBCCDDEEFF")),
    "AES-128": (Algorithm.AES, bytes.fromhex("00112233445566778899AABBCCDDEEFF")),
    "AES-192": (Algorithm.AES, bytes.fromhex("00112233445566778899AABBCCDDEEFF0011223344556677")),
    "AES-256": (Algorithm.AES, bytes.fromhex("00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF")),
    "P-256": (Algorithm.P256, bytes.fromhex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")),
    "P-384": (Algorithm.P384, bytes(range(1, 49))),
    "brainpoolP256r1": (Algorithm.BRAINPOOL_P256, bytes(range(1, 33))),
}
NAMES = (*SECRETS, "RSA-1024", "RSA-2048")
SIZES = {
    "DES": 8, "AES-128": 16, "AES-192": 16, "AES-256": 16, "P-256": 64, "P-384": 96, "brainpoolP256r1": 64,
    "RSA-1024": 128, "RSA-2048": 256,
}  # fmt: skip


@pytest.fixture(scope="module")
def secrets() -> Mapping[str, tuple[Algorithm, bytes]]:
    """Return one key of each kind that signs."""
    made = dict(SECRETS)
    for bits in (1024, 2048):
        der = rsa.generate_private_key(65537, bits).private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        made[f"RSA-{bits}"] = (Algorithm.RSA, der)
    return made


@dataclass
class Issuer:
    """A card that takes extended commands, and the key store of who manages it."""

    bench: Bench
    store: SoftKeyStore
    secrets: Mapping[str, tuple[Algorithm, bytes]]

    def key(self, name: str, key: str) -> KeyId:
        """Register a signing key."""
        algorithm, value = self.secrets[name]
        self.store.import_key(
            KeyId(key), value, name="", purpose=Purpose.SIGNING, algorithm=algorithm, mode=Mode.TEST
        )  # fmt: skip
        return KeyId(key)

    def give(self, key: KeyId, kvn: int) -> None:
        """Put what a card needs of *key* as key 1 of set *kvn* of the domain whose channel is open."""
        channel = self.bench.channel
        assert channel is not None
        card = CardKeys(master=MASTER, recipe=recipe("none"), kdd=self.bench.blank.kdd)
        dek = Dek(card=card, derivation=channel.dek(), wrap=channel.WRAP)
        if self.store.info(key).algorithm in (Algorithm.DES3, Algorithm.AES):
            new = keyloading.symmetric(1, self.store.wrap(key, dek))
        else:
            new = keyloading.public(1, self.store.public(key))
        self.bench.do(keyloading.put([new], kvn, channel.WRAP))

    def domain(self, privileges: bytes, aid: AID = DOMAIN) -> None:
        """Make a security domain."""
        self.bench.do(content.create_domain(DOMAIN_FILE, DOMAIN_MODULE, aid, privileges))


@pytest.fixture
def issuer(tmp_path: Path, secrets: Mapping[str, tuple[Algorithm, bytes]]) -> Issuer:
    bench = Bench(tmp_path, extended_length=True)
    bench.open(extended=True)
    store = SoftKeyStore.create(tmp_path / "keys.json", b"passphrase")
    store.import_key(
        MASTER, bench.blank.dek, name="", purpose=Purpose.MASTER, algorithm=Algorithm.AES, mode=Mode.TEST
    )  # fmt: skip
    return Issuer(bench, store, secrets)


# DAP blocks


@pytest.mark.parametrize("name", NAMES)
def test_dap_block_lets_a_load_file_pass(name: str, issuer: Issuer) -> None:
    """Of each algorithm; the domain checks what is loaded for it, with its own key."""
    bench, key = issuer.bench, issuer.key(name, "2B73")
    issuer.domain(WITH_DAP)
    bench.open(DOMAIN, extended=True)
    issuer.give(key, DAP_SET)
    bench.open(extended=True)
    digest = FILE.hash("sha256")
    dap = signatures.dap(DOMAIN, digest, signatures.sign(issuer.store, key))
    assert len(dap.signature) == SIZES[name]
    wrong = replace(dap, signature=bytes((dap.signature[0] ^ 1,)) + dap.signature[1:])
    refused(bench, content.load(FILE, DOMAIN, FILE.load_blocks(239), digest=digest), 0x6985)
    refused(bench, content.load(FILE, DOMAIN, FILE.load_blocks(239, [wrong]), digest=digest), 0x6A80)
    bench.do(content.load(FILE, DOMAIN, FILE.load_blocks(239, [dap]), digest=digest))
    assert bench.memory()[f"elf/{PACKAGE}"]["domain"] == DOMAIN.hex().upper()


def test_dap_block_needs_hash_and_its_own_domain(issuer: Issuer) -> None:
    """Without the hash there is nothing that it signs; another domain's block or another file's is of no use."""
    bench, key = issuer.bench, issuer.key("AES-128", "2B73")
    issuer.domain(WITH_DAP)
    bench.open(DOMAIN)
    issuer.give(key, DAP_SET)
    bench.open()
    digest, sign = FILE.hash("sha256"), signatures.sign(issuer.store, key)
    dap = signatures.dap(DOMAIN, digest, sign)
    refused(bench, content.load(FILE, DOMAIN, FILE.load_blocks(239, [dap])), 0x6A80)
    refused(bench, content.load(FILE, DOMAIN, FILE.load_blocks(239, [replace(dap, domain=OTHER)]), digest=digest), 0x6985)
    other = signatures.dap(DOMAIN, FILE.hash("sha1"), sign)
    refused(bench, content.load(FILE, DOMAIN, FILE.load_blocks(239, [other]), digest=digest), 0x6A80)
    bench.do(content.load(FILE, bench.isd, FILE.load_blocks(239)))  # not for the domain, so not its business


def test_signature_in_der_is_not_a_card_s(issuer: Issuer) -> None:
    """A card takes r and s, each as long as a coordinate (GPCS B.4), whatever a certificate may have."""
    bench, key = issuer.bench, issuer.key("P-256", "2B73")
    issuer.domain(WITH_DAP)
    bench.open(DOMAIN, extended=True)
    issuer.give(key, DAP_SET)
    bench.open(extended=True)
    dap = signatures.dap(DOMAIN, DIGEST, signatures.sign(issuer.store, key))
    r, s = (int.from_bytes(half, "big") for half in (dap.signature[:32], dap.signature[32:]))
    coded = replace(dap, signature=encode_dss_signature(r, s))
    refused(bench, content.load(FILE, DOMAIN, FILE.load_blocks(239, [coded]), digest=DIGEST), 0x6A80)


def test_mandated_dap_verification_sees_every_load(issuer: Issuer) -> None:
    """Whoever it is for."""
    bench, key = issuer.bench, issuer.key("P-256", "2B73")
    issuer.domain(MANDATED)
    bench.open(DOMAIN)
    issuer.give(key, DAP_SET)
    bench.open()
    digest = FILE.hash("sha512")
    refused(bench, content.load(FILE, bench.isd, FILE.load_blocks(239), digest=digest), 0x6985)
    dap = signatures.dap(DOMAIN, digest, signatures.sign(issuer.store, key))
    bench.do(content.load(FILE, bench.isd, FILE.load_blocks(30, [dap]), digest=digest))


def test_domain_that_has_lost_its_key_lets_nothing_pass(issuer: Issuer) -> None:
    """A block can't be checked without it."""
    bench, key = issuer.bench, issuer.key("AES-128", "2B73")
    issuer.domain(WITH_DAP)
    digest = FILE.hash("sha256")
    dap = signatures.dap(DOMAIN, digest, signatures.sign(issuer.store, key))
    refused(bench, content.load(FILE, DOMAIN, FILE.load_blocks(239, [dap]), digest=digest), 0x6A80)


# Tokens and receipts


def delegated(issuer: Issuer, name: str = "RSA-1024", receipts: str = "AES-128") -> Authority:
    """Make a domain with delegated management and open its channel; return by what right it works."""
    bench, key = issuer.bench, issuer.key(name, "2B70")
    issuer.key(receipts, RECEIPTS)
    issuer.give(key, TOKEN_SET)
    issuer.give(RECEIPTS, RECEIPT_SET)
    issuer.domain(DELEGATED)
    issuer.domain(b"\x80\0\0", OTHER)
    bench.open(DOMAIN, extended=True)
    return Authority(
        token=signatures.sign(issuer.store, key), receipt=signatures.verify(issuer.store, RECEIPTS)
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_tokens_of_every_algorithm(name: str, issuer: Issuer) -> None:
    """Load, install, delete through a delegated domain, each with its token and its receipt."""
    bench, by = issuer.bench, delegated(issuer, name)
    digest = FILE.hash("sha256")
    receipt = bench.do(content.load(FILE, DOMAIN, FILE.load_blocks(239), digest=digest, authority=by))
    assert receipt is not None
    assert (receipt.counter, receipt.unique) == (1, b"")
    receipt = bench.do(content.install(PACKAGE, MODULE, INSTANCE, NONE, Install(), authority=by))
    assert receipt is not None
    assert receipt.counter == 2
    assert bench.memory()[f"app/{INSTANCE}/domain"] == DOMAIN.hex().upper()
    bench.do(content.delete(INSTANCE, authority=by))
    bench.do(content.delete(PACKAGE, authority=by))
    assert not [key for key in bench.memory() if key.startswith((f"app/{INSTANCE}", "elf/"))]
    assert bench.do(objects.read(objects.CONFIRMATIONS, lambda value: int.from_bytes(value, "big"))) == 4


@pytest.mark.parametrize("receipts", ["DES", "AES-128", "AES-192", "AES-256"])
def test_receipts_of_every_cipher_and_change(receipts: str, issuer: Issuer) -> None:
    """Load, install, make selectable, registry update, extradition and delete; the issuer checks each."""
    bench, by = issuer.bench, delegated(issuer, "P-256", receipts)
    settings = bytes(Install(signer=Signer(token=b"\x01\x02")))[2:]
    steps: list[Dialogue[tokens.Receipt | None]] = [
        content.load(FILE, DOMAIN, FILE.load_blocks(239), digest=FILE.hash("sha1"), authority=by),
        content.install(PACKAGE, MODULE, INSTANCE, NONE, Install(), selectable=False, authority=by),
        content.make_selectable(INSTANCE, authority=by),
        content.update(INSTANCE, privileges=b"\x04\0\0", settings=settings, authority=by),
        content.extradite(INSTANCE, DOMAIN, OTHER, authority=by),
    ]
    found = [bench.do(step) for step in steps]
    assert [each.counter for each in found if each] == [1, 2, 3, 4, 5]
    assert [each.token for each in found if each] == [b"", b"", b"", b"\1\2", b""]


def test_receipt_carries_the_card_s_own_data(issuer: Issuer) -> None:
    """IIN and CIN, where the card has them, are part of what is signed."""
    bench = issuer.bench
    bench.do(_send(commands.store_data(bytes.fromhex("42031122334502AABB"), 0, 0x10, last=True)))
    by = delegated(issuer)
    found = bench.do(content.load(FILE, DOMAIN, FILE.load_blocks(239), digest=DIGEST, authority=by))
    assert found is not None
    assert found.unique == bytes.fromhex("112233AABB")


def test_wrong_or_missing_token_changes_nothing(issuer: Issuer) -> None:
    """None, a wrong one, one for another command, one of another key; and no receipt counter moves."""
    bench, by = issuer.bench, delegated(issuer)
    assert by.token is not None
    sign = by.token
    stranger = signatures.sign(issuer.store, issuer.key("RSA-2048", "2B99"))
    bench.do(content.load(FILE, DOMAIN, FILE.load_blocks(239), digest=DIGEST, authority=by))
    made = content.install(PACKAGE, MODULE, INSTANCE, NONE, Install(), authority=Authority())
    refused(bench, made, 0x6985)
    wrong: list[Callable[[bytes], bytes]] = [
        lambda message: bytes(len(sign(message))),
        lambda message: sign(message + b"\0"),
        lambda message: sign(b"\x02" + message[1:]),
        lambda message: stranger(message)[:128],
    ]
    for token in wrong:
        made = content.install(PACKAGE, MODULE, INSTANCE, NONE, Install(), authority=Authority(token=token))
        refused(bench, made, 0x6A80)
    refused(bench, content.delete(PACKAGE), 0x6985)
    refused(bench, content.delete(PACKAGE, authority=Authority(token=wrong[0])), 0x6A80)
    refused(bench, content.extradite(PACKAGE, DOMAIN, OTHER), 0x6985)
    refused(bench, content.update(PACKAGE, privileges=NONE), 0x6985)
    assert bench.memory()["isd/confirmations"] == 1


def test_token_is_good_for_its_own_command_alone(issuer: Issuer) -> None:
    """A token that allowed one application doesn't allow another."""
    bench, by = issuer.bench, delegated(issuer)
    bench.do(content.load(FILE, DOMAIN, FILE.load_blocks(239), digest=DIGEST, authority=by))
    command = commands.install_for_install(PACKAGE, MODULE, INSTANCE, NONE, bytes(Install()))
    assert by.token is not None
    token = by.token(tokens.message(command))
    other = commands.install_for_install(PACKAGE, MODULE, AID(bytes(7)), NONE, bytes(Install()))
    refused(bench, _send(tokens.signed(other, lambda _message: token)), 0x6A80)
    bench.do(_send(tokens.signed(command, lambda _message: token)))


def test_load_token_needs_the_hash(issuer: Issuer) -> None:
    """It would allow any code under that AID: the host doesn't ask for it, and the card doesn't take it."""
    bench, by = issuer.bench, delegated(issuer)
    with pytest.raises(ValueError, match="hash must be given"):
        bench.do(content.load(FILE, DOMAIN, FILE.load_blocks(239), authority=by))
    assert by.token is not None
    refused(bench, _send(tokens.signed(commands.install_for_load(PACKAGE, DOMAIN), by.token)), 0x6A80)


def test_card_without_a_token_key_delegates_nothing(issuer: Issuer) -> None:
    """6985 whatever the token says."""
    issuer.domain(DELEGATED)
    issuer.bench.open(DOMAIN)
    by = Authority(token=signatures.sign(issuer.store, issuer.key("AES-128", "2B70")))
    refused(issuer.bench, content.load(FILE, DOMAIN, FILE.load_blocks(239), digest=DIGEST, authority=by), 0x6985)


def test_false_or_missing_receipt_is_found_out(issuer: Issuer) -> None:
    """Of another key, of another change, or none where one is wanted."""
    bench, by = issuer.bench, delegated(issuer)
    stranger = signatures.verify(issuer.store, issuer.key("AES-256", "2B99"))
    with pytest.raises(AuthenticationError, match="receipt does not verify"):
        bench.do(content.load(FILE, DOMAIN, FILE.load_blocks(239), digest=DIGEST, authority=replace(by, receipt=stranger)))
    found = bench.do(content.install(PACKAGE, MODULE, INSTANCE, NONE, Install(), authority=by))
    assert by.receipt is not None
    tokens.check(found, (PACKAGE, INSTANCE), by.receipt)
    with pytest.raises(AuthenticationError, match="receipt does not verify"):
        tokens.check(found, (PACKAGE, OTHER), by.receipt)
    bench.open()
    with pytest.raises(AuthenticationError, match="no receipt"):
        bench.do(content.install(PACKAGE, MODULE, AID(bytes(7)), NONE, Install(), authority=Authority(receipt=by.receipt)))


# Their coding


def _send(command: Command) -> Dialogue[Response]:
    return (yield command)


@pytest.mark.parametrize(
    ("command", "signed"),
    [
        (commands.delete(INSTANCE), "0000" + "09" + "4F07A0000000041010"),
        (commands.delete(PACKAGE, related=True), "0080" + "08" + "4F06A00000000401"),
        (
            commands.install_for_load(PACKAGE, OTHER, b"\1" * 20, bytes(Load())),
            "0200" + "25" + "06A00000000401" + "07D276000005AA02" + "14" + "01" * 20 + "00",
        ),
        (
            commands.install_for_install(PACKAGE, MODULE, INSTANCE, NONE, bytes(Install())),
            "0C00" + "1C" + "06A00000000401" + "07A0000000040101" + "07A0000000041010" + "0100" + "02C900",
        ),
        (
            commands.install_for_extradition(OTHER, INSTANCE),
            "1000" + "13" + "07D276000005AA02" + "00" + "07A0000000041010" + "0000",
        ),
        (
            commands.install_for_install(PACKAGE, MODULE, INSTANCE, NONE, bytes(Install(application=bytes(300)))),
            "0C00" + "00014C" + "06A00000000401" + "07A0000000040101" + "07A0000000041010" + "0100"
            + "820130" + "C982012C" + "00" * 300,
        ),
    ],
)  # fmt: skip
def test_token_signs_the_command_without_itself(command: Command, signed: str) -> None:
    """P1, P2, length and data; above 255 bytes the length has three (GPCS C.4)."""
    assert tokens.message(command).hex().upper() == signed
    with_token = tokens.signed(command, lambda message: b"\xab" * 200)
    tail = ("9E81C8" if command.ins == 0xE4 else "81C8") + "AB" * 200
    covered = command.data if command.ins == 0xE4 else command.data[:-1]
    assert with_token.data.hex().upper() == covered.hex().upper() + tail


@pytest.mark.parametrize(
    "command",
    [
        commands.install_for_personalization(INSTANCE), commands.install_for_load(PACKAGE, OTHER, combined=True),
        commands.load(b"\0", 0, last=True), commands.select(INSTANCE),
    ],
)  # fmt: skip
def test_command_that_takes_no_token_is_refused(command: Command) -> None:
    """Nothing is signed that no card would look at."""
    with pytest.raises(ValueError, match="a token for it isn't built in"):
        tokens.message(command)


def test_command_has_one_token() -> None:
    """A second one would sign the first."""
    command = tokens.signed(commands.install_for_extradition(OTHER, INSTANCE), lambda message: b"\1\2")
    with pytest.raises(ValueError, match="has a token already"):
        tokens.message(command)


@pytest.mark.parametrize("answer", ["05", "0401", "0300", "0401AB0200", "0601AB0200010001", "0100", "0501AB02000100AA"])
def test_malformed_receipt_is_named(answer: str) -> None:
    """Cut short, too long, or without a signature."""
    with pytest.raises(ProtocolError, match="receipt"):
        tokens.receipt(bytes.fromhex(answer))


def test_receipt_is_read() -> None:
    """Signature, counter, the domain's data, token identifier and digest (GPCS table 11-3)."""
    assert tokens.receipt(b"") is tokens.receipt(b"\0") is None
    found = tokens.receipt(bytes.fromhex("1002ABCD" + "020007" + "021122" + "0133" + "044455" + "6677"))
    assert found is not None
    assert (found.signature, found.counter, found.unique) == (b"\xab\xcd", 7, b"\x11\x22")
    assert (found.token, found.digest) == (b"\x33", bytes.fromhex("44556677"))
    assert found.confirmation.hex() == "0200070211220133" + "0444556677"
