"""Tax: asked of a port by line, recorded as it was answered. The ledger books amounts without it.

The default is that nobody answers: then no tax is recorded, and the invoice says that none was calculated, which is not
the same as a tax of zero.
"""

from __future__ import annotations

from aggregates.invoices.events import TaxCalculated, TaxedLine
from aggregates.invoices.facts import TaxNeeded
from aggregates.invoices.state import Invoice
from aggregates.invoices.turn import InvoiceTurn
from aggregates.values.errors import Findings


def taxes_needed(invoice: Invoice) -> tuple[TaxNeeded, ...]:
    """What the tax port is to be asked before the invoice is booked: every taxable line with something to pay."""
    return tuple(
        TaxNeeded(
            line_id=line.line_id,
            charge_id=line.charge_id,
            totals=line.totals,
            tax_code=line.content.tax_code,
        )
        for line in invoice.live_lines
        if line.content.taxable and line.totals.total > 0
    )


def record_tax(turn: InvoiceTurn) -> None:
    """Record the answers, one for every question. Raises `ValidationFailed` with everything wrong with them.

    Findings: `tax_missing`, `tax_not_asked_for`, `negative_tax`, `too_many_decimals`.
    """
    taxes = turn.facts.taxes
    if taxes is None:
        return
    invoice, findings = turn.invoice, Findings()
    asked = {needed.line_id for needed in taxes_needed(invoice)}
    for line_id in asked - set(taxes):
        findings.add(f"taxes[{line_id}]", "tax_missing", f"no tax was answered for line {line_id}")
    for line_id, tax in taxes.items():
        if line_id not in asked:
            findings.add(f"taxes[{line_id}]", "tax_not_asked_for", f"line {line_id} carries no tax")
        if tax.amount < 0:
            findings.add(f"taxes[{line_id}].amount", "negative_tax", f"tax cannot be below zero, got {tax.amount:f}")
        if not invoice.currency.holds(tax.amount):
            message = f"{tax.amount:f} has more than the {invoice.currency.precision} decimals of the currency"
            findings.add(f"taxes[{line_id}].amount", "too_many_decimals", message)
    findings.raise_if_any()

    lines = (
        TaxedLine(line_id=line.line_id, tax=taxes[line.line_id]) for line in invoice.lines if line.line_id in taxes
    )
    turn.emit(TaxCalculated(lines=tuple(lines)))
