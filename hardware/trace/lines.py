"""A trace as JSON lines: the first says whose it is, then one for each exchange.

Whole, it is what the ledger keeps under a job's data key. Masked, every byte that may be secret or confidential is written
XX and nothing is left to try a guess against; it can be shown to anybody and read back.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from hardware.iso7816 import Command, Response, Span
from hardware.trace import Exchange, Trace

FORMAT: Final = 1
MASK: Final = "XX"


def dump(trace: Trace, *, masked: bool) -> Iterator[str]:
    """Yield the lines of *trace*."""
    yield _json(
        {
            "trace": FORMAT,
            "masked": masked,
            "product": trace.product,
            "encoder": trace.encoder,
            "atr": _hex(trace.atr),
            "protocol": trace.protocol,
            "began": trace.began.isoformat(),
        }
    )
    for each in trace.exchanges:
        yield _json(_exchange(each, masked=masked))


def _exchange(each: Exchange, *, masked: bool) -> dict[str, object]:
    command, answer = each.command, each.response.data if each.response else b""
    of_answer = () if command.is_public else ((0, len(answer)),)
    return {
        "phase": each.phase,
        "name": command.name,
        "header": _hex(bytes((command.cla, command.ins, command.p1, command.p2))),
        "data": _hex(command.data, command.hidden if masked else ()),
        "ne": command.ne,
        "accept": list(command.accept),
        "secret": command.secret,
        "octets": each.octets,
        "digest": "" if masked else _hex(each.digest),
        "sw": f"{each.response.sw:04X}" if each.response else "",
        "answer": _hex(answer, of_answer if masked else ()),
        "fault": each.fault,
        "start": each.start,
        "seconds": each.seconds,
    }


def load(lines: Iterable[str]) -> Trace:
    """Return the trace that *lines* write, masked bytes as 00; raises ValueError, naming the line."""
    first, *rest = [*enumerate(lines, start=1)] or [(1, "")]
    head = _object(first)
    try:
        if head["trace"] != FORMAT:
            raise ValueError(f"format {head['trace']} is not {FORMAT}")
        empty = Trace(
            product=_text(head, "product"),
            encoder=_text(head, "encoder"),
            atr=_bytes(head, "atr"),
            protocol=_text(head, "protocol"),
            began=datetime.fromisoformat(head["began"]).astimezone(UTC),
            exchanges=(),
        )
    except (KeyError, TypeError, ValueError) as wrong:
        raise ValueError(f"line 1 begins no trace: {wrong}") from wrong
    return replace(empty, exchanges=tuple(_loaded(line) for line in rest))


def _loaded(line: tuple[int, str]) -> Exchange:
    entry = _object(line)
    try:
        header, data = _bytes(entry, "header"), _bytes(entry, "data")
        cla, ins, p1, p2 = header
        secret = None if entry["secret"] is None else tuple((int(start), int(end)) for start, end in entry["secret"])
        ne, accept = entry["ne"], tuple(int(sw) for sw in entry["accept"])
        sw = _bytes(entry, "sw")
        if len(sw) not in (0, 2):
            raise ValueError(f"a status word of {len(sw)} bytes")
        return Exchange(
            phase=_text(entry, "phase"),
            command=Command(_text(entry, "name"), cla, ins, p1, p2, data, None if ne is None else int(ne), accept, secret),
            octets=int(entry["octets"]),
            digest=_bytes(entry, "digest"),
            response=Response(_bytes(entry, "answer"), int.from_bytes(sw, "big")) if sw else None,
            fault=_text(entry, "fault"),
            start=float(entry["start"]),
            seconds=float(entry["seconds"]),
        )
    except (KeyError, TypeError, ValueError) as wrong:
        raise ValueError(f"line {line[0]} is no exchange: {wrong}") from wrong


def _object(line: tuple[int, str]) -> dict[str, Any]:
    try:
        found = json.loads(line[1])
    except ValueError as wrong:
        raise ValueError(f"line {line[0]} is no JSON: {wrong}") from wrong
    if not isinstance(found, dict):
        raise ValueError(f"line {line[0]} is no JSON object")
    return found


def _text(entry: dict[str, Any], key: str) -> str:
    if not isinstance(entry[key], str):
        raise TypeError(f"{key} is no text")
    return str(entry[key])


def _bytes(entry: dict[str, Any], key: str) -> bytes:
    return bytes.fromhex(_text(entry, key).replace(MASK, "00"))


def _hex(data: bytes, hidden: Iterable[Span] = ()) -> str:
    text = data.hex().upper()
    for start, end in hidden:
        text = text[: 2 * start] + MASK * (end - start) + text[2 * end :]
    return text


def _json(value: dict[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"))
