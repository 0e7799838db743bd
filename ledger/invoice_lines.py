"""Lines of open invoices by hand: edited, deleted, added; and what waits to be invoiced (lifecycles §17).

A line never changes by itself: its charge is asked, and its answer is what the line shows. A line that is made by hand
makes its charge with it, in the same save, or nothing is saved (lifecycles §17.7).
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from aggregates.charges import decisions as deciding
from aggregates.charges.intent import SettlementMode
from aggregates.charges.line_content import KINDS
from aggregates.charges.requests import NewCharge
from aggregates.charges.state import Charge
from aggregates.invoices import decisions as invoicing
from aggregates.invoices.effects import InvoiceNotice
from aggregates.invoices.facts import InvoiceFacts
from aggregates.invoices.lines import LineContent, ManagedBy
from aggregates.invoices.refusals import InvoiceNotFound, LineNotFound
from aggregates.invoices.requests import LineEdit, NewLine
from aggregates.invoices.state import Invoice
from aggregates.values.errors import ActiveRunAlreadyExists, CurrencyMismatch, Findings, NoLines
from aggregates.values.period import Period, instant
from ledger import validation
from ledger.context import CommandId
from ledger.invoice_commands import DescribeInput, EditLineInput
from ledger.invoice_steps import InvoiceSteps
from ledger.units import Work


class WaitingLine(msgspec.Struct, frozen=True, kw_only=True):
    """What of a charge waits to be invoiced, and what its line would show now. `invoice_at` is when it will be due."""

    charge: UUID
    invoice_at: Any
    currency: str
    content: LineContent


class InvoiceLines(InvoiceSteps):
    """Commands about lines, and about what is not on any invoice yet."""

    def preview(self, customer: str) -> tuple[WaitingLine, ...]:
        """Everything of a customer that waits to be invoiced, as its lines would show it now (lifecycles §17.1).

        Usage is rated as it is known now, credit is not counted, nothing is recorded. In order of creation of the
        charges. Raises `CustomerNotFound`.
        """
        waiting = [charge for charge in self._charges.list(customer) if charge.gathering_line is not None]
        return tuple(
            WaitingLine(
                charge=charge.id,
                invoice_at=charge.gathering_line.invoice_at if charge.gathering_line else None,
                currency=charge.invoice_currency.code,
                content=self._charges.preview(charge.id),
            )
            for charge in waiting
            if not charge.is_deleted
        )

    def describe(self, invoice: UUID | str, description: str | None, *, command_id: CommandId = None) -> Invoice:
        """Set the description of an invoice that is not issued yet, or take it away with None (decision 31).

        Raises `ValidationFailed`, `InvoiceNotFound`, `InvoiceOperationRefused`.
        """
        findings = Findings()
        command = validation.parse(DescribeInput, findings, description=description)
        validation.fail(findings)
        assert command is not None

        def decide(work: Work, invoice_id: UUID, facts: InvoiceFacts) -> tuple[InvoiceNotice, ...]:
            invoicing.describe(work.draft, invoice_id, command.description or None, facts)
            return ()

        return self._act("describe", invoice, command, command_id, decide)

    def edit_line(
        self, invoice: UUID | str, line: UUID | str, *, command_id: CommandId = None, **changes: Any
    ) -> Invoice:
        """Change a line on a draft; its fee or usage changes with it (line_manual_edit, lifecycles §10.1, §22 row 6).

        `changes`: `name`, `description` and `metadata`; of a fee `amount` (before discounts and credit, whatever the
        period) and `period` (`{"from_": …, "to": …}`); of usage `discounts`. What is left out stays as it is.

        Raises `ValidationFailed`, `InvoiceNotFound`, `LineNotFound`, `InvoiceOperationRefused` once it is issued,
        `CannotUpdateChargeManagedLine` for purchases, `LineZeroAmountDeleteInstead`, `PreconditionFailed` for discounts
        of usage of which an earlier part was issued.
        """
        findings = Findings()
        command = validation.parse(EditLineInput, findings, line=_line_id(line), **changes)
        validation.fail(findings)
        assert command is not None
        period = command.period
        edit = LineEdit(
            name=command.name,
            description=command.description,
            period=Period(instant(period.from_), instant(period.to)) if period is not None else None,
            amount=command.amount,
            metadata=command.metadata,
            discounts=command.discounts,
        )
        return self._act(
            "edit_line",
            invoice,
            command,
            command_id,
            lambda work, invoice_id, facts: invoicing.edit_line(work.draft, invoice_id, command.line, edit, facts),
        )

    def delete_line(self, invoice: UUID | str, line: UUID | str, *, command_id: CommandId = None) -> Invoice:
        """Take the line of a flat fee off a draft, and with the last line the invoice (lifecycles §17.5).

        Its run is voided and its credit comes back; the fee waits to be invoiced again. Raises as `edit_line`.
        """
        line_id = _line_id(line)
        return self._act(
            "delete_line",
            invoice,
            line_id,
            command_id,
            lambda work, invoice_id, facts: invoicing.delete_line(work.draft, invoice_id, line_id, facts),
        )

    def add_fee(
        self,
        invoice: UUID | str,
        *,
        amount: object,
        period_from: object,
        period_to: object,
        command_id: CommandId = None,
        **terms: Any,
    ) -> Invoice:
        """Put a flat fee on an open invoice by hand (lifecycles §17.7, rule K4).

        The fee is a charge of its own, managed by hand, and follows the line. `terms` as for
        `ledger.charges.create_flat_fee`. Raises as that does; `InvoiceOperationRefused` once the invoice is not a draft
        any more, or while it collects.
        """
        before = self.get(invoice)
        request = self._charges.requests.fee(
            before.customer, amount=amount, period_from=period_from, period_to=period_to, **_by_hand(before, terms)
        )
        return self._add(before, request, "add_fee", command_id)

    def add_usage(
        self,
        invoice: UUID | str,
        *,
        feature: str,
        price: object,
        period_from: object,
        period_to: object,
        command_id: CommandId = None,
        **terms: Any,
    ) -> Invoice:
        """Put the usage of a feature over a period on an open invoice by hand (lifecycles §17.7).

        The invoice waits until late usage of the period is in. `terms` as for `ledger.charges.create_usage`. Raises as
        that does; `PreconditionFailed` before the period begins (§22 row 14).
        """
        before = self.get(invoice)
        request = self._charges.requests.usage(
            before.customer,
            feature=feature,
            price=price,
            period_from=period_from,
            period_to=period_to,
            **_by_hand(before, terms),
        )
        return self._add(before, request, "add_usage", command_id)

    def attach(self, invoice: UUID | str, charge: UUID | str, *, command_id: CommandId = None) -> Invoice:
        """Put what waits of a charge on an open invoice: a fee also before it is due (K4), usage as far as it goes.

        Raises `InvoiceNotFound`, `ChargeNotFound`, `CurrencyMismatch`, `InvoiceOperationRefused`, `NoLines` where
        nothing of the charge can be invoiced yet, `ActiveRunAlreadyExists` while a line of it is not issued.
        """
        before = self.get(invoice)
        known = self._charges.get(charge)

        def step(work: Work, invoice_id: UUID, facts: InvoiceFacts) -> tuple[InvoiceNotice, ...]:
            attached = self._rounds.charge(work, before.customer, known.id)
            if attached.current_run_id is not None:
                raise ActiveRunAlreadyExists(attached.id, attached.current_run_id)
            period = deciding.due_line(attached, work.now, progressive=True)
            if period is None and attached.gathering_line is not None and KINDS[attached.charge_type.value] == "flat":
                period = attached.gathering_line.period
            if period is None:
                raise NoLines(before.customer, work.now)
            return self._line_for(work, before, attached, period, facts)

        return self._act("attach", before.id, known.id, command_id, step)

    def _add(self, before: Invoice, request: NewCharge, name: str, command_id: CommandId) -> Invoice:
        def step(work: Work, invoice_id: UUID, facts: InvoiceFacts) -> tuple[InvoiceNotice, ...]:
            [charge_id] = self._charges.created_within(work, before.customer, (request,))
            charge: Charge = work.draft.state(charge_id)
            period = charge.intent.effective.service_period
            return self._line_for(work, before, charge, period, facts, managed_by=ManagedBy.MANUAL)

        return self._act(name, before.id, request, command_id, step)

    def _line_for(
        self,
        work: Work,
        before: Invoice,
        charge: Charge,
        period: Period,
        facts: InvoiceFacts,
        *,
        managed_by: ManagedBy = ManagedBy.CHARGE,
    ) -> tuple[InvoiceNotice, ...]:
        if charge.customer != before.customer:
            raise InvoiceNotFound(before.id)
        if charge.invoice_currency != before.currency:
            raise CurrencyMismatch(before.currency.code, charge.invoice_currency.code)
        kind = KINDS[charge.charge_type.value]
        line = NewLine(
            charge_id=charge.id,
            kind=kind,
            content=deciding.provisional_line(charge, period),
            managed_by=managed_by,
            editable=kind == "flat",
        )
        _, notices = invoicing.add_line(work.draft, before.id, line, facts)
        return notices


def _by_hand(invoice: Invoice, terms: dict[str, Any]) -> dict[str, Any]:
    """What a charge that is made with its line cannot choose."""
    findings = Findings()
    for name in ("settlement_mode", "managed_by", "currency"):
        if name in terms:
            findings.add(name, "not_allowed", f"a line by hand has no {name} of its own")
    findings.raise_if_any()
    by_hand = {
        "settlement_mode": SettlementMode.CREDIT_THEN_INVOICE,
        "managed_by": "manual",
        "currency": invoice.currency.code,
    }
    return terms | by_hand


def _line_id(line: UUID | str) -> UUID:
    try:
        return line if isinstance(line, UUID) else UUID(line)
    except (ValueError, AttributeError, TypeError):
        raise LineNotFound(line) from None
