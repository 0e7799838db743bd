"""Rows of CSV and JSONL files, with the line each begins on. What is no row becomes a finding, and reading goes on.

Files are UTF-8, with or without a byte order mark, with LF or CRLF. A CSV has a header; quotes follow RFC 4180. Every
line read goes into a running digest, by which a second reading notices that the file has changed.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple, cast

import msgspec

from aggregates.values.errors import Finding

MAX_LINE = 1 << 20
"""Bytes of the longest line; a file without line ends is refused instead of read into memory."""

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Row(NamedTuple):
    """One row: the text of the columns asked for (None where absent or empty), and all of it for its identity."""

    line: int
    values: Sequence[str | None]
    raw: Sequence[str]
    properties: dict[str, str]


RowReader = Callable[["Lines", Sequence[str]], Iterator[Row | Finding]]
"""Reads the rows of a file; the columns asked for come in the order they are asked for."""


def at(line: int) -> str:
    """How findings name a place in a file."""
    return f"line {line}"


class Lines:
    """The lines of a file as text. Bad ones are noted in `findings` and read as empty."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0
        self.bytes = 0
        self.digest = hashlib.sha256()
        self.findings: list[Finding] = []

    def __iter__(self) -> Iterator[str]:
        while raw := self._file.readline(MAX_LINE):
            self.digest.update(raw)
            self.bytes += len(raw)
            self.number += 1
            if self.number == 1:
                if raw.startswith(_UTF16):
                    self._note("wrong_encoding", "the file is UTF-16; save it as UTF-8")
                    return
                raw = raw.removeprefix(codecs.BOM_UTF8)
            if len(raw) == MAX_LINE and not raw.endswith(b"\n"):
                self._note("line_too_long", f"the line is longer than {MAX_LINE:,} bytes")
                return
            yield self._text(raw)

    def _text(self, raw: bytes) -> str:
        if b"\x00" in raw:
            self._note("nul_character", "the line holds a NUL character")
            return "\n"
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            self._note("wrong_encoding", f"byte {error.start + 1} of the line is not UTF-8; save the file as UTF-8")
            return "\n"

    def _note(self, code: str, message: str) -> None:
        self.findings.append(Finding(at(self.number), code, message))


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────


def csv_rows(lines: Lines, columns: Sequence[str], delimiter: str = ",") -> Iterator[Row | Finding]:
    """The rows under a header. Codes: `empty_file`, `no_such_column`, `duplicate_column`, `malformed_row`."""
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    header = _header(reader, lines)
    if isinstance(header, Finding):
        yield header
        return
    problems = list(_check_header(header, columns))
    if problems or not header:
        yield from problems
        return
    indexes = [header.index(column) for column in columns]
    width = len(header)
    nothing: dict[str, str] = {}
    while True:
        line = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Finding(at(line), "malformed_row", f"{error}")
            continue
        if len(cells) == width:
            yield Row(line, [cells[index].strip() or None for index in indexes], cells, nothing)
        elif cells:
            what = "missing_column" if len(cells) < width else "extra_column"
            yield Finding(at(line), what, f"the row has {len(cells)} columns, the header {width}")


def _header(reader: Iterator[list[str]], lines: Lines) -> list[str] | Finding:
    """The names in the first line that is not empty; no names where that line could not be read."""
    try:
        for cells in reader:
            if cells:
                return [cell.strip() for cell in cells]
    except csv.Error as error:
        return Finding(at(1), "malformed_row", f"{error}")
    return [] if lines.findings else Finding("", "empty_file", "the file is empty; a CSV begins with a header")


def _check_header(header: Sequence[str], columns: Sequence[str]) -> Iterator[Finding]:
    if not header:
        return
    names = ", ".join(repr(name) for name in header[:20])
    for column in dict.fromkeys(columns):
        if column not in header:
            message = f"there is no column {column!r}; the first line names {names}. Is it a header?"
            yield Finding(at(1), "no_such_column", message)
        elif header.count(column) > 1:
            yield Finding(at(1), "duplicate_column", f"the header names {column!r} more than once")


# ── JSONL ────────────────────────────────────────────────────────────────────────────────────────────────────

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
_properties = msgspec.json.Decoder(dict[str, str]).decode


def jsonl_rows(lines: Lines, columns: Sequence[str]) -> Iterator[Row | Finding]:
    """One JSON object a line. Numbers are taken as they are written, never through a float.

    A field `properties` may hold an object of texts. Codes: `malformed_row`, `bad_properties`.
    """
    for text in lines:
        line = lines.number
        stripped = text.strip()
        if not stripped:
            continue
        try:
            fields = _object(stripped)
            values = [_cell(fields[column]) if column in fields else None for column in columns]
        except (msgspec.DecodeError, ValueError) as error:
            yield Finding(at(line), "malformed_row", f"{error}")
            continue
        try:
            properties = _properties(fields["properties"]) if "properties" in fields else {}
        except msgspec.DecodeError as error:
            yield Finding(at(line), "bad_properties", f"properties are an object of texts: {error}")
            continue
        yield Row(line, values, (stripped,), properties)


def _cell(raw: msgspec.Raw) -> str | None:
    written = bytes(cast("bytes", raw))
    match written[:1]:
        case b'"':
            return _text(written).strip() or None
        case b"n":
            return None
        case b"{" | b"[":
            msg = f"expected a text or a number, found {written[:40].decode(errors='replace')}"
            raise ValueError(msg)
        case _:
            return written.decode()
