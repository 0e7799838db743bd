"""Races for one customer's credit: threads that share a ledger, and processes that share a database.

Whatever the interleaving, the pool gives what it has exactly once and the rest is advance; a charge is advanced exactly
once; of two charges with one unique reference, one exists.
"""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest

from aggregates.credits.events import CreditCollected
from aggregates.policies import Policies
from aggregates.values.errors import LedgerError, ReferenceInUse
from aggregates.values.period import timestamp
from ledger.facade import Ledger
from ledger.metering.usage import UsageEvent
from ledger.ports import SettableClock
from ledger.prices import unit
from ledger.store import mapper
from tests.support.races import race

JANUARY = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")


def ledger_with_usage(url: str, charges: int) -> Ledger:
    """One customer, one meter with 10 units of January, and that many charges for them at 1 USD a unit."""
    clock = SettableClock("2026-01-01T00:00:00Z")
    ledger = Ledger.open(url, clock=clock, policies=Policies.reference())
    ledger.customers.create("acme", collection_interval="P0D")
    ledger.catalogue.define_meter("calls")
    ledger.catalogue.define_feature("calls", meter="calls")
    ledger.usage.record(
        [
            UsageEvent(
                source="test",
                id="1",
                customer="acme",
                meter="calls",
                time=timestamp("2026-01-15T00:00:00Z"),
                value=Decimal(10),
            )
        ]
    )
    for _ in range(charges):
        ledger.charges.create_usage(
            "acme", feature="calls", price=unit("1"), period_from=JANUARY[0], period_to=JANUARY[1]
        )
    return ledger


def collected(ledger: Ledger) -> tuple[Decimal, Decimal]:
    """(real credit, advance) that all collections took together."""
    real = advance = Decimal(0)
    for row in ledger.store.read_log(0, 1_000_000):
        body = mapper.decode(row.name, row.data).body
        if isinstance(body, CreditCollected):
            real += sum((part.amount for part in body.slices if part.lot is not None), Decimal(0))
            advance += body.shortfall
    return real, advance


def test_24_threads_that_collect_10_each_take_100_of_credit_and_140_of_advance(store_url: str) -> None:
    ledger = ledger_with_usage(store_url, 24)
    ledger.credits.grant("acme", "100")
    clock = ledger.clock
    assert isinstance(clock, SettableClock)
    clock.set("2026-02-01T00:00:00Z")
    charges = [row.charge for row in ledger.store.charges_of("default", "acme") if row.charge_type == "usage_based"]
    failures: list[LedgerError] = []
    start = threading.Barrier(len(charges))

    def advance(charge: object) -> None:
        start.wait()
        for _ in range(20):
            try:
                ledger.charges.advance("acme", charge)  # type: ignore[arg-type]
            except LedgerError as error:
                if not error.retryable:
                    failures.append(error)
                    return
            else:
                return

    threads = [threading.Thread(target=advance, args=(charge,)) for charge in charges]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
    assert collected(ledger) == (Decimal(100), Decimal(140))
    assert ledger.views.balance("acme", "USD").settled == Decimal(-140)
    assert ledger.audit.verify().sound
    ledger.close()


ADVANCE = """
import sys
from ledger import Ledger, SettableClock
with Ledger.open(sys.argv[1], clock=SettableClock("2026-02-02T00:00:00Z")) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    ledger.worker.run_once()
"""


@pytest.fixture(params=["sqlite", "postgres"])
def shared_url(request: pytest.FixtureRequest) -> str:
    """A database that several processes can open."""
    return str(request.getfixturevalue(f"{request.param}_url"))


def test_two_processes_that_advance_one_customer_book_everything_once(shared_url: str) -> None:
    with ledger_with_usage(shared_url, 6) as ledger:
        ledger.credits.grant("acme", "25")

    done = race(ADVANCE, shared_url, [[], []])

    assert [process.returncode for process in done] == [0, 0], [process.stderr for process in done]
    with Ledger.open(shared_url, clock=SettableClock("2026-02-03T00:00:00Z")) as ledger:
        assert collected(ledger) == (Decimal(25), Decimal(35))
        usage = [charge for charge in ledger.charges.list("acme") if charge.runs]
        assert [charge.status.value for charge in usage] == ["final"] * 6
        assert [len(charge.runs) for charge in usage] == [1] * 6
        assert ledger.audit.verify().sound


CREATE = """
import sys
from ledger import Ledger, SettableClock, unit
from aggregates.values.errors import ReferenceInUse
with Ledger.open(sys.argv[1], clock=SettableClock("2026-01-01T00:00:00Z")) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        ledger.charges.create_usage(
            "acme", feature="calls", price=unit("1"), unique_reference_id="subscription-1",
            period_from="2026-01-01T00:00:00Z", period_to="2026-02-01T00:00:00Z",
        )
    except ReferenceInUse:
        sys.exit(5)
"""


def test_of_two_processes_that_create_a_charge_with_one_unique_reference_one_is_refused(shared_url: str) -> None:
    ledger_with_usage(shared_url, 0).close()

    done = race(CREATE, shared_url, [[], []])

    assert sorted(process.returncode for process in done) == [0, 5], [process.stderr for process in done]
    with Ledger.open(shared_url) as ledger:
        assert len(ledger.charges.list("acme")) == 1
        with pytest.raises(ReferenceInUse):
            ledger.charges.create_usage(
                "acme",
                feature="calls",
                price=unit("1"),
                unique_reference_id="subscription-1",
                period_from=JANUARY[0],
                period_to=JANUARY[1],
            )
