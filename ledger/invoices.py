"""`ledger.invoices`: make invoices of what is due, approve them, and report what becomes of the money.

An invoice is made of what charges have gathered. It waits until late usage is in, is approved, by somebody or by
itself, and issued under a number; then payments are reported for it. Everything an invoice does to its charges, and
they to it, is in the same save (lifecycles §17).
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

from aggregates.invoices import credit_notes, payments
from aggregates.invoices import decisions as invoicing
from aggregates.invoices.effects import InvoiceNotice
from aggregates.invoices.facts import InvoiceFacts
from aggregates.invoices.refusals import CreditExceedsLine
from aggregates.invoices.requests import LineCredit, PaymentReport
from aggregates.invoices.state import Invoice
from aggregates.values.decimals import exact
from aggregates.values.errors import Findings
from ledger import validation
from ledger.advance import index
from ledger.commands import PaymentReportInput, RefundUnappliedInput
from ledger.context import CommandId
from ledger.invoice_commands import CreditInput
from ledger.invoice_lines import InvoiceLines
from ledger.invoice_steps import InvoicesAnswer
from ledger.units import Work


class Invoices(InvoiceLines):
    """Commands and look-ups of invoices."""

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

        All in one save; those that were made or moved. Nothing due is no error (decision 26). A charge that refuses
        its line goes on gathering, and does not stop the others: `charges.get` says why. Raises `CustomerNotFound`.
        """
        return [self.get(invoice_id) for invoice_id in self.move_due(customer, command_id=command_id).invoices]

    def move_due(self, customer: str, *, command_id: CommandId = None) -> InvoicesAnswer:
        """Do what `advance_due` does; which invoices were made or moved, and which charges refused their line."""
        findings = Findings()
        self._context.require_customer(findings, customer)
        validation.fail(findings)

        def decide(work: Work) -> InvoicesAnswer:
            moved = [
                invoice_id
                for invoice_id in self._rounds.collected(work, customer)
                if self._rounds.advance(work, customer, invoice_id)
            ]
            made = self._rounds.invoice_willing(work, customer)
            index(work)
            return InvoicesAnswer((*moved, *made.moved), made.failed)

        done = self._context.send(
            "invoices.advance_due", customer, customer, command_id, answer=InvoicesAnswer, decide=decide
        )
        answer: InvoicesAnswer = done.answer
        return answer

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

    def repeat(self, invoice: UUID | str, *, command_id: CommandId = None) -> bool:
        """Repeat the step that failed, as a worker does; whether the invoice moved, or fails for another reason now.

        What fails as before leaves nothing behind. Raises `InvoiceNotFound`.
        """
        before = self.get(invoice)

        def decide(work: Work) -> InvoicesAnswer:
            if not self._rounds.repeat(work, before.customer, before.id):
                return InvoicesAnswer()
            index(work)
            return InvoicesAnswer((before.id,))

        done = self._context.send(
            "invoices.repeat", before.customer, before.id, command_id, answer=InvoicesAnswer, decide=decide
        )
        answer: InvoicesAnswer = done.answer
        return bool(answer.invoices)

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

    def credit(
        self,
        invoice: UUID | str,
        *,
        amount: object = None,
        lines: Mapping[UUID, object] | Mapping[str, object] | None = None,
        reason: str | None = None,
        command_id: CommandId = None,
    ) -> Invoice:
        """Take back some or all of an issued invoice out of goodwill, by a numbered credit note (decision 23).

        `amount` is before tax and fills lines in their order; `lines` names amounts by line, None for all that is left
        of one; with neither, everything that is left is taken back. What was paid of it becomes unapplied credit of
        the customer. The charges stay as they are: an invoice that was a mistake is voided instead. A line that sells
        credit is credited by taking credit back (`ledger.credits.reduce`, `void`).

            lines of 30.00 and 70.00, 40.00 credited: 30.00 of the first line, 10.00 of the second

        Raises `ValidationFailed`, `InvoiceNotFound`, `CreditNotesUnavailable`, `InvoiceOperationRefused` before it is
        issued, `LineNotFound`, `PurchaseLineFollowsCredit`, `CreditExceedsLine`.
        """
        findings = Findings()
        command = validation.parse(CreditInput, findings, amount=amount, lines=lines, reason=reason)
        validation.fail(findings)
        assert command is not None

        def decide(work: Work, invoice_id: UUID, facts: InvoiceFacts) -> tuple[InvoiceNotice, ...]:
            state: Invoice = work.draft.state(invoice_id)
            asked = (
                [LineCredit(line_id=line, amount=part) for line, part in command.lines.items()]
                if command.lines is not None
                else _spread(state, command.amount)
            )
            return credit_notes.credit(work.draft, invoice_id, asked, facts, reason=command.reason)

        named = sorted((str(line), part) for line, part in command.lines.items()) if command.lines is not None else None
        return self._act("credit", invoice, (command.amount, named, command.reason), command_id, decide)

    def void(self, invoice: UUID | str, *, reason: str | None = None, command_id: CommandId = None) -> Invoice:
        """Void an issued invoice by a credit note in full (decision 22); what it billed waits to be invoiced again.

        What was paid becomes unapplied credit. Credit that it sold is taken back as far as nobody used it: of 100 at
        0.5 with 40 used, 20.00 wait to be invoiced again. Raises `InvoiceNotFound`, `CreditNotesUnavailable`,
        `InvoiceOperationRefused`.
        """
        return self._act(
            "void",
            invoice,
            reason,
            command_id,
            lambda work, invoice_id, facts: credit_notes.void(work.draft, invoice_id, facts, reason=reason),
        )

    def refund_unapplied(self, invoice: UUID | str, amount: object = None, *, command_id: CommandId = None) -> Invoice:
        """Pay unapplied credit of an invoice back to the customer: wash +x, open receivable -x (decision 23).

        Args:
            invoice: Id of the invoice it arose on: one that was paid too much, or credited after it was paid.
            amount: With tax, in the invoice's currency; all that is left of it where absent.
            command_id: Makes a retry safe.

        Worked: 100.00 paid, a credit note of 67.74, all of it refunded: nothing is unapplied, 32.26 were received.

        Raises `InvoiceNotFound`, `ValidationFailed`, `UnappliedCreditExceeded`, also when there is none at all.
        """
        findings = Findings()
        asked = validation.parse(RefundUnappliedInput, findings, amount=amount)
        validation.fail(findings)
        assert asked is not None
        return self._act(
            "refund_unapplied",
            invoice,
            asked.amount,
            command_id,
            lambda work, invoice_id, facts: payments.refund_unapplied(
                work.draft, invoice_id, facts, amount=asked.amount
            ),
        )

    def refund_all_unapplied(
        self, customer: str, currency: str = "USD", *, command_id: CommandId = None
    ) -> builtins.list[Invoice]:
        """Pay back all unapplied credit that a customer has in a currency; the invoices it arose on, oldest first.

        Nothing to pay back is no error: the answer is empty then. Raises `CustomerNotFound`, `CurrencyNotFound`.
        """
        self._context.look.customer(customer)
        found = self._context.look.currency(currency)

        def decide(work: Work) -> InvoicesAnswer:
            facts = self._rounds.facts(work, customer, issuing=found)
            for invoice_id in facts.unapplied_from:
                notices = payments.refund_unapplied(work.draft, invoice_id, facts)
                self._rounds.deliver(work, customer, notices, facts)
            index(work)
            return InvoicesAnswer(facts.unapplied_from)

        done = self._context.send(
            "invoices.refund_all_unapplied",
            customer,
            (customer, found),
            command_id,
            answer=InvoicesAnswer,
            decide=decide,
        )
        answer: InvoicesAnswer = done.answer
        return [self.get(invoice_id) for invoice_id in answer.invoices]


@exact
def _spread(invoice: Invoice, amount: Decimal | None) -> list[LineCredit]:
    """The lines that an amount before tax is taken from, in their order; without one, all that is left of each."""
    worth = [line for line in invoice.live_lines if line.creditable.net > 0]
    if amount is None:
        return [LineCredit(line_id=line.line_id) for line in worth]
    left, spread = amount, list[LineCredit]()
    for line in worth:
        part = min(left, line.creditable.net)
        if part > 0:
            spread.append(LineCredit(line_id=line.line_id, amount=part))
        left -= part
    if left > 0 and worth:
        raise CreditExceedsLine(asked=amount, left=amount - left, line_id=worth[-1].line_id)
    return spread
