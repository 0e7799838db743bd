"""Taxes as a port: asked for the final lines of an invoice, recorded as answered, and never in the ledger's amounts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

import pytest

from aggregates.invoices.lines import LineTax
from aggregates.invoices.statuses import InvoiceStatus
from aggregates.values.money import FIAT, Currency
from ledger.facade import Ledger
from ledger.ports import SettableClock, Taxes, TaxQuery

JANUARY = {"period_from": "2026-01-01T00:00:00Z", "period_to": "2026-02-01T00:00:00Z"}


class NineteenPerCent:
    """Answers 19 % of every line, rounded to the currency; fails as often as it is told to."""

    def __init__(self) -> None:
        self.asked: list[TaxQuery] = []
        self.failing = 0
        self.refusal: Exception = ConnectionError("no route to the tax office")

    def taxes(self, query: TaxQuery) -> Mapping[UUID, LineTax]:
        if self.failing:
            self.failing -= 1
            raise self.refusal
        self.asked.append(query)
        return {line.line_id: self.tax_of(line.totals.total, query.currency) for line in query.lines}

    def tax_of(self, net: Decimal, currency: Currency) -> LineTax:
        return LineTax(amount=currency.rounded(net * 19 / 100), rate=Decimal(19), code="DE-19")


def opened(url: str, taxes: Taxes | None) -> Ledger:
    return Ledger.open(url, clock=SettableClock("2026-01-01T00:00:00Z"), taxes=taxes)


def billed(ledger: Ledger, amount: str = "100") -> UUID:
    """A fee of January, in advance and by invoice, on an invoice that went as far as it goes by itself."""
    ledger.customers.create("acme")
    ledger.charges.create_flat_fee("acme", amount=amount, settlement_mode="credit_then_invoice", **JANUARY)
    [invoice] = ledger.invoices.invoice_pending_lines("acme")
    return invoice.id


def test_tax_is_asked_for_once_and_is_on_top_of_what_the_ledger_books(store_url: str) -> None:
    """100.00 and 19 % are 119.00 to pay; receivable and revenue are 100.00."""
    office = NineteenPerCent()
    with opened(store_url, office) as ledger:
        invoice = ledger.invoices.get(billed(ledger))

        assert (invoice.taxed, invoice.tax_total, invoice.payable) == (True, Decimal("19.00"), Decimal("119.00"))
        [query] = office.asked
        assert (query.customer, query.currency, query.zone) == ("acme", FIAT["USD"], "UTC")
        assert [line.totals.total for line in query.lines] == [Decimal(100)]
        ledger.invoices.record_payment(invoice.id, "paid", amount="119.00")
        paid = ledger.invoices.get(invoice.id)
        assert (paid.status, paid.unapplied) == (InvoiceStatus.PAID, Decimal(0))
        wash = [p.amount for p in ledger.views.entries("acme").items if p.account == "wash"]
        assert wash == [Decimal("-100.00")]
        assert ledger.audit.verify().sound


def test_without_anybody_who_calculates_tax_the_invoice_says_that_there_is_none() -> None:
    with opened("memory:", None) as ledger:
        invoice = ledger.invoices.get(billed(ledger))

        assert (invoice.taxed, invoice.payable) == (False, Decimal(100))


def test_a_tax_office_that_does_not_answer_leaves_nothing_booked_and_is_asked_again() -> None:
    office = NineteenPerCent()
    office.failing = 1
    with opened("memory:", office) as ledger:
        invoice = ledger.invoices.get(billed(ledger))
        assert invoice.status is InvoiceStatus.ISSUING_SYNC_FAILED
        assert "no route to the tax office" in invoice.issues[0].message
        assert ledger.views.entries("acme").items == ()

        again = ledger.invoices.retry(invoice.id)

        assert (again.status, again.payable) == (InvoiceStatus.PAYMENT_PENDING, Decimal("119.00"))


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ({}, "no tax was answered"),
        ({UUID(int=7): LineTax(amount=Decimal(1))}, "carries no tax"),
    ],
)
def test_an_answer_that_does_not_fit_the_question_is_an_issue_of_the_invoice(
    answer: dict[UUID, LineTax], wrong: str
) -> None:
    class Wrong:
        def taxes(self, query: TaxQuery) -> Mapping[UUID, LineTax]:
            return answer

    with opened("memory:", Wrong()) as ledger:
        invoice = ledger.invoices.get(billed(ledger))

        assert invoice.status is InvoiceStatus.ISSUING_SYNC_FAILED
        assert wrong in invoice.issues[0].message


def test_a_credit_note_takes_the_tax_back() -> None:
    """A fee of 100.00 and 19.00 of tax, voided: both are credited, and what was paid is the customer's again."""
    with opened("memory:", NineteenPerCent()) as ledger:
        invoice = billed(ledger)
        ledger.invoices.record_payment(invoice, "paid")

        voided = ledger.invoices.void(invoice, reason="wrong customer")

        assert (voided.credited, voided.unapplied) == (Decimal("119.00"), Decimal("119.00"))
        assert ledger.audit.verify().sound
