"""How fast an audit reads the whole history. The floor is reading events and receipts and hashing them, in one run.

    .venv/bin/python scripts/benchmarks/audit.py [--lives 2000]

A life is one customer's January, played through the whole ledger in memory and copied from there, save by save.
Verifying the chains proves that nothing was changed: positions, bytes, links, receipts, the seal. The whole audit also
reads what events mean, folds every stream, and folds the views a second time.
"""

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from ledger import Ledger
from ledger.metering.usage import UsageEvent
from ledger.ports import SettableClock
from ledger.prices import unit
from ledger.store.open import open_store
from ledger.store.store import NewRecord, Save, Store, Written
from tests.support.postgres import temporary_postgres

PAGE = 10_000
BEST_OF = 3


def main() -> None:
    """Measure and print a line for each figure."""
    parser = argparse.ArgumentParser(description="How fast the history is verified.")
    parser.add_argument("--lives", type=int, default=2_000, help="customers with a January of their own")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, temporary_postgres(durable=True) as postgres:
        lives = lives_of(options.lives)
        measure("SQLite", f"sqlite:///{folder}/ledger.db", lives)
        measure("PostgreSQL", postgres, lives)


def measure(kind: str, url: str, lives: Store) -> None:
    """Rates of verifying, beside that of reading and hashing."""
    store = open_store(url)
    copy(lives, store)
    store.close()
    with Ledger.open(url, namespace="bench") as ledger:
        ledger.audit.repair_inline()
        ledger.projections.catch_up()
        head = ledger.store.head()
        print(f"{kind}: {head:,} events")
        floor = min(timed(lambda: read_and_hash(ledger.store)) for _ in range(BEST_OF))
        line("read and hash events and receipts (floor)", head / floor)
        chains = min(timed(lambda: sound(ledger, chains_only=True)) for _ in range(BEST_OF))
        line("verify all chains", head / chains, floor / chains)
        line("verify everything, views included", head / timed(lambda: sound(ledger, chains_only=False)))


def sound(ledger: Ledger, *, chains_only: bool) -> None:
    """An audit, which has to find nothing: a fast one that did not look would be worth nothing."""
    report = ledger.audit.verify(chains_only=chains_only)
    assert report.sound, report.findings
    assert report.checked[0].looked_at == ledger.store.head()


def read_and_hash(store: Store) -> None:
    """What a verification cannot do without: the bytes of every event, and every receipt."""
    after = 0
    while page := store.read_log(after, PAGE):
        for row in page:
            hashlib.sha256(row.data).digest()
        after = page[-1].position
    for receipt in store.receipts():
        hashlib.sha256(receipt.answer).digest()


# ── a history ────────────────────────────────────────────────────────────────────────────────────────────────


def lives_of(customers: int) -> Store:
    """January of many customers, in memory."""
    clock = SettableClock("2026-01-01T00:00:00Z")
    ledger = Ledger.open("memory:", clock=clock, namespace="bench")
    ledger.catalogue.define_meter("calls")
    ledger.catalogue.define_feature("calls", meter="calls")
    names = [f"customer-{number:06d}" for number in range(customers)]
    bounds = {"period_from": "2026-01-01T00:00:00Z", "period_to": "2026-02-01T00:00:00Z"}
    for name in names:
        ledger.customers.create(name)
        ledger.credits.grant(name, "100", expires_at="2026-06-01T00:00:00Z")
        ledger.charges.create_usage(name, feature="calls", price=unit("0.25"), **bounds)
        event = UsageEvent(source="bench", id=name, customer=name, meter="calls", time=clock.now(), value=Decimal(500))
        ledger.usage.record([event])
    for moment in ("2026-02-01T00:00:00Z", "2026-02-04T00:00:00Z"):
        clock.set(moment)
        for name in names:
            ledger.charges.advance(name)
    return ledger.store


def copy(source: Store, target: Store) -> None:
    """Every save of a store into another, with its receipt."""
    receipts = {receipt.written[0]: receipt for receipt in source.receipts()}
    for _, rows in groupby(source.read_log(0, source.head()), key=lambda row: row.last):
        save = [(row, NewRecord(row.stream, row.version, row.name, row.data, row.digest)) for row in rows]
        first = save[0][1]
        receipt = receipts[Written(first.stream, first.version, first.digest.hex())]
        target.append(Save([new for _, new in save], receipt), save[0][0].log_time)


def line(name: str, rate: float, of_floor: float | None = None) -> None:
    """One rate, and its part of the floor."""
    print(f"  {name:<44} {rate:>10,.0f} events/s" + (f"   {of_floor:.2f} of the floor" if of_floor else ""))


def timed(what: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
