"""Dynamic price: the metered quantity is a cost, the multiplier marks it up (rating §5.3)."""

from __future__ import annotations

from aggregates.rating.adjustments import Usage
from aggregates.rating.arithmetic import RatingArithmetic
from aggregates.rating.lines import Draft, draft
from aggregates.rating.place import Place
from aggregates.rating.prices import DynamicPrice
from aggregates.rating.unit import USAGE_LABEL
from aggregates.values.decimals import ONE, ZERO
from aggregates.values.money import Currency

AMOUNT_REFERENCE = "usage"


def rate_dynamic(
    price: DynamicPrice, usage: Usage, place: Place, currency: Currency, arithmetic: RatingArithmetic
) -> list[Draft]:
    """One line of quantity 1 at the marked-up cost, rounded: 10 at 1.33333 are 13.33. Without a cost, no line."""
    if usage.quantity <= ZERO:
        return []
    amount = usage.quantity * price.multiplier
    line = draft(USAGE_LABEL, AMOUNT_REFERENCE, ONE, currency.rounded(amount), currency)
    line.unrounded = amount
    return [line]
