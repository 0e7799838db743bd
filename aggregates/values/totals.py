"""Totals of rated lines: the five figures of a run or an invoice, which reconcile by construction."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from aggregates.values.decimals import ZERO, exact


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """`total = amount + charges_total - discounts_total - credits_total`, at currency precision (lifecycles §5.5).

    `amount`: before discounts and commitments. `charges_total`: what a minimum commitment adds. `discounts_total`:
    percentage discounts and maximum spend. `credits_total`: covered by customer credit. `total`: left to pay.
    """

    amount: Decimal = ZERO
    charges_total: Decimal = ZERO
    discounts_total: Decimal = ZERO
    credits_total: Decimal = ZERO
    total: Decimal = ZERO

    @property
    @exact
    def reconciles(self) -> bool:
        """Whether the total is what its parts say."""
        return self.total == self.amount + self.charges_total - self.discounts_total - self.credits_total

    @exact
    def with_credits(self, credits_total: Decimal) -> Totals:
        """The same totals with that much covered by credit."""
        return msgspec.structs.replace(
            self, credits_total=credits_total, total=self.total + self.credits_total - credits_total
        )


@exact
def sum_totals(parts: Iterable[Totals]) -> Totals:
    """The totals of several parts together."""
    amount = charges = discounts = credit = total = ZERO
    for part in parts:
        amount += part.amount
        charges += part.charges_total
        discounts += part.discounts_total
        credit += part.credits_total
        total += part.total
    return Totals(amount=amount, charges_total=charges, discounts_total=discounts, credits_total=credit, total=total)
