"""A step of an invoice that failed is repeated by the worker until the reason is gone (ARCHITECTURE §13)."""

from __future__ import annotations

import pytest

from aggregates.invoices.statuses import InvoiceStatus
from aggregates.values.errors import PreconditionFailed, Unavailable
from ledger.facade import Ledger
from tests.application.test_taxes import NineteenPerCent, billed, opened

DOWN = 1_000


def test_an_invoice_moves_by_itself_when_the_tax_office_answers_again(store_url: str) -> None:
    """100 and 19 % of tax: asked for by the third pass."""
    office = NineteenPerCent()
    office.failing = DOWN
    with opened(store_url, office) as ledger:
        invoice = billed(ledger)
        reports = [ledger.worker.run_once() for _ in range(2)]
        office.failing = 0
        reports += [ledger.worker.run_once() for _ in range(2)]

        assert [(report.repeated, report.failing) for report in reports] == [(0, 1), (0, 1), (1, 0), (0, 0)]
        assert ledger.invoices.get(invoice).payable == 119
        assert ledger.invoices.get(invoice).status is InvoiceStatus.PAYMENT_PENDING
        assert ledger.doctor.examine().failing == ()


def test_the_log_does_not_grow_while_it_fails_in_the_same_way(store_url: str) -> None:
    office = NineteenPerCent()
    office.failing = DOWN
    with opened(store_url, office) as ledger:
        billed(ledger)
        head, left = ledger.store.head(), office.failing

        for _ in range(5):
            ledger.worker.run_once()

        assert ledger.store.head() == head
        assert office.failing <= left - 5, "each pass asks again"
        assert ledger.worker.run_once().is_idle


def test_a_failure_for_another_reason_is_recorded(store_url: str) -> None:
    office = NineteenPerCent()
    office.failing = DOWN
    with opened(store_url, office) as ledger:
        invoice = billed(ledger)
        office.failing, office.refusal = DOWN, PreconditionFailed("this seller is registered nowhere", None)

        report = ledger.worker.run_once()

        assert (report.repeated, report.failing) == (1, 0)
        [issue] = ledger.invoices.get(invoice).issues
        assert issue.code == PreconditionFailed.code


def test_the_doctor_lists_it_with_the_reason_and_what_frees_it(store_url: str) -> None:
    office = NineteenPerCent()
    office.failing = DOWN
    with opened(store_url, office) as ledger:
        invoice = billed(ledger)

        found = ledger.doctor.examine()

        [failing] = found.failing
        assert (failing.invoice, failing.customer, failing.status) == (invoice, "acme", "issuing.sync_failed")
        assert [(issue.code, issue.line) for issue in failing.issues] == [(Unavailable.code, None)]
        assert "no route to the tax office" in failing.issues[0].message
        assert failing.issues[0].remedy == "nothing to do but wait for it to answer: it is asked again with every pass"
        assert (found.found, found.healthy) == (1, False)


def test_repeating_an_invoice_that_does_not_fail_does_nothing(store_url: str) -> None:
    with opened(store_url, NineteenPerCent()) as ledger:
        invoice = billed(ledger)
        head = ledger.store.head()

        assert not ledger.invoices.repeat(invoice)
        assert ledger.store.head() == head


@pytest.mark.parametrize("customers", [3])
def test_one_invoice_that_fails_holds_up_no_other_customer(store_url: str, customers: int) -> None:
    office = NineteenPerCent()
    office.failing = 1
    with opened(store_url, office) as ledger:
        billed(ledger)
        for number in range(customers):
            another(ledger, f"customer {number}")

        report = ledger.worker.run_once()

        assert (report.repeated, report.failing, report.failed) == (1, 0, ())
        assert {invoice.status for invoice in ledger.views.invoices().items} == {"payment_processing.pending"}


def another(ledger: Ledger, customer: str) -> None:
    ledger.customers.create(customer)
    ledger.charges.create_flat_fee(
        customer,
        amount="10",
        settlement_mode="credit_then_invoice",
        period_from="2026-01-01T00:00:00Z",
        period_to="2026-02-01T00:00:00Z",
    )
    ledger.invoices.invoice_pending_lines(customer)
