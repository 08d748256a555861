"""What people decide on the floor and ask of it: hold, release, priority, why."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bureau.ledger import encoders
from bureau.models import EncoderId
from bureau.service.plant import Plant
from config import settings
from tests.cli.conftest import DEMO, Bureau
from tests.cli.test_commands import NATIVE, PAYMENT


@pytest.fixture
def floor(founded: Bureau) -> Bureau:
    """The demo's encoders, started and held, and the payment batch: job 1 STANDARD of priority 3, job 2 URGENT on gold."""
    plant = Plant(settings.current())
    for config in plant.encoders.values():
        encoders.start(plant.ledger, config.machine, plant.clock())
    plant.ledger.close()
    founded("submit", PAYMENT)
    return founded


def test_why_a_job_waits_is_said_encoder_by_encoder(floor: Bureau) -> None:
    """The urgent job goes first on the encoder that has its stock; the other's plastic isn't there, or its line is held."""
    floor("release", "1", "2")
    floor("open", "sim3")
    said = re.sub(r"since \d{4}-\d\d-\d\d \d\d:\d\d", "since then", floor("why", "1").out)
    assert said.splitlines() == [
        "job 1 B2026-001/STANDARD, lot 1: 8 of 8 cards to make, 0 good; PLASTIC-BLUE, priority 3",
        "  behind job 2: priority 1 before 3",
        "    sim1 is held by sim1 since then: started",
        "    sim2 is held by sim2 since then: started",
        "    sim3 behind job 2: priority 1 before 3",
        "    sim4 has a card product that meets none of the lot's card profiles",
    ]
    (urgent,) = json.loads(floor("why", "B2026-001/URGENT", "--json").out)
    assert (urgent["job"], urgent["lot"], urgent["ready"], urgent["says"]) == (2, 1, 2, ["next on sim3"])
    assert urgent["encoders"]["sim1"] == "holds PLASTIC-BLUE, not PLASTIC-GOLD"


def test_why_of_a_batch_explains_each_job(floor: Bureau) -> None:
    """And a name that nothing bears is told so."""
    assert [each["job"] for each in json.loads(floor("why", "B2026-001", "--json").out)] == [1, 2]
    assert floor("why", "nosuch").status == 2


def test_a_job_is_held_by_name_with_time_and_reason(floor: Bureau) -> None:
    """In the plant's time; released, it says nothing of it any more."""
    floor("release", "1", "2")
    said = floor("hold", "B2026-001/STANDARD", "--reason", "wrong artwork")
    assert said.out == "job 1 is held; cards in hand are finished. Next: bureau release 1\n"
    held = json.loads(floor("jobs", "--json").out)[0]
    assert (held["state"], json.loads(floor("jobs", "--json").out)[1]["state"]) == ("held", "released")
    words, reason = held["waits"][0].rsplit(": ", 1)
    since = datetime.strptime(words.removeprefix("held by anna since "), "%Y-%m-%d %H:%M").replace(
        tzinfo=settings.current().plant
    )
    assert abs((datetime.now(UTC) - since).total_seconds()) < 120
    assert reason == "wrong artwork"
    assert floor("why", "1").out.splitlines()[1].startswith("  held by anna since ")
    assert floor("release", "1").status == 0
    assert "held by anna" not in floor("why", "1").out + floor("watch", "--once").out


def test_holding_a_batch_holds_each_of_its_jobs(floor: Bureau) -> None:
    """Encoders and jobs may stand in one command."""
    floor("release", "B2026-001")
    floor("open", "sim1")
    assert floor("hold", "B2026-001", "sim1", "--reason", "fire").status == 0
    assert {each["state"] for each in json.loads(floor("jobs", "--json").out)} == {"held"}
    assert json.loads(floor("encoders", "--json").out)[0]["why"] == "fire"


def test_nothing_is_held_when_one_of_the_names_is_unknown(floor: Bureau) -> None:
    """Status 2, and the others go on."""
    floor("release", "1")
    assert floor("hold", "1", "nosuch").status == 2
    assert json.loads(floor("jobs", "--json").out)[0]["state"] == "released"


def test_a_name_that_is_an_encoders_and_a_jobs_is_refused_with_what_to_type(floor: Bureau) -> None:
    """Holding the wrong one would be worse; --encoder and the job's longer name tell them apart."""
    plant = Plant(settings.current())
    with plant.ledger.read() as connection:
        machine = encoders.machine(connection, EncoderId("sim1"))
    encoders.start(plant.ledger, replace(machine, encoder=EncoderId("1")), plant.clock())
    plant.ledger.close()
    floor("release", "1")
    said = floor("hold", "1")
    assert (said.status, "1 is an encoder and a job" in said.err, "--encoder" in said.err) == (1, True, True)
    assert floor("hold", "--encoder", "1", "--reason", "lunch").out == "1 is held\n"
    assert json.loads(floor("jobs", "--json").out)[0]["state"] == "released"
    floor("hold", "B2026-001/STANDARD")
    assert json.loads(floor("jobs", "--json").out)[0]["state"] == "held"


def test_with_encoder_a_jobs_name_is_unknown(floor: Bureau) -> None:
    """It means what it says."""
    said = floor("hold", "--encoder", "1")
    assert said.status == 2
    assert "there is no encoder 1" in said.err


def test_a_priority_is_set_beside_the_one_asked_for(floor: Bureau) -> None:
    """And it changes who goes first."""
    floor("release", "1", "2")
    floor("open", "sim3")
    assert floor("priority", "2", "3", "--reason", "they can wait").out == "job 2 has priority 3\n"
    assert floor("priority", "1", "1", "--reason", "they can't").status == 0
    shown = json.loads(floor("job", "1", "--json").out)[0]
    assert (shown["priority"], shown["asked_priority"], shown["stock_changes"]) == (1, 3, 0)
    assert "  next on sim3" in floor("why", "1").out.splitlines()
    assert 'JobPriorityLevel="3"' in _interim(floor)


def test_a_job_shows_its_issuers_criteria(founded: Bureau, tmp_path: Path) -> None:
    """In words, and as pairs for programs; what would move a cursor is shown as what it is."""
    text = (DEMO / "payment-batch.xml").read_text()
    pairs = '<Data DataElement="COST" Value="4711"/><Data DataElement="NOTE" Value="by &#x202E;noon"/>'
    file = tmp_path / "file.xml"
    whole = f'MessageVersion="2.0.1"><MessageContext>{pairs}</MessageContext></GPHeader>'
    file.write_text(text.replace('MessageVersion="2.0.1"/>', whole))
    assert founded("submit", str(file)).status == 0
    (shown,) = json.loads(founded("job", "1", "--json").out)
    assert (shown["user_data"], shown["context"]) == ("PO-4711", [["COST", "4711"], ["NOTE", "by \u202enoon"]])
    assert "COST=4711, NOTE=by \\x202enoon" in founded("job", "1").out


def _interim(floor: Bureau) -> str:
    return Path(floor("report", "1", "--interim").out.strip()).read_text("utf-8")


@pytest.mark.parametrize(
    "words", [("1", "4", "--reason", "x"), ("1", "0", "--reason", "x"), ("1", "1"), ("9", "1", "--reason", "x")]
)
def test_a_priority_needs_a_level_a_reason_and_a_job(floor: Bureau, words: tuple[str, ...]) -> None:
    """Status 2, and nothing changes."""
    assert floor("priority", *words).status == 2
    assert json.loads(floor("jobs", "--json").out)[0]["priority"] == 3


def test_a_job_that_is_past_its_date_says_that_it_is_late(founded: Bureau, tmp_path: Path) -> None:
    """In every listing; its neighbour, whose date is far away, doesn't."""
    dates = Path(PAYMENT).read_text().replace("20261124", "20991231").replace("20261210", "20200101")
    file = tmp_path / "old.xml"
    file.write_text(dates)
    assert founded("submit", str(file)).status == 0
    founded("release", "1", "2")
    assert [each["late"] for each in json.loads(founded("jobs", "--json").out)] == [True, False]
    assert ["late" in founded("why", job).out for job in "12"] == [True, False]
    assert founded("watch", "--once").out.count("late") == 1


def test_encoders_say_what_they_can_and_how_often_they_changed_their_stock(floor: Bureau) -> None:
    """Both protocols, unless stations.toml says otherwise."""
    shown = json.loads(floor("encoders", "--json").out)[0]
    assert (shown["can"], shown["stock_changes"]) == (["T=0", "T=1"], 0)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('protocols = ["T=2"]', "protocols is a list"),
        ("protocols = []", "protocols is a list"),
        ('protocols = "T=1"', "protocols is a list"),
        ('interpreters = ["GP Scripting"]', "interpreters is a list"),
        ('interpreters = [{ type = "GP Scripting" }]', "interpreters is a list"),
        ('interpreters = [{ type = "GP Scripting", version = 1 }]', "interpreters is a list"),
    ],
)
def test_what_stations_toml_says_wrongly_of_an_encoder_is_refused(founded: Bureau, line: str, problem: str) -> None:
    """With the encoder's name and what should stand there."""
    file = settings.current().stations_file
    file.write_text(f'[encoder.sim1]\nkind = "simulator"\nproduct = "payment-scp02"\nstocks = ["A"]\n{line}\n')
    said = founded("encoders")
    assert said.status == 1
    assert f"encoder sim1: {problem}" in said.err


def test_an_encoder_with_the_interpreter_could_take_what_asks_for_it(founded: Bureau) -> None:
    """What it lacks beside that is said all the same."""
    file = settings.current().stations_file
    interpreters = 'interpreters = [{ type = "GP Scripting", version = "1,1" }]'
    file.write_text(f'[encoder.sim1]\nkind = "simulator"\nproduct = "club-native"\nstocks = ["A"]\n{interpreters}\n')
    plant = Plant(settings.current())
    encoders.start(plant.ledger, plant.encoders[EncoderId("sim1")].machine, plant.clock())
    plant.ledger.close()
    founded("submit", NATIVE)
    assert "    sim1 holds A, not PLASTIC-CLUB" in founded("why", "1").out.splitlines()
    assert json.loads(founded("encoders", "--json").out)[0]["can"] == ["T=0", "T=1", "GP Scripting 1,1"]


def test_plastic_moves_through_stock_commands_only(floor: Bureau) -> None:
    """Each says what went where, and the listing balances."""
    assert "stock receive" in floor("stock").err
    assert floor("stock", "receive", "PLASTIC-BLUE", "500").out == "500 blanks of PLASTIC-BLUE came into the vault\n"
    assert floor("stock", "load", "sim1", "PLASTIC-BLUE", "100").out == "100 blanks of PLASTIC-BLUE went onto sim1\n"
    shown = json.loads(floor("encoders", "--json").out)[0]
    assert (shown["stocks"], shown["left"]) == (["PLASTIC-BLUE"], ["100 PLASTIC-BLUE"])
    unload = ("stock", "unload", "sim1", "PLASTIC-BLUE")
    assert floor(*unload, "1").out == "1 blank of PLASTIC-BLUE went from sim1 into the vault\n"
    assert floor(*unload).out == "99 blanks of PLASTIC-BLUE went from sim1 into the vault\n"
    blue, none = {"stock": "PLASTIC-BLUE", "drawn": 0}, {"to_destroy": None, "destroyed": None}
    assert json.loads(floor("stock", "--json").out) == [
        {"place": "vault", "came": 600, "went": 100, "left": 500, **blue, "to_destroy": 0, "destroyed": 0},
        {"place": "sim1", "came": 100, "went": 100, "left": 0, **blue, **none},
    ]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("load", "sim1", "PLASTIC-BLUE", "6"), 1, "the vault has 5 of PLASTIC-BLUE, not 6"),
        (("load", "sim1", "PLASTIC-GOLD", "1"), 1, "sim1 holds PLASTIC-BLUE, not PLASTIC-GOLD"),
        (("load", "nosuch", "PLASTIC-BLUE", "1"), 2, "there is no encoder nosuch"),
        (("unload", "sim1", "PLASTIC-BLUE"), 1, "sim1 has 0 of PLASTIC-BLUE by the book"),
        (("receive", "PLASTIC-BLUE", "0"), 2, "0 is not in the range"),
        (("receive", "PLASTIC-BLUE"), 2, "Missing argument"),
    ],
)
def test_plastic_that_is_not_there_is_not_moved(floor: Bureau, words: tuple[str, ...], status: int, said: str) -> None:
    """And it is said why."""
    floor("stock", "receive", "PLASTIC-BLUE", "5")
    answer = floor("stock", *words)
    assert answer.status == status
    assert said in answer.err
    assert [each["left"] for each in json.loads(floor("stock", "--json").out)] == [5]


def test_a_lost_encoder_says_since_when_nobody_has_heard_of_its_host(floor: Bureau) -> None:
    """In the plant's time, where encoders are listed and watched; a job for it says that it is lost."""
    noon, plant = datetime(2026, 11, 23, 12, tzinfo=UTC), Plant(settings.current())
    encoders.start(plant.ledger, plant.encoders[EncoderId("sim3")].machine, noon, "plant2")
    floor("open", "sim3")
    encoders.lose(plant.ledger, {EncoderId("sim3"): noon}, "office", plant.clock())
    plant.ledger.close()
    listed = {each["encoder"]: each for each in json.loads(floor("encoders", "--json").out)}
    silent = "host plant2 hasn't been heard of since 13:00"
    assert [listed["sim3"][name] for name in ("state", "host", "why")] == ["lost", "plant2", silent]
    assert silent in floor("watch", "--once").out
    floor("release", "2")
    assert "all encoders that fit are lost: sim3" in floor("why", "2").out


@pytest.mark.parametrize("host", ["plant 1", "a" * 65, "plant1\n"])
def test_a_host_with_an_odd_name_is_refused(floor: Bureau, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """It stands in the audit log and in messages."""
    monkeypatch.setenv("BUREAU_HOST", host)
    said = floor("encoders")
    assert (said.status, "BUREAU_HOST" in said.err) == (2, True)
