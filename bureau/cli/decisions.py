"""Commands that decide about records: withdraw, requeue, scrap, resolve."""

import click

from bureau.cli import acting, people, session
from bureau.cli.output import say
from bureau.ledger import suspects, views
from bureau.models import CardId
from bureau.service import decisions, readers
from bureau.service.people import Action
from bureau.service.plant import Plant
from bureau.service.resolve import check_place, resolve
from bureau.wording import counted
from hardware.encoders.pcsc.desk import called, desk

_cards = click.argument("cards", nargs=-1, required=True, metavar="CARD...")
_reason = click.option("--reason", required=True, help="Why; the audit log keeps it.")


@click.command("withdraw")
@click.argument("cards", nargs=-1, metavar="[CARD...]")
@click.option("--job", "jobs", multiple=True, help="Every record of this job that is ready; may be repeated.")
@_reason
@acting.acting
def withdraw_command(cards: tuple[str, ...], jobs: tuple[str, ...], reason: str) -> None:
    """Ask that CARDs aren't made, or all of a job.

    Only records that nothing was written of yet can be withdrawn. Somebody else approves it; their CRNs may be used again
    then. A CARD is its number (see `bureau cards`) or its CRN.
    """
    if not cards and not jobs:
        raise click.UsageError("name a CARD, or --job")
    plant = session.plant()
    person = acting.person(plant)
    with plant.ledger.read() as connection:
        numbers = [number for name in jobs for number in views.find_jobs(connection, name)]
    people.tell(plant, decisions.ask_to_withdraw(plant, _found(plant, cards), numbers, reason, person))


@click.command("requeue")
@_cards
@_reason
@acting.acting
def requeue_command(cards: tuple[str, ...], reason: str) -> None:
    """Ask that each CARD is made again, on another blank.

    For records that are rejected or suspect, and those held because they came back three times unwritten. Somebody else
    approves it. The plastic that a record took stays counted, and a suspect one's chip is never written again.
    """
    plant = session.plant()
    person = acting.person(plant)
    people.tell(plant, decisions.ask_to_requeue(plant, _found(plant, cards), reason, person))


@click.command("scrap")
@_cards
@_reason
@acting.acting
def scrap_command(cards: tuple[str, ...], reason: str) -> None:
    """Give up each CARD that is rejected or suspect.

    Its issuer is told that it wasn't made; nobody can take that back.
    """
    plant = session.plant()
    actor = acting.actor(plant, Action.SCRAP)
    found = _found(plant, cards)
    closed = decisions.scrap(plant, found, reason, actor)
    say(f"{counted(len(found), 'card')} scrapped")
    people.answer(plant, closed)


@click.command("resolve")
@click.argument("card")
@click.option("--reader", required=True, help="Where the card is: the reader's name, or a part of it that no other has.")
@click.option("--socket", default="", help="The PCSCLITE_CSOCK_NAME of its pcscd, if not the system's.")
@acting.acting
def resolve_command(card: str, reader: str, socket: str) -> None:
    """Read a suspect CARD back: good after all, or to be scrapped.

    Its own keys open the channel, its identity is read through it, and then all that it gives back is compared with its
    record. Nothing is written to it. If anything is missing, or can't be read, nothing changes, and it is said what.
    Production cards take a reader that stations.toml gives a production encoder, which is held meanwhile.
    """
    plant = session.plant()
    actor = acting.actor(plant, Action.RESOLVE)
    with plant.ledger.read() as connection:
        suspect = suspects.find(connection, views.find_card(connection, card))
    check_place(plant, suspect)
    name, number = called(reader, socket), suspect.record.card
    readers.check_reader(plant, name, suspect.record.mode)
    with desk(name, socket) as its_card:
        closed = resolve(plant, suspect, its_card, actor)
    say(f"card {number} is good after all: chip {suspect.identity} holds its record. Put it to the good ones")
    people.answer(plant, (closed,) if closed is not None else ())


def _found(plant: Plant, cards: tuple[str, ...]) -> list[CardId]:
    with plant.ledger.read() as connection:
        return list(dict.fromkeys(views.find_card(connection, name) for name in cards))
