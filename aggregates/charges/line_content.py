"""What the invoice line of a charge shows: usage, a fee, an overage in fiat, or credit that is bought.

A line is in fiat. Where the charge is in a custom currency, the line shows what its credit leaves uncovered, at the
charge's rate: 8 tokens at 0.5 are a line of 4.00 USD (lifecycles §12.4).
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from aggregates.charges.collection import collected_after
from aggregates.charges.cost_basis import fiat_amount
from aggregates.charges.intent import FlatFeeLayer, ResolvedCostBasis, UsageLayer
from aggregates.charges.state import Charge
from aggregates.charges.turn import Turn
from aggregates.invoices.effects import InvoiceLineUpdated
from aggregates.invoices.lines import CreditUsed, LineContent, LineKind
from aggregates.runs.state import CreditRealization, RealizationRun
from aggregates.values.decimals import ONE, ZERO, plain, text
from aggregates.values.period import Instant, Period
from aggregates.values.totals import Totals

KINDS = {"flat_fee": LineKind.FLAT, "usage_based": LineKind.USAGE, "credit_purchase": LineKind.CREDIT_PURCHASE}
"""The kind of a charge's lines, by its type."""


class Overage(NamedTuple):
    """What of a run in a custom currency is to be paid in fiat: `credits` fiat credit covers, `left` nothing does."""

    amount: Decimal
    credits: Decimal

    @property
    def left(self) -> Decimal:
        """What remains to be paid."""
        return self.amount - self.credits


def show(turn: Turn, run: RealizationRun) -> None:
    """Let the run's line show it as it stands now."""
    if run.line_id is None or run.invoice_id is None:
        return
    content = content_of(turn, run)
    turn.ask(InvoiceLineUpdated(invoice_id=run.invoice_id, line_id=run.line_id, content=content, run_id=run.id))


def content_of(turn: Turn, run: RealizationRun) -> LineContent:
    """What the line of the run shows; nothing as long as the run is below zero, which no line can show (R14)."""
    charge = turn.charge
    if run.totals.total < ZERO:
        return _nothing(turn, run)
    if charge.has_overage:
        return _overage_content(turn, run)
    layer, tax = charge.intent.effective, charge.identity.tax
    is_usage = isinstance(layer, UsageLayer)
    return LineContent(
        name=layer.name,
        period=Period(run.service_period_from, run.service_period_to),
        quantity=_line_quantity(run) if is_usage else ONE,
        pre_line_quantity=run.pre_line_quantity if is_usage else None,
        unit_amount=layer.amount_after_proration if isinstance(layer, FlatFeeLayer) else None,
        totals=run.totals,
        detailed_lines=run.detailed_lines,
        credits_applied=_applied(run, run.credit_realizations),
        collected_after=_collected_after(run),
        tax_code=tax.tax_code_id if tax is not None else None,
        description=layer.description,
        metadata=layer.metadata,
    )


def _nothing(turn: Turn, run: RealizationRun) -> LineContent:
    layer = turn.charge.intent.effective
    return LineContent(
        name=layer.name,
        period=Period(run.service_period_from, run.service_period_to),
        collected_after=_collected_after(run),
        description=layer.description,
        metadata=layer.metadata,
    )


def _line_quantity(run: RealizationRun) -> Decimal | None:
    """What the run adds to earlier lines; absent where less was used and it is to be paid all the same."""
    quantity = plain(run.metered_quantity - run.pre_line_quantity)
    return quantity if quantity >= ZERO else None


def _overage_content(turn: Turn, run: RealizationRun) -> LineContent:
    charge, found = turn.charge, overage(turn.charge, run)
    layer, tax = charge.intent.effective, charge.identity.tax
    resolved = rate_of(charge)
    return LineContent(
        name=f"{layer.name} (overage)",
        period=Period(run.service_period_from, run.service_period_to),
        quantity=run.totals.total,
        unit_amount=resolved.rate,
        totals=Totals(amount=found.amount, credits_total=found.credits, total=found.left),
        detailed_lines=run.detailed_lines,
        credits_applied=_applied(run, run.fiat_overage_credit_realizations),
        collected_after=_collected_after(run),
        tax_code=tax.tax_code_id if tax is not None else None,
        description=layer.description,
        metadata=layer.metadata,
    )


def overage(charge: Charge, run: RealizationRun) -> Overage:
    """The fiat side of a run: 8 tokens at 0.5 and 3 USD of credit leave 4.00 − 3.00 = 1.00."""
    return Overage(fiat_amount(run.totals.total, rate_of(charge)), run.fiat_credits_total)


def fiat_totals(charge: Charge, run: RealizationRun) -> Totals:
    """The totals of the run's line."""
    if not charge.has_overage:
        return run.totals
    found = overage(charge, run)
    return Totals(amount=found.amount, credits_total=found.credits, total=found.left)


def nothing_to_pay(charge: Charge, run: RealizationRun) -> bool:
    """Whether no fiat transaction is needed for the run: nothing is left, and no commitment was charged (§17.4)."""
    totals = fiat_totals(charge, run)
    is_fee = isinstance(charge.intent.effective, FlatFeeLayer)
    return not totals.total and not (is_fee and totals.charges_total)


def is_zero_overage(charge: Charge, run: RealizationRun) -> bool:
    """Whether what the charge's own credit leaves uncovered comes to nothing in fiat: 0.001 tokens at 0.5."""
    return charge.has_overage and not overage(charge, run).amount


def rate_of(charge: Charge) -> ResolvedCostBasis:
    """The rate of the charge, written once (lifecycles §12.2)."""
    resolved = charge.resolved_cost_basis
    assert resolved is not None, f"charge {charge.id} has no resolved cost basis"
    return resolved


def purchase_content(turn: Turn, credit: Decimal, amount: Decimal) -> LineContent:
    """The line of so much credit that is bought: named after what it buys, not taxable, shown at its price (§11.3)."""
    layer = turn.purchase
    return LineContent(
        name=f"{layer.name} ({text(credit)} {turn.charge.currency.code} credits)",
        period=layer.service_period,
        quantity=credit,
        unit_amount=rate_of(turn.charge).rate,
        totals=Totals(amount=amount, total=amount),
        taxable=False,
        description=layer.description,
        metadata=layer.metadata,
    )


def _applied(run: RealizationRun, realizations: tuple[CreditRealization, ...]) -> tuple[CreditUsed, ...]:
    """The allocations of which something is left (lifecycles §6.1)."""
    left = [(r.id, run.remaining(r.id)) for r in realizations if r.corrects is None]
    return tuple(CreditUsed(amount=amount, realization=id_) for id_, amount in left if amount > ZERO)


def _collected_after(run: RealizationRun) -> Instant | None:
    return collected_after(run.stored_at_lt) if run.stored_at_lt is not None else None
