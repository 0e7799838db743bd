"""What invoices and charges say to each other: effects from charges, notices to charges (lifecycles §4.3, §17).

Both are plain values of one decision, never stored: what is stored are the events of the invoice and of the charge in
one save (decision 30). Everything is correlated by `charge_id` and `line_id`, never by position (R-02). A notice may
come twice; the charge recognises the repeat by line id and recorded facts and does nothing then.

==========================  ====================================================================================
trigger of the charge       notice
==========================  ====================================================================================
invoice_created             `LineCreated`
collection_completed        `LineCollected`
(fiat overage, §12.4)       `LineFinalizing`
invoice_issued              `LineIssued`
payment_authorized          `LinePaymentAuthorized`
payment_settled             `LinePaymentSettled`
(decisions 22, 23; §22 r7)  `LinePaymentFailed`, `LineWrittenOff`, `LineReinstated`, `LineCredited`
line-deletion hook          `LineRemoved`
unsupported credit note     `LineDeletionUnsupported`
line_manual_edit            `LineEditAsked`
==========================  ====================================================================================
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

import msgspec

from aggregates.invoices.documents import CreditCause
from aggregates.invoices.lines import CreditUsed, LineContent
from aggregates.rating.prices import Discounts
from aggregates.values.decimals import ZERO
from aggregates.values.money import Currency
from aggregates.values.period import Period
from aggregates.values.totals import Totals

# ── from charges to invoices ─────────────────────────────────────────────────────────────────────────────────


class InvoiceLineUpdated(msgspec.Struct, frozen=True, kw_only=True):
    """The line is to show this content: after a run was started, collected, rated anew or covered by credit."""

    invoice_id: UUID
    line_id: UUID
    content: LineContent
    run_id: UUID | None = None
    """The run that the line shows from now on; absent: as before."""


class InvoiceLineDeletionRequested(msgspec.Struct, frozen=True, kw_only=True):
    """The line is to go.

    On a mutable invoice it is deleted; on an immutable one it is credited in full where credit notes are possible, and
    otherwise the invoice is warned about it, once (lifecycles §17.6).
    """

    invoice_id: UUID
    line_id: UUID


class InvoiceLineReduced(msgspec.Struct, frozen=True, kw_only=True):
    """The line sells less than before: it is to show this content, or ask for `owed` and no more, before tax.

    A draft shows the content, or loses a line that comes to nothing. An issued line is credited by the difference to
    what it asks for, where credit notes are possible; `owed` is below zero where more was paid than it comes to. A line
    that is gone asks for nothing anyway.
    """

    invoice_id: UUID
    line_id: UUID
    content: LineContent
    owed: Decimal


class CreditNoteRequested(msgspec.Struct, frozen=True, kw_only=True):
    """So much of an issued line is to be taken back, before tax; all that is left of it when `amount` is absent.

    `set_off`: it settles that run of the charge, and what was paid of it becomes credit of the customer, without tax.
    """

    invoice_id: UUID
    line_id: UUID
    amount: Decimal | None = None
    cause: CreditCause = CreditCause.INTENT_CHANGED
    reason: str | None = None
    set_off: UUID | None = None


class UnappliedCreditRequested(msgspec.Struct, frozen=True, kw_only=True):
    """So much unapplied credit, with tax, goes back to the customer: paid back, or as credit (lifecycles §16.6).

    The charge books it; the invoice has that much less.
    """

    invoice_id: UUID
    amount: Decimal
    as_credit: bool


InvoiceEffect: TypeAlias = (
    InvoiceLineUpdated
    | InvoiceLineDeletionRequested
    | InvoiceLineReduced
    | CreditNoteRequested
    | UnappliedCreditRequested
)


# ── from invoices to charges ─────────────────────────────────────────────────────────────────────────────────


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what the charge of a line is told. `run_id` is absent before the charge has started a run."""

    customer: str
    invoice_id: UUID
    line_id: UUID
    charge_id: UUID
    run_id: UUID | None = None


class LineCreated(Notice, frozen=True, kw_only=True):
    """The line is on a draft invoice: start a run for its period (V3, K4, K6, I2), answer with the line's content.

    The charge has to be advanced until stable before. A charge that already has a current run refuses with
    `active_realization_run_already_exists`, and the line does not come about.
    """

    period: Period
    currency: Currency


class LineCollected(Notice, frozen=True, kw_only=True):
    """Collection is complete (V5, K8): rate for the last time, answer with the content, or ask to delete the line."""


class LineFinalizing(Notice, frozen=True, kw_only=True):
    """The invoice is approved: allocate fiat credit to an overage, once (lifecycles §12.4), and answer."""

    totals: Totals


class LineIssued(Notice, frozen=True, kw_only=True):
    """The line is final (V7, K11): book its usage. `totals` are what the run's have to equal (lifecycles §17.4)."""

    period: Period
    totals: Totals
    tax_amount: Decimal = ZERO
    credits_applied: tuple[CreditUsed, ...] = ()
    currency: Currency


class PaymentSource(StrEnum):
    """Where money for a line comes from."""

    PAYMENT = "payment"
    """It was reported by whoever collects payments."""
    UNAPPLIED_CREDIT = "unapplied_credit"
    """It is the customer's already, from another invoice (decision 23); no new money arrives."""


class LinePaymentAuthorized(Notice, frozen=True, kw_only=True):
    """So much of the line is promised. `net` is without tax: what the ledger books.

    `in_full`: the whole line is authorised or paid now.
    """

    amount: Decimal
    net: Decimal
    in_full: bool
    source: PaymentSource = PaymentSource.PAYMENT


class LinePaymentSettled(Notice, frozen=True, kw_only=True):
    """So much of the line arrived; it was told as authorised before, in this round or an earlier one.

    `in_full`: nothing of the line is open or written off any more, so that the run is settled.
    """

    amount: Decimal
    net: Decimal
    in_full: bool
    source: PaymentSource = PaymentSource.PAYMENT


class LinePaymentFailed(Notice, frozen=True, kw_only=True):
    """The payment failed, or an authorisation lapsed; `released` of the line was promised and is not any more."""

    released: Decimal
    released_net: Decimal
    reason: str | None = None


class LineWrittenOff(Notice, frozen=True, kw_only=True):
    """So much of the line is given up as uncollectible: the run counts as settled and stays billed (decision 22)."""

    amount: Decimal
    net: Decimal


class LineReinstated(Notice, frozen=True, kw_only=True):
    """A write-off is taken back, because money arrives after all or because the line is credited instead."""

    amount: Decimal
    net: Decimal


class LineCredited(Notice, frozen=True, kw_only=True):
    """A credit note took back so much of the line: reverse the accrual, and the run when the cause asks for it.

    `freed`: the part that was paid before and is the customer's unapplied credit now. `in_full`: nothing of the line
    is left; with cause `intent_changed` or `invoice_voided` the run is void then and its credits go back. `set_off`:
    the run that it settles; `freed_net` becomes credit of the customer then. `closes`: nothing is left to be paid.
    """

    amount: Decimal
    net: Decimal
    freed: Decimal
    in_full: bool
    cause: CreditCause
    credit_note_id: UUID | None
    """Absent when there was nothing to take back in money: the whole line was paid by customer credit."""
    freed_net: Decimal = ZERO
    set_off: UUID | None = None
    closes: bool = False


class LineRemoved(Notice, frozen=True, kw_only=True):
    """The line was deleted while its invoice was mutable: give the run's credit back and mark it deleted.

    `whole_invoice`: the invoice went as a whole, so that the charge's gathering line goes too (lifecycles §17.5).
    """

    whole_invoice: bool = False


class LineDeletionUnsupported(Notice, frozen=True, kw_only=True):
    """The line stays, for its invoice is immutable and cannot be credited: the run is invalid (lifecycles §17.6)."""


class LineEditAsked(Notice, frozen=True, kw_only=True):
    """The API edits the line: change the charge's intent accordingly (line_manual_edit, lifecycles §10.1).

    What is absent stays as it is. The answer is the line's new content.
    """

    name: str | None = None
    description: str | None = None
    period: Period | None = None
    amount: Decimal | None = None
    metadata: dict[str, str] | None = None
    discounts: Discounts | None = None


LineNotice: TypeAlias = (
    LineCreated
    | LineCollected
    | LineFinalizing
    | LineIssued
    | LinePaymentAuthorized
    | LinePaymentSettled
    | LinePaymentFailed
    | LineWrittenOff
    | LineReinstated
    | LineCredited
    | LineRemoved
    | LineDeletionUnsupported
    | LineEditAsked
)


# ── from invoices to the outside ─────────────────────────────────────────────────────────────────────────────


class SyncRequested(msgspec.Struct, frozen=True, kw_only=True):
    """The invoice is about to be booked: whoever takes the place of the inside invoicing is to confirm it.

    With nobody outside there is nothing to do. A refusal leaves the invoice in `issuing.sync_failed`, its lines
    finalised and nothing booked; a retry asks again.
    """

    customer: str
    invoice_id: UUID


class ExcessReceived(msgspec.Struct, frozen=True, kw_only=True):
    """More money arrived than was due: the customer's unapplied credit, on no line (decision 27).

    `charge_id` and `line_id` name the last live line, for whoever has to book it somewhere; `currency` is fiat.
    """

    customer: str
    invoice_id: UUID
    charge_id: UUID | None
    line_id: UUID | None
    amount: Decimal
    currency: Currency


class UnappliedCreditRefunded(msgspec.Struct, frozen=True, kw_only=True):
    """Unapplied credit is to be paid back to the customer."""

    customer: str
    invoice_id: UUID
    amount: Decimal
    currency: Currency


class UnappliedCreditApplied(msgspec.Struct, frozen=True, kw_only=True):
    """Unapplied credit of an invoice was set against another one; `settles`: its lines, and their net of it."""

    customer: str
    invoice_id: UUID
    amount: Decimal
    currency: Currency
    to_invoice: UUID
    settles: tuple[tuple[UUID, Decimal], ...]


UnappliedNotice: TypeAlias = UnappliedCreditRefunded | UnappliedCreditApplied
InvoiceNotice: TypeAlias = LineNotice | SyncRequested | ExcessReceived | UnappliedNotice
"""Everything an invoice can ask to be carried out in the same save."""
