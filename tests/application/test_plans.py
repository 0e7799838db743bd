"""Plans: a dry run of one command that can be carried out as it was decided, if nothing it relied on has moved."""

from __future__ import annotations

import pytest

from aggregates.values.errors import ConcurrentChange, PreconditionFailed
from tests.application.scenes import at, january_charge, opened, used, with_customer


def test_a_plan_is_carried_out_exactly_as_it_was_shown(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        charge = january_charge(ledger)
        used(ledger, "8", "2026-01-15T00:00:00Z")
        at(ledger, "2026-02-03T00:01:00Z")
        before = ledger.store.head()

        with ledger.plan() as plan:
            plan.charges.advance("acme")
            planned = [event.body for event in plan.events]
            plan.commit()

        from ledger.store import mapper

        rows = ledger.store.read_log(before, 1_000)
        assert [mapper.decode(row.name, row.data).body for row in rows] == planned
        assert ledger.charges.get(charge.id).status.value == "final"
        assert ledger.audit.verify().sound


def test_a_plan_is_refused_when_something_it_read_has_moved(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        january_charge(ledger)
        at(ledger, "2026-02-03T00:01:00Z")
        with ledger.plan() as plan:
            plan.charges.advance("acme")
            ledger.customers.change_profile("acme", collection_interval="P3D")
            head = ledger.store.head()

            with pytest.raises(ConcurrentChange):
                plan.commit()

        assert ledger.store.head() == head


def test_a_plan_is_refused_when_another_charge_has_become_due(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        january_charge(ledger)
        at(ledger, "2026-01-15T00:00:00Z")
        ledger.charges.advance("acme")
        at(ledger, "2026-02-03T00:01:00Z")
        with ledger.plan() as plan:
            plan.charges.advance("acme")
            at(ledger, "2026-01-15T00:00:00Z")
            january_charge(ledger)
            at(ledger, "2026-02-03T00:01:00Z")

            with pytest.raises(ConcurrentChange):
                plan.commit()


def test_an_empty_plan_cannot_be_committed(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        with ledger.plan() as plan:
            plan.charges.advance("acme")

            with pytest.raises(PreconditionFailed):
                plan.commit()
