"""What happens around a price: conversion, usage discount - then the price - percentage, maximum, minimum.

The functions stand in the order in which they apply (rating §1): units are converted first, so tier bounds and free
units are in converted units; the percentage comes before the commitments, so maximum and minimum look at discounted
amounts and a minimum is never discounted.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal

import msgspec

from aggregates.rating.allocation import allocate_by_amount
from aggregates.rating.arithmetic import RatingArithmetic
from aggregates.rating.lines import (
    COMMITMENT,
    AmountDiscount,
    DiscountReason,
    Draft,
    MaximumSpend,
    RatecardPercentage,
    RoundingCorrection,
    draft,
)
from aggregates.rating.prices import (
    CEILING,
    DIVIDE,
    FLOOR,
    HALF_UP,
    MULTIPLY,
    UNROUNDED,
    PercentageDiscount,
    Price,
    UnitConfig,
    UsageDiscount,
)
from aggregates.rating.refusal import refuse
from aggregates.rating.validation import MAX_PLACES, unit_config_is_valid
from aggregates.values.decimals import DIGITS, ZERO, decimal_places, divide, exact, shortest, text
from aggregates.values.money import Currency
from aggregates.values.period import Period

QUOTIENT_PLACES = 16
"""Every division is carried to that many decimals, halves away from zero, and only then used (rating §2.1)."""

HUNDRED = Decimal(100)
MAXIMUM_SPEND_ID = "line_maximum_spend"
ROUNDING_ID = "line_rounding"
MIN_SPEND_REFERENCE = "min-spend"

_MODES = {CEILING: ROUND_CEILING, FLOOR: ROUND_FLOOR, HALF_UP: ROUND_HALF_UP}
_QUANTIZING: dict[str, Context] = {mode: Context(prec=DIGITS, rounding=how) for mode, how in _MODES.items()}


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Usage for prices that look at each event: what it adds to the quantity, and its properties.

    `count` events that the price treats alike may stand together; the quantity is then their sum (`rating.parts`).
    """

    quantity: Decimal
    properties: dict[str, str] = {}
    count: int = 1


class Usage(msgspec.Struct, frozen=True, gc=False):
    """The quantity of a line, and the quantity from the start of the full period up to the line's start.

    `events` make up the quantity, where the price looks at them: in the order of their time, or those that are free
    first and the others in parts that the price treats alike.
    """

    quantity: Decimal
    pre_line_quantity: Decimal = ZERO
    events: tuple[UsageEvent, ...] = ()


class RatecardUsage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ratecard_usage", gc=False):
    """A usage discount of the price list."""

    quantity: Decimal
    correlation_id: str


class UsageDiscountApplied(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a usage discount took off a line's quantity: `quantity` now, `pre_line_period_quantity` earlier."""

    quantity: Decimal
    pre_line_period_quantity: Decimal
    child_unique_reference_id: str
    reason: RatecardUsage | DiscountReason


# ── before the price ─────────────────────────────────────────────────────────────────────────────────────────


def convert_usage(
    usage: Usage, price: Price, config: UnitConfig | None, *, enabled: bool, arithmetic: RatingArithmetic
) -> Usage:
    """Both quantities in billed units, each converted by itself (rating §6, W9): 1400 by 1000, ceiling, is 2.

    Refuses a config while conversion is switched off (billing raw units would be silently wrong), on a price that
    takes none, and an invalid config, in this order.
    """
    if config is None:
        return usage
    if not enabled:
        refuse("unit_config_disabled", "unit conversion is switched off here; remove the unit config", "unit_config")
    if not price.converts_units:
        refuse("unit_config_unsupported_price", "only unit and tiered prices take a unit config", "unit_config")
    if not unit_config_is_valid(config):
        refuse("unit_config_invalid", "the unit config is invalid; a factor must be above zero", "unit_config")
    exactly = arithmetic.divide_exactly
    return Usage(
        invoiced(config, usage.quantity, exactly=exactly), invoiced(config, usage.pre_line_quantity, exactly=exactly)
    )


@exact
def converted(config: UnitConfig, raw: Decimal) -> Decimal:
    """The quantity in billed units, unrounded; for balance checks. An unknown operation changes nothing."""
    if config.operation == MULTIPLY:
        return raw * config.conversion_factor
    if config.operation == DIVIDE:
        return divide(raw, config.conversion_factor, QUOTIENT_PLACES)
    return raw


@exact
def invoiced(config: UnitConfig, raw: Decimal, *, exactly: bool = False) -> Decimal:
    """The quantity in billed units as it is billed: rounded at the config's precision, if it rounds."""
    context = _QUANTIZING.get(config.rounding)
    if exactly and config.operation == DIVIDE and context is not None and config.precision <= MAX_PLACES:
        return _round_quotient(raw, config.conversion_factor, config.precision, config.rounding)
    quantity = converted(config, raw)
    if context is None or decimal_places(quantity) <= config.precision:
        return quantity
    return quantity.quantize(Decimal(1).scaleb(-config.precision), context=context) or ZERO


def _round_quotient(dividend: Decimal, divisor: Decimal, places: int, mode: str) -> Decimal:
    """The exact fraction rounded once (W8)."""
    whole, rest = divmod(dividend.scaleb(places), divisor)  # truncates: the rest has the sign of the dividend
    away = -1 if (dividend < 0) != (divisor < 0) else 1
    if rest and (
        (mode == CEILING and away > 0)
        or (mode == FLOOR and away < 0)
        or (mode == HALF_UP and abs(rest) * 2 >= abs(divisor))
    ):
        whole += away
    return whole.scaleb(-places) or ZERO


def same_unit_config(left: UnitConfig | None, right: UnitConfig | None) -> bool:
    """Whether two configs bill alike: empty and `none` are one rounding, and precision counts only with one."""
    if left is None or right is None:
        return left is right
    if (left.operation, left.conversion_factor) != (right.operation, right.conversion_factor):
        return False
    if (left.display_unit or None) != (right.display_unit or None):
        return False
    if left.rounding in UNROUNDED or right.rounding in UNROUNDED:
        return left.rounding in UNROUNDED and right.rounding in UNROUNDED
    return (left.rounding, left.precision) == (right.rounding, right.precision)


def discount_usage(
    usage: Usage, discount: UsageDiscount | None, existing: tuple[UsageDiscountApplied, ...] = ()
) -> tuple[Usage, tuple[UsageDiscountApplied, ...]]:
    """Take free units off the usage: the first units of the period are the free ones (rating §7).

    10 free, 5 used before, 15 now: 10 are left to bill, and 5 / 5 is recorded. Records of an earlier rating are
    replaced. Refuses a discount without a correlation id.
    """
    kept = tuple(record for record in existing if not isinstance(record.reason, RatecardUsage))
    if discount is None:
        return usage, kept
    if not discount.correlation_id:
        refuse("usage_discount_missing_correlation_id", "a usage discount needs a correlation id", "discounts.usage")
    if usage.events:
        refuse(
            "usage_discount_unsupported_price",
            "free units do not say which event they are taken from",
            "discounts.usage",
        )
    free = discount.quantity
    before = min(free, usage.pre_line_quantity)
    applied = min(free - before, usage.quantity)
    left = Usage(usage.quantity - applied, usage.pre_line_quantity - before)
    if not applied:
        return left, kept
    record = UsageDiscountApplied(
        quantity=applied,
        pre_line_period_quantity=before,
        child_unique_reference_id=ratecard_discount_id(discount.correlation_id),
        reason=RatecardUsage(quantity=free, correlation_id=discount.correlation_id),
    )
    return left, (*kept, record)


# ── after the price ──────────────────────────────────────────────────────────────────────────────────────────


def ratecard_discount_id(correlation_id: str) -> str:
    """The reference of a discount of the price list on a line."""
    return f"rateCardDiscount/correlationID={correlation_id}"


def carry_rounding(lines: list[Draft], currency: Currency) -> None:
    """Make the rounded lines of a price sum to its rounded sum (W10): three of 0.005 are 0.02, not 0.03.

    The difference goes out in smallest units, one per line, largest rounding error first; a line's share is noted in
    `rounding_amount`, positive when it takes something off.
    """
    excess = sum((d.gross for d in lines), ZERO) - currency.rounded(sum((d.unrounded for d in lines), ZERO))
    if not excess:
        return
    unit = Decimal(1).scaleb(-currency.precision).copy_sign(excess)
    sign = 1 if excess > 0 else -1
    by_error = sorted(range(len(lines)), key=lambda i: (-sign * (lines[i].gross - lines[i].unrounded), i))
    for i in by_error[: int(excess / unit)]:
        lines[i].discount(
            AmountDiscount(
                amount=ZERO,
                rounding_amount=unit,
                child_unique_reference_id=ROUNDING_ID,
                reason=RoundingCorrection(),
            )
        )


def discount_percentage(
    lines: list[Draft], discount: PercentageDiscount, currency: Currency, arithmetic: RatingArithmetic
) -> None:
    """Take a percentage off every line, rounded per line (rating §8): 50 % of 0.01 USD is 0.01, the line is free.

    Refuses a discount without a correlation id, and one outside 0 to 100 if there is a line to take it off.
    """
    if not discount.correlation_id:
        refuse(
            "percentage_discount_missing_correlation_id",
            "a percentage discount needs a correlation id",
            "discounts.percentage",
        )
    if not lines:
        return
    percentage = discount.percentage
    if not ZERO <= percentage <= HUNDRED:
        refuse(
            "percentage_discount_out_of_range",
            f"a percentage discount is 0 to 100, got {text(percentage)}",
            "discounts.percentage",
        )
    reason = RatecardPercentage(percentage=percentage, correlation_id=discount.correlation_id)
    reference = ratecard_discount_id(discount.correlation_id)
    if arithmetic.discount_on_sum:
        amounts = _shares_of_sum(lines, percentage, currency)
    else:
        exactly = arithmetic.divide_exactly
        amounts = [currency.rounded(percentage_of(percentage, d.net, exactly=exactly)) for d in lines]
    for d, amount in zip(lines, amounts, strict=True):
        d.discount(AmountDiscount(amount=amount, child_unique_reference_id=reference, reason=reason))


@exact
def percentage_of(percentage: Decimal, value: Decimal, *, exactly: bool = False) -> Decimal:
    """That many per cent of a value, to 16 decimals unless `exactly`: 50 % of 100 is 50."""
    if exactly:
        return (value * percentage).scaleb(-2)
    return divide(value * percentage, HUNDRED, QUOTIENT_PLACES)


@exact
def with_markup(percentage: Decimal, value: Decimal) -> Decimal:
    """A value and that many per cent on top: 100 and 50 % are 150."""
    return divide(value * (HUNDRED + percentage), HUNDRED, QUOTIENT_PLACES)


def _shares_of_sum(lines: list[Draft], percentage: Decimal, currency: Currency) -> list[Decimal]:
    """The discount on the sum of the lines, spread over those above zero in proportion (W11)."""
    nets = [(i, d.net) for i, d in enumerate(lines) if d.net > 0]
    whole = currency.rounded(percentage_of(percentage, sum((net for _, net in nets), ZERO), exactly=True))
    shares = dict(allocate_by_amount(whole, nets, currency)) if nets else {}
    below_zero = {
        i: currency.rounded(percentage_of(percentage, d.net, exactly=True)) for i, d in enumerate(lines) if d.net < 0
    }
    return [shares.get(i, below_zero.get(i, ZERO)) for i in range(len(lines))]


def cap_spend(lines: list[Draft], maximum: Decimal, billed_before: Decimal, currency: Currency) -> None:
    """Discount what goes beyond the maximum, line by line (rating §9).

    70 billed before, a line of 50, maximum 100: the line is discounted by 20. Reaching the maximum exactly
    discounts nothing; a maximum of 0 makes everything free.
    """
    billed = billed_before
    limit = currency.rounded(maximum)
    for d in lines:
        reached = currency.rounded(billed) + d.net
        if reached > limit:
            d.discount(
                AmountDiscount(
                    amount=d.net if billed >= limit else reached - limit,
                    description=f"Maximum spend discount for charges over {shortest(limit)}",
                    child_unique_reference_id=MAXIMUM_SPEND_ID,
                    reason=MaximumSpend(limit=limit),
                )
            )
        billed += d.net


def charge_minimum(
    lines: list[Draft], minimum: Decimal, billed_before: Decimal, period: Period | None, currency: Currency
) -> Draft | None:
    """The line that makes up for spending less than the minimum, if less was spent (rating §10).

    No usage, minimum 100: one line of 100 over the full period. The comparison is unrounded, so a shortfall of
    0.004 gives a line of 0 (W13).
    """
    billed = sum((d.net for d in lines), billed_before)
    if not billed < minimum:
        return None
    shortfall = currency.rounded(minimum - billed)
    line = draft("minimum spend", MIN_SPEND_REFERENCE, Decimal(1), shortfall, currency)
    line.category = COMMITMENT
    line.period = period
    return line
