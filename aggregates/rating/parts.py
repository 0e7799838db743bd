"""What a price that looks at usage events has to know of them: a few parts of the quantity, however many there were.

A matrix needs the quantity per value of a property. A percentage with terms per event needs the events in groups that
cost alike: the free ones, and of the others those at the floor, at the ceiling, and between. Within a group the cost of
an event is a straight line of its value, so the group costs what its sum and its number say, to the last digit.

2.9 % and 0.30, at least 0.50 and at most 10: below 6.89655… an event is at its floor, above 334.48275… at its ceiling.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final, TypeAlias

import msgspec

from aggregates.rating.prices import MatrixPrice, PercentagePrice, Price
from aggregates.values.decimals import EXACT, LIMIT

VALUE_PLACES: Final = 18
"""Values of usage events have at most so many decimals, so bounds are cut to them without changing who is beyond."""


class ByProperty(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The quantity per value of a property of the event.

    Events without the property are one part. Of `values` each is a part, and all other values go with those without;
    without `values` every value is a part.
    """

    property_name: str
    values: tuple[str, ...] | None = None


class ByValue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The quantity and the number of events by the value of the event.

    The first `free` events by time are one part. The others are parts by what they are worth: less than `below`, more
    than `above`, and between; an absent bound parts nothing. Events below zero are a part beside them, never free.
    """

    free: int = 0
    below: Decimal | None = None
    above: Decimal | None = None


PartsNeeded: TypeAlias = ByProperty | ByValue


def parts_needed(price: Price) -> PartsNeeded | None:
    """How the usage has to be told apart for this price; None where its sum is enough."""
    if not price.needs_events:
        return None
    if isinstance(price, MatrixPrice):
        return ByProperty(property_name=price.property_name, values=tuple([cell.value for cell in price.cells]))
    assert isinstance(price, PercentagePrice), f"{type(price).__name__} does not say which events it looks at"
    least, most = _reaches(price.minimum_per_event, price), _reaches(price.maximum_per_event, price)
    return ByValue(
        free=price.free_events,
        below=None if least is None else _at_places(-(-least // 1)),
        above=None if most is None else _at_places(most // 1),
    )


def _reaches(cost: Decimal | None, price: PercentagePrice) -> Fraction | None:
    """The value at which an event costs so much, in units of the last place; None where all events cost the same."""
    if cost is None or not price.percentage:
        return None
    return (Fraction(cost) - Fraction(price.fixed_fee or 0)) * 100 / Fraction(price.percentage) * 10**VALUE_PLACES


def _at_places(units: int) -> Decimal:
    return max(-LIMIT, min(LIMIT, Decimal(units).scaleb(-VALUE_PLACES, context=EXACT)))
