"""An import that is killed in the middle of a chunk and run again completes, and counts nothing twice.

A process of its own imports a file and ends by SIGKILL, between writing the rows of its third chunk and committing
them. What it had committed is there, what it had not is not, and the same import afterwards stores exactly the rest.
"""

import signal
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from uuid import UUID

import pytest

from aggregates.catalogue import Aggregation, Meter
from ledger.metering.importer import UsageMapping, csv_file, import_usage
from ledger.metering.open import open_usage_store
from ledger.ports import MeterQuery
from ledger.store.open import open_store

ROOT = Path(__file__).parents[2]
ROWS = 8_000
MAPPING = UsageMapping(customer="acme", meters={"tokens": "tokens", "calls": None})
METERS = {
    "tokens": Meter(id=UUID(int=1), key="tokens", aggregation=Aggregation.SUM, decimals=3),
    "calls": Meter(id=UUID(int=2), key="calls", aggregation=Aggregation.COUNT),
}
KILLED = dedent(
    """
    import os, signal, sys
    from tests.faults.test_import_killed import MAPPING, METERS
    from ledger.metering.importer import csv_file, import_usage
    from ledger.metering.open import open_usage_store
    from ledger.store.open import open_store

    calls = []

    def kill_at_the_third(call):
        calls.append(call)
        if calls.count("usage.ingest.commit") == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    url, path = sys.argv[1:]
    usage = open_usage_store(open_store(url), kill_at_the_third)
    import_usage(usage, "test", csv_file(path, MAPPING, METERS.get))
    """
)


@pytest.mark.parametrize("kind", ["sqlite_url", "postgres_url"])
def test_an_import_killed_in_the_middle_of_a_chunk_completes_when_it_is_run_again(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url: str = request.getfixturevalue(kind)
    path = tmp_path / "usage.csv"
    lines = [f"2025-01-{1 + n % 31:02}T00:00:{n % 60:02}Z,{n}.125\n" for n in range(ROWS // 2)]
    path.write_text("time,tokens\n" + "".join(lines * 2))

    done = subprocess.run([sys.executable, "-c", KILLED, url, str(path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL

    with closing(open_store(url)) as store, closing(open_usage_store(store)) as usage:
        window = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
        tokens, calls = (MeterQuery("test", "acme", METERS[key], *window) for key in ("tokens", "calls"))
        assert usage.quantity(calls).quantity == 5_000  # two chunks of 2,500 rows and two meters each

        report = import_usage(usage, "test", csv_file(path, MAPPING, METERS.get))

        assert (report.ingest.stored, report.ingest.duplicates) == (2 * ROWS - 10_000, 10_000)
        assert usage.quantity(calls).quantity == ROWS
        assert usage.quantity(tokens).quantity == 2 * (sum(range(ROWS // 2)) + ROWS // 2 / 8)
