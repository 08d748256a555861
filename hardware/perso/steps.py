"""The steps that a Plan is made of: each prints as one line and sends its commands as a dialogue."""

from dataclasses import dataclass, field
from typing import NamedTuple

from hardware.gp import commands, content, parameters
from hardware.gp.loadfile import LoadFile
from hardware.iso7816 import AID, Command, Dialogue
from hardware.perso.layout import Layout, Translate, store
from hardware.perso.profiles import ApplicationInstance


class Origin(NamedTuple):
    """The processing step that a plan step answers: positions of the application and of its step in the order."""

    application: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Remove an application, or a *related* load file with its applications, so that it can be made again."""

    aid: AID
    related: bool
    origin: Origin | None

    def __str__(self) -> str:
        return f"delete {self.aid}" + (" and its applications" if self.related else "")

    def dialogue(self, translate: Translate) -> Dialogue[None]:  # noqa: ARG002 - the shape of every step
        """Send DELETE; raises CardError."""
        yield commands.delete(self.aid, related=self.related)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Load the code of an application through the *security_domain*, in *blocks* of command data."""

    load_file: LoadFile = field(repr=False)
    blocks: tuple[bytes, ...] = field(repr=False)
    security_domain: AID
    origin: Origin | None

    def __str__(self) -> str:
        return f"load {self.load_file.aid}: {len(self.load_file.block)} bytes in {len(self.blocks)} LOAD"

    def dialogue(self, translate: Translate) -> Dialogue[None]:  # noqa: ARG002 - the shape of every step
        """Send INSTALL [for load] and all LOAD blocks in one run; raises CardError."""
        yield from content.load(self.load_file, self.security_domain, self.blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """Make an instance of a module, *selectable* at once or only INSTALLED."""

    load_file: AID
    module: AID
    instance: ApplicationInstance
    selectable: bool
    origin: Origin | None

    def __str__(self) -> str:
        return f"install {self.instance.aid} from module {self.module}"

    @property
    def command(self) -> Command:
        """INSTALL [for install], and make selectable."""
        wanted = self.instance
        given = bytes(parameters.Install(application=wanted.parameters))
        return commands.install_for_install(
            self.load_file, self.module, wanted.aid, wanted.privileges, given, selectable=self.selectable
        )

    def dialogue(self, translate: Translate) -> Dialogue[None]:  # noqa: ARG002 - the shape of every step
        """Send the command; raises CardError."""
        yield self.command


@dataclass(frozen=True, slots=True, kw_only=True)
class Personalize:
    """Store a cardholder's data in an application; the *final* one of several ends with the last block."""

    aid: AID
    layout: Layout = field(repr=False)
    final: bool
    origin: Origin | None

    def __str__(self) -> str:
        return f"personalize {self.aid}: {len(self.layout.items)} elements in {len(self.layout.blocks)} STORE DATA"

    def dialogue(self, translate: Translate) -> Dialogue[None]:
        """Send INSTALL [for personalization] and the STORE DATA commands; raises CardError."""
        yield from store(self.layout, translate, commands.install_for_personalization(self.aid), final=self.final)


PlanStep = Delete | Load | Install | Personalize
