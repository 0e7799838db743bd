"""Usage in PostgreSQL, beside the ledger's own tables.

A chunk is copied into a temporary table of its connection and inserted from there in one statement. The row of a
meter in `usage_mark` is the lock that closes cuts (see `store`): a chunk holds the rows of its meters, always taken in
the same order, from before it reads the clock until it is committed. Chunks of other meters go on beside it. Positions
come from a sequence under those locks, so that within a meter they are in order of commit.

The server ends what hangs: a statement, a wait for a lock, or a client that has stopped in the middle of a chunk.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
from psycopg import Connection
from psycopg_pool import PoolClosed, PoolTimeout

from aggregates.catalogue import Aggregation
from aggregates.rating.parts import ByProperty, PartsNeeded
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
    Retry,
    Tally,
    Unseen,
    Window,
    readable,
)
from ledger.metering.usage import (
    MAX_CHUNK,
    StoredUsage,
    UsageEvent,
    last_place,
    microseconds,
    normal,
    place,
    position_of,
)
from ledger.ports import Clock, Metered, MeteredPart, MeterQuery, Probe, no_probe
from ledger.store.postgres_database import PostgresDatabase

_Row = tuple[Any, ...]

_SCHEMA_LOCK = 0x6C65_6467_7573
_COLUMNS = "place, namespace, source, id, customer, meter, time, stored_at, value, properties, fingerprint"
_TABLE = """(
    place bigint {key}, -- position of the chunk × 2^20 + number within it
    namespace text COLLATE "C" NOT NULL, source text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL, meter text COLLATE "C" NOT NULL,
    time timestamptz NOT NULL, stored_at timestamptz NOT NULL,
    value numeric, properties jsonb, fingerprint bytea NOT NULL{unique}
)"""
_STORED = _TABLE.format(key="PRIMARY KEY", unique=", UNIQUE (namespace, source, id)")
_QUARANTINED = _TABLE.format(key="PRIMARY KEY", unique=", UNIQUE (namespace, source, id, fingerprint)")
_SCHEMA = f"""
CREATE TABLE usage_event {_STORED};
CREATE INDEX usage_event_window
    ON usage_event (namespace, customer, meter, time, place) INCLUDE (stored_at, value);
CREATE TABLE usage_conflict {_QUARANTINED};
CREATE TABLE usage_mark (
    namespace text COLLATE "C" NOT NULL, meter text COLLATE "C" NOT NULL,
    closed_to timestamptz, -- no later chunk is stamped below this
    position bigint NOT NULL, -- of the meter's last chunk
    PRIMARY KEY (namespace, meter)
) WITH (fillfactor = 50);
CREATE SEQUENCE usage_position;
CREATE INDEX usage_event_arrival ON usage_event (namespace, meter, place);
CREATE TABLE usage_seen (
    namespace text COLLATE "C" NOT NULL, meter text COLLATE "C" NOT NULL,
    place bigint NOT NULL, -- up to there it was looked through for late usage
    PRIMARY KEY (namespace, meter)
) WITH (fillfactor = 50);
CREATE TABLE usage_chunk (
    namespace text COLLATE "C" NOT NULL, meter text COLLATE "C" NOT NULL, position bigint NOT NULL,
    stored bigint NOT NULL, digest bytea NOT NULL, -- of the events stored, and of the chunk before: chain.py
    PRIMARY KEY (namespace, meter, position)
);
CREATE FUNCTION usage_is_kept() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION '% is never changed or deleted', TG_TABLE_NAME; END $$;
CREATE TRIGGER usage_event_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON usage_event
    FOR EACH STATEMENT EXECUTE FUNCTION usage_is_kept();
CREATE TRIGGER usage_chunk_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON usage_chunk
    FOR EACH STATEMENT EXECUTE FUNCTION usage_is_kept();
"""
_UNSEEN = (
    "SELECT mark.meter, coalesce(seen.place, 0), mark.position FROM usage_mark AS mark"
    " LEFT JOIN usage_seen AS seen USING (namespace, meter) WHERE namespace = %s"
    f" AND mark.position > 0 AND (mark.position + 1) * {MAX_CHUNK} > coalesce(seen.place, 0) + 1 ORDER BY mark.meter"
)
_ARRIVALS = (
    "SELECT customer, time, stored_at, place FROM usage_event"
    " WHERE namespace = %s AND meter = %s AND place > %s AND place <= %s ORDER BY place LIMIT %s"
)
_KEPT = (
    "SELECT namespace, fingerprint, place, source, id, customer, meter, time, stored_at, value, properties"
    " FROM usage_event WHERE place > %s ORDER BY place LIMIT %s"
)
_SEEN = (
    "INSERT INTO usage_seen VALUES (%s, %s, %s)"
    " ON CONFLICT (namespace, meter) DO UPDATE SET place = greatest(usage_seen.place, excluded.place)"
)
_INCOMING = f"""
CREATE TEMPORARY TABLE IF NOT EXISTS usage_incoming {_TABLE.format(key="", unique="")} ON COMMIT DELETE ROWS
"""
_LIMITS = (
    "SELECT set_config('lock_timeout', %(ms)s, true), set_config('statement_timeout', %(ms)s, true),"
    " set_config('idle_in_transaction_session_timeout', %(ms)s, true)"
)
_HOLD = (
    "INSERT INTO usage_mark SELECT %s, meter, NULL, 0"
    " FROM unnest(%s::text[]) WITH ORDINALITY AS given (meter, number) ORDER BY number"
    " ON CONFLICT (namespace, meter) DO UPDATE SET position = usage_mark.position RETURNING closed_to"
)
_STAMP = (
    "SELECT clock_timestamp(), nextval('usage_position'), ARRAY("
    " SELECT (SELECT digest FROM usage_chunk WHERE namespace = %s AND meter = given.meter"
    " ORDER BY position DESC LIMIT 1)"
    " FROM unnest(%s::text[]) WITH ORDINALITY AS given (meter, number) ORDER BY number)"
)
"""Once the marks are held: the digests are those of the last chunks."""
_CHAIN = "INSERT INTO usage_chunk SELECT %s, * FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bytea[])"
_HEADS = (
    "SELECT namespace, meter, max(position) FROM (SELECT namespace, meter, position FROM usage_mark"
    f" UNION ALL SELECT namespace, meter, max(place) / {MAX_CHUNK} FROM usage_event GROUP BY namespace, meter) AS known"
    " GROUP BY namespace, meter HAVING max(position) > 0 ORDER BY namespace, meter"
)
_CHUNKS = (
    "SELECT namespace, meter, position, stored, digest FROM usage_chunk"
    " WHERE namespace = %s AND meter = %s AND position > %s AND position <= %s ORDER BY position LIMIT %s"
)
_LINKS = (
    "SELECT place, stored_at, source, id, fingerprint FROM usage_event"
    " WHERE namespace = %s AND meter = %s AND place > %s AND place <= %s ORDER BY place LIMIT %s"
)
_LET_GO = (
    "UPDATE usage_mark SET position = %s, closed_to = greatest(closed_to, %s::timestamptz)"
    " WHERE namespace = %s AND meter = ANY(%s)"
)
_RAISE = (
    "INSERT INTO usage_mark VALUES (%s, %s, %s, 0) ON CONFLICT (namespace, meter) DO UPDATE"
    " SET closed_to = greatest(usage_mark.closed_to, excluded.closed_to)"
)
_INSERT = (
    f"INSERT INTO usage_event ({_COLUMNS}) SELECT {_COLUMNS} FROM usage_incoming ORDER BY place"
    " ON CONFLICT (namespace, source, id) DO NOTHING"
)
_KNOWN = (
    "SELECT incoming.place, known.place, known.fingerprint = incoming.fingerprint FROM usage_incoming AS incoming"
    " JOIN usage_event AS known USING (namespace, source, id) WHERE known.place <> incoming.place"
)
_QUARANTINE = (
    f"INSERT INTO usage_conflict ({_COLUMNS}) SELECT {_COLUMNS} FROM usage_incoming WHERE place = ANY(%s)"
    " ON CONFLICT (namespace, source, id, fingerprint) DO NOTHING"
)
_WINDOW = (
    "namespace = %(namespace)s AND customer = %(customer)s AND meter = %(meter)s AND time >= %(from)s AND time < %(to)s"
)
_COUNTED = f"FROM usage_event WHERE {_WINDOW} AND stored_at < %(cut)s"
_AGGREGATES = {
    Aggregation.SUM: f"SELECT sum(value) {_COUNTED}",
    Aggregation.COUNT: f"SELECT count(*) {_COUNTED}",
    Aggregation.MAX: f"SELECT max(value) {_COUNTED}",
    Aggregation.MIN: f"SELECT min(value) {_COUNTED}",
    Aggregation.LATEST: f"SELECT value {_COUNTED} AND value IS NOT NULL ORDER BY time DESC, place DESC LIMIT 1",
    Aggregation.UNIQUE_COUNT: f"SELECT count(DISTINCT properties ->> %(property)s) {_COUNTED}",
}
_ADDED = {
    Aggregation.SUM: ("value", f"{_COUNTED} AND value IS NOT NULL"),
    Aggregation.COUNT: ("1::numeric AS value", _COUNTED),
}
"""What each event adds to a quantity that has parts, and the events that add something."""
_BY_PROPERTY = (
    "WITH used AS (SELECT {value}, properties ->> %(property)s AS name {counted}),"
    " parted AS (SELECT value, CASE WHEN %(names)s::text[] IS NULL OR name = ANY(%(names)s) THEN name END AS part"
    " FROM used),"
    " summed AS (SELECT part, count(*) AS number, sum(value)::text AS total FROM parted GROUP BY part)"
    " SELECT json_agg(json_build_array(part, number, total)) FROM summed"
)
_BY_VALUE = (
    "WITH used AS (SELECT time, place, {value} {counted}),"
    " numbered AS (SELECT value, {number} AS number FROM used),"
    " parted AS (SELECT value, CASE"
    f" WHEN value < 0 THEN {Band.NEGATIVE:d}"
    f" WHEN number <= %(free)s THEN {Band.FREE:d}"
    f" WHEN value > %(above)s::numeric THEN {Band.ABOVE:d}"
    f" WHEN value < %(below)s::numeric THEN {Band.BELOW:d}"
    f" ELSE {Band.BETWEEN:d} END AS part FROM numbered),"
    " summed AS (SELECT part, count(*) AS number, sum(value)::text AS total FROM parted GROUP BY part)"
    " SELECT json_agg(json_build_array(NULL, number, total) ORDER BY part) FROM summed"
)
_NUMBER = "row_number() OVER (PARTITION BY value < 0 ORDER BY time, place)"
_MARK = "FROM usage_mark WHERE namespace = %(namespace)s AND meter = %(meter)s"
_READ = f"SELECT ({{aggregate}}), (SELECT closed_to {_MARK}), (SELECT position {_MARK}), clock_timestamp()"


class PostgresUsageStore(ChunkedStore):
    """Usage in the schema of the ledger's own store; threads and processes may share it."""

    def __init__(
        self,
        database: PostgresDatabase,
        probe: Probe = no_probe,
        clock: Clock | None = None,
        *,
        commit_within: float = COMMIT_WITHIN,
    ) -> None:
        super().__init__(probe, clock, commit_within=commit_within)
        self._database = database
        self.attempt(self._create)

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

    def write_chunk(self, chunk: Chunk, stored_at: datetime | None, earlier: set[int]) -> Tally:
        """Hold the marks, stamp, insert what is new, look at the rest, raise the marks, commit."""
        meters = list(chunk.meters)
        with self._transaction() as db:
            marks = [mark for (mark,) in db.execute(_HOLD, (chunk.namespace, meters)) if mark is not None]
            started = time.monotonic()
            now, position, digests = _one(db.execute(_STAMP, (chunk.namespace, meters)))
            stamp = stored_at or max([self.now_set() or now, *marks])
            self._copy(db, _rows(chunk, stamp, position))
            stored = db.execute(_INSERT).rowcount
            self._chain(db, chunk, stamp, position, digests, whole=stored == len(chunk.events))
            conflicts: list[int] = []
            if stored < len(chunk.events):
                for at, known, same in db.execute(_KNOWN):
                    if not same:
                        conflicts.append(at)
                    elif position_of(known) in earlier:
                        stored += 1
                db.execute(_QUARANTINE, (conflicts,))
            db.execute(_LET_GO, (position, None if stored_at else stamp, chunk.namespace, meters))
            self.before_commit(started)
            earlier.add(position)
        return Tally(position, stored, [at % MAX_CHUNK for at in conflicts])

    def _chain(
        self,
        db: Connection[Any],
        chunk: Chunk,
        stamp: datetime,
        position: int,
        digests: Sequence[bytes | None],
        *,
        whole: bool,
    ) -> None:
        """Record what was stored of the chunk; `whole`: all of it was."""
        ordinals: Iterable[int] = range(len(chunk.events))
        if not whole:
            bounds = (place(position, 0), last_place(position))
            found = db.execute("SELECT place FROM usage_event WHERE place BETWEEN %s AND %s ORDER BY place", bounds)
            ordinals = [at % MAX_CHUNK for (at,) in found]
        moment = microseconds(stamp)
        links = (
            (event.meter, Link(place(position, ordinal), moment, event.source, event.id, chunk.fingerprints[ordinal]))
            for ordinal in ordinals
            for event in (chunk.events[ordinal],)
        )
        befores = {meter: digest or BEGINNING for meter, digest in zip(chunk.meters, digests, strict=True)}
        records = records_of(befores, chunk.namespace, position, links)
        db.execute(_CHAIN, (chunk.namespace, *(list(column) for column in list(zip(*records, strict=True))[1:])))

    def _copy(self, db: Connection[Any], rows: Iterable[_Row]) -> None:
        db.execute(_INCOMING)
        with db.cursor().copy(f"COPY usage_incoming ({_COLUMNS}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def raise_mark(self, namespace: str, meter: str, to: datetime) -> None:
        """Raise the mark; its row is what the chunks in flight hold."""
        with self._transaction() as db:
            db.execute(_RAISE, (namespace, meter, to))

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, query: MeterQuery) -> Reading:
        """The aggregate and the mark in one statement, which sees one snapshot."""
        values = {**_window(query), "cut": query.stored_at_lt, "property": query.meter.property}
        with self._connection() as db:
            statement = _READ.format(aggregate=_AGGREGATES[query.meter.aggregation])
            quantity, mark, position, now = _one(db.execute(statement.encode(), values))
        metered = Metered(normal(Decimal(quantity or 0)), position or 0)
        return Reading(metered, mark, self.now_set() or now)

    def read_parts(self, query: MeterQuery, by: PartsNeeded) -> Reading:
        """The parts and the mark in one statement, which sees one snapshot."""
        statement, asked = _parting(query, by)
        values = {**_window(query), "cut": query.stored_at_lt, **asked}
        with self._connection() as db:
            rows, mark, position, now = _one(db.execute(_READ.format(aggregate=statement).encode(), values))
        parts = [MeteredPart(normal(Decimal(total)), count, name) for name, count, total in rows or ()]
        return Reading(metered(parts, position or 0), mark, self.now_set() or now)

    def read_late(self, query: MeterQuery, from_place: int, limit: int) -> list[StoredUsage]:
        """Events of the window at or above a place, or stored at or after the cut, by place."""
        values = {**_window(query), "cut": query.stored_at_lt, "place": from_place, "limit": limit}
        return self._select(
            "usage_event", f"{_WINDOW} AND (place >= %(place)s OR stored_at >= %(cut)s)", "place", values
        )

    def read_events(self, namespace: str, window: Window, after: StoredUsage | None, limit: int) -> list[StoredUsage]:
        """Events of the window behind `after`, by event time and place."""
        condition = "namespace = %(namespace)s AND customer = %(customer)s AND meter = %(meter)s"
        values: dict[str, Any] = {"namespace": namespace, "customer": window.customer, "meter": window.meter}
        for name, clause, value in (
            ("from", "time >= %(from)s", window.from_),
            ("to", "time < %(to)s", window.to),
            ("behind", "(time, place) > (%(behind)s, %(place)s)", after.event.time if after else None),
        ):
            if value is not None:
                condition += f" AND {clause}"
                values[name] = value
        values |= {"place": after.place if after else 0, "limit": limit}
        return self._select("usage_event", condition, "time, place", values)

    def read_conflicts(self, namespace: str, after: int, limit: int) -> list[StoredUsage]:
        """Quarantined events above a place, by place."""
        values = {"namespace": namespace, "place": after, "limit": limit}
        return self._select("usage_conflict", "namespace = %(namespace)s AND place > %(place)s", "place", values)

    def read_unseen(self, namespace: str) -> list[Unseen]:
        """Meters whose last chunk lies behind what was marked as seen, by key."""
        with self._connection() as db:
            return [Unseen(*row) for row in db.execute(_UNSEEN.encode(), (namespace,))]

    def read_arrivals(self, namespace: str, unseen: Unseen, limit: int) -> list[Arrival]:
        """Events of the meter behind a place and not behind the last chunk, by place."""
        bounds = (namespace, unseen.meter, unseen.after, last_place(unseen.position), limit)
        with self._connection() as db:
            rows = db.execute(_ARRIVALS, bounds).fetchall()
        return [Arrival(customer, time_, stored_at, at) for customer, time_, stored_at, at in rows]

    def write_seen(self, namespace: str, meter: str, place: int) -> None:
        """Raise the mark of what was seen to at least that place."""
        with self._transaction() as db:
            db.execute(_SEEN, (namespace, meter, place))

    def read_kept(self, after: int, limit: int) -> list[Kept]:
        """Events of all namespaces behind a place, by place, whatever their rows hold."""
        with self._connection() as db:
            rows = db.execute(_KEPT, (after, limit)).fetchall()
        return [
            Kept(row[0], row[2], row[8].astimezone(UTC), row[1], readable(lambda row=row: _stored(row[2:])))  # type: ignore[misc]
            for row in rows
        ]

    def read_newest(self) -> int:
        """The last place there is."""
        with self._connection() as db:
            newest: int = _one(db.execute("SELECT coalesce(max(place), 0) FROM usage_event"))[0]
        return newest

    def read_heads(self) -> list[Head]:
        """Meters with a position above 0 or with events, from one snapshot, sorted."""
        with self._connection() as db:
            return [Head(*row) for row in db.execute(_HEADS.encode())]

    def read_chunks(self, head: Head, after: int, limit: int) -> list[ChunkRecord]:
        """Records of the meter's chunks behind a position and not behind the head, by position."""
        with self._connection() as db:
            rows = db.execute(_CHUNKS, (head.namespace, head.meter, after, head.position, limit)).fetchall()
        return list(map(ChunkRecord._make, rows))

    def read_links(self, head: Head, after: int, limit: int) -> list[Link]:
        """Links of the meter's events behind a place and not behind the head, by place."""
        with self._connection() as db:
            bounds = (head.namespace, head.meter, after, last_place(head.position), limit)
            rows = db.execute(_LINKS, bounds).fetchall()
        return [Link(at, microseconds(stored_at), *rest) for at, stored_at, *rest in rows]

    def _select(self, table: str, condition: str, order: str, values: dict[str, Any]) -> list[StoredUsage]:
        columns = "place, source, id, customer, meter, time, stored_at, value, properties"
        statement = f"SELECT {columns} FROM {table} WHERE {condition} ORDER BY {order} LIMIT %(limit)s"
        with self._connection() as db:
            return [_stored(row) for row in db.execute(statement.encode(), values)]

    # ── connections ──────────────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """The connections belong to the ledger's store, which closes them."""

    @contextmanager
    def _transaction(self) -> Generator[Connection[Any], None, None]:
        """A transaction that the server ends when it hangs."""
        milliseconds = str(max(1, int(self.commit_within * 1000)))
        with self._connection() as db, db.transaction():
            db.execute(_LIMITS, {"ms": milliseconds})
            yield db

    @contextmanager
    def _connection(self) -> Generator[Connection[Any], None, None]:
        """A connection. What may pass by itself becomes `Retry`: deadlocks, time limits, a connection that broke."""
        try:
            with self._database.pool.connection() as db:
                yield db
        except (PoolTimeout, PoolClosed) as error:
            raise self._database.error(error) from error
        except psycopg.OperationalError as error:
            raise Retry(str(error).strip()) from error
        except psycopg.Error as error:
            raise self._database.error(error) from error

    def _create(self) -> None:
        """Make the tables where they are missing; several processes may do so at once."""
        with self._transaction() as db:
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
            if _one(db.execute("SELECT to_regclass('usage_mark')"))[0] is None:
                db.execute(_SCHEMA)


def _one(cursor: psycopg.Cursor[Any]) -> _Row:
    row: _Row | None = cursor.fetchone()
    assert row is not None, "a SELECT without FROM answers one row"
    return row


def _rows(chunk: Chunk, stamp: datetime, position: int) -> Iterator[_Row]:
    encode = msgspec.json.Encoder(order="sorted").encode
    for ordinal, (event, fingerprint) in enumerate(zip(chunk.events, chunk.fingerprints, strict=True)):
        yield (
            place(position, ordinal),
            chunk.namespace,
            event.source,
            event.id,
            event.customer,
            event.meter,
            event.time,
            stamp,
            event.value,
            encode(event.properties).decode() if event.properties else None,
            fingerprint,
        )


def _stored(row: _Row) -> StoredUsage:
    at, source, id_, customer, meter, time_, stored_at, value, properties = row
    event = UsageEvent(
        source=source, id=id_, customer=customer, meter=meter, time=time_, value=value, properties=properties or {}
    )
    return StoredUsage(event, stored_at.astimezone(UTC), at)


def _parting(query: MeterQuery, by: PartsNeeded) -> tuple[str, dict[str, Any]]:
    """The statement that tells a window apart, and what it asks beside the window."""
    value, counted = _ADDED[query.meter.aggregation]
    if isinstance(by, ByProperty):
        names = None if by.values is None else list(by.values)
        return _BY_PROPERTY.format(value=value, counted=counted), {"property": by.property_name, "names": names}
    statement = _BY_VALUE.format(value=value, counted=counted, number=_NUMBER if by.free else "1")
    return statement, {"free": by.free, "above": by.above, "below": by.below}


def _window(query: MeterQuery) -> dict[str, Any]:
    return {
        "namespace": query.namespace,
        "customer": query.customer,
        "meter": query.meter.key,
        "from": query.from_,
        "to": query.to,
    }
