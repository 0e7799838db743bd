"""Commands a second: finalising a usage run through the facade, beside a raw INSERT and commit of the same rows.

    .venv/bin/python scripts/benchmarks/commands.py [--commands 300]

One command finalises one run: it loads the charge, its run, the pool, profile, policies and meter, asks the meter,
rates, takes credit, and saves the events of three streams with the receipt and the row of the index. Its floor writes
the very rows that were saved, by prepared statements, and commits once for each command. Both wait for the disk.

The second table advances a charge of a customer of growing age: what it costs must not depend on the age.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from itertools import groupby
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parents[2]))

from aggregates.values.period import timestamp
from ledger import Ledger, SettableClock, UsageEvent, unit
from ledger.store.store import LogRecord
from tests.support.postgres import temporary_postgres

JANUARY = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")
RAW = """\
CREATE TABLE raw_events (stream uuid NOT NULL, version bigint NOT NULL, name text NOT NULL, data bytea NOT NULL,
    digest bytea NOT NULL, position bigserial PRIMARY KEY, UNIQUE (stream, version));
CREATE TABLE raw_receipts (command_id uuid PRIMARY KEY, content text);
CREATE TABLE raw_index (charge uuid PRIMARY KEY, status text);
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Commands a second, beside their floor.")
    parser.add_argument("--commands", type=int, default=300)
    count: int = parser.parse_args().commands
    with tempfile.TemporaryDirectory() as folder, temporary_postgres(durable=True) as dsn:
        rate, saves = finalisations(dsn, count)
        floor = raw_rate(dsn, saves)
        print(f"{'finalise a usage run':34}{'commands/s':>12}{'of floor':>10}")
        print(f"{'  PostgreSQL, floor (raw INSERT)':34}{floor:12,.0f}{1:10.2f}")
        print(f"{'  PostgreSQL, one writer, durable':34}{rate:12,.0f}{rate / floor:10.2f}   (bar 0.4)")
        sqlite, _ = finalisations(f"sqlite:///{folder}/ledger.db", count)
        memory, _ = finalisations("memory:", count)
        print(f"{'  SQLite file, durable':34}{sqlite:12,.0f}")
        print(f"{'  memory':34}{memory:12,.0f}")
        print()
        print(f"{'advance one more charge of a customer':44}{'ms':>8}")
        for age, milliseconds in by_age(f"sqlite:///{folder}/age.db"):
            print(f"{f'  with {age:,} finished charges before':44}{milliseconds:8.2f}")


@contextmanager
def prepared(url: str, customers: int) -> Iterator[Ledger]:
    """A ledger in which every customer has one run that waits for its collection end."""
    with Ledger.open(url, clock=SettableClock(JANUARY[0])) as ledger:
        ledger.catalogue.define_meter("calls")
        ledger.catalogue.define_feature("calls", meter="calls")
        for number in range(customers):
            customer = f"customer-{number}"
            ledger.customers.create(customer)
            ledger.credits.grant(customer, "100")
            ledger.charges.create_usage(
                customer, feature="calls", price=unit("0.01"), period_from=JANUARY[0], period_to=JANUARY[1]
            )
        ledger.usage.record(used(f"customer-{number}", "1", "2026-01-15T00:00:00Z") for number in range(customers))
        set_clock(ledger, JANUARY[1])
        ledger.worker.run_once()
        ledger.usage.record(used(f"customer-{number}", "2", "2026-01-16T00:00:00Z") for number in range(customers))
        set_clock(ledger, "2026-02-03T00:01:00Z")
        yield ledger


def used(customer: str, id: str, time: str) -> UsageEvent:
    """Ten calls."""
    identity = f"{customer}:{id}"
    moment = timestamp(time)
    return UsageEvent(source="bench", id=identity, customer=customer, meter="calls", time=moment, value=Decimal(10))


def set_clock(ledger: Ledger, moment: str) -> None:
    """Move the clock of a benchmark's ledger."""
    clock = ledger.clock
    assert isinstance(clock, SettableClock)
    clock.set(moment)


def finalisations(url: str, count: int) -> tuple[float, list[list[LogRecord]]]:
    """Commands a second, and the records of each command's save."""
    with prepared(url, count) as ledger:
        head = ledger.store.head()
        started = time.perf_counter()
        for number in range(count):
            ledger.charges.advance(f"customer-{number}")
        elapsed = time.perf_counter() - started
        rows = ledger.store.read_log(head, 1_000_000)
        return count / elapsed, [list(save) for _, save in groupby(rows, key=lambda row: row.last)]


def raw_rate(dsn: str, saves: list[list[LogRecord]]) -> float:
    """Commits a second of the same rows by prepared statements: events, a receipt, a row of an index."""
    with psycopg.connect(dsn) as db:
        db.execute(RAW)
        db.commit()
        events = "INSERT INTO raw_events (stream, version, name, data, digest) VALUES (%s, %s, %s, %s, %s)"
        started = time.perf_counter()
        for save in saves:
            for row in save:
                db.execute(events, (row.stream, row.version, row.name, row.data, row.digest), prepare=True)
            content = ",".join(f"{row.stream} {row.version} {row.digest.hex()}" for row in save)
            db.execute("INSERT INTO raw_receipts VALUES (gen_random_uuid(), %s)", (content,), prepare=True)
            db.execute("INSERT INTO raw_index VALUES (%s, 'final')", (save[0].stream,), prepare=True)
            db.commit()
        return len(saves) / (time.perf_counter() - started)


def by_age(url: str) -> Iterator[tuple[int, float]]:
    """What advancing one charge to its end costs as its customer grows older, in milliseconds (median of 20)."""
    with Ledger.open(url, clock=SettableClock(JANUARY[0])) as ledger:
        ledger.catalogue.define_meter("calls")
        ledger.catalogue.define_feature("calls", meter="calls")
        ledger.customers.create("acme", collection_interval="P0D")
        ledger.credits.grant("acme", "1000000")
        age, start = 0, timestamp(JANUARY[0])
        for target in (20, 200, 1_000):
            spent: list[float] = []
            while age < target:
                end = start + timedelta(hours=1)
                event = UsageEvent(
                    source="bench", id=str(age), customer="acme", meter="calls", time=start, value=Decimal(10)
                )
                ledger.usage.record([event])
                set_clock(ledger, start.isoformat())
                ledger.charges.create_usage(
                    "acme", feature="calls", price=unit("0.01"), period_from=start, period_to=end
                )
                set_clock(ledger, (end + timedelta(minutes=2)).isoformat())
                started = time.perf_counter()
                ledger.charges.advance("acme")
                spent.append((time.perf_counter() - started) * 1000)
                age, start = age + 1, end + timedelta(minutes=2)
            yield target, statistics.median(spent[-20:])


if __name__ == "__main__":
    main()
