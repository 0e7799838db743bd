"""What a charge asks of invoices, as it is recorded for a system outside (decision 30)."""

from __future__ import annotations

from typing import assert_never

from aggregates.charges.outside_events import (
    CreditNoteRequested,
    InvoiceLineDeletionRequested,
    InvoiceLineUpdated,
    OutsideEvent,
    UnappliedCreditRequested,
)
from aggregates.invoices import effects


def recorded(effect: effects.InvoiceEffect) -> OutsideEvent:
    """The event that an effect is for a system outside."""
    match effect:
        case effects.InvoiceLineUpdated():
            return InvoiceLineUpdated(
                invoice_id=effect.invoice_id, line_id=effect.line_id, content=effect.content, run_id=effect.run_id
            )
        case effects.InvoiceLineReduced() if effect.content.totals.total:
            return InvoiceLineUpdated(invoice_id=effect.invoice_id, line_id=effect.line_id, content=effect.content)
        case effects.InvoiceLineDeletionRequested() | effects.InvoiceLineReduced():
            return InvoiceLineDeletionRequested(invoice_id=effect.invoice_id, line_id=effect.line_id)
        case effects.CreditNoteRequested():
            return CreditNoteRequested(
                invoice_id=effect.invoice_id,
                line_id=effect.line_id,
                amount=effect.amount,
                cause=effect.cause,
                reason=effect.reason,
                set_off=effect.set_off,
            )
        case effects.UnappliedCreditRequested():
            return UnappliedCreditRequested(
                invoice_id=effect.invoice_id, amount=effect.amount, as_credit=effect.as_credit
            )
        case _ as unreachable:
            assert_never(unreachable)
