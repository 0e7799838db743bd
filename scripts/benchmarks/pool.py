"""The credit pool at size: loading it, balances at any pair of times, listings, corrections, the trial balance, storms.

    .venv/bin/python scripts/benchmarks/pool.py [--events 100000] [--postings 1000000] [--sqlite]

Loading: a pool that has lived through that many events, from its snapshot in another process's shoes, beside folding
all of them (the floor). Queries: over that many postings of one customer, made by the real decisions of a pool (a grant
a month, usage collected, recognised and sealed every ninety minutes) and appended as they are, a thousand a save;
beside them the same over a tenth of the postings, which is their floor: they should not grow. Before they are measured
what is in memory is frozen (`gc.freeze`), as a service does when it has started, and each is told in time of its thread
too, which other programs on the machine do not lengthen. Corrections: of a charge closed long ago, from the events that
concern it, beside the whole stream (the floor). Storms: threads and processes that all grant to one customer, beside a
lone thread (the floor); what one of them loses it decides again.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from uuid import UUID

sys.path.insert(0, str(Path(__file__).parents[2]))

from aggregates.credits import decisions as pools
from aggregates.credits import state as pool_state
from aggregates.credits.events import CreditPoolEvent, SettlementMode
from aggregates.credits.pool import CreditPool
from aggregates.credits.requests import Collect, Grant, Recognize, Seal, SourceCut
from aggregates.event import AnyRecorded, Recorded, Stream
from aggregates.policies import Policies
from aggregates.values.errors import LedgerError
from aggregates.values.identifiers import pool_id
from aggregates.values.money import fiat
from aggregates.values.period import Instant, timestamp
from ledger import Ledger, SettableClock
from ledger.domain import AGGREGATES
from ledger.pools import Wanted, history_by_view
from ledger.store import mapper
from ledger.store.repository import Repository
from ledger.store.store import NewRecord, Save, SnapshotRow
from tests.support.books import ordered_id
from tests.support.postgres import temporary_postgres

START = datetime(2026, 1, 1, tzinfo=UTC)
USD = fiat("USD")
STREAM = Stream("credit_pool", pool_id("default", "acme", "USD"), "acme")
QUERIED = ("customer_balances", "balance_history", "credit_transactions", "trial_sums", "slice_events")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The credit pool at size.")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--postings", type=int, default=1_000_000)
    parser.add_argument("--sqlite", action="store_true", help="queries over an SQLite file alone")
    parser.add_argument("--storm", nargs=3, metavar=("URL", "THREADS", "EACH"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.storm:
        print(*_storm(given.storm[0], int(given.storm[1]), int(given.storm[2])), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder, temporary_postgres(durable=True) as dsn:
        _loading(f"sqlite:///{folder}/load.db", given.events)
        for postings in (given.postings // 10, given.postings):
            _queries("SQLite file", f"sqlite:///{folder}/{postings}.db", postings)
        for postings in () if given.sqlite else (given.postings // 10, given.postings):
            with temporary_postgres(durable=True) as fresh:
                _queries("PostgreSQL", fresh, postings)
        for name, url in (("SQLite file", f"sqlite:///{folder}/hot.db"), ("PostgreSQL", dsn)):
            _hot(name, url)


# ── a long life ──────────────────────────────────────────────────────────────────────────────────────────────


class Life:
    """A pool that has lived long: what it decides, recorded one after the other; nothing but its state is kept."""

    def __init__(self) -> None:
        self.pool = CreditPool.empty(USD)
        self.postings = 0
        self.at = Instant(START)
        self.charges: list[UUID] = []

    def records(self) -> Iterator[AnyRecorded]:
        """For ever: a grant a month, usage collected every ninety minutes, recognised and sealed."""
        number = 0
        while True:
            at = self.at = Instant(START + number * timedelta(minutes=90))
            if number % 500 == 0:
                ends = Instant(at + timedelta(days=40))
                purchase = ordered_id(f"p{number}")
                request = Grant(purchase=purchase, amount=Decimal(600), effective_at=at, expires_at=ends, now=at)
                yield self._recorded(pools.grant(self.pool, request))
            charge = ordered_id(f"c{number}")
            self.charges.append(charge)
            for event in self._used(charge):
                yield self._recorded(event)
            number += 1

    def _used(self, charge: UUID) -> Iterator[CreditPoolEvent]:
        at, mode, horizon = self.at, SettlementMode.CREDIT_ONLY, Instant(self.at - timedelta(days=400))
        asked = Collect(charge=charge, amount=Decimal(1), mode=mode, booked_at=at, sources_at=SourceCut(at))
        for decide in (
            lambda: pools.collect(self.pool, asked),
            lambda: pools.recognize(self.pool, Recognize(booked_at=at)),
            lambda: pools.seal(self.pool, Seal(final_charges=(charge,), booked_before=horizon)),
        ):
            event = decide()
            if event is not None:
                yield event

    def _recorded(self, event: CreditPoolEvent) -> AnyRecorded:
        record: AnyRecorded = Recorded(
            stream=STREAM.id,
            version=self.pool.version + 1,
            namespace="default",
            customer="acme",
            at=self.at,
            recorded_at=self.at,
            command_id=STREAM.id,
            causation_id=STREAM.id,
            correlation_id=STREAM.id,
            actor="bench",
            body=event,
        )
        self.pool = pool_state.evolve(self.pool, record)
        self.postings += sum(len(transaction.entries) for transaction in event.transactions)
        return record


def _write(ledger: Ledger, life: Life, until: Callable[[Life], bool]) -> None:
    """Records of a life as they are, in saves of a thousand."""
    records = life.records()
    while not until(life):
        new: list[NewRecord] = []
        for record in islice(records, 1000):
            data = mapper.encode(record)
            new.append(NewRecord(record.stream, record.version, record.body.NAME, data, mapper.digest(data)))
        ledger.store.append(Save(new), life.at)


def _loading(url: str, events: int) -> None:
    life = Life()
    with Ledger.open(url, clock=SettableClock(START)) as ledger:
        ledger.customers.create("acme")
        _write(ledger, life, lambda life: life.pool.version >= events)
        began = time.perf_counter()
        Repository(ledger.store, AGGREGATES).load(STREAM)
        folded = time.perf_counter() - began
        aggregate = AGGREGATES["credit_pool"]
        assert aggregate.snapshot is not None
        data = mapper.encode_value(life.pool)
        ledger.store.save_snapshot(SnapshotRow(STREAM.id, life.pool.version, aggregate.snapshot, data))
        print(f"{f'a pool of {life.pool.version:,} events':48}{_HEADS}")
        _tell("  loaded from its snapshot", lambda: Repository(ledger.store, AGGREGATES).load(STREAM), 200, "p99 5")
    print(f"{f'  folding all of them (floor); snapshot {len(data):,} bytes':48}{folded * 1000:9.0f}\n", flush=True)


# ── queries ──────────────────────────────────────────────────────────────────────────────────────────────────


def _queries(kind: str, url: str, postings: int) -> None:
    with Ledger.open(url, clock=SettableClock(START), policies=Policies.standard()) as ledger:
        ledger.customers.create("acme")
        life = Life()
        _write(ledger, life, lambda life: life.postings >= postings)
        began = time.perf_counter()
        ledger.follower.catch_up(QUERIED)
        caught_up = time.perf_counter() - began
        end, head = timestamp(life.at), ledger.store.head()
        drawn = random.Random(1)
        span = (end - START).total_seconds()

        def then() -> datetime:
            return START + timedelta(seconds=drawn.random() * span)

        def listed(after: str | None = None) -> object:
            return ledger.statements.transactions("acme", as_of=end, limit=50, after=after)

        middle = ledger.statements.transactions("acme", as_of=START + (end - START) / 2, limit=1).next
        oldest = ledger.statements.transactions("acme", as_of=START + timedelta(days=4), limit=1).next
        months = [f"{moment:%Y-%m}" for moment in (START + (end - START) / 2, end)]
        gc.collect()
        gc.freeze()
        print(f"{f'{life.postings:,} postings of one customer, {kind}':48}{_HEADS}")
        _tell("  balance now", lambda: ledger.views.balance("acme", as_of=end), 1000, "p99 1")
        pair = lambda: ledger.views.balance("acme", as_of=then(), recorded_as_of=drawn.randint(1, head))  # noqa: E731
        _tell("  balance at any pair of times", pair, 1000, "p99 5")
        for name, after in (("newest", None), ("middle", middle), ("oldest", oldest)):
            _tell(f"  a page of 50 movements, the {name}", lambda after=after: listed(after), 200)  # type: ignore[misc]
        _tell("  the trial balance", lambda: ledger.statements.trial_balance(months[0]), 10)
        wanted = [Wanted(STREAM.id, each, life.pool, life.pool.version) for each in drawn.sample(life.charges, 50)]
        ask = iter(wanted * 3)
        _tell(
            "  history of a charge sealed long ago",
            lambda: history_by_view(ledger.store, ledger.follower, next(ask)),
            99,
        )
        began = time.perf_counter()
        whole = [mapper.read(row) for row in ledger.store.read_stream(STREAM.id)]
        everything = pool_state.unsealed(whole)
        took = time.perf_counter() - began
        mine = history_by_view(ledger.store, ledger.follower, wanted[0])
        assert everything is not None
        assert mine is not None
        assert mine.slices_of(wanted[0].charge) == everything.slices_of(wanted[0].charge)
        print(f"{'  the same from the whole stream (floor)':48}{took * 1000:9.0f}")
        print(f"{'  bringing these views up to date before':48}{caught_up:9.1f} s\n", flush=True)
    gc.unfreeze()


# ── storms ───────────────────────────────────────────────────────────────────────────────────────────────────


def _hot(name: str, url: str, each: int = 20) -> None:
    """Threads and processes that grant to one customer at once: every command wants the same stream."""
    with Ledger.open(url, clock=SettableClock(START), policies=Policies.standard()) as ledger:
        ledger.customers.create("acme")
    told = 0
    for processes, threads in ((1, 1), (1, 16), (4, 1), (4, 4)):
        command = [sys.executable, __file__, "--storm", url, str(threads), str(each)]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
        said = [list(map(float, process.communicate()[0].split())) for process in running]
        assert not any(process.returncode for process in running), "a process of the storm fell over"
        granted, retries, refused, took = (sum(column) for column in zip(*said, strict=True))
        told += int(granted)
        rate = granted / (took / processes)
        crowd = f"{processes} x {threads} threads" + (" (floor)" if processes * threads == 1 else "")
        print(
            f"{f'one customer, {name}, {crowd}':48}{rate:9,.0f} grants/s {retries / granted:6.2f} retries each"
            f"   given back as worth trying again {refused:.0f} of {granted + refused:.0f}",
            flush=True,
        )
    with Ledger.open(url, clock=SettableClock(START)) as ledger:
        settled = ledger.views.balance("acme").settled
    assert settled == told, f"{told} grants were acknowledged, and {settled} is there"


def _storm(url: str, threads: int, each: int) -> tuple[int, int, int, float]:
    """What one process comes to: granted, retries, given back, seconds. Any refusal that is final ends it."""
    with Ledger.open(url, clock=SettableClock(START)) as ledger:
        granted, refused, saves = [], [], []
        start = threading.Barrier(threads)
        ledger.store.probe = lambda call: saves.append(1) if call == "store.append" else None

        def work() -> None:
            start.wait()
            for _ in range(each):
                try:
                    granted.append(ledger.credits.grant("acme", "1"))
                except LedgerError as error:
                    refused.append(error)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        began = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert all(error.retryable for error in refused), refused
        return len(granted), len(saves) - len(granted), len(refused), time.perf_counter() - began


# ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────

_HEADS = f"{'p50 ms':>9}{'p99 ms':>9}{'p99 ms of the thread':>22}"


def _tell(what: str, work: Callable[[], object], count: int, bar: str = "") -> None:
    work()
    times: list[float] = []
    own: list[float] = []
    for _ in range(count):
        began, mine = time.perf_counter(), time.thread_time()
        work()
        own.append((time.thread_time() - mine) * 1000)
        times.append((time.perf_counter() - began) * 1000)
    print(
        f"{what:48}{statistics.median(times):9.2f}{_p99(times):9.2f}{_p99(own):22.2f}"
        + (f"   bar {bar}" if bar else ""),
        flush=True,
    )


def _p99(times: Sequence[float]) -> float:
    return sorted(times)[len(times) * 99 // 100]


if __name__ == "__main__":
    main()
