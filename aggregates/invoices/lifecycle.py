"""The lifecycle of an invoice, as two tables (lifecycles §17.3): the path, and which operations each status permits.

Work notes what the charges of the lines have to be told; advancing stops there, until they have answered. Worked: a
fee of 5.00 of which credit covers 2.00 waits for nothing, is approved, books 3.00, and asks for 3.00.
"""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from aggregates.invoices.effects import LineCollected, LineFinalizing, LineIssued, SyncRequested
from aggregates.invoices.events import (
    ApprovalAwaited,
    Approver,
    BookingStarted,
    CollectionAwaited,
    CollectionStarted,
    InvoiceApproved,
    InvoiceClosedUnnumbered,
    InvoiceIssued,
    InvoicePaid,
    InvoicePartiallyPaid,
    InvoiceVoided,
    LinesFinalized,
    PaymentAwaited,
    StepRetried,
)
from aggregates.invoices.numbering import DocumentKind, draw
from aggregates.invoices.refusals import InvoiceOperationRefused
from aggregates.invoices.settlement import apply_unapplied_credit
from aggregates.invoices.statuses import InvoiceStatus, InvoiceTrigger, NothingDue
from aggregates.invoices.tax import record_tax
from aggregates.invoices.turn import InvoiceRow, InvoiceTurn
from aggregates.lifecycle import Cell, Lifecycle, Permissions, always

# ── guards ───────────────────────────────────────────────────────────────────────────────────────────────────


def collection_is_complete(turn: InvoiceTurn) -> bool:
    """The clock has reached the last instant that a line waits for; lines without one do not wait."""
    collection_at = turn.invoice.collection_at
    return collection_at is None or turn.now >= collection_at


def approves_itself(turn: InvoiceTurn) -> bool:
    """The customer's profile approves invoices by itself."""
    return turn.facts.auto_approve


def somebody_approves(turn: InvoiceTurn) -> bool:
    """The customer's profile leaves the approval to a person."""
    return not turn.facts.auto_approve


def says_nothing(turn: InvoiceTurn) -> bool:
    """Every figure is zero."""
    return turn.invoice.says_nothing


def says_something(turn: InvoiceTurn) -> bool:
    """Some figure is not zero."""
    return not turn.invoice.says_nothing


def nothing_is_paid(turn: InvoiceTurn) -> bool:
    """Something is open and nothing of it has arrived; or nothing ever was due, and the policy waits all the same."""
    invoice = turn.invoice
    if not invoice.payable:
        return turn.facts.nothing_due is NothingDue.PENDING
    return invoice.open > 0 and not invoice.paid


def some_is_paid(turn: InvoiceTurn) -> bool:
    """Something has arrived and something is open."""
    return turn.invoice.open > 0 and turn.invoice.paid > 0


def nothing_is_open(turn: InvoiceTurn) -> bool:
    """Nothing is open, nothing is written off, and not all of it was credited."""
    invoice = turn.invoice
    return not invoice.open and not invoice.written_off and not all_is_credited(turn)


def all_is_paid(turn: InvoiceTurn) -> bool:
    """Nothing is open when the invoice is issued: credit covered it, or unapplied credit did."""
    return nothing_is_open(turn) and not nothing_is_paid(turn)


def all_is_credited(turn: InvoiceTurn) -> bool:
    """Credit notes took back the whole of what the invoice asked for."""
    invoice = turn.invoice
    return invoice.payable > 0 and invoice.credited == invoice.payable


# ── work: while it is a draft ────────────────────────────────────────────────────────────────────────────────


def await_collection(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """Wait for usage that is stored late."""
    turn.emit(CollectionAwaited(collection_at=turn.invoice.collection_at, moved=turn.walked(row)))


def collect(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """Let the charges of all lines that were not collected yet rate them for the last time."""
    turn.emit(CollectionStarted(moved=turn.walked(row)))
    _tell_uncollected(turn)


def _tell_uncollected(turn: InvoiceTurn) -> None:
    for line in turn.invoice.live_lines:
        if not line.collected:
            turn.tell(LineCollected, line)


def await_approval(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """Leave it to somebody to approve."""
    turn.emit(ApprovalAwaited(moved=turn.walked(row)))


def approve_by_itself(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """Approve as the billing profile says, and finalise the lines."""
    _approve(turn, row, Approver.AUTOMATIC)


def approve(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """Approve in somebody's name, and finalise the lines."""
    _approve(turn, row, Approver.PERSON)


def _approve(turn: InvoiceTurn, row: InvoiceRow, by: Approver) -> None:
    turn.emit(InvoiceApproved(by=by, moved=turn.walked(row)))
    _tell_finalizing(turn)


def _tell_finalizing(turn: InvoiceTurn) -> None:
    for line in turn.invoice.live_lines:
        turn.tell(LineFinalizing, line, totals=line.totals)


# ── work: while it is issued ─────────────────────────────────────────────────────────────────────────────────


def ask_outside(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """The lines are final: let the outside take the invoice before anything is booked."""
    turn.emit(LinesFinalized(moved=turn.walked(row)))
    _tell_outside(turn)


def _tell_outside(turn: InvoiceTurn) -> None:
    turn.notices.append(SyncRequested(customer=turn.invoice.customer, invoice_id=turn.invoice_id))


def book(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """Record the tax that was calculated, and let the charges book what is invoiced."""
    record_tax(turn)
    turn.emit(BookingStarted(moved=turn.walked(row)))
    _tell_issued(turn)


def _tell_issued(turn: InvoiceTurn) -> None:
    invoice = turn.invoice
    for line in invoice.live_lines:
        turn.tell(
            LineIssued,
            line,
            period=line.content.period,
            totals=line.totals,
            tax_amount=line.tax_amount,
            credits_applied=line.content.credits_applied,
            currency=invoice.currency,
        )


def issue(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """Draw the number, fix dates and parties, and set the customer's unapplied credit against what is due."""
    facts, invoice = turn.facts, turn.invoice
    zone = ZoneInfo(facts.zone)
    issue_date = turn.now.astimezone(zone).date()
    # A period is half open: what ends at midnight was last served the day before.
    served_until = max(
        max(line.content.period.from_, line.content.period.to - timedelta(seconds=1)) for line in invoice.live_lines
    )
    turn.emit(
        InvoiceIssued(
            number=draw(turn.draft, facts.invoice_series, DocumentKind.INVOICE, invoice.id),
            issue_date=issue_date,
            due_date=facts.payment_terms.after(turn.now, facts.zone).astimezone(zone).date(),
            tax_point=min(issue_date, served_until.astimezone(zone).date()),
            seller=facts.seller,
            buyer=facts.buyer,
            moved=turn.walked(row),
        )
    )
    apply_unapplied_credit(turn)


def close_unnumbered(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """Close what says nothing; no number is spent on it."""
    turn.emit(InvoiceClosedUnnumbered(moved=turn.walked(row)))


def await_payment(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """Wait for the money."""
    turn.emit(PaymentAwaited(moved=turn.walked(row)))


# ── work: repeats and money ──────────────────────────────────────────────────────────────────────────────────


def collect_again(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """Tell the charges again that collection is complete; those that have acted upon it do nothing."""
    turn.emit(StepRetried(moved=turn.walked(row)))
    _tell_uncollected(turn)


def finalize_again(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """Finalise the lines again; fiat credit that was allocated is not allocated twice."""
    turn.emit(StepRetried(moved=turn.walked(row)))
    _tell_finalizing(turn)


def ask_outside_again(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """Ask the outside again."""
    turn.emit(StepRetried(moved=turn.walked(row)))
    _tell_outside(turn)


def book_again(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """Let the charges book again; what is booked is not booked twice."""
    turn.emit(StepRetried(moved=turn.walked(row)))
    _tell_issued(turn)


def note_paid(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """Nothing is due any more."""
    turn.emit(InvoicePaid(moved=turn.walked(row)))


def note_partially_paid(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """Some of it is there."""
    turn.emit(InvoicePartiallyPaid(moved=turn.walked(row)))


def note_voided(turn: InvoiceTurn, row: InvoiceRow) -> None:
    """Nothing is left of the invoice."""
    turn.emit(InvoiceVoided(moved=turn.walked(row)))


# ── the tables ───────────────────────────────────────────────────────────────────────────────────────────────

CREATED = InvoiceStatus.DRAFT_CREATED
WAITING = InvoiceStatus.DRAFT_WAITING_FOR_COLLECTION
COLLECTING = InvoiceStatus.DRAFT_COLLECTING
INVALID = InvoiceStatus.DRAFT_INVALID
APPROVAL = InvoiceStatus.DRAFT_MANUAL_APPROVAL_NEEDED
FINALIZING = InvoiceStatus.ISSUING_FINALIZING_LINES
FINALIZING_FAILED = InvoiceStatus.ISSUING_FINALIZING_FAILED
SYNCING = InvoiceStatus.ISSUING_SYNCING
SYNC_FAILED = InvoiceStatus.ISSUING_SYNC_FAILED
BOOKING = InvoiceStatus.ISSUING_BOOKING
BOOKING_FAILED = InvoiceStatus.ISSUING_BOOKING_FAILED
ISSUED = InvoiceStatus.ISSUED
PENDING = InvoiceStatus.PAYMENT_PENDING
AUTHORIZED = InvoiceStatus.PAYMENT_AUTHORIZED
PARTLY = InvoiceStatus.PARTIALLY_PAID
UNPAID = InvoiceStatus.PAYMENT_FAILED
PAID = InvoiceStatus.PAID
WRITTEN_OFF = InvoiceStatus.WRITTEN_OFF
VOIDED = InvoiceStatus.VOIDED
CLOSED = InvoiceStatus.CLOSED_UNNUMBERED
DELETED = InvoiceStatus.DELETED

On = InvoiceTrigger
Row = InvoiceRow

# fmt: off
PATH = Lifecycle[InvoiceStatus, InvoiceTrigger, InvoiceTurn, InvoiceRow]("invoice", (
    #   rule  from               on          to            when                    then
    Row("D1", CREATED,           On.NEXT,    WAITING,      always,                 await_collection),
    Row("D2", WAITING,           On.NEXT,    COLLECTING,   collection_is_complete, collect),
    Row("D3", COLLECTING,        On.NEXT,    APPROVAL,     somebody_approves,      await_approval),
    Row("D4", COLLECTING,        On.NEXT,    FINALIZING,   approves_itself,        approve_by_itself),
    Row("D5", APPROVAL,          On.APPROVE, FINALIZING,   always,                 approve),
    Row("D6", INVALID,           On.RETRY,   COLLECTING,   always,                 collect_again),
    Row("I1", FINALIZING,        On.NEXT,    SYNCING,      always,                 ask_outside),
    Row("I2", SYNCING,           On.NEXT,    BOOKING,      always,                 book),
    Row("I3", BOOKING,           On.NEXT,    CLOSED,       says_nothing,           close_unnumbered),
    Row("I4", BOOKING,           On.NEXT,    ISSUED,       says_something,         issue),
    Row("I5", ISSUED,            On.NEXT,    PENDING,      nothing_is_paid,        await_payment),
    # What the customer has left over from other invoices may have paid some of it, or all, on the way.
    Row("I6", ISSUED,            On.NEXT,    PARTLY,       some_is_paid,           note_partially_paid),
    Row("I7", ISSUED,            On.NEXT,    PAID,         all_is_paid,            note_paid),
    # A failed step is repeated as a whole: whoever acted upon it the first time does nothing the second.
    Row("I8", FINALIZING_FAILED, On.RETRY,   FINALIZING,   always,                 finalize_again),
    Row("I9", SYNC_FAILED,       On.RETRY,   SYNCING,      always,                 ask_outside_again),
    Row("I10", BOOKING_FAILED,   On.RETRY,   BOOKING,      always,                 book_again),
    # Money is recorded as a fact first; the row then reads what it came to. Without a row the status stays.
    Row("P1", PENDING,           On.PAID,    PAID,         nothing_is_open,        note_paid),
    Row("P2", PENDING,           On.PAID,    PARTLY,       some_is_paid,           note_partially_paid),
    Row("P3", AUTHORIZED,        On.PAID,    PAID,         nothing_is_open,        note_paid),
    Row("P4", AUTHORIZED,        On.PAID,    PARTLY,       some_is_paid,           note_partially_paid),
    Row("P5", PARTLY,            On.PAID,    PAID,         nothing_is_open,        note_paid),
    Row("P6", UNPAID,            On.PAID,    PAID,         nothing_is_open,        note_paid),
    Row("P7", UNPAID,            On.PAID,    PARTLY,       some_is_paid,           note_partially_paid),
    Row("P8", WRITTEN_OFF,       On.PAID,    PAID,         nothing_is_open,        note_paid),
    Row("C1", PENDING,           On.CREDIT,  VOIDED,       all_is_credited,        note_voided),
    Row("C2", AUTHORIZED,        On.CREDIT,  VOIDED,       all_is_credited,        note_voided),
    Row("C3", PARTLY,            On.CREDIT,  VOIDED,       all_is_credited,        note_voided),
    Row("C4", PARTLY,            On.CREDIT,  PAID,         nothing_is_open,        note_paid),
    Row("C5", UNPAID,            On.CREDIT,  VOIDED,       all_is_credited,        note_voided),
    Row("C6", UNPAID,            On.CREDIT,  PAID,         nothing_is_open,        note_paid),
    Row("C7", PAID,              On.CREDIT,  VOIDED,       all_is_credited,        note_voided),
    Row("C8", WRITTEN_OFF,       On.CREDIT,  VOIDED,       all_is_credited,        note_voided),
    Row("C9", WRITTEN_OFF,       On.CREDIT,  PAID,         nothing_is_open,        note_paid),
    Row("C10", AUTHORIZED,       On.CREDIT,  PAID,         nothing_is_open,        note_paid),
))

FAILED_AT = {
    COLLECTING: INVALID, FINALIZING: FINALIZING_FAILED, SYNCING: SYNC_FAILED, BOOKING: BOOKING_FAILED,
}
"""Where a step goes that failed."""

# What holds in every row: deleting the last live line of a draft deletes the invoice; a line that is to go from an
# immutable invoice is credited or warned about, whatever the status. A payment that was reported is never refused
# for its amount once the invoice is issued.
OPERATIONS = Permissions[InvoiceStatus, InvoiceTrigger](
    "invoice",
    (On.LINE_ADDED, On.UPDATE_LINE, On.EDIT_LINE, On.DELETE_LINE, On.DESCRIBE, On.DELETE, On.FAILED,
     On.AUTHORIZED, On.PAID, On.PAYMENT_FAILED, On.WRITE_OFF, On.CREDIT, On.VOID),
    {
        #                   add  update edit  delete  describe delete fails  authorized paid pay   write credit void
        #                   line line   line  line                                           fails off
        CREATED:           "A    A      A     A       A        A      R      R          R    R     R     R      R",
        WAITING:           "A    A      A     A       A        A      R      R          R    R     R     R      R",
        COLLECTING:        "R    A      R     A       A        A      A      R          R    R     R     R      R",
        INVALID:           "A    A      A     A       A        A      R      R          R    R     R     R      R",
        APPROVAL:          "A    A      A     A       A        A      R      R          R    R     R     R      R",
        FINALIZING:        "R    A      R     R       R        R      A      R          R    R     R     R      R",
        FINALIZING_FAILED: "R    R      R     R       A        R      R      R          R    R     R     R      R",
        SYNCING:           "R    R      R     R       R        R      A      R          R    R     R     R      R",
        SYNC_FAILED:       "R    R      R     R       A        R      R      R          R    R     R     R      R",
        BOOKING:           "R    R      R     R       R        R      A      R          R    R     R     R      R",
        BOOKING_FAILED:    "R    R      R     R       A        R      R      R          R    R     R     R      R",
        ISSUED:            "R    R      R     R       R        R      R      R          R    R     R     R      R",
        PENDING:           "R    R      R     R       R        R      R      A          A    A     A     A      A",
        AUTHORIZED:        "R    R      R     R       R        R      R      A          A    A     R     A      A",
        PARTLY:            "R    R      R     R       R        R      R      A          A    A     A     A      A",
        UNPAID:            "R    R      R     R       R        R      R      A          A    A     A     A      A",
        PAID:              "R    R      R     R       R        R      R      R          A    R     R     A      A",
        WRITTEN_OFF:       "R    R      R     R       R        R      R      R          A    R     R     A      A",
        VOIDED:            "R    R      R     R       R        R      R      R          A    R     R     R      R",
        CLOSED:            "R    R      R     R       R        R      R      R          R    R     R     A      R",
        DELETED:           "R    R      R     R       R        R      R      R          R    R     R     R      R",
    },
    leads_to={
        On.LINE_ADDED: (CREATED,),
        On.DELETE_LINE: (DELETED,),
        On.DELETE: (DELETED,),
        On.FAILED: tuple(FAILED_AT.values()),
        On.AUTHORIZED: (AUTHORIZED,),
        On.PAYMENT_FAILED: (UNPAID,),
        On.WRITE_OFF: (WRITTEN_OFF,),
        On.VOID: (VOIDED,),
    },
)
# fmt: on


def require(turn: InvoiceTurn, operation: InvoiceTrigger) -> None:
    """Raise `InvoiceOperationRefused` unless the status permits the operation."""
    status = turn.invoice.status
    if OPERATIONS.cell(status, operation) is not Cell.APPLY:
        raise InvoiceOperationRefused(operation.value, status.value, turn.invoice_id)


def fire(turn: InvoiceTurn, trigger: InvoiceTrigger) -> None:
    """Walk the row of the trigger. Raises `InvoiceOperationRefused` when there is none."""
    status = turn.invoice.status
    row = PATH.permitted(status, trigger, turn)
    if row is None:
        raise InvoiceOperationRefused(trigger.value, status.value, turn.invoice_id)
    row.then(turn, row)


def follow(turn: InvoiceTurn, trigger: InvoiceTrigger) -> None:
    """Walk the row of the trigger where there is one; the status stays where there is none."""
    row = PATH.permitted(turn.invoice.status, trigger, turn)
    if row is not None:
        row.then(turn, row)
