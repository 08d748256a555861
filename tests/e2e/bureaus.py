"""A whole bureau in one directory and one process, without a broker."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Final
from zoneinfo import ZoneInfo

from bureau.ledger import encoders, views
from bureau.ledger.closing import Balance
from bureau.ledger.views import AttemptView, CardView
from bureau.models import BatchId, EncoderId, JobId
from bureau.service import operate, register, report, stint, submit
from bureau.service.plant import Plant, no_wake
from config.settings import Settings
from hardware.encoders import Encoder
from hardware.encoders.simulator import Simulator
from hardware.keystores.soft import SoftKeyStore
from tests.e2e import worlds
from tests.e2e.worlds import Plastic

PASSPHRASE: Final = b"correct horse battery staple"
ISSUER: Final = "TESTBANK"
ACTOR: Final = "tester"
BLUE, GOLD = "PLASTIC-BLUE", "PLASTIC-GOLD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """One simulated encoder without pace; *defects* by position, written as TOML values."""

    name: str
    seed: int
    product: str = "payment-scp02"
    blank: str = ""
    blanks: Mapping[str, int] = field(default_factory=lambda: {BLUE: 20})
    defects: Mapping[int, str] = field(default_factory=dict)

    def __str__(self) -> str:
        stocks = ", ".join(f'"{stock}"' for stock in self.blanks)
        blanks = ", ".join(f"{stock} = {count}" for stock, count in self.blanks.items())
        defects = ", ".join(f"{position} = {{ {defect} }}" for position, defect in self.defects.items())
        return (
            f'[encoder.{self.name}]\nkind = "simulator"\nproduct = "{self.product}"\nstocks = [{stocks}]\n'
            f'options = {{ blank = "{self.blank or self.product}", blanks = {{ {blanks} }}, seed = {self.seed}, '
            f"defects = {{ {defects} }} }}\n"
        )


FOUR: Final = (
    Station(name="sim1", seed=1),
    Station(name="sim2", seed=2),
    Station(name="sim3", seed=3, blanks={BLUE: 20, GOLD: 5}),
    Station(name="sim4", seed=4, product="export-scp03"),
)


def settings(home: Path, lease: timedelta = timedelta(minutes=2)) -> Settings:
    """Return the settings of a bureau in *home*."""
    return Settings(
        home=home,
        database_url=f"sqlite:///{home / 'ledger.sqlite'}",
        broker_url=None,
        passphrase_file=home / "passphrase",
        stations_file=home / "stations.toml",
        plant=ZoneInfo("UTC"),
        lease=lease,
        stint=timedelta(seconds=60),
        retention=timedelta(0),
        encoder=None,
        alert="",
        approval=timedelta(hours=24),
        host="plant1",
        most_rejects=100,
        user=ACTOR,
        os_user="root",
        account=None,
    )


def found(home: Path) -> None:
    """Make a bureau in *home*: key store, migrated ledger, the shipped profiles and the public test keys."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "passphrase").touch(0o600)
    (home / "passphrase").write_bytes(PASSPHRASE)
    SoftKeyStore.create(settings(home).keystore, PASSPHRASE)
    plant = Plant(settings(home))
    plant.ledger.migrate()
    register.import_test_keys(plant, ACTOR)
    register.add_shipped(plant, ACTOR)
    plant.ledger.checkpoint()
    plant.ledger.close()


def answer(plant: Plant, batch: BatchId) -> None:
    """Answer a batch and forget its cardholders, as the office does where nothing is retained."""
    report.finish(plant, batch)
    report.purge(plant, batch)


class Bureau:
    """What a test does with one bureau, and what it sees there."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.machines: dict[EncoderId, Encoder] = {}

    @property
    def worlds(self) -> Path:
        """The folder of the worlds' journals."""
        return self.plant.settings.worlds

    def close(self) -> None:
        """Let go of the machines and the ledger."""
        for machine in self.machines.values():
            machine.close()
        self.plant.ledger.close()

    def equip(self, *stations: Station) -> None:
        """Set up encoders and open their lines."""
        self.plant.settings.stations_file.write_text("\n".join(map(str, stations)))
        for name, config in self.plant.encoders.items():
            encoders.start(self.plant.ledger, config.machine, self.plant.clock())
            encoders.open_line(self.plant.ledger, name, ACTOR, self.plant.clock())

    def start(self, name: str, kind: Callable[..., Simulator] | None = None, **extra: object) -> Encoder:
        """Start the machine of one encoder; *kind* stands in for Simulator.start."""
        encoder = EncoderId(name)
        if kind is None:
            self.machines[encoder] = stint.start(self.plant, encoder)
        else:
            options = self.plant.encoder(encoder).options
            self.machines[encoder] = kind(name, options, self.plant.settings.worlds, **extra)
        return self.machines[encoder]

    def submit(self, file: Path) -> tuple[JobId, ...]:
        """Submit one issuer's file; its jobs are held."""
        jobs, _ = submit.submit(
            self.plant, file, issuer=ISSUER, production=False, actor=ACTOR, progress=lambda _what, _done, _all: None
        )
        return jobs

    def release(self, jobs: Sequence[JobId]) -> None:
        """Release jobs."""
        operate.release(self.plant, jobs, ACTOR, no_wake)

    def job(self, name: str) -> JobId:
        """Return the job that the issuer called *name*."""
        with self.plant.ledger.read() as connection:
            return next(job.number for job in views.list_jobs(connection) if job.job_id == name)

    def take(self, *files: Path) -> tuple[JobId, ...]:
        """Submit and release files."""
        jobs = tuple(job for file in files for job in self.submit(file))
        self.release(jobs)
        return jobs

    def run(self, name: str = "sim1") -> int:
        """Let one encoder work until it finds nothing; returns how many records it claimed."""
        encoder = EncoderId(name)
        machine = self.machines.get(encoder) or self.start(name)
        total = 0
        while claimed := stint.stint(self.plant, machine, encoder, closed=lambda batch: answer(self.plant, batch)):
            total += claimed
        return total

    def run_all(self) -> None:
        """Let every encoder work at once, each in a thread of this process."""
        faults: list[Exception] = []

        def work(name: EncoderId) -> None:
            try:
                self.run(name)
            except Exception as fault:
                faults.append(fault)

        for name in self.plant.encoders:
            if name not in self.machines:
                self.start(name)
        threads = [Thread(target=work, args=(name,)) for name in self.plant.encoders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults:
            raise ExceptionGroup("encoders failed", faults)

    def cards(self, job: JobId) -> list[CardView]:
        """Return the records of *job* in file order."""
        with self.plant.ledger.read() as connection:
            return views.list_cards(connection, job)

    def attempts(self, card: CardView) -> list[AttemptView]:
        """Return the plastic that *card* consumed."""
        with self.plant.ledger.read() as connection:
            return views.list_attempts(connection, card.card)

    def balances(self, job: JobId) -> list[Balance]:
        """Return the balance of each lot of *job*."""
        with self.plant.ledger.read() as connection:
            return [lot.balance for lot in views.list_lots(connection, job)]

    def plastics(self) -> list[Plastic]:
        """Return all plastic of all worlds."""
        return worlds.plastics(self.worlds)

    def touched(self) -> list[Plastic]:
        """Return all plastic that a command changed."""
        return [plastic for plastic in self.plastics() if plastic.touched]


@contextmanager
def opened(plant: Plant) -> Iterator[Bureau]:
    """Open a bureau and close it at the end."""
    bureau = Bureau(plant)
    try:
        yield bureau
    finally:
        bureau.close()
