"""Graduated percentage: a share of the value that passes through, by steps of value. Beyond the specification's prices.

2 % of the first 1000, then 1 %: 1500 are 20 + 5 = 25. It is a graduated price per unit of value: 2 % is 0.02 each.
"""

from __future__ import annotations

from aggregates.rating.adjustments import Usage
from aggregates.rating.arithmetic import RatingArithmetic
from aggregates.rating.graduated import rate_stretches
from aggregates.rating.lines import Draft
from aggregates.rating.place import Place
from aggregates.rating.prices import GraduatedPercentagePrice
from aggregates.values.money import Currency


def rate_graduated_percentage(
    price: GraduatedPercentagePrice, usage: Usage, place: Place, currency: Currency, arithmetic: RatingArithmetic
) -> list[Draft]:
    """For each tier the share of the value in it, rounded once, then its flat part where it is entered."""
    return rate_stretches(price.as_graduated(), usage, place, currency, arithmetic, component="graduated-percentage")
