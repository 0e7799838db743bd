"""How fast usage is imported, and what a window costs as a customer grows old.

    .venv/bin/python scripts/benchmarks/metering.py [--rows 20000] [--months 24]

Imports a CSV of two meters into each store, imports it again, and reads a month of a customer that has many. Beside
each import stands its floor: the same number of rows of the same columns written by the driver alone, unchecked and
without an identity, in chunks of the same size, each committed. PostgreSQL and SQLite wait for the disk.
"""

import argparse
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import psycopg

sys.path.insert(0, str(Path(__file__).parents[2]))

from aggregates.catalogue import Aggregation, Meter
from ledger.metering.importer import UsageMapping, csv_file, import_usage
from ledger.metering.open import open_usage_store
from ledger.metering.store import CHUNK, UsageStore
from ledger.metering.usage import UsageEvent
from ledger.ports import MeterQuery
from ledger.store.open import open_store
from tests.support.postgres import temporary_postgres

START = datetime(2025, 1, 1, tzinfo=UTC)
METERS = {
    key: Meter(id=UUID(int=number), key=key, aggregation=Aggregation.SUM)
    for number, key in enumerate(("input", "output"), 1)
}
MAPPING = UsageMapping(customer="acme", meters={"input": "input", "output": "output"}, assume_utc=True)
PER_MONTH = 2_000
Row = tuple[int, str, str, str, str, str, int, int, int, str]


def main() -> None:
    """Measure each store and print a line for each figure."""
    parser = argparse.ArgumentParser(description="How fast usage is imported and read.")
    parser.add_argument("--rows", type=int, default=20_000, help="rows of the file, two events each")
    parser.add_argument("--months", type=int, default=24, help="how old the customer of the window reads gets")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, temporary_postgres(durable=True) as postgres:
        path = write_sample(Path(folder) / "usage.csv", options.rows)
        rows = [(n, "test", "import", f"{n:032x}", "acme", "input", n, 0, n, "x" * 32) for n in range(2 * options.rows)]
        stores = {"memory": "memory:", "sqlite": f"sqlite:///{folder}/ledger.db", "postgres": postgres}
        floors: dict[str, Callable[[], None]] = {
            "sqlite": lambda: floor_sqlite(Path(folder) / "floor.db", rows),
            "postgres": lambda: floor_postgres(postgres, rows),
        }
        for name, url in stores.items():
            floor = took(floors[name]) if name in floors else None
            with closing(open_store(url)) as store, closing(open_usage_store(store)) as usage:
                measure(name, usage, path, options.rows, floor)
                windows(name, usage, options.months)


def measure(name: str, usage: UsageStore, path: Path, rows: int, floor: float | None) -> None:
    """Import a file and import it again."""
    for what in ("import", "import again"):
        seconds = took(lambda: import_usage(usage, "test", csv_file(path, MAPPING, METERS.get)))
        beside = f", {floor / seconds:.2f} of the floor ({floor:.2f} s)" if floor and what == "import" else ""
        print(f"{name:9} {what:22} {seconds:6.2f} s  {2 * rows / seconds:9,.0f} events/s{beside}")


def windows(name: str, usage: UsageStore, months: int) -> None:
    """Read one month while the customer's history grows."""
    for month in range(months):
        usage.ingest("age", month_of_usage(month))
        if month in {0, months - 1}:
            print(f"{name:9} month of {PER_MONTH:,} at age {month + 1:3}  {read_month(usage, month):6.2f} ms")


def read_month(usage: UsageStore, month: int) -> float:
    """The median of reading a closed window, in milliseconds."""
    from_ = START + timedelta(days=30 * month)
    query = MeterQuery("age", "acme", METERS["input"], from_, from_ + timedelta(days=30), datetime.now(UTC))
    assert usage.quantity(query).quantity == PER_MONTH
    return 1000 * statistics.median(took(lambda: usage.quantity(query)) for _ in range(30))


def month_of_usage(month: int) -> Iterator[UsageEvent]:
    """Events of value 1, spread evenly over thirty days."""
    for number in range(PER_MONTH):
        at = START + timedelta(days=30 * month, seconds=number * 30 * 86_400 // PER_MONTH)
        yield UsageEvent(
            source="age", id=f"{month}/{number}", customer="acme", meter="input", time=at, value=Decimal(1)
        )


def write_sample(path: Path, rows: int) -> Path:
    """A service's requests: times with seven digits, tokens in and out."""
    dice = random.Random(7)
    moment = START
    with path.open("w") as file:
        file.write("time,input,output\n")
        for _ in range(rows):
            moment += timedelta(microseconds=dice.randrange(400_000))
            file.write(f"{moment:%Y-%m-%d %H:%M:%S.%f}0,{dice.randrange(8_000)},{dice.randrange(600)}\n")
    return path


def floor_sqlite(path: Path, rows: list[Row]) -> None:
    """Insert the rows into a table without any index."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE floor (a, b, c, d, e, f, g, h, i, j)")
        for part in parts(rows):
            db.execute("BEGIN")
            db.executemany("INSERT INTO floor VALUES (?,?,?,?,?,?,?,?,?,?)", part)
            db.execute("COMMIT")


def floor_postgres(url: str, rows: list[Row]) -> None:
    """Copy the rows into a table without any index."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(
            "CREATE TABLE floor (a bigint, b text, c text, d text, e text, f text,"
            " g bigint, h bigint, i numeric, j text)"
        )
        for part in parts(rows):
            with db.transaction(), db.cursor().copy("COPY floor FROM STDIN") as copy:
                for row in part:
                    copy.write_row(row)
        db.execute("DROP TABLE floor")


def parts(rows: list[Row]) -> Iterable[list[Row]]:
    """The rows in chunks."""
    return (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))


def took(work: Callable[[], object]) -> float:
    """Seconds it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
