"""Usage from CSV and JSONL files: the whole file is checked first, then stored; or all findings are told at once.

A file is read twice. The first reading notes everything that is wrong, by line, and writes nothing. The second one
stores what the first has seen, block by block, and stops when the bytes of a block are no longer the same.

Stopped in the middle and run again, an import completes: every event has an id, and known ids are not stored twice.
Rows without an id get one: a hash of customer, meter, the row as it is written, and its number among equal rows
(decision 17). It does not depend on where the row stands, on how the file was cut, on the time range asked for, or
on which other meters are read. Equal rows of *different* files get equal ids, so that overlapping exports count once;
where they are different usage (two machines with equal logs), give each file a `source` of its own.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from aggregates.catalogue import Meter
from aggregates.values.errors import Finding, Findings, ValidationFailed
from ledger.metering.rows import Lines, Row, RowReader, at, csv_rows, jsonl_rows
from ledger.metering.store import CHUNK, IngestReport, UsageStore
from ledger.metering.usage import VALUELESS, UsageEvent, canonical, check, digest

LISTED = 100
"""Findings that are listed; of the rest the number is told."""

Progress = Callable[[int, int], None]
"""Told how much is done, of how much."""
Answer = TypeVar("Answer")


class UsageMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which columns (or JSON fields) of a row mean what.

    Wide files have a column per meter: `meters={"input_tokens": "ContextTokens"}` makes one event of a row per meter;
    None instead of a column is for meters that count rows. Long files name the meter in the row: `meter_column` and
    `value_column`. The customer is fixed or in a column. `properties` maps property names to columns.

    With `id_column`, the event's id is the row's; in wide files followed by the meter's key (`r17:input_tokens`),
    because one row makes several events. Without it the id is a hash of the row.

    `assume_utc` reads times without a zone as UTC; else they are refused. Only events with time in `[from_, to)` count.
    """

    time: str = "time"
    customer: str | None = None
    customer_column: str | None = None
    id_column: str | None = None
    meters: dict[str, str | None] = msgspec.field(default_factory=dict[str, str | None])
    meter_column: str | None = None
    value_column: str | None = None
    properties: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    source: str = "import"
    assume_utc: bool = False
    from_: datetime | None = None
    to: datetime | None = None

    def columns(self) -> list[str]:
        """The columns that are read, each once."""
        single = (self.time, self.customer_column, self.id_column, self.meter_column, self.value_column)
        return list(dict.fromkeys(c for c in (*single, *self.meters.values(), *self.properties.values()) if c))

    def check(self) -> None:
        """Raise `ValidationFailed` when the mapping contradicts itself."""
        findings = Findings()
        if (not self.customer) == (not self.customer_column):
            findings.add("customer", "one_of", "name either the customer or the column it is in")
        if bool(self.meters) == (self.meter_column is not None):
            findings.add(
                "meters", "one_of", "name either the meters and their columns or the column of the meter's key"
            )
        if self.value_column is not None and self.meter_column is None:
            findings.add("value_column", "one_of", "a value column goes with a meter column")
        if self.from_ and self.to and self.to <= self.from_:
            findings.add("to", "empty_range", "the time range ends before it begins")
        findings.raise_if_any()


EVENTS_MAPPING = UsageMapping(customer_column="customer", id_column="id", meter_column="meter", value_column="value")
"""Rows that are usage events as they stand: `time`, `customer`, `id`, `meter`, `value`, `properties`."""


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What the first reading found: a sound file. `digests` are those of its blocks, for the second reading."""

    rows: int
    events: int
    digests: tuple[bytes, ...]


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file: its rows, the usage events made of them, and what the store did with those."""

    rows: int
    events: int
    ingest: IngestReport


def import_usage(
    store: UsageStore,
    namespace: str,
    file: UsageFile,
    *,
    progress: Progress | None = None,
    checks_only: bool = False,
) -> ImportReport:
    """Check a file and store its usage. `progress` is told (rows stored, rows in all) after each chunk.

    With `checks_only` the report tells what is in the file, and nothing is stored.

    Raises `ValidationFailed` with everything that is wrong; nothing is written then, unless the file changes while
    it is imported (`file_changed`): the unchanged beginning is stored then, and importing again counts nothing twice.
    """
    survey = file.survey()
    report = IngestReport()
    done = 0
    for rows, events in () if checks_only else file.blocks(survey):
        report += store.ingest(namespace, events, chunk=max(1, len(events)))
        done += rows
        if progress:
            progress(done, survey.rows)
    return ImportReport(rows=survey.rows, events=survey.events, ingest=report)


class UsageFile:
    """A CSV or JSONL file, what its columns mean, and the definitions its usage is checked against.

    `meters` answers the meter of a key, `customers` whether a customer exists; both are asked once per key.
    """

    def __init__(
        self,
        path: str | Path,
        mapping: UsageMapping,
        meters: Callable[[str], Meter | None],
        customers: Callable[[str], bool] | None = None,
        *,
        rows: RowReader = csv_rows,
    ) -> None:
        mapping.check()
        self._path = Path(path)
        self._mapping = mapping
        self._meters = meters
        self._customers = customers
        self._rows = rows
        self._block = max(1, CHUNK // max(1, len(mapping.meters)))

    def survey(self, progress: Progress | None = None) -> Survey:
        """Read the whole file and keep nothing. Raises `ValidationFailed` with all findings, by line.

        `progress` is told (bytes read, bytes in all).
        """
        self._check_definitions()
        findings = _Listing()
        digests: list[bytes] = []
        rows = events = 0
        with self._open() as file:
            lines = Lines(file)
            size = self._path.stat().st_size
            translate = Translation(self._mapping, self._meters, self._customers)
            for row in self._rows(lines, self._mapping.columns()):
                made = row if isinstance(row, Finding) else translate(row)
                if isinstance(made, list):
                    events += len(made)
                else:
                    findings.add(made)
                rows += not isinstance(row, Finding)
                findings.take(lines.findings)
                if rows % self._block == 0:
                    digests.append(lines.digest.digest())
                    if progress:
                        progress(lines.bytes, size)
            findings.take(lines.findings)
            digests.append(lines.digest.digest())
        findings.raise_if_any()
        return Survey(rows=rows, events=events, digests=tuple(digests))

    def blocks(self, survey: Survey) -> Iterator[tuple[int, list[UsageEvent]]]:
        """Read a surveyed file again: rows and their events, a block at a time, each compared before it is given."""
        expected = iter(survey.digests)
        block: list[UsageEvent] = []
        rows = done = 0
        with self._open() as file:
            lines = Lines(file)
            translate = Translation(self._mapping, self._meters, self._customers)
            for row in self._rows(lines, self._mapping.columns()):
                made = row if isinstance(row, Finding) else translate(row)
                if not isinstance(made, list):
                    raise _changed(lines)
                block += made
                rows += 1
                if rows % self._block == 0:
                    if lines.digest.digest() != next(expected, None):
                        raise _changed(lines)
                    yield rows - done, block
                    block, done = [], rows
            if lines.digest.digest() != next(expected, None):
                raise _changed(lines)
            yield rows - done, block

    def _check_definitions(self) -> None:
        """What is wrong for every row alike is told once."""
        findings = Findings()
        customer = self._mapping.customer
        if customer and self._customers and not self._customers(customer):
            findings.add("customer", "customer_not_found", f"no customer {customer!r}")
        for key, column in self._mapping.meters.items():
            meter = self._meters(key)
            if meter is None:
                findings.add(f"meters.{key}", "meter_not_found", f"no meter {key!r}")
            elif column is None and meter.aggregation not in VALUELESS:
                findings.add(f"meters.{key}", "missing_value", f"meter {key!r} needs a column for its values")
        findings.raise_if_any()

    @contextmanager
    def _open(self) -> Generator[BinaryIO, None, None]:
        try:
            with self._path.open("rb") as file:
                if not stat.S_ISREG(self._path.stat().st_mode):
                    raise _refused(str(self._path), "not_a_file", "is read twice, so it must be a regular file")
                yield file
        except OSError as error:
            raise _refused(str(self._path), "unreadable_file", f"cannot be read: {error.strerror}") from error


def csv_file(
    path: str | Path,
    mapping: UsageMapping,
    meters: Callable[[str], Meter | None],
    customers: Callable[[str], bool] | None = None,
    *,
    delimiter: str = ",",
) -> UsageFile:
    """A CSV file with a header."""
    return UsageFile(path, mapping, meters, customers, rows=partial(csv_rows, delimiter=delimiter))


def jsonl_file(
    path: str | Path,
    mapping: UsageMapping,
    meters: Callable[[str], Meter | None],
    customers: Callable[[str], bool] | None = None,
) -> UsageFile:
    """A file with one JSON object a line."""
    return UsageFile(path, mapping, meters, customers, rows=jsonl_rows)


# ── from a row to events ─────────────────────────────────────────────────────────────────────────────────────


class Translation:
    """Turns rows into usage events, or into findings. One is used for one reading, as it counts equal rows."""

    def __init__(
        self,
        mapping: UsageMapping,
        meters: Callable[[str], Meter | None],
        customers: Callable[[str], bool] | None,
    ) -> None:
        self._mapping = mapping
        self._index = {column: number for number, column in enumerate(mapping.columns())}
        self._meters = _once(meters)
        self._customers = _once(customers) if customers else None
        self._occurrences: dict[bytes, int] = {}

    def __call__(self, row: Row) -> list[UsageEvent] | tuple[Finding, ...]:
        """The events of a row, none when it lies outside the time range; or everything that is wrong with it."""
        mapping = self._mapping
        findings = Findings()
        place = at(row.line)
        moment = self._time(row, findings)
        if moment and ((mapping.from_ and moment < mapping.from_) or (mapping.to and moment >= mapping.to)):
            return []
        customer = self._customer(row, findings)
        identity = self._identity(row, findings)
        properties = self._properties(row)
        events: list[UsageEvent] = []
        for key, given in self._usage(row, findings):
            try:
                value = canonical(given) if given is not None else None
            except ValueError as error:
                findings.add(place, "bad_number", f"{key}: {error}")
                continue
            if moment is None or customer is None or identity is None:
                continue
            try:
                event = UsageEvent(
                    source=mapping.source,
                    id=identity(customer, key),
                    customer=customer,
                    meter=key,
                    time=moment,
                    value=value,
                    properties=properties,
                )
            except ValueError as error:
                findings.add(place, "invalid_usage", str(error))
                continue
            findings.extend(check(event, self._meters(key), place))
            events.append(event)
        return tuple(findings.items) or events

    def _customer(self, row: Row, findings: Findings) -> str | None:
        if self._mapping.customer is not None:
            return self._mapping.customer
        customer = self._required(row, self._mapping.customer_column, "customer", findings)
        if customer and self._customers and not self._customers(customer):
            findings.add(at(row.line), "customer_not_found", f"no customer {customer!r}")
        return customer

    def _properties(self, row: Row) -> dict[str, str]:
        if not self._mapping.properties:
            return row.properties
        named = {name: row.values[self._index[column]] for name, column in self._mapping.properties.items()}
        return {**row.properties, **{name: value for name, value in named.items() if value is not None}}

    def _time(self, row: Row, findings: Findings) -> datetime | None:
        given = self._required(row, self._mapping.time, "time", findings)
        if given is None:
            return None
        try:
            return read_time(given, assume_utc=self._mapping.assume_utc)
        except NoTimeZone as error:
            findings.add(at(row.line), "no_time_zone", str(error))
        except (ValueError, OverflowError):
            findings.add(at(row.line), "bad_time", f"{given!r} is not a time, like 2025-01-31T18:00:00Z")
        return None

    def _usage(self, row: Row, findings: Findings) -> list[tuple[str, str | None]]:
        """Meter keys of the row with the text of their values."""
        mapping = self._mapping
        if mapping.meter_column is None:
            return [(key, row.values[self._index[c]] if c else None) for key, c in mapping.meters.items()]
        key = self._required(row, mapping.meter_column, "meter", findings)
        value = row.values[self._index[mapping.value_column]] if mapping.value_column else None
        return [(key, value)] if key else []

    def _identity(self, row: Row, findings: Findings) -> Callable[[str, str], str] | None:
        """How the row's events are identified, given customer and meter."""
        if self._mapping.id_column is not None:
            id_ = self._required(row, self._mapping.id_column, "id", findings)
            if id_ is None:
                return None
            return (lambda _, key: f"{id_}:{key}") if self._mapping.meters else (lambda _, __: id_)
        raw = digest(row.raw)
        occurrence = self._occurrences[raw] = self._occurrences.get(raw, 0) + 1
        return lambda customer, key: digest((customer, key, raw.hex(), str(occurrence))).hex()[:32]

    def _required(self, row: Row, column: str | None, what: str, findings: Findings) -> str | None:
        value = row.values[self._index[column]] if column else None
        if value is None:
            findings.add(at(row.line), f"missing_{what}", f"column {column!r} is empty; every row needs its {what}")
        return value


_SEPARATORS = frozenset({"T", "t", " ", ""})
_LEAP_SECOND = re.compile(r"\A(.{10}[Tt ]\d\d:\d\d):60")


class NoTimeZone(ValueError):
    """A time without a zone where none may be assumed."""


def read_time(given: str, *, assume_utc: bool = False) -> datetime:
    """An event time in UTC with microseconds; digits beyond are cut off: 18:17:03.9799609 is 18:17:03.979960.

    Raises `NoTimeZone` for a time without a zone unless it may be read as UTC, `ValueError` for what is no time.
    """
    if given[4:8:3] != "--" or given[10:11] not in _SEPARATORS:  # 1712041231530 is no date, though ISO may read one
        msg = f"{given!r} is not a time"
        raise ValueError(msg)
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        moment = datetime.fromisoformat(_LEAP_SECOND.sub(r"\1:59", given))
    if moment.tzinfo is None:
        if not assume_utc:
            msg = f"{given!r} has no time zone; if the file means UTC, say so (--assume-zone UTC)"
            raise NoTimeZone(msg)
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)


class _Listing:
    """Findings as they come: the first hundred are kept, all are counted."""

    def __init__(self) -> None:
        self._kept: list[Finding] = []
        self._count = 0

    def add(self, found: Finding | tuple[Finding, ...]) -> None:
        findings = (found,) if isinstance(found, Finding) else found
        self._count += len(findings)
        self._kept += findings[: max(0, LISTED - len(self._kept))]

    def take(self, findings: list[Finding]) -> None:
        if findings:
            self.add(tuple(findings))
            findings.clear()

    def raise_if_any(self) -> None:
        if self._count > len(self._kept):
            self._kept.append(Finding("", "more_findings", f"and {self._count - len(self._kept):,} more findings"))
        if self._kept:
            raise ValidationFailed(tuple(self._kept))


def _once(ask: Callable[[str], Answer]) -> Callable[[str], Answer]:
    """Ask for each key once."""
    known: dict[str, Answer] = {}

    def answer(key: str) -> Answer:
        if key not in known:
            known[key] = ask(key)
        return known[key]

    return answer


def _refused(path: str, code: str, message: str) -> ValidationFailed:
    return ValidationFailed((Finding(path, code, message),))


def _changed(lines: Lines) -> ValidationFailed:
    message = "the file changed while it was imported; import it again, nothing is counted twice"
    return _refused(at(lines.number), "file_changed", message)
