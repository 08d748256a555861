"""Every attempt leaves a trace under its job's data key: whole for who has the key, masked for who looks at it."""

import shutil
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import pytest

from bureau.errors import BureauError, NotFoundError
from bureau.ledger import traces
from bureau.ledger.traces import Kept
from bureau.models import CardId, EncoderId, JobId
from bureau.service import encode, replay
from bureau.service.plant import Plant
from bureau.service.seal import unseal_trace
from hardware.encoders import Encoder, Tray
from hardware.encoders.simulator import Simulator
from hardware.iso7816 import Command, Response
from hardware.trace import Trace
from hardware.trace.lines import dump, load
from hardware.trace.standin import Diverged, Standin
from tests.e2e import bureaus, expected, secrecy
from tests.e2e.batches import standard_job
from tests.e2e.bureaus import BLUE, FOUR, Bureau, Station
from tests.e2e.expected import PAYMENT, SINGLE


class Noting(Simulator):
    """A simulator that notes what it is sent, below everything."""

    sent: list[bytes]

    def transmit(self, command: Command) -> Response:
        self.sent.append(bytes(command))
        return super().transmit(command)


class Recorded:
    """A recorded trace as an encoder: its only blank is the card that was recorded."""

    KEY: ClassVar[str] = "recorded"
    protocol = ""

    @classmethod
    def start(cls, name: str, options: Mapping[str, object], world: Path) -> Encoder:
        raise NotImplementedError

    def __init__(self, trace: Trace) -> None:
        self.card, self._trace = Standin(trace), trace
        self._position: int | None = None
        self._fed = 0
        self.trays: list[Tray] = []

    def station(self) -> int | None:
        return self._position

    def blanks(self) -> Mapping[str, int]:
        return {BLUE: 1 - self._fed}

    def awaits(self, seconds: float) -> str | None:
        return None

    def feed(self, stock: str) -> tuple[int, bytes] | None:
        self._fed, self._position = 1, 1
        return 1, self._trace.atr

    def transmit(self, command: Command) -> Response:
        return self.card(command)

    def eject(self, tray: Tray) -> None:
        self._position = None
        self.trays.append(tray)

    def close(self) -> None:
        pass


def kept(bureau: Bureau, card: CardId, number: int | None = None) -> Kept:
    with bureau.plant.ledger.read() as connection:
        return traces.kept(connection, card, number)


def every(bureau: Bureau, *jobs: JobId) -> Iterator[tuple[str, Trace]]:
    """Yield the outcome and the trace of each attempt of *jobs*."""
    for job in jobs:
        for card in bureau.cards(job):
            for number, attempt in enumerate(bureau.attempts(card), start=1):
                yield attempt.outcome, replay.recorded(bureau.plant, kept(bureau, card.card, number))


def standing(bureau: Bureau, tmp_path: Path, station: Station) -> JobId:
    """Let *station* work on a job that stays open, for one of its records is held back."""
    bureau.equip(station)
    (job,) = bureau.take(standard_job(tmp_path / "job.xml", 2))
    return job


def test_a_trace_holds_every_command_in_plain_and_as_it_was_sent(bureau: Bureau, tmp_path: Path) -> None:
    """Their digests are those of the bytes that arrived; the values that arrived encrypted stand clear."""
    bureau.equip(Station(name="sim1", seed=1, blanks={BLUE: 1}))
    machine = bureau.start("sim1", Noting.start)
    assert isinstance(machine, Noting)
    machine.sent = []
    (job,) = bureau.take(standard_job(tmp_path / "job.xml", 2))
    bureau.run()
    ((outcome, trace),) = every(bureau, job)
    assert outcome == "good"
    assert [(each.octets, each.digest) for each in trace.exchanges] == [
        (len(sent), sha256(sent).digest()[:8]) for sent in machine.sent
    ]
    plain = b"".join(each.command.data for each in trace.exchanges if each.command.name == "STORE DATA")
    (wanted,) = (each for each in expected.cards(tmp_path / "job.xml") if each.is_on(bureau.touched()[0].contents))
    clear = [bytes.fromhex(value) for name, value in wanted.contents.items() if "dgi/8" not in name]
    assert clear
    assert all(value in plain for value in clear)
    assert {each.phase.split()[0] for each in trace.exchanges} >= {"identify", "open", "read", "personalize", "verify"}


@pytest.mark.parametrize(
    ("defect", "outcome", "last"),
    [
        ("mute_at = 2", "mute", "MuteCard"),
        ("mute_at = 12", "unknown", "MuteCard"),
        ("wrong_keys = true", "returned", ""),
        ("memory = 10", "spoiled", ""),
        ("dead = true", "mute", ""),
    ],
)
def test_an_attempt_that_failed_leaves_its_trace_too(
    bureau: Bureau, tmp_path: Path, defect: str, outcome: str, last: str
) -> None:
    """Up to the answer that didn't come, or the refusal; none of a card that never answered to reset, but the times are."""
    job = standing(bureau, tmp_path, Station(name="sim1", seed=1, blanks={BLUE: 1}, defects={1: defect}))
    bureau.run()
    ((found, trace),) = every(bureau, job)
    assert found == outcome
    if not trace.exchanges:
        assert defect == "dead = true"
        return
    assert trace.exchanges[-1].fault.startswith(last)
    assert (trace.exchanges[-1].response is None) == bool(last)


def test_masked_traces_hold_no_value_of_any_record(bureau: Bureau, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same search finds values in the whole ones."""
    bureau.equip(*FOUR)
    jobs = [*bureau.submit(PAYMENT), *bureau.submit(SINGLE)]
    secrets = [each for each in expected.secrets(PAYMENT, SINGLE) if each.on_card]
    monkeypatch.setattr(bureaus, "answer", lambda _plant, _batch: None)
    bureau.release(jobs)
    bureau.run_all()
    whole = masked = b""
    for _, trace in every(bureau, *jobs):
        whole += "\n".join(dump(trace, masked=False)).encode()
        masked += "\n".join(dump(trace, masked=True)).encode()
    assert {secret.kind for secret in secrecy.found(whole, secrets)} >= {"PAN", "name"}
    assert secrecy.found(masked, secrets) == {}


def test_a_trace_opens_only_as_its_own_attempts(bureau: Bureau, tmp_path: Path) -> None:
    """Neither altered, nor moved to another."""
    job = standing(bureau, tmp_path, Station(name="sim1", seed=1, blanks={BLUE: 1}))
    bureau.run()
    found = kept(bureau, next(card.card for card in bureau.cards(job) if card.state == "good"))
    key = bureau.plant.keystore.unwrap(found.record.wrapped_data_key)
    altered = found.trace[:-1] + bytes((found.trace[-1] ^ 1,))
    for sealed, attempt in ((altered, found.attempt.attempt), (found.trace, found.attempt.attempt + 1)):
        with pytest.raises(BureauError, match="can't be opened"):
            unseal_trace(sealed, key, attempt)  # type: ignore[arg-type]


def test_purged_traces_are_gone(bureau: Bureau) -> None:
    """With the record that they were made from."""
    bureau.equip(Station(name="sim1", seed=1))
    (job,) = bureau.take(SINGLE)
    bureau.run()
    (card,) = bureau.cards(job)
    with pytest.raises(NotFoundError, match="purged"):
        kept(bureau, card.card)
    with pytest.raises(NotFoundError, match="no card 99"):
        kept(bureau, CardId(99))


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("defect", ["mute_at = 12", "memory = 10", "wrong_keys = true", "refused_dgis = [0x0201]"])
def test_a_fault_seen_on_the_floor_happens_again_in_another_bureau(
    bureau: Bureau, founded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defect: str, masked: bool
) -> None:
    """The trace stands in for the card below the secure channel: same commands, same answers, same fate."""
    job = standing(bureau, tmp_path, Station(name="sim1", seed=1, blanks={BLUE: 1}, defects={1: defect}))
    bureau.run()
    ((outcome, trace),) = every(bureau, job)
    machine = Recorded(load(dump(trace, masked=masked)))
    monkeypatch.setattr(encode, "random_bytes", lambda _size: machine.card.host_challenge)
    with bureaus.opened(Plant(bureaus.settings(Path(shutil.copytree(founded, tmp_path / "other"))))) as other:
        again = standing(other, tmp_path, Station(name="sim1", seed=1, blanks={BLUE: 1}))
        other.machines[EncoderId("sim1")] = machine
        other.run()
        ((fate, repeated),) = every(other, again)
    assert machine.card.finished
    assert (fate, machine.trays) == (outcome, [Tray.RETURNED if outcome == "returned" else Tray.REJECT])
    assert [(each.digest, each.response, each.fault) for each in repeated.exchanges] == [
        (each.digest, each.response, each.fault) for each in trace.exchanges
    ]


def test_another_record_is_not_the_recorded_one(bureau: Bureau, tmp_path: Path) -> None:
    """A whole trace takes only the bytes that were recorded."""
    job = standing(bureau, tmp_path, Station(name="sim1", seed=1, blanks={BLUE: 1}))
    bureau.run()
    ((_, trace),) = every(bureau, job)
    card = Standin(trace)
    with pytest.raises(Diverged):
        card(trace.exchanges[1].command)
