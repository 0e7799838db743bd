"""An invoice as its events have made it: status, lines, the document it became, and what is open of it.

Lines are in order of creation, deleted ones included. Figures of the invoice are sums over its live lines, so they
cannot disagree: `total = paid + credited + written_off + open`, at every moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import assert_never
from uuid import UUID

import msgspec

from aggregates.event import Recorded, Stream
from aggregates.invoices.documents import CreditNote, Issue, Issued, Severity
from aggregates.invoices.effects import PaymentSource
from aggregates.invoices.events import (
    ApprovalAwaited,
    Approver,
    BookingStarted,
    CollectionAwaited,
    CollectionStarted,
    CreditNoteIssued,
    InvoiceApproved,
    InvoiceClosedUnnumbered,
    InvoiceDeleted,
    InvoiceDescribed,
    InvoiceDrafted,
    InvoiceEvent,
    InvoiceIssued,
    InvoicePaid,
    InvoicePartiallyPaid,
    InvoiceVoided,
    InvoiceWarned,
    InvoiceWrittenOff,
    LineAdded,
    LineDeleted,
    LinesFinalized,
    LineShare,
    LineUpdated,
    Moved,
    PaymentAuthorized,
    PaymentAwaited,
    PaymentFailed,
    PaymentSettled,
    StepFailed,
    StepRetried,
    TaxCalculated,
    UnappliedCreditUsed,
)
from aggregates.invoices.lines import InvoiceLine, Part, Portion, line_of
from aggregates.invoices.statuses import InvoiceStatus
from aggregates.values.decimals import ZERO, exact
from aggregates.values.money import Currency
from aggregates.values.period import Instant
from aggregates.values.totals import Totals, sum_totals


class PaymentRecord(Part, frozen=True, kw_only=True):
    """A payment as it was reported: promised, arrived, or failed; `amount` is all of it, whatever it went to."""

    kind: str
    amount: Decimal
    at: datetime
    reference: str | None = None
    source: PaymentSource = PaymentSource.PAYMENT


AUTHORIZED, SETTLED, FAILED = "authorized", "settled", "failed"


class Invoice(Part, frozen=True, kw_only=True):
    """An invoice of one customer in one fiat currency.

    `unapplied` is the customer's credit that arose here, by paying too much or by crediting what was paid, and that
    was not used yet. `taxed`: somebody calculated tax; without that the invoice shows none and says so.
    """

    id: UUID
    namespace: str
    customer: str
    currency: Currency
    status: InvoiceStatus
    lines: tuple[InvoiceLine, ...]
    description: str | None = None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    approved_by: Approver | None = None
    taxed: bool = False
    issued: Issued | None = None
    payments: tuple[PaymentRecord, ...] = ()
    credit_notes: tuple[CreditNote, ...] = ()
    unapplied: Decimal = ZERO
    issues: tuple[Issue, ...] = ()

    @property
    def stream(self) -> Stream:
        """The stream the invoice's events are in."""
        return stream(self.id, self.customer)

    @property
    def live_lines(self) -> tuple[InvoiceLine, ...]:
        """The lines that count, in order of creation."""
        return tuple(line for line in self.lines if line.is_live)

    def line(self, line_id: UUID) -> InvoiceLine | None:
        """The line of that id, deleted or not."""
        return next((line for line in self.lines if line.line_id == line_id), None)

    @property
    def collection_at(self) -> Instant | None:
        """From when on the invoice can be collected: the latest of its lines; None when none has to wait (§17.3)."""
        moments = [line.content.collected_after for line in self.live_lines]
        return max((moment for moment in moments if moment is not None), default=None)

    @property
    def advance_after(self) -> Instant | None:
        """The instant at which the clock alone will move the invoice; None when it will not."""
        waits = self.status is InvoiceStatus.DRAFT_WAITING_FOR_COLLECTION
        return self.collection_at if waits else None

    @property
    def totals(self) -> Totals:
        """The sums of the live lines, before tax."""
        return sum_totals(line.totals for line in self.live_lines)

    @property
    def tax_total(self) -> Decimal:
        """The tax on top of `totals.total`; zero where none was calculated."""
        return self._sum(lambda line: line.tax_amount)

    @property
    def payable(self) -> Decimal:
        """What the document asks for: total and tax."""
        return self._sum(lambda line: line.payable.amount)

    @property
    def authorized(self) -> Decimal:
        """What is promised and has not arrived; a part of what is open."""
        return self._sum(lambda line: line.authorized.amount)

    @property
    def paid(self) -> Decimal:
        """What arrived and was applied to the lines."""
        return self._sum(lambda line: line.paid.amount)

    @property
    def credited(self) -> Decimal:
        """What credit notes took back."""
        return self._sum(lambda line: line.credited.amount)

    @property
    def written_off(self) -> Decimal:
        """What was given up and did not arrive after all."""
        return self._sum(lambda line: line.written_off.amount)

    @property
    def open(self) -> Decimal:
        """What is still to be paid."""
        return self._sum(lambda line: line.open.amount)

    @property
    def says_nothing(self) -> bool:
        """Whether every figure of every line is zero, tax included (decision 31)."""
        return all(line.totals == Totals() and not line.tax_amount for line in self.live_lines)

    def is_overdue(self, day: date) -> bool:
        """Whether something is open after the due date."""
        return self.issued is not None and self.open > 0 and day > self.issued.due_date

    @exact
    def _sum(self, figure: Callable[[InvoiceLine], Decimal]) -> Decimal:
        return sum((figure(line) for line in self.live_lines), ZERO)


def stream(invoice_id: UUID, customer: str) -> Stream:
    """The stream of one invoice."""
    return Stream("invoice", invoice_id, customer)


def fold(state: Invoice | None, records: Iterable[Recorded[InvoiceEvent]]) -> Invoice | None:
    """Fold many events, oldest first."""
    for record in records:
        state = evolve(state, record)
    return state


@exact
def evolve(state: Invoice | None, record: Recorded[InvoiceEvent]) -> Invoice:
    """Fold one event into the invoice. Refuses nothing: what was decided is in the event."""
    body = record.body
    if isinstance(body, InvoiceDrafted):
        return Invoice(
            id=record.stream,
            namespace=record.namespace,
            customer=record.customer or "",
            currency=body.currency,
            status=body.moved.status_to,
            lines=tuple(line_of(line) for line in body.lines),
            description=body.description,
            created_at=record.at,
            updated_at=record.at,
        )
    assert state is not None, f"invoice {record.stream}: {type(body).__name__} before it was drafted"
    changes = _changes(state, body, record.at)
    moved: Moved | None = getattr(body, "moved", None)
    if moved is not None:
        changes["status"] = moved.status_to
    return msgspec.structs.replace(state, updated_at=record.at, **changes)


def _changes(state: Invoice, body: InvoiceEvent, at: datetime) -> dict[str, object]:
    """What the event changes besides the status."""
    match body:
        case InvoiceDrafted() | CollectionAwaited() | CollectionStarted() | LinesFinalized() | BookingStarted():
            return {}
        case InvoiceClosedUnnumbered() | PaymentAwaited() | InvoicePartiallyPaid() | InvoicePaid() | InvoiceVoided():
            return {}
        case ApprovalAwaited():
            return {"lines": _collected(state)}
        case InvoiceApproved():
            return {"lines": _collected(state), "approved_by": body.by}
        case InvoiceDescribed():
            return {"description": body.description}
        case StepFailed():
            return {"issues": (*state.issues, *body.issues)}
        case StepRetried():
            return {"issues": tuple(i for i in state.issues if i.severity is not Severity.CRITICAL)}
        case InvoiceWarned():
            return {"issues": (*state.issues, body.issue)}
        case LineAdded() | LineUpdated() | LineDeleted() | InvoiceDeleted() | TaxCalculated():
            return _of_lines(state, body)
        case InvoiceIssued():
            return {"issued": _issued(body, at)}
        case _:
            return _of_money(state, body, at)


def _of_lines(
    state: Invoice, body: LineAdded | LineUpdated | LineDeleted | InvoiceDeleted | TaxCalculated
) -> dict[str, object]:
    match body:
        case LineAdded():
            return {"lines": (*state.lines, line_of(body.line))}
        case LineUpdated():
            line = state.line(body.line_id)
            run_id = body.run_id or (line.run_id if line is not None else None)
            return {"lines": _with(state, body.line_id, content=body.content, run_id=run_id)}
        case LineDeleted():
            return {"lines": _with(state, body.line_id, deleted_at=body.deleted_at)}
        case InvoiceDeleted():
            gone = set(body.lines)
            lines = (
                msgspec.structs.replace(line, deleted_at=body.deleted_at) if line.line_id in gone else line
                for line in state.lines
            )
            return {"lines": tuple(lines), "deleted_at": body.deleted_at}
        case TaxCalculated():
            taxes = {taxed.line_id: taxed.tax for taxed in body.lines}
            lines = (msgspec.structs.replace(line, tax=taxes.get(line.line_id)) for line in state.lines)
            return {"lines": tuple(lines), "taxed": True}


def _of_money(
    state: Invoice,
    body: PaymentAuthorized
    | PaymentSettled
    | PaymentFailed
    | InvoiceWrittenOff
    | CreditNoteIssued
    | UnappliedCreditUsed,
    at: datetime,
) -> dict[str, object]:
    match body:
        case PaymentAuthorized():
            record = PaymentRecord(
                kind=AUTHORIZED, amount=body.amount, at=at, reference=body.reference, source=body.source
            )
            return {
                "lines": _moved_into(state, body.shares, "authorized"),
                "payments": (*state.payments, record),
            }
        case PaymentSettled():
            record = PaymentRecord(
                kind=SETTLED, amount=body.amount, at=at, reference=body.reference, source=body.source
            )
            return {
                "lines": _settled(state, body),
                "payments": (*state.payments, record),
                "unapplied": state.unapplied + body.excess,
            }
        case PaymentFailed():
            released = sum((share.amount for share in body.released), ZERO)
            record = PaymentRecord(kind=FAILED, amount=released, at=at)
            return {
                "lines": _moved_into(state, body.released, "authorized", sign=-1),
                "payments": (*state.payments, record),
            }
        case InvoiceWrittenOff():
            return {"lines": _moved_into(state, body.shares, "written_off")}
        case CreditNoteIssued():
            note = body.credit_note
            freed = sum((line.freed for line in note.lines), ZERO)
            return {
                "lines": _credited(state, note),
                "credit_notes": (*state.credit_notes, note),
                "unapplied": state.unapplied + freed,
            }
        case UnappliedCreditUsed():
            return {"unapplied": state.unapplied - body.amount}
        case _ as unreachable:
            assert_never(unreachable)


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────


def _with(state: Invoice, line_id: UUID, **changes: object) -> tuple[InvoiceLine, ...]:
    """The lines with one changed, matched by id (R-02)."""
    for place, line in enumerate(state.lines):
        if line.line_id == line_id:
            return (*state.lines[:place], msgspec.structs.replace(line, **changes), *state.lines[place + 1 :])
    return state.lines


def _collected(state: Invoice) -> tuple[InvoiceLine, ...]:
    return tuple(msgspec.structs.replace(line, collected=True) if line.is_live else line for line in state.lines)


def _moved_into(state: Invoice, shares: Sequence[LineShare], bucket: str, sign: int = 1) -> tuple[InvoiceLine, ...]:
    """The lines with each share put into, or taken out of, a bucket."""
    by_line = {share.line_id: Portion(amount=share.amount, net=share.net) for share in shares}

    def changed(line: InvoiceLine) -> InvoiceLine:
        portion = by_line.get(line.line_id)
        if portion is None:
            return line
        before: Portion = getattr(line, bucket)
        after = before.plus(portion) if sign > 0 else before.minus(portion)
        return msgspec.structs.replace(line, **{bucket: after})

    return tuple(changed(line) for line in state.lines)


def _settled(state: Invoice, body: PaymentSettled) -> tuple[InvoiceLine, ...]:
    """Money that arrived: what was written off first, then what was promised, then the rest of what was open."""
    state = msgspec.structs.replace(state, lines=_moved_into(state, body.reinstated, "written_off", sign=-1))
    state = msgspec.structs.replace(state, lines=_moved_into(state, body.shares, "paid"))
    state = msgspec.structs.replace(state, lines=_moved_into(state, body.kept_promises, "authorized", sign=-1))
    return state.lines


def _credited(state: Invoice, note: CreditNote) -> tuple[InvoiceLine, ...]:
    by_line = {credited.line_id: credited for credited in note.lines}

    def changed(line: InvoiceLine) -> InvoiceLine:
        credited = by_line.get(line.line_id)
        if credited is None:
            return line
        return msgspec.structs.replace(
            line,
            credited=line.credited.plus(Portion(amount=credited.amount, net=credited.net)),
            written_off=line.written_off.minus(Portion(amount=credited.reinstated, net=credited.reinstated_net)),
            paid=line.paid.minus(Portion(amount=credited.freed, net=credited.freed_net)),
            authorized=line.authorized.minus(Portion(amount=credited.lapsed, net=credited.lapsed_net)),
        )

    return tuple(changed(line) for line in state.lines)


def _issued(body: InvoiceIssued, at: datetime) -> Issued:
    return Issued(
        number=body.number,
        issued_at=at,
        issue_date=body.issue_date,
        due_date=body.due_date,
        tax_point=body.tax_point,
        seller=body.seller,
        buyer=body.buyer,
    )
