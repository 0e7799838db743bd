"""How fast views are made anew, and what a balance costs when the history is long. Floors in the same run.

    .venv/bin/python scripts/benchmarks/projections.py [--lives 1500] [--entries 200000] [--sqlite]

A life is one customer's January, played once through the whole ledger and then copied under other ids: two grants,
usage, a usage charge that waits, is rated by tiers, paid from credit and finalised, another that is deleted. The floor
of a rebuild is reading the log by key and decoding every event; that of `ledger_entries` is COPY of the rows it makes,
into a table without indexes. Balances are asked for of one customer who has most of the postings, at random pairs of
times.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from uuid import uuid5

import psycopg

sys.path.insert(0, str(Path(__file__).parents[2]))

from ledger import Ledger
from ledger.balances import LATEST, VIEWS, amounts_of
from ledger.metering.usage import UsageEvent
from ledger.ports import SettableClock
from ledger.prices import graduated, unit
from ledger.store import mapper
from ledger.store.follow import Follower
from ledger.store.open import open_store
from ledger.store.store import LogRecord, NewRecord, Save, Store
from projections.catalogue import PROJECTIONS
from projections.ledger_entries import LEDGER_ENTRIES
from projections.projection import Appended, Entry
from projections.stores.open import open_views
from tests.support.pools import ACCRUED, BREAKAGE, FBO, NAMESPACE, START, WASH, PoolLog, Posted, moved, posted
from tests.support.postgres import temporary_postgres

KEYED = tuple(each.name for each in PROJECTIONS if not isinstance(each, Appended))
READ = 10_000
SAMPLES = 2_000
LIVED = START + timedelta(days=40)
"""A life is recorded when it has been lived: only what expires is still to come."""


def main() -> None:
    """Measure and print a line for each figure."""
    parser = argparse.ArgumentParser(description="How fast views are rebuilt and balances are read.")
    parser.add_argument("--lives", type=int, default=1_500, help="customers with a January of their own")
    parser.add_argument("--entries", type=int, default=200_000, help="postings behind the balances")
    parser.add_argument("--sqlite", action="store_true", help="measure an SQLite file too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, temporary_postgres(durable=True) as first:
        with temporary_postgres(durable=True) as second:
            measure_rebuilds("PostgreSQL", first, options.lives)
            measure_balances("PostgreSQL", second, options.entries)
        if options.sqlite:
            urls = [f"sqlite:///{folder}/{name}.db" for name in ("lives", "balances")]
            measure_rebuilds("SQLite", urls[0], options.lives)
            measure_balances("SQLite", urls[1], options.entries)


# ── rebuilding ───────────────────────────────────────────────────────────────────────────────────────────────


def measure_rebuilds(kind: str, url: str, lives: int) -> None:
    """Rates of folding, beside those of reading and decoding."""
    store = open_store(url)
    tables = open_views(url)
    records = play_one_life()
    write_copies(store, records, lives)
    follower = Follower(store, tables, PROJECTIONS)
    head = store.head()
    print(f"{kind}: {head:,} events of {lives:,} customers")
    floor = head / timed(lambda: read_and_decode(store))
    line("read by key and decode (floor)", floor, "events/s")
    for names in (KEYED, *((name,) for name in KEYED)):
        rate = head / timed(partial(follower.rebuild, names, compare=False))
        line(f"rebuild {'all keyed views' if len(names) > 1 else ', '.join(names)}", rate, "events/s", rate / floor)
    listened = (entry for entry in entries_of(store) if entry.record.body.NAME in LEDGER_ENTRIES.listens)
    rows = [row for entry in listened for row in LEDGER_ENTRIES.rows(entry)]
    if url.startswith("postgres"):
        copied = len(rows) / timed(lambda: copy_rows(url, rows))
        line("COPY of the rows of ledger_entries (floor)", copied, "rows/s")
        rate = len(rows) / timed(lambda: follower.rebuild((LEDGER_ENTRIES.name,), compare=False))
        line("rebuild ledger_entries", rate, "rows/s", rate / copied)
    checked = timed(lambda: follower.rebuild(KEYED))
    line("rebuild all keyed views, compared with the old ones", head / checked, "events/s")
    tables.close()
    store.close()


def play_one_life() -> list[LogRecord]:
    """The records of one customer's January."""
    clock = SettableClock("2026-01-01T00:00:00Z")
    with Ledger.open("memory:", clock=clock, namespace="bench") as ledger:
        ledger.catalogue.define_meter("calls")
        ledger.catalogue.define_feature("calls", meter="calls")
        before = ledger.store.head()
        ledger.customers.create("customer-000000", collection_interval="P2D")
        ledger.credits.grant("customer-000000", "100", "USD", expires_at="2026-06-01T00:00:00Z")
        ledger.credits.grant("customer-000000", "50", "USD", priority=1, expires_at="2026-03-01T00:00:00Z")
        price = graduated(("100", "0.50"), ("1000", "0.25"), (None, "0.10"))
        bounds = {"period_from": "2026-01-01T00:00:00Z", "period_to": "2026-02-01T00:00:00Z"}
        ledger.charges.create_usage("customer-000000", feature="calls", price=price, **bounds)
        other = ledger.charges.create_usage("customer-000000", feature="calls", price=unit("0.01"), **bounds)
        usage = [
            UsageEvent(
                source="bench",
                id=str(number),
                customer="customer-000000",
                meter="calls",
                time=START + timedelta(days=number),
                value=Decimal(17),
            )
            for number in range(28)
        ]
        ledger.usage.record(usage)
        clock.set("2026-02-01T00:00:00Z")
        ledger.charges.advance("customer-000000")
        clock.set("2026-02-04T00:00:00Z")
        ledger.charges.advance("customer-000000")
        ledger.charges.delete(other.id)
        return ledger.store.read_log(before, 10_000)


def write_copies(store: Store, records: list[LogRecord], lives: int) -> None:
    """The same life for many customers: other ids of streams, another key."""
    streams = sorted({record.stream for record in records})
    for first in range(0, lives, 100):
        save: list[NewRecord] = []
        for number in range(first, min(first + 100, lives)):
            ids = {stream: uuid5(stream, str(number)) for stream in streams}
            texts = [(str(old).encode(), str(new).encode()) for old, new in ids.items()]
            texts.append((b"customer-000000", f"customer-{number:06d}".encode()))
            for record in records:
                data = record.data
                for old, new in texts:
                    data = data.replace(old, new)
                save.append(NewRecord(ids[record.stream], record.version, record.name, data, mapper.digest(data)))
        store.append(Save(save), LIVED + timedelta(seconds=first))


def read_and_decode(store: Store) -> None:
    """Every event of the log as an object, and nothing more."""
    for _ in entries_of(store):
        pass


def entries_of(store: Store) -> Iterator[Entry]:
    """Every event of the log with its place."""
    after = 0
    while page := store.read_log(after, READ):
        for record in page:
            yield Entry(record.position, record.log_time, mapper.decode(record.name, record.data))
        after = page[-1].position


def copy_rows(url: str, rows: Sequence[tuple[object, ...]]) -> None:
    """The rows of `ledger_entries` into a table of the same columns, by the driver alone."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("CREATE TABLE floor AS SELECT * FROM ledger_entries LIMIT 0")
        with db.cursor() as cursor, cursor.copy("COPY floor FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        db.execute("DROP TABLE floor")


# ── balances ─────────────────────────────────────────────────────────────────────────────────────────────────


def measure_balances(kind: str, url: str, entries: int) -> None:
    """Latencies of balances as the history grows."""
    store = open_store(url)
    tables = open_views(url)
    log = PoolLog(store)
    follower = Follower(store, tables, PROJECTIONS)
    random.seed(7)
    written = 0
    for size in (entries // 10, entries):
        while written < size:
            written += write_postings(log, min(5_000, size - written))
        follower.catch_up(VIEWS)
        print(f"{kind}: {written:,} postings, most of them of one customer")
        measure_latencies(follower, log)
    tables.close()
    store.close()


def measure_latencies(follower: Follower, log: PoolLog) -> None:
    """Balances now and then, of one customer with a long history and of others."""
    head, span = log.store.head(), int((log.now - START).total_seconds())
    now = log.now + timedelta(seconds=1)

    def then() -> datetime:
        return START + timedelta(seconds=random.randrange(span))

    latency("balance now", lambda: balance(follower, "old", now, LATEST))
    latency("balance now of a customer among many", lambda: balance(follower, someone(), now, LATEST))
    latency("as of another time, as known now", lambda: balance(follower, "old", then(), LATEST))
    latency("as of any pair of times", lambda: balance(follower, "old", then(), random.randrange(1, head + 1)))


def write_postings(log: PoolLog, entries: int) -> int:
    """One save: four postings an event, nine events of ten of the same customer; plans for expiry are dated ahead."""
    events: list[Posted] = []
    now = int((log.now - START).total_seconds())
    for number in range(entries // 4):
        booked = now + number * 60 * 4 // entries - random.randrange(20_000)
        expires = (now // 2_592_000 + 12) * 2_592_000
        source, target = (WASH, FBO) if number % 50 == 0 else (FBO, ACCRUED)
        customer = "old" if number % 10 else someone()
        moves = (moved(source, target, "1.25", booked), moved(BREAKAGE, FBO, "0.75", expires))
        events.append(posted(customer, *moves))
    log.now += timedelta(hours=6)
    log.record_together(events)
    return 4 * len(events)


def someone() -> str:
    """One of many customers."""
    return f"customer-{random.randrange(1000)}"


def balance(follower: Follower, customer: str, as_of: datetime, position: int) -> None:
    """What `ledger.views.balance` does, freshness included."""
    with follower.reading(VIEWS) as reader:
        amounts_of(reader, (NAMESPACE, customer, "USD"), as_of, position)


# ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────


def latency(name: str, ask: Callable[[], None]) -> None:
    """Ask many times; the median and the slowest of a hundred."""
    for _ in range(50):
        ask()
    took: list[float] = []
    for _ in range(SAMPLES):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    took.sort()
    print(f"  {name:<52} p50 {took[len(took) // 2] * 1e3:6.2f} ms   p99 {took[len(took) * 99 // 100] * 1e3:6.2f} ms")


def line(name: str, rate: float, unit_: str, of_floor: float | None = None) -> None:
    """One rate, and its part of the floor."""
    print(f"  {name:<52} {rate:>10,.0f} {unit_}" + (f"   {of_floor:.2f} of the floor" if of_floor else ""))


def timed(what: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
