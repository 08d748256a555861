"""Files on their way in: whose keys they name, and what is left of them when they are refused late."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from bureau.containers import RefusedError
from bureau.ledger import schema, views
from bureau.service import register, submit
from hardware.keystores import Algorithm, KeyId, Mode, Purpose
from tests.e2e.batches import standard_job
from tests.e2e.bureaus import ACTOR, Bureau, Station
from tests.e2e.expected import PAYMENT
from tests.typed import Typed

NATIVE = PAYMENT.with_name("native-static-batch.xml")
PRODUCTION_KEY = KeyId("2B0601040181FD5963A1")


def entries(bureau: Bureau) -> list[str]:
    """Return the actions in the audit log, the oldest first."""
    with bureau.plant.ledger.read() as connection:
        return list(connection.execute(select(schema.audit.c.action).order_by(schema.audit.c.number)).scalars())


def test_a_file_may_hold_a_test_and_a_production_job(bureau: Bureau, tmp_path: Path) -> None:
    """Each job has the mode of the keys that it names itself."""
    register.import_key(
        bureau.plant,
        register.Key(
            id=PRODUCTION_KEY, name="TK-PROD", purpose=Purpose.TRANSPORT, algorithm=Algorithm.DES3, mode=Mode.PRODUCTION,
            value=bytes(range(1, 32, 2)),
        ),
        ACTOR,
    )  # fmt: skip
    environment = re.search(r"<EnvironmentContainer.*</EnvironmentContainer>", NATIVE.read_text(encoding="utf-8"), re.DOTALL)
    assert environment is not None
    secret = '<Data DataElement="NAME" Value="444F452F4A414E45"/>'
    assert secret in environment[0]
    key = f'<p:TransportKey xmlns:p="http://namespaces.globalplatform.org/systems-profiles/1.2.0" ID="{PRODUCTION_KEY}"/>'
    native = environment[0].replace(secret, "", 1)
    native = native.replace("</ICCData>", f'<DataSet Name="MEMBER">{secret}{key}</DataSet></ICCData>', 1)
    text = PAYMENT.read_text(encoding="utf-8")
    path = tmp_path / "both.xml"
    path.write_text(text.replace("</BatchCardCustomization>", f"{native}</BatchCardCustomization>"), encoding="utf-8")
    jobs = bureau.submit(path)
    with bureau.plant.ledger.read() as connection:
        modes = {view.job_id: view.mode for view in views.list_jobs(connection, jobs)}
    assert modes == {"STANDARD": Mode.TEST, "URGENT": Mode.TEST, "LOYALTY": Mode.PRODUCTION}


def test_a_refusal_after_the_checks_is_in_the_audit_log_too(bureau: Bureau, tmp_path: Path) -> None:
    """A file that is replaced between check and writing is refused, and the log says so."""
    path = tmp_path / "file.xml"
    whole = PAYMENT.read_bytes()
    path.write_bytes(whole)

    def swap(what: str, done: int, size: int) -> None:
        if what == "checking" and done == size:
            path.unlink()
            path.write_bytes(whole + b"\n")

    with pytest.raises(RefusedError, match="changed after it was checked") as refusal:
        submit.submit(bureau.plant, path, issuer=None, production=False, actor=ACTOR, progress=swap)
    assert "correct" not in refusal.value.remedy
    assert entries(bureau)[-2:] == ["discard", "refuse"]
    assert len(bureau.submit(path)) == 2, "nothing of it stays in the way of the file that lies there now"


def test_a_submission_that_is_interrupted_leaves_nothing(bureau: Bureau) -> None:
    """Ctrl-C while records are written: the file can be submitted again at once."""

    def interrupt(what: str, _done: int, _size: int) -> None:
        if what == "writing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        submit.submit(bureau.plant, PAYMENT, issuer=None, production=False, actor=ACTOR, progress=interrupt)
    with bureau.plant.ledger.read() as connection:
        assert [connection.execute(select(table)).first() for table in (schema.files, schema.jobs, schema.cards)] == [
            None
        ] * 3
    assert len(bureau.submit(PAYMENT)) == 2


def test_what_cards_took_is_what_cards_like_them_will_take(bureau: Bureau, typed: Typed, tmp_path: Path) -> None:
    """Nothing is guessed of the first; the second is told from the first, plastic that the world has as spoiled included."""
    bureau.equip(Station(name="sim1", seed=1, defects={1: "memory = 10"}))
    first, second = standard_job(tmp_path / "first.xml", 3), standard_job(tmp_path / "second.xml", 5)
    second.write_text(second.read_text().replace("2B0601040181FD5963E", "2B0601040181FD5964E"))
    bureau.take(first)
    bureau.run()
    (told,) = json.loads(typed("job", "1", "--json")[1])
    trays = Counter(plastic.tray for plastic in bureau.plastics())
    assert (told["cost"]["good"], told["cost"]["spent"], told["cost"]["drawn"]) == (trays["good"], trays["reject"], 3)
    assert told["cost"]["encoder_seconds"] > 0
    assert told["estimate"] == {"encoder_seconds": None, "plastics": None, "stock_changes": 0, "like": 0}
    assert "no card like these was made here yet; 0 stock changes" in typed("job", "1")[1]
    bureau.take(second)
    (told,) = json.loads(typed("job", "2", "--json")[1])
    assert (told["estimate"]["plastics"], told["estimate"]["like"], told["estimate"]["stock_changes"]) == (5, 2, 0)
    assert told["estimate"]["encoder_seconds"] > 0
    assert "5 plastics, 0 stock changes, as 2 good cards like these took" in typed("job", "2")[1]
