"""Views in PostgreSQL, beside the events.

Decimals are NUMERIC, instants TIMESTAMPTZ, JSON is JSON as written. The lock of a generation is its row in the table
of generations, which holds the position too. Readers are one REPEATABLE READ transaction and wait for nobody. Pages
of many rows travel by COPY; rows that replace others go through a temporary table. Commits here do not wait for the
disk: rows and position are lost together or not at all, and the events they came from are elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeAlias, cast
from weakref import WeakKeyDictionary

import msgspec
import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool, PoolTimeout

from aggregates.values.errors import Unavailable
from projections.projection import AnyProjection, Appended, Changes, Key, Kind, Projection, R, Row
from projections.stores.sql import GENERATIONS, condition, index_ddl, listed, ordering, table_ddl, view_ddl
from projections.stores.tables import Generation, GenerationGone, Status, Where

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

# Text sorts by code point, as it does in Python and SQLite, whatever the language of the database.
TYPES = {
    Kind.TEXT: 'TEXT COLLATE "C"',
    Kind.UUID: "UUID",
    Kind.INTEGER: "BIGINT",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.DECIMAL: "NUMERIC",
    Kind.INSTANT: "TIMESTAMPTZ",
    Kind.JSON_TEXT: "JSON",
    Kind.JSON: "JSON",
}
CASTS = {
    Kind.TEXT: "text",
    Kind.UUID: "uuid",
    Kind.INTEGER: "bigint",
    Kind.BOOLEAN: "boolean",
    Kind.DECIMAL: "numeric",
    Kind.INSTANT: "timestamptz",
}


def _json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()


# Rows of one event share their instants, and writing one takes longer than finding it again.
_instant_text = lru_cache(maxsize=8192)(datetime.isoformat)

ENCODERS: dict[Kind, Callable[[Any], Any]] = {Kind.JSON: _json_text, Kind.INSTANT: _instant_text}
DECODERS: dict[Kind, Callable[[Any], Any]] = {Kind.JSON: msgspec.json.decode}

DDL_LOCK = 0x70726F6A
"""Makers of tables wait for one another: "proj"."""

TRUSTED_SECONDS = 2
"""A connection that has idled for longer is tried before it is used."""

FEW = 40
"""Up to so many rows, statements one by one are quicker than COPY through a temporary table."""

PAGE = 2_000
"""Rows that a walk over a whole view holds at a time."""

CONFIGURE = (
    "SELECT set_config('timezone', 'UTC', false), set_config('search_path', quote_ident(current_schema()), false)"
)
POSITION = f"SELECT position FROM {GENERATIONS} WHERE name = %s AND number = %s FOR UPDATE"
ONE = f"SELECT name, number, version, status, position FROM {GENERATIONS} WHERE name = %s AND status = %s"
ALL = f"SELECT name, number, version, status, position FROM {GENERATIONS} ORDER BY 1, 2"
BEGIN_READING = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {ALL}"


class PostgresTables:
    """The tables of all views in the schema that the connections use first."""

    def __init__(self, conninfo: str, *, size: int = 8, timeout_seconds: int = 30) -> None:
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            conninfo,
            min_size=1,
            max_size=size,
            timeout=timeout_seconds,
            kwargs={"autocommit": True, "row_factory": tuple_row},
            configure=self._configure,
            check=self._check,
            open=False,
        )
        self._opened = False
        self._used: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()

    def prepare(self, projections: Sequence[AnyProjection]) -> None:
        """Make what is missing: an empty live generation for every view that has none.

        A view whose tables are there and whose generation is not was tampered with: it stays gone, so that the audit
        says so, until it is built anew.
        """
        if self._has_all(projections):
            return
        with self._making() as db:
            _run(
                db,
                f"CREATE TABLE IF NOT EXISTS {GENERATIONS} (name text NOT NULL, number integer NOT NULL,"
                " version integer NOT NULL, status text NOT NULL, position bigint NOT NULL,"
                " PRIMARY KEY (name, number)) WITH (fillfactor = 50)",
            )
            for projection in projections:
                if _one(db, projection.name, Status.LIVE) is None and not _left_over(db, projection):
                    generation = self._add(db, projection, Status.LIVE, with_key=True)
                    for statement in index_ddl(projection, generation.table):
                        _run(db, statement)
                    self._show(db, projection, generation)

    def generations(self) -> list[Generation]:
        """All generations of all views."""
        with self._connection() as db:
            return [_generation(row) for row in _run(db, ALL)]

    @contextmanager
    def writing(self, projection: AnyProjection, generation: Generation) -> Generator[PostgresWriter]:
        """Lock the generation's row and read its position."""
        with self._connection() as db, db.transaction():
            _run(db, "SET LOCAL synchronous_commit = off")
            row = _run(db, POSITION, _place(generation)).fetchone()
            if row is None:
                raise GenerationGone(generation.table)
            yield PostgresWriter(db, projection, generation, int(row[0]))

    @contextmanager
    def reading(self) -> Generator[PostgresReader]:
        """Read all views as they stand at one moment."""
        with self._connection() as db:
            cursor = db.execute(BEGIN_READING, prepare=False)
            try:
                cursor.nextset()
                yield PostgresReader(db, [_generation(row) for row in cursor])
            finally:
                if not db.closed:
                    _run(db, "ROLLBACK")

    def begin(self, projection: AnyProjection) -> Generation:
        """Start a new generation, in the place of any other being built."""
        with self._making() as db:
            building = _one(db, projection.name, Status.BUILDING)
            if building is not None:
                self._drop(db, building)
            # What only grows is copied faster without a key; rows that are looked up need theirs from the start.
            return self._add(db, projection, Status.BUILDING, with_key=not isinstance(projection, Appended))

    def finish(self, projection: AnyProjection, generation: Generation) -> None:
        """Give a built generation the key and the indexes that queries need."""
        with self._connection() as db, db.transaction():
            if _run(db, POSITION, _place(generation)).fetchone() is None:
                raise GenerationGone(generation.table)
            keyed = _run(
                db, "SELECT 1 FROM pg_index WHERE indrelid = %s::regclass AND indisprimary", (f'"{generation.table}"',)
            ).fetchone()
            if keyed is None:
                _run(db, f'ALTER TABLE "{generation.table}" ADD PRIMARY KEY ({listed(projection.key)})')
            for statement in index_ddl(projection, generation.table):
                _run(db, statement)
        with self._connection() as db:
            _run(db, f'ANALYZE "{generation.table}"')

    def swap(self, projection: AnyProjection, generation: Generation) -> bool:
        """Let built and live change places in one transaction; see `Tables.swap`."""
        with self._making() as db:
            live = _one(db, projection.name, Status.LIVE)
            if live is not None:
                live = _locked(db, live)
            built = _locked(db, generation)
            if live is not None and live.position > built.position:
                return False
            previous = _one(db, projection.name, Status.PREVIOUS)
            if previous is not None:
                self._drop(db, previous)
            if live is not None:
                _set_status(db, live, Status.PREVIOUS)
            _set_status(db, built, Status.LIVE)
            self._show(db, projection, built)
            return True

    def roll_back(self, projection: AnyProjection) -> Generation | None:
        """Let live and previous change places."""
        with self._making() as db:
            live, previous = _one(db, projection.name, Status.LIVE), _one(db, projection.name, Status.PREVIOUS)
            if live is None or previous is None:
                return None
            _set_status(db, live, Status.PREVIOUS)
            _set_status(db, previous, Status.LIVE)
            self._show(db, projection, previous)
            return _one(db, projection.name, Status.LIVE)

    def drop(self, generation: Generation) -> None:
        """Throw a generation away."""
        with self._making() as db:
            self._drop(db, generation)

    def close(self) -> None:
        """Give the connections back."""
        self._pool.close()

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────────

    def _configure(self, db: Connection) -> None:
        # The schema that the connection uses first, and no other: the one the events are in.
        _run(db, CONFIGURE)

    @contextmanager
    def _connection(self) -> Generator[Connection]:
        try:
            if not self._opened:
                self._pool.open()
                self._opened = True
            with self._pool.connection() as db:
                yield db
                self._used[db] = time.monotonic()
        except (PoolTimeout, psycopg.OperationalError) as error:
            raise Unavailable("the views", str(error).strip()) from error

    def _check(self, db: Connection) -> None:
        """Try a connection that has idled: the server may have dropped it. One just used is taken at its word."""
        if time.monotonic() - self._used.get(db, 0) > TRUSTED_SECONDS:
            ConnectionPool.check_connection(db)

    @contextmanager
    def _making(self) -> Generator[Connection]:
        """A transaction that makes, exchanges or drops tables, one at a time."""
        with self._connection() as db, db.transaction():
            _run(db, "SET LOCAL client_min_messages = warning")
            _run(db, "SELECT pg_advisory_xact_lock(%s)", (DDL_LOCK,))
            yield db

    def _has_all(self, projections: Sequence[AnyProjection]) -> bool:
        """Whether nothing has to be made: then no lock is taken, and no right to make tables is needed."""
        with self._connection() as db:
            row = _run(db, "SELECT to_regclass(%s)", (GENERATIONS,)).fetchone()
            if row is None or row[0] is None:
                return False
            return all(_one(db, projection.name, Status.LIVE) for projection in projections)

    # ── generations ──────────────────────────────────────────────────────────────────────────────────────────

    def _add(self, db: Connection, projection: AnyProjection, status: Status, *, with_key: bool) -> Generation:
        row = _run(
            db, f"SELECT coalesce(max(number), 0) + 1 FROM {GENERATIONS} WHERE name = %s", (projection.name,)
        ).fetchone()
        assert row is not None
        generation = Generation(projection.name, int(row[0]), projection.version, status, 0)
        _run(db, f'DROP TABLE IF EXISTS "{generation.table}" CASCADE')  # nothing is known of it any more
        _run(db, table_ddl(projection, generation.table, TYPES, with_key=with_key))
        _run(
            db,
            f"INSERT INTO {GENERATIONS} VALUES (%s, %s, %s, %s, 0)",
            (*_place(generation), projection.version, status.value),
        )
        return generation

    def _show(self, db: Connection, projection: AnyProjection, generation: Generation) -> None:
        _run(db, f'DROP VIEW IF EXISTS "{projection.name}"')
        _run(db, view_ddl(projection, generation.table))

    def _drop(self, db: Connection, generation: Generation) -> None:
        # First the row: whoever is writing the generation ends before it goes.
        _run(db, f"DELETE FROM {GENERATIONS} WHERE name = %s AND number = %s", _place(generation))
        _run(db, f'DROP TABLE IF EXISTS "{generation.table}"')


class PostgresWriter:
    """A generation under its lock."""

    def __init__(self, db: Connection, projection: AnyProjection, generation: Generation, position: int) -> None:
        self._db = db
        self._projection = projection
        self._generation = generation
        self.position = position
        self._encode = _row_encoder(projection)

    def load(self, keys: Sequence[Key]) -> Mapping[Key, Row]:
        """The stored rows of these keys."""
        projection = self._projection
        kinds = [projection.column(name).kind for name in projection.key]
        arrays = ", ".join(f"%s::{CASTS[kind]}[]" for kind in kinds)
        wanted = ", ".join(f"k{place}" for place in range(len(kinds)))
        matching = " AND ".join(f't."{name}" = k.k{place}' for place, name in enumerate(projection.key))
        statement = (
            f"SELECT {_selected(projection, 't.')} FROM unnest({arrays}) AS k({wanted})"
            f' JOIN "{self._generation.table}" AS t ON {matching}'
        )
        decode = _row_decoder(projection)
        cursor = self._db.cursor(binary=True)
        _run(cursor, statement, [[key[place] for key in keys] for place in range(len(kinds))])
        rows = map(decode, cursor)
        return {projection.key_of(row): row for row in rows}

    def change(self, changes: Changes, position: int) -> None:
        """Write a page of changes and the position they go up to."""
        if len(changes.inserted) + len(changes.updated) <= FEW:
            self._upsert([*changes.inserted, *changes.updated])
        else:
            self._copy(self._generation.table, changes.inserted)
            self._replace(changes.updated)
        if changes.removed:
            matching = " AND ".join(f'"{name}" = %s' for name in self._projection.key)
            with self._db.cursor() as cursor:
                cursor.executemany(f'DELETE FROM "{self._generation.table}" WHERE {matching}'.encode(), changes.removed)
        self._move(position)

    def append(self, rows: Sequence[Row], position: int) -> None:
        """Add rows that were not there, and the position they go up to."""
        self._copy(self._generation.table, rows)
        self._move(position)

    def _upsert(self, rows: Sequence[Row]) -> None:
        if rows:
            marks = ", ".join(["%s"] * len(self._projection.columns))
            statement = f'INSERT INTO "{self._generation.table}" VALUES ({marks}) {_on_conflict(self._projection)}'
            with self._db.cursor() as cursor:
                cursor.executemany(statement.encode(), list(map(self._encode, rows)))

    def _replace(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        stage = f"stage_{self._generation.table}"
        _run(
            self._db,
            f'CREATE TEMP TABLE IF NOT EXISTS "{stage}" (LIKE "{self._generation.table}") ON COMMIT DELETE ROWS',
        )
        self._copy(stage, rows)
        columns = [name for name in self._projection.names if name not in self._projection.key]
        setting = ", ".join(f'"{name}" = s."{name}"' for name in columns)
        matching = " AND ".join(f't."{name}" = s."{name}"' for name in self._projection.key)
        _run(self._db, f'UPDATE "{self._generation.table}" AS t SET {setting} FROM "{stage}" AS s WHERE {matching}')

    def _copy(self, table: str, rows: Sequence[Row]) -> None:
        if rows:
            statement = f'COPY "{table}" ({listed(self._projection.names)}) FROM STDIN'.encode()
            encode = self._encode
            with self._db.cursor() as cursor, cursor.copy(statement) as copy:
                for row in rows:
                    copy.write_row(encode(row))

    def _move(self, position: int) -> None:
        _run(
            self._db,
            f"UPDATE {GENERATIONS} SET position = %s WHERE name = %s AND number = %s",
            (position, *_place(self._generation)),
        )
        self.position = position


class PostgresReader:
    """Reads inside one REPEATABLE READ transaction."""

    def __init__(self, db: Connection, generations: Sequence[Generation]) -> None:
        self._db = db
        self._generations = {(each.name, each.status): each for each in generations}

    def generation(self, name: str, status: Status) -> Generation | None:
        """The generation of a view that has that status."""
        return self._generations.get((name, status))

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
        filtering, values = condition(projection, where, "%s", ENCODERS)
        ending = ordering(projection, order or projection.key, descending=descending, limit=limit)
        statement = f'SELECT {_selected(projection)} FROM "{self._table(projection)}"{filtering}{ending}'
        return list(map(_row_decoder(projection), _run(self._db.cursor(binary=True), statement, values)))

    def floors(
        self, projection: Projection[R], prefixes: Sequence[Mapping[str, Any]], column: str, bound: object
    ) -> list[R]:
        """For each prefix, the row with the greatest `column` not above the bound."""
        if not prefixes:
            return []
        names = list(prefixes[0])
        arrays = ", ".join(f"%s::{CASTS[projection.column(name).kind]}[]" for name in names)
        wanted = ", ".join(f"k{place}" for place in range(len(names)))
        matching = " AND ".join(f't."{name}" = k.k{place}' for place, name in enumerate(names))
        statement = (
            f"SELECT f.* FROM unnest({arrays}) AS k({wanted}) CROSS JOIN LATERAL"
            f' (SELECT {_selected(projection, "t.")} FROM "{self._table(projection)}" AS t WHERE {matching}'
            f' AND t."{column}" <= %s ORDER BY t."{column}" DESC LIMIT 1) AS f'
        )
        values = [[prefix[name] for prefix in prefixes] for name in names]
        return list(map(_row_decoder(projection), _run(self._db.cursor(binary=True), statement, [*values, bound])))

    def rows(self, projection: AnyProjection, generation: Generation) -> Iterator[Row]:
        """All rows of a generation in the order of their keys, through a cursor of the server."""
        decode = _row_decoder(projection)
        with self._db.cursor(name=f"rows_of_{generation.table}") as cursor:
            cursor.itersize = PAGE
            _run(cursor, f'SELECT {_selected(projection)} FROM "{generation.table}" ORDER BY {listed(projection.key)}')
            for stored in cursor:
                yield decode(stored)

    def _table(self, projection: Projection[Any]) -> str:
        live = self.generation(projection.name, Status.LIVE)
        if live is None:
            raise Unavailable(f"view {projection.name}", "it has never been prepared")
        return live.table


# ── statements, values and rows ──────────────────────────────────────────────────────────────────────────────


def _run(runner: Any, statement: str, values: Sequence[Any] | None = None) -> psycopg.Cursor[tuple[Any, ...]]:
    """Execute a statement made of names of our own; values are always parameters."""
    return cast("psycopg.Cursor[tuple[Any, ...]]", runner.execute(statement.encode(), values))


def _selected(projection: Projection[Any], prefix: str = "") -> str:
    """The columns to read; JSON as its text, as it was written."""
    return ", ".join(
        f'{prefix}"{column.name}"::text' if column.kind in (Kind.JSON, Kind.JSON_TEXT) else f'{prefix}"{column.name}"'
        for column in projection.columns
    )


def _on_conflict(projection: AnyProjection) -> str:
    others = [name for name in projection.names if name not in projection.key]
    setting = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
    return f"ON CONFLICT ({listed(projection.key)}) DO UPDATE SET {setting}" if others else "ON CONFLICT DO NOTHING"


def _row_encoder(projection: AnyProjection) -> Callable[[Row], Sequence[Any]]:
    encoders = [
        (place, ENCODERS[column.kind]) for place, column in enumerate(projection.columns) if column.kind in ENCODERS
    ]

    def encode(row: Row) -> Sequence[Any]:
        encoded = list(row)
        for place, function in encoders:
            if encoded[place] is not None:
                encoded[place] = function(encoded[place])
        return encoded

    return encode


def _row_decoder(projection: Projection[R]) -> Callable[[tuple[Any, ...]], R]:
    make = projection.make
    changing: list[tuple[int, Callable[[Any], Any]]] = [
        (place, DECODERS[column.kind]) for place, column in enumerate(projection.columns) if column.kind in DECODERS
    ]
    changing += [(place, _utc) for place, column in enumerate(projection.columns) if column.kind is Kind.INSTANT]
    if not changing:
        return make

    def decode(values: tuple[Any, ...]) -> R:
        decoded = list(values)
        for place, function in changing:
            if decoded[place] is not None:
                decoded[place] = function(decoded[place])
        return make(decoded)

    return decode


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _generation(row: tuple[Any, ...]) -> Generation:
    name, number, version, status, position = row
    return Generation(name, number, version, Status(status), position)


def _place(generation: Generation) -> tuple[str, int]:
    return generation.name, generation.number


def _left_over(db: Connection, projection: AnyProjection) -> bool:
    """Whether there are tables of the view, though nothing says which is which."""
    named = _run(
        db,
        "SELECT 1 FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid) AND relname ~ %s",
        (f"^{projection.name}__v[0-9]",),
    )
    return named.fetchone() is not None


def _one(db: Connection, name: str, status: Status) -> Generation | None:
    row = _run(db, ONE, (name, status.value)).fetchone()
    return None if row is None else _generation(row)


def _locked(db: Connection, generation: Generation) -> Generation:
    """The generation with its lock taken and its position as it stands. Raises `GenerationGone`."""
    row = _run(db, POSITION, _place(generation)).fetchone()
    if row is None:
        raise GenerationGone(generation.table)
    return msgspec.structs.replace(generation, position=int(row[0]))


def _set_status(db: Connection, generation: Generation, status: Status) -> None:
    _run(
        db,
        f"UPDATE {GENERATIONS} SET status = %s WHERE name = %s AND number = %s",
        (status.value, *_place(generation)),
    )
