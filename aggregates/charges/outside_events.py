"""What a charge asks of an invoicing system outside, as events of the charge (decision 30).

Where invoices are made inside, the same is an effect within one save and the invoice's own event is what is kept. An
outside system is told from the log, in order and at least once; the stream and version of the event are the id by
which it recognises a repeat. What waits to be invoiced (`GatheringLineRequested` and its relatives) is told likewise.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, TypeAlias
from uuid import UUID

from aggregates.event import DomainEvent
from aggregates.invoices.documents import CreditCause
from aggregates.invoices.lines import LineContent


class InvoiceLineUpdated(DomainEvent, frozen=True, kw_only=True):
    """The line is to show this content, of that run: it was started, collected, rated anew or covered by credit."""

    NAME: ClassVar[str] = "charge.invoice_line_updated.v1"
    invoice_id: UUID
    line_id: UUID
    content: LineContent
    run_id: UUID | None = None


class InvoiceLineDeletionRequested(DomainEvent, frozen=True, kw_only=True):
    """The line is to go, or to be credited in full where its invoice can no longer change."""

    NAME: ClassVar[str] = "charge.invoice_line_deletion_requested.v1"
    invoice_id: UUID
    line_id: UUID


class CreditNoteRequested(DomainEvent, frozen=True, kw_only=True):
    """So much of an issued line is to be taken back, before tax; all that is left of it when `amount` is absent.

    `set_off`: it settles that run, so that what was paid of it, without tax, is the customer's credit here.
    """

    NAME: ClassVar[str] = "charge.credit_note_requested.v1"
    invoice_id: UUID
    line_id: UUID
    amount: Decimal | None = None
    cause: CreditCause
    reason: str | None = None
    set_off: UUID | None = None


class UnappliedCreditRequested(DomainEvent, frozen=True, kw_only=True):
    """What had been paid of a credited line goes back to the customer, because its charge is deleted.

    `amount`, with tax, is not the customer's unapplied credit any more: it is to be paid back, or, `as_credit`, it is
    credit of the customer here already.
    """

    NAME: ClassVar[str] = "charge.unapplied_credit_requested.v1"
    invoice_id: UUID
    amount: Decimal
    as_credit: bool = False


EVENTS: tuple[type[DomainEvent], ...] = (
    InvoiceLineUpdated,
    InvoiceLineDeletionRequested,
    CreditNoteRequested,
    UnappliedCreditRequested,
)
OutsideEvent: TypeAlias = (
    InvoiceLineUpdated | InvoiceLineDeletionRequested | CreditNoteRequested | UnappliedCreditRequested
)
