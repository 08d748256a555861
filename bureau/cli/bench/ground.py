"""A bureau of the benchmark's own in a temporary folder: its encoders, its cards, its files."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Final

from bureau.cli import demo, founding
from bureau.models import EncoderId, JobId
from bureau.service import register
from bureau.service.plant import Plant
from bureau.service.submit import submit

COMMANDS: Final = 45
"""What the reference card takes: a channel, code of 823 bytes, an instance, and thirty DGIs that can't share a command."""
SECONDS: Final = 1.0
"""How long the chip of a reference card takes for all of its commands."""
CLEAR, SECRET = (117, 27), (128, 3)
"""Length and number of its DGIs: 3.6 kB with their headers; the secret ones travel under a transport key."""
INTERNAL: Final = 0x3001
"""The first of its clear DGIs: an application's internal data, which no sample asks for; the encoders keep nothing."""
ISSUER: Final = "BENCH"
STOCK: Final = "PLASTIC-BLUE"
CARD, APPLICATION, TRANSPORT = "2B0601040181FD596312", "2B0601040181FD596322", "2B0601040181FD596301"
AID, LOAD_FILE = "A0000000031010", "F0504552534F01"
PROFILES: Final = resources.files("config") / "products" / "profiles"

HEAD: Final = (
    '<GPMessage xmlns="http://namespaces.globalplatform.org/systems-messaging/2.0.1"'
    ' xmlns:p="http://namespaces.globalplatform.org/systems-profiles/1.1.1">'
    '<GPHeader TransactionID="{name}" Source="2B0601040181FD5901" Destination="2B0601040181FD5902"'
    ' Type="BATCH_CARD_CUSTOMIZATION" MessageVersion="2.0.1"/><GPBody>'
    '<BatchCardCustomization BatchID="{name}" IssuingEntity="BENCH" ProcessingEntity="BUREAU">'
    '<EnvironmentContainer EnvironmentName="CONTACT-GP" EnvironmentVersion="1,0" Preference="2">'
    '<JobContainer JobID="{name}" JobPriorityLevel="3" RiskLevel="3">'
    '<DataContainerHeader DataGenerationDate="20261101120000" CardProductID="REFERENCE" CardProductVersion="1,0"'
    ' IssuerName="Bench" CardRecordCount="{count}" PlasticStockID="PLASTIC-BLUE">'
)
TAIL: Final = "</DataContainerHeader></JobContainer></EnvironmentContainer></BatchCardCustomization></GPBody></GPMessage>"


@contextmanager
def ground(encoders: int, seconds: float = SECONDS) -> Iterator[Plant]:
    """Yield a bureau with so many encoders whose cards take *seconds* each; nothing of it stays."""
    with _bureau("".join(_station(number, seconds) for number in range(1, encoders + 1))) as plant:
        register.add_profiles(plant, _any_dgi(), None, plant.settings.user)
        yield plant


@contextmanager
def samples() -> Iterator[Plant]:
    """Yield a bureau with the demo's encoders, whose cards take no time; nothing of it stays."""
    stations = (demo.DEMO / "stations.toml").read_text("utf-8")
    with _bureau(re.sub(r"(milliseconds_per_\w+) = [\d.]+", r"\1 = 0", stations)) as plant:
        yield plant


def folder() -> str:
    """Return the folder that temporary bureaus are made in."""
    return tempfile.gettempdir()


@contextmanager
def _bureau(stations: str) -> Iterator[Plant]:
    home = Path(tempfile.mkdtemp(prefix="bureau-bench-"))
    try:
        whatever = founding.settings_of(home, stations)
        hours, minutes, minute = timedelta(hours=72), timedelta(minutes=2), timedelta(minutes=1)
        plant = Plant(replace(whatever, retention=hours, lease=minutes, stint=minute, alert=""))  # as everywhere, to compare
        founding.found(plant)
        try:
            yield plant
        finally:
            plant.ledger.close()
    finally:
        shutil.rmtree(home)


def _station(number: int, seconds: float) -> str:
    pace = 1000 * seconds / COMMANDS
    return (
        f'[encoder.bench{number}]\nkind = "bench"\nproduct = "export-scp03"\nstocks = ["{STOCK}"]\n'
        f'options = {{ seed = {number}, milliseconds_per_command = {pace}, stocks = ["{STOCK}"], '
        f'load_file = "{LOAD_FILE}", application = "{AID}" }}\n'
    )


def _any_dgi() -> bytes:
    """Return a newer version of the shipped SCP03 application's profile that maps no elements: it takes any DGI."""
    shipped = (PROFILES / "application-export.xml").read_text("utf-8")
    return re.sub(r"<DataElement .*?/>", "", shipped).replace('ProfileVersion="1.0"', 'ProfileVersion="1.1"', 1).encode()


def encoders(plant: Plant) -> list[EncoderId]:
    """Return the names of its encoders."""
    return list(plant.encoders)


def reference_cards(plant: Plant, name: str, count: int) -> JobId:
    """Take in a job of so many reference cards, held."""
    file = plant.settings.home / f"{name}.xml"
    with file.open("w", encoding="ascii") as out:
        out.write(HEAD.format(name=name, count=count))
        out.writelines(_reference(name, number) for number in range(count))
        out.write(TAIL)
    (job,), _ = submit(
        plant, file, issuer=ISSUER, production=False, actor=plant.settings.user, progress=lambda *_shown: None
    )
    file.unlink()
    return job


def _reference(name: str, number: int) -> str:
    """Return one record; its values are counted, not random, so that two runs make the same file."""

    def values(first: int, size: int, count: int) -> str:
        wanted = ((first + at, f"{number * 64 + at:08X}" * 64) for at in range(count))
        return "".join(f'<Data DataElement="{dgi:04X}" Value="{text[: 2 * size]}"/>' for dgi, text in wanted)

    return (
        '<DataContainer><ModuleIdentifierCode Identifier="EMVCHIP"><CardConfiguration CollatorStatus="04">'
        f'<CRN Number="{name.encode().hex().upper()}{number:08X}"/><ValidCardProfileID>{CARD}</ValidCardProfileID>'
        f'<AID AID="{AID}" Order="1" TargeState="PERSONALIZED"/></CardConfiguration>'
        f'<ApplicationData><AID AID="{AID}" Order="1"/>'
        f"<ApplicationProfileUniqueID>{APPLICATION}</ApplicationProfileUniqueID>"
        '<ProcessingStep Action="LOAD" Requirement="00"/><ProcessingStep Action="INSTALL" Requirement="01"/>'
        '<ProcessingStep Action="PERSONALIZE" Requirement="01"><PersoDeviceIns>'
        '<Data DataElement="ENC" Value="8201 8202 8203"/><Data DataElement="SECLEV" Value="03"/></PersoDeviceIns>'
        "</ProcessingStep><ICCData>"
        f'<DataSet Name="CLEAR">{values(INTERNAL, *CLEAR)}</DataSet><DataSet Name="SECRET">{values(0x8201, *SECRET)}'
        f'<p:TransportKey ID="{TRANSPORT}" Algorithm="ECB"/></DataSet></ICCData></ApplicationData>'
        "</ModuleIdentifierCode></DataContainer>"
    )
