"""The parts of a quantity: how usage falls into them, and how parts that were read become an answer.

A database tells the parts apart where the usage is, in one statement over the index that the quantity is read from,
and hands over a row a part; usage in memory is told apart here. What all builds share stands here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import IntEnum
from typing import TypeVar

from aggregates.catalogue import Aggregation
from aggregates.rating.parts import ByProperty, ByValue, PartsNeeded
from aggregates.values.decimals import ONE, ZERO, exact
from ledger.metering.usage import StoredUsage, UsageEvent, normal
from ledger.ports import Metered, MeteredPart, MeterQuery

K = TypeVar("K")


class Band(IntEnum):
    """The parts by value, in the order in which they are told."""

    FREE = 0
    NEGATIVE = 1
    BELOW = 2
    BETWEEN = 3
    ABOVE = 4


@exact
def metered(parts: Iterable[MeteredPart], position: int) -> Metered:
    """The answer that parts make. Those by property are put in the order of their values, the one without last.

    Parts by value have to come in order; they name no value, so they stay as they are.
    """
    told = tuple(sorted(parts, key=lambda part: (part.value is None, part.value or "")))
    return Metered(normal(sum((part.quantity for part in told), ZERO)), position, told)


def told_apart(query: MeterQuery, by: PartsNeeded, counted: Iterable[StoredUsage]) -> list[MeteredPart]:
    """The parts of events that are in order of event time and place."""
    counts = query.meter.aggregation is Aggregation.COUNT
    used = [(stored.event, ONE if counts else stored.event.value) for stored in counted]
    valued = [(event, value) for event, value in used if value is not None]
    if isinstance(by, ByProperty):
        values = _summed(valued, lambda event, _: _kept(event.properties.get(by.property_name), by))
        return [MeteredPart(quantity, count, value) for value, (quantity, count) in values.items()]
    bands = _summed(valued, _Bands(by))
    return [MeteredPart(*bands[band]) for band in Band if band in bands]


def _kept(value: str | None, by: ByProperty) -> str | None:
    return value if by.values is None or value in by.values else None


class _Bands:
    """Says for one event after the other in which band it is; the first ones that are not negative are free."""

    def __init__(self, by: ByValue) -> None:
        self._by = by
        self._free = by.free

    def __call__(self, _event: UsageEvent, value: Decimal) -> Band:
        below, above = self._by.below, self._by.above
        if value < ZERO:
            return Band.NEGATIVE
        if self._free:
            self._free -= 1
            return Band.FREE
        if above is not None and value > above:
            return Band.ABOVE
        return Band.BELOW if below is not None and value < below else Band.BETWEEN


@exact
def _summed(
    used: Iterable[tuple[UsageEvent, Decimal]], part_of: Callable[[UsageEvent, Decimal], K]
) -> dict[K, tuple[Decimal, int]]:
    """The sum and the number of events, by part."""
    sums: dict[K, tuple[Decimal, int]] = {}
    for event, value in used:
        part = part_of(event, value)
        quantity, count = sums.get(part, (ZERO, 0))
        sums[part] = (quantity + value, count + 1)
    return {part: (normal(quantity), count) for part, (quantity, count) in sums.items()}
