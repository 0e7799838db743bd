"""Unit price: every unit costs the same (rating §5.2)."""

from __future__ import annotations

from aggregates.rating.adjustments import Usage
from aggregates.rating.arithmetic import RatingArithmetic
from aggregates.rating.lines import Draft, draft
from aggregates.rating.place import Place
from aggregates.rating.prices import UnitPrice
from aggregates.values.decimals import ZERO
from aggregates.values.money import Currency

UNIT_REFERENCE = "unit-price-usage"
USAGE_LABEL = "usage in period"


def rate_unit(
    price: UnitPrice, usage: Usage, place: Place, currency: Currency, arithmetic: RatingArithmetic
) -> list[Draft]:
    """One line over the quantity: 10 units at 100 are 1000. Without a quantity above zero, no line."""
    if usage.quantity <= ZERO:
        return []
    return [draft(USAGE_LABEL, UNIT_REFERENCE, usage.quantity, price.amount, currency)]
