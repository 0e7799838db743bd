"""A turn: one invoice, in the draft of one command, with the facts of that command; and the notices it gives rise to.

Guards read; work emits events and notes what has to be told. Whoever holds the turn carries the notices out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from aggregates.invoices.effects import InvoiceNotice, LineNotice
from aggregates.invoices.events import InvoiceEvent, Moved
from aggregates.invoices.facts import InvoiceFacts
from aggregates.invoices.lines import InvoiceLine
from aggregates.invoices.refusals import InvoiceNotFound, LineNotFound
from aggregates.invoices.state import Invoice
from aggregates.invoices.statuses import InvoiceStatus, InvoiceTrigger
from aggregates.lifecycle import Transition
from aggregates.outcome import Draft


class InvoiceTurn:
    """One invoice while a decision is made about it."""

    def __init__(self, draft: Draft, invoice_id: UUID, facts: InvoiceFacts) -> None:
        self.draft = draft
        self.invoice_id = invoice_id
        self.facts = facts
        self.notices: list[InvoiceNotice] = []

    # ── what guards read ─────────────────────────────────────────────────────────────────────────────────────

    @property
    def invoice(self) -> Invoice:
        """The invoice with everything decided so far. Raises `InvoiceNotFound`."""
        state: Invoice | None = self.draft.state(self.invoice_id)
        if not isinstance(state, Invoice):
            raise InvoiceNotFound(self.invoice_id)
        return state

    @property
    def now(self) -> datetime:
        """The clock's reading, unrounded: a guard on an instant holds from the instant itself on."""
        return self.facts.now

    def line(self, line_id: UUID) -> InvoiceLine:
        """A live line. Raises `LineNotFound`."""
        line = self.invoice.line(line_id)
        if line is None or not line.is_live:
            raise LineNotFound(line_id)
        return line

    # ── what work does ───────────────────────────────────────────────────────────────────────────────────────

    def emit(self, event: InvoiceEvent) -> None:
        """Decide an event of the invoice."""
        self.draft.emit(self.invoice.stream, event)

    def walked(self, row: InvoiceRow) -> Moved:
        """The step that a row of the path is."""
        status = self.invoice.status
        assert status is row.status, f"{row.rule} is walked from {status}"
        return Moved(status_from=status, status_to=row.to, trigger=row.on)

    def stayed(self, on: InvoiceTrigger) -> Moved:
        """An operation that keeps the status."""
        return Moved(status_from=self.invoice.status, status_to=self.invoice.status, trigger=on)

    def tell(self, kind: Callable[..., LineNotice], line: InvoiceLine, **what: Any) -> None:
        """Note that the charge of a line has to be told."""
        invoice = self.invoice
        self.notices.append(
            kind(
                customer=invoice.customer,
                invoice_id=invoice.id,
                line_id=line.line_id,
                charge_id=line.charge_id,
                run_id=line.run_id,
                **what,
            )
        )

    def told(self) -> tuple[InvoiceNotice, ...]:
        """What has to be carried out, in the order in which it arose."""
        return tuple(self.notices)


class InvoiceRow(Transition[InvoiceStatus, InvoiceTrigger, InvoiceTurn], frozen=True):
    """A row of an invoice's path."""

    then: Callable[[InvoiceTurn, InvoiceRow], None]
