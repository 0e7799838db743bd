"""From a price and a quantity to detailed lines: the pipeline of rating §1, for one line of a service period.

    conversion -> usage discount -> price -> percentage -> maximum -> minimum -> credits -> totals

A flat price goes straight to its line, its percentage and its credits. It is a pure function: the same input gives the
same lines for ever. It stops at the first thing it cannot do, with a `ValidationFailed` of one finding (rating §13).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import msgspec

from aggregates.rating.adjustments import (
    Usage,
    UsageDiscountApplied,
    UsageEvent,
    cap_spend,
    carry_rounding,
    charge_minimum,
    convert_usage,
    discount_percentage,
    discount_usage,
)
from aggregates.rating.arithmetic import REFERENCE, RatingArithmetic
from aggregates.rating.dynamic import rate_dynamic
from aggregates.rating.flat import rate_flat
from aggregates.rating.graduated import rate_graduated
from aggregates.rating.graduated_percentage import rate_graduated_percentage
from aggregates.rating.lines import CreditApplied, DetailedLine, Draft, finish
from aggregates.rating.matrix import rate_matrix
from aggregates.rating.package import rate_package
from aggregates.rating.percentage import rate_percentage
from aggregates.rating.place import ONLY_LINE, Place
from aggregates.rating.prices import (
    GRADUATED,
    NO_DISCOUNTS,
    VOLUME,
    Discounts,
    DynamicPrice,
    FlatPrice,
    GraduatedPercentagePrice,
    MatrixPrice,
    PackagePrice,
    PercentagePrice,
    Price,
    TieredPackagePrice,
    TieredPrice,
    UnitConfig,
    UnitPrice,
    UsagePrice,
)
from aggregates.rating.refusal import refuse
from aggregates.rating.tiered_package import rate_tiered_package
from aggregates.rating.unit import rate_unit
from aggregates.rating.volume import rate_volume
from aggregates.values.decimals import ZERO, exact, text
from aggregates.values.money import Currency
from aggregates.values.period import Period
from aggregates.values.totals import Totals

Pricer = Callable[[Any, Usage, Place, Currency, RatingArithmetic], list[Draft]]

PRICERS: dict[type[Price], Pricer] = {
    FlatPrice: rate_flat,
    UnitPrice: rate_unit,
    DynamicPrice: rate_dynamic,
    PackagePrice: rate_package,
    TieredPackagePrice: rate_tiered_package,
    PercentagePrice: rate_percentage,
    GraduatedPercentagePrice: rate_graduated_percentage,
    MatrixPrice: rate_matrix,
}
"""One function per type of price; a tiered price has one per mode."""

TIERED_PRICERS: dict[str, Pricer] = {GRADUATED: rate_graduated, VOLUME: rate_volume}


class LineToRate(msgspec.Struct, frozen=True, kw_only=True):
    """Everything rating needs to know about one line.

    `quantity` and `pre_line_quantity` are raw metered units: usage inside the line's period, and from the start of the
    full period up to the line. `events` make up the quantity where the price looks at them. `previously_billed` is
    what earlier splits of the period billed; it counts only for a split. `full_period` is the period a minimum is
    charged on. Credits are used in order.
    """

    currency: Currency
    price: Price
    name: str = "feature"
    quantity: Decimal = ZERO
    pre_line_quantity: Decimal = ZERO
    events: tuple[UsageEvent, ...] = ()
    previously_billed: Decimal = ZERO
    discounts: Discounts = NO_DISCOUNTS
    unit_config: UnitConfig | None = None
    place: Place = ONLY_LINE
    full_period: Period | None = None
    credits: tuple[CreditApplied, ...] = ()
    existing_usage_discounts: tuple[UsageDiscountApplied, ...] = ()
    ignore_minimum_commitment: bool = False
    disable_credits: bool = False
    unit_config_enabled: bool = True


class RatedLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What rating found.

    `final_usage` is the usage after conversion and discount, absent for a flat price; `quantity_clamped` is the true
    quantity where a negative one was rated as zero (W7).
    """

    lines: tuple[DetailedLine, ...]
    totals: Totals
    final_usage: Usage | None = None
    usage_discounts: tuple[UsageDiscountApplied, ...] = ()
    quantity_clamped: Decimal | None = None


@exact
def rate(line: LineToRate, arithmetic: RatingArithmetic = REFERENCE) -> RatedLine:
    """The detailed lines of one line and their totals.

    10 units at 10 USD, 50 % off, maximum 40: one line of 100 with discounts of 50 and 10, total 40.
    """
    price, currency = line.price, line.currency
    pricer = _pricer_of(price)
    if isinstance(price, FlatPrice):
        drafts = pricer(price, NO_USAGE, line.place, currency, arithmetic)
        if line.discounts.percentage is not None:
            discount_percentage(drafts, line.discounts.percentage, currency, arithmetic)
        return _finished(line, drafts)
    usage, clamped = _metered(line, arithmetic)
    if line.unit_config is not None:
        usage = convert_usage(usage, price, line.unit_config, enabled=line.unit_config_enabled, arithmetic=arithmetic)
    usage, usage_discounts = discount_usage(usage, line.discounts.usage, line.existing_usage_discounts)
    drafts = pricer(price, usage, line.place, currency, arithmetic)
    if arithmetic.carry_rounding:
        carry_rounding(drafts, currency)
    if line.discounts.percentage is not None:
        discount_percentage(drafts, line.discounts.percentage, currency, arithmetic)
    if isinstance(price, UsagePrice):
        _commit(line, price, drafts)
    return _finished(line, drafts, usage, usage_discounts, clamped)


NO_USAGE = Usage(ZERO, ZERO)


def _pricer_of(price: Price) -> Pricer:
    pricer = TIERED_PRICERS.get(price.mode) if isinstance(price, TieredPrice) else PRICERS.get(type(price))
    if pricer is None:
        if isinstance(price, TieredPrice):
            refuse("tiered_mode_unsupported", f"tiers are graduated or volume, not {price.mode!r}", "price.mode")
        refuse("price_type_unsupported", f"{type(price).__name__} is no price that can be rated", "price")
    return pricer


def _metered(line: LineToRate, arithmetic: RatingArithmetic) -> tuple[Usage, Decimal | None]:
    """The raw usage, under the policies for a past before a first line (W6) and for negative usage (W7)."""
    quantity, before, price = line.quantity, line.pre_line_quantity, line.price
    if arithmetic.first_line_has_no_past and line.place.first and before:
        refuse("pre_line_quantity_on_first_line", f"nothing can be used before a first line, got {before}", "usage")
    if quantity < ZERO and arithmetic.negative_usage != "as_reference":
        if arithmetic.negative_usage == "refuse":
            refuse("negative_quantity", f"usage must not be negative, got {quantity}", "usage")
        return Usage(ZERO, before), quantity
    if price.needs_events or line.events:
        _check_events(line, quantity)
    return Usage(quantity, before, line.events if price.needs_events else ()), None


def _check_events(line: LineToRate, quantity: Decimal) -> None:
    """A price that looks at events gets all of them, of the whole period at once, and they are the quantity."""
    if line.place.split:
        refuse("invoice_progressive_billing_not_supported", "a price by event is billed whole", "price")
    if sum((event.quantity for event in line.events), ZERO) != quantity:
        refuse("usage_events_do_not_sum", f"the usage events do not sum to the quantity {text(quantity)}", "events")
    if any(event.quantity < ZERO for event in line.events):
        refuse("usage_event_negative", "a usage event below zero has no price of its own", "events")


def _commit(line: LineToRate, price: UsagePrice, drafts: list[Draft]) -> None:
    """Maximum, then minimum: the minimum comes last and is not limited by the maximum."""
    billed_before = line.previously_billed if line.place.split else ZERO
    if price.maximum_amount is not None:
        cap_spend(drafts, price.maximum_amount, billed_before, line.currency)
    if price.minimum_amount is not None and line.place.last and not line.ignore_minimum_commitment:
        shortfall = charge_minimum(drafts, price.minimum_amount, billed_before, line.full_period, line.currency)
        if shortfall is not None:
            drafts.append(shortfall)


def apply_credits(drafts: list[Draft], credits_: Iterable[CreditApplied], currency: Currency) -> None:
    """Cover lines with credits, each credit from the first line on (rating §11.1).

    Lines 100 and 50, credits 75 and 75: 75 + 25 on the first, 50 on the second. Refuses credit that is left over:
    it must never be booked against nothing.
    """
    for credit in credits_:
        left = currency.rounded(credit.amount)
        for d in drafts:
            if not left:
                break
            if d.net <= ZERO:
                continue
            part = min(left, d.net)
            applied = CreditApplied(
                amount=part, description=credit.description, credit_realization_id=credit.credit_realization_id
            )
            if d.credits is None:
                d.credits = [applied]
            else:
                d.credits.append(applied)
            d.net -= part
            left -= part
        if left:
            refuse("invoice_line_credits_not_consumed_fully", f"{left} of a credit covers nothing", "credits")


def previously_billed(earlier: Iterable[Totals], arithmetic: RatingArithmetic = REFERENCE) -> Decimal:
    """What earlier splits of a period billed: their amounts, less discounts under exact arithmetic (W1)."""
    net = arithmetic.previously_billed_net
    return sum((t.amount - t.discounts_total if net else t.amount for t in earlier), ZERO)


def _finished(
    line: LineToRate,
    drafts: list[Draft],
    usage: Usage | None = None,
    usage_discounts: tuple[UsageDiscountApplied, ...] = (),
    clamped: Decimal | None = None,
) -> RatedLine:
    if line.credits and not line.disable_credits:
        apply_credits(drafts, line.credits, line.currency)
    lines = tuple([finish(d, line.name, line.currency) for d in drafts])
    return RatedLine(
        lines=lines,
        totals=lines[0].totals if len(lines) == 1 else totals_of(lines),
        final_usage=usage,
        usage_discounts=usage_discounts,
        quantity_clamped=clamped,
    )


def totals_of(lines: Iterable[DetailedLine]) -> Totals:
    """The field-wise sum over lines; nothing exists that is not on a line (rating §3.3). Runs inside `exact`."""
    amount = charges = discounts = credit = total = ZERO
    for line in lines:
        t = line.totals
        amount += t.amount
        charges += t.charges_total
        discounts += t.discounts_total
        credit += t.credits_total
        total += t.total
    return Totals(amount=amount, charges_total=charges, discounts_total=discounts, credits_total=credit, total=total)
