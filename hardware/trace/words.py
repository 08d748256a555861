"""A trace in words, for an engineer at a terminal; a byte that is hidden shows in no form."""

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Final, NamedTuple

from hardware import atr
from hardware.iso7816 import Command
from hardware.trace import Exchange, Trace, answers, meanings, requests, storing
from hardware.trace.details import rendered
from hardware.trace.masking import counted
from hardware.trace.storing import NOTHING, Begun

MARGIN: Final = 20


def lines(trace: Trace) -> Iterator[str]:
    """Yield *trace* in words: whose it is, then each phase with its times, and in it each command with its answer.

    At the left stand a command's number and the milliseconds from the trace's beginning until it was sent. A line with ">"
    is a command, one with "<" its answer, one with "!" an answer that the command doesn't accept, or that none came.
    """
    yield from _head(trace)
    begun, number, host = NOTHING, 0, _host(trace.exchanges)
    for phase, group in groupby(trace.exchanges, key=lambda each: each.phase):
        exchanges = tuple(group)
        between = sum(host[number : number + len(exchanges)])
        yield ""
        yield f"{_plain(phase) or 'no phase'}  ({_spent(exchanges, between)})"
        for each in exchanges:
            number += 1
            margin = f"{number:4} {each.start * 1000:11.2f}  "
            for line in (*_asked(each.command, begun, each.octets), *answer_lines(each)):
                yield f"{margin:{MARGIN}}{line}"
                margin = ""
            begun = storing.after(begun, each.command)


def command_lines(command: Command, begun: Begun = NOTHING) -> Iterator[str]:
    """Yield what *command* asks for, before it is sent; of a protected one, what it protects.

    *begun*: what the STORE DATA before it have begun; storing.after says it of one command after the other.
    """
    yield from _asked(command.plain or command, begun, _size(command))


def answer_lines(exchange: Exchange) -> Iterator[str]:
    """Yield what the card answered, how long it took, or why there is no answer."""
    took = _milliseconds(exchange.seconds)
    response = exchange.response
    if response is None:
        yield f"! no answer, {took}: {_plain(exchange.fault) or 'nobody has said why'}"
        return
    mark = "<" if response.sw in exchange.command.accept else "!"
    data = f", {counted(len(response.data))}" if response.data else ""
    yield f"{mark} {response.sw:04X} {meanings.status(response.sw)}{data}, {took}"
    yield from rendered(answers.details(exchange.command, response))


def _head(trace: Trace) -> Iterator[str]:
    over = f" over {_plain(trace.protocol)}" if trace.protocol else ""
    yield f"{_plain(trace.product)} on {_plain(trace.encoder)}{over}, {trace.began.isoformat(' ', 'milliseconds')}"
    yield _atr(trace.atr)
    yield _spent(trace.exchanges, sum(_host(trace.exchanges)))


def _atr(answer: bytes) -> str:
    if not answer:
        return "no answer to reset"
    try:
        words = str(atr.parse(answer))
    except ValueError as wrong:
        words = str(wrong)
    return f"ATR {answer.hex().upper()}: {words}"


def _host(exchanges: Sequence[Exchange]) -> list[float]:
    """Return the seconds between each exchange and the one before it."""
    return [0.0, *(after.start - before.start - before.seconds for before, after in pairwise(exchanges))]


def _spent(exchanges: Sequence[Exchange], host: float) -> str:
    card = sum(each.seconds for each in exchanges)
    return f"{counted(len(exchanges), 'command')}, card {_milliseconds(card)}, host {_milliseconds(host)}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _asked(command: Command, begun: Begun, octets: int) -> Iterator[str]:
    header = f"{command.cla:02X} {command.ins:02X} {command.p1:02X} {command.p2:02X}"
    sizes = _lengths(command)
    lengths = "".join(f"  {name} {value}" for name, value in zip(("Lc", "Le"), (sizes.lc, sizes.le), strict=True) if value)
    protected = f"  (sent as {counted(octets)})" if octets != _size(command) else ""
    yield f"> {_plain(command.name):<30} {header}{lengths}{protected}"
    yield from rendered(requests.details(command, begun))


class _Lengths(NamedTuple):
    """Lc and Le in hex as they stand in the APDU; empty where there is none."""

    lc: str
    le: str


def _lengths(command: Command) -> _Lengths:
    lc, ne = len(command.data), command.ne
    digits = 2 if lc <= 0xFF and (ne or 0) <= 0x100 else 4
    le = "" if ne is None else f"{ne % 0x100 ** (digits // 2):0{digits}X}"
    return _Lengths(lc=f"{lc:0{digits}X}" if lc else "", le=le)


def _size(command: Command) -> int:
    """Return the length of the APDU, of one too long for any as well."""
    lengths = _lengths(command)
    extended = len(lengths.lc) > 2 or len(lengths.le) > 2
    return 4 + extended + (len(lengths.lc) + len(lengths.le)) // 2 + len(command.data)


def _plain(text: str) -> str:
    """Return *text* on one line, and without what a terminal would obey."""
    return "".join(each if each.isprintable() else " " for each in text)
