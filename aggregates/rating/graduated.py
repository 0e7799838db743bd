"""Graduated price: every unit costs what the tier says in which it lies (rating §5.7).

A line from `F` to `T` is cut at the tier bounds into stretches. A tier's flat part is billed once, by the line with
which usage first enters the tier; the first tier's belongs to the first line of the period, used or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from aggregates.rating.adjustments import Usage
from aggregates.rating.arithmetic import RatingArithmetic
from aggregates.rating.lines import Draft, draft
from aggregates.rating.place import Place
from aggregates.rating.prices import Tier, TieredPrice
from aggregates.rating.refusal import refuse
from aggregates.rating.validation import price_is_valid
from aggregates.values.decimals import ONE, ZERO, exact
from aggregates.values.money import Currency


class Stretch(NamedTuple):
    """The part of a line that lies in one tier; `at_boundary` when it starts where the tier starts."""

    number: int
    tier: Tier
    width: Decimal
    at_boundary: bool


def rate_graduated(
    price: TieredPrice, usage: Usage, place: Place, currency: Currency, arithmetic: RatingArithmetic
) -> list[Draft]:
    """For each stretch its units, then the flat part of a tier that is entered.

    Tiers to 5 flat 100, to 10 flat 50, to 15 at 5, above at 1: 22 units are 100 + 50 + 25 + 7 = 182. Refuses an
    invalid price, and a line that starts, ends or runs below zero.
    """
    return rate_stretches(price, usage, place, currency, arithmetic, component="graduated-tiered")


def rate_stretches(
    price: TieredPrice,
    usage: Usage,
    place: Place,
    currency: Currency,
    arithmetic: RatingArithmetic,
    *,
    component: str,
) -> list[Draft]:
    """The lines of a graduated price under the name of another one that is graduated, too."""
    start = usage.pre_line_quantity
    end = start + usage.quantity
    _check(price, start, end)
    lines: list[Draft] = []
    for number, tier, width, at_boundary in stretches(
        price, start, end, tiers_always_sorted=arithmetic.tiers_always_sorted
    ):
        if tier.unit_price is not None:
            label, reference = f"usage price for tier {number}", f"{component}-{number}-price-usage"
            lines.append(draft(label, reference, width, tier.unit_price, currency))
        if tier.flat_price is not None and at_boundary and (number > 1 or place.first):
            label, reference = f"flat price for tier {number}", f"{component}-{number}-flat-price"
            lines.append(draft(label, reference, ONE, tier.flat_price, currency))
    return lines


def _check(price: TieredPrice, start: Decimal, end: Decimal) -> None:
    if not price_is_valid(price):
        refuse("price_invalid", "the graduated price is invalid", "price")
    if start < ZERO:
        refuse("graduated_negative_from_quantity", f"usage before the line is {start}", "usage")
    if end < ZERO:
        refuse("graduated_negative_to_quantity", f"usage up to the end of the line is {end}", "usage")
    if end < start:
        refuse("graduated_negative_line_quantity", f"usage of the line is {end - start}", "usage")


def stretches(
    price: TieredPrice, start: Decimal, end: Decimal, *, tiers_always_sorted: bool = False
) -> Iterator[Stretch]:
    """The parts of `start..end` by tier, tiers numbered from 1.

    Nothing used so far is one stretch of width 0 in the first tier as it was declared (W5), or as it is sorted.
    """
    if not end:
        tiers = price.sorted_tiers() if tiers_always_sorted else price.tiers
        yield Stretch(1, tiers[0], ZERO, at_boundary=True)
        return
    lower = ZERO
    for number, tier in enumerate(price.sorted_tiers(), 1):
        if lower >= end:
            return
        upper = end if tier.up_to_amount is None else min(tier.up_to_amount, end)
        begin = max(lower, start)
        # A first tier that ends at 0 holds nothing, but a line from 0 enters it all the same.
        if begin < upper or (number == 1 and upper == lower and start <= lower):
            yield Stretch(number, tier, upper - begin, at_boundary=start <= lower)
        lower = end if tier.up_to_amount is None else tier.up_to_amount


class TierRange(NamedTuple):
    """A stretch with the running total before it; tiers count from 0 here."""

    tier_index: int
    quantity: Decimal
    at_tier_boundary: bool
    previous_total: Decimal


@exact
def tier_ranges(
    price: TieredPrice, start: Decimal, end: Decimal, currency: Currency
) -> tuple[list[TierRange], Decimal]:
    """The stretches of `start..end`, each with what everything before it costs, and the cost of `0..end`.

    Every flat part and every stretch of units is rounded by itself.
    """
    _check(price, start, end)
    ranges: list[TierRange] = []
    total = ZERO
    before = stretches(price, ZERO, start) if start else iter(())
    for stretch in before:
        total += _cost(stretch, currency)
    if start != end or not end:
        for stretch in stretches(price, start, end):
            ranges.append(TierRange(stretch.number - 1, stretch.width, stretch.at_boundary, total))
            total += _cost(stretch, currency)
    return ranges, total


def tier_total(price: TieredPrice, quantity: Decimal, currency: Currency) -> Decimal:
    """What a quantity costs from zero, for checks: tiers flat 100, flat 50, 10 each, 5 each to 5, 10, 15: 12 is 170."""
    return tier_ranges(price, ZERO, quantity, currency)[1]


def _cost(stretch: Stretch, currency: Currency) -> Decimal:
    units, flat = stretch.tier.unit_price, stretch.tier.flat_price
    cost = ZERO if units is None else currency.rounded(units * stretch.width)
    return cost + currency.rounded(flat) if flat is not None and stretch.at_boundary else cost
