"""Payments of an issued invoice: promised, arrived, too little, too much, failed, given up (decisions 22, 27)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import pytest

from aggregates.invoices import payments
from aggregates.invoices.effects import (
    ExcessReceived,
    LinePaymentAuthorized,
    LinePaymentFailed,
    LinePaymentSettled,
    LineReinstated,
    LineWrittenOff,
    PaymentSource,
    UnappliedCreditRefunded,
)
from aggregates.invoices.lines import LineTax
from aggregates.invoices.refusals import (
    AuthorizationExceedsInvoice,
    InvoiceAlreadyAuthorized,
    InvoiceAlreadySettled,
    InvoiceNotFound,
    InvoiceOperationRefused,
    NothingOpen,
    PaymentReferenceInUse,
    PromisedPaymentStands,
    UnappliedCreditExceeded,
)
from aggregates.invoices.statuses import NothingDue
from aggregates.values.decimals import shortest
from aggregates.values.errors import CurrencyMismatch, LedgerError, ValidationFailed
from aggregates.values.money import fiat
from tests.support.invoicing import FEE, USAGE, Desk, fee, usage

NOBODY = uuid5(FEE, "nobody")


def money(desk: Desk, invoice: UUID) -> dict[str, str]:
    """The figures of an invoice that are not zero."""
    state = desk.invoice(invoice)
    names = ("authorized", "paid", "credited", "written_off", "open", "unapplied")
    return {name: shortest(getattr(state, name)) for name in names if getattr(state, name)}


# ── promised and arrived ─────────────────────────────────────────────────────────────────────────────────────


def test_authorised_then_paid() -> None:
    desk = Desk()
    invoice = desk.issued(fee("3", credits_total="2"))

    desk.authorize(invoice)
    assert desk.status(invoice) == "payment_processing.authorized"
    assert desk.told_with(LinePaymentAuthorized, "amount", "net", "in_full") == [(Decimal(3), Decimal(3), True)]

    desk.settle(invoice)
    assert desk.status(invoice) == "paid"
    assert desk.told() == ["LinePaymentSettled"], "what was authorised before is not authorised again"
    assert money(desk, invoice) == {"paid": "3"}


def test_paid_from_pending_tells_authorised_then_settled() -> None:
    """Lifecycles §17.3."""
    desk = Desk()
    invoice = desk.issued(fee("70"))

    desk.settle(invoice)

    assert desk.told() == ["LinePaymentAuthorized", "LinePaymentSettled"]
    assert desk.status(invoice) == "paid"


def test_a_line_that_credit_covers_has_nothing_to_be_told_of_money() -> None:
    desk = Desk()
    invoice = desk.issued(fee("0", credits_total="5"), usage("10"))

    desk.settle(invoice)

    assert desk.told_with(LinePaymentSettled, "charge_id", "amount") == [(USAGE, Decimal(10))]


def test_money_fills_line_by_line() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"), usage("70"))

    desk.settle(invoice, "50")

    assert desk.status(invoice) == "payment_processing.partially_paid"
    assert desk.told_with(LinePaymentSettled, "charge_id", "amount", "in_full") == [
        (FEE, Decimal(30), True),
        (USAGE, Decimal(20), False),
    ]
    desk.settle(invoice)
    assert desk.told_with(LinePaymentSettled, "charge_id", "amount", "in_full") == [(USAGE, Decimal(50), True)]
    assert desk.status(invoice) == "paid"


def test_several_receipts_settle_one_invoice() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"))

    for amount in ("10", "10", "5"):
        desk.settle(invoice, amount)
        assert desk.status(invoice) == "payment_processing.partially_paid"
    desk.settle(invoice, "5")

    assert desk.status(invoice) == "paid"
    assert desk.visited(invoice).count("payment_processing.partially_paid") == 1


def test_an_authorisation_above_what_is_open_is_refused() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"))

    with pytest.raises(AuthorizationExceedsInvoice) as refused:
        desk.authorize(invoice, "30.01")
    assert (refused.value.code, refused.value.open) == ("authorization_exceeds_accrued", Decimal(30))
    desk.authorize(invoice, "30.00")

    assert money(desk, invoice) == {"authorized": "30", "open": "30"}


def test_tax_may_be_authorised_with_the_rest() -> None:
    """Decision 27: above accrued + tax is too much."""
    desk = Desk()
    invoice = desk.create(fee("100"))
    taxes = {desk.line(invoice).line_id: LineTax(amount=Decimal(19))}
    desk.advance(invoice, auto_approve=True, taxes=taxes)

    with pytest.raises(AuthorizationExceedsInvoice):
        desk.authorize(invoice, "119.01")
    desk.authorize(invoice, "119")

    assert desk.told_with(LinePaymentAuthorized, "amount", "net") == [(Decimal(119), Decimal(100))]


def test_authorisations_add_up_to_what_is_open() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"), usage("70"))
    desk.authorize(invoice, "40")

    with pytest.raises(AuthorizationExceedsInvoice):
        desk.authorize(invoice, "60.01")
    desk.authorize(invoice)

    assert desk.told_with(LinePaymentAuthorized, "charge_id", "amount", "in_full") == [(USAGE, Decimal(60), True)]
    with pytest.raises(InvoiceAlreadyAuthorized) as refused:
        desk.authorize(invoice)
    assert refused.value.code == "payment_already_authorized"


def test_too_much_is_unapplied_credit() -> None:
    """Decision 27: 30.00 due, 75.00 arrive."""
    desk = Desk()
    invoice = desk.issued(fee("30"))

    desk.settle(invoice, "75")

    assert desk.status(invoice) == "paid"
    assert money(desk, invoice) == {"paid": "30", "unapplied": "45"}
    assert desk.notices[-1] == ExcessReceived(
        customer="acme",
        invoice_id=invoice,
        charge_id=FEE,
        line_id=desk.line(invoice).line_id,
        amount=Decimal(45),
        currency=desk.invoice(invoice).currency,
    )


def test_money_that_comes_twice_is_recorded_twice() -> None:
    """Without a reference nobody can tell a repeat from a second payment; the figure stays with the customer."""
    desk = Desk()
    invoice = desk.issued(fee("30"))
    desk.settle(invoice, "30")

    desk.settle(invoice, "30")

    assert desk.status(invoice) == "paid"
    assert money(desk, invoice) == {"paid": "30", "unapplied": "30"}
    assert desk.told() == ["ExcessReceived"]


def test_paid_again_without_an_amount_is_refused() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"))
    desk.settle(invoice)

    with pytest.raises(InvoiceAlreadySettled) as refused:
        desk.settle(invoice)
    assert refused.value.code == "payment_already_settled"


def test_a_report_with_a_reference_counts_once() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"))
    desk.authorize(invoice, "30", reference="pi_1")
    desk.settle(invoice, "30", reference="pi_1")
    before = len(desk.records)

    desk.authorize(invoice, "30", reference="pi_1")
    desk.settle(invoice, "30", reference="pi_1")
    desk.settle(invoice, reference="pi_1")

    assert len(desk.records) == before
    assert desk.notices == []
    with pytest.raises(PaymentReferenceInUse) as refused:
        desk.settle(invoice, "31", reference="pi_1")
    assert refused.value.code == "reference_in_use"


def test_reports_are_refused_in_order() -> None:
    desk = Desk()
    draft = desk.create(fee())
    wrong: dict[str, Any] = {"amount": "-0.001", "currency": "EUR"}

    for report in (desk.authorize, desk.settle):
        with pytest.raises(InvoiceNotFound):
            report(NOBODY, **wrong)
        with pytest.raises(ValidationFailed) as findings:
            report(draft, **wrong)
        assert findings.value.codes == ("not_positive", "too_many_decimals")
        with pytest.raises(CurrencyMismatch):
            report(draft, "1", currency="EUR")
        with pytest.raises(InvoiceOperationRefused):
            report(draft, "1", currency="USD")


def test_nothing_due_can_be_reported_as_paid_where_somebody_waits_for_it() -> None:
    desk = Desk(nothing_due=NothingDue.PENDING)
    invoice = desk.issued(usage("0", credits_total="5"))

    desk.authorize(invoice)
    with pytest.raises(InvoiceAlreadyAuthorized):
        desk.authorize(invoice)
    desk.settle(invoice)

    assert desk.status(invoice) == "paid"
    assert desk.notices == []
    with pytest.raises(InvoiceAlreadySettled):
        desk.settle(invoice)


# ── failed ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failed_payment_releases_what_was_promised() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"), usage("70"))
    desk.authorize(invoice, "40")

    desk.money(payments.fail_payment, invoice, reason="card declined")

    assert desk.status(invoice) == "payment_processing.failed"
    assert money(desk, invoice) == {"open": "100"}
    assert desk.told_with(LinePaymentFailed, "charge_id", "released", "reason") == [
        (FEE, Decimal(30), "card declined"),
        (USAGE, Decimal(10), "card declined"),
    ]


def test_a_failure_is_told_only_where_something_is_open() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"), usage("70"))
    desk.settle(invoice, "30")

    desk.money(payments.fail_payment, invoice)

    assert desk.told_with(LinePaymentFailed, "charge_id", "released") == [(USAGE, Decimal(0))]


def test_after_a_failure_the_payment_may_be_tried_again() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"))
    desk.money(payments.fail_payment, invoice)

    desk.authorize(invoice)
    assert desk.status(invoice) == "payment_processing.authorized"
    desk.money(payments.fail_payment, invoice)
    desk.settle(invoice, "10")
    assert desk.status(invoice) == "payment_processing.partially_paid"
    desk.money(payments.fail_payment, invoice)
    desk.settle(invoice)

    assert desk.status(invoice) == "paid"


def test_a_paid_invoice_does_not_fail() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"))
    desk.settle(invoice)

    with pytest.raises(InvoiceOperationRefused):
        desk.money(payments.fail_payment, invoice)


# ── given up ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_partial_invoice_of_12_50_is_written_off() -> None:
    """Decision 22: the run stays billed and counts as settled."""
    desk = Desk()
    invoice = desk.issued(usage("12.50"))

    desk.write_off(invoice, "insolvent")

    assert desk.status(invoice) == "written_off"
    assert money(desk, invoice) == {"written_off": "12.5"}
    assert desk.told_with(LineWrittenOff, "charge_id", "amount", "net") == [(USAGE, Decimal("12.50"), Decimal("12.50"))]


def test_what_arrived_stays_paid_when_the_rest_is_written_off() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"), usage("70"))
    desk.settle(invoice, "50")

    desk.write_off(invoice)

    assert money(desk, invoice) == {"paid": "50", "written_off": "50"}
    assert desk.told_with(LineWrittenOff, "charge_id", "amount") == [(USAGE, Decimal(50))]


def test_a_late_receipt_takes_the_write_off_back() -> None:
    desk = Desk()
    invoice = desk.issued(usage("12.50"))
    desk.write_off(invoice)

    desk.settle(invoice, "2.50")
    assert desk.status(invoice) == "written_off"
    assert money(desk, invoice) == {"paid": "2.5", "written_off": "10"}
    assert desk.told() == ["LineReinstated", "LinePaymentAuthorized", "LinePaymentSettled"]
    assert desk.told_with(LineReinstated, "amount") == [(Decimal("2.50"),)]

    desk.settle(invoice, "11")
    assert desk.status(invoice) == "paid"
    assert money(desk, invoice) == {"paid": "12.5", "unapplied": "1"}
    assert desk.told_with(LinePaymentSettled, "amount", "in_full") == [(Decimal("10.00"), True)]


def test_a_late_receipt_without_an_amount_is_all_that_was_given_up() -> None:
    desk = Desk()
    invoice = desk.issued(usage("12.50"))
    desk.write_off(invoice)

    desk.settle(invoice)

    assert money(desk, invoice) == {"paid": "12.5"}


def test_a_promised_payment_is_not_written_off() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"))
    desk.authorize(invoice, "10")

    with pytest.raises(PromisedPaymentStands) as refused:
        desk.write_off(invoice)
    assert refused.value.code == "precondition_failed"
    desk.money(payments.fail_payment, invoice)
    desk.write_off(invoice)

    assert money(desk, invoice) == {"written_off": "30"}


def test_write_offs_are_refused_where_nothing_is_open() -> None:
    desk = Desk(nothing_due=NothingDue.PENDING)
    paid = desk.issued(fee("30"))
    desk.settle(paid)
    covered = desk.issued(usage("0", credits_total="5"))

    refusals: list[type[LedgerError]] = []
    for invoice in (desk.create(fee()), paid, covered):
        with pytest.raises((InvoiceOperationRefused, NothingOpen)) as refused:
            desk.write_off(invoice)
        refusals.append(type(refused.value))

    assert refusals == [InvoiceOperationRefused, InvoiceOperationRefused, NothingOpen]


# ── unapplied credit ─────────────────────────────────────────────────────────────────────────────────────────


def test_unapplied_credit_pays_the_next_invoice() -> None:
    """Decision 23. No new money arrives, and the charge is told so."""
    desk = Desk()
    source = desk.issued(fee("30"))
    desk.settle(source, "75")

    next_one = desk.issued(fee("100"), unapplied_from=(source,))

    assert desk.status(next_one) == "payment_processing.partially_paid"
    assert money(desk, next_one) == {"paid": "45", "open": "55"}
    assert money(desk, source) == {"paid": "30"}
    assert desk.told_with(LinePaymentSettled, "amount", "source") == [(Decimal(45), PaymentSource.UNAPPLIED_CREDIT)]


def test_unapplied_credit_may_pay_an_invoice_in_full_and_keeps_the_rest() -> None:
    desk = Desk()
    source = desk.issued(fee("30"))
    desk.settle(source, "75")
    other = desk.issued(fee("1"))
    desk.settle(other, "3")

    next_one = desk.issued(fee("46"), unapplied_from=(source, other))

    assert desk.status(next_one) == "paid"
    assert money(desk, source) == {"paid": "30"}
    assert money(desk, other) == {"paid": "1", "unapplied": "1"}


def test_unapplied_credit_is_never_converted() -> None:
    desk = Desk()
    dollars = desk.issued(fee("30"))
    desk.settle(dollars, "75")

    euros = desk.create(fee("10"), currency=fiat("EUR"))
    desk.advance(euros, auto_approve=True, unapplied_from=(dollars,))

    assert money(desk, euros) == {"open": "10"}
    assert money(desk, dollars) == {"paid": "30", "unapplied": "45"}


def test_unapplied_credit_is_refunded_on_request() -> None:
    desk = Desk()
    invoice = desk.issued(fee("30"))
    desk.settle(invoice, "75")

    with pytest.raises(UnappliedCreditExceeded):
        desk.money(payments.refund_unapplied, invoice, amount=Decimal("45.01"))
    desk.money(payments.refund_unapplied, invoice, amount=Decimal(5))
    desk.money(payments.refund_unapplied, invoice)

    assert [notice.amount for notice in desk.notices if isinstance(notice, UnappliedCreditRefunded)] == [40]
    assert money(desk, invoice) == {"paid": "30"}
    with pytest.raises(UnappliedCreditExceeded):
        desk.money(payments.refund_unapplied, invoice)


# ── tax within the lines ─────────────────────────────────────────────────────────────────────────────────────


def test_every_share_knows_its_net_and_the_last_one_takes_what_remains() -> None:
    """10.00 and 2.00 of tax, paid in three times 4.00."""
    desk = Desk()
    invoice = desk.create(fee("10"))
    taxes = {desk.line(invoice).line_id: LineTax(amount=Decimal(2))}
    desk.advance(invoice, auto_approve=True, taxes=taxes)

    nets: list[str] = []
    for _ in range(3):
        desk.settle(invoice, "4")
        nets += [f"{net:f}" for (net,) in desk.told_with(LinePaymentSettled, "net")]

    assert nets == ["3.33", "3.34", "3.33"]
    assert desk.line(invoice).open.net == 0


def test_what_was_promised_keeps_the_net_it_was_promised_with() -> None:
    """10.00 and 2.00 of tax: 4.00 promised are net 3.33, and 4.00 of the other 8.00 (6.67) are net 3.34."""
    desk = Desk()
    invoice = desk.create(fee("10"))
    taxes = {desk.line(invoice).line_id: LineTax(amount=Decimal(2))}
    desk.advance(invoice, auto_approve=True, taxes=taxes)

    desk.authorize(invoice, "4")
    assert desk.told_with(LinePaymentAuthorized, "net") == [(Decimal("3.33"),)]
    desk.settle(invoice, "8")

    assert desk.told_with(LinePaymentAuthorized, "amount", "net") == [(Decimal(4), Decimal("3.34"))]
    assert desk.told_with(LinePaymentSettled, "amount", "net") == [(Decimal(8), Decimal("6.67"))]
