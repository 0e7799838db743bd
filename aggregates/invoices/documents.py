"""What an issued invoice and its credit notes say besides lines: who, when, under which number; and issues."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from aggregates.invoices.lines import Part


class Party(Part, frozen=True, kw_only=True):
    """Seller or buyer as they were when the document was issued; later changes of address do not change it."""

    name: str
    address: tuple[str, ...] = ()
    country: str | None = None
    tax_id: str | None = None
    reference: str | None = None
    """The party's own id for this account, a purchase order number, say."""


class Number(Part, frozen=True, kw_only=True):
    """The number of a document: place `sequence` of its series, and how that is written."""

    series: str
    sequence: int
    text: str


class Severity(StrEnum):
    """Whether an issue stops the invoice."""

    WARNING = "warning"
    CRITICAL = "critical"


class Issue(Part, frozen=True, kw_only=True):
    """Something a person should know about an invoice; critical ones keep it where it is until a retry succeeds."""

    severity: Severity
    code: str
    message: str
    line_id: UUID | None = None


class CreditCause(StrEnum):
    """Why invoiced value was taken back; the charge of the line acts upon it (decision 23)."""

    INTENT_CHANGED = "intent_changed"
    """What the charge promised has changed. In full, this voids the run; in part, the run stays."""
    INVOICE_VOIDED = "invoice_voided"
    """The invoice as a whole was a mistake (decision 22)."""
    GOODWILL = "goodwill"
    """Somebody decided so; the charge's own figures stay."""
    CORRECTED = "corrected"
    """A later run of the charge comes to less than nothing: too much was invoiced before (run rating R14)."""


class CreditedLine(Part, frozen=True, kw_only=True):
    """What a credit note takes back of one line: `amount` with tax, of which `net` is not tax.

    Taken first from what nobody had promised, then from what was promised (`lapsed`: it would be too much if it still
    came), then from what was written off (`reinstated`), then from what was paid (`freed`), which becomes unapplied
    credit. `in_full`: nothing is left of the line.
    """

    line_id: UUID
    amount: Decimal
    net: Decimal
    lapsed: Decimal = Decimal(0)
    lapsed_net: Decimal = Decimal(0)
    reinstated: Decimal = Decimal(0)
    reinstated_net: Decimal = Decimal(0)
    freed: Decimal = Decimal(0)
    freed_net: Decimal = Decimal(0)
    in_full: bool = False


class CreditNote(Part, frozen=True, kw_only=True):
    """A numbered document that takes back some or all of an issued invoice, which it names by its number."""

    credit_note_id: UUID
    number: Number
    invoice_number: str
    cause: CreditCause
    reason: str | None = None
    issue_date: date
    lines: tuple[CreditedLine, ...]
    total: Decimal
    tax_total: Decimal = Decimal(0)


class Issued(Part, frozen=True, kw_only=True):
    """What issuing fixed for good (decision 31). Dates are days in the customer's zone.

    `tax_point`: the day the supply counts for, the last day of service or the issue date, whichever is earlier.
    """

    number: Number
    issued_at: datetime
    issue_date: date
    due_date: date
    tax_point: date
    seller: Party
    buyer: Party
