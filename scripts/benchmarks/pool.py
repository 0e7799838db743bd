"""The credit pool under load: loading it, balances at any pair of times, listings, and one hot customer.

    .venv/bin/python scripts/benchmarks/pool.py [--events 100000] [--postings 1000000]

Loading: a pool that has lived through that many events, from its snapshot in another process's shoes, beside folding
all of them. Balances and listings: over that many postings of one customer, built by appending ready-made events.
Hot customer: threads that all want the same credit; what one of them loses it decides again.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[2]))

from aggregates.credits import decisions as pools
from aggregates.credits.events import SettlementMode
from aggregates.credits.requests import Collect, Grant, Recognize, Seal, SourceCut
from aggregates.event import Stream
from aggregates.policies import Policies
from aggregates.values.errors import LedgerError
from aggregates.values.identifiers import pool_id
from aggregates.values.money import fiat
from aggregates.values.period import Instant
from ledger import Ledger, SettableClock
from ledger.domain import AGGREGATES
from ledger.store import mapper
from ledger.store.repository import Repository
from ledger.store.store import NewRecord, Save, SnapshotRow
from tests.support.books import Book, ordered_id
from tests.support.postgres import temporary_postgres

START = datetime(2026, 1, 1, tzinfo=UTC)
USD = fiat("USD")
STREAM = Stream("credit_pool", pool_id("default", "acme", "USD"), "acme")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The credit pool under load.")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--postings", type=int, default=1_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, temporary_postgres(durable=True) as dsn:
        _loading(f"sqlite:///{folder}/load.db", given.events)
        _views(f"sqlite:///{folder}/views.db", given.postings)
        for name, url in (("SQLite file", f"sqlite:///{folder}/hot.db"), ("PostgreSQL", dsn)):
            _hot(name, url)


def history(events: int) -> Book:
    """A pool of that many events: a grant a month, usage collected every some minutes, recognised and sealed."""
    book = Book(USD)
    book.stream = STREAM.id
    moment, number = START, 0
    while len(book.records) < events:
        at = Instant(moment)
        if number % 500 == 0:
            ends = Instant(moment + timedelta(days=40))
            request = Grant(
                purchase=ordered_id(f"p{number}"), amount=Decimal(600), effective_at=at, expires_at=ends, now=at
            )
            _keep(book, pools.grant(book.pool, request), at)
        charge = ordered_id(f"c{number}")
        request_ = Collect(
            charge=charge,
            amount=Decimal(1),
            mode=SettlementMode.CREDIT_ONLY,
            booked_at=at,
            sources_at=SourceCut(at),
        )
        _keep(book, pools.collect(book.pool, request_), at)
        _keep(book, pools.recognize(book.pool, Recognize(booked_at=at)), at)
        horizon = Instant(at - timedelta(days=400))
        _keep(book, pools.seal(book.pool, Seal(final_charges=(charge,), booked_before=horizon)), at)
        moment += timedelta(minutes=90)
        number += 1
    return book


def _keep(book: Book, event: object, at: Instant) -> None:
    book.record(event, at)  # type: ignore[arg-type]
    book.rows.clear()


def _append(ledger: Ledger, book: Book) -> None:
    """The records of a book as they are, in saves of a thousand."""
    for first in range(0, len(book.records), 1000):
        new = []
        for record in book.records[first : first + 1000]:
            data = mapper.encode(msgspec.structs.replace(record, namespace="default", customer="acme"))
            new.append(NewRecord(record.stream, record.version, record.body.NAME, data, mapper.digest(data)))
        ledger.store.append(Save(new), book.records[first].at)


def _loading(url: str, events: int) -> None:
    book = history(events)
    with Ledger.open(url, clock=SettableClock(START)) as ledger:
        ledger.customers.create("acme")
        _append(ledger, book)
        began = time.perf_counter()
        Repository(ledger.store, AGGREGATES).load(STREAM)
        folded = time.perf_counter() - began
        aggregate = AGGREGATES["credit_pool"]
        assert aggregate.snapshot is not None
        data = mapper.encode_value(book.pool)
        ledger.store.save_snapshot(SnapshotRow(STREAM.id, book.pool.version, aggregate.snapshot, data))
        times = _timed(lambda: Repository(ledger.store, AGGREGATES).load(STREAM), 200)
    print(f"{f'load a pool of {len(book.records):,} events':52}{'ms':>10}")
    print(f"{'  folding all of them':52}{folded * 1000:10.1f}")
    print(f"{f'  from its snapshot of {len(data):,} bytes, median':52}{times[len(times) // 2]:10.2f}   (bar 5)")
    print(f"{'  from its snapshot, p99':52}{times[int(len(times) * 0.99)]:10.2f}   (bar 5)")
    print(flush=True)


def _views(url: str, postings: int) -> None:
    with Ledger.open(url, clock=SettableClock(START)) as ledger:
        ledger.customers.create("acme")
        book = history(max(postings // 4, 300))
        _append(ledger, book)
        began = time.perf_counter()
        ledger.views.balance("acme")
        caught_up = time.perf_counter() - began
        end, head = book.records[-1].at, ledger.store.head()
        drawn = random.Random(1)
        span = (end - START).total_seconds()

        def then() -> datetime:
            return START + timedelta(seconds=drawn.random() * span)

        count = sum(len(t.entries) for record in book.records for t in record.body.transactions)
        print(f"{f'{count:,} postings of one customer':52}{'p50 ms':>10}{'p99 ms':>10}")
        _print("  balance now", _timed(lambda: ledger.views.balance("acme", as_of=end), 300), "(bar p99 1)")
        times = _timed(lambda: ledger.views.balance("acme", as_of=then(), recorded_as_of=drawn.randint(1, head)), 300)
        _print("  balance at any pair of times", times, "(bar p99 5)")
        first = ledger.statements.transactions("acme", as_of=end, limit=50)
        _print(
            "  the newest 50 movements",
            _timed(lambda: ledger.statements.transactions("acme", as_of=end, limit=50), 100),
        )
        middle = ledger.statements.transactions("acme", as_of=START + (end - START) / 2, limit=50)
        _print(
            "  50 from the middle",
            _timed(lambda: ledger.statements.transactions("acme", as_of=end, limit=50, after=middle.next), 100),
        )
        assert len(first.items) == len(middle.items) == 50
        print(f"{'  bringing all views up to date before':52}{caught_up:8.1f} s")
        print(flush=True)


def _hot(name: str, url: str, workers: int = 16, each: int = 5) -> None:
    """Threads that grant to one customer at once: every command wants the same stream."""
    with Ledger.open(url, clock=SettableClock(START), policies=Policies.standard()) as ledger:
        ledger.customers.create("acme")
        start, refused, waits = threading.Barrier(workers), [], []

        def work() -> None:
            start.wait()
            for _ in range(each):
                began = time.perf_counter()
                try:
                    ledger.credits.grant("acme", "1")
                except LedgerError as error:
                    refused.append(error.code)
                waits.append((time.perf_counter() - began) * 1000)

        threads = [threading.Thread(target=work) for _ in range(workers)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
        granted = ledger.views.balance("acme").settled
    done = workers * each - len(refused)
    assert granted == done, f"{done} grants were acknowledged, and {granted} is there"
    print(
        f"{f'{workers} threads, one customer, {name}':44}{done / took:8,.0f} grants/s   longest {max(waits):,.0f} ms"
        f"   given back to the caller {len(refused)} of {workers * each}"
    )


def _timed(work: Callable[[], object], count: int) -> list[float]:
    work()
    times = []
    for _ in range(count):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


def _print(what: str, times: Sequence[float], bar: str = "") -> None:
    p99 = times[int(len(times) * 0.99)]
    print(f"{what:52}{statistics.median(times):10.2f}{p99:10.2f}   {bar}", flush=True)


if __name__ == "__main__":
    main()
