"""Checks of invoices: numbers without a gap, money that adds up, and lines that say what their runs do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from aggregates.event import AnyRecorded
from aggregates.invoices import events as e
from aggregates.invoices import state as invoice_state
from aggregates.invoices.documents import CreditNote, Number
from aggregates.invoices.lines import InvoiceLine
from aggregates.invoices.numbering import NumberDrawn
from aggregates.invoices.state import Invoice
from aggregates.runs import state as run_state
from aggregates.runs.state import RealizationRun
from aggregates.values.decimals import EXACT, ZERO
from ledger.audit.check import BROKEN, Check, Evidence, InvoiceStreams, Seen, broken, place_of
from ledger.audit.postings import total_of

BUCKETS = ("authorized", "paid", "credited", "written_off", "open", "unauthorized")


class Numbers(Check):
    """Numbers have no gaps in their series, and each belongs to one document of the same save (decision 31)."""

    name = "numbers"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._last: dict[UUID, int] = {}
        self._texts: dict[tuple[str, str], UUID] = {}

    def save(self, rows: Sequence[Seen]) -> None:
        """Compare the numbers that a save drew with those that its documents bear."""
        drawn: dict[UUID, Number] = {}
        borne: dict[UUID, Number] = {}
        for seen in rows:
            record = seen.record
            if record is None:
                continue
            match record.body:
                case NumberDrawn() as body:
                    self._next(seen, record.namespace, body)
                    drawn[body.document] = body.number
                case e.InvoiceIssued() as body:
                    borne[record.stream] = body.number
                case e.CreditNoteIssued(credit_note=note):
                    borne[note.credit_note_id] = note.number
                case _:
                    pass
        for document in {**drawn, **borne}:
            if drawn.get(document) != borne.get(document):
                place = f"position {rows[0].row.position}, document {document}"
                self.find(
                    place,
                    "number drawn is not the one that the document bears",
                    expected=_text(drawn.get(document)),
                    found=_text(borne.get(document)),
                )

    def _next(self, seen: Seen, namespace: str, body: NumberDrawn) -> None:
        self.looked_at()
        stream = seen.row.stream
        expected = self._last.get(stream, 0) + 1
        if body.number.sequence != expected:
            self.find(seen.place, "number is not the next of its series", expected=expected, found=body.number.sequence)
        self._last[stream] = body.number.sequence
        taken = self._texts.setdefault((namespace, body.number.text), body.document)
        if taken != body.document:
            self.find(seen.place, f"number {body.number.text} is given twice", expected=taken, found=body.document)


class Invoices(Check):
    """What an invoice asks for is paid, credited, written off or open, line by line; and no money that came is lost."""

    name = "invoices"

    def invoice(self, streams: InvoiceStreams) -> None:
        """Fold the invoice, looking at every step."""
        self.looked_at()
        state: Invoice | None = None
        came = used = ZERO
        for record in streams.records:
            state = invoice_state.evolve(state, record)
            came = EXACT.add(came, record.body.amount if isinstance(record.body, e.PaymentSettled) else ZERO)
            used = EXACT.add(used, record.body.amount if isinstance(record.body, e.UnappliedCreditUsed) else ZERO)
            for what, expected, found in (*_recorded(record), *_standing(state)):
                if expected != found:
                    self.find(place_of(record), what, expected=expected, found=found)
            kept = total_of((state.paid, state.unapplied, used))
            if kept != came:
                self.find(place_of(record), "money that came is not what it went to", expected=came, found=kept)


class InvoicedRuns(Check):
    """A line says what its run does: what was issued, paid, credited and written off, before tax."""

    name = "invoiced runs"

    def invoice(self, streams: InvoiceStreams) -> None:
        """Compare each line that shows a run with the run's own stream."""
        state = invoice_state.fold(None, streams.records)
        if state is None or state.issued is None:
            return
        for line in state.live_lines:
            if line.run_id is None:
                continue  # a purchase has no runs; its payment is on the charge
            self.looked_at()
            place = f"stream {state.id}, line {line.line_id}"
            try:
                run = run_state.fold(None, streams.runs.get(line.run_id, []))
            except BROKEN as error:
                self.find(place, "run cannot be folded", expected="a run", found=broken(error))
                continue
            if run is None:
                self.find(place, "line shows a run that has no events", expected=line.run_id, found=None)
                continue
            for what, expected, found in _beside(line, run, state.credit_notes):
                if expected != found:
                    self.find(place, what, expected=expected, found=found)


def _recorded(record: AnyRecorded) -> Iterator[tuple[str, Any, Any]]:
    """Amounts of an event beside the shares that it spreads them over."""
    match record.body:
        case e.PaymentSettled() as body:
            shares = total_of((*_amounts(body.shares), body.excess))
            yield "payment is not its shares and its excess", shares, body.amount
        case e.PaymentAuthorized() as body:
            yield "promise is not its shares", total_of(_amounts(body.shares)), body.amount
        case e.InvoiceWrittenOff() as body:
            yield "write-off is not its shares", total_of(_amounts(body.shares)), body.amount
        case e.CreditNoteIssued(credit_note=note):
            yield "credit note is not its lines", total_of(_amounts(note.lines)), note.total
            tax = total_of(EXACT.subtract(line.amount, line.net) for line in note.lines)
            yield "tax of a credit note is not that of its lines", tax, note.tax_total
        case _:
            return


def _standing(state: Invoice) -> Iterator[tuple[str, Any, Any]]:
    """What must hold after every event."""
    for line in state.live_lines:
        if not line.totals.reconciles:
            yield f"line {line.line_id} does not reconcile", "amount + charges - discounts - credits", line.totals.total
        for name in BUCKETS:
            portion = getattr(line, name)
            if portion.amount < 0 or portion.net < 0:
                yield f"{name} of line {line.line_id} is below zero", "0 or more", min(portion.amount, portion.net)
    if state.unapplied < 0:
        yield "unapplied credit is below zero", "0 or more", state.unapplied


def _beside(
    line: InvoiceLine, run: RealizationRun, notes: Sequence[CreditNote]
) -> Iterator[tuple[str, object, object]]:
    """A line and its run, figure by figure."""
    usage = run.invoice_usage
    yield "line is not what its run issued", usage.totals if usage is not None else None, line.totals
    if usage is None or usage.ledger_group is None:
        return
    payment = run.payment
    settled, given_up = (payment.settled_amount, payment.written_off) if payment is not None else (ZERO, ZERO)
    freed = total_of(part.freed_net for note in notes for part in note.lines if part.line_id == line.line_id)
    yield "paid on the line is not what its run was paid", settled, EXACT.add(line.paid.net, freed)
    yield "written off of the line is not that of its run", given_up, line.written_off.net
    yield "credited of the line is not that of its run", run.credited, line.credited.net


def _amounts(shares: Iterable[Any]) -> Iterator[Decimal]:
    return (share.amount for share in shares)


def _text(number: Number | None) -> str | None:
    return number.text if number is not None else None
