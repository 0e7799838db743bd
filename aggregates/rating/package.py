"""Package price: every started package costs its amount (rating §5.4)."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from aggregates.rating.adjustments import QUOTIENT_PLACES, Usage
from aggregates.rating.arithmetic import RatingArithmetic
from aggregates.rating.dynamic import AMOUNT_REFERENCE
from aggregates.rating.lines import Draft, draft
from aggregates.rating.place import Place
from aggregates.rating.prices import PackagePrice
from aggregates.rating.refusal import refuse
from aggregates.rating.unit import USAGE_LABEL
from aggregates.values.decimals import ONE, ZERO, divide, exact
from aggregates.values.money import Currency


def rate_package(
    price: PackagePrice, usage: Usage, place: Place, currency: Currency, arithmetic: RatingArithmetic
) -> list[Draft]:
    """One line over the packages started by this line: 17 units before, 5 now, packages of 10: 3 - 2 = 1.

    Packages that earlier splits started are theirs; a first line has no earlier ones (W6). Refuses a package size
    of 0 (`division_by_zero`).
    """
    size, exactly = price.quantity_per_package, arithmetic.divide_exactly
    reached = packages(usage.pre_line_quantity + usage.quantity, size, exactly=exactly)
    already = ZERO if place.first else packages(usage.pre_line_quantity, size, exactly=exactly)
    count = reached - already
    return [draft(USAGE_LABEL, AMOUNT_REFERENCE, count, price.amount, currency)] if count else []


@exact
def packages(quantity: Decimal, size: Decimal, *, exactly: bool = False) -> Decimal:
    """How many packages hold the quantity: of 10, 1 needs 1, 10 needs 1, 11 needs 2 and -15 needs -1.

    The quotient is first rounded to 16 decimals (W8), so 9.99999999999999999 needs 2; with `exactly` it needs 1.
    """
    if not size:
        refuse("division_by_zero", "a package must hold more than nothing", "price.quantity_per_package")
    if quantity % size == 0:
        return (quantity / size).to_integral_value() or ZERO
    if exactly:
        return quantity // size + (ONE if (quantity < 0) == (size < 0) else ZERO)
    return divide(quantity, size, QUOTIENT_PLACES).to_integral_value(rounding=ROUND_FLOOR) + ONE
