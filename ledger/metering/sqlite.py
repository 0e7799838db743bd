"""Usage in an SQLite file, beside the ledger's own tables: the embedded default.

Values are exact whatever the meter's definition says today: a value is floor(v × 10^18) written in three digits of
base 10^18 (`high`, `low`, `fraction`; decision 13). Negative values have a negative `high` only, so the three compare
in order. Sums are taken over halves of 32 bits, which no number of rows can overflow.

One writer at a time is what SQLite itself gives by BEGIN IMMEDIATE, and that is also what holds the marks. The window
index holds all a sum needs: reading a window costs the window, however old the customer is.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from aggregates.catalogue import Aggregation
from aggregates.rating.parts import ByProperty, PartsNeeded
from aggregates.values.decimals import EXACT
from ledger.metering.chain import BEGINNING, ChunkRecord, Link, records_of
from ledger.metering.parts import Band, metered
from ledger.metering.store import (
    COMMIT_WITHIN,
    Arrival,
    Chunk,
    ChunkedStore,
    Head,
    Kept,
    Reading,
    Tally,
    Unseen,
    Window,
    readable,
)
from ledger.metering.usage import (
    MAX_CHUNK,
    StoredUsage,
    UsageEvent,
    from_microseconds,
    last_place,
    microseconds,
    normal,
    place,
)
from ledger.ports import Clock, Metered, MeteredPart, MeterQuery, Probe, no_probe
from ledger.store.sqlite_file import SQLiteFile

_BASE = 10**18
_HALF = 0xFFFFFFFF
_Row = tuple[Any, ...]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS usage_event (
    place INTEGER PRIMARY KEY, -- position of the chunk × 2^20 + number within it
    namespace TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL,
    customer TEXT NOT NULL, meter TEXT NOT NULL,
    time INTEGER NOT NULL, stored_at INTEGER NOT NULL, -- microseconds since 1970
    high INTEGER, low INTEGER, fraction INTEGER, -- floor(value × 10^18) in base 10^18; absent without a value
    properties TEXT, fingerprint BLOB NOT NULL,
    UNIQUE (namespace, source, id)
);
CREATE INDEX IF NOT EXISTS usage_event_window
    ON usage_event (namespace, customer, meter, time, stored_at, high, low, fraction);
CREATE TABLE IF NOT EXISTS usage_conflict (
    place INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL,
    customer TEXT NOT NULL, meter TEXT NOT NULL,
    time INTEGER NOT NULL, stored_at INTEGER NOT NULL,
    high INTEGER, low INTEGER, fraction INTEGER,
    properties TEXT, fingerprint BLOB NOT NULL,
    UNIQUE (namespace, source, id, fingerprint)
);
CREATE TABLE IF NOT EXISTS usage_mark (
    namespace TEXT NOT NULL, meter TEXT NOT NULL,
    closed_to INTEGER, -- no later chunk is stamped below this
    position INTEGER NOT NULL, -- of the meter's last chunk
    PRIMARY KEY (namespace, meter)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS usage_position (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL);
INSERT OR IGNORE INTO usage_position VALUES (1, 0);
CREATE INDEX IF NOT EXISTS usage_event_arrival ON usage_event (namespace, meter, place);
CREATE TABLE IF NOT EXISTS usage_seen (
    namespace TEXT NOT NULL, meter TEXT NOT NULL,
    place INTEGER NOT NULL, -- up to there it was looked through for late usage
    PRIMARY KEY (namespace, meter)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS usage_chunk (
    namespace TEXT NOT NULL, meter TEXT NOT NULL, position INTEGER NOT NULL,
    stored INTEGER NOT NULL, digest BLOB NOT NULL, -- of the events stored, and of the chunk before: chain.py
    PRIMARY KEY (namespace, meter, position)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS usage_event_is_kept BEFORE UPDATE ON usage_event
    BEGIN SELECT RAISE(ABORT, 'usage events are never changed'); END;
CREATE TRIGGER IF NOT EXISTS usage_event_stays BEFORE DELETE ON usage_event
    BEGIN SELECT RAISE(ABORT, 'usage events are never deleted'); END;
CREATE TRIGGER IF NOT EXISTS usage_chunk_is_kept BEFORE UPDATE ON usage_chunk
    BEGIN SELECT RAISE(ABORT, 'records of chunks are never changed'); END;
CREATE TRIGGER IF NOT EXISTS usage_chunk_stays BEFORE DELETE ON usage_chunk
    BEGIN SELECT RAISE(ABORT, 'records of chunks are never deleted'); END;
"""
_COLUMNS = (
    "place, namespace, source, id, customer, meter, time, stored_at, high, low, fraction, properties, fingerprint"
)
_INSERT = f"INSERT INTO {{table}} ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"
_WINDOW = "namespace = ? AND customer = ? AND meter = ? AND time >= ? AND time < ?"
_COUNTED = f"FROM usage_event WHERE {_WINDOW} AND stored_at < ?"
_VALUE = f"SELECT high, low, fraction {_COUNTED} AND high IS NOT NULL ORDER BY"
_SUM = f"sum(high), sum(low >> 32), sum(low & {_HALF}), sum(fraction >> 32), sum(fraction & {_HALF})"
_AGGREGATES = {
    Aggregation.SUM: f"SELECT {_SUM} {_COUNTED}",
    Aggregation.COUNT: f"SELECT count(*) {_COUNTED}",
    Aggregation.MAX: f"{_VALUE} high DESC, low DESC, fraction DESC LIMIT 1",
    Aggregation.MIN: f"{_VALUE} high, low, fraction LIMIT 1",
    Aggregation.LATEST: f"{_VALUE} time DESC, place DESC LIMIT 1",
    Aggregation.UNIQUE_COUNT: "SELECT count(DISTINCT (SELECT value FROM json_each(properties) WHERE key = ?))"
    f" {_COUNTED}",
}
_ADDED = {
    Aggregation.SUM: ("high, low, fraction", f"{_COUNTED} AND high IS NOT NULL"),
    Aggregation.COUNT: ("0 AS high, 1 AS low, 0 AS fraction", _COUNTED),
}
"""What each event adds to a quantity that has parts, and the events that add something."""
_BY_PROPERTY = (
    "WITH used AS (SELECT {digits}, (SELECT value FROM json_each(properties) WHERE key = ?) AS name {counted}),"
    " parted AS (SELECT *, CASE WHEN ? IS NULL OR name IN (SELECT value FROM json_each(?)) THEN name END AS part"
    " FROM used)"
    f" SELECT part, count(*), {_SUM} FROM parted GROUP BY part"
)
_BY_VALUE = (
    "WITH used AS (SELECT time, place, {digits} {counted}),"
    " numbered AS (SELECT *, {number} AS number FROM used),"
    " parted AS (SELECT *, CASE"
    f" WHEN high < 0 THEN {Band.NEGATIVE:d}"
    f" WHEN number <= ? THEN {Band.FREE:d}"
    f" WHEN (high, low, fraction) > (?, ?, ?) THEN {Band.ABOVE:d}"
    f" WHEN (high, low, fraction) < (?, ?, ?) THEN {Band.BELOW:d}"
    f" ELSE {Band.BETWEEN:d} END AS part FROM numbered)"
    f" SELECT NULL, count(*), {_SUM} FROM parted GROUP BY part ORDER BY part"
)
_NUMBER = "row_number() OVER (PARTITION BY high < 0 ORDER BY time, place)"
_UNSEEN = (
    "SELECT mark.meter, coalesce(seen.place, 0), mark.position FROM usage_mark AS mark"
    " LEFT JOIN usage_seen AS seen USING (namespace, meter) WHERE namespace = ?"
    f" AND mark.position > 0 AND (mark.position + 1) * {MAX_CHUNK} > coalesce(seen.place, 0) + 1 ORDER BY mark.meter"
)
_ARRIVALS = (
    "SELECT customer, time, stored_at, place FROM usage_event INDEXED BY usage_event_arrival"
    " WHERE namespace = ? AND meter = ? AND place > ? AND place <= ? ORDER BY place LIMIT ?"
)
_SEEN = (
    "INSERT INTO usage_seen VALUES (?, ?, ?)"
    " ON CONFLICT (namespace, meter) DO UPDATE SET place = max(place, excluded.place)"
)
_DIGEST = "SELECT digest FROM usage_chunk WHERE namespace = ? AND meter = ? ORDER BY position DESC LIMIT 1"
_HEADS = (
    "SELECT namespace, meter, max(position) AS last FROM (SELECT namespace, meter, position FROM usage_mark"
    f" UNION ALL SELECT namespace, meter, max(place) / {MAX_CHUNK} FROM usage_event GROUP BY namespace, meter)"
    " GROUP BY namespace, meter HAVING last > 0 ORDER BY namespace, meter"
)
_CHUNKS = (
    "SELECT namespace, meter, position, stored, digest FROM usage_chunk"
    " WHERE namespace = ? AND meter = ? AND position > ? AND position <= ? ORDER BY position LIMIT ?"
)
_LINKS = (
    "SELECT place, stored_at, source, id, fingerprint FROM usage_event INDEXED BY usage_event_arrival"
    " WHERE namespace = ? AND meter = ? AND place > ? AND place <= ? ORDER BY place LIMIT ?"
)
_EARLIEST = microseconds(datetime.min.replace(tzinfo=UTC))
_LATEST = microseconds(datetime.max.replace(tzinfo=UTC))


class SqliteUsageStore(ChunkedStore):
    """Usage in the file of the ledger's own store; threads and processes may share it."""

    def __init__(
        self,
        file: SQLiteFile,
        probe: Probe = no_probe,
        clock: Clock | None = None,
        *,
        commit_within: float = COMMIT_WITHIN,
    ) -> None:
        super().__init__(probe, clock, commit_within=commit_within)
        self._file = file
        self._create()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

    def write_chunk(self, chunk: Chunk, stored_at: datetime | None, earlier: set[int]) -> Tally:
        """Lock, stamp, insert what is new, look at the rest, commit."""
        namespace = chunk.namespace
        with self._file.writing() as db:
            started = time.monotonic()
            marks = {meter: self._mark(db, namespace, meter)[0] for meter in chunk.meters}
            now = microseconds(self._now())
            stamp = microseconds(stored_at) if stored_at else max(now, *(m for m in (*marks.values(), now) if m))
            position: int = db.execute("SELECT last + 1 FROM usage_position").fetchone()[0]
            db.execute("UPDATE usage_position SET last = ?", (position,))
            rows = _rows(chunk, stamp, position)
            stored = db.executemany(_INSERT.format(table="usage_event"), rows).rowcount
            conflicts: list[int] = []
            if stored < len(rows):
                conflicts = _conflicting(db, rows)
                db.executemany(_INSERT.format(table="usage_conflict"), [rows[ordinal] for ordinal in conflicts])
            self._chain(db, chunk, position, rows, whole=stored == len(rows))
            for meter, mark in marks.items():
                self._set_mark(db, namespace, meter, mark if stored_at else stamp, position)
            self.before_commit(started)
        return Tally(position, stored, conflicts)

    def _chain(self, db: sqlite3.Connection, chunk: Chunk, position: int, rows: list[_Row], *, whole: bool) -> None:
        """Record what was stored of the rows; `whole`: all of them were."""
        if not whole:
            bounds = (place(position, 0), last_place(position))
            stored = {at for (at,) in db.execute("SELECT place FROM usage_event WHERE place BETWEEN ? AND ?", bounds)}
            rows = [row for row in rows if row[0] in stored]
        befores = {
            meter: (db.execute(_DIGEST, (chunk.namespace, meter)).fetchone() or (BEGINNING,))[0]
            for meter in chunk.meters
        }
        links = ((row[5], Link(row[0], row[7], row[2], row[3], row[12])) for row in rows)
        db.executemany(
            "INSERT INTO usage_chunk VALUES (?,?,?,?,?)", records_of(befores, chunk.namespace, position, links)
        )

    def raise_mark(self, namespace: str, meter: str, to: datetime) -> None:
        """Raise the mark; BEGIN IMMEDIATE waits for the chunk in flight."""
        with self._file.writing() as db:
            mark, position = self._mark(db, namespace, meter)
            if mark is None or mark < microseconds(to):
                self._set_mark(db, namespace, meter, microseconds(to), position)

    def _mark(self, db: sqlite3.Connection, namespace: str, meter: str) -> tuple[int | None, int]:
        statement = "SELECT closed_to, position FROM usage_mark WHERE namespace = ? AND meter = ?"
        return db.execute(statement, (namespace, meter)).fetchone() or (None, 0)

    def _set_mark(
        self, db: sqlite3.Connection, namespace: str, meter: str, closed_to: int | None, position: int
    ) -> None:
        db.execute("INSERT OR REPLACE INTO usage_mark VALUES (?,?,?,?)", (namespace, meter, closed_to, position))

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, query: MeterQuery) -> Reading:
        """The aggregate and the mark from one snapshot."""
        meter = query.meter
        cut: list[Any] = [*_window(query), microseconds(query.stored_at_lt)]
        if meter.aggregation is Aggregation.UNIQUE_COUNT:
            cut.insert(0, meter.property)
        with self._snapshot() as db:
            row = db.execute(_AGGREGATES[meter.aggregation], cut).fetchone()
            mark, position = self._mark(db, query.namespace, meter.key)
        metered = Metered(_quantity(meter.aggregation, row), position)
        return Reading(metered, None if mark is None else from_microseconds(mark), self._now())

    def read_parts(self, query: MeterQuery, by: PartsNeeded) -> Reading:
        """The parts and the mark from one snapshot."""
        statement, values = _parting(query, by)
        with self._snapshot() as db:
            rows = db.execute(statement, values).fetchall()
            mark, position = self._mark(db, query.namespace, query.meter.key)
        parts = [MeteredPart(_quantity(Aggregation.SUM, row[2:]), row[1], row[0]) for row in rows]
        return Reading(metered(parts, position), None if mark is None else from_microseconds(mark), self._now())

    def read_late(self, query: MeterQuery, from_place: int, limit: int) -> list[StoredUsage]:
        """Events of the window at or above a place, or stored at or after the cut, by place."""
        statement = (
            f"SELECT {_COLUMNS} FROM usage_event WHERE {_WINDOW} AND (place >= ? OR stored_at >= ?)"
            " ORDER BY place LIMIT ?"
        )
        return self._select(statement, (*_window(query), from_place, microseconds(query.stored_at_lt), limit))

    def read_events(self, namespace: str, window: Window, after: StoredUsage | None, limit: int) -> list[StoredUsage]:
        """Events of the window behind `after`, by event time and place."""
        from_ = microseconds(window.from_) if window.from_ else _EARLIEST
        to = microseconds(window.to) if window.to else _LATEST + 1
        behind = (microseconds(after.event.time), after.place) if after else (_EARLIEST, -1)
        statement = (
            f"SELECT {_COLUMNS} FROM usage_event WHERE {_WINDOW} AND (time, place) > (?, ?)"
            " ORDER BY time, place LIMIT ?"
        )
        first = max(from_, behind[0])
        return self._select(statement, (namespace, window.customer, window.meter, first, to, *behind, limit))

    def read_conflicts(self, namespace: str, after: int, limit: int) -> list[StoredUsage]:
        """Quarantined events above a place, by place."""
        statement = f"SELECT {_COLUMNS} FROM usage_conflict WHERE namespace = ? AND place > ? ORDER BY place LIMIT ?"
        return self._select(statement, (namespace, after, limit))

    def read_unseen(self, namespace: str) -> list[Unseen]:
        """Meters whose last chunk lies behind what was marked as seen, by key."""
        with self._snapshot() as db:
            return [Unseen(*row) for row in db.execute(_UNSEEN, (namespace,))]

    def read_arrivals(self, namespace: str, unseen: Unseen, limit: int) -> list[Arrival]:
        """Events of the meter behind a place and not behind the last chunk, by place."""
        bounds = (namespace, unseen.meter, unseen.after, last_place(unseen.position), limit)
        with self._snapshot() as db:
            rows = db.execute(_ARRIVALS, bounds).fetchall()
        return [
            Arrival(customer, from_microseconds(time_), from_microseconds(stored_at), at)
            for customer, time_, stored_at, at in rows
        ]

    def write_seen(self, namespace: str, meter: str, place: int) -> None:
        """Raise the mark of what was seen to at least that place."""
        with self._file.writing() as db:
            db.execute(_SEEN, (namespace, meter, place))

    def read_kept(self, after: int, limit: int) -> list[Kept]:
        """Events of all namespaces behind a place, by place, whatever their rows hold."""
        statement = f"SELECT {_COLUMNS} FROM usage_event WHERE place > ? ORDER BY place LIMIT ?"
        with self._snapshot() as db:
            rows = db.execute(statement, (after, limit)).fetchall()
        return [
            Kept(row[1], row[0], from_microseconds(row[7]), row[12], readable(lambda row=row: _stored(row)))  # type: ignore[misc]
            for row in rows
        ]

    def read_newest(self) -> int:
        """The last place there is."""
        with self._snapshot() as db:
            newest: int = db.execute("SELECT coalesce(max(place), 0) FROM usage_event").fetchone()[0]
        return newest

    def read_heads(self) -> list[Head]:
        """Meters with a position above 0 or with events, from one snapshot, sorted."""
        with self._snapshot() as db:
            return [Head(*row) for row in db.execute(_HEADS)]

    def read_chunks(self, head: Head, after: int, limit: int) -> list[ChunkRecord]:
        """Records of the meter's chunks behind a position and not behind the head, by position."""
        with self._snapshot() as db:
            rows = db.execute(_CHUNKS, (head.namespace, head.meter, after, head.position, limit)).fetchall()
        return list(map(ChunkRecord._make, rows))

    def read_links(self, head: Head, after: int, limit: int) -> list[Link]:
        """Links of the meter's events behind a place and not behind the head, by place."""
        with self._snapshot() as db:
            bounds = (head.namespace, head.meter, after, last_place(head.position), limit)
            return list(map(Link._make, db.execute(_LINKS, bounds).fetchall()))

    def _select(self, statement: str, values: tuple[Any, ...]) -> list[StoredUsage]:
        with self._snapshot() as db:
            return [_stored(row) for row in db.execute(statement, values)]

    # ── the file ─────────────────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """The file belongs to the ledger's store, which closes it."""

    @contextmanager
    def _snapshot(self) -> Generator[sqlite3.Connection, None, None]:
        """A transaction that reads, so that several statements see one state."""
        with self._file.reading() as db:
            db.execute("BEGIN")
            yield db

    def _create(self) -> None:
        """Make the tables where they are missing; looking first spares those who find them the writer's lock."""
        with self._file.reading() as db:
            if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'usage_chunk'").fetchone():
                return
        with self._file.writing() as db:
            for statement in _statements(_SCHEMA):
                db.execute(statement)

    def _now(self) -> datetime:
        """SQLite has no clock but the machine's."""
        return self.now_set() or datetime.now(UTC)


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────


def digits(value: Decimal | None) -> tuple[int | None, int | None, int | None]:
    """floor(value × 10^18) in three digits of base 10^18: 1.5 is (0, 1, 5 × 10^17), -1 is (-1, 10^18 - 1, 0)."""
    if value is None:
        return (None, None, None)
    whole, fraction = divmod(int(value.scaleb(18, context=EXACT)), _BASE)
    return (*divmod(whole, _BASE), fraction)


def from_digits(high: int, low: int, fraction: int) -> Decimal:
    """The exact value, in canonical form."""
    return normal(Decimal((high * _BASE + low) * _BASE + fraction).scaleb(-18, context=EXACT))


def _rows(chunk: Chunk, stamp: int, position: int) -> list[_Row]:
    encode = msgspec.json.Encoder(order="sorted").encode
    return [
        (
            place(position, ordinal),
            chunk.namespace,
            event.source,
            event.id,
            event.customer,
            event.meter,
            microseconds(event.time),
            stamp,
            *digits(event.value),
            encode(event.properties).decode() if event.properties else None,
            fingerprint,
        )
        for ordinal, (event, fingerprint) in enumerate(zip(chunk.events, chunk.fingerprints, strict=True))
    ]


def _conflicting(db: sqlite3.Connection, rows: list[_Row]) -> list[int]:
    """The ordinals of the rows whose identity is stored with another content."""
    statement = "SELECT fingerprint FROM usage_event WHERE namespace = ? AND source = ? AND id = ?"
    return [row[0] % MAX_CHUNK for row in rows if db.execute(statement, row[1:4]).fetchone()[0] != row[-1]]


def _stored(row: _Row) -> StoredUsage:
    at, _, source, id_, customer, meter, time_, stored_at, high, low, fraction, properties, _ = row
    event = UsageEvent(
        source=source,
        id=id_,
        customer=customer,
        meter=meter,
        time=from_microseconds(time_),
        value=None if high is None else from_digits(high, low, fraction),
        properties=msgspec.json.decode(properties, type=dict[str, str]) if properties else {},
    )
    return StoredUsage(event, from_microseconds(stored_at), at)


def _window(query: MeterQuery) -> tuple[Any, ...]:
    times = (microseconds(query.from_), microseconds(query.to))
    return (query.namespace, query.customer, query.meter.key, *times)


def _parting(query: MeterQuery, by: PartsNeeded) -> tuple[str, list[Any]]:
    """The statement that tells a window apart, and its values."""
    digits_, counted = _ADDED[query.meter.aggregation]
    window = (*_window(query), microseconds(query.stored_at_lt))
    if isinstance(by, ByProperty):
        names = None if by.values is None else msgspec.json.encode(by.values).decode()
        return _BY_PROPERTY.format(digits=digits_, counted=counted), [by.property_name, *window, names, names]
    statement = _BY_VALUE.format(digits=digits_, counted=counted, number=_NUMBER if by.free else "1")
    return statement, [*window, by.free, *digits(by.above), *digits(by.below)]


def _quantity(aggregation: Aggregation, row: _Row | None) -> Decimal:
    if row is None or row[0] is None:
        return Decimal(0)
    if aggregation is Aggregation.SUM:
        high, low_high, low_low, fraction_high, fraction_low = row
        return from_digits(high, (low_high << 32) + low_low, (fraction_high << 32) + fraction_low)
    return from_digits(*row) if len(row) == 3 else Decimal(row[0])


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, triggers whole; `executescript` would commit the transaction it runs in."""
    part = ""
    for line in script.splitlines():
        part += line + "\n"
        if part.strip() and sqlite3.complete_statement(part):
            yield part
            part = ""
