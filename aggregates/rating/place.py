"""Where a line lies in its service period, and what of it can be billed as of a moment.

A line is the only line of its period or one split of a period billed progressively; the first split carries what
belongs to the start, the last one what belongs to the end (rating §4). Charges never use splits: they rate the
cumulative quantity as an only line and subtract what is booked (rating §4.5).
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from aggregates.rating.prices import VOLUME, FlatPrice, Price, TieredPrice
from aggregates.rating.refusal import refuse
from aggregates.values.period import Period, instant

PROGRESSIVE_AGGREGATIONS = frozenset({"sum", "count", "max", "unique_count"})
"""The meters whose quantity can be billed while the period runs: it never falls as the period grows."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Whether the line is a split, and which end of the full period it touches."""

    split: bool = False
    first: bool = True
    last: bool = True

    @staticmethod
    def of(period: Period, full_period: Period, *, split: bool) -> Place:
        """The place of a line's period in the full period.

        Refuses a line that is no split and yet does not cover the full period (`line_period_differs`).
        """
        if not split:
            if period != full_period:
                refuse("line_period_differs", f"{period} is no split but differs from {full_period}", "period")
            return ONLY_LINE
        return Place(split=True, first=period.from_ == full_period.from_, last=period.to == full_period.to)


ONLY_LINE = Place()


def billable_period(
    price: Price,
    service_period: Period,
    *,
    as_of: datetime,
    invoice_at: datetime,
    split: bool = False,
    progressive_billing: bool = False,
    meter_aggregation: str = "sum",
) -> Period | None:
    """The period to bill as of a moment, or nothing (rating §4.4).

    A day billed progressively: as of its start nothing, as of noon the half day, after its end the day. Flat and
    volume prices refuse a split (`invoice_progressive_billing_not_supported`): they cannot be billed in part.
    """
    if split and (isinstance(price, FlatPrice) or (isinstance(price, TieredPrice) and price.mode == VOLUME)):
        refuse("invoice_progressive_billing_not_supported", "a flat or volume price is billed whole", "price")
    if isinstance(price, FlatPrice):
        return None if invoice_at > as_of else service_period
    whole = Period(instant(service_period.from_), instant(service_period.to))
    now = instant(as_of)
    volume = isinstance(price, TieredPrice) and price.mode == VOLUME
    if volume or not progressive_billing or meter_aggregation.lower() not in PROGRESSIVE_AGGREGATIONS:
        return None if now < whole.to else whole
    return None if now <= whole.from_ else Period(whole.from_, min(now, whole.to))
