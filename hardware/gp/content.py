"""Card content management as dialogues (GPCS 2.3.1 chapter 9): what is loaded, made, moved, locked and removed.

Each speaks to the selected security domain, through its secure channel, and returns the card's receipt where it gives one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hardware.gp import commands, parameters, tokens
from hardware.gp.loadfile import LoadFile
from hardware.gp.parameters import Install
from hardware.gp.tokens import Receipt, Sign, Verify
from hardware.iso7816 import AID, Command, Dialogue

SECURITY_DOMAIN: Final = 0x80
"""Bit of the first byte of privileges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """By what right content is changed: *token* signs for a delegated domain, *receipt* checks what the card answers.

    Neither is there where the selected domain has authorized management and nobody wants a receipt.
    """

    token: Sign | None = None
    receipt: Verify | None = None

    def asked(self, command: Command) -> Command:
        """Return *command*, with its token where one is due."""
        return tokens.signed(command, self.token) if self.token else command

    def answered(self, answer: bytes, *subject: bytes) -> Receipt | None:
        """Return the receipt in *answer*; raises AuthenticationError where it is wanted and wrong or missing."""
        found = tokens.receipt(answer)
        if self.receipt:
            tokens.check(found, subject, self.receipt)
        return found


OWN = Authority()


def load(
    file: LoadFile, domain: AID, blocks: Sequence[bytes], *,
    digest: bytes = b"", parameters: bytes = b"", authority: Authority = OWN,
) -> Dialogue[Receipt | None]:  # fmt: skip
    """Load *file* through *domain* in one run: a refusal ends the session. Raises CardError, AuthenticationError.

    blocks: file.load_blocks, with its DAP blocks; digest: its hash, which DAP blocks and tokens need, else ValueError.
    """
    if authority.token and not digest:
        raise ValueError("a load token signs the load file's hash, so the hash must be given")
    announced = authority.asked(commands.install_for_load(file.aid, domain, digest, parameters))
    response = yield announced, *loads(blocks)
    return authority.answered(response.data, file.aid, domain)


def loads(blocks: Sequence[bytes]) -> list[Command]:
    """Return the LOAD commands of *blocks*."""
    last = len(blocks) - 1
    return [commands.load(block, number, last=number == last) for number, block in enumerate(blocks)]


def install(
    load_file: AID, module: AID, aid: AID, privileges: bytes, wanted: Install, *,
    selectable: bool = True, authority: Authority = OWN,
) -> Dialogue[Receipt | None]:  # fmt: skip
    """Make an instance of *module*, selectable at once or only INSTALLED; raises CardError, AuthenticationError."""
    command = commands.install_for_install(load_file, module, aid, privileges, bytes(wanted), selectable=selectable)
    response = yield authority.asked(command)
    return authority.answered(response.data, load_file, aid)


def load_and_install(
    file: LoadFile, domain: AID, blocks: Sequence[bytes], module: AID, aid: AID, privileges: bytes, wanted: Install
) -> Dialogue[Receipt | None]:
    """Load *file* and make *aid* from it as one change, of which all or nothing stays; raises CardError.

    Tokens for it aren't built in.
    """
    begin = commands.install_for_load(file.aid, domain, combined=True)
    end = commands.install_for_install(file.aid, module, aid, privileges, bytes(wanted), combined=True)
    response = yield begin, *loads(blocks), end
    return tokens.receipt(response.data)


def make_selectable(aid: AID, *, authority: Authority = OWN) -> Dialogue[Receipt | None]:
    """Make what is INSTALLED selectable; raises CardError, AuthenticationError."""
    response = yield authority.asked(commands.install_for_make_selectable(aid))
    return authority.answered(response.data, b"", aid)


def create_domain(
    load_file: AID, module: AID, aid: AID, privileges: bytes, *, wanted: Install | None = None, authority: Authority = OWN
) -> Dialogue[Receipt | None]:
    """Make a security domain, which still has no keys; raises CardError, ValueError where *privileges* aren't a domain's."""
    if not privileges or not privileges[0] & SECURITY_DOMAIN:
        raise ValueError(f"privileges {privileges.hex().upper()} are not those of a security domain")
    return (yield from install(load_file, module, aid, privileges, wanted or parameters.Install(), authority=authority))


def extradite(aid: AID, origin: AID, domain: AID, *, authority: Authority = OWN) -> Dialogue[Receipt | None]:
    """Move *aid* from security domain *origin* to *domain*; raises CardError, AuthenticationError."""
    response = yield authority.asked(commands.install_for_extradition(domain, aid))
    return authority.answered(response.data, origin, aid, domain)


def update(
    aid: AID, *, domain: AID | bytes = b"", privileges: bytes = b"", settings: bytes = b"", authority: Authority = OWN
) -> Dialogue[Receipt | None]:
    """Give *aid* other privileges, another domain or other settings; what is empty stays. Raises CardError.

    Its receipt is taken to sign the fields of the command; no published value has confirmed that yet.
    """
    command = commands.install_for_registry_update(aid, security_domain=domain, privileges=privileges, parameters=settings)
    response = yield authority.asked(command)
    return authority.answered(response.data, domain, aid, privileges, settings)


def delete(aid: AID, *, related: bool = False, authority: Authority = OWN) -> Dialogue[Receipt | None]:
    """Remove an application, or a load file, *related* with what was made from it; raises CardError, AuthenticationError."""
    response = yield authority.asked(commands.delete(aid, related=related))
    return authority.answered(response.data, aid)


def lock(aid: AID, *, domain: bool = False) -> Dialogue[None]:
    """Lock an application, or a *domain* with all of its applications; raises CardError."""
    yield commands.set_status(_scope(domain=domain), commands.LOCKED, aid)


def unlock(aid: AID, *, domain: bool = False) -> Dialogue[None]:
    """Give an application, or a *domain* with its applications, back the state that it had; raises CardError."""
    yield commands.set_status(_scope(domain=domain), 0x00, aid)


def _scope(*, domain: bool) -> int:
    return commands.DOMAIN_AND_APPLICATIONS if domain else commands.APPLICATION


def set_card(isd: AID, state: int) -> Dialogue[None]:
    """Move the card's life cycle to *state* (table 11-6); TERMINATED (FF) is for ever. Raises CardError."""
    yield commands.set_status(commands.CARD, state, isd)
