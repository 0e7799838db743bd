"""What happens to an invoice: one stream per invoice, and the stream's id is the invoice's id.

An event that moves the status carries `moved`. What money did is a fact of its own; where it leads to another status, a
status event follows it in the same save. Amounts are in the invoice's fiat currency and carry their tax, unless
called net; how a fact spreads over lines is in the event, so that no fold ever divides.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, TypeAlias
from uuid import UUID

from aggregates.event import DomainEvent
from aggregates.invoices.documents import CreditNote, Issue, Number, Party
from aggregates.invoices.effects import PaymentSource
from aggregates.invoices.lines import LineContent, LineDraft, LineTax, Part
from aggregates.invoices.statuses import InvoiceStatus, InvoiceTrigger
from aggregates.values.decimals import ZERO
from aggregates.values.money import Currency
from aggregates.values.period import Instant


class Moved(Part, frozen=True, kw_only=True):
    """A step of the lifecycle."""

    status_from: InvoiceStatus
    status_to: InvoiceStatus
    trigger: InvoiceTrigger


class LineShare(Part, frozen=True, kw_only=True):
    """The share of one line in an amount: `amount` with tax, `net` without."""

    line_id: UUID
    amount: Decimal
    net: Decimal


class TaxedLine(Part, frozen=True, kw_only=True):
    """The tax of one line."""

    line_id: UUID
    tax: LineTax


class Approver(StrEnum):
    """Who approved an invoice."""

    AUTOMATIC = "automatic"
    """The billing profile approves by itself."""
    PERSON = "person"
    """Somebody did; the actor of the envelope says who."""


class DeletionReason(StrEnum):
    """Why a line, or an invoice, was deleted while it was mutable."""

    CHARGE = "charge"
    """The charge asked for it: its intent changed, or nothing is left to pay in fiat."""
    REQUESTED = "requested"
    """Somebody deleted it through the API."""
    LAST_LINE = "last_line"
    """An invoice that loses its last line goes (lifecycles §17.5)."""


# ── while it is a draft ──────────────────────────────────────────────────────────────────────────────────────


class InvoiceDrafted(DomainEvent, frozen=True, kw_only=True):
    """An invoice was made from lines that are due; nothing of it is rated yet."""

    NAME: ClassVar[str] = "invoice.drafted.v1"
    currency: Currency
    lines: tuple[LineDraft, ...]
    description: str | None = None
    moved: Moved


class LineAdded(DomainEvent, frozen=True, kw_only=True):
    """A line was put on the open invoice; what was collected before stays collected."""

    NAME: ClassVar[str] = "invoice.line_added.v1"
    line: LineDraft
    moved: Moved


class LineUpdated(DomainEvent, frozen=True, kw_only=True):
    """A charge said what its line shows; the content replaces the one before. `run_id` absent: as before."""

    NAME: ClassVar[str] = "invoice.line_updated.v1"
    line_id: UUID
    run_id: UUID | None = None
    content: LineContent


class LineDeleted(DomainEvent, frozen=True, kw_only=True):
    """A line was taken off the mutable invoice; it stays in the history and counts for nothing."""

    NAME: ClassVar[str] = "invoice.line_deleted.v1"
    line_id: UUID
    reason: DeletionReason
    deleted_at: datetime


class InvoiceDescribed(DomainEvent, frozen=True, kw_only=True):
    """The description was set, or taken away; a line never does that (R-25)."""

    NAME: ClassVar[str] = "invoice.described.v1"
    description: str | None = None


class CollectionAwaited(DomainEvent, frozen=True, kw_only=True):
    """The invoice waits for late usage until `collection_at`; absent: there is nothing to wait for."""

    NAME: ClassVar[str] = "invoice.collection_awaited.v1"
    collection_at: Instant | None = None
    moved: Moved


class CollectionStarted(DomainEvent, frozen=True, kw_only=True):
    """Collection is complete, and the charges of the lines rate them for the last time."""

    NAME: ClassVar[str] = "invoice.collection_started.v1"
    moved: Moved


class ApprovalAwaited(DomainEvent, frozen=True, kw_only=True):
    """All lines are collected, and somebody has to approve the invoice."""

    NAME: ClassVar[str] = "invoice.approval_awaited.v1"
    moved: Moved


class InvoiceDeleted(DomainEvent, frozen=True, kw_only=True):
    """The mutable invoice was deleted with the lines it still had, which are listed."""

    NAME: ClassVar[str] = "invoice.deleted.v1"
    reason: DeletionReason
    lines: tuple[UUID, ...]
    deleted_at: datetime
    moved: Moved


# ── while it is issued ───────────────────────────────────────────────────────────────────────────────────────


class InvoiceApproved(DomainEvent, frozen=True, kw_only=True):
    """The invoice was approved: it is immutable from here on, but for the credit its lines are finalised with."""

    NAME: ClassVar[str] = "invoice.approved.v1"
    by: Approver
    moved: Moved


class LinesFinalized(DomainEvent, frozen=True, kw_only=True):
    """The lines are as they will be issued; the outside is asked to take the invoice."""

    NAME: ClassVar[str] = "invoice.lines_finalized.v1"
    moved: Moved


class TaxCalculated(DomainEvent, frozen=True, kw_only=True):
    """The tax port answered for every taxable line; lines that are not listed carry no tax.

    Without this event no tax was calculated, and the invoice says so.
    """

    NAME: ClassVar[str] = "invoice.tax_calculated.v1"
    lines: tuple[TaxedLine, ...]


class BookingStarted(DomainEvent, frozen=True, kw_only=True):
    """The charges of the lines book what is invoiced."""

    NAME: ClassVar[str] = "invoice.booking_started.v1"
    moved: Moved


class StepFailed(DomainEvent, frozen=True, kw_only=True):
    """Something the present step asked for was refused: the reasons are issues, and a retry repeats the step."""

    NAME: ClassVar[str] = "invoice.step_failed.v1"
    issues: tuple[Issue, ...]
    moved: Moved


class StepRetried(DomainEvent, frozen=True, kw_only=True):
    """A failed step is tried again; its critical issues are gone."""

    NAME: ClassVar[str] = "invoice.step_retried.v1"
    moved: Moved


class InvoiceIssued(DomainEvent, frozen=True, kw_only=True):
    """The invoice has its number and is a document: dates, parties and lines stay as they are for good."""

    NAME: ClassVar[str] = "invoice.issued.v1"
    number: Number
    issue_date: date
    due_date: date
    tax_point: date
    seller: Party
    buyer: Party
    moved: Moved


class InvoiceClosedUnnumbered(DomainEvent, frozen=True, kw_only=True):
    """Every figure of the invoice is zero: it was closed without a number (decision 31)."""

    NAME: ClassVar[str] = "invoice.closed_unnumbered.v1"
    moved: Moved


class PaymentAwaited(DomainEvent, frozen=True, kw_only=True):
    """The invoice is issued and waits for payment."""

    NAME: ClassVar[str] = "invoice.payment_awaited.v1"
    moved: Moved


class InvoiceWarned(DomainEvent, frozen=True, kw_only=True):
    """Something was found that a person should know; the invoice goes on."""

    NAME: ClassVar[str] = "invoice.warned.v1"
    issue: Issue


# ── what became of the money ─────────────────────────────────────────────────────────────────────────────────


class PaymentAuthorized(DomainEvent, frozen=True, kw_only=True):
    """A payment was promised. `reference` is the reporter's own id of it, by which a repeat is recognised."""

    NAME: ClassVar[str] = "invoice.payment_authorized.v1"
    amount: Decimal
    shares: tuple[LineShare, ...]
    reference: str | None = None
    source: PaymentSource = PaymentSource.PAYMENT
    moved: Moved | None = None


class PaymentSettled(DomainEvent, frozen=True, kw_only=True):
    """Money arrived: `amount` = Σ `shares` + `excess` (decision 27).

    Of the shares, `kept_promises` were authorised before and `reinstated` had been written off. `excess` is unapplied
    credit of the customer.
    """

    NAME: ClassVar[str] = "invoice.payment_settled.v1"
    amount: Decimal
    shares: tuple[LineShare, ...]
    kept_promises: tuple[LineShare, ...] = ()
    reinstated: tuple[LineShare, ...] = ()
    excess: Decimal = ZERO
    reference: str | None = None
    source: PaymentSource = PaymentSource.PAYMENT


class PaymentFailed(DomainEvent, frozen=True, kw_only=True):
    """A payment failed, and what was promised is not any more (`released`); retrying or writing off are open."""

    NAME: ClassVar[str] = "invoice.payment_failed.v1"
    reason: str | None = None
    released: tuple[LineShare, ...] = ()
    moved: Moved


class InvoicePartiallyPaid(DomainEvent, frozen=True, kw_only=True):
    """Some of what is due has arrived."""

    NAME: ClassVar[str] = "invoice.partially_paid.v1"
    moved: Moved


class InvoicePaid(DomainEvent, frozen=True, kw_only=True):
    """Nothing is due any more."""

    NAME: ClassVar[str] = "invoice.paid.v1"
    moved: Moved


class InvoiceWrittenOff(DomainEvent, frozen=True, kw_only=True):
    """All that was open was given up as uncollectible; a late receipt takes that back (decision 22)."""

    NAME: ClassVar[str] = "invoice.written_off.v1"
    amount: Decimal
    shares: tuple[LineShare, ...]
    reason: str | None = None
    moved: Moved


class CreditNoteIssued(DomainEvent, frozen=True, kw_only=True):
    """A credit note took back some or all of the invoice (decision 23)."""

    NAME: ClassVar[str] = "invoice.credit_note_issued.v1"
    credit_note: CreditNote


class InvoiceVoided(DomainEvent, frozen=True, kw_only=True):
    """Nothing of the invoice is left: it was credited in full (decision 22)."""

    NAME: ClassVar[str] = "invoice.voided.v1"
    reason: str | None = None
    moved: Moved


class UnappliedCreditUsed(DomainEvent, frozen=True, kw_only=True):
    """Unapplied credit that arose here was set against another invoice, or refunded where none is named.

    `set_off`: it became credit of the customer's balance, as that run comes to less than nothing (run rating R14).
    `as_credit`: it was turned into credit instead, because the charge that was paid was deleted (lifecycles §16.6).
    """

    NAME: ClassVar[str] = "invoice.unapplied_credit_used.v1"
    amount: Decimal
    invoice_id: UUID | None = None
    set_off: UUID | None = None
    as_credit: bool = False


EVENTS: tuple[type[DomainEvent], ...] = (
    InvoiceDrafted,
    LineAdded,
    LineUpdated,
    LineDeleted,
    InvoiceDescribed,
    CollectionAwaited,
    CollectionStarted,
    ApprovalAwaited,
    InvoiceDeleted,
    InvoiceApproved,
    LinesFinalized,
    TaxCalculated,
    BookingStarted,
    StepFailed,
    StepRetried,
    InvoiceIssued,
    InvoiceClosedUnnumbered,
    PaymentAwaited,
    InvoiceWarned,
    PaymentAuthorized,
    PaymentSettled,
    PaymentFailed,
    InvoicePartiallyPaid,
    InvoicePaid,
    InvoiceWrittenOff,
    CreditNoteIssued,
    InvoiceVoided,
    UnappliedCreditUsed,
)
InvoiceEvent: TypeAlias = (
    InvoiceDrafted
    | LineAdded
    | LineUpdated
    | LineDeleted
    | InvoiceDescribed
    | CollectionAwaited
    | CollectionStarted
    | ApprovalAwaited
    | InvoiceDeleted
    | InvoiceApproved
    | LinesFinalized
    | TaxCalculated
    | BookingStarted
    | StepFailed
    | StepRetried
    | InvoiceIssued
    | InvoiceClosedUnnumbered
    | PaymentAwaited
    | InvoiceWarned
    | PaymentAuthorized
    | PaymentSettled
    | PaymentFailed
    | InvoicePartiallyPaid
    | InvoicePaid
    | InvoiceWrittenOff
    | CreditNoteIssued
    | InvoiceVoided
    | UnappliedCreditUsed
)
