"""Time that was billed twice under `replace`, where an invoice cannot be corrected (lifecycles §22 row 22)."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from aggregates.policies import CreditNotes, Policies, ShrinkOverIssued
from ledger.facade import Ledger
from ledger.prices import unit
from tests.application.scenes import at, january_charge, opened, used, with_customer


def cut_after_it_was_billed(ledger: Ledger) -> None:
    """31 units of January on an issued invoice, then the charge is cut to its first ten days, with 10 units in them."""
    with_customer(ledger)
    ledger.customers.change_profile("acme", collection_interval="P2D", auto_approve=True)
    charge = january_charge(ledger, price=unit("1"), settlement_mode="credit_then_invoice")
    used(ledger, "10", "2026-01-05T00:00:00Z")
    used(ledger, "21", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-01T00:00:00Z")
    ledger.worker.run_once()
    at(ledger, "2026-02-03T00:01:00Z")
    ledger.worker.run_once()
    ledger.charges.shrink(charge.id, service_period_to="2026-01-11T00:00:00Z")
    ledger.worker.run_once()
    at(ledger, "2026-02-06T00:01:00Z")
    ledger.worker.run_once()


def policies(shrink: ShrinkOverIssued, notes: CreditNotes) -> Policies:
    return msgspec.structs.replace(Policies.standard(), shrink_over_issued=shrink, credit_notes=notes)


def test_what_was_billed_twice_is_listed_with_both_invoices(store_url: str) -> None:
    with opened(store_url, policies=policies(ShrinkOverIssued.REPLACE, CreditNotes.OFF)) as ledger:
        cut_after_it_was_billed(ledger)

        [overlap] = ledger.views.overlaps("acme")

        assert overlap.period.from_.isoformat() == "2026-01-01T00:00:00+00:00"
        assert overlap.period.to.isoformat() == "2026-01-11T00:00:00+00:00"
        assert (overlap.amount, overlap.amount_again) == (Decimal(31), Decimal(10))
        first, again = ledger.invoices.list("acme")
        assert (overlap.invoice, overlap.invoice_again) == (first.id, again.id)
        assert ledger.doctor.examine().overlaps == (overlap,)
        assert ledger.doctor.examine().healthy
        assert ledger.views.overlaps("nobody") == ()


def test_the_totals_of_a_charge_leave_out_the_run_that_counts_no_more(store_url: str) -> None:
    with opened(store_url, policies=policies(ShrinkOverIssued.REPLACE, CreditNotes.OFF)) as ledger:
        cut_after_it_was_billed(ledger)

        [charge] = ledger.views.charges("acme").items
        assert charge.totals.amount == 10
        [invalid] = [run for run in ledger.views.prior_runs("acme").items if run.invalidated_at is not None]
        assert invalid.totals.amount == 31
        assert ledger.audit.verify().findings == ()


@pytest.mark.parametrize(
    ("shrink", "notes"),
    [(ShrinkOverIssued.HOLD, CreditNotes.OFF), (ShrinkOverIssued.REPLACE, CreditNotes.ON)],
    ids=["held", "credited"],
)
def test_nothing_is_billed_twice_where_it_is_held_or_credited(shrink: ShrinkOverIssued, notes: CreditNotes) -> None:
    with opened("memory:", policies=policies(shrink, notes)) as ledger:
        cut_after_it_was_billed(ledger)

        assert ledger.views.overlaps() == ()
