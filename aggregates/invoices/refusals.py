"""Why invoices refuse: one class per rule, each with its stable code (lifecycles §21, decisions 22, 23, 27)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from aggregates.values.errors import CommandRefused, Conflict, InvalidCommand, NotFound


@dataclass(eq=False)
class InvoiceNotFound(NotFound):
    """No invoice of that id."""

    code: ClassVar[str] = "invoice_not_found"
    kind: ClassVar[str] = "invoice"


@dataclass(eq=False)
class LineNotFound(NotFound):
    """No live line of that id on the invoice; a missing one is an error at once (R-02)."""

    code: ClassVar[str] = "line_not_found"
    kind: ClassVar[str] = "invoice line"


@dataclass(eq=False)
class InvoiceOperationRefused(CommandRefused):
    """The invoice's status does not permit the operation (lifecycles §4.1)."""

    code: ClassVar[str] = "unsupported_operation"
    text: ClassVar[str] = "invoice {invoice_id} is {status!r}, which does not permit {trigger!r}"
    trigger: str = ""
    status: str = ""
    invoice_id: object = None


@dataclass(eq=False)
class CannotUpdateChargeManagedLine(InvalidCommand):
    """The line follows its charge and is not editable; change the charge (lifecycles §10.1, §11.3)."""

    code: ClassVar[str] = "cannot_update_charge_managed_line"
    text: ClassVar[str] = "line {line_id} follows charge {charge_id}; change the charge instead"
    line_id: object = None
    charge_id: object = None


@dataclass(eq=False)
class LineZeroAmountDeleteInstead(InvalidCommand):
    """An edit would bring the line to zero; delete it instead (lifecycles §10.1)."""

    code: ClassVar[str] = "line_zero_amount_delete_instead"
    text: ClassVar[str] = "line {line_id} would be zero; delete it instead"
    line_id: object = None


@dataclass(eq=False)
class AuthorizationExceedsInvoice(CommandRefused):
    """More was to be authorised than the invoice still asks for, tax included (decision 27)."""

    code: ClassVar[str] = "authorization_exceeds_accrued"
    text: ClassVar[str] = "cannot authorize {asked}: {open} of invoice {invoice_id} is open and not yet authorized"
    asked: object = None
    open: object = None
    invoice_id: object = None


@dataclass(eq=False)
class InvoiceAlreadyAuthorized(InvalidCommand):
    """All that is open is authorised already (lifecycles §13)."""

    code: ClassVar[str] = "payment_already_authorized"
    text: ClassVar[str] = "all that is open of invoice {invoice_id} is authorized already"
    invoice_id: object = None


@dataclass(eq=False)
class InvoiceAlreadySettled(InvalidCommand):
    """Nothing is open; money that arrives all the same is reported with its amount (lifecycles §13)."""

    code: ClassVar[str] = "payment_already_settled"
    text: ClassVar[str] = "nothing is open of invoice {invoice_id}; report an amount if more arrived"
    invoice_id: object = None


@dataclass(eq=False)
class PaymentReferenceInUse(Conflict):
    """A payment of that reference was reported with another amount."""

    code: ClassVar[str] = "reference_in_use"
    text: ClassVar[str] = "payment {reference!r} of invoice {invoice_id} was {kind} with {recorded}, not {asked}"
    reference: str = ""
    kind: str = ""
    recorded: object = None
    asked: object = None
    invoice_id: object = None


@dataclass(eq=False)
class PromisedPaymentStands(CommandRefused):
    """What is promised cannot be written off; report the payment as failed first (decision 22)."""

    code: ClassVar[str] = "precondition_failed"
    text: ClassVar[str] = "{authorized} of invoice {invoice_id} is authorized; report that payment as failed first"
    authorized: object = None
    invoice_id: object = None


@dataclass(eq=False)
class NothingOpen(CommandRefused):
    """There is nothing to write off."""

    code: ClassVar[str] = "precondition_failed"
    text: ClassVar[str] = "nothing is open of invoice {invoice_id}"
    invoice_id: object = None


@dataclass(eq=False)
class CreditNotesUnavailable(CommandRefused):
    """Issued lines cannot be corrected in this namespace (policy `credit_notes`)."""

    code: ClassVar[str] = "immutable_invoice_handling_not_supported"
    text: ClassVar[str] = "invoice {invoice_id} is immutable and credit notes are off; switch the policy on"
    invoice_id: object = None


@dataclass(eq=False)
class IssuedLineStands(CreditNotesUnavailable):
    """Credit that was sold on an issued line cannot be taken back with its price where nothing can be credited."""

    text: ClassVar[str] = (
        "invoice {invoice_id} is immutable and credit notes are off: {beyond} of its line cannot be taken back; switch "
        "the policy on, or take the credit back with payment_adjustment none and refund its price once that is paid"
    )
    beyond: object = None


@dataclass(eq=False)
class PurchaseLineFollowsCredit(CannotUpdateChargeManagedLine):
    """A line that sells credit is credited with the credit that is taken back (decision 37)."""

    text: ClassVar[str] = (
        "line {line_id} sells credit: take credit of purchase {charge_id} back with credits.reduce or credits.void, "
        "and its price is credited; name the other lines to credit those"
    )


@dataclass(eq=False)
class CreditExceedsLine(CommandRefused):
    """More was to be credited than is left of the line (decision 23)."""

    code: ClassVar[str] = "credit_exceeds_accrued"
    text: ClassVar[str] = "cannot credit {asked}: {left} is left of line {line_id}"
    asked: object = None
    left: object = None
    line_id: object = None


@dataclass(eq=False)
class UnappliedCreditExceeded(CommandRefused):
    """More unapplied credit was to be used than there is."""

    code: ClassVar[str] = "insufficient_funds"
    text: ClassVar[str] = "cannot use {asked}: {left} of unapplied credit is left on invoice {invoice_id}"
    asked: object = None
    left: object = None
    invoice_id: object = None


@dataclass(eq=False)
class UnhandledInvoiceEffects(CommandRefused):
    """Rounds of effects did not come to an end (lifecycles §4.3): a defect, never input."""

    code: ClassVar[str] = "unhandled_invoice_effects"
    text: ClassVar[str] = "invoice {invoice_id}: still effects after {rounds} rounds"
    invoice_id: object = None
    rounds: int = 0
