"""How fast a store appends and reads, each path beside its floor, measured in turn in one run.

    .venv/bin/python scripts/benchmarks/store.py [--seconds 1.5]

The save measured is that of finalising a usage run: six events of a charge, its run and the pool, the receipt, and the
charge's row of the index. Its floor writes the same rows by prepared statements of the driver and commits, checking
nothing and handing out no positions. PostgreSQL and SQLite wait for the disk at every commit. With 16 threads, group
commit stands beside the event-sourcing library's own recorder, which commits every save by itself and keeps the events
alone. Saves are made before the clock runs.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

sys.path.insert(0, str(Path(__file__).parents[2]))

from ledger.store.open import open_store
from ledger.store.store import ChargeIndexRow, NewRecord, Receipt, Save, Store, Written
from tests.support.postgres import temporary_postgres

ROUNDS = 3
THREADS = 16
PREPARED = 600
STREAM_LENGTH = 100
LOG_LENGTH = 20_000
PAGE = 2_000
BODY = msgspec.json.encode({"rated": [{"quantity": "1234.5678", "amount": "12.345678", "meter": "requests"}] * 5})

RAW_TABLES = """\
CREATE TABLE raw_events (stream uuid NOT NULL, version bigint NOT NULL, name text NOT NULL, data bytea NOT NULL,
    digest bytea NOT NULL, position bigserial PRIMARY KEY, UNIQUE (stream, version));
CREATE TABLE raw_receipts (namespace text, customer text, command_id uuid, fingerprint text, answer text,
    written text, PRIMARY KEY (namespace, customer, command_id));
CREATE TABLE raw_index (charge uuid PRIMARY KEY, namespace text, customer text, status text, due timestamptz);
"""


class Way(NamedTuple):
    """One way to do a thing: `work` is given what `make` prepared, and answers how much it did."""

    make: Callable[[], Any]
    work: Callable[[Any], int]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="How fast a store appends and reads, beside its floors.")
    parser.add_argument("--seconds", type=float, default=1.5, help="how long each path is measured at most")
    seconds: float = parser.parse_args().seconds
    with (
        tempfile.TemporaryDirectory() as folder,
        temporary_postgres(durable=True) as url,
        closing(open_store(f"sqlite:///{folder}/ledger.db")) as file,
        closing(open_store(url)) as server,
    ):
        print("\nappending, one writer (saves/s)")
        with raw_sqlite(Path(folder) / "raw.db") as raw:
            beside("SQLite", {"floor": raw, "store": append(file, a_save)}, seconds)
        with raw_postgres(url) as raw:
            beside("PostgreSQL", {"floor": raw, "store": append(server, a_save)}, seconds)
        print(f"\nappending, {THREADS} threads (saves/s)")
        for name, make in (("PostgreSQL, one event", one_event), ("PostgreSQL", a_save)):
            with library_recorder(url, make) as library:
                beside(name, {"library": library, "store": append(server, make)}, seconds, THREADS)
        print("\nreading (events/s)")
        with closing(sqlite3.connect(f"{folder}/ledger.db")) as connection:
            reading("SQLite", file, raw_sqlite_read(connection), seconds)
        with psycopg.connect(url, autocommit=True, prepare_threshold=0) as server_connection:
            reading("PostgreSQL", server, raw_postgres_read(server_connection), seconds)


# ── what is measured ─────────────────────────────────────────────────────────────────────────────────────────


def a_save() -> Save:
    """Six events of three streams, a receipt and a row of the index; every one of them new."""
    charge, run, pool = uuid4(), uuid4(), uuid4()
    places = ((charge, 1), (run, 1), (run, 2), (pool, 1), (run, 3), (charge, 2))
    records = [new_record(stream, version) for stream, version in places]
    receipt = Receipt(
        namespace="default",
        customer="acme",
        command_id=uuid4(),
        unit="advance",
        fingerprint="f" * 64,
        answer=msgspec.Raw(b'{"moved":["0194"]}'),
        written=tuple(Written(row.stream, row.version, row.digest.hex()) for row in records),
    )
    return Save(records, receipt, [ChargeIndexRow("default", "acme", charge, "usage_based", "final", None, 0)])


def one_event() -> Save:
    """A save of one event and nothing else."""
    return Save([new_record(uuid4(), 1)])


def new_record(stream: UUID, version: int) -> NewRecord:
    """An event of some 400 bytes."""
    data = b'{"stream":"%b","version":%d,"body":%b}' % (stream.hex.encode(), version, BODY)
    return NewRecord(stream, version, "charge.activated.v1", data, sha256(data).digest())


def append(store: Store, make: Callable[[], Save]) -> Way:
    """One save through the store."""

    def work(save: Save) -> int:
        store.append(save)
        return 1

    return Way(make, work)


def reading(name: str, store: Store, raw: Callable[[str, Sequence[object]], int], seconds: float) -> None:
    """A long log in pages, and streams of 100."""
    before = store.head()
    streams = [uuid4() for _ in range(LOG_LENGTH // STREAM_LENGTH)]
    for stream in streams:
        store.append(Save([new_record(stream, version) for version in range(1, STREAM_LENGTH + 1)]))
    pages = range(before, store.head(), PAGE)

    def log(read: Callable[[int], int]) -> Way:
        return Way(lambda: pages, lambda pages: sum(map(read, pages)))

    def each(read: Callable[[UUID], int]) -> Way:
        return Way(lambda: streams, lambda streams: sum(map(read, streams)))

    ways = {
        "floor": log(lambda after: raw("log", (after, PAGE))),
        "store": log(lambda after: len(store.read_log(after, PAGE))),
    }
    beside(f"{name}, log in pages of {PAGE}", ways, seconds)
    ways = {
        "floor": each(lambda stream: raw("stream", (stream,))),
        "store": each(lambda stream: len(store.read_stream(stream))),
    }
    beside(f"{name}, streams of {STREAM_LENGTH}", ways, seconds)


# ── floors ───────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def raw_sqlite(path: Path) -> Iterator[Way]:
    """The same rows by prepared statements, in one transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(RAW_TABLES.replace("bigserial PRIMARY KEY", "INTEGER PRIMARY KEY"))

        def work(save: Save) -> int:
            connection.execute("BEGIN IMMEDIATE")
            events = [(row.stream.hex, row.version, row.name, row.data, row.digest) for row in save.records]
            connection.executemany("INSERT INTO raw_events VALUES (?, ?, ?, ?, ?, NULL)", events)
            connection.execute("INSERT INTO raw_receipts VALUES (?, ?, ?, ?, ?, ?)", receipt_row(save, str))
            (row,) = save.charge_index
            values = (row.charge.hex, row.namespace, row.customer, row.status, row.advance_after)
            connection.execute("INSERT OR REPLACE INTO raw_index VALUES (?, ?, ?, ?, ?)", values)
            connection.execute("COMMIT")
            return 1

        yield Way(a_save, work)


@contextmanager
def raw_postgres(url: str) -> Iterator[Way]:
    """The same rows by prepared statements, in one transaction and one round trip."""
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection:
        connection.execute(RAW_TABLES.encode(), prepare=False)

        def work(save: Save) -> int:
            with connection.pipeline(), connection.transaction(), connection.cursor() as cursor:
                cursor.executemany("INSERT INTO raw_events VALUES (%b, %b, %b, %b, %b)", save.records)
                cursor.execute("INSERT INTO raw_receipts VALUES (%b, %b, %b, %b, %b, %b)", receipt_row(save))
                (row,) = save.charge_index
                cursor.execute(
                    "INSERT INTO raw_index VALUES (%b, %b, %b, %b, %b) ON CONFLICT (charge) DO UPDATE SET"
                    " status = excluded.status, due = excluded.due",
                    (row.charge, row.namespace, row.customer, row.status, row.advance_after),
                )
            return 1

        yield Way(a_save, work)


def receipt_row(save: Save, identity: Callable[[UUID], object] = lambda command: command) -> tuple[object, ...]:
    """The receipt's columns."""
    receipt = save.receipt
    assert receipt is not None
    texts = (receipt.fingerprint, bytes(receipt.answer).decode(), msgspec.json.encode(receipt.written).decode())
    return (receipt.namespace, receipt.customer, identity(receipt.command_id), *texts)


@contextmanager
def library_recorder(url: str, make: Callable[[], Save]) -> Iterator[Way]:
    """The stock recorder of the event-sourcing library."""
    given = conninfo_to_dict(url)
    dbname, host, user, password = (str(given.get(name, "")) for name in ("dbname", "host", "user", "password"))
    datastore = PostgresDatastore(dbname, host, str(given.get("port", "5432")), user, password, pool_size=THREADS)
    recorder = PostgresApplicationRecorder(datastore, events_table_name="library_events")
    recorder.create_table()

    def work(events: list[StoredEvent]) -> int:
        recorder.insert_events(events)
        return 1

    try:
        yield Way(lambda: [StoredEvent(row.stream, row.version, row.name, row.data) for row in make().records], work)
    finally:
        datastore.close()


def raw_sqlite_read(connection: sqlite3.Connection) -> Callable[[str, Sequence[object]], int]:
    """Rows as the driver gives them."""
    queries = {
        "log": "SELECT * FROM ledger_events WHERE notification_id > ? ORDER BY notification_id LIMIT ?",
        "stream": "SELECT * FROM ledger_events WHERE originator_id = ? ORDER BY originator_version",
    }

    def read(what: str, values: Sequence[object]) -> int:
        plain = [value.hex if isinstance(value, UUID) else value for value in values]
        return len(connection.execute(queries[what], plain).fetchall())

    return read


def raw_postgres_read(connection: psycopg.Connection[Any]) -> Callable[[str, Sequence[object]], int]:
    """Rows as the driver gives them, in binary."""
    queries = {
        "log": b"SELECT * FROM ledger_events WHERE notification_id > %b ORDER BY notification_id LIMIT %b",
        "stream": b"SELECT * FROM ledger_events WHERE originator_id = %b ORDER BY originator_version",
    }
    return lambda what, values: len(connection.execute(queries[what], values, binary=True).fetchall())


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────


def beside(name: str, ways: dict[str, Way], seconds: float, threads: int = 1) -> None:
    """Measure the ways in turn, several times over, and print each beside the first."""
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, (make, work) in ways.items():
            rates[way].append(rate(make, work, seconds / ROUNDS, threads))
    first, *others = ways
    floor = statistics.median(rates[first])
    for way in others:
        median = statistics.median(rates[way])
        print(f"{name:32} {first} {floor:9,.0f}   {way} {median:9,.0f}   {median / floor:6.2f} ×", flush=True)


def rate(make: Callable[[], Any], work: Callable[[Any], int], seconds: float, threads: int) -> float:
    """Units of work a second, of all threads together; what is prepared is all used, or the time is."""
    prepared = [[make() for _ in range(max(PREPARED, 4 * PREPARED // threads))] for _ in range(threads)]
    done = [0] * threads
    work(make())

    def run(number: int) -> None:
        for each in prepared[number]:
            if time.perf_counter() > until:
                return
            done[number] += work(each)

    began = time.perf_counter()
    until = began + seconds
    if threads == 1:
        run(0)
    else:
        workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    return sum(done) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
