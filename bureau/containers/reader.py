"""Reads a file of any length in bounded memory: the frame as events, each card record as a small tree.

Expat finds the boundaries and counts lines (without an end); libxml2 parses the bytes between them, one record at a time.
"""

import codecs
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from lxml import etree

from bureau.containers.dialects import DIALECTS

CHUNK: Final = 1 << 16
LIMIT: Final = 8 << 20
"""Bytes of one record, or of anything else that can't be read piecemeal."""
DEPTH: Final = 64

WHOLE: Final = frozenset(
    {"GPHeader", "CommonDataContainer", "CardCustomization", "ApplicationCommonData", "ApplicationDataPerCRN"}
)
"""Elements that come as one tree."""
GROUPS: Final = {"ModuleIdentifierCode": "DataContainer"}
"""Elements that begin a group of siblings, which comes as one tree under a new parent of that name."""

Progress = Callable[[int, int], None]


class UnreadableError(Exception):
    """Nothing after *line* can be read."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Opened:
    """The start tag of a frame element, with the attributes that have no namespace."""

    name: str
    namespace: str
    attributes: Mapping[str, str] = field(repr=False)
    line: int


@dataclass(frozen=True, slots=True)
class Closed:
    """An end tag of the frame."""

    line: int


@dataclass(frozen=True, slots=True)
class Text:
    """Text between the elements of the frame."""

    line: int


@dataclass(frozen=True, slots=True)
class Subtree:
    """One tree; *line* is that of its first tag, so an element's line is line + sourceline - 1."""

    name: str
    root: etree._Element
    line: int


Event = Opened | Closed | Text | Subtree


@dataclass(frozen=True, slots=True)
class _Capture:
    depth: int
    name: str
    parent: str | None
    begin: int
    line: int
    scope: Mapping[str, str]


class Reader:
    """One reading of a file; *sha256* and *size* hold when `events` is exhausted."""

    def __init__(self, path: Path, progress: Progress = lambda _read, _total: None) -> None:
        self._path, self._progress = path, progress
        self._hash = hashlib.sha256()
        self._events: list[Event] = []
        self._scopes: list[dict[str, str]] = [{}]
        self._names: list[str] = []
        self._declared: dict[str, str] = {}
        self._capture: _Capture | None = None
        self._depth = self._base = self.size = 0
        self._codec: str | None = None
        self._buffer = bytearray()
        self._expat = parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = self._text, self._doctype
        parser.StartNamespaceDeclHandler, parser.XmlDeclHandler = self._declare, self._declaration
        self._parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False,
            remove_comments=True, remove_pis=True, remove_blank_text=True,
        )  # fmt: skip

    @property
    def sha256(self) -> str:
        """The hash of what was read so far."""
        return self._hash.hexdigest()

    def events(self) -> Iterator[Event]:
        """Yield the file's events; raises UnreadableError after those before the place that can't be read."""
        total = self._path.stat().st_size
        failure: UnreadableError | None = None
        with self._path.open("rb") as file:
            while failure is None and (chunk := file.read(CHUNK)):
                failure = self._feed(chunk)
                yield from self._drain()
                self._progress(self.size, total)
        failure = failure or self._feed(b"")
        yield from self._drain()
        if failure is not None:
            raise failure

    def _drain(self) -> Iterator[Event]:
        events, self._events = self._events, []
        yield from events

    def _feed(self, chunk: bytes) -> UnreadableError | None:
        if not self.size:
            self._codec = _utf16(chunk)
        self._hash.update(chunk)
        self._buffer += chunk
        self.size += len(chunk)
        try:
            self._expat.Parse(chunk, not chunk)
            if not chunk and self._capture is not None:
                self._finish(self.size)
        except expat.ExpatError as error:
            reason = expat.errors.messages.get(error.code, "syntax error")
            return UnreadableError(error.lineno, f"not well-formed XML: {reason}")
        except (UnicodeError, LookupError):
            return UnreadableError(self._expat.CurrentLineNumber, "the file isn't in the encoding that it declares")
        except ValueError:  # expat's word for a code of several bytes a letter that isn't UTF-8 or UTF-16
            return UnreadableError(self._expat.CurrentLineNumber, "the file's encoding can't be read: use UTF-8 or UTF-16")
        except UnreadableError as error:
            return error
        return self._trim()

    def _trim(self) -> UnreadableError | None:
        keep = self._capture.begin if self._capture else max(self._expat.CurrentByteIndex, self._base)
        if self.size - keep > LIMIT:
            return UnreadableError(self._expat.CurrentLineNumber, f"one record or tag is larger than {LIMIT >> 20} MB")
        del self._buffer[: keep - self._base]
        self._base = keep
        return None

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if self._codec is None and encoding is not None and codecs.lookup(encoding).name != "utf-8":
            self._codec = codecs.lookup(encoding).name

    def _doctype(self, *_: object) -> None:
        raise UnreadableError(self._expat.CurrentLineNumber, "a DOCTYPE isn't accepted; nothing after it was read")

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        self._declared[prefix or ""] = uri or ""

    def _text(self, text: str) -> None:
        if self._capture is None and not text.isspace():
            self._events.append(Text(self._expat.CurrentLineNumber))

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEPTH:
            raise UnreadableError(self._expat.CurrentLineNumber, f"elements are nested deeper than {DEPTH}")
        if (capture := self._capture) is not None:
            if self._depth > capture.depth or (capture.parent and name != capture.name):
                self._declared.clear()
                return
            self._finish(self._expat.CurrentByteIndex)
        namespace, _, plain = name.rpartition(" ")
        declared, self._declared = self._declared, {}
        parent = GROUPS.get(plain)
        if namespace in DIALECTS and (plain in WHOLE or (parent and self._names[-1:] == [f"{namespace} {parent}"])):
            begin, line = self._expat.CurrentByteIndex, self._expat.CurrentLineNumber
            self._capture = _Capture(self._depth, name, parent, begin, line, self._scopes[-1])
            return
        self._names.append(name)
        self._scopes.append(self._scopes[-1] | declared)
        own = {key: value for key, value in attributes.items() if " " not in key}
        self._events.append(Opened(plain, namespace, own, self._expat.CurrentLineNumber))

    def _end(self, _name: str) -> None:
        if (capture := self._capture) is not None:
            if self._depth >= capture.depth:
                self._depth -= 1
                return
            self._finish(self._expat.CurrentByteIndex)
        self._depth -= 1
        self._names.pop()
        self._scopes.pop()
        self._events.append(Closed(self._expat.CurrentLineNumber))

    def _finish(self, end: int) -> None:
        capture = self._capture
        assert capture is not None  # noqa: S101 - for the type checker
        self._capture = None
        piece = bytes(self._buffer[capture.begin - self._base : end - self._base])
        if self._codec is not None:
            piece = piece.decode(self._codec).encode()
        namespace, _, name = capture.name.rpartition(" ")
        declared = ((f":{prefix}" if prefix else "", quoteattr(uri)) for prefix, uri in capture.scope.items() if uri)
        scope = "".join(f" xmlns{prefix}={uri}" for prefix, uri in declared)
        wrapper = f"bureau:{capture.parent or 'record'}"
        opening = f"<{wrapper}{scope} xmlns:bureau={quoteattr(namespace)}>"
        try:
            tree = etree.fromstring(opening.encode() + piece + f"</{wrapper}>".encode(), self._parser)
        except etree.XMLSyntaxError:
            raise UnreadableError(capture.line, f"{name} can't be read") from None
        self._events.append(Subtree(name, tree if capture.parent else tree[0], capture.line))


def _utf16(start: bytes) -> str | None:
    if start.startswith((codecs.BOM_UTF16_LE, b"<\0")):
        return "utf-16-le"
    return "utf-16-be" if start.startswith((codecs.BOM_UTF16_BE, b"\0<")) else None
