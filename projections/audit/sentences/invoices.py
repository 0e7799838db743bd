"""What happened to an invoice, and which numbers were given out, in a sentence."""

from __future__ import annotations

from decimal import Decimal

from aggregates.event import AnyRecorded, Recorded
from aggregates.invoices import events as e
from aggregates.invoices.events import InvoiceEvent
from aggregates.values.money import Currency
from projections.audit import words
from projections.audit.known import Known


def sentence(record: Recorded[InvoiceEvent], known: Known) -> str:
    """The sentence of one event of an invoice."""
    currency = known.currency(record.stream)
    drafting = _drafting(record.body, currency)
    if drafting is not None:
        return drafting
    paying = _paying(record.body, currency)
    return paying if paying is not None else _issuing(record.body, currency)


def number(record: AnyRecorded) -> str:
    """The sentence of a number given to a document (`number_series.number_drawn.v1`)."""
    drawn = record.body
    return f"Number {drawn.number.text} given to {words.spaced(drawn.kind.value)} {words.short(drawn.document)}"


def _drafting(body: InvoiceEvent, currency: Currency | None) -> str | None:
    """Until an invoice is approved."""
    match body:
        case e.InvoiceDrafted(lines=lines):
            names = words.listed(f"'{line.content.name}'" for line in lines)
            return f"Invoice drafted with {names}" if lines else "Invoice drafted"
        case e.LineAdded(line=line):
            return f"Line '{line.content.name}' added: {words.amount(line.content.totals.total, currency)}"
        case e.LineUpdated(content=content):
            return f"Line '{content.name}' brought up to date: {words.amount(content.totals.total, currency)}"
        case e.LineDeleted(line_id=line, reason=reason):
            return f"Line {words.short(line)} removed, because {words.spaced(reason.value)}"
        case e.InvoiceDescribed(description=description):
            return f"Described as '{description}'" if description else "Its description was taken away"
        case e.CollectionAwaited(collection_at=at):
            return f"Waiting for late usage until {words.moment(at)}" if at else "Waiting for late usage"
        case e.CollectionStarted():
            return "Late usage is being collected"
        case e.ApprovalAwaited():
            return "Waiting for approval"
        case e.InvoiceDeleted(reason=reason):
            return f"Invoice deleted before it was issued, because {words.spaced(reason.value)}"
        case e.InvoiceApproved(by=by):
            return f"Invoice approved by the {words.spaced(by.value)}"
        case _:
            return None


def _issuing(body: InvoiceEvent, currency: Currency | None) -> str:
    """From approval to the issued document, and what takes it back."""
    match body:
        case e.LinesFinalized():
            return "Its lines are final"
        case e.TaxCalculated(lines=lines):
            tax = words.amount(sum((line.tax.amount for line in lines), Decimal(0)), currency)
            return f"Tax of {tax} calculated" if lines else "No tax was calculated"
        case e.BookingStarted():
            return "Its amounts are being booked"
        case e.StepFailed(issues=issues):
            return f"Stopped: {words.listed(issue.message for issue in issues)}"
        case e.StepRetried():
            return "Tried again"
        case e.InvoiceIssued() as issued:
            return f"Invoice {issued.number.text} issued on {issued.issue_date}, due on {issued.due_date}"
        case e.InvoiceClosedUnnumbered():
            return "Nothing is to be paid: closed without a number"
        case e.PaymentAwaited():
            return "Waiting for payment"
        case e.InvoiceWarned(issue=issue):
            return f"Warning: {issue.message}"
        case e.CreditNoteIssued(credit_note=note):
            took = words.amount(note.total, currency)
            return f"Credit note {note.number.text} took back {took} of invoice {note.invoice_number}"
        case e.InvoiceVoided(reason=reason):
            return "Invoice voided: all of it was credited" + _because(reason)
        case _:
            raise AssertionError(f"{type(body).__name__} is told elsewhere")


def _because(reason: str | None) -> str:
    return f", because {reason}" if reason else ""


def _paying(body: InvoiceEvent, currency: Currency | None) -> str | None:
    """Payments, and what becomes of what is not paid."""
    match body:
        case e.PaymentAuthorized(amount=amount):
            return f"Payment of {words.amount(amount, currency)} authorised"
        case e.PaymentSettled(amount=amount, excess=excess):
            beyond = f", {words.amount(excess, currency)} more than was owed" if excess else ""
            return f"Payment of {words.amount(amount, currency)} arrived{beyond}"
        case e.PaymentFailed(reason=reason):
            return "Payment failed" + _because(reason)
        case e.InvoicePartiallyPaid():
            return "Invoice partly paid"
        case e.InvoicePaid():
            return "Invoice paid"
        case e.InvoiceWrittenOff(amount=amount, reason=reason):
            return f"{words.amount(amount, currency)} written off" + _because(reason)
        case e.UnappliedCreditUsed(amount=amount, set_off=run) if run is not None:
            return f"{words.amount(amount, currency)} that were paid are credit of the customer now"
        case e.UnappliedCreditUsed(amount=amount, invoice_id=invoice, as_credit=as_credit):
            used = f"set against invoice {words.short(invoice)}" if invoice else "refunded"
            used = "turned into credit" if as_credit else used
            return f"{words.amount(amount, currency)} of unapplied credit {used}"
        case _:
            return None
