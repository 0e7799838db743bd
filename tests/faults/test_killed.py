"""Killed with SIGKILL in the middle of an import, an advance, a rebuild: the same command completes after a restart.

The process kills itself at an exact place: the fault probe is called before every port, pool decision and store call,
and once more when a save is durable and its answer not yet given. Afterwards everything is there once, and `verify`
finds nothing.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from ledger import Ledger, SettableClock
from tests.application.scenes import JANUARY, january_charge, opened, used, with_customer

PROGRAM = """
import os, signal, sys
from ledger import Ledger, SettableClock

url, work, place, nth = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
calls = 0

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def probe(call):
    global calls
    if call == place:
        calls += 1
        if calls == nth:
            kill()

def progress(done):
    if place == "rebuild.progress":
        probe(place)

with Ledger.open(url, clock=SettableClock("2026-02-03T00:01:00Z"), probe=probe) as ledger:
    if work == "advance":
        ledger.charges.advance("acme", command_id="advance-1")
    elif work == "import":
        ledger.usage.import_csv(
            sys.argv[5], time="time", customer="acme", meters={"calls": "calls"}, id_column="id"
        )
    elif work == "rebuild":
        ledger.projections.rebuild(progress=progress)
    else:
        raise SystemExit(f"unknown work {work}")
"""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """A database that outlives a process."""
    return str(request.getfixturevalue(f"{request.param}_url"))


def run(url: str, work: str, place: str = "", nth: int = 0, *more: str) -> int:
    """Do the work in a process of its own; its exit code, -9 where it was killed."""
    command = [sys.executable, "-c", PROGRAM, url, work, place, str(nth), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode


def later(url: str) -> Ledger:
    return Ledger.open(url, clock=SettableClock("2026-02-04T00:00:00Z"))


@pytest.mark.parametrize(
    "place",
    [
        "meter.quantity",
        "credit_pool.CreditCollected",
        "realization_run.RunFinalized",
        "charge.ChargeFinalized",
        "store.append",
        "store.append.committed",
    ],
)
def test_an_advance_killed_anywhere_is_completed_by_the_same_command(url: str, place: str) -> None:
    with opened(url) as ledger:
        with_customer(ledger)
        ledger.credits.grant("acme", "5")
        charge = january_charge(ledger)
        used(ledger, "8", "2026-01-15T00:00:00Z")

    assert run(url, "advance", place, 1) == -signal.SIGKILL
    assert run(url, "advance") == 0

    with later(url) as ledger:
        (finished,) = ledger.charges.runs(charge.id)
        assert ledger.charges.get(charge.id).status.value == "final"
        assert [realization.amount for realization in finished.credit_realizations] == [Decimal(5), Decimal(3)]
        assert ledger.views.balance("acme", "USD").settled == Decimal(-3)
        assert ledger.audit.verify().sound


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_an_import_killed_at_any_chunk_is_completed_by_the_same_command(url: str, nth: int, tmp_path: Path) -> None:
    with opened(url) as ledger:
        with_customer(ledger)
    file = tmp_path / "usage.csv"
    rows = [f"{n},2026-01-{1 + n % 28:02}T00:00:00Z,1" for n in range(12_000)]
    file.write_text("\n".join(["id,time,calls", *rows]) + "\n")

    assert run(url, "import", "usage.ingest.commit", nth, str(file)) == -signal.SIGKILL
    assert run(url, "import", "", 0, str(file)) == 0

    with later(url) as ledger:
        assert ledger.usage.quantity("acme", "calls", *JANUARY).quantity == 12_000
        again = ledger.usage.import_csv(file, time="time", customer="acme", meters={"calls": "calls"}, id_column="id")
        assert (again.ingest.stored, again.ingest.duplicates) == (0, 12_000)
        assert ledger.audit.verify().sound


@pytest.mark.parametrize(("place", "nth"), [("store.read_log", 1), ("store.read_log", 2), ("rebuild.progress", 1)])
def test_a_rebuild_killed_anywhere_changes_nothing_and_can_be_repeated(url: str, place: str, nth: int) -> None:
    with opened(url) as ledger:
        with_customer(ledger)
        for number in range(30):
            ledger.credits.grant("acme", str(number + 1))
        before = ledger.views.balance("acme", "USD").settled

    assert run(url, "rebuild", place, nth) == -signal.SIGKILL
    with later(url) as ledger:
        assert ledger.views.balance("acme", "USD").settled == before == Decimal(465)
    assert run(url, "rebuild") == 0

    with later(url) as ledger:
        assert ledger.views.balance("acme", "USD").settled == before
        assert ledger.audit.verify().sound
