"""The stock command: the only ways in which plastic moves."""

import click

from bureau.cli import acting, session
from bureau.cli.output import as_json, listing, say
from bureau.ledger import destruction, vault
from bureau.models import EncoderId
from bureau.service import operate
from bureau.service.people import Action
from bureau.wording import counted

COUNT = click.IntRange(1)


@click.group("stock", invoke_without_command=True)
@as_json
@click.pass_context
def stock_command(ctx: click.Context, json_: bool) -> None:
    """List the plastic in the vault and on encoders, or move it.

    An encoder is in the book for a stock from its first load on: each blank that a lot draws is booked, and one whose blanks
    are used up by the book gets no card of that stock. What was spent of it anywhere stands with the
    vault.
    """
    if ctx.invoked_subcommand is None:
        with session.reading().read() as connection:
            waste = destruction.list_waste(connection)
            rows = [
                {
                    "place": each.encoder or "vault",
                    "stock": each.stock,
                    "came": each.came,
                    "went": each.went,
                    "drawn": each.drawn,
                    "left": each.left,
                    "to_destroy": None if each.encoder else sum(one.waiting for one in waste if one.stock == each.stock),
                    "destroyed": None if each.encoder else sum(one.destroyed for one in waste if one.stock == each.stock),
                }
                for each in vault.holdings(connection)
            ]
        empty = "No plastic is in the book: `bureau stock receive STOCK COUNT`."
        listing(rows, json_=json_, zone=session.plant().settings.plant, empty=empty)


@stock_command.command("receive")
@click.argument("stock")
@click.argument("count", type=COUNT)
@acting.acting
def receive(stock: str, count: int) -> None:
    """Book COUNT new blanks of STOCK into the vault."""
    plant = session.plant()
    vault.receive(plant.ledger, stock, count, acting.actor(plant, Action.STOCK), plant.clock())
    say(f"{counted(count, 'blank')} of {stock} came into the vault")


@stock_command.command("load")
@click.argument("encoder")
@click.argument("stock")
@click.argument("count", type=COUNT)
@acting.acting
def load(encoder: str, stock: str, count: int) -> None:
    """Book COUNT blanks of STOCK from the vault onto ENCODER."""
    plant = session.plant()
    vault.load(plant.ledger, EncoderId(encoder), stock, count, acting.actor(plant, Action.STOCK), plant.clock())
    operate.wake_pools(plant, session.wake(plant.settings))
    say(f"{counted(count, 'blank')} of {stock} went onto {encoder}")


@stock_command.command("unload")
@click.argument("encoder")
@click.argument("stock")
@click.argument("count", type=COUNT, required=False)
@acting.acting
def unload(encoder: str, stock: str, count: int | None) -> None:
    """Book COUNT blanks of STOCK, or all that are left, from ENCODER into the vault."""
    plant = session.plant()
    actor = acting.actor(plant, Action.STOCK)
    back = vault.unload(plant.ledger, EncoderId(encoder), stock, count, actor, plant.clock())
    say(f"{counted(back, 'blank')} of {stock} went from {encoder} into the vault")
