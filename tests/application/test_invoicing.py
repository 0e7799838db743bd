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
from ledger.prices import graduated, unit

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


def cut_to_ten_days(ledger: Ledger, charge: Charge) -> None:
    ledger.charges.shrink(
        charge.id, service_period_to="2026-01-11T00:00:00Z", full_service_period_to="2026-02-01T00:00:00Z"
    )


def balances(ledger: Ledger, *accounts: str) -> dict[str, Decimal]:
    """What those accounts come to, of all there is."""
    found = dict.fromkeys(accounts, Decimal(0))
    for posting in ledger.views.entries("acme", limit=1000).items:
        if posting.account in found:
            found[posting.account] += posting.amount
    return found


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


def test_a_fee_cut_after_it_was_paid_is_credited_by_the_difference_and_the_next_invoice_is_lower(
    ledger: Ledger, clock: SettableClock
) -> None:
    """100 in advance, paid, cut to 10 of 31 days (32.26): credit note 67.74, unapplied credit 67.74 (decision 23)."""
    charged = fee(ledger, "100")
    clock.set("2026-01-01T00:00:00Z")
    ledger.worker.run_once()
    [first] = ledger.invoices.list("acme")
    ledger.invoices.record_payment(first.id, "paid")

    cut_to_ten_days(ledger, charged)

    [first] = ledger.invoices.list("acme")
    assert [note.total for note in first.credit_notes] == [Decimal("67.74")]
    assert (first.status, first.unapplied) == (InvoiceStatus.PAID, Decimal("67.74"))
    after = ledger.charges.get(charged.id)
    assert (after.status, len(after.live_runs)) == (Status.FINAL, 1)

    ledger.charges.create_flat_fee(
        "acme",
        amount="100",
        settlement_mode=BY_INVOICE,
        period_from="2026-02-01T00:00:00Z",
        period_to="2026-03-01T00:00:00Z",
    )
    clock.set("2026-02-01T00:00:00Z")
    ledger.worker.run_once()

    first, second = ledger.invoices.list("acme")
    assert (second.totals.total, second.paid, second.open) == (Decimal(100), Decimal("67.74"), Decimal("32.26"))
    assert first.unapplied == 0
    ledger.invoices.record_payment(second.id, "paid")
    assert balances(ledger, "customer_receivable", "wash") == {
        "customer_receivable": Decimal(0),
        "wash": Decimal("-132.26"),
    }


def test_a_fee_that_is_cut_gives_its_credit_back_before_its_invoice(ledger: Ledger, clock: SettableClock) -> None:
    """100, 40 of it from credit, 60 paid; cut to 32.26: the 40 come back, and 27.74 of the 60 are credited."""
    ledger.credits.grant("acme", "40")
    charged = fee(ledger, "100")
    clock.set("2026-01-01T00:00:00Z")
    ledger.worker.run_once()
    [invoice] = ledger.invoices.list("acme")
    ledger.invoices.record_payment(invoice.id, "paid")

    cut_to_ten_days(ledger, charged)

    [invoice] = ledger.invoices.list("acme")
    assert (invoice.credited, invoice.unapplied) == (Decimal("27.74"), Decimal("27.74"))
    assert ledger.views.balance("acme", "USD").settled == 40


def test_a_fee_that_is_cut_before_it_is_paid_leaves_less_to_pay(ledger: Ledger, clock: SettableClock) -> None:
    """100 issued, cut to 32.26: 32.26 are open, and what is paid then settles the charge."""
    charged = fee(ledger, "100")
    clock.set("2026-01-01T00:00:00Z")
    ledger.worker.run_once()

    cut_to_ten_days(ledger, charged)

    [invoice] = ledger.invoices.list("acme")
    assert (invoice.open, invoice.unapplied) == (Decimal("32.26"), Decimal(0))
    assert ledger.charges.get(charged.id).status is Status.AWAITING_PAYMENT_SETTLEMENT
    ledger.invoices.record_payment(invoice.id, "paid")
    assert ledger.charges.get(charged.id).status is Status.FINAL


def test_a_fee_that_is_cut_twice_and_extended_again_is_billed_once(ledger: Ledger, clock: SettableClock) -> None:
    """31, cut to 20 and to 10 days: notes of 11 and 10. Extended to all of January: 10 are credited, 31 billed anew."""
    charged = fee(ledger)
    clock.set("2026-01-01T00:00:00Z")
    ledger.worker.run_once()
    [first] = ledger.invoices.list("acme")
    ledger.invoices.record_payment(first.id, "paid")
    for end in ("2026-01-21T00:00:00Z", "2026-01-11T00:00:00Z"):
        ledger.charges.shrink(charged.id, service_period_to=end, full_service_period_to="2026-02-01T00:00:00Z")
    ledger.charges.extend(
        charged.id, service_period_to="2026-02-01T00:00:00Z", full_service_period_to="2026-02-01T00:00:00Z"
    )
    ledger.worker.run_once()

    first, second = ledger.invoices.list("acme")
    assert [note.total for note in first.credit_notes] == [11, 10, 10]
    assert (second.totals.total, second.status) == (Decimal(31), InvoiceStatus.PAID)
    assert balances(ledger, "customer_receivable", "wash") == {"customer_receivable": Decimal(0), "wash": Decimal(-31)}


def test_a_fee_cut_to_nothing_is_credited_whole(ledger: Ledger, clock: SettableClock) -> None:
    charged = fee(ledger)
    clock.set("2026-01-01T00:00:00Z")
    ledger.worker.run_once()

    ledger.charges.set_override(charged.id, amount="0")

    [invoice] = ledger.invoices.list("acme")
    assert (invoice.status, invoice.credited) == (InvoiceStatus.VOIDED, Decimal(31))
    after = ledger.charges.get(charged.id)
    assert (after.status, after.live_runs) == (Status.FINAL, ())


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


def test_a_partial_invoice_that_is_written_off_leaves_the_rest_to_be_billed_and_settled(
    ledger: Ledger, clock: SettableClock
) -> None:
    """Up to 10 units at 1, to 20 at 0.5: 15 units are 12.50, written off; 5 more are 2.50, and paid (decision 22)."""
    ledger.customers.change_profile("acme", collection_interval="P0D", progressive_billing=True)
    charge = ledger.charges.create_usage(
        "acme",
        feature="calls",
        price=graduated(("10", "1"), ("20", "0.5"), (None, "0.25")),
        settlement_mode=BY_INVOICE,
        **JANUARY,
    )
    use(ledger, 15, "2026-01-10T00:00:00Z")
    clock.set("2026-01-16T00:00:00Z")
    ledger.worker.run_once()
    [partial] = ledger.invoices.invoice_pending_lines("acme")
    clock.set("2026-01-16T00:02:00Z")
    ledger.worker.run_once()
    assert ledger.invoices.write_off(partial.id, reason="insolvent").written_off == Decimal("12.50")

    use(ledger, 5, "2026-01-20T00:00:00Z")
    clock.set("2026-02-01T00:02:00Z")
    ledger.worker.run_once()
    final = ledger.invoices.list("acme")[-1]
    assert final.totals.total == Decimal("2.50")
    assert ledger.charges.get(charge.id).status is Status.AWAITING_PAYMENT_SETTLEMENT
    ledger.invoices.record_payment(final.id, "paid")

    assert ledger.charges.get(charge.id).status is Status.FINAL
    assert balances(ledger, "customer_receivable", "bad_debt", "wash") == {
        "customer_receivable": Decimal(0),
        "bad_debt": Decimal("-12.50"),
        "wash": Decimal("-2.50"),
    }
