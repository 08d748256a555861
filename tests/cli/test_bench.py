"""The benchmark: that it runs whole and tells all, and that it reckons right. How fast anything is, no test can say."""

import json
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bureau.cli.bench import fewest, ground, host, utilisation
from bureau.cli.bench.fewest import Counted
from bureau.cli.bench.host import Mark, Split
from bureau.cli.bench.measures import Measure
from bureau.cli.bench.stopwatch import Stopwatch
from bureau.cli.bench.utilisation import Run
from bureau.errors import BureauError
from bureau.ledger import encoders, traces, views
from bureau.service import operate, stint
from bureau.service.plant import no_wake, read_stations
from bureau.service.replay import recorded
from config import logging
from hardware.cards import products
from hardware.encoders.bench import Bench
from tests.cli.conftest import Bureau


def test_it_measures_every_part_and_leaves_nothing(bureau: Bureau, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick run tells the machine and a number for everything, each plausible beside the others; its bureaus are gone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    said = bureau("bench", "--quick", "--json")
    assert said.status == 0, said.err
    told = json.loads(said.out)
    assert told["machine"]["cores"] == str(os.cpu_count())
    assert set(told["machine"]) >= {"processor", "memory", "kernel", "python", "sqlite", "file system", "load average"}
    found = {(each["part"], each["what"]): each for each in told["measures"]}
    of = {
        part: [each for each in told["measures"] if each["part"] == part]
        for part in dict.fromkeys(part for part, _ in found)
    }
    assert list(of) == ["machine", "host time per card", "utilisation", "submission", "commands per card"]
    assert 0 < of["machine"][0]["value"] <= of["machine"][1]["value"]
    *parts, whole = of["host time per card"]
    assert [each["what"] for each in parts] == [
        "ledger", "channel", "order and plan", "trace", "transport", "all else", "Celery",
    ]  # fmt: skip
    assert whole["value"] == pytest.approx(sum(each["value"] for each in parts))
    assert [each["what"] for each in of["utilisation"]] == ["1 encoder, worst of 3", "2 encoders, worst of 3"]
    assert all(0 < each["value"] <= 100 for each in of["utilisation"])
    rate, memory, stall = of["submission"]
    assert rate["value"] > 0
    assert memory["value"] > 20
    assert 0 < stall["value"] < told["seconds"]
    assert [(each["what"], each["value"]) for each in of["commands per card"]] == [
        ("payment-batch.xml", 24), ("single-card-1.1.xml", 24), ("cms-export-1.0.xml", 16),
    ]  # fmt: skip
    assert not list(tmp_path.glob("bureau-*"))


def test_one_part_alone_is_a_table_with_its_goals(bureau: Bureau, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--only measures one part; whoever reads sees the machine, the numbers and what they are compared with."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    said = bureau("bench", "--quick", "--only", "commands")
    assert said.status == 0
    assert "processor" in said.out
    assert "fewest 19; more: 5 STORE DATA" in said.out
    assert "utilisation" not in said.out


def test_the_reference_card_is_what_it_says() -> None:
    """It takes 45 commands and 3.6 kB of data at SCP03 level 03, and stays in its chip for the time that it is given."""
    logging.configure()
    with ground.ground(1, 0.09) as plant:
        job = ground.reference_cards(plant, "ONE", 1)
        (name,) = ground.encoders(plant)
        encoders.start(plant.ledger, plant.encoder(name).machine, plant.clock())
        encoders.open_line(plant.ledger, name, "tester", plant.clock())
        operate.release(plant, [job], "tester", no_wake)
        machine = stint.start(plant, name)
        assert isinstance(machine, Bench)
        assert stint.stint(plant, machine, name) == 1
        with plant.ledger.read() as connection:
            (card,) = views.list_cards(connection, job)
            made = recorded(plant, traces.kept(connection, card.card)).exchanges
    commands = [each.command for each in made]
    assert len(commands) == 45
    assert commands[1].name == "INITIALIZE UPDATE"
    assert (commands[2].name, commands[2].p1) == ("EXTERNAL AUTHENTICATE", 0x03)
    assert 3550 <= sum(len(each.data) for each in commands if each.name == "STORE DATA") < 3650
    assert sum(each.seconds for each in made) >= 0.09


def test_utilisation_is_the_cards_time_in_the_encoders_time() -> None:
    """Four cards of one second on two encoders in two and a half seconds: four of five encoder seconds."""
    run = Run(encoders=2, cards=4, inside=1.0, wall=2.5, ramp=0.1, claiming=1.5)
    assert run.utilisation == pytest.approx(80)


def test_the_worst_run_counts() -> None:
    """Of several runs the worst is told, and missed goals are told as missed."""
    runs = [Run(encoders=120, cards=120, inside=1.0, wall=wall, ramp=0.1, claiming=0.1) for wall in (1.01, 1.25, 1.02)]
    told = utilisation.measure(runs)
    assert told.value == pytest.approx(80)
    assert (told.met, told.aim) == (False, "at least 97: not met")


def test_what_a_card_costs_is_reckoned_from_claim_to_claim() -> None:
    """Five cards of one second whose claims are 4.2 s apart cost 50 ms each."""
    assert Run(encoders=1, cards=5, inside=1.0, wall=5.3, ramp=0.0, claiming=4.2).beyond == pytest.approx(50)


def test_a_card_s_time_is_split_without_rest() -> None:
    """Between the first and the last mark every millisecond beyond the card's own is somebody's."""
    marks = [
        Mark(10.0, {"ledger": 1.0, "transport": 5.0}),
        Mark(11.1, {"ledger": 1.02, "transport": 6.03}),
        Mark(12.2, {"ledger": 1.06, "transport": 7.08}),
    ]
    found = host.split(marks, 1.0)
    assert found.whole == pytest.approx(100)
    assert found.parts == pytest.approx({"ledger": 30, "transport": 40, "all else": 30})


def test_the_split_and_celery_make_the_whole() -> None:
    """Celery is what a card takes under it beyond what it takes without it."""
    parts = dict.fromkeys(("ledger", "channel", "order and plan", "trace", "transport", "all else"), 1.0)
    rows = host.measures(Split(whole=6.0, parts=parts), 7.5)
    assert (rows[-2].what, rows[-2].value) == ("Celery", 1.5)
    assert (rows[-1].value, rows[-1].met) == (7.5, False)


def test_a_stopwatch_takes_what_runs_within_from_what_it_runs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part's time is its own; only the longest call counts everything within it."""
    ticks = iter((0.0, 1.0, 4.0, 6.0))
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    watch = Stopwatch()
    with watch.during("outer"), watch.during("inner"):
        pass
    assert watch.spent == {"outer": 3.0, "inner": 3.0}
    assert watch.longest == {"outer": 6.0, "inner": 3.0}


def test_a_stopwatch_gives_back_what_it_stood_in_for() -> None:
    """Nothing of it stays in the product, whether it stood in for a class's own function or an object's."""

    class Door:
        def knock(self) -> str:
            return "yes"

    door, own = Door(), Door.knock
    with suppress(ZeroDivisionError), Stopwatch() as watch:
        watch.calls(Door, "knock", "class")
        watch.calls(door, "knock", "object")
        assert door.knock() == "yes"
        assert set(watch.spent) == {"class", "object"}
        raise ZeroDivisionError
    assert Door.knock is own
    assert not vars(door)


@pytest.mark.parametrize(
    ("value", "more", "met"),
    [(1.9, False, True), (2.0, False, True), (2.1, False, False), (1.9, True, False), (2.0, True, True)],
)
def test_a_goal_is_met_on_its_own_side(value: float, more: bool, met: bool) -> None:
    """Some numbers should be small, others large; the goal itself is good enough."""
    assert Measure(part="", what="", value=value, unit="s", goal=2.0, more=more).met is met


def test_a_number_without_goal_meets_none() -> None:
    """Nothing is said of it."""
    row = Measure(part="", what="", value=1.0, unit="s")
    assert (row.met, row.aim) == (None, "")


@pytest.mark.parametrize(("code", "commands"), [(1, 1), (236, 1), (237, 2), (474, 2), (475, 3), (823, 4)])
def test_loads_are_counted_with_tag_and_length(code: int, commands: int) -> None:
    """Ahead of 236 bytes of code go C4, 81 and a length, and all of it fills one command of 239 bytes."""
    assert fewest.load(code) == commands


@pytest.mark.parametrize(
    ("lengths", "alone", "commands"),
    [
        ({"0101": 239}, frozenset(), 1),
        ({"0101": 240}, frozenset(), 2),
        ({"0101": 100, "0102": 100}, frozenset(), 1),
        ({"0101": 100, "0102": 100}, frozenset({"0102"}), 2),
        ({"0101": 100}, frozenset({"0203"}), 1),
    ],
)
def test_store_data_are_counted_by_bytes(lengths: dict[str, int], alone: frozenset[str], commands: int) -> None:
    """What may share a command does, what travels alone doesn't, and what a record lacks takes none."""
    assert fewest.store_data(lengths, alone) == commands


def test_what_was_sent_beyond_the_fewest_is_named() -> None:
    """Each kind of command is compared by itself."""
    card = Counted(sample="a", sent={"SELECT": 1, "LOAD": 5, "DELETE": 1}, fewest={"SELECT": 1, "LOAD": 4})
    assert card.more == {"LOAD": 1, "DELETE": 1}


def test_a_load_generator_makes_no_production_cards(tmp_path: Path) -> None:
    """Its cards check nothing, so no real job may go to it."""
    stations = tmp_path / "stations.toml"
    stations.write_text(
        '[encoder.b]\nkind = "bench"\nproduct = "export-scp03"\nstocks = ["A"]\nmode = "PRODUCTION"\noptions = {}\n'
    )
    with pytest.raises(BureauError, match="a simulator makes no production cards"):
        read_stations(stations, {each.name: each for each in products.shipped()})


def test_a_load_generator_wants_all_of_its_options(tmp_path: Path) -> None:
    """It has no defaults."""
    with pytest.raises(ValueError, match="milliseconds_per_command"):
        Bench.start("b", {"seed": 1}, tmp_path)
