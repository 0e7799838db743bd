"""The statuses of an invoice, broad to narrow, and what can move it (lifecycles §17.3).

*Mutable* statuses accept lines; from `issuing` on an invoice is *immutable* and is corrected by credit notes alone.
`issued` and what follows are *payable*: money can be reported for them.
"""

from __future__ import annotations

from enum import StrEnum


class InvoiceStatus(StrEnum):
    """Where an invoice is; the text before the first dot is its meta status."""

    NONE = ""
    """Before creation; never stored."""
    DRAFT_CREATED = "draft.created"
    DRAFT_WAITING_FOR_COLLECTION = "draft.waiting_for_collection"
    DRAFT_COLLECTING = "draft.collecting"
    DRAFT_INVALID = "draft.invalid"
    """A charge refused its collection; the reason is an issue of the invoice."""
    DRAFT_MANUAL_APPROVAL_NEEDED = "draft.manual_approval_needed"
    ISSUING_FINALIZING_LINES = "issuing.finalizing_lines"
    ISSUING_FINALIZING_FAILED = "issuing.finalizing_failed"
    ISSUING_SYNCING = "issuing.syncing"
    ISSUING_SYNC_FAILED = "issuing.sync_failed"
    ISSUING_BOOKING = "issuing.booking"
    ISSUING_BOOKING_FAILED = "issuing.booking_failed"
    ISSUED = "issued"
    PAYMENT_PENDING = "payment_processing.pending"
    PAYMENT_AUTHORIZED = "payment_processing.authorized"
    PARTIALLY_PAID = "payment_processing.partially_paid"
    PAYMENT_FAILED = "payment_processing.failed"
    PAID = "paid"
    WRITTEN_OFF = "written_off"
    VOIDED = "voided"
    CLOSED_UNNUMBERED = "closed_unnumbered"
    """Every figure of it is zero: it is closed without a number (decision 31)."""
    DELETED = "deleted"

    @property
    def meta(self) -> str:
        """The text before the first dot."""
        return self.value.partition(".")[0]

    @property
    def is_mutable(self) -> bool:
        """Whether lines can still be added and deleted."""
        return self.meta == "draft"

    @property
    def is_payable(self) -> bool:
        """Whether the invoice was issued, so that money can be reported for it."""
        return self.meta in {"issued", "payment_processing", "paid", "written_off", "voided"}


class InvoiceTrigger(StrEnum):
    """What moves an invoice, and the operations on it. `next` is the built-in continuation."""

    CREATE = "create"
    NEXT = "next"
    FAILED = "failed"
    """A charge or the outside refused what the present step asked of it."""
    RETRY = "retry"
    APPROVE = "approve"
    LINE_ADDED = "line_added"
    UPDATE_LINE = "update_line"
    EDIT_LINE = "edit_line"
    DELETE_LINE = "delete_line"
    DESCRIBE = "describe"
    DELETE = "delete"
    AUTHORIZED = "authorized"
    PAID = "paid"
    PAYMENT_FAILED = "payment_failed"
    WRITE_OFF = "write_off"
    CREDIT = "credit"
    VOID = "void"


class NothingDue(StrEnum):
    """What becomes of an issued invoice with figures and nothing to pay: 5.00 of usage, 5.00 of credit, 0.00 due."""

    PAID = "paid"
    """It is paid as soon as it is issued: there is nobody to wait for."""
    PENDING = "pending"
    """It waits for a payment report like any other, as the reference does."""
