"""Keys on their way from the key store to the card: PUT KEY, STORE DATA, DELETE [key], and channels opened with them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from hardware import crypto
from hardware.diversification import recipe
from hardware.errors import AuthenticationError, CardError, KeyStoreError, ProtocolError
from hardware.gp import commands, content, keyloading, objects
from hardware.gp.objects import CardKey, KeyPart
from hardware.iso7816 import AID, Command, Dialogue, Response, run
from hardware.keystores import (
    Algorithm,
    Base,
    CardKeys,
    Dek,
    KeyId,
    Mode,
    Purpose,
    Signing,
    Static,
    Wrap,
    Wrapped,
)
from hardware.keystores.soft import SoftKeyStore
from tests.hardware.bench import DOMAIN_FILE, DOMAIN_MODULE, Bench, refused
from tests.hardware.replay import replay
from tests.hardware.secrecy import assert_silent
from tests.hardware.vectors import Vector, vectors

DOMAIN = AID(bytes.fromhex("D276000005AA01"))
TRANSPORT, OWN, LONG = KeyId("2B01"), KeyId("2B02"), KeyId("2B03")
SIZES = {Algorithm.DES3: 16, Algorithm.AES: 16}
VALUES: Mapping[KeyId, bytes] = {
    OWN: bytes.fromhex("0F0E0D0C0B0A09080706050403020100"),
    KeyId("2C01"): bytes.fromhex("00112233445566778899AABBCCDDEEFF0123456789ABCDEF"),
    KeyId("2C02"): bytes.fromhex("00112233445566778899AABBCCDDEEFF0123456789ABCDEF0011223344556677"),
    KeyId("2C03"): bytes.fromhex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721"),
}
"""The EC key is that of RFC 6979 A.2.5."""


@pytest.fixture(scope="session")
def pem() -> Mapping[int, bytes]:
    """Return RSA keys by their bits."""
    return {
        bits: rsa.generate_private_key(65537, bits).private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        for bits in (1024, 2048)
    }


class Vault:
    """A key store that knows a blank's keys, and others to be put onto it."""

    def __init__(self, folder: Path, bench: Bench) -> None:
        self.store = SoftKeyStore.create(folder / "keys.json", b"passphrase")
        self.bench, self.algorithm = bench, {2: Algorithm.DES3, 3: Algorithm.AES}[bench.blank.scp]
        self._add(TRANSPORT, bench.blank.dek, self.algorithm, Purpose.MASTER)
        self._add(OWN, VALUES[OWN], self.algorithm, Purpose.MASTER)

    def _add(self, key: KeyId, value: bytes, algorithm: Algorithm, purpose: Purpose) -> None:
        self.store.import_key(key, value, name="", purpose=purpose, algorithm=algorithm, mode=Mode.TEST)

    def signing(self, key: str, value: bytes, algorithm: Algorithm) -> KeyId:
        self._add(KeyId(key), value, algorithm, Purpose.SIGNING)
        return KeyId(key)

    def card(self, master: KeyId) -> CardKeys:
        return CardKeys(master=master, recipe=recipe("none"), kdd=self.bench.blank.kdd)

    @property
    def dek(self) -> Dek:
        """Name the DEK of the open channel."""
        assert self.bench.channel is not None
        return Dek(card=self.card(TRANSPORT), derivation=self.bench.channel.dek(), wrap=self.bench.channel.WRAP)

    def own(self) -> list[keyloading.NewKey]:
        """Return the three keys of the card's own set, wrapped for the open channel."""
        return [
            keyloading.symmetric(base.number, self.store.wrap(Static(card=self.card(OWN), base=base), self.dek))
            for base in Base
        ]


@pytest.fixture(params=["payment-scp02", "export-scp03"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    made = Bench(tmp_path, str(request.param))
    made.open()
    return made


@pytest.fixture
def vault(bench: Bench, tmp_path: Path) -> Vault:
    return Vault(tmp_path, bench)


def send(command: Command) -> Dialogue[Response]:
    return (yield command)


NEW = dict.fromkeys(("enc", "mac", "dek"), VALUES[OWN])


def wrap_of(bench: Bench) -> Wrap:
    assert bench.channel is not None
    return bench.channel.WRAP


@pytest.mark.parametrize("extended", [False, True])
def test_new_key_set_opens_a_channel_and_the_old_one_goes(vault: Vault, bench: Bench, extended: bool) -> None:
    """Put beside the old set, proved, then the old one deleted: from then on only the new one opens."""
    bench.do(keyloading.put(vault.own(), 0x31, wrap_of(bench), extended=extended))
    bench.open(kvn=0x31, keys=NEW)
    bench.do(send(commands.delete_keys(kvn=bench.blank.kvn)))
    found = bench.do(objects.read(objects.KEYS, objects.keys))
    kind = {2: 0x80, 3: 0x88}[bench.blank.scp]
    assert found == tuple(CardKey(kvn=0x31, kid=kid, parts=(KeyPart(type=kind, length=16),)) for kid in (1, 2, 3))
    with pytest.raises(CardError, match="INITIALIZE UPDATE: 6A88"):
        bench.open(kvn=bench.blank.kvn)
    bench.open(keys=NEW)
    held = bench.memory()[f"key/{bench.isd}/31/01"]
    assert held["parts"] == [f"{kind:02X}{VALUES[OWN].hex().upper()}"]
    assert held["extended"] is extended


def test_keys_go_under_the_dek_of_an_implicit_channel(tmp_path: Path) -> None:
    """SCP02 i=1B: CBC, and no length ahead of a 3DES key (GPCS E.4.8)."""
    bench = Bench(tmp_path, "payment-scp02", i=0x1B)
    bench.open(level=1)
    bench.do(keyloading.put(Vault(tmp_path, bench).own(), 0x31, wrap_of(bench)))
    assert wrap_of(bench) is Wrap.DES3_CBC
    assert {bench.memory()[f"key/{bench.isd}/31/0{kid}"]["parts"][0] for kid in (1, 2, 3)} == {
        "80" + VALUES[OWN].hex().upper()
    }


def test_old_set_opens_until_it_is_deleted(vault: Vault, bench: Bench) -> None:
    """A card whose new keys don't open is not lost."""
    bench.do(keyloading.put(vault.own(), 0x31, wrap_of(bench)))
    with pytest.raises(AuthenticationError, match="card cryptogram"):
        bench.open(kvn=0x31)
    bench.open(kvn=bench.blank.kvn)


def test_key_set_is_replaced_in_its_place(vault: Vault, bench: Bench) -> None:
    """P1 names the set that goes; its counter begins anew with the keys."""
    bench.open()
    bench.do(keyloading.put(vault.own(), bench.blank.kvn, wrap_of(bench), replaced=bench.blank.kvn))
    assert bench.memory()["scp/sequence"] == 0
    with pytest.raises(AuthenticationError):
        bench.open()
    bench.open(keys=NEW)


def test_set_in_use_is_not_deleted(bench: Bench) -> None:
    """A card would be without keys; what isn't there is 6A88, and no deletion takes two of a kind."""
    refused(bench, send(commands.delete_keys(kvn=bench.blank.kvn)), 0x6985)
    refused(bench, send(commands.delete_keys(kid=1)), 0x6985)
    refused(bench, send(commands.delete_keys(kvn=0x55)), 0x6A88)


def test_one_key_is_deleted(vault: Vault, bench: Bench) -> None:
    """By identifier and version; the set opens nothing any more."""
    bench.do(keyloading.put(vault.own(), 0x31, wrap_of(bench)))
    bench.do(send(commands.delete_keys(kvn=0x31, kid=2)))
    assert f"key/{bench.isd}/31/02" not in bench.memory()
    with pytest.raises(CardError, match="INITIALIZE UPDATE: 6A88"):
        bench.open(kvn=0x31, keys=NEW)


def test_wrong_check_value_or_dek_is_found_out_by_the_card(vault: Vault, bench: Bench) -> None:
    """9485: what the card decrypts isn't what was meant."""
    key = vault.own()[0]
    wrong = keyloading.NewKey(kid=1, components=key.components, kcv=key.kcv[::-1])
    refused(bench, keyloading.put([wrong], 0x31, wrap_of(bench)), 0x9485)
    key = vault.own()[0]
    (part,) = key.components
    spoiled = keyloading.Component(type=part.type, value=part.value[::-1], size=part.size)
    wrong = keyloading.NewKey(kid=1, components=(spoiled,), kcv=key.kcv)
    refused(bench, keyloading.put([wrong], 0x31, wrap_of(bench)), 0x9485)


def test_set_that_is_there_or_is_not_there_to_be_replaced(vault: Vault, bench: Bench) -> None:
    """New keys never take the place of others unasked."""
    refused(bench, keyloading.put(vault.own(), bench.blank.kvn, wrap_of(bench)), 0x6A80)
    refused(bench, keyloading.put(vault.own(), 0x31, wrap_of(bench), replaced=0x44), 0x6A88)


@pytest.mark.parametrize(
    ("change", "sw"),
    [
        (lambda fields: b"", 0x6A80), (lambda fields: fields[:1], 0x6A80), (lambda fields: fields[:-1], 0x6A80),
        (lambda fields: fields[:7], 0x6A80), (lambda fields: b"\0" + fields[1:], 0x6A80),
        (lambda fields: b"\x80" + fields[1:], 0x6A80), (lambda fields: fields + b"\xab", 0x6A80),
        (lambda fields: fields + fields[1:], 0x6A80), (lambda fields: fields[:1] + b"\x99" + fields[2:], 0x9484),
    ],
)  # fmt: skip
def test_malformed_key_data_are_refused(change: Callable[[bytes], bytes], sw: int, vault: Vault, bench: Bench) -> None:
    """Nothing, cut short, no such set, too much, two keys where one is announced, an unknown type."""
    fields = b"\x31" + vault.own()[0].field(wrap_of(bench), extended=False)
    refused(bench, send(commands.put_key(0, 1, change(fields), several=False)), sw)
    refused(bench, send(commands.put_key(0, 0, fields, several=False)), 0x6A86)


def test_keys_need_a_channel(vault: Vault, bench: Bench) -> None:
    """Outside of one the card takes none."""
    keys = vault.own()
    bench.reset()
    with pytest.raises(CardError, match="PUT KEY: 6982"):
        run(keyloading.put(keys, 0x31, Wrap.AES_CBC), bench.transmit)


def test_full_memory_takes_no_key(tmp_path: Path) -> None:
    """6A84, and the set isn't there in part."""
    bench = Bench(tmp_path, memory=70)
    bench.open()
    vault = Vault(tmp_path, bench)
    refused(bench, keyloading.put(vault.own(), 0x31, Wrap.AES_CBC), 0x6A84)


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize(
    ("key", "algorithm", "size"),
    [("2C01", Algorithm.DES3, 24), ("2C01", Algorithm.AES, 24), ("2C02", Algorithm.AES, 32)],
)
def test_longer_secret_keys(vault: Vault, bench: Bench, key: str, algorithm: Algorithm, size: int, extended: bool) -> None:
    """AES-192 is no multiple of an AES block: it is padded, and its own length stands ahead of it."""
    wanted = VALUES[KeyId(key)]
    wrapped = vault.store.wrap(vault.signing(key, wanted, algorithm), vault.dek)
    assert wrapped.size == size
    assert_silent(wrapped, wanted)
    new = keyloading.symmetric(1, wrapped, usage=b"\x18", access=b"\x01")
    bench.do(keyloading.put([new], 0x73, wrap_of(bench), extended=extended))
    kind = {Algorithm.DES3: "80", Algorithm.AES: "88"}[algorithm]
    held = bench.memory()[f"key/{bench.isd}/73/01"]
    assert held["parts"] == [kind + wanted.hex().upper()]
    found = bench.do(objects.read(objects.KEYS, objects.keys))
    assert found is not None
    assert found[-1] == CardKey(
        kvn=0x73, kid=1, parts=(KeyPart(type=int(kind, 16), length=size),),
        usage=b"\x18" if extended else b"", access=b"\x01" if extended else b"",
    )  # fmt: skip


def test_192_bits_under_an_aes_key_are_framed_as_specified(tmp_path: Path) -> None:
    """88 21 18 and two blocks, then three bytes of check value; 88 11 10 for 128 bits, 88 21 20 for 256."""
    bench = Bench(tmp_path)
    bench.open()
    vault = Vault(tmp_path, bench)
    for key, size, head in (("2C01", 24, "882118"), ("2C02", 32, "882120"), ("2C05", 16, "881110")):
        value = VALUES.get(KeyId(key), bytes(range(16)))
        field = keyloading.symmetric(1, vault.store.wrap(vault.signing(key, value, Algorithm.AES), vault.dek)).field(
            Wrap.AES_CBC, extended=False
        )
        assert (field[:3].hex(), field[-4]) == (head, 3)
        clear = crypto.aes_cbc_decrypt(bench.blank.dek, field[3:-4])
        assert clear[:size] == value


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("bits", [1024])
def test_rsa_public_key(vault: Vault, bench: Bench, pem: Mapping[int, bytes], bits: int, extended: bool) -> None:
    """Modulus and exponent stand in clear, without a check value."""
    key = vault.store.public(vault.signing("2C10", pem[bits], Algorithm.RSA))
    bench.do(keyloading.put([keyloading.public(1, key)], 0x73, wrap_of(bench), extended=extended))
    modulus, exponent = crypto.rsa_public(pem[bits])
    parts = [f"A1{modulus.hex().upper()}", f"A0{exponent.hex().upper()}"]
    assert bench.memory()[f"key/{bench.isd}/73/01"]["parts"] == parts


@pytest.mark.parametrize("extended", [False, True])
def test_ecc_keys_both_halves(vault: Vault, bench: Bench, extended: bool) -> None:
    """The public point in clear, the private number under the DEK, each with its curve."""
    value = VALUES[KeyId("2C03")]
    key = vault.signing("2C03", value, Algorithm.P256)
    point = crypto.ec_public(crypto.Curve.P256, value).hex().upper()
    wrap = wrap_of(bench)
    bench.do(keyloading.put([keyloading.public(1, vault.store.public(key))], 0x73, wrap, extended=extended))
    bench.do(keyloading.put([keyloading.private(2, vault.store.wrap(key, vault.dek))], 0x73, wrap, extended=extended))
    assert bench.memory()[f"key/{bench.isd}/73/01"]["parts"] == ["B0" + point, "F000"]
    assert bench.memory()[f"key/{bench.isd}/73/02"]["parts"] == ["B1" + value.hex().upper(), "F000"]


def test_stored_keys_personalize_a_domain(vault: Vault, bench: Bench) -> None:
    """Through the ISD into a new domain, which then opens its own channel and has a life of its own."""
    bench.do(content.create_domain(DOMAIN_FILE, DOMAIN_MODULE, DOMAIN, b"\x80\0\0"))
    bench.do(send(commands.install_for_personalization(DOMAIN)))
    bench.do(keyloading.store(vault.own(), 0x30))
    assert bench.memory()[f"app/{DOMAIN}/state"] == "0F"
    bench.open(DOMAIN, kvn=0x30, keys=NEW)
    with pytest.raises(CardError, match="6A88"):
        bench.open(DOMAIN, kvn=bench.blank.kvn if bench.blank.kvn != 0x30 else 0x20)
    bench.open()
    bench.do(content.delete(DOMAIN))
    assert not [key for key in bench.memory() if key.startswith((f"key/{DOMAIN}", f"app/{DOMAIN}"))]


def test_domain_gets_keys_by_put_key_and_personalizes_itself(vault: Vault, bench: Bench) -> None:
    """In a session with the keys of the domain above it; SET STATUS 0F is refused before it has keys of its own."""
    bench.do(content.create_domain(DOMAIN_FILE, DOMAIN_MODULE, DOMAIN, b"\x80\0\0"))
    bench.open(DOMAIN)
    refused(bench, send(commands.set_status(commands.APPLICATION, 0x0F, DOMAIN)), 0x6985)
    bench.do(keyloading.put(vault.own(), 0x30, wrap_of(bench)))
    bench.open(DOMAIN, keys=NEW)
    bench.do(send(commands.set_status(commands.APPLICATION, 0x0F, DOMAIN)))
    assert bench.memory()[f"app/{DOMAIN}/state"] == "0F"


def test_stored_keys_that_are_wrong_are_refused(vault: Vault, bench: Bench) -> None:
    """Another check value, a key without a description, a description without its key."""
    keys = vault.own()
    wrong = [keyloading.NewKey(kid=1, components=keys[0].components, kcv=b"\1\2\3")]
    refused(bench, keyloading.store(wrong, 0x31), 0x9485)
    burst = next(keyloading.store(vault.own(), 0x31))
    assert isinstance(burst, tuple)
    refused(bench, send(commands.store_data(burst[1].data, 0, 0x68, last=True)), 0x6A80)
    refused(bench, send(commands.store_data(burst[0].data, 0, 0x08, last=True)), 0x6A80)


def test_key_sets_count_each_by_itself(vault: Vault, bench: Bench) -> None:
    """A channel opened with one moves no other's counter."""
    bench.do(keyloading.put(vault.own(), 0x31, wrap_of(bench)))
    for _ in range(3):
        bench.open(kvn=0x31, keys=NEW)
    assert bench.memory()[f"counters/{bench.isd}/31/scp/sequence"] == 3
    assert bench.memory()["scp/sequence"] == 1


@pytest.mark.parametrize("v", vectors("gp_keys"), ids=lambda v: str(v["id"]))
def test_published_keys_in_store_data_are_taken(v: Vector, tmp_path: Path) -> None:
    """The card reads keys as another implementation sends them, and holds what that one says it has sent."""
    dek = bytes.fromhex(v["dek"])
    bench = Bench(tmp_path, enc=dek, mac=dek, dek=dek)
    bench.open()
    data = bytes.fromhex(v["data"])
    first = 3 + data[2]
    size = 3 + data[first + 2]
    parts = [data[:first], *(data[at : at + size] for at in range(first, len(data), size))]
    for number, part in enumerate(parts):
        kind = 0x68 if number else 0x08
        bench.do(send(commands.store_data(part, number, kind, last=number == len(parts) - 1)))
    for kid, value in enumerate(v["keys"], 1):
        assert bench.memory()[f"key/{bench.isd}/{v['kvn']}/{kid:02X}"]["parts"] == ["88" + value]


@pytest.mark.parametrize("v", vectors("gp_keys"), ids=lambda v: str(v["id"]))
def test_published_keys_are_wrapped_alike(v: Vector, tmp_path: Path) -> None:
    """Ciphertexts and check values are those that another implementation computes."""
    dek = bytes.fromhex(v["dek"])
    bench = Bench(tmp_path, enc=dek, mac=dek, dek=dek)
    bench.open()
    vault = Vault(tmp_path, bench)
    for number, value in enumerate(v["keys"], 1):
        wrapped = vault.store.wrap(vault.signing(f"2D{number:02X}", bytes.fromhex(value), Algorithm.AES), vault.dek)
        assert f"811310{wrapped.value.hex()}".upper()[6:] in v["data"]
        assert f"8403{wrapped.kcv.hex()}".upper() in v["data"]


def test_card_that_answers_with_other_check_values_is_found_out() -> None:
    """Nobody knows what keys it has."""
    key = keyloading.symmetric(1, Wrapped(algorithm=Algorithm.AES, value=bytes(16), size=16, kcv=b"\1\2\3"))
    put = "80D800011631" + "8811" + "10" + "00" * 16 + "03" + "010203" + "00"
    put = put.replace("80D8000116", f"80D80001{1 + 2 + 17 + 4:02X}")
    for answer in ("31010204", "32010203", "31", ""):
        with pytest.raises(ProtocolError, match="check values"):
            run(keyloading.put([key], 0x31, Wrap.AES_CBC), replay([(put, answer + "9000")]))
    run(keyloading.put([key], 0x31, Wrap.AES_CBC), replay([(put, "310102039000")]))


@pytest.mark.parametrize(("kids", "kvn"), [((), 1), ((1, 3), 1), ((1,), 0), ((1,), 0x80), ((0,), 1), ((2, 1), 1)])
def test_numbers_that_no_card_has_are_refused(kids: tuple[int, ...], kvn: int) -> None:
    """Before anything is sent."""
    wrapped = Wrapped(algorithm=Algorithm.AES, value=bytes(16), size=16, kcv=b"\1\2\3")
    keys = [keyloading.symmetric(kid, wrapped) for kid in kids]
    for dialogue in (keyloading.put(keys, kvn, Wrap.AES_CBC), keyloading.store(keys, kvn)):
        with pytest.raises(ValueError, match="key"):
            next(dialogue)


def test_key_store_keeps_its_secrets(vault: Vault, bench: Bench, pem: Mapping[int, bytes]) -> None:
    """A master key isn't wrapped, an RSA key shows its public half alone, a secret one none, and none signs for another."""
    store, dek = vault.store, vault.dek
    rsa_key = vault.signing("2C10", pem[1024], Algorithm.RSA)
    aes_key = vault.signing("2C02", VALUES[KeyId("2C02")], Algorithm.AES)
    with pytest.raises(KeyStoreError, match="public half goes"):
        store.wrap(rsa_key, dek)
    with pytest.raises(KeyStoreError, match="no public half"):
        store.public(aes_key)
    with pytest.raises(KeyStoreError, match="master key and can't serve"):
        store.wrap(OWN, dek)
    with pytest.raises(KeyStoreError, match="doesn't sign with"):
        store.sign(aes_key, b"", Signing.RETAIL_MAC)
    with pytest.raises(KeyStoreError, match="can't serve as"):
        store.import_key(
            LONG, pem[1024], name="", purpose=Purpose.MASTER, algorithm=Algorithm.RSA, mode=Mode.TEST
        )  # fmt: skip
    with pytest.raises(KeyStoreError, match="no private RSA key"):
        store.import_key(LONG, b"x" * 99, name="", purpose=Purpose.SIGNING, algorithm=Algorithm.RSA, mode=Mode.TEST)
    assert store.info(rsa_key).size == 1024
