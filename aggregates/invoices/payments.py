"""Payments of an issued invoice, as they are reported: promised, arrived, failed, given up (decisions 22, 23, 27).

A promise above what is open is refused. Money that arrived is a fact and always recorded: a shortfall leaves the
invoice partially paid, an excess becomes unapplied credit of the customer. Another currency is refused.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from aggregates.invoices.effects import (
    InvoiceNotice,
    LinePaymentAuthorized,
    LinePaymentFailed,
    LineWrittenOff,
    PaymentSource,
    UnappliedCreditRefunded,
    UnappliedCreditRequested,
)
from aggregates.invoices.events import (
    InvoiceWrittenOff,
    Moved,
    PaymentAuthorized,
    PaymentFailed,
    UnappliedCreditUsed,
)
from aggregates.invoices.facts import InvoiceFacts
from aggregates.invoices.lifecycle import OPERATIONS, follow, require
from aggregates.invoices.refusals import (
    AuthorizationExceedsInvoice,
    InvoiceAlreadyAuthorized,
    InvoiceAlreadySettled,
    NothingOpen,
    PaymentReferenceInUse,
    PromisedPaymentStands,
    UnappliedCreditExceeded,
)
from aggregates.invoices.requests import PaymentReport
from aggregates.invoices.settlement import receive, recorded, spread
from aggregates.invoices.state import AUTHORIZED, SETTLED, Invoice
from aggregates.invoices.statuses import InvoiceStatus, InvoiceTrigger
from aggregates.invoices.turn import InvoiceTurn
from aggregates.outcome import Draft
from aggregates.values.decimals import exact
from aggregates.values.errors import CurrencyMismatch, Findings


@exact
def authorize(draft: Draft, invoice_id: UUID, report: PaymentReport, facts: InvoiceFacts) -> tuple[InvoiceNotice, ...]:
    """Record that a payment was promised; of all that is open and not yet promised when no amount is given.

    Refuses, in this order: `InvoiceNotFound`; an amount that cannot be (`ValidationFailed`: `not_positive`,
    `too_many_decimals`); `CurrencyMismatch`; `PaymentReferenceInUse`; `InvoiceOperationRefused`;
    `InvoiceAlreadyAuthorized` when nothing is left to promise; `AuthorizationExceedsInvoice`. A report that was
    recorded before changes nothing.
    """
    turn = InvoiceTurn(draft, invoice_id, facts)
    invoice = turn.invoice
    if _is_repeat(invoice, report, AUTHORIZED):
        return ()
    require(turn, InvoiceTrigger.AUTHORIZED)
    unpromised = invoice.open - invoice.authorized
    if not unpromised and (invoice.payable or invoice.status is InvoiceStatus.PAYMENT_AUTHORIZED):
        raise InvoiceAlreadyAuthorized(invoice_id)
    amount = unpromised if report.amount is None else report.amount
    if amount > unpromised:
        raise AuthorizationExceedsInvoice(asked=amount, open=unpromised, invoice_id=invoice_id)

    shares = spread(invoice, amount, lambda line: line.unauthorized)
    moved = _moved(turn, InvoiceTrigger.AUTHORIZED)
    turn.emit(
        PaymentAuthorized(amount=amount, shares=recorded(shares), reference=report.reference, moved=moved),
    )
    for line, portion in shares:
        in_full = portion.amount == line.unauthorized.amount
        turn.tell(LinePaymentAuthorized, line, amount=portion.amount, net=portion.net, in_full=in_full)
    return turn.told()


@exact
def settle(draft: Draft, invoice_id: UUID, report: PaymentReport, facts: InvoiceFacts) -> tuple[InvoiceNotice, ...]:
    """Record that money arrived; all that is open, or else all that was written off, when no amount is given.

    Refuses, in this order: `InvoiceNotFound`; an amount that cannot be (`ValidationFailed`: `not_positive`,
    `too_many_decimals`); `CurrencyMismatch`; `PaymentReferenceInUse`; `InvoiceOperationRefused` before the invoice is
    issued; `InvoiceAlreadySettled` when nothing is open and no amount is given. A report that was recorded before
    changes nothing. Worked: 30.00 due, 75.00 arrive: paid, and 45.00 of unapplied credit.
    """
    turn = InvoiceTurn(draft, invoice_id, facts)
    invoice = turn.invoice
    if _is_repeat(invoice, report, SETTLED):
        return ()
    require(turn, InvoiceTrigger.PAID)
    due = invoice.open or invoice.written_off
    if report.amount is None and not due and (invoice.payable or _is_settled(invoice)):
        raise InvoiceAlreadySettled(invoice_id)

    receive(turn, due if report.amount is None else report.amount, report.reference, PaymentSource.PAYMENT)
    follow(turn, InvoiceTrigger.PAID)
    return turn.told()


@exact
def fail_payment(
    draft: Draft, invoice_id: UUID, facts: InvoiceFacts, *, reason: str | None = None
) -> tuple[InvoiceNotice, ...]:
    """Record that a payment failed: what was promised is not any more, and what is open stays open.

    Raises `InvoiceNotFound`, `InvoiceOperationRefused`.
    """
    turn = InvoiceTurn(draft, invoice_id, facts)
    require(turn, InvoiceTrigger.PAYMENT_FAILED)
    invoice = turn.invoice

    released = spread(invoice, invoice.authorized, lambda line: line.authorized)
    unpaid = [line for line in invoice.live_lines if line.open.amount]
    moved = _moved(turn, InvoiceTrigger.PAYMENT_FAILED)
    turn.emit(PaymentFailed(reason=reason, released=recorded(released), moved=moved))
    for line in unpaid:
        portion = line.authorized
        turn.tell(LinePaymentFailed, line, released=portion.amount, released_net=portion.net, reason=reason)
    return turn.told()


@exact
def write_off(
    draft: Draft, invoice_id: UUID, facts: InvoiceFacts, *, reason: str | None = None
) -> tuple[InvoiceNotice, ...]:
    """Give up all that is open as uncollectible: the runs count as settled and stay billed (decision 22).

    Refuses, in this order: `InvoiceNotFound`; `PromisedPaymentStands`; `InvoiceOperationRefused`; `NothingOpen`.
    """
    turn = InvoiceTurn(draft, invoice_id, facts)
    invoice = turn.invoice
    if invoice.authorized:
        raise PromisedPaymentStands(authorized=invoice.authorized, invoice_id=invoice_id)
    require(turn, InvoiceTrigger.WRITE_OFF)
    if not invoice.open:
        raise NothingOpen(invoice_id)

    shares = spread(invoice, invoice.open, lambda line: line.open)
    moved = _moved(turn, InvoiceTrigger.WRITE_OFF)
    turn.emit(InvoiceWrittenOff(amount=invoice.open, shares=recorded(shares), reason=reason, moved=moved))
    for line, portion in shares:
        turn.tell(LineWrittenOff, line, amount=portion.amount, net=portion.net)
    return turn.told()


@exact
def refund_unapplied(
    draft: Draft, invoice_id: UUID, facts: InvoiceFacts, *, amount: Decimal | None = None
) -> tuple[InvoiceNotice, ...]:
    """Pay unapplied credit back to the customer; all that arose on this invoice when no amount is given.

    Refuses, in this order: `InvoiceNotFound`; an amount that cannot be (`ValidationFailed`);
    `UnappliedCreditExceeded`, also for none at all.
    """
    turn = InvoiceTurn(draft, invoice_id, facts)
    invoice = turn.invoice
    _check_amount(invoice, amount)
    left = facts.usable(invoice_id, invoice.unapplied)
    asked = left if amount is None else amount
    if asked > left or not left:
        raise UnappliedCreditExceeded(asked=asked, left=left, invoice_id=invoice_id)

    turn.emit(UnappliedCreditUsed(amount=asked))
    turn.notices.append(
        UnappliedCreditRefunded(
            customer=invoice.customer, invoice_id=invoice_id, amount=asked, currency=invoice.currency
        )
    )
    return turn.told()


def give_back_unapplied(turn: InvoiceTurn, asked: UnappliedCreditRequested) -> None:
    """Record that unapplied credit was paid back or became credit, as a deletion wants (lifecycles §16.6).

    Raises `UnappliedCreditExceeded`.
    """
    invoice = turn.invoice
    if asked.amount > invoice.unapplied:
        raise UnappliedCreditExceeded(asked=asked.amount, left=invoice.unapplied, invoice_id=invoice.id)
    turn.emit(UnappliedCreditUsed(amount=asked.amount, as_credit=asked.as_credit))


# ── what a report may say ────────────────────────────────────────────────────────────────────────────────────


def _is_repeat(invoice: Invoice, report: PaymentReport, kind: str) -> bool:
    """Whether the report was recorded before. Raises what is wrong with it in itself."""
    _check_amount(invoice, report.amount)
    if report.currency not in {None, invoice.currency.key}:
        raise CurrencyMismatch(invoice.currency.key, report.currency or "")
    if report.reference is None:
        return False
    for payment in invoice.payments:
        if payment.reference == report.reference and payment.kind == kind:
            if report.amount not in {None, payment.amount}:
                raise PaymentReferenceInUse(
                    reference=report.reference,
                    kind=kind,
                    recorded=payment.amount,
                    asked=report.amount,
                    invoice_id=invoice.id,
                )
            return True
    return False


def _check_amount(invoice: Invoice, amount: Decimal | None) -> None:
    if amount is None:
        return
    findings = Findings()
    if amount <= 0:
        findings.add("amount", "not_positive", f"amount must be above zero, got {amount:f}")
    if not invoice.currency.holds(amount):
        message = f"{amount:f} has more than the {invoice.currency.precision} decimals of {invoice.currency.code}"
        findings.add("amount", "too_many_decimals", message)
    findings.raise_if_any()


def _is_settled(invoice: Invoice) -> bool:
    return any(payment.kind == SETTLED for payment in invoice.payments)


def _moved(turn: InvoiceTurn, on: InvoiceTrigger) -> Moved:
    """The step an operation takes to the one status it leads to."""
    [to] = OPERATIONS.leads_to[on]
    return Moved(status_from=turn.invoice.status, status_to=to, trigger=on)
