"""Views in an SQLite file, beside the events or in a file of their own.

Decimals are text and are never summed by SQLite, whose numbers are not exact; instants are RFC 3339 text of one
width, so that they sort; UUIDs are text. One connection writes, under `BEGIN IMMEDIATE`; readers have their own and
see one moment each. A commit here does not wait for the disk: rows and position are lost together or not at all,
and the events they came from are elsewhere.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from aggregates.values.decimals import text
from aggregates.values.errors import Unavailable
from projections.projection import AnyProjection, Changes, Key, Kind, Projection, R, Row
from projections.stores.sql import GENERATIONS, condition, index_ddl, listed, ordering, table_ddl, view_ddl
from projections.stores.tables import Generation, GenerationGone, Status, Where

TYPES = {
    Kind.TEXT: "TEXT",
    Kind.UUID: "TEXT",
    Kind.INTEGER: "INTEGER",
    Kind.BOOLEAN: "INTEGER",
    Kind.DECIMAL: "TEXT",
    Kind.INSTANT: "TEXT",
    Kind.JSON_TEXT: "TEXT",
    Kind.JSON: "TEXT",
}


def _instant_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()


ENCODERS: dict[Kind, Callable[[Any], Any]] = {
    Kind.UUID: str,
    Kind.DECIMAL: text,
    Kind.INSTANT: _instant_text,
    Kind.JSON: _json_text,
    Kind.BOOLEAN: int,
}
DECODERS: dict[Kind, Callable[[Any], Any]] = {
    Kind.UUID: UUID,
    Kind.DECIMAL: Decimal,
    Kind.INSTANT: datetime.fromisoformat,
    Kind.JSON: msgspec.json.decode,
    Kind.BOOLEAN: bool,
}

LARGEST_BATCH = 500
"""Values of one statement, below SQLite's limit for builds of any age."""


class SqliteTables:
    """The tables of all views in one file. Threads share it: one writes at a time, readers do not wait."""

    def __init__(self, path: str, *, busy_seconds: int = 30) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._writing = threading.RLock()
        self._writer: sqlite3.Connection | None = None
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    def prepare(self, projections: Sequence[AnyProjection]) -> None:
        """Make what is missing: an empty live generation for every view that has none.

        A view whose tables are there and whose generation is not was tampered with: it stays gone, so that the audit
        says so, until it is built anew.
        """
        if self._has_all(projections):
            return
        with self._transaction() as db:
            db.execute(
                f"CREATE TABLE IF NOT EXISTS {GENERATIONS} (name TEXT NOT NULL, number INTEGER NOT NULL,"
                " version INTEGER NOT NULL, status TEXT NOT NULL, position INTEGER NOT NULL,"
                " PRIMARY KEY (name, number))"
            )
            for projection in projections:
                if _one(db, projection.name, Status.LIVE) is None and not _left_over(db, projection):
                    generation = self._add(db, projection, Status.LIVE)
                    for statement in index_ddl(projection, generation.table):
                        db.execute(statement)
                    self._show(db, projection, generation)

    def generations(self) -> list[Generation]:
        """All generations of all views."""
        with self._reader() as db:
            rows = db.execute(f"SELECT name, number, version, status, position FROM {GENERATIONS} ORDER BY 1, 2")
            return [_generation(row) for row in rows]

    @contextmanager
    def writing(self, projection: AnyProjection, generation: Generation) -> Generator[SqliteWriter]:
        """Take the write lock of the file, and read the generation's position under it."""
        with self._transaction() as db:
            writer = SqliteWriter(db, projection, generation, _position(db, generation))
            yield writer

    @contextmanager
    def reading(self) -> Generator[SqliteReader]:
        """Read all views as they stand at one moment."""
        with self._reader() as db:
            db.execute("BEGIN")
            try:
                yield SqliteReader(db)
            finally:
                db.execute("COMMIT")

    def begin(self, projection: AnyProjection) -> Generation:
        """Start a new generation, in the place of any other being built."""
        with self._transaction() as db:
            building = _one(db, projection.name, Status.BUILDING)
            if building is not None:
                self._drop(db, building)
            return self._add(db, projection, Status.BUILDING)

    def finish(self, projection: AnyProjection, generation: Generation) -> None:
        """Give a built generation the indexes that queries need."""
        for statement in index_ddl(projection, generation.table):
            with self._transaction() as db:
                _position(db, generation)
                db.execute(statement)

    def swap(self, projection: AnyProjection, generation: Generation) -> bool:
        """Let built and live change places in one transaction; see `Tables.swap`."""
        with self._transaction() as db:
            position = _position(db, generation)
            live = _one(db, projection.name, Status.LIVE)
            if live is not None and live.position > position:
                return False
            previous = _one(db, projection.name, Status.PREVIOUS)
            if previous is not None:
                self._drop(db, previous)
            if live is not None:
                _set_status(db, live, Status.PREVIOUS)
            _set_status(db, generation, Status.LIVE)
            self._show(db, projection, generation)
            return True

    def roll_back(self, projection: AnyProjection) -> Generation | None:
        """Let live and previous change places."""
        with self._transaction() as db:
            live = _one(db, projection.name, Status.LIVE)
            previous = _one(db, projection.name, Status.PREVIOUS)
            if live is None or previous is None:
                return None
            _set_status(db, live, Status.PREVIOUS)
            _set_status(db, previous, Status.LIVE)
            self._show(db, projection, previous)
            return _one(db, projection.name, Status.LIVE)

    def drop(self, generation: Generation) -> None:
        """Throw a generation away."""
        with self._transaction() as db:
            self._drop(db, generation)

    def close(self) -> None:
        """Close all connections."""
        with self._writing:
            self._closed = True
            for db in (*self._idle, *([self._writer] if self._writer else [])):
                db.close()
            self._idle.clear()
            self._writer = None

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────────

    def _connect(self) -> sqlite3.Connection:
        if self._closed:
            raise Unavailable("the views", "they have been closed")
        db = sqlite3.connect(
            self._path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        return db

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._writing, _answering():
            if self._writer is None:
                self._writer = self._connect()
            db = self._writer
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @contextmanager
    def _reader(self) -> Generator[sqlite3.Connection]:
        with _answering():
            try:
                db = self._idle.pop()
            except IndexError:
                db = self._connect()
            try:
                yield db
            finally:
                self._idle.append(db)

    def _has_all(self, projections: Sequence[AnyProjection]) -> bool:
        """Whether nothing has to be made: then nobody is waited for."""
        with self._reader() as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (GENERATIONS,)).fetchone():
                return False
            return all(_one(db, projection.name, Status.LIVE) for projection in projections)

    # ── generations ──────────────────────────────────────────────────────────────────────────────────────────

    def _add(self, db: sqlite3.Connection, projection: AnyProjection, status: Status) -> Generation:
        (number,) = db.execute(
            f"SELECT coalesce(max(number), 0) + 1 FROM {GENERATIONS} WHERE name = ?", (projection.name,)
        ).fetchone()
        generation = Generation(projection.name, number, projection.version, status, 0)
        db.execute(f'DROP TABLE IF EXISTS "{generation.table}"')  # of a generation that nothing is known of any more
        db.execute(table_ddl(projection, generation.table, TYPES, with_key=True, suffix=" WITHOUT ROWID"))
        db.execute(
            f"INSERT INTO {GENERATIONS} VALUES (?, ?, ?, ?, 0)", (*_place(generation), projection.version, status)
        )
        return generation

    def _show(self, db: sqlite3.Connection, projection: AnyProjection, generation: Generation) -> None:
        db.execute(f'DROP VIEW IF EXISTS "{projection.name}"')
        db.execute(view_ddl(projection, generation.table))

    def _drop(self, db: sqlite3.Connection, generation: Generation) -> None:
        db.execute(f'DROP TABLE IF EXISTS "{generation.table}"')
        db.execute(f"DELETE FROM {GENERATIONS} WHERE name = ? AND number = ?", _place(generation))


class SqliteWriter:
    """A generation under the write lock of the file."""

    def __init__(
        self, db: sqlite3.Connection, projection: AnyProjection, generation: Generation, position: int
    ) -> None:
        self._db = db
        self._projection = projection
        self._generation = generation
        self.position = position
        self._encode = _row_encoder(projection)
        self._decode = _row_decoder(projection)

    def load(self, keys: Sequence[Key]) -> Mapping[Key, Row]:
        """The stored rows of these keys."""
        projection = self._projection
        encode = _values_encoder([projection.column(name).kind for name in projection.key])
        width = len(projection.key)
        at_once = max(1, LARGEST_BATCH // width)
        marks = f"({', '.join('?' * width)})"
        select = f'SELECT {listed(projection.names)} FROM "{self._generation.table}" WHERE ({listed(projection.key)})'
        found: dict[Key, Row] = {}
        for start in range(0, len(keys), at_once):
            part = keys[start : start + at_once]
            values = [value for key in part for value in encode(key)]
            statement = f"{select} IN (VALUES {', '.join([marks] * len(part))})"
            for stored in self._db.execute(statement, values):
                row = self._decode(stored)
                found[projection.key_of(row)] = row
        return found

    def change(self, changes: Changes, position: int) -> None:
        """Write a page of changes and the position they go up to."""
        projection, table = self._projection, self._generation.table
        self._insert([*changes.inserted, *changes.updated], "INSERT OR REPLACE")
        if changes.removed:
            encode = _values_encoder([projection.column(name).kind for name in projection.key])
            matching = " AND ".join(f'"{name}" = ?' for name in projection.key)
            self._db.executemany(f'DELETE FROM "{table}" WHERE {matching}', map(encode, changes.removed))
        self._move(position)

    def append(self, rows: Sequence[Row], position: int) -> None:
        """Add rows that were not there, and the position they go up to."""
        self._insert(rows, "INSERT")
        self._move(position)

    def _insert(self, rows: Sequence[Row], verb: str) -> None:
        if rows:
            marks = ", ".join("?" * len(self._projection.columns))
            statement = f'{verb} INTO "{self._generation.table}" VALUES ({marks})'
            self._db.executemany(statement, map(self._encode, rows))

    def _move(self, position: int) -> None:
        self._db.execute(
            f"UPDATE {GENERATIONS} SET position = ? WHERE name = ? AND number = ?",
            (position, *_place(self._generation)),
        )
        self.position = position


class SqliteReader:
    """Reads inside one read transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def generation(self, name: str, status: Status) -> Generation | None:
        """The generation of a view that has that status."""
        return _one(self._db, name, status)

    def select(
        self,
        projection: Projection[R],
        where: Sequence[Where] = (),
        *,
        order: Sequence[str] = (),
        descending: bool = False,
        limit: int | None = None,
    ) -> list[R]:
        """Rows of the live generation that fulfil all conditions."""
        filtering, values = condition(projection, where, "?", ENCODERS)
        ending = ordering(projection, order or projection.key, descending=descending, limit=limit)
        statement = f'SELECT {listed(projection.names)} FROM "{self._table(projection)}"{filtering}{ending}'
        return list(map(_row_decoder(projection), self._db.execute(statement, values)))

    def floors(
        self, projection: Projection[R], prefixes: Sequence[Mapping[str, Any]], column: str, bound: object
    ) -> list[R]:
        """For each prefix, the row with the greatest `column` not above the bound."""
        if not prefixes:
            return []
        decode, found = _row_decoder(projection), list[R]()
        where = [*(Where(name, "=", "") for name in prefixes[0]), Where(column, "<=", "")]
        filtering, _ = condition(projection, where, "?", {})
        statement = (
            f'SELECT {listed(projection.names)} FROM "{self._table(projection)}"{filtering}'
            f' ORDER BY "{column}" DESC LIMIT 1'
        )
        encode = _values_encoder([projection.column(name).kind for name in (*prefixes[0], column)])
        for prefix in prefixes:
            row = self._db.execute(statement, encode((*prefix.values(), bound))).fetchone()
            if row is not None:
                found.append(decode(row))
        return found

    def rows(self, projection: AnyProjection, generation: Generation) -> Iterator[Row]:
        """All rows of a generation in the order of their keys."""
        statement = f'SELECT {listed(projection.names)} FROM "{generation.table}" ORDER BY {listed(projection.key)}'
        return map(_row_decoder(projection), self._db.execute(statement))

    def _table(self, projection: Projection[Any]) -> str:
        live = self.generation(projection.name, Status.LIVE)
        if live is None:
            raise Unavailable(f"view {projection.name}", "it has never been prepared")
        return live.table


# ── values and rows ──────────────────────────────────────────────────────────────────────────────────────────


def _values_encoder(kinds: Sequence[Kind]) -> Callable[[Sequence[Any]], list[Any]]:
    encoders = [(place, ENCODERS[kind]) for place, kind in enumerate(kinds) if kind in ENCODERS]

    def encode(values: Sequence[Any]) -> list[Any]:
        encoded = list(values)
        for place, function in encoders:
            if encoded[place] is not None:
                encoded[place] = function(encoded[place])
        return encoded

    return encode


def _row_encoder(projection: AnyProjection) -> Callable[[Row], list[Any]]:
    return _values_encoder([column.kind for column in projection.columns])


def _row_decoder(projection: Projection[R]) -> Callable[[Sequence[Any]], R]:
    make = projection.make
    decoders = [
        (place, DECODERS[column.kind]) for place, column in enumerate(projection.columns) if column.kind in DECODERS
    ]

    def decode(values: Sequence[Any]) -> R:
        decoded = list(values)
        for place, function in decoders:
            if decoded[place] is not None:
                decoded[place] = function(decoded[place])
        return make(decoded)

    return decode


def _generation(row: tuple[Any, ...]) -> Generation:
    name, number, version, status, position = row
    return Generation(name, number, version, Status(status), position)


def _place(generation: Generation) -> tuple[str, int]:
    return generation.name, generation.number


def _left_over(db: sqlite3.Connection, projection: AnyProjection) -> bool:
    """Whether there are tables of the view, though nothing says which is which."""
    named = db.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name GLOB ?", (f"{projection.name}__v[0-9]*",)
    )
    return named.fetchone() is not None


def _one(db: sqlite3.Connection, name: str, status: Status) -> Generation | None:
    row = db.execute(
        f"SELECT name, number, version, status, position FROM {GENERATIONS} WHERE name = ? AND status = ?",
        (name, status),
    ).fetchone()
    return None if row is None else _generation(row)


def _position(db: sqlite3.Connection, generation: Generation) -> int:
    row = db.execute(f"SELECT position FROM {GENERATIONS} WHERE name = ? AND number = ?", _place(generation)).fetchone()
    if row is None:
        raise GenerationGone(generation.table)
    return int(row[0])


def _set_status(db: sqlite3.Connection, generation: Generation, status: Status) -> None:
    db.execute(f"UPDATE {GENERATIONS} SET status = ? WHERE name = ? AND number = ?", (status, *_place(generation)))


@contextmanager
def _answering() -> Generator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Unavailable("the views", str(error)) from error
