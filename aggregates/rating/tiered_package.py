"""Tiered package price: started packages, graduated by their number. Beyond the specification's prices.

Packages of 1000, the first 2 at 10, further ones at 8: 2500 units are 3 packages, 2 x 10 + 1 x 8 = 28.
"""

from __future__ import annotations

from aggregates.rating.adjustments import Usage
from aggregates.rating.arithmetic import RatingArithmetic
from aggregates.rating.graduated import rate_stretches
from aggregates.rating.lines import Draft
from aggregates.rating.package import packages
from aggregates.rating.place import Place
from aggregates.rating.prices import TieredPackagePrice
from aggregates.values.money import Currency


def rate_tiered_package(
    price: TieredPackagePrice, usage: Usage, place: Place, currency: Currency, arithmetic: RatingArithmetic
) -> list[Draft]:
    """For each tier the packages this line starts in it, then its flat part where it is entered.

    Packages are counted at both ends of the line, so splits start each package once. Refuses what a package price
    and a graduated price refuse.
    """
    size, exactly = price.quantity_per_package, arithmetic.divide_exactly
    before = packages(usage.pre_line_quantity, size, exactly=exactly)
    reached = packages(usage.pre_line_quantity + usage.quantity, size, exactly=exactly)
    counted = Usage(reached - before, before)
    return rate_stretches(price.as_graduated(), counted, place, currency, arithmetic, component="tiered-package")
