"""No PAN, name, key or PIN block stands anywhere but in the issuer's file and on the card."""

from base64 import b64encode
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from bureau.containers import RefusedError
from tests.e2e import expected, secrecy
from tests.e2e.bureaus import BLUE, FOUR, GOLD, Bureau, Station
from tests.e2e.expected import EXPORT, NATIVE, PAYMENT, SINGLE, Secret

FILES = (PAYMENT, SINGLE, EXPORT, NATIVE)
TEST_KEYS = Path(__file__).parents[2] / "config" / "demo" / "test-keys.toml"


@pytest.fixture(scope="module")
def secrets() -> set[Secret]:
    """All secrets of all samples."""
    return expected.secrets(*FILES)


def kept(bureau: Bureau) -> list[Path]:
    """Return every file of the bureau but the worlds' journals."""
    files = [path for path in bureau.plant.settings.home.rglob("*") if path.is_file() and bureau.worlds not in path.parents]
    assert {"ledger.sqlite", "ledger.sqlite-wal", "keystore.json"} <= {path.name for path in files}
    return files


def test_nothing_is_betrayed_while_cards_are_made(bureau: Bureau, log: StringIO, secrets: set[Secret]) -> None:
    """Ledger, its WAL, key store, trails and logs hold no secret: after submission, in mid-card, and when all is done."""
    bureau.equip(*FOUR)
    jobs = [job for file in FILES for job in bureau.submit(file)]
    assert secrecy.search(kept(bureau), secrets) == {}
    bureau.release(jobs)
    assert bureau.run("sim3") == 11
    assert secrecy.search(kept(bureau), secrets) == {}
    bureau.run_all()
    assert len(bureau.touched()) == 14
    assert secrecy.search(kept(bureau), secrets) == {}
    assert "card_settled" in log.getvalue()
    assert secrecy.found(log.getvalue().encode(), secrets) == {}


def test_nothing_is_betrayed_when_things_go_wrong(bureau: Bureau, log: StringIO, secrets: set[Secret]) -> None:
    """Neither the causes in the ledger nor the logs quote a card that failed."""
    defects = {1: "dead = true", 2: "mute_at = 20", 3: "mute_after = 22", 4: "memory = 100", 5: "refused_dgis = [513]"}
    bureau.equip(Station(name="sim1", seed=1, blanks={BLUE: 20, GOLD: 5}, defects=defects | {6: "wrong_keys = true"}))
    bureau.take(PAYMENT)
    bureau.run()
    assert "blank_returned" in log.getvalue()
    assert secrecy.search(kept(bureau), secrets) == {}
    assert secrecy.found(log.getvalue().encode(), secrets) == {}


@pytest.mark.parametrize("wrong", ["ZZ", "0", ""], ids=["no hex", "odd", "cut"])
def test_a_refusal_quotes_no_value(bureau: Bureau, log: StringIO, secrets: set[Secret], tmp_path: Path, wrong: str) -> None:
    """A file whose values are all damaged is refused without quoting one of them."""
    file = tmp_path / "damaged.xml"
    text = PAYMENT.read_text().replace('"/>', f'{wrong}"/>') if wrong else PAYMENT.read_text()[:-4000]
    file.write_text(text)
    with pytest.raises(RefusedError) as refused:
        bureau.submit(file)
    shown = "\n".join([str(refused.value), repr(refused.value), *map(str, refused.value.problems)])
    assert refused.value.problems
    assert secrecy.found((shown + log.getvalue()).encode(), secrets) == {}
    assert secrecy.search(kept(bureau), secrets) == {}


def test_the_search_finds_every_secret_where_it_must_be(bureau: Bureau, secrets: set[Secret]) -> None:
    """The same search finds all of them in the sample files, the key table and the worlds: it isn't blind."""
    bureau.equip(*FOUR)
    bureau.take(PAYMENT, SINGLE, EXPORT)
    bureau.run_all()
    samples = secrecy.found(b"".join(file.read_bytes() for file in FILES), secrets)
    world = secrecy.found(b"".join(file.read_bytes() for file in bureau.worlds.iterdir()), secrets)
    assert set(samples) == {secret for secret in secrets if secret.in_file}
    assert set(world) == {secret for secret in secrets if secret.on_card}
    others = secrets - set(samples) - set(world)
    assert {secret.kind for secret in others} == {"transport key", "master key"}
    assert set(secrecy.found(TEST_KEYS.read_bytes(), secrets)) == others
    assert {secret.kind for secret in world} == {"PAN", "name", "key", "PIN block"}


def _written(value: bytes) -> Iterator[bytes]:
    yield value
    yield value.hex().encode()
    yield value.hex().upper().encode()
    for before in (b"", b"#", b"##", b"###"):
        yield b64encode(before + value + b"!")
        yield b64encode(before + value)


@pytest.mark.parametrize("kind", ["PAN", "name", "key", "PIN block"])
def test_the_search_finds_every_form(secrets: set[Secret], kind: str) -> None:
    """ASCII, hex of both cases, BCD with and without F padding, raw bytes and base64 wherever it begins are all found."""
    for secret in (each for each in secrets if each.kind == kind):
        texts = list(_written(secret.value))
        if kind == "PAN":
            digits = secret.value.decode()
            texts += [form for padded in (digits, digits + "FFFF") for form in _written(bytes.fromhex(padded))]
            texts += _written(bytes.fromhex(f"0{digits}F"))
        for text in texts:
            assert secret in secrecy.found(b"\x00 " + text + b" \xff", [secret])


def test_the_samples_hold_every_kind_of_secret(secrets: set[Secret]) -> None:
    """14 PANs, the names of 19 cardholders, 48 bytes of keys and one PIN block for each payment card are looked for."""
    kinds = [secret.kind for secret in secrets]
    assert kinds.count("PAN") == 14
    assert {secret.value for secret in secrets if secret.kind == "name"} >= {b"DOE/JANE", b"MUSTERMANN/ERIKA", b"GARCIA/ANA"}
    assert kinds.count("PIN block") >= 2
    assert kinds.count("key") >= 11 * 2 * 3
