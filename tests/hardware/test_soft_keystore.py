import json
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hardware import crypto
from hardware.certificates import parse
from hardware.diversification import diversify, recipe
from hardware.errors import KeyStoreError
from hardware.keystores import (
    Agreement,
    Algorithm,
    Base,
    CardKeys,
    DataKey,
    Dek,
    Derivation,
    KeyId,
    KeyInfo,
    KeyStore,
    Method,
    Mode,
    Purpose,
    Transport,
    Wrap,
)
from hardware.keystores.soft import SoftKeyStore
from hardware.scp.scp02 import derivation as scp02
from hardware.scp.scp03 import derivation as scp03
from tests.hardware.issuing import SIGNS, Key, issue
from tests.hardware.secrecy import assert_silent
from tests.hardware.vectors import Vector, vectors

PASSPHRASE = b"correct horse"
DES, AES = bytes(range(0x40, 0x50)), bytes(range(0x60, 0x80))
TK, TK_AES = bytes(range(0x10, 0x28)), bytes(range(0x30, 0x40))
KMC, KMC_AES, TRANSPORT, TRANSPORT_AES = (KeyId(f"2B0601{number:02X}") for number in range(4))
KEYS = {
    KMC: (DES, Purpose.MASTER, Algorithm.DES3),
    KMC_AES: (AES, Purpose.MASTER, Algorithm.AES),
    TRANSPORT: (TK, Purpose.TRANSPORT, Algorithm.DES3),
    TRANSPORT_AES: (TK_AES, Purpose.TRANSPORT, Algorithm.AES),
}
KDD = bytes(range(10))
PIN = bytes.fromhex("24123456FFFFFFFF")
CARD = CardKeys(master=KMC, recipe=recipe("emv"), kdd=KDD)
CARD_AES = CardKeys(master=KMC_AES, recipe=recipe("kdf3"), kdd=KDD)
DEK = Dek(card=CARD, derivation=scp02(Base.DEK, 0x0181, b"\0\1"), wrap=Wrap.DES3_ECB)
ENC = {"enc": scp02(Base.ENC, 0x0182, b"\0\1")}
STATIC = Derivation(base=Base.DEK, method=Method.STATIC)
DEK_AES = Dek(card=CARD_AES, derivation=STATIC, wrap=Wrap.AES_CBC)


def register(store: KeyStore, key: KeyId, value: bytes | None = None) -> KeyInfo:
    own, purpose, algorithm = KEYS[key]
    return store.import_key(
        key, own if value is None else value, name=f"key {key}", purpose=purpose, algorithm=algorithm, mode=Mode.TEST
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def stocked(path: Path) -> SoftKeyStore:
    made = SoftKeyStore.create(path, PASSPHRASE)
    for key in KEYS:
        register(made, key)
    return made


@pytest.fixture
def store(path: Path) -> SoftKeyStore:
    """Return a store of the test's own, at *path*."""
    return stocked(path)


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> SoftKeyStore:
    """Return a store for tests that change nothing."""
    return stocked(tmp_path_factory.mktemp("keystore") / "keys.json")


def static(base: Base, value: bytes = DES, name: str = "emv") -> bytes:
    return diversify(recipe(name), base, value, KDD)


def test_it_is_a_key_store(keystore: SoftKeyStore) -> None:
    """A type checker sees the port satisfied; its KEY is its file's name."""
    port: KeyStore = keystore
    assert port.KEY == "soft"


def test_keys_are_shown_by_id_with_their_check_values(keystore: SoftKeyStore) -> None:
    """Size in bits and KCV; the 3DES one is the published one of 40..4F."""
    shown = keystore.keys()
    assert [info.id for info in shown] == [KMC, KMC_AES, TRANSPORT, TRANSPORT_AES]
    assert keystore.info(KMC) == KeyInfo(
        id=KMC, name=f"key {KMC}", purpose=Purpose.MASTER, algorithm=Algorithm.DES3, size=128, mode=Mode.TEST, kcv="8BAF47"
    )
    assert [info.size for info in shown] == [128, 256, 192, 128]


def test_keys_survive_in_the_file(store: SoftKeyStore, path: Path) -> None:
    """Opened again, the same keys are there and the store's own keys too; nobody else may read the file."""
    again = SoftKeyStore.open(path, PASSPHRASE)
    assert again.keys() == store.keys()
    assert again.authenticate(b"message") == store.authenticate(b"message")
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in path.parent.iterdir()) == ["keys.json", "keys.json.lock"]


@pytest.mark.parametrize("passphrase", [b"", b"Correct horse", PASSPHRASE + b"\n"])
def test_a_wrong_passphrase_is_said_to_be_wrong(store: SoftKeyStore, path: Path, passphrase: bytes) -> None:
    """It isn't taken for a damaged file."""
    with pytest.raises(KeyStoreError, match="wrong passphrase"):
        SoftKeyStore.open(path, passphrase)


def test_opening_and_creating_are_two_things(store: SoftKeyStore, path: Path) -> None:
    """A misspelt path makes no new store, and a new store overwrites none."""
    before = path.read_bytes()
    with pytest.raises(KeyStoreError, match="no key store"):
        SoftKeyStore.open(path.with_name("other.json"), PASSPHRASE)
    with pytest.raises(KeyStoreError, match="already"):
        SoftKeyStore.create(path, PASSPHRASE)
    with pytest.raises(KeyStoreError, match="can't be locked"):
        SoftKeyStore.create(path.parent / "absent" / "keys.json", PASSPHRASE)
    with pytest.raises(KeyStoreError, match="passphrase"):
        SoftKeyStore.create(path.with_name("other.json"), b"")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", "\xff", '{"version": 2}', '{"version": 1, "keys": []}', '{"version": 1, "keys": [1]}'],
)
def test_a_damaged_file_is_said_to_be_damaged(path: Path, text: str) -> None:
    """Whatever is in the file, it is a KeyStoreError that names the file."""
    path.write_text(text, encoding="latin-1")
    with pytest.raises(KeyStoreError, match=r"keys\.json can't be used"):
        SoftKeyStore.open(path, PASSPHRASE)


def test_a_directory_is_no_key_store(path: Path) -> None:
    """The operating system's refusal is a KeyStoreError too."""
    path.mkdir()
    with pytest.raises(KeyStoreError, match="can't be read"):
        SoftKeyStore.open(path, PASSPHRASE)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("id", "2B0601FF"),
        ("name", "other"),
        ("purpose", "transport"),
        ("algorithm", "AES"),
        ("size", 192),
        ("mode", "PRODUCTION"),
        ("kcv", "000000"),
    ],
)
def test_no_shown_attribute_can_be_altered(store: SoftKeyStore, path: Path, attribute: str, value: object) -> None:
    """What is shown of a key is bound to its value: a test key can't be made a production key with an editor."""
    raw = json.loads(path.read_text())
    assert raw["keys"][0][attribute] != value
    raw["keys"][0][attribute] = value
    path.write_text(json.dumps(raw))
    with pytest.raises(KeyStoreError, match="damaged: key"):
        SoftKeyStore.open(path, PASSPHRASE)
    with pytest.raises(KeyStoreError, match="damaged: key"):
        store.keys()


@pytest.mark.parametrize(
    ("attribute", "value"), [("mode", "test"), ("purpose", None), ("size", "128"), ("sealed", "XX"), ("id", 1)]
)
def test_an_attribute_of_another_kind_is_damage(store: SoftKeyStore, path: Path, attribute: str, value: object) -> None:
    """Unknown words and types are refused when the file is read."""
    raw = json.loads(path.read_text())
    raw["keys"][0][attribute] = value
    path.write_text(json.dumps(raw))
    with pytest.raises(KeyStoreError, match="can't be used"):
        SoftKeyStore.open(path, PASSPHRASE)


@pytest.mark.parametrize("name", ["wrapping", "audit"])
def test_the_stores_own_keys_can_not_be_exchanged(store: SoftKeyStore, path: Path, name: str) -> None:
    """Each of them opens in its own place only."""
    raw = json.loads(path.read_text())
    raw[name] = raw["audit" if name == "wrapping" else "wrapping"]
    path.write_text(json.dumps(raw))
    with pytest.raises(KeyStoreError, match=f"its {name} key"):
        SoftKeyStore.open(path, PASSPHRASE)


def test_another_store_under_the_same_path_is_noticed(store: SoftKeyStore, path: Path) -> None:
    """A store that was replaced since it was opened isn't written to."""
    path.unlink()
    SoftKeyStore.create(path, PASSPHRASE)
    with pytest.raises(KeyStoreError, match="replaced"):
        store.keys()


def test_the_same_key_again_is_no_error(store: SoftKeyStore, path: Path) -> None:
    """A repeated ceremony changes nothing; its first name stays."""
    before = path.read_bytes()
    info = store.import_key(KMC, DES, name="another name", purpose=Purpose.MASTER, algorithm=Algorithm.DES3, mode=Mode.TEST)
    assert info == store.info(KMC)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("value", "purpose", "algorithm", "mode"),
    [
        (DES[::-1], Purpose.MASTER, Algorithm.DES3, Mode.TEST),
        (DES, Purpose.TRANSPORT, Algorithm.DES3, Mode.TEST),
        (DES, Purpose.MASTER, Algorithm.AES, Mode.TEST),
        (DES, Purpose.MASTER, Algorithm.DES3, Mode.PRODUCTION),
    ],
)
def test_an_id_is_used_once(store: SoftKeyStore, value: bytes, purpose: Purpose, algorithm: Algorithm, mode: Mode) -> None:
    """Another value, or the same for another use, is refused."""
    with pytest.raises(KeyStoreError, match="registered already"):
        store.import_key(KMC, value, name="", purpose=purpose, algorithm=algorithm, mode=mode)
    assert store.info(KMC).kcv == "8BAF47"


@pytest.mark.parametrize(
    ("value", "algorithm", "purpose", "fault"),
    [
        (bytes(range(15)), Algorithm.AES, Purpose.MASTER, "not 15"),
        (bytes(range(8)), Algorithm.DES3, Purpose.TRANSPORT, "not 8"),
        (bytes(range(32)), Algorithm.DES3, Purpose.TRANSPORT, "not 32"),
        (bytes(range(8)) * 2, Algorithm.DES3, Purpose.MASTER, "single DES"),
        (bytes(range(24)), Algorithm.DES3, Purpose.MASTER, "master key has 16 bytes, not 24"),
    ],
)
def test_weak_values_are_not_registered(
    keystore: SoftKeyStore, value: bytes, algorithm: Algorithm, purpose: Purpose, fault: str
) -> None:
    """Wrong lengths and single DES are refused, without the value in the message."""
    with pytest.raises(KeyStoreError, match=fault) as raised:
        keystore.import_key(KeyId("2B06"), value, name="", purpose=purpose, algorithm=algorithm, mode=Mode.TEST)
    assert_silent(raised.value, value)
    assert len(keystore.keys()) == 4


@pytest.mark.parametrize("key", ["", "2b06", "2B0", "1.3.6.1", " 2B06"])
def test_an_id_is_upper_case_hex(keystore: SoftKeyStore, key: str) -> None:
    """A key that nothing could find by its UniqueID isn't registered."""
    with pytest.raises(KeyStoreError, match="upper-case hex"):
        keystore.import_key(KeyId(key), DES, name="", purpose=Purpose.MASTER, algorithm=Algorithm.DES3, mode=Mode.TEST)


def _import(path: Path, first: int) -> None:
    store = SoftKeyStore.open(path, PASSPHRASE)
    for number in range(first, first + 10):
        key = KeyId(f"2A{number:02X}")
        value = bytes((number,)) + AES[1:]
        store.import_key(key, value, name="", purpose=Purpose.MASTER, algorithm=Algorithm.AES, mode=Mode.TEST)


def test_two_processes_importing_at_once_lose_no_key(store: SoftKeyStore, path: Path) -> None:
    """Every key is there in the end, also in a store that was opened before."""
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_import, args=(path, first)) for first in (0, 10, 20)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert store.info(KeyId("2A1D")).size == 256
    assert len(store.keys()) == 4 + 30
    assert len(SoftKeyStore.open(path, PASSPHRASE).keys()) == 34


def test_scp02_session_keys_come_from_the_diversified_keys(keystore: SoftKeyStore) -> None:
    """Each key from its own base key by 3DES-CBC."""
    wanted = {"enc": scp02(Base.ENC, 0x0182, b"\0\1"), "mac": scp02(Base.MAC, 0x0101, b"\0\1")}
    assert keystore.session_keys(CARD, wanted) == {
        "enc": crypto.des3_cbc_encrypt(static(Base.ENC), bytes.fromhex("01820001") + bytes(12)),
        "mac": crypto.des3_cbc_encrypt(static(Base.MAC), bytes.fromhex("01010001") + bytes(12)),
    }


def test_scp03_session_keys_are_as_long_as_the_static_ones(keystore: SoftKeyStore) -> None:
    """L in the derivation data is the static key's length where the channel doesn't give one."""
    wanted = {"enc": scp03(Base.ENC, 4, b"context"), "challenge": scp03(Base.ENC, 2, b"context", 64)}
    made = keystore.session_keys(CARD_AES, wanted)
    key = static(Base.ENC, AES, "kdf3")
    assert made["enc"] == crypto.kbkdf_cmac(key, bytes(11) + bytes.fromhex("04000100"), b"context", 256)
    assert made["challenge"] == crypto.kbkdf_cmac(key, bytes(11) + bytes.fromhex("02000040"), b"context", 64)


def test_a_static_key_never_comes_out(keystore: SoftKeyStore) -> None:
    """Session keys are derived ones; recipe none would hand out the master itself."""
    for card in (CARD, CardKeys(master=KMC, recipe=recipe("none"), kdd=KDD)):
        with pytest.raises(KeyStoreError, match="never leaves"):
            keystore.session_keys(card, {"enc": STATIC})


@pytest.mark.parametrize(
    ("master", "name", "wanted"),
    [
        (KMC, "kdf3", scp03(Base.ENC, 4, b"")),
        (KMC, "none", scp03(Base.ENC, 4, b"")),
        (KMC_AES, "emv", scp02(Base.ENC, 0x0182, b"\0\1")),
        (KMC_AES, "none", scp02(Base.ENC, 0x0182, b"\0\1")),
        (KMC, "kdf3", scp02(Base.ENC, 0x0182, b"\0\1")),
    ],
)
def test_ciphers_are_not_mixed(keystore: SoftKeyStore, master: KeyId, name: str, wanted: Derivation) -> None:
    """A 3DES key isn't used for AES although both have 16 bytes, neither by a recipe nor by a channel."""
    with pytest.raises(KeyStoreError, match="must be the same"):
        keystore.session_keys(CardKeys(master=master, recipe=recipe(name), kdd=KDD), {"enc": wanted})


def test_ill_made_derivations_are_errors_of_the_key_store(keystore: SoftKeyStore) -> None:
    """Wrong lengths of diversification or derivation data don't escape as anything else."""
    with pytest.raises(KeyStoreError, match="10 bytes, not 9"):
        keystore.session_keys(CardKeys(master=KMC, recipe=recipe("emv"), kdd=KDD[:9]), ENC)
    with pytest.raises(KeyStoreError, match="16 bytes of derivation data"):
        keystore.session_keys(CARD, {"enc": scp02(Base.ENC, 0x0182, b"\0")})


def test_purposes_are_kept_apart(keystore: SoftKeyStore) -> None:
    """A transport key derives no card keys, and a master key opens no values."""
    with pytest.raises(KeyStoreError, match="is registered as transport key and can't serve as master"):
        keystore.session_keys(CardKeys(master=TRANSPORT, recipe=recipe("emv"), kdd=KDD), ENC)
    with pytest.raises(KeyStoreError, match="is registered as master key and can't serve as transport"):
        keystore.translate(PIN, Transport(key=KMC, cbc=False), DEK)


def test_unknown_keys_are_named(keystore: SoftKeyStore) -> None:
    """The error says which key is missing."""
    absent = KeyId("2B06FF")
    with pytest.raises(KeyStoreError, match="2B06FF isn't registered"):
        keystore.info(absent)
    with pytest.raises(KeyStoreError, match="2B06FF isn't registered"):
        keystore.translate(PIN, Transport(key=absent, cbc=False), DEK)
    with pytest.raises(KeyStoreError, match="2B06FF isn't registered"):
        keystore.session_keys(CardKeys(master=absent, recipe=recipe("emv"), kdd=KDD), ENC)


def opened(dek: Dek, value: bytes) -> bytes:
    """Decrypt as the card does."""
    if dek is DEK:
        key = crypto.des3_cbc_encrypt(static(Base.DEK), bytes.fromhex("01810001") + bytes(12))
        return crypto.des3_ecb_decrypt(key, value)
    return crypto.aes_cbc_decrypt(static(Base.DEK, AES, "kdf3"), value)


@pytest.mark.parametrize("dek", [DEK, DEK_AES], ids=["SCP02", "SCP03"])
@pytest.mark.parametrize("size", [16, 128])
def test_translate_goes_from_any_transport_to_the_card(keystore: SoftKeyStore, dek: Dek, size: int) -> None:
    """ECB, CBC with zero and other IV, under 3DES and AES, and clear: the card reads the value."""
    value = bytes(range(size))
    iv8, iv16 = b"8 bytes.", b"sixteen bytes iv"
    transports = [
        (crypto.des3_ecb_encrypt(TK, value), Transport(key=TRANSPORT, cbc=False)),
        (crypto.des3_cbc_encrypt(TK, value), Transport(key=TRANSPORT, cbc=True)),
        (crypto.des3_cbc_encrypt(TK, value, iv8), Transport(key=TRANSPORT, cbc=True, iv=iv8)),
        (crypto.aes_ecb_encrypt(TK_AES, value), Transport(key=TRANSPORT_AES, cbc=False)),
        (crypto.aes_cbc_encrypt(TK_AES, value), Transport(key=TRANSPORT_AES, cbc=True)),
        (crypto.aes_cbc_encrypt(TK_AES, value, iv16), Transport(key=TRANSPORT_AES, cbc=True, iv=iv16)),
        (value, None),
    ]
    for sealed, transport in transports:
        assert opened(dek, keystore.translate(sealed, transport, dek)) == value


def test_a_pin_block_is_one_3des_block(keystore: SoftKeyStore) -> None:
    """Eight bytes go to an SCP02 card, and to no SCP03 card."""
    sealed = crypto.des3_ecb_encrypt(TK, PIN)
    assert opened(DEK, keystore.translate(sealed, Transport(key=TRANSPORT, cbc=False), DEK)) == PIN
    with pytest.raises(KeyStoreError, match="8 bytes isn't whole aes-cbc blocks of 16"):
        keystore.translate(sealed, Transport(key=TRANSPORT, cbc=False), DEK_AES)


@pytest.mark.parametrize("size", [0, 1, 7, 9, 15])
def test_what_is_not_whole_blocks_is_refused(keystore: SoftKeyStore, size: int) -> None:
    """Nothing is padded: that is data preparation's."""
    for transport in (None, Transport(key=TRANSPORT, cbc=False)):
        with pytest.raises(KeyStoreError, match="whole 3des-ecb blocks"):
            keystore.translate(bytes(size), transport, DEK)


def test_half_a_transport_block_is_refused(keystore: SoftKeyStore) -> None:
    """Eight bytes can't stand under an AES key."""
    with pytest.raises(KeyStoreError, match="isn't whole blocks of 16"):
        keystore.translate(PIN, Transport(key=TRANSPORT_AES, cbc=True), DEK)


@pytest.mark.parametrize(
    "transport",
    [
        Transport(key=TRANSPORT, cbc=True, iv=bytes(16)),
        Transport(key=TRANSPORT, cbc=False, iv=bytes(8)),
        Transport(key=TRANSPORT_AES, cbc=True, iv=bytes(8)),
    ],
)
def test_an_iv_that_does_not_suit_is_refused(keystore: SoftKeyStore, transport: Transport) -> None:
    """An IV has the block's length, and ECB has none."""
    with pytest.raises(KeyStoreError, match="IV of"):
        keystore.translate(bytes(16), transport, DEK)


def test_each_session_has_its_own_dek(keystore: SoftKeyStore) -> None:
    """The key kept from one value to the next isn't used for another session, card or master."""
    value = bytes(16)
    others = [
        DEK,
        Dek(card=CARD, derivation=scp02(Base.DEK, 0x0181, b"\0\2"), wrap=Wrap.DES3_ECB),
        Dek(card=CardKeys(master=KMC, recipe=recipe("emv"), kdd=KDD[::-1]), derivation=DEK.derivation, wrap=Wrap.DES3_ECB),
        Dek(card=CardKeys(master=KMC, recipe=recipe("visa2"), kdd=KDD), derivation=DEK.derivation, wrap=Wrap.DES3_ECB),
    ]
    made = [keystore.translate(value, None, dek) for dek in others]
    assert len(set(made)) == len(others)
    assert [keystore.translate(value, None, dek) for dek in others] == made


def test_the_wrap_must_suit_the_master(keystore: SoftKeyStore) -> None:
    """A static 3DES key isn't used as an AES DEK, nor the other way round."""
    for card, wrap in ((CARD, Wrap.AES_CBC), (CARD_AES, Wrap.DES3_ECB)):
        with pytest.raises(KeyStoreError, match="must be the same"):
            keystore.translate(bytes(16), None, Dek(card=card, derivation=STATIC, wrap=wrap))


def test_data_keys_are_wrapped_by_their_store(store: SoftKeyStore, path: Path) -> None:
    """A wrapped data key opens in the same store, also opened again, and in no other one."""
    key, wrapped = store.new_data_key()
    assert len(key.value) == 32
    assert SoftKeyStore.open(path, PASSPHRASE).unwrap(wrapped) == key
    assert store.new_data_key()[0] != key
    other = SoftKeyStore.create(path.with_name("other.json"), PASSPHRASE)
    flipped = wrapped[:-1] + bytes((wrapped[-1] ^ 1,))
    for holder, wrong in ((other, wrapped), (store, wrapped[:-1]), (store, b""), (store, flipped)):
        with pytest.raises(KeyStoreError, match="data key doesn't open"):
            holder.unwrap(wrong)


def test_the_audit_mac_is_the_stores_own(store: SoftKeyStore, path: Path) -> None:
    """Sixteen bytes that depend on message and store."""
    mac = store.authenticate(b"head")
    assert len(mac) == 16
    assert store.authenticate(b"heaD") != mac
    assert SoftKeyStore.create(path.with_name("other.json"), PASSPHRASE).authenticate(b"head") != mac


def test_nothing_secret_prints_or_is_stored_clear(store: SoftKeyStore, path: Path) -> None:
    """No registered value, data key or passphrase is in a repr, an error or the file."""
    key, wrapped = store.new_data_key()
    store.translate(PIN, None, DEK)
    secrets = [DES, AES, TK, TK_AES, PIN, PASSPHRASE, key.value, static(Base.DEK)]
    shown: list[object] = [store, *store.keys(), key, DataKey(AES), path.read_text(), wrapped, CARD, DEK]
    for value in shown:
        assert_silent(value, *secrets)
    file = path.read_bytes()
    assert not any(secret in file for secret in secrets)


def test_no_error_prints_what_it_is_about(store: SoftKeyStore, path: Path) -> None:
    """Values and keys stay out of every kind of message, its causes and its arguments."""
    absent, tampered = KeyId("2B06FF"), path.with_name("tampered.json")
    tampered.write_text(path.read_text().replace('"TEST"', '"PRODUCTION"', 1))
    attempts: list[Callable[[], object]] = [
        lambda: register(store, KMC, DES[::-1]),
        lambda: register(store, TRANSPORT, TK[:8] * 3),
        lambda: register(store, KMC_AES, AES[:31]),
        lambda: store.translate(TK[:15], None, DEK),
        lambda: store.translate(TK[:16], Transport(key=absent, cbc=False), DEK),
        lambda: store.translate(TK[:16], Transport(key=TRANSPORT, cbc=True, iv=DES), DEK),
        lambda: store.session_keys(CARD, {"dek": STATIC}),
        lambda: store.unwrap(DES * 4),
        lambda: SoftKeyStore.open(path, PASSPHRASE + b"!"),
        lambda: SoftKeyStore.open(tampered, PASSPHRASE),
        lambda: SoftKeyStore.create(path, PASSPHRASE),
    ]
    secrets = [DES, DES[::-1], AES, AES[:31], TK, TK[:16], TK[:15], TK[:8] * 3, PASSPHRASE, static(Base.DEK)]
    for attempt in attempts:
        with pytest.raises(KeyStoreError) as raised:
            attempt()
        error: BaseException | None = raised.value
        while error is not None:
            assert_silent(error, *secrets)
            error = error.__cause__ or error.__context__


def test_a_session_key_may_come_by_ecb(keystore: SoftKeyStore) -> None:
    """SCP01 enciphers both challenges block by block under the diversified key; a part of a block is refused."""
    before = bytes(range(16))
    ecb = Derivation(base=Base.MAC, method=Method.DES3_ECB, before=before)
    assert keystore.session_keys(CARD, {"mac": ecb}) == {"mac": crypto.des3_ecb_encrypt(static(Base.MAC), before)}
    with pytest.raises(KeyStoreError, match="16 bytes of derivation data"):
        keystore.session_keys(CARD, {"mac": replace(ecb, before=before[:8])})
    with pytest.raises(KeyStoreError, match="must be the same"):
        keystore.session_keys(CARD_AES, {"mac": ecb})


def test_a_value_may_go_under_the_dek_by_cbc(keystore: SoftKeyStore) -> None:
    """An SCP02 session with implicit initiation takes it so, from a zero IV."""
    value = bytes(range(16))
    key = crypto.des3_cbc_encrypt(static(Base.DEK), bytes.fromhex("01810001") + bytes(12))
    cbc = replace(DEK, wrap=Wrap.DES3_CBC)
    assert keystore.translate(value, None, cbc) == crypto.des3_cbc_encrypt(key, value)
    assert keystore.translate(value, None, DEK) == crypto.des3_ecb_encrypt(key, value)
    with pytest.raises(KeyStoreError, match="isn't whole 3des-cbc blocks of 8"):
        keystore.translate(value[:9], None, cbc)


CA, HOST = Key("ca"), Key("host")
CHAIN = (issue("GlobalPlatform", Key("middle"), CA, SIGNS), issue("GlobalPlatform", HOST, Key("middle")))


def register_agreement(
    store: KeyStore, value: bytes = HOST.private, algorithm: Algorithm = Algorithm.P256, chain: tuple[bytes, ...] = CHAIN
) -> KeyInfo:
    """Register an agreement key."""
    purpose = Purpose.AGREEMENT
    return store.import_key(
        KeyId("2B0611"), value, name="host", purpose=purpose, algorithm=algorithm, mode=Mode.TEST, certificates=chain
    )


@pytest.mark.parametrize("v", vectors("scp11_openscp"), ids=lambda v: str(v["id"]))
def test_agreed_keys_make_the_published_receipts(path: Path, v: Vector) -> None:
    """On each curve and with each key size: the secret of the off-card entity's static key never comes out, the keys do."""
    curve, size = crypto.Curve(v["curve"]), v["key_size"]
    store, chain = SoftKeyStore.create(path, PASSPHRASE), (bytes.fromhex(v["cert_oce"]),)
    info = register_agreement(store, bytes.fromhex(v["sk_oce"]), Algorithm(v["curve"]), chain)
    assert (info.size, store.certificates(info.id)) == (8 * curve.size, chain)
    sent = bytes.fromhex(v["mutual_authenticate"]["command"])[5:-1]
    answer = bytes.fromhex(v["mutual_authenticate"]["response"])[:-2]
    point, receipt = answer[3 : 4 + 2 * curve.size], answer[-16:]
    shared = crypto.ecdh(curve, bytes.fromhex(v["esk_oce"]), point)
    static = parse(bytes.fromhex(v["cert_sd"])).point
    agreement = Agreement(shared=shared, peer=static, info=bytes((0x3C, 0x88, size)), size=size, number=0)
    keys = store.session_keys(CardKeys(master=info.id, recipe=recipe("none"), kdd=b""), {"receipt": agreement})
    assert crypto.cmac(keys["receipt"], sent + answer[:-18]) == receipt


def test_agreed_keys_are_cut_from_one_stream(path: Path) -> None:
    """With no peer nothing but what is given goes in, as X9.63 has it (SCP11b)."""
    v = vectors("scp11_pkcs11rs", type="key-derivation")[0]
    store = SoftKeyStore.create(path, PASSPHRASE)
    card = CardKeys(master=KeyId(""), recipe=recipe("none"), kdd=b"")
    wanted = {
        str(number): Agreement(
            shared=bytes.fromhex(v["shared_secret"]), peer=None, info=bytes.fromhex(v["shared_info"]), size=16, number=number
        )
        for number in range(5)
    }
    assert b"".join(store.session_keys(card, wanted).values()).hex().upper() == v["key_data"]


@pytest.mark.parametrize(
    ("value", "algorithm", "chain", "said"),
    [
        (HOST.private, Algorithm.P256, (), "needs its chain"),
        (HOST.private, Algorithm.P256, CHAIN[:1], "is for another key"),
        (CA.private, Algorithm.P256, CHAIN, "is for another key"),
        (HOST.private, Algorithm.BRAINPOOL_P256, CHAIN, "is for another key"),
        (HOST.private, Algorithm.P256, (*CHAIN, b"\x30\x00"), "no X.509 certificate"),
        (HOST.private[:-1], Algorithm.P256, CHAIN, "has 32 bytes, not 31"),
        (bytes(32), Algorithm.P256, CHAIN, "2B0611"),
        (AES, Algorithm.AES, CHAIN, "can't serve as agreement"),
    ],
)
def test_an_agreement_key_comes_with_its_certificates(
    path: Path, value: bytes, algorithm: Algorithm, chain: tuple[bytes, ...], said: str
) -> None:
    """The last of them must be for it; nothing is registered where it isn't."""
    store = SoftKeyStore.create(path, PASSPHRASE)
    with pytest.raises(KeyStoreError, match=said) as refused:
        register_agreement(store, value, algorithm, chain)
    assert_silent(refused.value, HOST.private, CA.private, AES)
    assert store.keys() == ()


def test_only_an_agreement_key_agrees(store: SoftKeyStore) -> None:
    """Nor does one serve as master or transport key; a point of another curve is refused, and none of it shows."""
    info = register_agreement(store)
    agreement = Agreement(shared=b"", peer=CA.point, info=b"", size=16, number=0)
    with pytest.raises(KeyStoreError, match="is registered as master key and can't serve as agreement"):
        store.session_keys(CARD, {"enc": agreement})
    card = CardKeys(master=info.id, recipe=recipe("emv"), kdd=KDD)
    with pytest.raises(KeyStoreError, match="is registered as agreement key and can't serve as master"):
        store.session_keys(card, ENC)
    for peer in (Key("brainpool", crypto.Curve.BRAINPOOL_P256).point, Key("big", crypto.Curve.P384).point, b""):
        wrong = Agreement(shared=b"", peer=peer, info=b"", size=16, number=0)
        with pytest.raises(KeyStoreError, match="is on P-256, and the card's isn't") as refused:
            store.session_keys(card, {"enc": wrong})
        assert_silent(refused.value, HOST.private)
    with pytest.raises(KeyStoreError, match="can't serve as transport"):
        store.import_key(
            KeyId("2B0612"), HOST.private, name="", purpose=Purpose.TRANSPORT, algorithm=Algorithm.P256, mode=Mode.TEST
        )
    with pytest.raises(KeyStoreError, match="a master key has no certificates"):
        store.import_key(
            KeyId("2B0612"),
            AES,
            name="",
            purpose=Purpose.MASTER,
            algorithm=Algorithm.AES,
            mode=Mode.TEST,
            certificates=CHAIN,
        )


def test_certificates_survive_and_can_not_be_altered(store: SoftKeyStore, path: Path) -> None:
    """They stand in the file, bound to their key; the same key with other ones is another key."""
    info = register_agreement(store)
    assert SoftKeyStore.open(path, PASSPHRASE).certificates(info.id) == CHAIN
    assert store.certificates(KMC) == ()
    register_agreement(store)
    with pytest.raises(KeyStoreError, match="registered already with another value"):
        register_agreement(store, chain=CHAIN[1:])
    table = json.loads(path.read_text())
    next(each for each in table["keys"] if each["id"] == info.id)["certificates"] = [CHAIN[1].hex()]
    path.write_text(json.dumps(table))
    with pytest.raises(KeyStoreError, match="doesn't open as described"):
        SoftKeyStore.open(path, PASSPHRASE)


def test_values_travel_under_an_agreed_dek(store: SoftKeyStore) -> None:
    """SCP11's session DEK stays in the key store as SCP02's does."""
    info = register_agreement(store)
    agreement = Agreement(shared=b"ephemeral", peer=CA.point, info=b"info", size=32, number=4)
    dek = Dek(card=CardKeys(master=info.id, recipe=recipe("none"), kdd=b""), derivation=agreement, wrap=Wrap.AES_CBC)
    secret = b"ephemeral" + crypto.ecdh(crypto.Curve.P256, CA.private, HOST.point)
    key = crypto.x963_kdf(secret, b"info", 160)[128:]
    assert crypto.aes_cbc_decrypt(key, store.translate(bytes(range(16)), None, dek)) == bytes(range(16))
