"""Percentage price: a share of the value that passes through, with fees per event. Beyond the specification's prices.

2.9 % and 0.30 per event, at least 0.50 and at most 10 each: events of 5, 100 and 1000 cost 0.50 (0.145 + 0.30 is below
it), 3.20 and 10 (29.30 is above it), together 13.70.
"""

from __future__ import annotations

from decimal import Decimal

from aggregates.rating.adjustments import Usage, UsageEvent
from aggregates.rating.arithmetic import RatingArithmetic
from aggregates.rating.lines import Draft, draft
from aggregates.rating.place import Place
from aggregates.rating.prices import PercentagePrice
from aggregates.rating.refusal import refuse
from aggregates.values.decimals import ZERO
from aggregates.values.money import Currency

VALUE_REFERENCE = "percentage-value"
FIXED_FEE_REFERENCE = "percentage-fixed-fee"
EVENT_MINIMUM_REFERENCE = "percentage-event-minimum"
EVENT_MAXIMUM_REFERENCE = "percentage-event-maximum"


def rate_percentage(
    price: PercentagePrice, usage: Usage, place: Place, currency: Currency, arithmetic: RatingArithmetic
) -> list[Draft]:
    """The share of the value, the fixed fees, and the events that cost the least or the most an event can cost.

    Every line is a quantity at a price: an event at its floor or ceiling is on that line only. Which events are free
    goes by their time, so a late event can make another one cost something. The share is rounded once, on its sum.
    Events may come in parts that cost alike. Refuses a part that is free in part (`usage_events_not_apart`).
    """
    share = price.percentage.scaleb(-2)
    if not price.needs_events:
        value = usage.quantity
        return [draft("share of value", VALUE_REFERENCE, value, share, currency)] if value > ZERO else []
    sums = _Sums()
    free = price.free_events
    for event in usage.events:
        if not free:
            sums.add(event, price, share)
        elif event.count > free:
            refuse(
                "usage_events_not_apart", f"{event.count} events come together, and {free} of them are free", "events"
            )
        else:
            free -= event.count
    parts = (
        ("share of value", VALUE_REFERENCE, sums.value, share),
        ("fixed fee per event", FIXED_FEE_REFERENCE, sums.events, price.fixed_fee),
        ("events at the minimum", EVENT_MINIMUM_REFERENCE, sums.at_minimum, price.minimum_per_event),
        ("events at the maximum", EVENT_MAXIMUM_REFERENCE, sums.at_maximum, price.maximum_per_event),
    )
    return [
        draft(label, reference, quantity, rate, currency)
        for label, reference, quantity, rate in parts
        if quantity and rate
    ]


class _Sums:
    """What the events come to, by what they cost."""

    def __init__(self) -> None:
        self.value = self.events = self.at_minimum = self.at_maximum = ZERO

    def add(self, event: UsageEvent, price: PercentagePrice, share: Decimal) -> None:
        cost = event.quantity * share + (price.fixed_fee or ZERO) * event.count
        if price.maximum_per_event is not None and cost > price.maximum_per_event * event.count:
            self.at_maximum += event.count
        elif price.minimum_per_event is not None and cost < price.minimum_per_event * event.count:
            self.at_minimum += event.count
        else:
            self.value += event.quantity
            self.events += event.count
