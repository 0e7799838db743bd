"""Dry runs: what a command would append, without appending it."""

from __future__ import annotations

from decimal import Decimal

from tests.application.scenes import at, january_charge, opened, used, with_customer


def test_a_dry_run_says_what_would_happen_and_writes_nothing(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        ledger.credits.grant("acme", "5")
        charge = january_charge(ledger)
        used(ledger, "8", "2026-01-15T00:00:00Z")
        at(ledger, "2026-02-03T00:01:00Z")
        head = ledger.store.head()

        with ledger.dry_run() as trial:
            moved = trial.charges.advance("acme").moved
            names = [event.body.NAME for event in trial.events]

        assert [state.status.value for state in moved] == ["final"]
        assert "credit_pool.credit_collected.v1" in names
        assert "charge.finalized.v1" in names
        assert ledger.store.head() == head
        assert ledger.charges.get(charge.id).status.value == "active"


def test_a_dry_run_folds_every_unit_of_a_command(store_url: str) -> None:
    """A creation is two units; the second sees what the first would have written (decision 9)."""
    with opened(store_url, now="2026-01-15T00:00:00Z") as ledger:
        with_customer(ledger)
        with ledger.dry_run() as trial:
            assert january_charge(trial).status.value == "active"
        assert ledger.charges.list("acme") == []


def test_what_a_dry_run_says_is_what_the_command_then_does(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        ledger.credits.grant("acme", "5")
        january_charge(ledger)
        used(ledger, "8", "2026-01-15T00:00:00Z")
        at(ledger, "2026-02-03T00:01:00Z")
        with ledger.dry_run() as trial:
            trial.charges.advance("acme")
            said = [(event.body.NAME, getattr(event.body, "requested", None)) for event in trial.events]
        before = ledger.store.head()

        ledger.charges.advance("acme")

        from ledger.store import mapper

        done = [mapper.decode(row.name, row.data).body for row in ledger.store.read_log(before, 100)]
        assert [(body.NAME, getattr(body, "requested", None)) for body in done] == said
        assert ("credit_pool.credit_collected.v1", Decimal(8)) in said
