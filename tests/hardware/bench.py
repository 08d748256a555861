"""A simulated card before the engine's own channel: dialogues go in, and its memory says what became of them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hardware.errors import CardError
from hardware.gp import commands
from hardware.iso7816 import AID, Command, Dialogue, Response, T, run
from hardware.scp import Opening, SecureChannel, channel, secured
from hardware.sim.blank import Blank, shipped
from hardware.sim.world import World
from tests.hardware.opening import keys_of
from tests.hardware.sim.conftest import fixed

DOMAIN_FILE, DOMAIN_MODULE = AID(bytes.fromhex("A0000001515350")), AID(bytes.fromhex("A000000151535041"))


class Bench:
    """One powered blank of a kind; *sent* holds every command as it went to the card."""

    def __init__(self, folder: Path, kind: str = "export-scp03", **changes: Any) -> None:
        self.blank: Blank = replace(shipped(kind), **changes)
        self.isd = AID(self.blank.isd_aid)
        self._journal = folder / f"{kind}.journal"
        self._world = World.open(self._journal, blank=self.blank, hoppers={"BLUE": 1}, seed=1, entropy=fixed)
        self._world.feed("BLUE")
        self._world.power_on()
        self.sent: list[Command] = []
        self.channel: SecureChannel | None = None
        self.again: Callable[[], object] = self.reset
        """Opens the same channel once more."""

    def transmit(self, command: Command) -> Response:
        """Exchange one command."""
        self.sent.append(command)
        answer = self._world.transmit(bytes(command))
        assert answer is not None
        return Response.parse(answer)

    def reset(self) -> None:
        """Switch the card off and on."""
        self._world.power_on()
        self.channel = None

    def open(
        self,
        aid: AID | None = None,
        *,
        kvn: int = 0,
        keys: Mapping[str, bytes] | None = None,
        level: int = 3,
        extended: bool = False,
    ) -> SecureChannel:
        """Select a security domain and open a channel to it, with the blank's own keys or others."""
        self.again = lambda: self.open(aid, kvn=kvn, keys=keys, level=level, extended=extended)
        domain = aid or self.isd
        static = keys or {"enc": self.blank.enc, "mac": self.blank.mac, "dek": self.blank.dek}
        run(_one(commands.select(domain)), self.transmit)
        opening = Opening(
            i=self.blank.i, level=level, kvn=kvn, host_challenge=bytes(range(8)), sd_aid=domain, extended=extended
        )
        kind = channel(f"SCP{self.blank.scp:02}")
        self.channel = run(kind.open(opening, keys_of(static)), self.transmit)
        return self.channel

    def do(self, dialogue: Dialogue[T]) -> T:
        """Carry out *dialogue* through the open channel, or in clear where there is none."""
        return run(secured(dialogue, self.channel) if self.channel else dialogue, self.transmit)

    def memory(self) -> dict[str, Any]:
        """Return what the chip holds, read from the journal alone."""
        values: dict[str, Any] = {}
        for line in self._journal.read_text("utf-8").splitlines():
            for key, value in json.loads(line).get("set", {}).items():
                values.pop(key, None)
                if value is not None:
                    values[key] = value
        return values


def _one(command: Command) -> Dialogue[Response]:
    return (yield command)


def refused(bench: Bench, dialogue: Dialogue[object], sw: int) -> None:
    """Assert that the card refuses with *sw* and that its memory is as it was, but for a channel's counters; open anew."""
    before = _kept(bench)
    with pytest.raises(CardError) as refusal:
        bench.do(dialogue)
    assert f"{refusal.value.sw:04X}" == f"{sw:04X}"
    assert _kept(bench) == before
    bench.again()  # a refused run has cost the session


def _kept(bench: Bench) -> dict[str, Any]:
    return {key: value for key, value in bench.memory().items() if not key.startswith("scp/") and key != "touched"}
