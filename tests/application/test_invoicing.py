"""Invoices through the facade, under the standard policies: fees, usage, credit notes, what is left over, worker."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from aggregates.charges.state import Charge
from aggregates.invoices.statuses import InvoiceStatus
from aggregates.lifecycle import Status
from aggregates.values.errors import NoLines
from aggregates.values.period import timestamp
from ledger.facade import Ledger
from ledger.metering.usage import UsageEvent
from ledger.ports import SettableClock
from ledger.prices import unit

JANUARY = {"period_from": "2026-01-01T00:00:00Z", "period_to": "2026-02-01T00:00:00Z"}
BY_INVOICE = "credit_then_invoice"


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock("2025-12-01T00:00:00Z")


@pytest.fixture
def ledger(clock: SettableClock) -> Iterator[Ledger]:
    with Ledger.open("memory:", clock=clock) as opened:
        opened.customers.create("acme")
        opened.catalogue.define_meter("calls")
        opened.catalogue.define_feature("calls", meter="calls")
        yield opened
        assert opened.audit.verify().findings == ()


def use(ledger: Ledger, units: int, at: str) -> None:
    event = UsageEvent(source="test", id=at, customer="acme", meter="calls", time=timestamp(at), value=Decimal(units))
    ledger.usage.record([event], stored_at=timestamp(at))


def fee(ledger: Ledger, amount: str = "31") -> Charge:
    return ledger.charges.create_flat_fee("acme", amount=amount, settlement_mode=BY_INVOICE, pro_rating=True, **JANUARY)


def test_the_worker_invoices_what_is_due_and_issues_it_when_it_is_collected(
    ledger: Ledger, clock: SettableClock
) -> None:
    """20 of credit, a fee of 31 and 7 units: INV-000001 asks for 11, INV-000002 for 7."""
    ledger.credits.grant("acme", "20")
    charged = fee(ledger)
    used = ledger.charges.create_usage("acme", feature="calls", price=unit("1"), settlement_mode=BY_INVOICE, **JANUARY)
    use(ledger, 7, "2026-01-20T00:00:00Z")

    clock.set("2026-01-01T00:00:00Z")
    ledger.worker.run_once()
    [first] = ledger.invoices.list("acme")
    assert first.issued is not None
    assert first.issued.number.text == "INV-000001"
    assert first.totals.total == 11
    clock.set("2026-02-01T00:00:00Z")
    ledger.worker.run_once()
    assert ledger.invoices.list("acme")[-1].status is InvoiceStatus.DRAFT_WAITING_FOR_COLLECTION
    clock.set("2026-02-03T00:01:00Z")
    ledger.worker.run_once()

    second = ledger.invoices.list("acme")[-1]
    assert (second.status, second.totals.total) == (InvoiceStatus.PAYMENT_PENDING, Decimal(7))
    ledger.invoices.record_payment(first.id, "paid")
    ledger.invoices.record_payment(second.id, "paid")
    assert {ledger.charges.get(each.id).status for each in (charged, used)} == {Status.FINAL}
    before = ledger.store.head()
    ledger.worker.run_once()
    assert ledger.store.head() == before


def test_a_fee_cut_after_it_was_paid_is_credited_and_pays_for_the_next_invoice(
    ledger: Ledger, clock: SettableClock
) -> None:
    """31 paid, half of January is 15: a credit note of 31, 15 of it pay the new invoice, 16 are left (decision 23)."""
    charged = fee(ledger)
    clock.set("2026-01-01T00:00:00Z")
    ledger.worker.run_once()
    [first] = ledger.invoices.list("acme")
    ledger.invoices.record_payment(first.id, "paid")

    ledger.charges.shrink(
        charged.id, service_period_to="2026-01-16T00:00:00Z", full_service_period_to="2026-02-01T00:00:00Z"
    )
    ledger.worker.run_once()

    first, second = ledger.invoices.list("acme")
    assert [note.total for note in first.credit_notes] == [31]
    assert first.unapplied == 16
    assert (second.status, second.totals.total) == (InvoiceStatus.PAID, Decimal(15))
    assert ledger.charges.get(charged.id).status is Status.FINAL


def test_an_invoice_that_was_a_mistake_is_voided_and_billed_again(ledger: Ledger, clock: SettableClock) -> None:
    charged = fee(ledger)
    clock.set("2026-01-01T00:00:00Z")
    ledger.worker.run_once()
    [first] = ledger.invoices.list("acme")

    ledger.invoices.void(first.id, reason="wrong address")
    ledger.worker.run_once()

    first, second = ledger.invoices.list("acme")
    assert (first.status, second.totals.total) == (InvoiceStatus.VOIDED, Decimal(31))
    assert len(ledger.charges.get(charged.id).live_runs) == 1


def test_a_payment_that_fails_is_open_again_and_what_is_never_paid_is_written_off(
    ledger: Ledger, clock: SettableClock
) -> None:
    """Decision 22; a late receipt takes the write-off back."""
    charged = fee(ledger)
    clock.set("2026-01-01T00:00:00Z")
    ledger.worker.run_once()
    [invoice] = ledger.invoices.list("acme")
    ledger.invoices.record_payment(invoice.id, "authorized")

    assert ledger.invoices.record_payment(invoice.id, "failed").open == 31
    ledger.invoices.record_payment(invoice.id, "authorized")
    ledger.invoices.record_payment(invoice.id, "failed")
    assert ledger.invoices.write_off(invoice.id).status is InvoiceStatus.WRITTEN_OFF
    assert ledger.charges.get(charged.id).status is Status.FINAL
    assert ledger.invoices.record_payment(invoice.id, "paid").status is InvoiceStatus.PAID
    [run] = ledger.charges.runs(charged.id)
    assert run.payment is not None
    assert (run.payment.status, run.payment.written_off) == ("settled", Decimal(0))


def test_money_that_was_not_asked_for_is_kept_for_the_customer(ledger: Ledger, clock: SettableClock) -> None:
    """31 due, 40 arrive: 9 are unapplied credit (decision 27)."""
    fee(ledger)
    clock.set("2026-01-01T00:00:00Z")
    ledger.worker.run_once()
    [invoice] = ledger.invoices.list("acme")

    paid = ledger.invoices.record_payment(invoice.id, "paid", amount="40", reference="wire-1")
    again = ledger.invoices.record_payment(invoice.id, "paid", amount="40", reference="wire-1")

    assert (paid.status, paid.unapplied) == (InvoiceStatus.PAID, Decimal(9))
    assert again == paid


def test_nothing_due_is_said_so_and_writes_nothing(ledger: Ledger) -> None:
    fee(ledger)
    before = ledger.store.head()

    with pytest.raises(NoLines):
        ledger.invoices.invoice_pending_lines("acme")

    assert ledger.store.head() == before


def test_credit_can_be_bought_by_invoice_and_is_there_at_once(ledger: Ledger) -> None:
    """100 at 0.5: granted with the line, 50 to be paid (lifecycles §11.3)."""
    bought = ledger.credits.sell("acme", "100", cost_basis="0.5", settlement="invoice")

    [invoice] = ledger.invoices.list("acme")
    assert bought.grant is not None
    assert invoice.totals.total == 50
    ledger.invoices.record_payment(invoice.id, "paid")
    assert ledger.charges.get(bought.id).status is Status.FINAL
