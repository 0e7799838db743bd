"""`ledger.invoices`: make invoices of what is due, approve them, and report what becomes of the money.

An invoice is made of what charges have gathered. It waits until late usage is in, is approved, by somebody or by
itself, and issued under a number; then payments are reported for it. Everything an invoice does to its charges, and
they to it, is in the same save (lifecycles §17).
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import TypeAlias
from uuid import UUID

import msgspec

from aggregates.invoices import credit_notes, payments
from aggregates.invoices import decisions as invoicing
from aggregates.invoices import state as invoice_state
from aggregates.invoices.effects import InvoiceNotice
from aggregates.invoices.facts import InvoiceFacts
from aggregates.invoices.refusals import InvoiceNotFound
from aggregates.invoices.requests import PaymentReport
from aggregates.invoices.state import Invoice
from aggregates.values.errors import Findings
from ledger import validation
from ledger.advance import index
from ledger.charges import Charges
from ledger.commands import PaymentReportInput
from ledger.context import CommandId, Context
from ledger.rounds import Rounds, invoices_of
from ledger.units import Work

Step: TypeAlias = Callable[[Work, UUID, InvoiceFacts], tuple[InvoiceNotice, ...]]


class InvoicesAnswer(msgspec.Struct, frozen=True):
    """What the receipt of a command about invoices keeps: which invoices it was about."""

    invoices: tuple[UUID, ...] = ()


class Invoices:
    """Commands and look-ups of invoices."""

    def __init__(self, context: Context, rounds: Rounds, charges: Charges) -> None:
        self._context = context
        self._rounds = rounds
        self._charges = charges

    # ── making and issuing ───────────────────────────────────────────────────────────────────────────────────

    def invoice_pending_lines(self, customer: str, *, command_id: CommandId = None) -> builtins.list[Invoice]:
        """Invoice everything of a customer that can be invoiced now; one invoice a currency (lifecycles §17.1).

        Raises:
            CustomerNotFound: nobody of that key.
            NoLines: nothing is due.
            ActiveRunAlreadyExists: all that is due waits for an invoice that is not issued yet.
            CostBasisNotEffective: no rate is in force for something that is due; nothing was saved.
        """
        findings = Findings()
        self._context.require_customer(findings, customer)
        validation.fail(findings)

        def decide(work: Work) -> InvoicesAnswer:
            made = self._rounds.invoice_due(work, customer)
            index(work)
            return InvoicesAnswer(made)

        done = self._context.send(
            "invoices.invoice_pending_lines", customer, customer, command_id, answer=InvoicesAnswer, decide=decide
        )
        answer: InvoicesAnswer = done.answer
        return [self.get(invoice_id) for invoice_id in answer.invoices]

    def advance(self, invoice: UUID | str, *, command_id: CommandId = None) -> Invoice:
        """Move an invoice as far as it goes by itself: collection, approval where the profile says so, issue.

        Raises `InvoiceNotFound`.
        """
        return self._act("advance", invoice, None, command_id, lambda work, invoice_id, facts: ())

    def advance_due(self, customer: str, *, command_id: CommandId = None) -> builtins.list[Invoice]:
        """Invoice what a customer has gathered and is due, and move the invoices on whose collection is complete.

        All in one save; those that were made or moved. Nothing due is no error (decision 26).
        """

        def decide(work: Work) -> InvoicesAnswer:
            moved = [
                invoice_id
                for invoice_id in self._rounds.collected(work, customer)
                if self._rounds.advance(work, customer, invoice_id)
            ]
            made = self._rounds.invoice_due(work, customer, partly=False, silent=True)
            index(work)
            return InvoicesAnswer((*moved, *made))

        done = self._context.send(
            "invoices.advance_due", customer, customer, command_id, answer=InvoicesAnswer, decide=decide
        )
        answer: InvoicesAnswer = done.answer
        return [self.get(invoice_id) for invoice_id in answer.invoices]

    def approve(self, invoice: UUID | str, *, command_id: CommandId = None) -> Invoice:
        """Approve an invoice that waits for it; it is issued and booked (lifecycles §17.3, §17.4).

        A charge or the outside that refuses leaves it in the failed status of that step, with the reasons as issues;
        `retry` repeats the step. Raises `InvoiceNotFound`, `InvoiceOperationRefused`.
        """
        return self._act(
            "approve",
            invoice,
            None,
            command_id,
            lambda work, invoice_id, facts: invoicing.approve(work.draft, invoice_id, facts),
        )

    def retry(self, invoice: UUID | str, *, command_id: CommandId = None) -> Invoice:
        """Repeat the step that failed; what was done of it is not done twice. Raises as `approve`."""
        return self._act(
            "retry",
            invoice,
            None,
            command_id,
            lambda work, invoice_id, facts: invoicing.retry(work.draft, invoice_id, facts),
        )

    def delete(self, invoice: UUID | str, *, command_id: CommandId = None) -> Invoice:
        """Delete a draft; the runs of its lines are voided and their credit comes back. Raises as `approve`."""
        return self._act(
            "delete",
            invoice,
            None,
            command_id,
            lambda work, invoice_id, facts: invoicing.delete(work.draft, invoice_id, facts),
        )

    # ── money ────────────────────────────────────────────────────────────────────────────────────────────────

    def record_payment(
        self,
        invoice: UUID | str,
        step: str,
        *,
        amount: object = None,
        reference: str | None = None,
        command_id: CommandId = None,
    ) -> Invoice:
        """Record what a payment provider reports of an issued invoice (decision 27).

        Args:
            invoice: Id of the invoice.
            step: "authorized", "paid" (which implies authorized) or "failed".
            amount: With tax, in the invoice's currency; all that is open where absent.
            reference: The provider's own id of the payment: the same one again changes nothing.
            command_id: Makes a retry safe.

        Raises `InvoiceNotFound`, `InvoiceOperationRefused` before it is issued, `AuthorizationExceedsInvoice`.
        """
        findings = Findings()
        command = validation.parse(
            PaymentReportInput, findings, invoice=invoice, step=step, amount=amount, reference=reference
        )
        validation.fail(findings)
        assert command is not None
        report = PaymentReport(amount=command.amount, reference=command.reference)

        def decide(work: Work, invoice_id: UUID, facts: InvoiceFacts) -> tuple[InvoiceNotice, ...]:
            match command.step:
                case "authorized":
                    return payments.authorize(work.draft, invoice_id, report, facts)
                case "paid":
                    return payments.settle(work.draft, invoice_id, report, facts)
                case "failed":
                    return payments.fail_payment(work.draft, invoice_id, facts)

        return self._act("record_payment", invoice, command, command_id, decide)

    def write_off(self, invoice: UUID | str, *, reason: str | None = None, command_id: CommandId = None) -> Invoice:
        """Give up what is open as uncollectible (decision 22). Raises as `aggregates.invoices.payments.write_off`."""
        return self._act(
            "write_off",
            invoice,
            reason,
            command_id,
            lambda work, invoice_id, facts: payments.write_off(work.draft, invoice_id, facts, reason=reason),
        )

    def void(self, invoice: UUID | str, *, reason: str | None = None, command_id: CommandId = None) -> Invoice:
        """Void an issued invoice by a credit note in full (decision 22); what it billed waits to be invoiced again."""
        return self._act(
            "void",
            invoice,
            reason,
            command_id,
            lambda work, invoice_id, facts: credit_notes.void(work.draft, invoice_id, facts, reason=reason),
        )

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, invoice: UUID | str) -> Invoice:
        """The invoice as it stands. Raises `InvoiceNotFound`."""
        invoice_id = self._invoice_id(invoice)
        state: Invoice | None = self._context.repository.load(invoice_state.stream(invoice_id, "")).state
        if state is None or state.namespace != self._context.namespace:
            raise InvoiceNotFound(invoice_id)
        return state

    def list(self, customer: str) -> builtins.list[Invoice]:
        """All invoices of a customer in order of creation, deleted ones included. Raises `CustomerNotFound`."""
        ids = {invoice_id for charge in self._charges.list(customer) for invoice_id in invoices_of(charge)}
        return sorted((self.get(invoice_id) for invoice_id in ids), key=lambda invoice: invoice.id)

    # ── how ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _act(self, name: str, invoice: UUID | str, content: object, command_id: CommandId, step: Step) -> Invoice:
        """Take a step of one invoice, tell its charges, and let it move on from there; one save."""
        before = self.get(invoice)

        def decide(work: Work) -> InvoicesAnswer:
            customer = before.customer
            self._rounds.invoice(work, customer, before.id)
            facts = self._rounds.facts(work, customer, issuing=True)
            notices = step(work, before.id, facts)
            self._rounds.advance(work, customer, before.id, notices, facts)
            index(work)
            return InvoicesAnswer((before.id,))

        self._context.send(
            f"invoices.{name}",
            before.customer,
            (before.id, content),
            command_id,
            answer=InvoicesAnswer,
            decide=decide,
        )
        return self.get(before.id)

    def _invoice_id(self, invoice: UUID | str) -> UUID:
        try:
            return invoice if isinstance(invoice, UUID) else UUID(invoice)
        except ValueError:
            raise InvoiceNotFound(invoice) from None
