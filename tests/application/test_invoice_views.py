"""`ledger.views.invoices`: what it shows is what the invoices are, over each kind of store; filters and pages."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aggregates.invoices.refusals import InvoiceNotFound
from aggregates.policies import Policies
from ledger.facade import Ledger
from ledger.invoice_answers import InvoiceView, invoice_answer
from ledger.prices import unit
from tests.application.scenes import JANUARY, at, january_charge, opened, used, with_customer

BY_INVOICE = "credit_then_invoice"


def billed(ledger: Ledger) -> None:
    """A winter of invoices: paid too much, promised and failed, written off and paid late, cut, voided, a draft."""
    with_customer(ledger)
    ledger.credits.grant("acme", "20")
    ledger.customers.change_profile("acme", collection_interval="P2D", auto_approve=True)
    fees = [
        ledger.charges.create_flat_fee(
            "acme",
            amount=amount,
            period_from=JANUARY[0],
            period_to=JANUARY[1],
            settlement_mode=BY_INVOICE,
            pro_rating=True,
            name=f"Fee of {amount}",
        )
        for amount in ("31", "100")
    ]
    at(ledger, "2026-01-02T00:00:00Z")
    ledger.worker.run_once()
    [first] = ledger.invoices.list("acme")
    ledger.invoices.record_payment(first.id, "authorized", amount="40")
    ledger.invoices.record_payment(first.id, "failed")
    ledger.invoices.write_off(first.id)
    ledger.invoices.record_payment(first.id, "paid", amount="150", reference="wire-1")
    ledger.charges.shrink(
        fees[0].id, service_period_to="2026-01-16T00:00:00Z", full_service_period_to="2026-02-01T00:00:00Z"
    )
    ledger.worker.run_once()
    ledger.invoices.void(ledger.invoices.list("acme")[-1].id, reason="wrong address")
    ledger.worker.run_once()
    january_charge(ledger, settlement_mode=BY_INVOICE, price=unit("1"))
    used(ledger, "700", "2026-01-20T00:00:00Z")
    at(ledger, "2026-02-01T00:00:00Z")
    ledger.worker.run_once()


def test_an_invoice_in_its_view_is_the_invoice_of_its_events(store_url: str) -> None:
    with opened(store_url, policies=Policies.standard()) as ledger:
        billed(ledger)

        states = ledger.invoices.list("acme")
        views = ledger.views.invoices("acme").items

        assert len(views) == len(states) == 3
        assert {view.status for view in views} >= {"paid", "voided", "draft.waiting_for_collection"}
        for view, state in zip(views, states, strict=True):
            assert view == invoice_answer(state)
            assert view.payable == view.paid + view.credited + view.written_off + view.open
            assert ledger.views.invoice(state.id) == view
        assert ledger.projections.verify("invoices").differences == ()


def test_a_deleted_draft_comes_to_nothing_and_is_shown(store_url: str) -> None:
    with opened(store_url) as ledger:
        with_customer(ledger)
        january_charge(ledger, settlement_mode=BY_INVOICE)
        used(ledger, "7", "2026-01-20T00:00:00Z")
        at(ledger, "2026-02-01T00:00:00Z")
        [draft] = ledger.invoices.invoice_pending_lines("acme")
        assert [view.totals.total for view in ledger.views.invoices().items] == [7]

        ledger.invoices.delete(draft.id)

        [view] = ledger.views.invoices(status="deleted").items
        assert (view.totals.total, view.live_lines, len(view.lines)) == (Decimal(0), (), 1)
        assert view.deleted_at is not None


def test_invoices_are_found_by_customer_status_number_and_due_date(store_url: str) -> None:
    with opened(store_url, policies=Policies.standard()) as ledger:
        billed(ledger)
        ledger.customers.create("other")

        def numbers(**asked: Any) -> list[str | None]:
            return [view.number for view in ledger.views.invoices(**asked).items]

        assert numbers(customer="other") == []
        assert numbers(status="draft") == [None]
        assert numbers(number="INV-000001") == ["INV-000001"]
        at(ledger, "2026-02-03T00:01:00Z")
        ledger.worker.run_once()
        assert numbers(status="draft") == []
        [pending] = numbers(status="payment_processing")
        assert numbers(overdue_on="2026-03-05") == []
        assert numbers(overdue_on="2026-03-06") == [pending]


def test_pages_of_invoices_go_on_where_the_one_before_ended(store_url: str) -> None:
    with opened(store_url, policies=Policies.standard()) as ledger:
        billed(ledger)
        everything = [view.invoice for view in ledger.views.invoices(newest_first=True).items]
        shown: list[InvoiceView] = []
        after = None
        while True:
            page = ledger.views.invoices(newest_first=True, limit=1, after=after)
            shown += page.items
            after = page.next
            if after is None:
                break

        assert [view.invoice for view in shown] == everything


def test_an_invoice_that_is_not_there_is_not_found() -> None:
    with opened("memory:") as ledger, pytest.raises(InvoiceNotFound):
        ledger.views.invoice("no id")
