"""Giving back what was sealed long ago: read from the events that concern the charge, not from the whole pool."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest

from aggregates.charges.state import Charge
from aggregates.credits.pool import CreditPool
from aggregates.event import Stream
from aggregates.policies import Policies
from aggregates.values.identifiers import pool_id
from ledger.domain import AGGREGATES
from ledger.facade import Ledger
from ledger.store.repository import Repository
from ledger.store.store import LogRecord
from projections.slice_events import SLICE_EVENTS
from tests.application.scenes import at, opened

POOL = Stream("credit_pool", pool_id("default", "acme", "USD"), "acme")


@pytest.fixture
def ledger(store_url: str) -> Ledger:
    opened_ledger = opened(store_url, policies=Policies.standard())
    opened_ledger.customers.create("acme")
    return opened_ledger


def fee(ledger: Ledger, amount: str, day: int) -> Charge:
    """A fee paid from credit on a day of January, final at once."""
    charge = ledger.charges.create_flat_fee(
        "acme",
        amount=amount,
        period_from=f"2026-01-{day:02d}T00:00:00Z",
        period_to=f"2026-01-{day + 1:02d}T00:00:00Z",
        settlement_mode="credit_only",
    )
    at(ledger, f"2026-01-{day + 1:02d}T00:00:00Z")
    ledger.charges.advance("acme")
    return charge


def pool_of(ledger: Ledger) -> CreditPool:
    pool: CreditPool = Repository(ledger.store, AGGREGATES).load(POOL).state
    return pool


def sealed(ledger: Ledger, charge: Charge) -> bool:
    return charge.id not in pool_of(ledger).charges


def records_read(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records of the pool each reading of it brings from here on."""
    found: list[int] = []
    store = ledger.store
    stream, versions = store.read_stream, store.read_versions

    def read_stream(which: UUID, after_version: int = 0) -> list[LogRecord]:
        rows = stream(which, after_version)
        found.append(len(rows) if which == POOL.id else 0)
        return rows

    def read_versions(which: UUID, wanted: Sequence[int]) -> list[LogRecord]:
        rows = versions(which, wanted)
        found.append(len(rows))
        return rows

    monkeypatch.setattr(store, "read_stream", read_stream)
    monkeypatch.setattr(store, "read_versions", read_versions)
    return found


def figures(ledger: Ledger) -> tuple[int, ...]:
    """What is left, accrued and earned, in whole dollars."""
    found = ledger.views.balance("acme")
    figures = (found.settled, found.accrued, found.earnings)
    assert all(figure == int(figure) for figure in figures)
    return tuple(map(int, figures))


def test_a_sealed_charge_gives_back_what_it_took_and_reads_what_concerns_it_alone(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 of credit, 7 used on the 1st and one on each of the 19 days after: deleting the first gives 7 back."""
    ledger.credits.grant("acme", "100")
    first = fee(ledger, "7", 1)
    for day in range(2, 21):
        fee(ledger, "1", day)
    assert sealed(ledger, first)
    assert figures(ledger) == (74, 0, 26)

    read = records_read(ledger, monkeypatch)
    ledger.charges.delete(first.id)

    assert figures(ledger) == (81, 0, 19)
    assert 0 < sum(read) <= 8, "collected, recognised, and the lots; not the sixty events of the pool"
    assert ledger.audit.verify().sound
    ledger.close()


def test_the_lot_a_sealed_charge_took_from_may_have_left_as_well(ledger: Ledger) -> None:
    """Two gifts of 5 and 6, both used up and gone from the state: 8 come back to lots of their own."""
    ledger.credits.grant("acme", "5", priority=1)
    ledger.credits.grant("acme", "6", priority=2)
    first = fee(ledger, "8", 1)
    second = fee(ledger, "3", 2)
    pool = pool_of(ledger)
    assert (sealed(ledger, first), sealed(ledger, second), pool.lots) == (True, True, {})

    ledger.charges.delete(first.id)

    assert figures(ledger) == (8, 0, 3)
    fee(ledger, "9", 3)
    assert figures(ledger) == (-1, 1, 11)
    assert ledger.audit.verify().sound
    ledger.close()


def test_a_dry_run_sees_what_it_has_sealed_itself(ledger: Ledger) -> None:
    ledger.credits.grant("acme", "10")
    with ledger.dry_run() as trial:
        charge = fee(trial, "4", 1)
        assert sealed(trial, charge)
        trial.charges.delete(charge.id)
        assert sum(lot.balance for lot in pool_of(trial).lots.values()) == 10

    assert figures(ledger) == (10, 0, 0)
    ledger.close()


def test_where_the_view_does_not_name_all_of_it_the_whole_stream_is_read(store_url: str) -> None:
    """Somebody took rows of the view away: the correction is right, and the audit names the view."""
    ledger = opened(store_url, policies=Policies.standard())
    ledger.customers.create("acme")
    ledger.credits.grant("acme", "10")
    charge = fee(ledger, "4", 1)
    with ledger.follower.reading((SLICE_EVENTS.name,)) as reader:
        assert reader.select(SLICE_EVENTS)
    projection = ledger.follower.projections[SLICE_EVENTS.name]
    tables = ledger.follower.tables
    emptied = tables.begin(projection)
    with tables.writing(projection, emptied) as writer:
        writer.append([], ledger.store.head())
    tables.finish(projection, emptied)
    assert tables.swap(projection, emptied)

    ledger.charges.delete(charge.id)

    assert figures(ledger) == (10, 0, 0)
    assert {finding.check for finding in ledger.audit.verify().findings} == {"views"}
    ledger.close()
