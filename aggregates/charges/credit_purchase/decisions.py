"""What can be asked of a credit purchase: advance it, report its payment, void it (lifecycles §11)."""

from __future__ import annotations

from decimal import Decimal

from aggregates.charges.credit_purchase import by_invoice
from aggregates.charges.credit_purchase.credit import book, in_hand
from aggregates.charges.credit_purchase.lifecycle import EXTERNAL, INVOICE, PROMOTIONAL, VOIDING
from aggregates.charges.credit_purchase.unpaid import something_is_owed
from aggregates.charges.events import PurchaseVoided
from aggregates.charges.intent import External, InitialStatus, InvoiceSettlement, Promotional
from aggregates.charges.payments import require_authorizable, settleable
from aggregates.charges.requests import PaymentStep, TakeBack
from aggregates.charges.turn import Turn
from aggregates.credits import decisions as pool
from aggregates.credits.refusals import NothingOwed
from aggregates.credits.requests import Void
from aggregates.invoices.effects import (
    InvoiceLineUpdated,
    LineCreated,
    LineCredited,
    LineEditAsked,
    LineNotice,
    LinePaymentAuthorized,
    LinePaymentFailed,
    LinePaymentSettled,
    LineReinstated,
    LineRemoved,
    LineWrittenOff,
    Notice,
)
from aggregates.invoices.refusals import CannotUpdateChargeManagedLine
from aggregates.lifecycle import Path, Status, Trigger
from aggregates.values.errors import (
    Findings,
    LineAlreadyLinked,
    NothingToVoid,
    PreconditionFailed,
    UnsupportedOperation,
)

TRIGGERS = {
    PaymentStep.AUTHORIZED: Trigger.AUTHORIZED,
    PaymentStep.PAID: Trigger.PAID,
    PaymentStep.FAILED: Trigger.PAYMENT_FAILED,
    PaymentStep.CANCELLED: Trigger.CANCELLED,
    PaymentStep.CHARGED_BACK: Trigger.CHARGED_BACK,
}
"""What moves the charge when a step of its payment is reported."""

_FAILURES = frozenset({PaymentStep.FAILED, PaymentStep.CANCELLED, PaymentStep.CHARGED_BACK})

_FIRST_STEP: dict[InitialStatus, PaymentStep | None] = {
    InitialStatus.CREATED: None,
    InitialStatus.AUTHORIZED: PaymentStep.AUTHORIZED,
    InitialStatus.SETTLED: PaymentStep.PAID,
}
"""What the initial status of an external purchase reports once it is under way; created reports nothing."""


def advance(turn: Turn) -> bool:
    """Walk `next` until no row holds; whether the purchase moved.

    The walk that an external purchase leaves `created` with also reports the payment step it was created with. The step
    comes from the intent and from nowhere else; no later walk repeats it (R-14).
    """
    path = _path(turn)
    begins = turn.charge.status is Status.CREATED
    moved = _walk(turn, path)
    settlement = turn.purchase.settlement
    step = _FIRST_STEP[settlement.initial_status] if isinstance(settlement, External) else None
    if begins and step is not None:
        path.fire(turn.charge.status, TRIGGERS[step], turn, turn.charge_id)
        _walk(turn, path)
    return moved


def report_payment(turn: Turn, step: PaymentStep, detail: str | None = None) -> bool:
    """Record what the provider reports, and go on from there; False where that was known already.

    Refuses, in this order: a payment fact that is recorded already (`PaymentAlreadyAuthorized`,
    `PaymentAlreadySettled`); a status that does not wait for this step (`UnsupportedOperation`). A payment that failed
    may be reported as such again: nothing happens, unless money that came meanwhile is charged back.
    """
    charge = turn.charge
    turn.detail = detail
    if step in _FAILURES:
        if (
            charge.status is Status.PAYMENT_FAILED
            and _path(turn).permitted(charge.status, TRIGGERS[step], turn) is None
        ):
            return False
    elif charge.payment is not None:
        if step is PaymentStep.AUTHORIZED:
            require_authorizable(charge)
        settleable(charge)
    path = _path(turn)
    path.fire(charge.status, TRIGGERS[step], turn, charge.id)
    _walk(turn, path)
    return True


def require_paid_outside(turn: Turn) -> None:
    """Raise `PreconditionFailed` where the purchase is sold by invoice.

    Only its invoice tells of a payment, and names the line (§11.3): told past it, the invoice would stay open for what
    is paid already.
    """
    if isinstance(turn.purchase.settlement, InvoiceSettlement):
        reason = f"purchase {turn.charge_id} is paid by invoice: report its payment there"
        raise PreconditionFailed(reason, turn.charge_id)


def retry_payment(turn: Turn) -> bool:
    """Wait for a new payment of what is owed. Refuses a status that has no failed payment, then `NothingOwed`."""
    charge = turn.charge
    if charge.status is Status.PAYMENT_FAILED and not something_is_owed(turn):
        raise NothingOwed(charge.id)
    _path(turn).fire(charge.status, Trigger.RETRY, turn, charge.id)
    return True


def write_off_payment(turn: Turn) -> bool:
    """Give up what is owed after a payment failed; the purchase is final then. False when that was done before."""
    charge = turn.charge
    if charge.failed_payment is not None and charge.failed_payment.written_off is not None:
        return False
    _path(turn).fire(charge.status, Trigger.WRITE_OFF, turn, charge.id)
    return True


def note_reversal(turn: Turn) -> bool:
    """After money went back: wait for payment again, where the price is no longer covered; whether it is so."""
    status = turn.charge.status
    row = _path(turn).permitted(status, Trigger.REVERSED, turn)
    if row is not None:
        row.then(turn, row)
    return row is not None


def void(turn: Turn) -> bool:
    """Take the unused part of the grant back; False when that was done before. Raises `NothingToVoid` (ledger §6.8)."""
    charge = turn.charge
    if charge.voided is not None:
        return False
    VOIDING.require(charge.status, Trigger.VOID, charge.id)
    event = pool.void(in_hand(turn), Void(purchase=charge.id, booked_at=turn.facts.instant))
    if event is None:
        raise NothingToVoid(charge.id)
    group = book(turn, event)
    turn.emit(PurchaseVoided(voided_at=turn.now, amount=event.amount, ledger_group=group))
    return True


def take_back(turn: Turn, asked: TakeBack) -> bool:
    """Take back credit that is paid by invoice, with its price; see `by_invoice`. Refuses a purchase paid otherwise."""
    if not by_invoice.is_by_invoice(turn):
        raise UnsupportedOperation(Trigger.VOID.value, turn.charge.status.value, turn.charge_id)
    return by_invoice.take_back(turn, asked)


def refund(turn: Turn, amount: Decimal | None) -> None:
    """Let what was paid by invoice for nothing be credited. Refuses a purchase paid otherwise, `NothingToRefund`."""
    if not by_invoice.is_by_invoice(turn):
        raise UnsupportedOperation(Trigger.VOID.value, turn.charge.status.value, turn.charge_id)
    by_invoice.refund(turn, amount)


def answer(turn: Turn, notice: LineNotice) -> None:
    """Act upon what the invoice of the purchase's line did; a repeat does nothing (lifecycles §11.3, §17.3).

    Every notice has to be about the line the purchase is linked to, and about the one its payment is on; everything
    that does not match is told together. The purchase is authorised and paid as a whole; what arrives of it in part is
    in the pool when it arrives (decision 27), what is promised in part is a fact of the invoice.
    """
    turn.notice = notice
    if isinstance(notice, LineCreated):
        _line_created(turn, notice)
        return
    require_line(turn, notice)
    match notice:
        case LinePaymentAuthorized(in_full=True):
            report_payment(turn, PaymentStep.AUTHORIZED)
        case LinePaymentSettled(in_full=True):
            report_payment(turn, PaymentStep.PAID)
        case LinePaymentSettled():
            by_invoice.paid_in_part(turn, notice)
            _walk(turn, INVOICE)
        case LinePaymentFailed():
            if turn.charge.status is Status.PAYMENT_AUTHORIZED:
                by_invoice.promise_failed(turn, notice)
                note_reversal(turn)
        case LineWrittenOff():
            by_invoice.given_up(turn, notice)
            _walk(turn, INVOICE)
        case LineReinstated():
            by_invoice.owed_again(turn, notice)
            note_reversal(turn)
        case LineCredited():
            by_invoice.credited(turn, notice)
            note_reversal(turn)
            _walk(turn, INVOICE)
        case LineRemoved():
            by_invoice.line_removed(turn)
            _walk(turn, INVOICE)
        case LineEditAsked():
            raise CannotUpdateChargeManagedLine(line_id=notice.line_id, charge_id=turn.charge_id)
        case _:
            return


def _line_created(turn: Turn, notice: LineCreated) -> None:
    charge = turn.charge
    linked = charge.linked_line
    if linked is not None and linked.line_id == notice.line_id:
        content = by_invoice.content(turn)
        turn.ask(InvoiceLineUpdated(invoice_id=notice.invoice_id, line_id=notice.line_id, content=content))
        return
    if linked is not None and charge.gathering_line is None:
        raise LineAlreadyLinked(charge_id=charge.id, line_id=linked.line_id)
    INVOICE.fire(charge.status, Trigger.INVOICE_CREATED, turn, charge.id)
    _walk(turn, INVOICE)


def require_line(turn: Turn, notice: Notice) -> None:
    """Raise `ValidationFailed` with everything that does not match the purchase's line and payment."""
    findings, charge = Findings(), turn.charge
    for name, known in (("line", charge.linked_line), ("payment", charge.payment)):
        if known is None:
            continue
        if known.line_id != notice.line_id:
            findings.add("line_id", "line_mismatch", f"{name} line ID must match {known.line_id}")
        if known.invoice_id != notice.invoice_id:
            findings.add("invoice_id", "invoice_mismatch", f"{name} invoice ID must match {known.invoice_id}")
    findings.raise_if_any()


def _path(turn: Turn) -> Path[Turn]:
    match turn.purchase.settlement:
        case Promotional():
            return PROMOTIONAL
        case External():
            return EXTERNAL
        case InvoiceSettlement():
            return INVOICE


def _walk(turn: Turn, path: Path[Turn]) -> bool:
    return bool(list(path.walk(lambda: turn.charge.status, turn)))
