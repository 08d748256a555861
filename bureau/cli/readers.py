"""The readers command: what PC/SC sees."""

import click

from bureau.cli.output import as_json, listing
from bureau.models import EncoderId
from bureau.service.plant import EncoderConfig, read_stations
from config import settings
from hardware import atr
from hardware.cards import products
from hardware.encoders.pcsc import Pcsc
from hardware.encoders.pcsc.reader import Seen, readers


@click.command("readers")
@click.option("--socket", "sockets", multiple=True, help="The PCSCLITE_CSOCK_NAME of another pcscd.")
@as_json
def readers_command(sockets: tuple[str, ...], json_: bool) -> None:
    """List the PC/SC readers, with their cards and encoders.

    Asked are the system's pcscd, or those of --socket, and each that an encoder of stations.toml names.
    """
    now, known = settings.current(), {product.name: product for product in products.shipped()}
    bound = {
        (str(config.options.get("socket", "")), str(config.options.get("reader"))): (name, config)
        for name, config in read_stations(now.stations_file, known).items()
        if config.kind == Pcsc.KEY
    }
    rows = [
        _row(socket, seen, bound.get((socket, seen.name)))
        for socket in dict.fromkeys((*sockets, *(socket for socket, _reader in bound))) or ("",)
        for seen in readers(socket)
    ]
    listing(rows, json_=json_, zone=now.plant, empty="pcscd has no reader: plug one in; `bureau simulate` has virtual ones.")


def _row(socket: str, seen: Seen, bound: tuple[EncoderId, EncoderConfig] | None) -> dict[str, object]:
    recognised = [product.name for product in products.shipped() if product.matches(seen.atr)]
    return {
        "reader": seen.name,
        "card": _card(seen),
        "atr": seen.atr.hex().upper(),
        "in_words": _words(seen.atr),
        "product": recognised or "",
        "encoder": bound[0] if bound else "",
        "pcscd": socket or "the system's",
    }


def _card(seen: Seen) -> str:
    if not seen.is_there:
        return "unplugged"
    if not seen.has_card:
        return "none"
    taken = ", held by a program" if seen.is_taken else ""
    return ("in" if seen.atr else "mute") + taken


def _words(answer: bytes) -> str:
    if not answer:
        return ""
    try:
        return str(atr.parse(answer))
    except ValueError as wrong:
        return str(wrong)
