"""Matrix price: what a unit costs depends on a property of its usage event. Beyond the specification's prices.

`region`: eu at 0.10, us at 0.08, elsewhere 0.12. 100 units of eu, 50 of us and 10 of br are 10 + 4 + 1.20 = 15.20.
"""

from __future__ import annotations

from decimal import Decimal

from aggregates.rating.adjustments import Usage
from aggregates.rating.arithmetic import RatingArithmetic
from aggregates.rating.lines import Draft, draft
from aggregates.rating.place import Place
from aggregates.rating.prices import MatrixPrice
from aggregates.values.decimals import ZERO
from aggregates.values.money import Currency

MATRIX_REFERENCE = "matrix-price-usage"


def rate_matrix(
    price: MatrixPrice, usage: Usage, place: Place, currency: Currency, arithmetic: RatingArithmetic
) -> list[Draft]:
    """One line per value that was used, in the order of the cells; what no cell names is one line at the fallback.

    The lines of a value keep their name when other values come and go.
    """
    rates = {cell.value: cell.unit_price for cell in price.cells}
    used: dict[str | None, Decimal] = {}
    for event in usage.events:
        value = event.properties.get(price.property_name)
        cell = value if value in rates else None
        used[cell] = used.get(cell, ZERO) + event.quantity
    lines = [
        draft(f"usage for {price.property_name} {value}", f"{MATRIX_REFERENCE}/{value}", used[value], rate, currency)
        for value, rate in rates.items()
        if used.get(value)
    ]
    elsewhere = used.get(None)
    if elsewhere:
        lines.append(
            draft(f"usage for any other {price.property_name}", MATRIX_REFERENCE, elsewhere, price.fallback, currency)
        )
    return lines
